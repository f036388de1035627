/** Prompts and texts to score that come as token ids. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    score,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type Score,
    type ScoreItem,
    type ScoreOptions,
    type TokenIds,
} from "../../src/index.js";
import { demoFile, loadOnCpu, QUESTIONS, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { openOracle } from "../helpers/oracle.js";
import { F16_BATCHING, LOGPROB } from "../helpers/tolerances.js";

const [BOS, EOS] = [1, 2];
const CONTEXT = "The capital of Peru";
const TEXT = " is Lima. People speak Spanish.";

let ensemble: Ensemble;
/** Of {@link CONTEXT}, with BOS, and of {@link TEXT} behind it. */
let before: number[], after: number[];
beforeAll(async () => {
    ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 2 });
    before = [BOS, ...(await ensemble.tokenize(CONTEXT))];
    after = [...(await ensemble.tokenize(TEXT))];
});
afterAll(() => ensemble.dispose());

/** In caches that hold nothing yet. */
const scoreAfresh = (item: ScoreItem, options: ScoreOptions = {}): Promise<Score | undefined> =>
    withEnsemble(upscalingRecipe(), { sequences: 1 }, async (fresh) => (await score(fresh, [item], options))[0]);
const invalid = (message: RegExp): unknown =>
    expect.objectContaining({ code: "OPTION_INVALID", message: expect.stringMatching(message) as unknown });

function expectNear(actual: Score | undefined, expected: Score | undefined): void {
    expect(actual?.tokens).toEqual(expected?.tokens);
    expect(actual?.text).toBe(expected?.text);
    for (const [index, logprob] of (expected?.logprobs ?? [NaN]).entries())
        expect(Math.abs((actual?.logprobs[index] ?? NaN) - logprob)).toBeLessThan(F16_BATCHING);
}

