/**
 * Readers that do not read: a slot is not theirs for ever, and what they read when they come back is what they would have
 * read anyway. And what else a caller's code can do in the middle of a generation.
 */

import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createChat,
    EftError,
    loadEnsemble,
    score,
    type Completion,
    type CompletionOptions,
    type Ensemble,
} from "../../src/index.js";
import {
    demoFile,
    loadOnCpu,
    mappedModels,
    QUESTIONS,
    soloRecipe,
    upscalingRecipe,
    withEnsemble,
} from "../helpers/demo.js";
import { readGguf, writeGguf } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

const EOS = 2;
const question = (index: number, more: Partial<CompletionOptions> = {}): CompletionOptions => ({
    prompt: QUESTIONS[index % QUESTIONS.length] ?? "",
    seed: index,
    ...more,
});

/** Ways of generating; each finds its place again after its slot was given away. */
const WAYS: [string, Partial<CompletionOptions>][] = [
    ["plain", {}],
    ["with speculation", { speculation: { length: 4 } }],
    ["with adaptive speculation and lookup", { speculation: { lookup: true } }],
    ["with rejection sampling", { speculation: { length: 3, coupling: "maximal" } }],
    ["with a grammar", { grammar: 'root ::= " Its " [a-z ]+ "."', maxTokens: 12 }],
    ["with penalties", { sampling: { repeatPenalty: 1.3, frequencyPenalty: 0.5 } }],
    ["with reports", { explain: true, topLogprobs: 2, memberLogprobs: true }],
];

async function textOf(ensemble: Ensemble, options: CompletionOptions): Promise<string> {
    return (await collect(complete(ensemble, options))).text;
}

describe("where there are fewer slots than completions", () => {
    test.each(WAYS)("one inside the loop over another: %s", async (_name, more) => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const expected = [await textOf(ensemble, question(1, more)), await textOf(ensemble, question(2, more))];
            let outer = "";
            const inner: string[] = [];
            for await (const part of complete(ensemble, question(1, more))) {
                outer += part.text;
                if (inner.length < 6) inner.push(await textOf(ensemble, question(2, more)));
            }
            expect(outer).toBe(expected[0]);
            expect(new Set(inner)).toEqual(new Set([expected[1]]));
        });
    });

    test("a text that is longer than a batch, of members that are reported and not read", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 1, batchSize: 32 }, async (ensemble) => {
            const more = { logitBias: { [EOS]: -Infinity }, parameters: { beta: 0 }, memberLogprobs: true };
            const options = question(1, { ...more, speculation: { length: 4 }, maxTokens: 50 });
            const expected = await textOf(ensemble, options);
            let text = "";
            let read = 0;
            for await (const part of complete(ensemble, options)) {
                text += part.text;
                if (++read === 40) await textOf(ensemble, question(2));
            }
            expect(text).toBe(expected);
        });
    });

    test("loops inside loops inside loops", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 2 }, async (ensemble) => {
            const most = { maxTokens: 3 };
            const expected: string[] = [];
            for (const index of [0, 1, 2, 3]) expected.push(await textOf(ensemble, question(index, most)));
            async function read(depth: number): Promise<void> {
                let text = "";
                for await (const part of complete(ensemble, question(depth, most))) {
                    text += part.text;
                    if (depth < 3) await read(depth + 1);
                }
                expect(text).toBe(expected[depth]);
            }
            await read(0);
        });
    });

    test("score() and a chat inside a loop", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const expected = await textOf(ensemble, question(3));
            const [alone] = await score(ensemble, [{ continuation: "Lima" }]);
            const chat = createChat(ensemble, { sampling: { temperature: 0 } });
            let text = "";
            for await (const part of complete(ensemble, question(3))) {
                text += part.text;
                const [scored] = await score(ensemble, [{ continuation: "Lima" }]);
                expect(scored?.tokens).toEqual(alone?.tokens);
                if (chat.turns.length === 0) expect((await collect(chat.send(QUESTIONS[0]))).reason).toBe("stop");
            }
            expect(text).toBe(expected);
        });
    });

    test("completions that were begun and dropped", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 2 }, async (ensemble) => {
            const expected = await textOf(ensemble, question(4));
            const dropped: Completion[] = [];
            for (let index = 0; index < 5; index++) {
                dropped.push(complete(ensemble, question(index, { logitBias: { [EOS]: -Infinity } })));
                await dropped.at(-1)?.next();
            }
            expect(await textOf(ensemble, question(4))).toBe(expected);
            expect(await score(ensemble, [{ continuation: "Lima" }])).toHaveLength(1);
            // All of them may come back, in any order, or end.
            for (const completion of dropped.reverse()) expect((await completion.next()).done).toBe(false);
            await Promise.all(dropped.map((completion) => completion.return()));
            expect(ensemble.scheduler.busy).toBe(0);
        });
    });

    test("one that comes back is aborted or meets the end of the ensemble", async () => {
        const ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 1 });
        const controller = new AbortController();
        const [aborted, other] = [
            complete(ensemble, question(0, { signal: controller.signal })),
            complete(ensemble, question(1)),
        ];
        for (const completion of [aborted, other]) await completion.next();
        // Waits for the slot of the other one, which rests.
        const next = aborted.next();
        controller.abort();
        expect((await next).value).toMatchObject({ type: "finish", reason: "abort" });
        // Its next step may come before the end, and then it is the one behind it that fails.
        await Promise.allSettled([other.next(), ensemble.dispose()]);
        await Promise.allSettled([other.next()]);
        await expect(other.next()).resolves.toMatchObject({ done: true });
    });
});

