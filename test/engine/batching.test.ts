/** Continuous batching, sequences and what their caches hold. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type TokenPart,
} from "../../src/index.js";
import { loadOnCpu, QUESTIONS, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { largestError } from "../helpers/oracle.js";
import { F16_BATCHING } from "../helpers/tolerances.js";

const EOS = 2;
const LONG = "Lima is the capital of Peru. ".repeat(29);

const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(complete(ensemble, options));

/** Runs in an ensemble of its own, so that nothing is found in a cache and nothing else is in its batches. */
const runAlone = (options: CompletionOptions): Promise<CompletionResult> =>
    withEnsemble(upscalingRecipe(), { sequences: 1 }, (ensemble) => run(ensemble, { ...options, scores: true }));

describe("several completions at once", () => {
    test.each([
        ["greedy, eight sequences", 0, 8],
        ["greedy, more completions than sequences", 0, 3],
        ["drawn, eight sequences", 1, 8],
        ["drawn, one sequence", 1, 1],
    ])("give the tokens they give alone: %s", async (_name, temperature, sequences) => {
        const requests = QUESTIONS.map((prompt, index) => ({
            prompt,
            sampling: { temperature },
            seed: index,
            maxTokens: 20,
            logitBias: { [EOS]: -Infinity },
        }));
        const together = await withEnsemble(upscalingRecipe(), { sequences }, (ensemble) =>
            Promise.all(requests.map((request) => run(ensemble, request))),
        );
        let agreeing = 0;
        for (const [index, request] of requests.entries()) {
            const alone = await runAlone(request);
            expect(together[index]?.parts).toHaveLength(20);
            agreeing += expectSameDraws(together[index] as CompletionResult, alone, temperature);
        }
        // A near-tie here and there, and not in every text.
        expect(agreeing).toBeGreaterThan(0.8 * 20 * requests.length);
    });

    test("advance in the same steps", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 4 }, async (ensemble) => {
            const request = { prompt: QUESTIONS[0], maxTokens: 12, logitBias: { [EOS]: -Infinity } };
            await run(ensemble, request);
            const order: number[] = [];
            const consume = async (index: number): Promise<void> => {
                for await (const part of complete(ensemble, request)) if (part.type === "token") order.push(index);
            };
            await Promise.all([0, 1, 2, 3].map(consume));
            // Never is one of them more than a token ahead.
            for (let length = 1; length <= order.length; length++) {
                const counts = [0, 1, 2, 3].map((index) => order.slice(0, length).filter((i) => i === index).length);
                expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
            }
        });
    });

    test("more than there are sequences have their turns in the order in which they came", async () => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 1 }, async (ensemble) => {
            const begun: string[] = [];
            const consume = async (name: string): Promise<void> => {
                for await (const part of complete(ensemble, { prompt: QUESTIONS[0] })) {
                    if (part.type === "token" && begun.at(-1) !== name) begun.push(name);
                }
            };
            const first = consume("a");
            const waiting = ["b", "c", "d"].map(consume);
            // Comes at the very moment at which the first one leaves.
            const late = first.then(() => consume("late"));
            await Promise.all([...waiting, late]);
            expect(begun).toEqual(["a", "b", "c", "d", "late"]);
        });
    });

    test("a long prompt stalls no text, and no text stalls a long prompt", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 4, batchSize: 32 }, async (ensemble) => {
            const events: string[] = [];
            const consume = async (name: string, options: CompletionOptions, started?: () => void): Promise<void> => {
                for await (const part of complete(ensemble, { ...options, logitBias: { [EOS]: -Infinity } })) {
                    if (part.type === "token") events.push(name);
                    started?.();
                }
            };
            let startLong = (): void => undefined;
            const started = new Promise<void>((resolve) => (startLong = resolve));
            const short = consume("short", { prompt: QUESTIONS[0], maxTokens: 100 }, startLong);
            await started;
            const before = events.length;
            await Promise.all([short, consume("long", { prompt: LONG, raw: true, maxTokens: 5 })]);
            const between = events.indexOf("long") - before;
            // 233 tokens in steps of 32, of which the short one takes one each, or in pieces of 16 where those take long.
            expect(between).toBeGreaterThanOrEqual(7);
            expect(between).toBeLessThanOrEqual(17);
        });
    });
});

