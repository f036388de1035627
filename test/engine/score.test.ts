/** score() against log-likelihoods that node-llama-cpp's rows give. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { fuse } from "../helpers/reference.js";
import { collect, complete, score, tokenText, type Score, type ScoreItem, type ScoreOptions } from "../../src/index.js";
import { demoFile, demoRecipe, QUESTIONS, soloRecipe, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { readGguf, toFloat32, writeGguf } from "../helpers/gguf.js";
import { openOracle, type Oracle } from "../helpers/oracle.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { F16_BATCHING, LOGPROB } from "../helpers/tolerances.js";
import { copyOutput, EOS, TOKEN_TYPE, VOCABULARY, withTokenTypes } from "../helpers/vocabulary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

const MEMBERS = ["large", "chat", "small"] as const;
const LIMA = " Lima is the capital of Peru. People in Peru use the sol.";

let oracles: Oracle[];
beforeAll(async () => {
    oracles = [];
    for (const model of ["large-base", "small-chat", "small-base"] as const) {
        oracles.push(await openOracle(demoFile(model)));
    }
});
afterAll(async () => {
    for (const oracle of oracles) await oracle.dispose();
});

interface Expected {
    readonly tokens: number[];
    readonly members: Record<string, number[]>;
    readonly target: number[];
    readonly isGreedy: boolean;
}

/**
 * @param contexts - per member, the text before, special tokens spelled out
 * @param weights - of the members
 */
async function expectedScore(contexts: readonly string[], text: string, weights = [1, 1, -1]): Promise<Expected> {
    const rows: Float64Array[][] = [];
    let tokens: number[] = [];
    for (const [member, oracle] of oracles.entries()) {
        const context = oracle.tokenize(contexts[member] ?? "", true);
        const whole = oracle.tokenize(`${contexts[member]}${text}`, true);
        const before = context.filter((_token, i) => context.slice(0, i + 1).every((_, j) => context[j] === whole[j]));
        tokens = whole.slice(before.length);
        // As the engine does it: up to 128 rows at a time, the first ones together with the context.
        const batches = [before.length - 1 + Math.min(128, tokens.length), Math.max(0, tokens.length - 128)];
        rows.push(await oracle.rows(whole.slice(0, -1), batches, before.length - 1));
    }
    const fused = tokens.map((_, i) =>
        fuse(
            rows.map((member) => member[i]),
            { weights: Float64Array.from(weights), conservativeTopP: 1, controlTokensFallback: false },
        ),
    );
    return {
        tokens,
        members: Object.fromEntries(
            MEMBERS.map((name, m) => [name, tokens.map((token, i) => rows[m]?.[i]?.[token] ?? NaN)]),
        ),
        target: tokens.map((token, i) => fused[i]?.[token] ?? NaN),
        isGreedy: tokens.every((token, i) => fused[i]?.every((value) => value <= (fused[i]?.[token] ?? NaN))),
    };
}

function expectScore(actual: Score | undefined, expected: Expected, tolerance: number): void {
    expect(actual?.tokens).toEqual(expected.tokens);
    expect(largestDifference(actual?.logprobs, expected.target)).toBeLessThan(tolerance);
    for (const name of MEMBERS) {
        expect(largestDifference(actual?.members[name], expected.members[name])).toBeLessThan(tolerance);
    }
    expect(actual?.isGreedy).toBe(expected.isGreedy);
}

function largestDifference(actual: readonly number[] = [NaN], expected: readonly number[] = []): number {
    return Math.max(...actual.map((value, i) => Math.abs(value - (expected[i] ?? NaN))));
}

const same = (context: string): string[] => MEMBERS.map(() => context);
const chat = (question: string): string => `[INST] ${question} [/INST]`;

