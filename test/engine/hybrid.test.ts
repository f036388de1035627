/** Models that keep a state instead of keys and values, in all layers or in some: no text shows that they cannot be cut. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createHost,
    score,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type HostOptions,
    type Recipe,
    type SpeculationOptions,
} from "../../src/index.js";
import { listArchitectures } from "../helpers/architectures.js";
import { demoFile, demoRecipe, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { fromFloat32, readGguf, readWeights, toFloat32, writeGguf } from "../helpers/gguf.js";
import { largestError, openOracle, type Oracle } from "../helpers/oracle.js";
import { randomModel } from "../helpers/random-models.js";
import { expectSameRows } from "../helpers/same-rows.js";
import { fuse } from "../helpers/reference.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { LOGPROB, STATE_BATCHING } from "../helpers/tolerances.js";

/** What the list of architectures has enough tensors of. */
const SHAPES = [
    ...["mamba-dense", "mamba2-dense", "granitehybrid-dense", "lfm2-dense", "lfm2moe-moe", "qwen35-dense"],
    ...["qwen35moe-moe", "qwen3next-moe", "falcon-h1-dense", "nemotron_h-dense", "jamba-dense", "plamo2-dense"],
    ...["nemotron_h_moe-dense", "kimi-linear-moe", "kimi-k3-moe", "bailingmoe3-moe", "minimax-01-moe"],
    "qwen4exp-moe",
];
/** One of each kind: no attention at all, state spaces, convolutions, the delta rule. */
const KINDS = ["mamba2-dense", "granitehybrid-dense", "lfm2-dense", "qwen35-dense"];
const EOS = 2;
/** Tokens of a prompt behind its bookmark. */
const BEHIND = 16;

const { folder, remove } = temporaryFolder();
const fileOf = (shape: string): string => path.join(folder, `${shape}.gguf`);
beforeAll(() => {
    for (const shape of SHAPES) writeGguf(fileOf(shape), randomModel(shape));
    for (const model of ["small-base", "small-chat"] as const)
        writeGguf(fileOf(model), toFloat32(readGguf(demoFile(model))));
});
afterAll(remove);

/** A state, keys and values in one ensemble. */
const mixedRecipe = (shape: string) =>
    demoRecipe(`
members:
    large: { model: ${JSON.stringify(fileOf(shape))} }
    chat: { model: ${JSON.stringify(fileOf("small-chat"))} }
    small: { model: ${JSON.stringify(fileOf("small-base"))} }
combination: 0.6 * large + chat - 0.5 * small
prompt: { template: plain }`);

const TOKENS = 24;
const PROMPTS = ["The capital of Peru is", "Lima is a city.", "Who lives in Lima? ".repeat(6), "Peru"];

const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(complete(ensemble, { raw: true, maxTokens: TOKENS, logitBias: { [EOS]: -Infinity }, seed: 3, ...options }));

/** Each prompt's text, with nobody else there and no cache to begin with. */
async function runAlone(recipe: Recipe, prompts: readonly string[], maxTokens = TOKENS): Promise<CompletionResult[]> {
    const results: CompletionResult[] = [];
    for (const prompt of prompts) {
        const key = JSON.stringify([recipe.members, prompt, maxTokens]);
        const known = ranAlone.get(key) ?? (await runOne(recipe, prompt, maxTokens));
        ranAlone.set(key, known);
        results.push(known);
    }
    return results;
}

const ranAlone = new Map<string, CompletionResult>();

const runOne = (recipe: Recipe, prompt: string, maxTokens: number): Promise<CompletionResult> =>
    withEnsemble(recipe, { sequences: 1 }, (ensemble) =>
        run(ensemble, { prompt, maxTokens, scores: true, speculation: false }),
    );

describe.each(SHAPES)("%s", (shape) => {
    test("its log-probabilities are node-llama-cpp's", async () => {
        const file = fileOf(shape);
        const oracle = await openOracle(file);
        try {
            for (const prompt of ["The capital of Peru is", "Lima is the capital of Peru. ".repeat(10)]) {
                await withEnsemble(soloRecipe(file), { sequences: 1 }, async (ensemble) => {
                    const { parts } = await collect(
                        complete(ensemble, { prompt, raw: true, scores: true, maxTokens: 8, seed: 7 }),
                    );
                    const before = oracle.tokenize(prompt);
                    const tokens = [...before, ...parts.map(({ id }) => id)];
                    // A longer prompt is evaluated up to its bookmark first.
                    const first = before.length < 2 * BEHIND ? 0 : before.length - BEHIND;
                    const batches = [first, before.length - first].filter((size) => size > 0);
                    const rows = await oracle.rows(tokens.slice(0, -1), batches, before.length - 1);
                    expect(parts.length).toBeGreaterThan(0);
                    const own = parts.map(({ scores }) => scores);
                    expect(largestError(own, rows)).toBeLessThan(LOGPROB);
                });
            }
        } finally {
            await oracle.dispose();
        }
    });
});