describe("score()", () => {
    const one = async (item: ScoreItem, options: ScoreOptions = {}): Promise<Score | undefined> =>
        (await score(ensemble, [item], options))[0];

    test.each<[string, () => ScoreItem]>([
        ["context and continuation", () => ({ context: before, continuation: after })],
        ["typed arrays", () => ({ context: Int32Array.from(before), continuation: Int32Array.from(after) })],
        ["a context alone", () => ({ context: before, continuation: TEXT })],
        ["a continuation alone", () => ({ context: CONTEXT, continuation: after })],
    ])("in ids has the numbers of the same text, exactly: %s", async (_name, item) => {
        const options = { topLogprobs: 3, scores: true };
        const expected = await scoreAfresh({ context: CONTEXT, continuation: TEXT }, options);
        expect(expected?.tokens).toEqual(after);
        expect(await scoreAfresh(item(), options)).toEqual(expected);
    });

    test("without a context the text begins with BOS, and with ids it begins with them alone", async () => {
        const expected = await one({ context: [BOS], continuation: after });
        for (const context of [undefined, "", [], new Int32Array(0)])
            expectNear(await one({ context, continuation: after }), expected);
        const [first, ...rest] = after;
        const other = await one({ context: [first ?? NaN], continuation: rest });
        const oracle = await openOracle(demoFile("large-base"));
        try {
            const rows = await oracle.rows(after.slice(0, -1), [after.length - 1], 0);
            const logprobs = rest.map((token, index) => rows[index]?.[token] ?? NaN);
            for (const [index, logprob] of logprobs.entries())
                expect(Math.abs((other?.members["large"]?.[index] ?? NaN) - logprob)).toBeLessThan(F16_BATCHING);
        } finally {
            await oracle.dispose();
        }
        // An empty list is a context like any other without text.
        expectNear(await one({ context: [], continuation: TEXT }), await one({ continuation: TEXT }));
    });

    test("control tokens among them are read and scored as such, and have no text", async () => {
        const continuation = [...after, EOS, BOS, ...after];
        const actual = await scoreAfresh({ context: [...before, EOS, BOS], continuation, withEnd: true });
        expect(actual?.tokens).toEqual([...continuation, EOS]);
        expect(actual?.text).toBe(TEXT + TEXT);
        const oracle = await openOracle(demoFile("small-chat"));
        try {
            const read = [...before, EOS, BOS, ...continuation];
            const rows = await oracle.rows(read, [read.length], before.length + 1);
            for (const [index, token] of (actual?.tokens ?? []).entries())
                expect(
                    Math.abs((actual?.members["chat"]?.[index] ?? NaN) - (rows[index]?.[token] ?? NaN)),
                ).toBeLessThan(3 * LOGPROB);
        } finally {
            await oracle.dispose();
        }
    });

    test("as an answer to a chat, without a space in front", async () => {
        const ids = await ensemble.tokenize(" Its capital is Lima.");
        const ask = (continuation: string | TokenIds): Promise<Score | undefined> =>
            one({ context: QUESTIONS[0], continuation }, { chat: true });
        expect((await ask(ids))?.tokens).toEqual([...ids]);
        expect((await ask(ids))?.tokens).toEqual((await ask("Its capital is Lima."))?.tokens);
        const bare = await ensemble.tokenize("Its");
        expect((await ask(bare))?.tokens).toEqual([...bare]);
        for (const context of [before, Int32Array.from(before)])
            await expect(one({ context, continuation: ids }, { chat: true })).rejects.toEqual(
                invalid(/^items\[0\]\.context must be a text or a list of messages/),
            );
    });

    test("nothing to score", async () => {
        for (const continuation of [[], new Int32Array(0)])
            expect(await one({ context: before, continuation }, { topLogprobs: 1 })).toMatchObject({
                ...{ text: "", tokens: [], logprobs: [], top: [], windows: 1 },
            });
    });

    test("what is too long is refused, or scored in windows like the text", async () => {
        const long = Array.from({ length: 40 }, () => after).flat();
        await withEnsemble(upscalingRecipe(), { sequences: 1, contextSize: 64 }, async (small) => {
            const overflow = (count: number): unknown =>
                expect.objectContaining({
                    code: "CONTEXT_OVERFLOW",
                    message: expect.stringContaining(`Text 2 has ${count} tokens; the context scores at most 65.`),
                });
            const short = { continuation: after };
            await expect(score(small, [short, { continuation: long }])).rejects.toEqual(overflow(long.length));
            const behind = { context: long, continuation: after };
            await expect(score(small, [short, behind])).rejects.toEqual(overflow(long.length));
            const item = { context: before, continuation: long };
            const [windows] = await score(small, [item], { stride: 32 });
            expect(windows?.tokens).toEqual(long);
            expect(windows?.windows).toBeGreaterThan(2);
            const [text] = await score(small, [{ context: CONTEXT, continuation: TEXT.repeat(40) }], { stride: 32 });
            expectNear(windows, text);
        });
    });

    test.each<[string, unknown, RegExp]>([
        ["behind the vocabulary", [5, 2048], /\[1\] must be a whole number from 0 to 2047, not 2048\.$/],
        ["below 0", Int32Array.of(-1), /\[0\] must be a whole number from 0 to 2047, not -1\.$/],
        ["between two", [5, 6, 0.5], /\[2\] must be a whole number/],
        ["no number", [5, NaN], /\[1\] must be a whole number/],
        ["a text among them", [5, "6"], /\[1\] must be a whole number .*, not "6"\.$/],
        ["a hole", Object.assign([5], { length: 3 }), /\[1\] must be a whole number .*, not undefined\.$/],
        ["other numbers", new Float32Array(3), / must be a text or a list of token ids, not a Float32Array/],
        ["messages", [{ role: "user", content: "x" }], / must be a text or a list of token ids, not a list of other/],
        ["null", null, / must be a text or a list of token ids, not null/],
    ])("what are no ids is refused: %s", async (_name, ids, message) => {
        const wrong = ids as number[];
        await expect(one({ continuation: wrong })).rejects.toEqual(
            invalid(new RegExp(`^items\\[0\\]\\.continuation${message.source}`)),
        );
        const items = [{ continuation: after }, { context: wrong, continuation: after }];
        await expect(score(ensemble, items)).rejects.toEqual(
            invalid(new RegExp(`^items\\[1\\]\\.context${message.source.replace(/\\\.\$$/, "")}`)),
        );
    });

    test("a text to score without a text is refused, and messages without chat", async () => {
        await expect(one({} as ScoreItem)).rejects.toEqual(invalid(/^items\[0\]\.continuation .*, not undefined\.$/));
        const context = [{ role: "user", content: "x" }] as const;
        await expect(one({ context, continuation: TEXT })).rejects.toEqual(invalid(/; messages need `chat`\.$/));
    });

    test("later changes of the caller's arrays change nothing", async () => {
        const [context, continuation] = [Int32Array.from(before), [...after]];
        const scoring = one({ context, continuation });
        context.fill(5);
        continuation.length = 1;
        expectNear(await scoring, await one({ context: CONTEXT, continuation: TEXT }));
    });
});

