/** Selective fusion: the drafter's token where it is sure, the target's where it is not, whatever the blocks. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    score,
    soloView,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type SpeculationOptions,
} from "../../src/index.js";
import { demoRecipe, loadOnCpu, QUESTIONS, withEnsemble } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { UPSCALING, UPSCALING_MODELS, writeFloat32Family } from "../helpers/float32.js";
import { writeGguf } from "../helpers/gguf.js";
import { randomModel } from "../helpers/random-models.js";
import { drawGumbel, shape, sum } from "../helpers/reference.js";
import { F32_BATCHING } from "../helpers/tolerances.js";

const EOS = 2;
const TOKENS = 24;
const PROMPT = "<|user|>\nWhat money do people in Eritrea use?\n<|assistant|>\nIts currency";

const { recipe, folder, remove } = writeFloat32Family(UPSCALING_MODELS);
afterAll(remove);
const family = recipe(`${UPSCALING}prompt: { template: from chat }`);

let ensemble: Ensemble;
beforeAll(async () => {
    ensemble = await loadOnCpu(family, { sequences: 8 });
});
afterAll(() => ensemble.dispose());

type Options = Partial<Omit<CompletionOptions, "speculation">> & { readonly speculation?: SpeculationOptions };

const on = (own: Ensemble, { speculation, ...options }: Options = {}): Promise<CompletionResult> =>
    collect(
        complete(own, {
            ...{ prompt: QUESTIONS[1], maxTokens: TOKENS, seed: 5, sampling: { temperature: 1 } },
            ...options,
            speculation: { drafter: "chat", ...speculation },
        }),
    );
const run = (selective: number, { speculation, ...options }: Options = {}): Promise<CompletionResult> =>
    on(ensemble, { ...options, speculation: { selective, ...speculation } });
const plain = (options: Partial<CompletionOptions> = {}): Promise<CompletionResult> =>
    collect(
        complete(ensemble, {
            ...{ prompt: QUESTIONS[1], maxTokens: TOKENS, seed: 5, sampling: { temperature: 1 } },
            ...options,
        }),
    );

const ids = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);
const drawers = ({ parts }: CompletionResult): (string | undefined)[] => parts.map(({ drawnBy }) => drawnBy);

const entropyOf = (row: ArrayLike<number>): number =>
    sum(Array.from(row, (logprob) => (logprob === -Infinity ? 0 : -Math.exp(logprob) * logprob)));

/** The rule in double precision, a token at a time, over rows of texts that are evaluated anew for each of them. */
async function sayByRule(
    before: readonly number[],
    selective: number,
    sampling: { readonly temperature: number; readonly topP?: number },
    seed: number,
): Promise<{ ids: number[]; rows: (ArrayLike<number> | undefined)[]; unasked: number[] }> {
    const said: number[] = [];
    const rows: ArrayLike<number>[] = [];
    const unasked: number[] = [];
    const rowAt = async (beta: number): Promise<ArrayLike<number>> => {
        const shown = { prompt: [...before, ...said], raw: true, parameters: { beta } };
        const { parts } = await plain({ ...shown, maxTokens: 1, scores: true });
        return parts[0]?.scores ?? [];
    };
    while (said.length < TOKENS && said.at(-1) !== EOS) {
        // The combination is the drafter where beta is 0.
        const [target, drafter] = [await rowAt(1), await rowAt(0)];
        const entropy = entropyOf(drafter);
        // Nothing can be said of texts behind a tie between the two.
        if (Math.abs(entropy - selective) < F32_BATCHING * (1 + entropy)) break;
        const row = entropy < selective ? drafter : target;
        if (entropy < selective) unasked.push(said.length);
        said.push(drawGumbel(shape(row, { topK: 0, topP: 1, minP: 0, ...sampling }), seed, said.length));
        rows.push(row);
    }
    return { ids: said, rows, unasked };
}

describe("the text is that of the rule in double precision", () => {
    test.each([
        [0.02, 0],
        [0.3, 0],
        [0.3, 1],
        [1, 1.3],
    ])("entropy below %d, temperature %d", async (selective, temperature) => {
        const before = [...(await ensemble.tokenize(PROMPT))];
        const sampling = { temperature };
        let [kept, unasked] = [0, 0];
        for (const seed of [1, 2]) {
            const oracle = await sayByRule(before, selective, sampling, seed);
            const result = await run(selective, { prompt: before, raw: true, sampling, seed });
            const length = oracle.ids.length;
            const parts = oracle.ids.map((id, index) => ({ id, scores: oracle.rows[index] }));
            const agreeing = expectSameDraws(
                { ...result, parts: result.parts.slice(0, length) },
                { ...result, parts } as unknown as CompletionResult,
                temperature,
                3 * F32_BATCHING,
            );
            const own = result.parts.flatMap(({ drawnBy }, index) => (drawnBy ? index : []));
            const isKept = (index: number): boolean => index < agreeing;
            expect(own.filter(isKept)).toEqual(oracle.unasked.filter(isKept));
            kept += agreeing;
            unasked += oracle.unasked.filter(isKept).length;
        }
        expect(unasked).toBeGreaterThan(0);
        expect(unasked).toBeLessThan(kept);
    });
});