describe.each(KINDS)("%s", (shape) => {
    test("is fused with models that keep keys and values", async () => {
        const [prompt = ""] = PROMPTS;
        const oracles: Oracle[] = [];
        for (const each of [shape, "small-chat", "small-base"]) oracles.push(await openOracle(fileOf(each)));
        try {
            await withEnsemble(mixedRecipe(shape), { sequences: 1 }, async (ensemble) => {
                const { parts } = await run(ensemble, { prompt, scores: true, logitBias: {}, maxTokens: 6 });
                const before = oracles[0]?.tokenize(prompt) ?? [];
                const tokens = [...before, ...parts.map(({ id }) => id)].slice(0, -1);
                const members: Float64Array[][] = [];
                for (const oracle of oracles)
                    members.push(await oracle.rows(tokens, [before.length], before.length - 1));
                const weights = Float64Array.of(0.6, 1, -0.5);
                const form = { weights, conservativeTopP: 1, controlTokensFallback: false };
                const rows = parts.map((_, position) =>
                    fuse(
                        members.map((member) => member[position]),
                        form,
                    ),
                );
                const own = parts.map(({ scores }) => scores);
                expect(largestError(own, rows)).toBeLessThan(3 * LOGPROB);
            });
        } finally {
            for (const oracle of oracles) await oracle.dispose();
        }
    });

    test("goes on with a text that it holds, and evaluates again what begins otherwise", async () => {
        const [prompt = ""] = PROMPTS;
        await withEnsemble(mixedRecipe(shape), { sequences: 2 }, async (ensemble) => {
            const first = await run(ensemble, { prompt });
            const longer = `${prompt}${first.text} and`;
            const other = `${prompt} not`;
            const [goesOn, begins] = [
                await run(ensemble, { prompt: longer, scores: true }),
                await run(ensemble, { prompt: other, scores: true }),
            ];
            // It holds the state behind the generated text, and none of a prompt as short as this.
            expect(begins.reusedTokens.chat).toBeGreaterThan(0);
            expect(begins.reusedTokens.large).toBe(0);
            const [aloneOn, aloneOther] = await runAlone(mixedRecipe(shape), [longer, other]);
            expectSameRows(goesOn, aloneOn as CompletionResult);
            expectSameRows(begins, aloneOther as CompletionResult);
        });
    });

    test("holds what it has evaluated for a text that goes on from there", async () => {
        await withEnsemble(soloRecipe(fileOf(shape)), { sequences: 2 }, async (ensemble) => {
            const tokens = await ensemble.tokenize("Lima is the capital of Peru. Lima");
            const before = tokens.slice(0, -4);
            await run(ensemble, { prompt: before, maxTokens: 1 });
            const { reusedTokens } = await run(ensemble, { prompt: tokens, maxTokens: 1 });
            expect(reusedTokens.solo).toBe(before.length);
        });
    });

    test("text that a schema forces is the text that it forces without drafts", async () => {
        const jsonSchema = {
            type: "object",
            properties: { capital: { type: "string", maxLength: 12 } },
            required: ["capital"],
        };
        await withEnsemble(mixedRecipe(shape), { sequences: 1 }, async (ensemble) => {
            const options = { prompt: "Peru:", jsonSchema, scores: true, maxTokens: 40, logitBias: {} };
            const plain = await run(ensemble, { ...options, speculation: false });
            expectSameRows(await run(ensemble, options), plain);
            expectSameRows(await run(ensemble, { ...options, speculation: { drafter: "large", length: 3 } }), plain);
        });
    });

    test("under rejection sampling it draws without drafts", async () => {
        await withEnsemble(mixedRecipe(shape), { sequences: 1 }, async (ensemble) => {
            const options = { prompt: "Peru", scores: true };
            const result = await run(ensemble, {
                ...options,
                speculation: { coupling: "maximal", drafter: "chat", length: 3 },
            });
            expect(result.speculation).toBeUndefined();
            expectSameRows(result, await run(ensemble, { ...options, speculation: false }));
        });
    });

    test.each([false, { drafter: "chat", length: 3 }, { drafter: "large", length: 2 }] as const)(
        "revoked, aborted and begun again, drafted by %p",
        async (speculation) => {
            const recipe = mixedRecipe(shape);
            const maxTokens = 45;
            const alone = await runAlone(recipe, PROMPTS, maxTokens);
            await withHost({ sequences: 4, cacheTokens: 100 }, async (host) => {
                const ensemble = await host.load(recipe, { contextSize: 100 });
                for (let round = 0; round < 2; round++) {
                    const given = new AbortController();
                    const leaving = run(ensemble, { prompt: "Peru", speculation, signal: given.signal });
                    const results = PROMPTS.map((prompt) =>
                        run(ensemble, { prompt, maxTokens, speculation, scores: true }),
                    );
                    setTimeout(() => given.abort(), 15 * round);
                    (await Promise.all(results)).forEach((result, index) =>
                        expectSameRows(result, alone[index] as CompletionResult),
                    );
                    await leaving;
                }
                expect(host.counts.revocations).toBeGreaterThan(0);
            });
        },
    );

    test("a parameter is set in the middle of a block, where a cache has no room for the text twice", async () => {
        const recipe = demoRecipe(`
members:
    large: { model: ${JSON.stringify(fileOf(shape))} }
    chat: { model: ${JSON.stringify(fileOf("small-chat"))} }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: large + beta * chat
prompt: { template: plain }`);
        await withHost({ sequences: 1, cacheTokens: 100 }, async (host) => {
            const ensemble = await host.load(recipe, { contextSize: 100 });
            const read = async (speculation: SpeculationOptions | false): Promise<CompletionResult> => {
                const parts: CompletionResult["parts"][number][] = [];
                const completion = complete(ensemble, {
                    ...{ prompt: "Who lives in Lima? ".repeat(10), raw: true, maxTokens: 12, seed: 3, speculation },
                    scores: true,
                    logitBias: { [EOS]: -Infinity },
                });
                for await (const part of completion) {
                    if (part.type !== "token") continue;
                    parts.push(part);
                    completion.setParameters({ beta: 1 + parts.length / 1000 });
                }
                return { parts, seed: 3 } as unknown as CompletionResult;
            };
            const plain = await read(false);
            expect(plain.parts).toHaveLength(12);
            expectSameRows(await read({ drafter: "large + beta * chat", length: 1 }), plain);
        });
    });

    test("left in the middle and asked again, it says the same", async () => {
        const [prompt = ""] = PROMPTS;
        await withEnsemble(mixedRecipe(shape), { sequences: 2 }, async (ensemble) => {
            const [alone] = await runAlone(mixedRecipe(shape), [prompt]);
            for (let tokens = 1; tokens < 4; tokens++) {
                let count = 0;
                const options = { prompt, raw: true, seed: 3, logitBias: { [EOS]: -Infinity } };
                for await (const _ of complete(ensemble, options)) if (++count === tokens) break;
                expectSameRows(await run(ensemble, { prompt, scores: true }), alone as CompletionResult);
            }
        });
    });

    test("scores a text alone as beside others", async () => {
        await withEnsemble(mixedRecipe(shape), { sequences: 2 }, async (ensemble) => {
            const items = PROMPTS.map((context) => ({
                context,
                continuation: " is a city in Peru, and Lima is its capital.",
            }));
            const together = await score(ensemble, items);
            for (const [index, item] of items.entries()) {
                const [single] = await score(ensemble, [item]);
                const [own, other] = [single, together[index]].map((each) => Array.from(each?.logprobs ?? []));
                expect(own?.length).toBeGreaterThan(0);
                expect(largestError([own], [other ?? []])).toBeLessThan(STATE_BATCHING);
            }
        });
    });

    test("a sequence whose state is not a number hurts no other, and none that comes later", async () => {
        const file = fileOf(`poisoned-${shape}`);
        const model = randomModel(shape);
        const poison = 300;
        const table = model.tensors.find(({ name }) => name === "token_embd.weight");
        const weights = readWeights(0, table?.data ?? Buffer.alloc(0));
        const width = table?.shape[0] ?? 0;
        const output = {
            ...table,
            name: "output.weight",
            data: fromFloat32(weights.slice()),
        } as (typeof model.tensors)[0];
        weights.fill(NaN, poison * width, (poison + 1) * width);
        const tensors = model.tensors.filter(({ name }) => name !== "output.weight" && name !== "token_embd.weight");
        const poisoned = { ...(table as typeof output), data: fromFloat32(weights) };
        writeGguf(file, { ...model, tensors: [...tensors, poisoned, output] });
        const recipe = soloRecipe(file);
        const alone = await runAlone(recipe, PROMPTS);
        await withEnsemble(recipe, { sequences: 5 }, async (ensemble) => {
            for (let round = 0; round < 2; round++) {
                const fails = expect(run(ensemble, { prompt: [1, poison] })).rejects.toMatchObject({
                    code: "NON_FINITE_LOGITS",
                });
                const results = await Promise.all(PROMPTS.map((prompt) => run(ensemble, { prompt, scores: true })));
                results.forEach((result, index) => expectSameRows(result, alone[index] as CompletionResult));
                await fails;
            }
        });
    });
});

