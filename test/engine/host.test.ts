/** Several recipes on one host, cells that sequences share, and texts that stay the same whatever becomes of their caches. */

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
    type Host,
    type HostOptions,
    type TokenPart,
} from "../../src/index.js";
import { amplifiedRecipe, mappedModels, QUESTIONS, repository, soloRecipe, upscalingRecipe } from "../helpers/demo.js";
import { F32_BATCHING } from "../helpers/tolerances.js";
import { expectSameDraws } from "../helpers/draws.js";
import { UPSCALING, UPSCALING_MODELS, writeFloat32Family, type Float32Family } from "../helpers/float32.js";

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
    const amplified = amplifiedRecipe();

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
            expect((await run(again, QUESTION)).text).toBe("Its capital is Lima.");
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

    test("that are being loaded end with their host", async () => {
        for (const delay of [0, 1, 5, 10, 20, 50]) {
            const host = createHost(CPU);
            const loads = Promise.allSettled([upscalingRecipe(), amplified].map((recipe) => host.load(recipe)));
            for (let i = 0; i < delay; i++) await new Promise<void>((resolve) => setImmediate(resolve));
            await host.dispose();
            for (const result of await loads)
                if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "DISPOSED" });
        }
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
        family = writeFloat32Family(UPSCALING_MODELS);
    });
    afterAll(() => family.remove());
    const recipe = () =>
        family.recipe(`${UPSCALING}prompt: { template: from chat }
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

    test("two recipes, 32 texts, dials, aborts, grammars, speculation, an adapter: each is what it is alone", async () => {
        const lora = () =>
            family.recipe(`
members:
    large: { model: large-base.gguf }
    chat: { model: small-base.gguf, lora: { path: ${JSON.stringify(path.join(repository, "models/demo/small-chat-lora.gguf"))} } }
    small: { model: small-base.gguf }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: chat + beta * (large - small)
prompt: { template: from large }
contextSize: 256`);
        const kinds: Omit<CompletionOptions, "prompt">[] = [
            {},
            { speculation: { length: 3 } },
            { grammar: 'root ::= ([A-Z] | [a-z] | " " | ".")*' },
            { speculation: { length: 5, lookup: true }, readAhead: 8 },
        ];
        const ask = async (
            ensembles: readonly Ensemble[],
            index: number,
            scores: boolean,
        ): Promise<CompletionResult> => {
            const controller = new AbortController();
            const completion = complete(ensembles[index % 2] as Ensemble, {
                prompt: `${QUESTIONS[index % QUESTIONS.length] ?? ""} ${"Lima is a city. ".repeat(index % 9)}`,
                ...endless,
                ...{ seed: index, maxTokens: 120, sampling: { temperature: 1 }, scores, signal: controller.signal },
                ...kinds[(index >> 1) % kinds.length],
            });
            const parts: TokenPart[] = [];
            for await (const part of completion) {
                if (part.type === "finish") return { ...part, parts, text: "", thinking: "", toolCalls: [] };
                if (part.type === "token") parts.push(part);
                if (parts.length === 8 && index % 3 === 0) completion.setParameters({ beta: 0.2 });
                if (parts.length === 15 && index % 8 === 5) controller.abort();
                if (parts.length === 15 && index % 8 === 6) break;
            }
            return { parts, seed: index, tokens: parts.length } as unknown as CompletionResult;
        };
        const indexes = [...Array(32).keys()];
        const alone = await withHost({ sequences: 1 }, async (host) => {
            const ensembles = [await host.load(recipe()), await host.load(lora())];
            const results: CompletionResult[] = [];
            for (const index of indexes) results.push(await ask(ensembles, index, true));
            return results;
        });
        await withHost({ sequences: 12, cacheTokens: 450 }, async (host) => {
            const ensembles = [await host.load(recipe()), await host.load(lora())];
            const together = await Promise.all(indexes.map((index) => ask(ensembles, index, false)));
            let agreeing = 0;
            for (const [index, { parts, seed }] of together.entries()) {
                const other = alone[index] as CompletionResult;
                // How much of a text there is when it is aborted depends on who asks first.
                const length = Math.min(parts.length, other.parts.length);
                const cut = (all: readonly TokenPart[]) =>
                    ({ parts: all.slice(0, length), seed }) as unknown as CompletionResult;
                agreeing += expectSameDraws(cut(parts), cut(other.parts), 1, 3 * F32_BATCHING) / length;
            }
            expect(agreeing).toBeGreaterThan(0.8 * indexes.length);
            expect(host.counts.revocations).toBeGreaterThan(10);
            expect(ensembles.map(({ scheduler }) => scheduler.busy)).toEqual([0, 0]);
        });
    });

    test.each([
        ["two long prompts", { sequences: 2, cacheTokens: 256 }],
        ["a batch that is larger than the cache", { sequences: 4, cacheTokens: 300, batchSize: 2048 }],
        ["many sequences, room for one", { sequences: 64, cacheTokens: 256 }],
    ])("are promised once: %s", async (_name, options) => {
        await withHost(options, async (host) => {
            const ensemble = await host.load(recipe());
            // Each fits, and together they do not, in the step in which all of them begin.
            const results = await Promise.all(
                Array.from({ length: Math.min(options.sequences, 8) }, (_, index) =>
                    run(ensemble, {
                        ...{ prompt: `${index} ${"Lima is a city. ".repeat(28)}`, raw: true, maxTokens: 2 },
                        ...endless,
                    }),
                ),
            );
            for (const { tokens } of results) expect(tokens).toBe(2);
        });
    });

    test("are free again when their recipe goes, also while a job fills them", async () => {
        await withHost({ sequences: 4, cacheTokens: 570, batchSize: 2048 }, async (host) => {
            const [goes, stays] = [await host.load(recipe()), await host.load(recipe())];
            const request = (index: number, length: number): CompletionOptions => ({
                ...{ prompt: `${index} ${"Lima is a city. ".repeat(length)}`, raw: true, maxTokens: 30 },
                ...endless,
            });
            const short = run(stays, request(0, 5));
            const dropped = Promise.allSettled([1, 2].map((index) => run(goes, request(index, 40))));
            while (host.counts.steps === 0) await new Promise<void>((resolve) => setImmediate(resolve));
            const disposal = goes.dispose();
            expect((await run(stays, { ...request(3, 40), maxTokens: 10 })).tokens).toBe(10);
            expect((await short).tokens).toBe(30);
            for (const result of await dropped)
                expect(result).toMatchObject({ status: "rejected", reason: { code: "DISPOSED" } });
            await disposal;
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
    test.each([
        [0, 3],
        [1, 4],
    ])("of %d places counts nobody for whom there is a slot", async (waiting, served) => {
        await withHost({ sequences: 3, waiting }, async (host) => {
            const ensemble = await host.load(soloRecipe("small-chat-f16.gguf"));
            const results = await Promise.allSettled(
                Array.from({ length: 6 }, () => run(ensemble, { prompt: "Lima", ...endless, maxTokens: 3 })),
            );
            expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(served);
            for (const result of results)
                if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "BUSY" });
            expect((await run(ensemble, { prompt: "Lima", maxTokens: 1 })).tokens).toBe(1);
        });
    });

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

    test("can be left while nothing runs", async () => {
        await withHost({ sequences: 1 }, async (host) => {
            const { scheduler, target, members } = await host.load(upscalingRecipe());
            const ensemble = await host.load(upscalingRecipe());
            // It has the only slot, and its reader has not even begun to rest.
            const holder = scheduler.open(
                target,
                members.map(() => [1, 2, 3]),
            );
            await scheduler.evaluate({ sequence: holder, ends: [3, 3, 3] });
            const controller = new AbortController();
            const waiting = run(ensemble, { prompt: QUESTIONS[0], signal: controller.signal });
            for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
            controller.abort();
            expect((await waiting).reason).toBe("abort");
            scheduler.close(holder);
            expect((await run(ensemble, { prompt: QUESTIONS[0], maxTokens: 3 })).tokens).toBe(3);
        });
    });
});

test("blocks that take more than half a batch go on where cells run out", async () => {
    const request = (index: number) => ({
        ...{ prompt: "Peru", raw: true, ...endless, seed: index, maxTokens: 80 },
        ...(index < 3 && { speculation: { length: 16, drafter: "chat" } }),
    });
    await withHost({ sequences: 4, batchSize: 32, cacheTokens: 90 }, async (host) => {
        const ensemble = await host.load(upscalingRecipe(), { contextSize: 90 });
        const texts = await Promise.all([0, 1, 2, 3].map((index) => run(ensemble, request(index))));
        expect(texts.map(({ tokens }) => tokens)).toEqual([80, 80, 80, 80]);
        expect(host.counts.revocations).toBeGreaterThan(0);
    });
});

test("many texts that wait have one signal", async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on("warning", listen);
    await withHost({ sequences: 1 }, async (host) => {
        const ensemble = await host.load(upscalingRecipe());
        const { signal } = new AbortController();
        await Promise.all(
            Array.from({ length: 15 }, (_, seed) =>
                run(ensemble, { prompt: QUESTIONS[0], seed, maxTokens: 2, signal }),
            ),
        );
    });
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", listen);
    expect(warnings).toEqual([]);
});

describe("completions that run ahead of their readers", () => {
    const request = (index: number) => ({
        prompt: QUESTIONS[index % QUESTIONS.length] ?? "",
        ...endless,
        seed: index,
        maxTokens: 40,
        sampling: { temperature: 1 },
    });
    const turns = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
    };

    test.each([8, 16, 32])("%d of them share their steps, however many turns each takes", async (readers) => {
        await withHost({ sequences: readers + 1 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            // One that begins to read and does not go on holds nobody up.
            const slow = complete(ensemble, { ...request(99), readAhead: 4 });
            await slow.next();
            /** Steps and their entries from when all read until the first has read all. */
            const [first, last] = [
                { steps: 0, entries: 0 },
                { steps: 0, entries: 0 },
            ];
            let reading = 0;
            await Promise.all(
                Array.from({ length: readers }, async (_, index) => {
                    let read = 0;
                    for await (const part of complete(ensemble, { ...request(index), readAhead: 16 })) {
                        if (++read === 1 && ++reading === readers) Object.assign(first, host.counts);
                        if (part.type === "finish" && last.steps === 0) Object.assign(last, host.counts);
                        await turns(index % 8);
                    }
                }),
            );
            const [steps, entries] = [last.steps - first.steps, last.entries - first.entries];
            expect(steps).toBeGreaterThan(10);
            expect(entries / steps).toBeGreaterThan(0.95 * readers);
            expect((await collect(slow)).tokens).toBe(40);
        });
    });

    test("end at an abort, and not with what was drawn ahead", async () => {
        await withHost({ sequences: 2 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            for (const readAhead of [0, 4, 100]) {
                const controller = new AbortController();
                const read: string[] = [];
                for await (const part of complete(ensemble, { ...request(1), readAhead, signal: controller.signal })) {
                    read.push(part.type === "finish" ? part.reason : part.type);
                    if (read.length < 3) continue;
                    // Until all is drawn that may be.
                    while (readAhead > 0 && ensemble.scheduler.busy > 0 && readAhead >= 100) await turns(1);
                    controller.abort();
                }
                expect(read).toEqual(["token", "token", "token", "abort"]);
            }
        });
    });

    test("leave nobody waiting who has the beginning of his prompt in common with theirs", async () => {
        await withHost({ sequences: 4 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            const prompt = "Lima is a city. ".repeat(12);
            const ended: string[] = [];
            const ask = async (name: string, maxTokens: number): Promise<void> => {
                const question = prompt + (QUESTIONS[maxTokens % 4] ?? "");
                await collect(complete(ensemble, { prompt: question, ...endless, maxTokens }));
                ended.push(name);
            };
            await Promise.all([ask("long", 60), ask("short", 5), ask("short", 6)]);
            expect(ended).toEqual(["short", "short", "long"]);
        });
    });

    test.each([
        ["plain", {}],
        ["with a grammar", { grammar: 'root ::= ([A-Z] | [a-z] | " " | ".")*' }],
        ["with speculation", { speculation: { length: 4 } }],
    ])("hear a dial at exactly the next token: %s", async (_name, more) => {
        await withHost({ sequences: 2 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            const read = async (readAhead: number): Promise<number[]> => {
                const ids: number[] = [];
                const completion = complete(ensemble, { ...request(3), ...more, readAhead });
                for await (const part of completion) {
                    if (part.type !== "token") continue;
                    ids.push(part.id);
                    // The reader is slower than the steps, so that there are tokens to take back.
                    await turns(20);
                    if (ids.length === 10) completion.setParameters({ beta: 0 });
                    if (ids.length === 20) ensemble.setParameters({ beta: 2 });
                    if (ids.length === 30) completion.setParameters({ beta: 0.3 });
                }
                ensemble.setParameters({ beta: 1 });
                return ids;
            };
            expect(await read(16)).toEqual(await read(0));
            expect(ensemble.scheduler.busy).toBe(0);
        });
    });

    test.each([
        ["the end of the text", {}],
        ["a stop string", { stop: ["cap"] }],
        ["as many tokens as were wanted", { maxTokens: 4 }],
        ["the end of a grammar", { grammar: 'root ::= "Lima"' }],
        ["speculation", { speculation: { length: 4 } }],
    ])("end where they end, also if a dial is turned at every token: %s", async (_name, more) => {
        await withHost({ sequences: 2 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            const read = async (readAhead: number) => {
                const completion = complete(ensemble, {
                    ...{
                        prompt: QUESTIONS[0],
                        seed: 1,
                        sampling: { temperature: 0 },
                        maxTokens: 40,
                        ...more,
                        readAhead,
                    },
                });
                const ids: number[] = [];
                for await (const part of completion) {
                    if (part.type === "finish") {
                        const { reason, stoppedBy, tokens } = part;
                        return { ids, reason, stoppedBy, tokens };
                    }
                    if (part.type === "token") ids.push(part.id);
                    completion.setParameters({ beta: 1 + ids.length / 1000 });
                }
                return undefined;
            };
            expect(await read(8)).toEqual(await read(0));
        });
    });

    test("keep their place, and count their time once, when a dial is turned", async () => {
        await withHost({ sequences: 2, waiting: 2 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            const finished: number[] = [];
            const read = async (index: number): Promise<void> => {
                const completion = complete(ensemble, { ...request(index), readAhead: 8 });
                /** When each part was there. */
                const times: number[] = [];
                for await (const part of completion) {
                    times.push(performance.now());
                    if (index < 2) completion.setParameters({ beta: 1 + times.length / 1000 });
                    if (part.type !== "finish") continue;
                    expect(part.tokens).toBe(40);
                    expect(part.reusedTokens["large"]).toBeLessThan(10);
                    // The last token was made, again, after the one before it had been read.
                    if (index < 2)
                        expect(part.timings.generationMs).toBeGreaterThanOrEqual(Number(times[38]) - Number(times[0]));
                }
                finished.push(index);
            };
            const running = [read(0), read(1)];
            while (host.counts.steps === 0) await turns(1);
            // The line is full.
            await Promise.all([...running, read(2), read(3)]);
            expect(finished.slice(0, 2).toSorted((a, b) => a - b)).toEqual([0, 1]);
        });
    });

    test("keep their slot when a dial is turned, also the only one", async () => {
        await withHost({ sequences: 1 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            const finished: string[] = [];
            const turned = (async () => {
                let count = 0;
                const completion = complete(ensemble, { ...request(1), readAhead: 8 });
                for await (const _ of completion) if (++count === 10) completion.setParameters({ beta: 0.5 });
                finished.push("turned");
            })();
            while (host.counts.steps === 0) await turns(1);
            const next = run(ensemble, { ...request(2), maxTokens: 100 }).then(() => finished.push("next"));
            await Promise.all([turned, next]);
            expect(finished).toEqual(["turned", "next"]);
        });
    });

    test("end with their reader, with a signal, and with their errors", async () => {
        await withHost({ sequences: 2 }, async (host) => {
            const ensemble = await host.load(upscalingRecipe());
            const controller = new AbortController();
            for await (const _ of complete(ensemble, { ...request(1), readAhead: 8 })) break;
            expect(ensemble.scheduler.busy).toBe(0);
            const aborted = complete(ensemble, { ...request(1), readAhead: 8, signal: controller.signal });
            await aborted.next();
            controller.abort();
            const { reason, tokens } = await collect(aborted);
            expect([reason, tokens < 40]).toEqual(["abort", true]);
            const text = "Lima ".repeat(400);
            await expect(run(ensemble, { prompt: text, readAhead: 8 })).rejects.toMatchObject({
                code: "CONTEXT_OVERFLOW",
            });
            const late = complete(ensemble, { ...request(1), readAhead: 8 });
            await late.next();
            await ensemble.dispose();
            await expect(collect(late)).rejects.toMatchObject({ code: "DISPOSED" });
        });
    });
});
