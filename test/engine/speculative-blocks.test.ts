/** What a block leaves behind: in caches, in the text, in the numbers, and after it was broken off. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    EftError,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type SpeculationOptions,
} from "../../src/index.js";
import { demoFile, loadOnCpu, QUESTIONS, soloRecipe, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { UPSCALING, UPSCALING_MODELS, writeFloat32Family } from "../helpers/float32.js";
import { readGguf, toFloat32, writeGguf } from "../helpers/gguf.js";
import { loraAdapter } from "../helpers/lora.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { F32_BATCHING } from "../helpers/tolerances.js";

const EOS = 2;
const PROSE = "Lima is the capital of Peru. The currency of Peru is the";

const family = writeFloat32Family(UPSCALING_MODELS);
const adapters = temporaryFolder();
const adapterFile = path.join(adapters.folder, "adapter.gguf");
writeGguf(adapterFile, loraAdapter(toFloat32(readGguf(demoFile("small-base"))), { rank: 4, deviation: 0.05 }));
afterAll(() => {
    family.remove();
    adapters.remove();
});

const upscaling = family.recipe(`${UPSCALING}prompt: { template: from chat }`);
/** The base models see the plain text, so all prompts have other lengths. */
const ownPrompts = family.recipe(`
members:
    large: { model: large-base.gguf, prompt: { template: plain } }
    chat: { model: small-chat.gguf, prompt: { template: "<s>{{ messages[0].content }} Well, let me think about that:" } }
    small: { model: small-base.gguf, prompt: { template: plain } }
combination: chat + large - small
`);
const withLora = family.recipe(`
members:
    large: { model: large-base.gguf }
    chat: { model: small-base.gguf, lora: { path: ${JSON.stringify(adapterFile)}, scale: 1 } }
    small: { model: small-base.gguf }
combination: chat + large - small
prompt: { template: plain }
`);

const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(complete(ensemble, options));
const ids = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);

/** All that can be seen of the members' rows after a text: log-probabilities of the most probable tokens. */
const look = { raw: true, maxTokens: 1, sampling: { temperature: 0 }, topLogprobs: 100, memberLogprobs: true } as const;

function largestDifference(a: CompletionResult, b: CompletionResult): number {
    const rows = (result: CompletionResult): Map<number, Readonly<Record<string, number>>> =>
        new Map(result.parts[0]?.top?.map(({ id, logprob, members }) => [id, { target: logprob, ...members }]));
    const [own, other] = [rows(a), rows(b)];
    let worst = 0;
    let compared = 0;
    for (const [id, values] of own) {
        for (const [name, value] of Object.entries(other.get(id) ?? {})) {
            worst = Math.max(worst, Math.abs((values[name] ?? NaN) - value));
            compared++;
        }
    }
    // Tokens of almost equal probability may change places at the end of the list.
    expect(compared).toBeGreaterThan(80 * Object.keys([...own.values()][0] ?? {}).length);
    return worst;
}

describe.each([
    ["one prompt for all members", upscaling],
    ["a LoRA member", withLora],
    ["prompts of different lengths", ownPrompts],
])("the caches of all members after blocks: %s", (_name, recipe) => {
    test.each<[string, SpeculationOptions]>([
        ["one draft", { length: 1 }],
        ["four drafts", { length: 4 }],
        ["sixteen drafts", { length: 16 }],
        ["drafts until the drafter is unsure", { length: "confidence" }],
        ["lookup", { length: 6, lookup: true }],
        ["rejection sampling", { length: 4, coupling: "maximal" }],
    ])("are those of a fresh prefill: %s", async (_case, speculation) => {
        await using used = await loadOnCpu(recipe, { sequences: 1 });
        await using fresh = await loadOnCpu(recipe, { sequences: 1 });
        let covered = 0;
        for (let tokens = 2; tokens < 22; tokens++) {
            // Another prompt each time, so that no earlier round has left its tokens.
            const prompt = `${"AEIOUBCDFGHJKLMNPQRSTVWXYZ"[tokens] ?? ""}. ${PROSE}`;
            const bias = { logitBias: { [EOS]: -Infinity } };
            const first = await run(used, { prompt, raw: true, seed: tokens, maxTokens: tokens, speculation, ...bias });
            expect(first.tokens).toBe(tokens);
            const second = await run(used, { ...look, prompt: prompt + first.text });
            // Where the text is cut into other tokens than were drawn, less of the cache is used.
            const all = Object.entries(first.promptTokens).every(
                ([member, count]) => (second.reusedTokens[member] ?? 0) >= count + tokens - 2,
            );
            covered += Number(all);
            expect(largestDifference(second, await run(fresh, { ...look, prompt: prompt + first.text }))).toBeLessThan(
                F32_BATCHING,
            );
        }
        expect(covered).toBeGreaterThan(5);
    });
});