describe("at the ends of the range", () => {
    test("0 is the target, and an exact text", async () => {
        for (const temperature of [0, 1]) {
            const sampling = { temperature };
            const [result, expected] = [await run(0, { sampling }), await plain({ sampling })];
            expect(ids(result)).toEqual(ids(expected));
            expect(result).not.toHaveProperty("exactness");
            expect(result.speculation?.unasked).toBe(0);
        }
    });

    test("so little that the drafter is never that sure: all is asked, and the draws are the target's to the bit", async () => {
        const options = { prompt: QUESTIONS[1], maxTokens: TOKENS, seed: 5, scores: true };
        const fresh = (speculation: false | SpeculationOptions): Promise<CompletionResult> =>
            withEnsemble(family, { sequences: 1 }, (own) => collect(complete(own, { ...options, speculation })));
        const [result, expected] = [await fresh({ selective: 1e-9, length: 0 }), await fresh(false)];
        expect(result.parts.map(({ scores }) => scores)).toEqual(expected.parts.map(({ scores }) => scores));
        expect(result).toMatchObject({ exactness: "approximate", speculation: { unasked: 0 } });
    });

    test("more than there is: the drafter alone", async () => {
        const solo = soloView(ensemble, "chat");
        for (const length of [0, 1, 5, 16, "adaptive"] as const) {
            for (const [seed, prompt] of QUESTIONS.slice(0, 3).entries()) {
                const options = { prompt, seed, sampling: { temperature: 1 }, maxTokens: TOKENS };
                const expected = await collect(complete(solo, options));
                const result = await run(100, { ...options, speculation: { length } });
                expect(ids(result)).toEqual(ids(expected));
                expect(drawers(result)).toEqual(result.parts.map(() => "drafter"));
                // The first token comes with the prompt.
                expect(result.speculation?.unasked).toBe(result.tokens - 1);
                if (length === "adaptive") expect(result.speculation?.steps).toBe(Math.ceil((result.tokens - 1) / 17));
            }
        }
    });
});