const DRAFTERS: Record<string, SpeculationOptions> = {
    "a model that can go back": { drafter: "chat", length: 3 },
    "itself, three at a time": { drafter: "large", length: 3 },
    "itself and others, as many as pay": { drafter: "large + chat", length: "adaptive" },
    "the target itself, one at a time": { drafter: "0.6 * large + chat - 0.5 * small", length: 1 },
    "the target itself, many": { drafter: "0.6 * large + chat - 0.5 * small", length: 16 },
    lookup: { drafter: "large", length: 4, lookup: true },
};
/** Of experts one mixture, which drafts as the others do. */
const DRAFTED = [...KINDS.flatMap((shape) => Object.keys(DRAFTERS).map((by) => [shape, by] as const))];
DRAFTED.push(["qwen35moe-moe", "itself, three at a time"]);

test.each(DRAFTED)("%s, drafted by %s: the same text from the same rows, alone and side by side", async (shape, by) => {
    const speculation = DRAFTERS[by];
    const recipe = mixedRecipe(shape);
    const alone = await runAlone(recipe, PROMPTS);
    let [drafted, accepted] = [0, 0];
    for (const sequences of [1, 4]) {
        await withEnsemble(recipe, { sequences }, async (ensemble) => {
            const asked = PROMPTS.map((prompt) => () => run(ensemble, { prompt, speculation, scores: true }));
            const results = [];
            if (sequences === 1) for (const ask of asked) results.push(await ask());
            else results.push(...(await Promise.all(asked.map((ask) => ask()))));
            results.forEach((result, index) => expectSameRows(result, alone[index] as CompletionResult));
            for (const result of results) {
                drafted += result.speculation?.drafted ?? 0;
                accepted += result.speculation?.accepted ?? 0;
            }
        });
    }
    expect(drafted).toBeGreaterThan(0);
    if (speculation?.length !== "adaptive") expect(accepted).toBeGreaterThan(0);
    // In the middle of a block, so that states go back to where it began.
    if (speculation?.length === 3) expect(accepted).toBeLessThan(drafted);
});