describe("prefix reuse", () => {
    let ensemble: Ensemble;
    beforeAll(async () => (ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 3 })));
    afterAll(() => ensemble.dispose());

    const bias = { logitBias: { [EOS]: -Infinity } };

    test("is counted, and gives the same text", async () => {
        const request = { prompt: QUESTIONS[1], sampling: { temperature: 0 }, ...bias, maxTokens: 16 };
        const first = await run(ensemble, { ...request, scores: true });
        expect(Object.values(first.reusedTokens)).toEqual([0, 0, 0]);
        const again = await run(ensemble, request);
        // All but the last token, whose row is wanted.
        const { large = NaN } = first.promptTokens;
        expect(again.reusedTokens).toEqual({ large: large - 1, chat: large - 1, small: large - 1 });
        expect(again.promptTokens).toEqual(first.promptTokens);
        expectSameDraws(again, first, 0);
    });

    test("of a conversation: what was generated is not evaluated again", async () => {
        const messages = [{ role: "user", content: QUESTIONS[3] }] as const;
        const answer = await run(ensemble, { prompt: messages, sampling: { temperature: 0 } });
        const next = await run(ensemble, {
            prompt: [
                ...messages,
                { role: "assistant", content: answer.text.trim() },
                { role: "user", content: QUESTIONS[0] },
            ],
            sampling: { temperature: 0 },
        });
        expect(next.reusedTokens.large).toBe((answer.promptTokens.large ?? NaN) + answer.tokens - 1);
        expect(next.text).not.toBe("");
    });

    test("from a sequence in use", async () => {
        const request = { prompt: QUESTIONS[5], sampling: { temperature: 0 }, ...bias, maxTokens: 20 };
        const alone = await runAlone(request);
        const first = complete(ensemble, { ...request, scores: true });
        const parts: TokenPart[] = [];
        for (let i = 0; i < 5; i++) {
            const { value } = await first.next();
            if (value?.type === "token") parts.push(value);
        }
        const second = await run(ensemble, request);
        expect(second.reusedTokens.large).toBe((second.promptTokens.large ?? NaN) - 1);
        expectSameDraws(second, alone, 0);
        // And the one that was copied from goes on as if nothing had happened.
        const rest = await collect(first);
        expectSameDraws({ ...rest, parts: [...parts, ...rest.parts] }, alone, 0);
        expect(parts.length + rest.parts.length).toBe(20);
    });

    test("never takes a prompt for another that only begins alike", async () => {
        const requests = [QUESTIONS[0], QUESTIONS[3], QUESTIONS[5], QUESTIONS[0], QUESTIONS[3]].map((prompt) => ({
            prompt,
            sampling: { temperature: 0 },
            maxTokens: 12,
        }));
        for (const request of requests) expectSameDraws(await run(ensemble, request), await runAlone(request), 0);
    });
});

describe("leaving a completion early", () => {
    test("gives its sequence back", async () => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 1 }, async (ensemble) => {
            for (let i = 0; i < 10; i++) {
                for await (const part of complete(ensemble, { prompt: QUESTIONS[0] })) {
                    expect(part.type).toBe("token");
                    break;
                }
            }
            expect((await run(ensemble, { prompt: QUESTIONS[0] })).reason).toBe("stop");
        });
    });

    test("and an error of the consumer, too", async () => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 1 }, async (ensemble) => {
            const consume = async (): Promise<void> => {
                for await (const _ of complete(ensemble, { prompt: QUESTIONS[0] })) throw new Error("consumer");
            };
            await expect(consume()).rejects.toThrow("consumer");
            expect((await run(ensemble, { prompt: QUESTIONS[0] })).reason).toBe("stop");
        });
    });

    test("before it has begun takes nothing", async () => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 1 }, async (ensemble) => {
            complete(ensemble, { prompt: QUESTIONS[0] });
            await complete(ensemble, { prompt: QUESTIONS[0] }).return();
            expect((await run(ensemble, { prompt: QUESTIONS[0] })).reason).toBe("stop");
        });
    });
});

describe("dials", () => {
    const SWITCH = 9;
    const request: CompletionOptions = {
        prompt: QUESTIONS[6],
        sampling: { temperature: 0 },
        maxTokens: 20,
        scores: true,
        logitBias: { [EOS]: -Infinity },
    };

    /** The up-scaling turned on in the middle, for one completion or for the ensemble. */
    const switched = (options: Partial<CompletionOptions>, whole: boolean): Promise<CompletionResult> =>
        withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            ensemble.setParameters({ beta: 0 });
            const completion = complete(ensemble, { ...request, ...options });
            const parts: TokenPart[] = [];
            for (let i = 0; i < SWITCH; i++) parts.push((await completion.next()).value as TokenPart);
            (whole ? ensemble : completion).setParameters({ beta: 1 });
            const rest = await collect(completion);
            expect(ensemble.parameters).toEqual({ beta: whole ? 1 : 0 });
            return { ...rest, parts: [...parts, ...rest.parts] };
        });

    test("turned up in the middle give the rows of members that were read all along", async () => {
        const read = await switched({ memberLogprobs: true }, false);
        for (const lazy of [await switched({}, false), await switched({}, true)]) {
            expect(lazy.parts).toHaveLength(20);
            const agreeing = expectSameDraws(lazy, read, 0);
            expect(agreeing).toBeGreaterThan(SWITCH);
            const [own, other] = [lazy, read].map(({ parts }) => parts.slice(0, agreeing).map((p) => p.scores ?? []));
            expect(largestError(own ?? [], other ?? [])).toBeLessThan(3 * F16_BATCHING);
        }
        // The dial does something: without it the text goes on in another way.
        const still = await runAlone({ ...request, parameters: { beta: 0 } });
        const [turned, unturned] = [read, still].map(({ parts }) => parts[SWITCH]?.scores ?? []);
        expect(largestError([turned], [unturned ?? []])).toBeGreaterThan(1);
    });

    test("at zero save the members' decoding", async () => {
        const lazy = await runAlone({ ...request, parameters: { beta: 0 } });
        expect(lazy.timings.decodeMs).toMatchObject({ large: 0, small: 0 });
        expect(lazy.timings.decodeMs.chat).toBeGreaterThan(0);
    });

    test("of one completion do not touch another", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 2 }, async (ensemble) => {
            const [zero, one] = await Promise.all([
                run(ensemble, { ...request, parameters: { beta: 0 } }),
                run(ensemble, { ...request, parameters: { beta: 1 } }),
            ]);
            expectSameDraws(zero, await runAlone({ ...request, parameters: { beta: 0 } }), 0);
            expectSameDraws(one, await runAlone(request), 0);
            expect(zero.parts.map(({ id }) => id)).not.toEqual(one.parts.map(({ id }) => id));
        });
    });
});