describe("the same seed and entropy give the same text", () => {
    const SELECTIVE = 0.2;
    const requests: readonly Options[] = QUESTIONS.map((prompt, seed) => ({
        ...{ prompt, seed, parameters: { beta: 1 + seed / 8 }, logitBias: { [EOS]: -Infinity } },
    }));
    let alone: CompletionResult[];
    beforeAll(async () => {
        alone = [];
        for (const request of requests) {
            const result = await run(SELECTIVE, { ...request, scores: true, speculation: { length: 0 } });
            alone.push(result);
        }
        const unasked = alone.flatMap(drawers).filter((drawer) => drawer === "drafter").length;
        expect(unasked).toBeGreaterThan(TOKENS);
        expect(unasked).toBeLessThan(7 * TOKENS);
    });
    const expectSame = (result: CompletionResult, index: number): void => {
        expectSameDraws(result, alone[index] as CompletionResult, 1, F32_BATCHING);
    };

    test("at every length of blocks", async () => {
        for (let length = 1; length <= 16; length++) {
            expectSame(await run(SELECTIVE, { ...requests[1], speculation: { length } }), 1);
        }
        for (const length of ["adaptive", "confidence"] as const)
            expectSame(await run(SELECTIVE, { ...requests[1], speculation: { length } }), 1);
    });

    test("beside others", async () => {
        const results = await Promise.all(requests.map((request) => run(SELECTIVE, request)));
        results.forEach(expectSame);
    });

    test("where sequences give way to each other", async () => {
        await withEnsemble(family, { sequences: 8, cacheTokens: 160, contextSize: 96 }, async (small) => {
            const results = await Promise.all(
                requests.map((request) => on(small, { ...request, speculation: { selective: SELECTIVE } })),
            );
            results.forEach(expectSame);
        });
    });

    test("from a cache that holds its prompt", async () => {
        const [request] = requests;
        await run(SELECTIVE, request);
        const again = await run(SELECTIVE, request);
        expect(again.usage.reusedTokens).toBeGreaterThan(0);
        expectSame(again, 0);
    });

    test("with reports of all members, which are the target's where it was asked", async () => {
        const reported = { memberLogprobs: true, explain: true, topLogprobs: 2 };
        const result = await run(SELECTIVE, { ...requests[2], ...reported });
        expectSame(result, 2);
        for (const { members = {}, logprob, drawnBy, drafter, top } of result.parts) {
            const { chat = NaN, large = NaN, small = NaN } = members;
            expect([chat, large, small].some(Number.isNaN)).toBe(false);
            expect(drafter?.totalVariation).toBeGreaterThan(0);
            expect(top).toHaveLength(2);
            if (drawnBy === "drafter") expect(logprob).toBeCloseTo(chat, 4);
        }
    });

    test("for readers that are ahead, and in the middle of whose text a dial is turned", async () => {
        const turnAt = 7;
        const texts = await Promise.all(
            [0, 12].map(async (readAhead) => {
                const { speculation, prompt = "", ...own } = requests[3] as Options;
                const completion = complete(ensemble, {
                    ...{ ...own, prompt, readAhead, maxTokens: TOKENS, sampling: { temperature: 1 } },
                    speculation: { drafter: "chat", selective: SELECTIVE, ...speculation },
                });
                const said: number[] = [];
                for await (const part of completion) {
                    if (part.type === "token") said.push(part.id);
                    if (said.length === turnAt) completion.setParameters({ beta: 2 });
                }
                return said;
            }),
        );
        expect(texts[1]).toEqual(texts[0]);
    });

    test("behind a stop text, and up to it", async () => {
        const { text } = alone[4] as CompletionResult;
        const stop = text.slice(Math.floor(text.length / 2), Math.floor(text.length / 2) + 4);
        const result = await run(SELECTIVE, { ...requests[4], stop: [stop] });
        expect(result).toMatchObject({ reason: "stop", stoppedBy: stop, text: text.slice(0, text.indexOf(stop)) });
    });

    test("with penalties and filters", async () => {
        const sampling = { temperature: 0.9, topP: 0.9, repeatPenalty: 1.3, presencePenalty: 0.3 };
        const expected = await run(SELECTIVE, { sampling, scores: true, speculation: { length: 0 } });
        for (const length of [2, 16])
            expect(ids(await run(SELECTIVE, { sampling, speculation: { length } }))).toEqual(ids(expected));
    });

    test("as far as it came, where it is aborted; the next one is unharmed", async () => {
        const controller = new AbortController();
        const { speculation, prompt = "", ...own } = requests[5] as Options;
        const said: number[] = [];
        for await (const part of complete(ensemble, {
            ...{ ...own, prompt, signal: controller.signal, maxTokens: TOKENS, sampling: { temperature: 1 } },
            speculation: { drafter: "chat", selective: SELECTIVE, ...speculation },
        })) {
            if (part.type === "token") said.push(part.id);
            else if (part.type === "finish") expect(part.reason).toBe("abort");
            if (said.length === 5) controller.abort();
        }
        expect(said).toEqual(ids(alone[5] as CompletionResult).slice(0, said.length));
        expectSame(await run(SELECTIVE, requests[5]), 5);
    });

    test("a grammar holds, and what it forces is in the text", async () => {
        const jsonSchema = {
            type: "object",
            properties: { currency: { type: "string", maxLength: 8 }, country: { enum: ["Eritrea", "Peru"] } },
            required: ["currency", "country"],
            additionalProperties: false,
        } as const;
        const options = { jsonSchema, maxTokens: 60, sampling: { temperature: 0 } };
        for (const selective of [0.2, 100]) {
            const texts = [];
            for (const length of [0, 3, 16] as const) {
                const { text, reason } = await run(selective, { ...options, speculation: { length } });
                expect(reason).toBe("stop");
                expect(Object.keys(JSON.parse(text) as object)).toEqual(["currency", "country"]);
                texts.push(text);
            }
            expect(new Set(texts).size).toBe(1);
        }
    });
});