test.each([0, 8])("a dial that is turned behind the last token, %i tokens ahead", async (readAhead) => {
    await withEnsemble(upscalingRecipe(), {}, async (ensemble) => {
        for (const more of [{}, { stop: ["Lima"] }, { grammar: 'root ::= " Lima"' }]) {
            const options = question(0, { sampling: { temperature: 0 }, readAhead, ...more });
            const expected = await collect(complete(ensemble, { ...options, readAhead: 0 }));
            const completion = complete(ensemble, options);
            let tokens = 0;
            for await (const part of completion) {
                if (part.type === "token" && ++tokens === expected.tokens) completion.setParameters({ beta: 0.5 });
                if (part.type === "finish") expect(part).toMatchObject({ reason: "stop", tokens: expected.tokens });
            }
        }
    });
});

describe("a caller's code that throws", () => {
    const fault = new Error("a fault of the caller");
    const thrower = (): never => {
        throw fault;
    };

    test.each<[string, (ensemble: Ensemble) => Promise<unknown>]>([
        [
            "onProgress of loadEnsemble()",
            () => loadEnsemble(upscalingRecipe(), { backend: "cpu", onProgress: thrower }),
        ],
        ["onProgress of score()", (ensemble) => score(ensemble, [{ continuation: "x" }], { onProgress: thrower })],
        ["lookup", (ensemble) => textOf(ensemble, question(0, { speculation: { lookup: thrower, length: 2 } }))],
        ["onForget", (ensemble) => overflow(ensemble, thrower)],
        ["a signal's addEventListener", (ensemble) => textOf(ensemble, question(0, { signal: badSignal(thrower) }))],
    ])("gets its own error: %s", async (_name, act) => {
        const before = mappedModels();
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const expected = await textOf(ensemble, question(2));
            await expect(act(ensemble)).rejects.toBe(fault);
            // Nothing hangs, and nothing is lost.
            expect(await textOf(ensemble, question(2))).toBe(expected);
            expect(ensemble.scheduler.busy).toBe(0);
        });
        expect(mappedModels()).toEqual(before);
    });

    test("does not disturb those whose steps it shares", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 4 }, async (ensemble) => {
            const others = [1, 2, 3].map((index) => question(index, { speculation: { length: 2 } }));
            const alone: string[] = [];
            for (const other of others) alone.push(await textOf(ensemble, other));
            let calls = 0;
            const lookup = (): number[] => (++calls > 1 ? thrower() : []);
            const [faulty, ...texts] = await Promise.allSettled([
                textOf(ensemble, question(0, { speculation: { lookup, length: 2 } })),
                ...others.map((other) => textOf(ensemble, other)),
            ]);
            expect(faulty).toEqual({ status: "rejected", reason: fault });
            expect(texts).toEqual(alone.map((value) => ({ status: "fulfilled", value })));
            expect(ensemble.scheduler.busy).toBe(0);
        });
    });

    test("does not disturb those who ask later, nor keep a load from beginning anew", async () => {
        let calls = 0;
        const onProgress = (): void => {
            if (++calls > 1) throw fault;
        };
        await expect(loadEnsemble(upscalingRecipe(), { backend: "cpu", onProgress })).rejects.toBe(fault);
        expect(calls).toBe(2);
        expect(mappedModels()).toEqual([]);
        await withEnsemble(upscalingRecipe(), {}, async (ensemble) => {
            expect(await textOf(ensemble, question(0))).not.toBe("");
        });
    });

    /** An AbortSignal of other make. */
    function badSignal(addEventListener: () => never): AbortSignal {
        return { aborted: false, addEventListener, removeEventListener: () => undefined } as unknown as AbortSignal;
    }

    async function overflow(ensemble: Ensemble, onForget: () => never): Promise<void> {
        const turns = Array.from({ length: 40 }, () => ({ user: QUESTIONS[0], answer: "Its capital is Lima." }));
        await collect(createChat(ensemble, { turns, onForget }).send(QUESTIONS[1]));
    }
});

