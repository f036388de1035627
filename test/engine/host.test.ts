/** Several recipes on one host, cells that sequences share, and texts that stay the same whatever becomes of their caches. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createHost,
    score,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type Host,
    type HostOptions,
} from "../../src/index.js";
import { demoRecipe, mappedModels, QUESTIONS, soloRecipe, upscalingRecipe } from "../helpers/demo.js";
import { F32_BATCHING } from "../helpers/tolerances.js";
import { expectSameDraws } from "../helpers/draws.js";
import { writeFloat32Family, type Float32Family } from "../helpers/float32.js";

const EOS = 2;
const CPU = { backend: "cpu", threads: 1 } as const;
const endless = { logitBias: { [EOS]: -Infinity } };

const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(complete(ensemble, options));

async function withHost<T>(options: HostOptions, body: (host: Host) => Promise<T>): Promise<T> {
    await using host = createHost({ ...CPU, ...options });
    return await body(host);
}

describe("recipes on one host", () => {
    const QUESTION = { prompt: QUESTIONS[0], sampling: { temperature: 0 } };
    const amplified = demoRecipe(`
members:
    chat: { model: small-chat-f16.gguf }
    small: { model: small-base-f16.gguf }
combination: 2 * chat - small
prompt: { template: from chat }`);

    test("share files and caches, and what one has evaluated the other need not", async () => {
        await withHost({}, async (host) => {
            const first = await host.load(upscalingRecipe());
            const answer = await run(first, QUESTION);
            const mapped = mappedModels();
            const second = await host.load(amplified);
            expect(mappedModels()).toEqual(mapped);
            const { reusedTokens, promptTokens } = await run(second, QUESTION);
            // All but the last token of the prompt, whose row is wanted.
            for (const name of ["chat", "small"]) expect(reusedTokens[name]).toBe(Number(promptTokens[name]) - 1);
            expect((await run(first, QUESTION)).text).toBe(answer.text);
        });
    });

    test("answer as each of them alone", async () => {
        const alone = await Promise.all(
            [upscalingRecipe(), amplified].map((recipe) =>
                withHost({}, async (host) => run(await host.load(recipe), QUESTION)),
            ),
        );
        await withHost({}, async (host) => {
            const ensembles = [await host.load(upscalingRecipe()), await host.load(amplified)];
            const together = await Promise.all(ensembles.map((ensemble) => run(ensemble, QUESTION)));
            expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
        });
    });

    test("meet in the same steps", async () => {
        await withHost({}, async (host) => {
            const ensembles = [await host.load(upscalingRecipe()), await host.load(amplified)];
            const request = { ...QUESTION, ...endless, maxTokens: 30 };
            for (const ensemble of ensembles) await run(ensemble, request);
            const { steps, entries } = { ...host.counts };
            await Promise.all(ensembles.map((ensemble) => run(ensemble, request)));
            expect((host.counts.entries - entries) / (host.counts.steps - steps)).toBeGreaterThan(1.9);
        });
    });

    test("have dials and statistics of their own", async () => {
        await withHost({}, async (host) => {
            const [one, two] = [await host.load(upscalingRecipe()), await host.load(upscalingRecipe())];
            one.setParameters({ beta: 0.5 });
            expect(two.parameters).toEqual({ beta: 1 });
            await run(one, { ...QUESTION, ...endless, maxTokens: 20, speculation: { length: 4 } });
            expect(one.statistics.blocks).toBeGreaterThan(0);
            expect(two.statistics.blocks).toBe(0);
        });
    });

    test("go one by one, and take with them what nobody else uses", async () => {
        const before = mappedModels();
        await withHost({}, async (host) => {
            const upscaled = await host.load(upscalingRecipe());
            const all = mappedModels().length;
            const small = await host.load(amplified);
            const running = complete(upscaled, { ...QUESTION, ...endless, maxTokens: 200 });
            await running.next();
            const going = (async () => {
                for await (const _ of running);
            })();
            await upscaled.dispose();
            await expect(going).rejects.toMatchObject({ code: "DISPOSED" });
            expect(() => complete(upscaled, QUESTION)).toThrow(expect.objectContaining({ code: "DISPOSED" }));
            expect(mappedModels()).toHaveLength(all - 1);
            expect((await run(small, QUESTION)).text).not.toBe("");
            const again = await host.load(upscalingRecipe());
            expect((await run(again, QUESTION)).text).toBe(" Its capital is Lima.");
        });
        expect(mappedModels()).toEqual(before);
    });

    test("that cannot be loaded leave the others alone", async () => {
        await withHost({}, async (host) => {
            const ensemble = await host.load(amplified);
            const mapped = mappedModels();
            const controller = new AbortController();
            controller.abort(new Error("not wanted"));
            await expect(host.load(upscalingRecipe(), { signal: controller.signal })).rejects.toMatchObject({
                code: "ABORTED",
            });
            await expect(
                host.load(upscalingRecipe(), {
                    onProgress: () => {
                        throw new Error("of the caller");
                    },
                }),
            ).rejects.toThrow("of the caller");
            expect(mappedModels()).toEqual(mapped);
            expect((await run(ensemble, QUESTION)).text).not.toBe("");
        });
    });

    test("are refused by a host that has been disposed", async () => {
        const host = createHost(CPU);
        const ensemble = await host.load(soloRecipe("small-chat-f16.gguf"));
        await Promise.all([host.dispose(), host.dispose()]);
        expect([host.disposed, ensemble.disposed]).toEqual([true, true]);
        await expect(host.load(amplified)).rejects.toMatchObject({ code: "DISPOSED" });
        await ensemble.dispose();
    });
});

describe("cells that sequences share", () => {
    let family: Float32Family;
    beforeAll(() => {
        family = writeFloat32Family(["large-base", "small-chat", "small-base"]);
    });
    afterAll(() => family.remove());
    const recipe = () =>
        family.recipe(`
members:
    large: { model: large-base.gguf }
    chat: { model: small-chat.gguf }
    small: { model: small-base.gguf }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: chat + beta * (large - small)
prompt: { template: from chat }
contextSize: 256`);

    const requests: CompletionOptions[] = Array.from({ length: 12 }, (_, index) => ({
        prompt: `${QUESTIONS[index % QUESTIONS.length] ?? ""} ${"Lima is a city. ".repeat(index)}`,
        ...endless,
        seed: index,
        maxTokens: 40 + 5 * (index % 4),
        sampling: { temperature: index % 3 === 0 ? 0 : 1 },
        ...(index % 5 === 2 && { speculation: { length: 3 } }),
        ...(index % 5 === 3 && { speculation: { length: 4, lookup: true } }),
        ...(index % 6 === 4 && { grammar: 'root ::= ([A-Z] | [a-z] | " " | "." | "\\n")*' }),
        ...(index % 7 === 5 && { parameters: { beta: 0.5 } }),
    }));

    test.each([
        ["enough", 4096, false],
        ["few", 600, true],
        ["no more than one sequence may have", 256, true],
    ])("%s: each text is what it is alone", async (_name, cacheTokens, isRevoked) => {
        const alone = await withHost({ sequences: 1 }, async (host) => {
            const ensemble = await host.load(recipe());
            const results: CompletionResult[] = [];
            for (const request of requests) results.push(await run(ensemble, { ...request, scores: true }));
            return results;
        });
        await withHost({ sequences: 12, cacheTokens }, async (host) => {
            const ensemble = await host.load(recipe());
            const together = await Promise.all(requests.map((request) => run(ensemble, request)));
            let agreeing = 0;
            for (const [index, result] of together.entries()) {
                const { temperature } = requests[index]?.sampling ?? {};
                const other = alone[index] as CompletionResult;
                agreeing += expectSameDraws(result, other, temperature ?? 0, 3 * F32_BATCHING) / other.tokens;
            }
            // Near-ties are rare.
            expect(agreeing).toBeGreaterThan(0.8 * requests.length);
            expect(host.counts.revocations > 0).toBe(isRevoked);
            expect(ensemble.scheduler.busy).toBe(0);
        });
    });

    test("are freed for who waits when their reader does nothing", async () => {
        await withHost({ sequences: 4, cacheTokens: 256 }, async (host) => {
            const ensemble = await host.load(recipe());
            const request = { prompt: "Lima. ".repeat(20), raw: true, ...endless, maxTokens: 60, seed: 1 };
            const expected = (await run(ensemble, request)).text;
            const held = complete(ensemble, request);
            await held.next();
            // More than there is room for beside the one that rests.
            expect((await run(ensemble, { ...request, prompt: `Quito. ${"Lima. ".repeat(30)}` })).tokens).toBe(60);
            expect((await collect(held)).text).toContain(expected.slice(-20));
        });
    });

    test("serve long texts one after another, and scores beside completions", async () => {
        await withHost({ sequences: 8, cacheTokens: 300 }, async (host) => {
            const ensemble = await host.load(recipe());
            const items = Array.from({ length: 6 }, (_, index) => ({
                context: "Lima is the capital of Peru. ".repeat(5 + index),
                continuation: " Its capital is Lima.",
            }));
            const alone = await score(ensemble, items);
            const [scores] = await Promise.all([
                score(ensemble, items),
                ...requests.slice(0, 4).map((request) => run(ensemble, request)),
            ]);
            for (const [index, { logprobs }] of scores.entries())
                logprobs.forEach((logprob, at) =>
                    expect(Math.abs(logprob - (alone[index]?.logprobs[at] ?? NaN))).toBeLessThan(F32_BATCHING),
                );
        });
    });

    test("hold a beginning that many requests share once, although they come together", async () => {
        await withHost({ sequences: 16 }, async (host) => {
            const ensemble = await host.load(recipe());
            const system = "You answer questions about cities. ".repeat(12);
            const all = Array.from({ length: 16 }, (_, index) => ({
                prompt: `${system}${QUESTIONS[index % QUESTIONS.length] ?? ""} ${index}`,
                maxTokens: 1,
                ...endless,
            }));
            const results = await Promise.all(all.map((request) => run(ensemble, request)));
            const total = results.reduce((sum, { promptTokens }) => sum + Number(promptTokens["large"]), 0);
            const longest = Math.max(...results.map(({ promptTokens }) => Number(promptTokens["large"])));
            // Three members, each of which reads the beginning once and some ends of a dozen tokens.
            expect(host.counts.evaluatedTokens).toBeLessThan(3 * (longest + 16 * 30));
            expect(host.counts.evaluatedTokens).toBeLessThan((3 * total) / 4);
        });
    });
});

describe("the line of those who wait", () => {
    test("is bounded, fair and can be left", async () => {
        await withHost({ sequences: 1, waiting: 2 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            const finished: number[] = [];
            const controller = new AbortController();
            const ask = (index: number, signal?: AbortSignal): Promise<CompletionResult> =>
                run(ensemble, { prompt: QUESTIONS[0], ...endless, maxTokens: 30, ...(signal && { signal }) }).finally(
                    () => finished.push(index),
                );
            const running = ask(0);
            while (host.counts.steps === 0) await new Promise<void>((resolve) => setImmediate(resolve));
            const waiting = [ask(1), ask(2, controller.signal)];
            await expect(ask(3)).rejects.toMatchObject({ code: "BUSY" });
            controller.abort();
            expect((await waiting[1])?.reason).toBe("abort");
            const next = ask(4);
            await Promise.all([running, waiting[0], next]);
            expect(finished).toEqual([3, 2, 0, 1, 4]);
        });
    });
});