describe("one text in an empty ensemble", () => {
    test.each([
        ["plain, without context", "", "The capital of Peru is Lima."],
        ["plain, with context", "The capital of Peru", " is Lima. People speak Spanish."],
        ["one token", "The capital of Peru is", "."],
        ["characters of several bytes", "The capital", " — Ελλάδα 日本 🇵🇪"],
        ["white space between the two", "The capital of Peru is \n", " Lima."],
        ["a word cut in two", "The capital of Pe", "ru is Lima."],
        ["more rows than are asked for at once", "", LIMA.repeat(10)],
    ])("%s", async (_name, context, continuation) => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const [actual] = await score(ensemble, [{ context, continuation }]);
            expect(actual?.text).toBe(continuation);
            expectScore(actual, await expectedScore(same(context), continuation), 3 * LOGPROB);
        });
    });

    test("through the chat template", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const [actual] = await score(ensemble, [{ context: QUESTIONS[0], continuation: " Its capital is Lima." }], {
                chat: true,
            });
            expectScore(actual, await expectedScore(same(chat(QUESTIONS[0])), " Its capital is Lima."), 3 * LOGPROB);
            expect(actual?.isGreedy).toBe(true);
        });
    });

    test("each member through its own template", async () => {
        const recipe = demoRecipe(`
members:
    large: { model: large-base-f16.gguf, prompt: { template: plain } }
    chat: { model: small-chat-f16.gguf }
    small: { model: small-base-f16.gguf, prompt: { template: plain } }
combination: large + chat - small
prompt: { template: from chat }`);
        await withEnsemble(recipe, { sequences: 1 }, async (ensemble) => {
            const [context, continuation] = [QUESTIONS[3], " Its capital is Tokyo."];
            const [actual] = await score(ensemble, [{ context, continuation }], { chat: true });
            expectScore(actual, await expectedScore([context, chat(context), context], continuation), 3 * LOGPROB);
        });
    });

    test.each([0, 0.5, 2])("beta %d", async (beta) => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const [context, continuation] = ["The capital of Peru", " is Lima."];
            const expected = await expectedScore(same(context), continuation, [beta, 1, -beta]);
            const [actual] = await score(ensemble, [{ context, continuation }], { parameters: { beta } });
            expectScore(actual, expected, 5 * LOGPROB);
        });
    });
});

test("whole rows are those that a completion reports", async () => {
    await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
        const prompt = QUESTIONS[0];
        const sampling = { temperature: 0 };
        const { text, parts } = await collect(complete(ensemble, { prompt, sampling, maxTokens: 4, scores: true }));
        const [scored] = await score(ensemble, [{ context: prompt, continuation: text }], { chat: true, scores: true });
        expect(scored?.scores).toHaveLength(parts.length);
        for (const [index, { id, scores = new Float32Array(0) }] of parts.entries()) {
            const row = scored?.scores?.[index] ?? new Float32Array(0);
            expect(row[id]).toBeCloseTo(scored?.logprobs[index] ?? NaN, 6);
            expect(largestDifference([...row], [...scores])).toBeLessThan(F16_BATCHING);
        }
        const [without] = await score(ensemble, [{ continuation: text }]);
        expect(without).not.toHaveProperty("scores");
    });
});

describe("the most probable tokens", () => {
    test("are those of the whole row, with the same numbers", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 2 }, async (ensemble) => {
            const items = [
                { context: "The capital of Peru", continuation: " is Lima. People speak Spanish." },
                { continuation: LIMA.repeat(10) },
                { context: QUESTIONS[0], continuation: "" },
            ];
            const scored = await score(ensemble, items, { topLogprobs: 7, scores: true });
            for (const { tokens, logprobs, top = [], scores = [], isGreedy } of scored) {
                expect(top).toHaveLength(tokens.length);
                for (const [index, row] of scores.entries()) {
                    const ranked = Array.from(row, (logprob, id) => ({ id, logprob }));
                    ranked.sort((a, b) => b.logprob - a.logprob || a.id - b.id);
                    const most = ranked.slice(0, 7).map((each) => ({ ...each, text: tokenText(ensemble, each.id) }));
                    expect(top[index]).toEqual(most);
                    const own = top[index]?.find(({ id }) => id === tokens[index]);
                    if (own !== undefined) expect(own.logprob).toBe(logprobs[index]);
                }
                expect(isGreedy).toBe(top.every(([first], index) => first?.id === tokens[index]));
            }
            for (const options of [{}, { topLogprobs: 0 }])
                expect((await score(ensemble, items.slice(0, 1), options))[0]).not.toHaveProperty("top");
            for (const topLogprobs of [-1, 101, 1.5, "5"])
                await expect(score(ensemble, [], { topLogprobs: topLogprobs as number })).rejects.toMatchObject({
                    code: "OPTION_INVALID",
                    message: expect.stringContaining("topLogprobs must be a whole number from 0 to 100") as unknown,
                });
        });
    });

    test("come in the order of their ids where they are equally probable, and the first is the greedy one", async () => {
        const [low, high] = [700, 900];
        // Nothing else is possible but EOS.
        const ids = Array.from({ length: VOCABULARY }, (_, id) => id).filter((id) => ![low, high, EOS].includes(id));
        const unused = Object.fromEntries(ids.map((id) => [id, TOKEN_TYPE.unused]));
        const equal = copyOutput(toFloat32(readGguf(demoFile("small-base"))), low, high);
        const file = path.join(folder, "equal.gguf");
        writeGguf(file, withTokenTypes(equal, unused));
        await withEnsemble(soloRecipe(file), { sequences: 1 }, async (ensemble) => {
            for (const token of [low, high]) {
                const [scored] = await score(ensemble, [{ continuation: [token] }], { topLogprobs: 100 });
                const [top = []] = scored?.top ?? [];
                expect(top.map(({ id }) => id).filter((id) => id !== EOS)).toEqual([low, high]);
                expect(top).toHaveLength(3);
                expect(top[0]?.logprob).toBe(top[1]?.logprob);
                expect(scored?.isGreedy).toBe(token === low);
            }
        });
    });
});