describe("errors of native code", () => {
    const { folder, remove } = temporaryFolder();
    const hollow = path.join(folder, "hollow.gguf");
    beforeAll(() => writeGguf(hollow, { ...readGguf(demoFile("small-base")), tensors: [] }));
    afterAll(remove);

    test("say where the caller was", async () => {
        const nothing = Object.fromEntries(Array.from({ length: 2048 }, (_, token) => [token, -Infinity]));
        await withEnsemble(upscalingRecipe(), {}, async (ensemble) => {
            async function callerOfCollect(): Promise<void> {
                await collect(complete(ensemble, { prompt: "x", logitBias: nothing }));
            }
            async function callerOfIterator(): Promise<void> {
                for await (const part of complete(ensemble, { prompt: "x", logitBias: nothing })) void part;
            }
            async function callerOfScore(): Promise<void> {
                const controller = new AbortController();
                const scoring = score(ensemble, [{ continuation: "Lima is the capital of Peru." }], {
                    signal: controller.signal,
                });
                await Promise.all([scoring, turn().then(() => controller.abort())]);
            }
            async function callerOfLoad(): Promise<void> {
                await loadOnCpu(soloRecipe(hollow));
            }
            for (const caller of [callerOfCollect, callerOfIterator, callerOfScore, callerOfLoad]) {
                const error: unknown = await caller().catch((thrown: unknown) => thrown);
                expect(EftError.isInstance(error)).toBe(true);
                expect((error as EftError).stack).toContain("readers.test.ts");
            }
        });
    });
});

describe("`await using`", () => {
    test.each<[string, (ensemble: Ensemble) => Completion]>([
        ["a completion", (ensemble) => complete(ensemble, question(0))],
        ["an answer", (ensemble) => createChat(ensemble).send(QUESTIONS[0])],
    ])("ends %s", async (_name, begin) => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const completion = begin(ensemble);
            {
                await using used = completion;
                await used.next();
                expect(ensemble.scheduler.busy).toBe(1);
            }
            expect(ensemble.scheduler.busy).toBe(0);
            expect(await completion.next()).toEqual({ done: true, value: undefined });
        });
    });

    test("ends an answer that is drawn again", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            const chat = createChat(ensemble);
            await collect(chat.send(QUESTIONS[0]));
            {
                await using again = chat.repeat();
                await again.next();
            }
            expect(ensemble.scheduler.busy).toBe(0);
        });
    });
});
