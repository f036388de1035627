/** Stopping work that is under way, and going on afterwards. */

import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    EftError,
    loadEnsemble,
    score,
    type CompletionResult,
    type Ensemble,
} from "../../src/index.js";
import { loadOnCpu, mappedModels, QUESTIONS, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";

const EOS = 2;
const LONG = "Lima is the capital of Peru. ".repeat(29);

const greedy = { prompt: QUESTIONS[1], sampling: { temperature: 0 } };
let expected: CompletionResult;
beforeAll(async () => {
    expected = await withEnsemble(upscalingRecipe(), {}, (ensemble) =>
        collect(complete(ensemble, { ...greedy, scores: true })),
    );
});

async function expectUsable(ensemble: Ensemble): Promise<void> {
    const result = await collect(complete(ensemble, greedy));
    expect(result.reason).toBe("stop");
    expectSameDraws(result, expected, 0);
}

describe("a completion", () => {
    let ensemble: Ensemble;
    beforeAll(async () => (ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 2, batchSize: 32 })));
    afterAll(() => ensemble.dispose());

    test("whose signal has fired before it begins", async () => {
        const result = await collect(complete(ensemble, { ...greedy, signal: AbortSignal.abort() }));
        expect(result).toMatchObject({ reason: "abort", text: "", tokens: 0 });
        await expectUsable(ensemble);
    });

    test("in its prompt", async () => {
        // After more and more turns of the event loop: between the steps of a long prompt, and inside them.
        for (let turns = 0; turns < 24; turns++) {
            const controller = new AbortController();
            const prompt = `${turns} ${LONG}`;
            const result = collect(complete(ensemble, { prompt, raw: true, maxTokens: 5, signal: controller.signal }));
            for (let i = 0; i < turns; i++) await turn();
            controller.abort();
            expect(await result).toMatchObject({ reason: "abort", text: "", tokens: 0 });
        }
        await expectUsable(ensemble);
    });

    test("inside one long evaluation", async () => {
        await withEnsemble(upscalingRecipe(), {}, async (wide) => {
            let aborted = 0;
            for (const ms of [0, 0, 1, 2, 4, 8, 16]) {
                const controller = new AbortController();
                const prompt = `${ms} ${LONG}`;
                const options = { prompt, raw: true, maxTokens: 5, sampling: { temperature: 0 } };
                const result = collect(complete(wide, { ...options, signal: controller.signal }));
                await delay(ms);
                controller.abort();
                const { reason, text } = await result;
                // On a busy machine a timer may be so late that all is over.
                if (reason === "abort") aborted++;
                else expect(await collect(complete(wide, options))).toMatchObject({ reason, text });
            }
            expect(aborted).toBeGreaterThan(0);
            await expectUsable(wide);
        });
    });

    test("after any of its tokens", async () => {
        const { parts } = expected;
        for (let tokens = 1; tokens < parts.length; tokens++) {
            const controller = new AbortController();
            const seen: number[] = [];
            for await (const part of complete(ensemble, { ...greedy, signal: controller.signal })) {
                if (part.type === "finish") expect(part).toMatchObject({ reason: "abort", tokens });
                else if (part.type === "token" && seen.push(part.id) === tokens) controller.abort();
            }
            expect(seen).toEqual(parts.slice(0, tokens).map(({ id }) => id));
        }
        await expectUsable(ensemble);
    });

    test("while it waits for a sequence", async () => {
        const holders = [1, 2].map(() => collect(complete(ensemble, greedy)));
        const controllers = Array.from({ length: 3 }, () => new AbortController());
        const waiting = controllers.map(({ signal }) => collect(complete(ensemble, { ...greedy, signal })));
        await turn();
        controllers[1]?.abort();
        expect(await waiting[1]).toMatchObject({ reason: "abort", tokens: 0, reusedTokens: { large: 0 } });
        for (const holder of holders) expect((await holder).reason).toBe("stop");
        expect((await waiting[0])?.reason).toBe("stop");
        expect((await waiting[2])?.reason).toBe("stop");
    });

    test.each([
        ["steps", false],
        ["steps and drafts", { length: 8 } as const],
    ])("in %s that all who share them abort: nothing is evaluated again", async (_name, speculation) => {
        await withEnsemble(upscalingRecipe(), { sequences: 4 }, async (wide) => {
            let jobs = 0;
            const record = wide.costs.record.bind(wide.costs);
            wide.costs.record = (job, ...args) => {
                if (job === "step") jobs++;
                record(job, ...args);
            };
            for (let turns = 1; turns <= 8; turns++) {
                const controllers = [1, 2, 3, 4].map(() => new AbortController());
                const request = { ...greedy, logitBias: { [EOS]: -Infinity }, speculation };
                const begun = controllers.map(({ signal }) => complete(wide, { ...request, signal }));
                await Promise.all(begun.map((completion) => completion.next()));
                const ends = begun.map((completion) => collect(completion));
                for (let i = 0; i < turns; i++) await turn();
                for (const controller of controllers) controller.abort();
                jobs = 0;
                for (const end of ends) expect((await end).reason).toBe("abort");
                // The one that was running, if it had been done already.
                expect(jobs).toBeLessThanOrEqual(1);
            }
            await expectUsable(wide);
        });
    });

    test("in a step that it shares with others fails alone", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 2 }, async (wide) => {
            const controller = new AbortController();
            const ended = collect(complete(wide, { ...greedy, prompt: LONG, raw: true, signal: controller.signal }));
            // Fails in the same step, so that both are tried once more.
            const nothing = Object.fromEntries(Array.from({ length: 2048 }, (_, token) => [token, -Infinity]));
            const failed = collect(complete(wide, { ...greedy, logitBias: nothing }));
            await turn();
            controller.abort();
            await expect(failed).rejects.toMatchObject({ code: "NO_TOKEN_LEFT" });
            expect((await ended).reason).toBe("abort");
            await expectUsable(wide);
        });
    });

    test("leaves those that run beside it alone", async () => {
        for (let turns = 0; turns < 30; turns++) {
            const controller = new AbortController();
            const aborted = collect(
                complete(ensemble, { prompt: `${turns} ${LONG}`, raw: true, signal: controller.signal }),
            );
            for (let i = 0; i < turns % 10; i++) await turn();
            // Begins at the very moment at which the other one is interrupted.
            const beside = collect(complete(ensemble, greedy));
            for (let i = 0; i < Math.floor(turns / 10); i++) await turn();
            controller.abort();
            expect((await aborted).reason).toBe("abort");
            expectSameDraws(await beside, expected, 0);
        }
    });
});