describe("many texts", () => {
    let expected: Expected[];
    beforeAll(async () => {
        expected = [];
        for (const { context = "", continuation } of items) {
            expected.push(await expectedScore(same(context), continuation));
        }
    });

    const items: (ScoreItem & { readonly context?: string; readonly continuation: string })[] = [
        ...["Lima", "Paris", "Tokyo", "Nairobi", "Lima. It is", "Cusco"].map((city) => ({
            context: "The capital of Peru is",
            continuation: ` ${city}.`,
        })),
        ...QUESTIONS.map((question) => ({ continuation: question })),
        { context: "People in Peru use", continuation: " the sol." },
        { context: "People in Peru", continuation: " use the sol." },
        { context: "The capital of Peru is", continuation: " Quito." },
        { context: "", continuation: LIMA.repeat(9) },
        { context: LIMA.repeat(5), continuation: LIMA.repeat(4) },
    ];

    test.each([
        ["one sequence", { sequences: 1 }],
        ["two sequences", { sequences: 2 }],
        ["eight sequences", { sequences: 8 }],
        ["steps shorter than the texts", { sequences: 4, batchSize: 32 }],
    ])("%s", async (_name, options) => {
        await withEnsemble(upscalingRecipe(), options, async (ensemble) => {
            const progress: number[] = [];
            const scores = await score(ensemble, items, { onProgress: (done) => progress.push(done) });
            expect(scores.map(({ text }) => text)).toEqual(items.map(({ continuation }) => continuation));
            expect(progress).toEqual(items.map((_, index) => index + 1));
            expected.forEach((item, index) => expectScore(scores[index], item, F16_BATCHING));
        });
    });
});

test("two calls on one ensemble, each with contexts to share, do not wait for each other for ever", async () => {
    await withEnsemble(upscalingRecipe("q8_0"), { sequences: 2 }, async (ensemble) => {
        const items = (context: string): ScoreItem[] =>
            ["Lima", "Paris", "Tokyo"].map((city) => ({ context, continuation: ` ${city}.` }));
        const [one, two] = await Promise.all([
            score(ensemble, items("The capital of Peru is")),
            score(ensemble, items("The capital of Japan is")),
        ]);
        expect([one.length, two.length]).toEqual([3, 3]);
    });
});