test("a large member that keeps a state", async () => {
    const file = path.join(folder, "hybrid.gguf");
    writeGguf(file, randomModel("granitehybrid-dense"));
    const mixed = recipe(`
members:
    large: { model: hybrid.gguf }
    chat: { model: small-chat.gguf }
combination: 0.3 * large + chat
prompt: { template: plain }`);
    await withEnsemble(mixed, { sequences: 2 }, async (own) => {
        const options = { raw: true, prompt: "The capital of Peru is", logitBias: { [EOS]: -Infinity } };
        const ask = (length: number): Promise<CompletionResult> =>
            on(own, { ...options, speculation: { selective: 2, length } });
        const expected = await ask(0);
        expect(new Set(drawers(expected)).size).toBe(2);
        for (const length of [1, 4, 16]) expect(ids(await ask(length))).toEqual(ids(expected));
    });
});

test("statistics say how many tokens nobody was asked about, and nothing of verdicts that there were not", async () => {
    const { speculation, parts, tokens } = await run(0.2, { logitBias: { [EOS]: -Infinity } });
    const unasked = parts.slice(1).filter(({ drawnBy }) => drawnBy === "drafter").length;
    expect(speculation).toMatchObject({ unasked, tokens: tokens - 1, drafted: 0, accepted: 0, blocks: 0 });
    expect(speculation?.acceptanceRate).toBeUndefined();
    expect(speculation?.steps).toBeLessThan(tokens - 1);
    const before = ensemble.statistics.unasked;
    await run(100, { logitBias: { [EOS]: -Infinity } });
    expect(ensemble.statistics.unasked - before).toBe(TOKENS - 1);
});

test("exact speculation learns nothing from what was not verified", async () => {
    await withEnsemble(family, { sequences: 1 }, async (own) => {
        await on(own, { speculation: { selective: 100 }, maxTokens: 60, logitBias: { [EOS]: -Infinity } });
        expect(own.statistics.verifiedAt).toEqual([]);
    });
});

test("a recipe says it, a request overlays it, and what is scored is the target", async () => {
    const said = recipe(`${UPSCALING}prompt: { template: from chat }
speculation: { drafter: chat, selective: 100 }`);
    await withEnsemble(said, { sequences: 2 }, async (own) => {
        const ask = (speculation?: boolean | SpeculationOptions): Promise<CompletionResult> =>
            collect(complete(own, { prompt: QUESTIONS[1], sampling: { temperature: 0 }, speculation }));
        expect((await ask()).exactness).toBe("approximate");
        expect((await ask({ length: 3 })).exactness).toBe("approximate");
        for (const exact of [false, { selective: 0 }]) {
            const result = await ask(exact);
            expect(result).not.toHaveProperty("exactness");
            expect(ids(result)).toEqual(ids(await plain({ sampling: { temperature: 0 }, maxTokens: 100 })));
        }
        const explained = { prompt: QUESTIONS[1], maxTokens: 4, speculation: false, explain: true } as const;
        expect(await collect(complete(own, explained))).not.toHaveProperty("exactness");
        const items = [{ context: "Lima is", continuation: " a city." }];
        const [ours, full] = [await score(own, items), await score(ensemble, items)];
        expect(ours[0]?.logprobs.length).toBeGreaterThan(0);
        ours[0]?.logprobs.forEach((logprob, index) =>
            expect(Math.abs(logprob - (full[0]?.logprobs[index] ?? NaN))).toBeLessThan(3 * F32_BATCHING),
        );
    });
});

test("a dial that leaves the drafter alone in the target for a while is turned as ever", async () => {
    const options = { parameters: { beta: 0 }, maxTokens: 12 };
    expect(ids(await run(0.2, options))).toEqual(ids(await plain(options)));
});

describe("is refused", () => {
    test.each<[string, SpeculationOptions, string]>([
        ["with rejection sampling", { selective: 1, coupling: "maximal" }, '"coupling: maximal" draws from the target'],
        ["with lookup", { selective: 1, lookup: true }, '"lookup" guesses what all members verify'],
        ["below 0", { selective: -1 }, "selective must be a number from 0 to 100, not -1"],
        ["for what is no number", { selective: NaN }, "selective must be a number from 0 to 100, not NaN"],
        [
            "where the drafter reads all members",
            { selective: 1, drafter: "chat + large - small" },
            "the drafter reads all that the target reads (large, chat, small): name a smaller drafter",
        ],
    ])("%s", (_name, speculation, message) => {
        expect(() => complete(ensemble, { prompt: "x", speculation })).toThrow(message);
    });

    test("where nobody can draft", async () => {
        const alone = demoRecipe("members: { large: { model: large-base-f16.gguf } }\ncombination: large");
        await withEnsemble(alone, {}, async (own) => {
            expect(() => complete(own, { prompt: "x", speculation: { selective: 1 } })).toThrow("No member can draft");
            await Promise.resolve();
        });
    });
});