test("a state and a window together are not drafted for where other texts may run beside", async () => {
    const speculation = { drafter: "chat", length: 3 } as const;
    const drafted: (number | undefined)[] = [];
    for (const sequences of [1, 2]) {
        await withEnsemble(mixedRecipe("lfm2-dense"), { sequences }, async (ensemble) => {
            drafted.push((await run(ensemble, { prompt: "Peru", speculation })).speculation?.drafted);
        });
    }
    expect(drafted).toEqual([expect.any(Number), 0]);
    expect(drafted[0]).toBeGreaterThan(0);
});

test("DeepSeek 4 is refused with the reason", async () => {
    const listed = listArchitectures().get("deepseek4-moe");
    if (listed === undefined) throw new Error("It is not in the list.");
    // Random weights would take seconds, and are not read.
    writeGguf(fileOf("deepseek4-moe"), listed());
    const loading = withEnsemble(soloRecipe(fileOf("deepseek4-moe")), {}, () => Promise.resolve());
    await expect(loading).rejects.toMatchObject({
        code: "MODEL_UNSUPPORTED",
        message: expect.stringMatching(/cannot take part: the logits of DeepSeek 4 .* depend on how a text is divided/),
    });
});

async function withHost(
    options: HostOptions,
    body: (host: ReturnType<typeof createHost>) => Promise<void>,
): Promise<void> {
    await using host = createHost({ backend: "cpu", threads: 1, ...options });
    await body(host);
}