describe("a text that is longer than the context", () => {
    const contextSize = 64;
    const text = [...QUESTIONS, LIMA, LIMA, ...QUESTIONS].join(" ");

    /** Log-probabilities by the tokens of each window, from node-llama-cpp's rows. */
    async function expectedLogprobs(tokens: readonly number[], stride: number): Promise<Record<string, number[]>> {
        const [, ...text] = tokens;
        const spans = [[0, contextSize]];
        for (let from = contextSize; from < text.length; from += stride) spans.push([from, from + stride]);
        const values = Object.fromEntries(["target", ...MEMBERS].map((name) => [name, [] as number[]]));
        for (const [from = 0, to = 0] of spans) {
            const scored = text.slice(from, to);
            // BOS and what is scored but for its last token leave so much room.
            const before = text.slice(Math.max(0, from - (contextSize - scored.length)), from);
            const read = [tokens[0] ?? NaN, ...before, ...scored.slice(0, -1)];
            const rows: Float64Array[][] = [];
            for (const oracle of oracles) rows.push(await oracle.rows(read, [read.length], before.length));
            for (const [index, token] of scored.entries()) {
                const row = rows.map((member) => member[index]);
                const combination = { conservativeTopP: 1, controlTokensFallback: false };
                const target = fuse(row, { weights: Float64Array.from([1, 1, -1]), ...combination });
                values.target?.push(target[token] ?? NaN);
                for (const [member, name] of MEMBERS.entries()) values[name]?.push(row[member]?.[token] ?? NaN);
            }
        }
        return values;
    }

    test.each([13, 32, 64])("is scored in windows that go on by %d tokens", async (stride) => {
        await withEnsemble(upscalingRecipe(), { sequences: 1, contextSize }, async (ensemble) => {
            const tokens = oracles[0]?.tokenize(text) ?? [];
            const expected = await expectedLogprobs(tokens, stride);
            const [actual] = await score(ensemble, [{ continuation: text }], { stride });
            expect(actual?.tokens).toEqual(tokens.slice(1));
            expect(tokens.length).toBeGreaterThan(130);
            expect(actual?.windows).toBe(1 + Math.ceil((tokens.length - 1 - contextSize) / stride));
            expect(largestDifference(actual?.logprobs, expected.target)).toBeLessThan(F16_BATCHING);
            for (const name of MEMBERS)
                expect(largestDifference(actual?.members[name], expected[name])).toBeLessThan(F16_BATCHING);
        });
    });

    test("has the numbers of a larger context where that sees the same, and others behind", async () => {
        const [whole] = await withEnsemble(upscalingRecipe(), { sequences: 1 }, (ensemble) =>
            score(ensemble, [{ continuation: text }], { stride: 128 }),
        );
        expect(whole?.windows).toBe(1);
        await withEnsemble(upscalingRecipe(), { sequences: 2, contextSize }, async (ensemble) => {
            const items = [{ continuation: LIMA }, { continuation: text }, { context: text, continuation: LIMA }];
            const [short, long, behind] = await score(ensemble, items, { stride: 32, scores: true });
            const difference = (from: number, to?: number): number =>
                largestDifference(long?.logprobs.slice(from, to), whole?.logprobs.slice(from, to));
            expect(difference(0, contextSize)).toBeLessThan(F16_BATCHING);
            expect(difference(contextSize)).toBeGreaterThan(F16_BATCHING);
            expect(long?.scores?.length).toBe(whole?.tokens.length);
            // What fits is scored as without windows; a context of which the end alone fits still helps.
            const [plain] = await score(ensemble, items.slice(0, 1));
            expect(short?.windows).toBe(1);
            expect(largestDifference(short?.logprobs, plain?.logprobs)).toBeLessThan(F16_BATCHING);
            expect(behind?.tokens).toEqual(short?.tokens);
            expect(behind?.windows).toBe(1);
        });
    });

    test("is refused without a stride, and wrong strides are", async () => {
        await withEnsemble(upscalingRecipe(), { contextSize }, async (ensemble) => {
            const run = (options: ScoreOptions): Promise<unknown> => score(ensemble, [{ continuation: text }], options);
            await expect(run({})).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
            for (const stride of [0, 65, 1.5, "8", null])
                await expect(run({ stride: stride as number })).rejects.toMatchObject({
                    code: "OPTION_INVALID",
                    message: expect.stringContaining(
                        `stride must be a whole number from 1 to ${contextSize}, not `,
                    ) as unknown,
                });
            await expect(run({ stride: 8, chat: true })).rejects.toMatchObject({ code: "OPTION_INVALID" });
        });
    });
});

test("nothing to score", async () => {
    await withEnsemble(upscalingRecipe(), {}, async (ensemble) => {
        expect(await score(ensemble, [])).toEqual([]);
        expect(await score(ensemble, [{ context: "Lima", continuation: "" }])).toEqual([
            {
                text: "",
                tokens: [],
                logprobs: [],
                members: { large: [], chat: [], small: [] },
                windows: 1,
                isGreedy: true,
            },
        ]);
    });
});