describe("a block that is broken off", () => {
    let ensemble: Ensemble;
    let fresh: Ensemble;
    beforeAll(async () => {
        ensemble = await loadOnCpu(upscaling, { sequences: 1 });
        fresh = await loadOnCpu(upscaling, { sequences: 1 });
    });
    afterAll(() => Promise.all([ensemble.dispose(), fresh.dispose()]));

    const request = { prompt: PROSE, raw: true, seed: 8, maxTokens: 24, logitBias: { [EOS]: -Infinity } };
    const speculation = { length: 6 };

    async function expectCleanCaches(text: string): Promise<void> {
        const prompt = PROSE + text;
        const after = await run(ensemble, { ...look, prompt });
        expect(largestDifference(after, await run(fresh, { ...look, prompt }))).toBeLessThan(F32_BATCHING);
    }

    test("by the caller's signal, at any token", async () => {
        const plain = await run(ensemble, { ...request, speculation: false });
        for (let tokens = 1; tokens < 20; tokens++) {
            const controller = new AbortController();
            const seen: number[] = [];
            let text = "";
            for await (const part of complete(ensemble, { ...request, speculation, signal: controller.signal })) {
                text += part.text;
                if (part.type === "token" && seen.push(part.id) === tokens) controller.abort();
            }
            expect(seen).toEqual(ids(plain).slice(0, tokens));
            await expectCleanCaches(text);
        }
    });

    test("by the caller's signal, in drafting and in verifying", async () => {
        for (let turns = 0; turns < 40; turns++) {
            const controller = new AbortController();
            const result = run(ensemble, { ...request, speculation, signal: controller.signal });
            for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
            controller.abort();
            await expectCleanCaches((await result).text);
        }
    });

    test("by a caller who leaves", async () => {
        for (let tokens = 1; tokens < 12; tokens++) {
            let text = "";
            let seen = 0;
            for await (const part of complete(ensemble, { ...request, speculation })) {
                text += part.text;
                if (++seen === tokens) break;
            }
            await expectCleanCaches(text);
        }
    });

    test("by a dial: the rest of the block is drawn anew", async () => {
        async function turned(option: false | SpeculationOptions): Promise<number[]> {
            const seen: number[] = [];
            const completion = complete(ensemble, { ...request, speculation: option });
            for await (const part of completion) {
                if (part.type !== "token") continue;
                seen.push(part.id);
                if (seen.length % 5 === 2) completion.setParameters({ beta: (seen.length % 3) * 0.9 });
            }
            return seen;
        }
        const plain = await turned(false);
        expect(plain).not.toEqual(ids(await run(ensemble, { ...request, speculation: false })));
        for (const length of [1, 3, 8, 16]) expect(await turned({ length })).toEqual(plain);
    });

    test("by a stop string: nothing behind it is given, counted or kept", async () => {
        const plain = await run(ensemble, { ...request, speculation: false });
        let inside = 0;
        for (let at = 4; at < 20; at++) {
            const stop = [plain.text.slice(at, at + 3)];
            const expected = await run(ensemble, { ...request, speculation: false, stop });
            const result = await run(ensemble, { ...request, speculation: { length: 8 }, stop });
            const { text, tokens, reason, stoppedBy } = expected;
            expect(result).toMatchObject({ text, tokens, reason, stoppedBy });
            expect(ids(result)).toEqual(ids(expected));
            inside += Number((result.speculation?.tokens ?? 0) + 1 > result.tokens);
            await expectCleanCaches(text);
        }
        // The blocks went on behind the stop in some of these, or the test would show nothing.
        expect(inside).toBeGreaterThan(0);
    });

    test("by an end-of-text token, also where that is a draft", async () => {
        await using chat = await loadOnCpu(upscaling, { sequences: 1 });
        for (const prompt of QUESTIONS) {
            const options = { prompt, sampling: { temperature: 0 } };
            const plain = await run(chat, { ...options, speculation: false });
            expect(plain.reason).toBe("stop");
            for (const length of [3, 5, 16]) {
                const result = await run(chat, { ...options, speculation: { length } });
                expect(ids(result)).toEqual(ids(plain));
                expect(result).toMatchObject({ text: plain.text, reason: "stop", tokens: plain.tokens });
                expect(result.speculation?.tokens).toBe(plain.tokens - 1);
            }
        }
    });

    test("by maxTokens and by the end of the context", async () => {
        for (let maxTokens = 0; maxTokens < 10; maxTokens++) {
            const result = await run(ensemble, { ...request, maxTokens, speculation: { length: 16 } });
            expect(result).toMatchObject({ tokens: maxTokens, reason: "length" });
        }
        await withEnsemble(upscaling, { sequences: 1, contextSize: 48 }, async (small) => {
            const plain = await run(small, { ...request, maxTokens: 1000, speculation: false });
            for (const length of [1, 5, 16]) {
                const result = await run(small, { ...request, maxTokens: 1000, speculation: { length } });
                expect(result.reason).toBe("length");
                expect(ids(result)).toEqual(ids(plain));
            }
        });
    });
});