describe("complete()", () => {
    const run = (options: CompletionOptions, on = ensemble): Promise<CompletionResult> =>
        collect(complete(on, { maxTokens: 12, seed: 3, ...options, raw: options.raw ?? true }));
    const ids = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);

    test.each([false, { length: 3, lookup: true }])(
        "goes on as after the same text, speculation %j",
        async (speculation) => {
            const options = { sampling: { temperature: 0.8, repeatPenalty: 1.2 }, speculation };
            const expected = await run({ prompt: CONTEXT, ...options });
            for (const prompt of [before, Int32Array.from(before)]) {
                const actual = await run({ prompt, ...options });
                expect(ids(actual)).toEqual(ids(expected));
                expect(actual.text).toBe(expected.text);
                expect(actual.promptTokens).toEqual({
                    large: before.length,
                    chat: before.length,
                    small: before.length,
                });
            }
        },
    );

    test("sees a template's prompt as the template shows it, control tokens included", async () => {
        const messages = [{ role: "user", content: QUESTIONS[1] }] as const;
        const [member] = ensemble.members;
        const prompt = (await member?.prompt.tokenize(messages)) ?? [];
        expect(Array.from(prompt, (id) => ensemble.vocabulary.controlTokens[id])).toContain(1);
        const greedy = { sampling: { temperature: 0 } };
        const expected = await run({ prompt: messages, raw: false, ...greedy });
        const actual = await run({ prompt, ...greedy });
        expect(ids(actual)).toEqual(ids(expected));
        expect(actual.text.trimStart()).toBe(expected.text);
    });

    test("puts nothing in front", async () => {
        const { promptTokens } = await run({ prompt: after, maxTokens: 1 });
        expect(Object.values(promptTokens)).toEqual([after.length, after.length, after.length]);
        for (const prompt of [[], new Int32Array(0)])
            await expect(run({ prompt })).rejects.toMatchObject({ code: "PROMPT_EMPTY" });
    });

    test("later changes of the caller's array change nothing", async () => {
        const prompt = Int32Array.from(before);
        const running = run({ prompt, readAhead: 4 });
        prompt.fill(5);
        expect(ids(await running)).toEqual(ids(await run({ prompt: CONTEXT })));
    });

    test("what is too long is refused", async () => {
        await withEnsemble(upscalingRecipe(), { contextSize: 64 }, async (small) => {
            const prompt = (length: number): number[] => Array.from({ length }, () => 300);
            for (const [length, count] of [
                [64, "64"],
                [65, "more than 64"],
                [2 ** 20, "more than 64"],
            ] as const)
                await expect(run({ prompt: prompt(length) }, small)).rejects.toMatchObject({
                    code: "CONTEXT_OVERFLOW",
                    message: expect.stringContaining(`The prompt has ${count} tokens for member large;`) as unknown,
                });
            expect(await run({ prompt: prompt(63) }, small)).toMatchObject({ reason: "length", tokens: 1 });
        });
    });

    test.each<[string, CompletionOptions, RegExp]>([
        ["behind the vocabulary", { prompt: [5, 2048], raw: true }, /^prompt\[1\] must be .* to 2047, not 2048\.$/],
        ["below 0", { prompt: Int32Array.of(-5), raw: true }, /^prompt\[0\] must be a whole number/],
        ["no number", { prompt: [5, null as never], raw: true }, /^prompt\[1\] must be a whole number/],
        ["through templates", { prompt: [5] }, /^prompt is a list of token ids.*set raw to true/],
        ["for tools", { prompt: [5], raw: true, tools: [{ name: "f", description: "" }] }, /exclude each other/],
        ["other numbers", { prompt: new Float32Array(3) as never, raw: true }, /^prompt must be a text or a list/],
    ])("refuses at once: %s", (_name, options, message) => {
        expect(() => complete(ensemble, options)).toThrow(invalid(message));
    });
});