describe("score()", () => {
    test("fails with ABORTED, and the ensemble goes on", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 2 }, async (ensemble) => {
            const items = Array.from({ length: 40 }, (_, i) => ({ context: `${i} ${LONG}`, continuation: " Lima." }));
            for (const turns of [0, 1, 5, 20]) {
                const controller = new AbortController();
                const result = score(ensemble, items, { signal: controller.signal });
                for (let i = 0; i < turns; i++) await turn();
                controller.abort();
                await expect(result).rejects.toMatchObject({ name: "AbortError", code: "ABORTED" });
            }
            await expectUsable(ensemble);
            expect(await score(ensemble, items.slice(0, 3))).toHaveLength(3);
        });
    });
});

test("an abort in the middle of dispose() does not keep anything from being freed", async () => {
    for (let turns = 0; turns < 12; turns++) {
        const controller = new AbortController();
        const ensemble = await loadOnCpu(upscalingRecipe());
        const { signal } = controller;
        const request = { prompt: `${turns} ${LONG}`, raw: true, signal };
        const works = [collect(complete(ensemble, request)), score(ensemble, [{ continuation: LONG }], { signal })];
        const ends = Promise.allSettled(works);
        for (let i = 0; i < turns; i++) await turn();
        const disposal = ensemble.dispose();
        controller.abort();
        await disposal;
        await ends;
        expect(mappedModels()).toEqual([]);
    }
});

describe("an abort is recognised", () => {
    const reason = new Error("the user has left");

    test.each<[string, (ensemble: Ensemble, signal: AbortSignal) => Promise<unknown>]>([
        ["score()", (ensemble, signal) => score(ensemble, [{ continuation: LONG }], { signal })],
        ["loadEnsemble()", (_, signal) => loadEnsemble(upscalingRecipe(), { backend: "cpu", signal })],
    ])("by its name and its cause: %s", async (_name, act) => {
        await withEnsemble(upscalingRecipe(), {}, async (ensemble) => {
            for (const turns of [0, 1, 3]) {
                const controller = new AbortController();
                if (turns === 0) controller.abort(reason);
                const work = act(ensemble, controller.signal);
                for (let i = 0; i < turns; i++) await turn();
                controller.abort(reason);
                const error: unknown = await work.catch((thrown: unknown) => thrown);
                expect(error).toMatchObject({ name: "AbortError", code: "ABORTED", cause: reason });
                expect(EftError.isInstance(error)).toBe(true);
            }
        });
    });
});

describe("loadEnsemble()", () => {
    test("fails with ABORTED and leaves nothing loaded", async () => {
        await expect(
            loadEnsemble(upscalingRecipe(), { backend: "cpu", signal: AbortSignal.abort() }),
        ).rejects.toMatchObject({ name: "AbortError", code: "ABORTED" });
        let aborted = 0;
        for (let ms = 0; ms < 30; ms += 3) {
            const controller = new AbortController();
            const loading = loadEnsemble(upscalingRecipe(), { backend: "cpu", signal: controller.signal });
            await Promise.all([
                delay(ms).then(() => controller.abort()),
                loading.then(
                    // Too late.
                    (ensemble) => ensemble.dispose(),
                    (error: unknown) => {
                        aborted++;
                        expect(error).toMatchObject({ name: "AbortError", code: "ABORTED" });
                    },
                ),
            ]);
            expect(mappedModels()).toEqual([]);
        }
        expect(aborted).toBeGreaterThan(0);
    });

    test("at any point of its progress", async () => {
        const fractions: number[] = [];
        await withEnsemble(upscalingRecipe(), { onProgress: (fraction) => fractions.push(fraction) }, async () => {});
        expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
        expect(fractions.at(-1)).toBe(1);
        for (const stop of [0, 0.3, 0.9]) {
            const controller = new AbortController();
            const onProgress = (fraction: number): void => {
                if (fraction >= stop) controller.abort();
            };
            await expect(
                loadEnsemble(upscalingRecipe(), { backend: "cpu", signal: controller.signal, onProgress }),
            ).rejects.toMatchObject({ code: "ABORTED" });
        }
    });
});

test("a signal leaves no listeners behind", async () => {
    await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
        const { signal } = new AbortController();
        let listeners = 0;
        const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
        signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
        signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
        const request = { ...greedy, signal, logitBias: { [EOS]: -Infinity }, maxTokens: 10 };
        await Promise.all([1, 2, 3].map(() => collect(complete(ensemble, request))));
        await score(ensemble, [{ continuation: "Lima" }], { signal });
        expect(listeners).toBe(0);
    });
});