describe("text and numbers", () => {
    test("characters that several accepted tokens spell come as the plain loop gives them", async () => {
        await withEnsemble(upscaling, { sequences: 1 }, async (ensemble) => {
            const model = ensemble.members[0]?.model;
            // Byte tokens of a euro sign and an umlaut, again and again: all members are biased to the same text.
            const spelled = [..."€ä"].flatMap((character) => [...(model?.tokenize(character, false, false) ?? [])]);
            expect(new Set(spelled).size).toBeGreaterThan(3);
            const logitBias = { [EOS]: -Infinity, ...Object.fromEntries(spelled.map((id) => [id, 60])) };
            const request = {
                prompt: PROSE,
                raw: true,
                seed: 2,
                maxTokens: 40,
                sampling: { temperature: 1.5 },
                logitBias,
            };
            const plain = await run(ensemble, { ...request, speculation: false });
            expect(plain.text).toMatch(/[€äâÃ\uFFFD]/u);
            for (const length of [2, 7]) {
                const result = await run(ensemble, { ...request, speculation: { length } });
                expect(result.parts.map(({ text }) => text)).toEqual(plain.parts.map(({ text }) => text));
            }
        });
    });

    test("a drafter that is the target is always accepted", async () => {
        await withEnsemble(upscaling, { sequences: 1 }, async (ensemble) => {
            const drafter = "chat + beta * (large - small)";
            for (const coupling of ["gumbel", "maximal"] as const) {
                const { speculation } = await run(ensemble, {
                    prompt: PROSE,
                    ...{ raw: true, seed: 1, maxTokens: 41, logitBias: { [EOS]: -Infinity } },
                    speculation: { drafter, length: 4, coupling },
                });
                expect(speculation).toMatchObject({ steps: 8, blocks: 8, tokens: 40, drafted: 32, accepted: 32 });
                expect(speculation?.acceptanceLength).toBe(5);
            }
        });
    });

    test("statistics add up, on the completion and on the ensemble", async () => {
        await withEnsemble(upscaling, { sequences: 1 }, async (ensemble) => {
            const results: CompletionResult[] = [];
            for (const seed of [1, 2, 3]) {
                results.push(await run(ensemble, { prompt: QUESTIONS[seed] ?? "", seed, speculation: { length: 3 } }));
            }
            const sum = (value: (result: CompletionResult) => number | undefined): number =>
                results.reduce((total, result) => total + (value(result) ?? NaN), 0);
            const { statistics } = ensemble;
            expect(statistics.tokens).toBe(sum(({ tokens }) => tokens - 1));
            expect(statistics.drafted).toBe(sum(({ speculation }) => speculation?.drafted));
            expect(statistics.accepted).toBe(statistics.acceptedAt.reduce((total, count) => total + count, 0));
            // A position is verified where the one before it was accepted and did not end the text.
            statistics.verifiedAt.slice(1).forEach((count, position) => {
                expect(count).toBeLessThanOrEqual(statistics.acceptedAt[position] ?? NaN);
            });
            expect(statistics.blocks + statistics.accepted).toBe(
                (statistics.acceptanceLength ?? NaN) * statistics.blocks,
            );
            const chat = ensemble.members.findIndex(({ name }) => name === "chat");
            statistics.draftMs.forEach((ms, member) => expect(ms > 0).toBe(member === chat));
            const { timings, speculation } = results[0] as CompletionResult;
            expect(Object.values(timings.decodeMs)).toEqual(
                ensemble.members.map((_, m) =>
                    expect.closeTo((speculation?.draftMs[m] ?? NaN) + (speculation?.stepMs[m] ?? NaN), 6),
                ),
            );
        });
    });
});

describe("options", () => {
    let ensemble: Ensemble;
    beforeAll(async () => (ensemble = await loadOnCpu(upscalingRecipe("q8_0"), { sequences: 1 })));
    afterAll(() => ensemble.dispose());

    test.each<[SpeculationOptions, string, RegExp]>([
        [{ length: 17 }, "OPTION_INVALID", /draft length.*0 to 16.*17/],
        [{ length: "fast" as never }, "OPTION_INVALID", /draft length.*adaptive, confidence.*fast/],
        [{ coupling: "tight" as never }, "OPTION_INVALID", /coupling.*gumbel, maximal.*tight/],
        [{ drafter: "large - large" }, "COMBINATION_ZERO", /./],
        [{ drafter: "tiny" }, "COMBINATION_UNKNOWN_NAME", /tiny/],
        [{ k: 4 } as never, "OPTION_INVALID", /no option k/],
        [{ lookup: "yes" as never }, "OPTION_INVALID", /lookup/],
    ])("%j is refused with %s", (speculation, code, message) => {
        const attempt = (): unknown => complete(ensemble, { prompt: "a", speculation });
        expect(attempt).toThrow(EftError);
        expect(attempt).toThrow(expect.objectContaining({ code }));
        expect(attempt).toThrow(message);
    });

    test("speculation needs somebody who drafts", async () => {
        await withEnsemble(soloRecipe(demoFile("small-chat")), { sequences: 1 }, async (solo) => {
            expect(() => complete(solo, { prompt: "a", speculation: true })).toThrow(
                expect.objectContaining({ code: "OPTION_INVALID" }),
            );
            const { text } = await run(solo, { prompt: PROSE, seed: 1, maxTokens: 20 });
            const lookedUp = await run(solo, { prompt: PROSE, seed: 1, maxTokens: 20, speculation: { lookup: true } });
            expect(lookedUp.text).toBe(text);
        });
    });

    test("a guess of the caller's that is too long is cut, and one that is no token is refused", async () => {
        const request = { prompt: QUESTIONS[0], maxTokens: 6, seed: 1 };
        const plain = await run(ensemble, request);
        const lookup = (): number[] => new Array<number>(5000).fill(7);
        const guessed = await run(ensemble, { ...request, speculation: { lookup, length: 16 } });
        expect(ids(guessed)).toEqual(ids(plain));
        const wrong = run(ensemble, { ...request, speculation: { lookup: () => [-1, 10 ** 9], length: 2 } });
        await expect(wrong).rejects.toMatchObject({ code: "OPTION_INVALID" });
        expect(ids(await run(ensemble, request))).toEqual(ids(plain));
    });

    test("the recipe's speculation is the default, and can be turned off", async () => {
        const recipe = upscalingRecipe("q8_0", "speculation: { length: 2, coupling: maximal }");
        await withEnsemble(recipe, { sequences: 1 }, async (own) => {
            const request = { prompt: QUESTIONS[0], maxTokens: 12 };
            expect((await run(own, request)).speculation?.drafted).toBeGreaterThan(0);
            expect((await run(own, { ...request, speculation: true })).speculation?.drafted).toBeGreaterThan(0);
            expect((await run(own, { ...request, speculation: { length: 0 } })).speculation?.drafted).toBe(0);
            expect((await run(own, { ...request, speculation: false })).speculation).toBeUndefined();
        });
        expect((await run(ensemble, { prompt: QUESTIONS[0], maxTokens: 12 })).speculation).toBeUndefined();
    });
});
