/** Promise 3: the same seed gives the same text, with and without speculation. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type SpeculationOptions,
} from "../../src/index.js";
import { loadOnCpu, QUESTIONS, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { UPSCALING, writeFloat32Family } from "../helpers/float32.js";
import { F32_BATCHING } from "../helpers/tolerances.js";

const EOS = 2;
const TOKENS = 32;
const LENGTHS = Array.from({ length: 17 }, (_, length) => length);
const TEMPERATURES = [0, 0.7, 1.3];

const { recipe, remove } = writeFloat32Family(["large-base", "small-chat", "small-base", "small-safe"]);
afterAll(remove);

/** A dial between two fine-tunings, so that a drafter can be a combination of small members. */
const dialRecipe = recipe(`
members:
    large: { model: large-base.gguf }
    chat: { model: small-chat.gguf }
    safe: { model: small-safe.gguf }
    small: { model: small-base.gguf }
parameters: { lambda: { default: 0.5, min: 0, max: 1 } }
combination: large + (1 - lambda) * (chat - small) + lambda * (safe - small)
prompt: { template: from chat }
`);
const DRAFTERS: Record<string, SpeculationOptions> = {
    "a member": { drafter: "chat" },
    "a combination of small members": { drafter: "(1 - lambda) * chat + lambda * safe" },
    "one that reads all small members": { drafter: "small + (1 - lambda) * (chat - small) + lambda * (safe - small)" },
    "the large model": { drafter: "large" },
    "the target itself": { drafter: "large + (1 - lambda) * (chat - small) + lambda * (safe - small)" },
    "lookup before a member": { drafter: "chat", lookup: true },
};

const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(complete(ensemble, { maxTokens: TOKENS, logitBias: { [EOS]: -Infinity }, ...options }));

const ids = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);

function expectSame(speculative: CompletionResult, plain: CompletionResult, temperature: number): void {
    const agreeing = expectSameDraws(speculative, plain, temperature, F32_BATCHING);
    if (agreeing === plain.parts.length) expect(speculative.text).toBe(plain.text);
}

describe.each(Object.entries(DRAFTERS))("the text of the plain loop, drafted by %s", (_name, options) => {
    test.each(TEMPERATURES)("alone, at temperature %d and every draft length", async (temperature) => {
        await withEnsemble(dialRecipe, { sequences: 1 }, async (ensemble) => {
            const request = { prompt: QUESTIONS[1], sampling: { temperature }, seed: 5 };
            const plain = await run(ensemble, { ...request, scores: true });
            for (const length of [...LENGTHS, "confidence", "adaptive"] as const) {
                const result = await run(ensemble, { ...request, speculation: { ...options, length } });
                expectSame(result, plain, temperature);
                const { drafted = NaN, blocks = NaN, steps = NaN, tokens = NaN } = result.speculation ?? {};
                expect(tokens).toBe(TOKENS - 1);
                if (typeof length === "number") {
                    expect(drafted).toBeLessThanOrEqual(length * steps);
                    expect(blocks > 0).toBe(length > 0);
                }
            }
        });
    });

    test.each(TEMPERATURES)("in a batch of eight, at temperature %d and every draft length", async (temperature) => {
        await withEnsemble(dialRecipe, { sequences: 8 }, async (ensemble) => {
            const requests = QUESTIONS.map((prompt, seed) => ({
                prompt,
                seed,
                sampling: { temperature },
                parameters: { lambda: seed / 7 },
                maxTokens: 12,
            }));
            const plain: CompletionResult[] = [];
            for (const request of requests) plain.push(await run(ensemble, { ...request, scores: true }));
            // All lengths at once: each sequence its own, and another one the next time.
            for (let round = 0; round <= 16; round += 4) {
                const results = await Promise.all(
                    requests.map((request, index) =>
                        run(ensemble, {
                            ...request,
                            speculation: { ...options, length: (round + 2 * index) % 17 },
                        }),
                    ),
                );
                results.forEach((result, index) => expectSame(result, plain[index] as CompletionResult, temperature));
            }
            const adaptive = await Promise.all(
                requests.map((request) => run(ensemble, { ...request, speculation: options })),
            );
            adaptive.forEach((result, index) => expectSame(result, plain[index] as CompletionResult, temperature));
        });
    });
});

describe("the text of the plain loop, whatever shapes the target:", () => {
    let ensemble: Ensemble;
    beforeAll(async () => {
        ensemble = await loadOnCpu(
            recipe(`${UPSCALING}conservative: { topP: 0.9, fallback: chat }
controlTokens: fallback
prompt: { template: from chat }
speculation: {}
`),
            { sequences: 2 },
        );
    });
    afterAll(() => ensemble.dispose());

    test.each<[string, Partial<CompletionOptions>]>([
        ["top-p", { sampling: { temperature: 1, topP: 0.9 } }],
        ["top-k", { sampling: { temperature: 1.5, topK: 5 } }],
        ["min-p", { sampling: { temperature: 2, minP: 0.1 } }],
        [
            "penalties",
            { sampling: { temperature: 0.8, repeatPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.2 } },
        ],
        ["penalties with a short memory", { sampling: { temperature: 0.8, repeatPenalty: 1.5, penaltyLastN: 5 } }],
        ["biases", { sampling: { temperature: 1 }, logitBias: { [EOS]: -Infinity, 264: 3, 315: -100 } }],
        ["a dial", { sampling: { temperature: 1 }, parameters: { beta: 1.6 } }],
        ["a dial at zero", { sampling: { temperature: 1 }, parameters: { beta: 0 } }],
        ["reports", { sampling: { temperature: 1 }, memberLogprobs: true, topLogprobs: 5, explain: true }],
    ])("%s", async (_name, options) => {
        for (const seed of [1, 2, 3]) {
            const request = { prompt: QUESTIONS[3], seed, ...options };
            const plain = await run(ensemble, { ...request, speculation: false });
            for (const length of [1, 2, 5, 16, "adaptive"] as const) {
                const result = await run(ensemble, { ...request, speculation: { length } });
                expect(ids(result)).toEqual(ids(plain));
                expect(result.text).toBe(plain.text);
            }
        }
    });

    test("reports are those of the plain loop", async () => {
        const request = { prompt: QUESTIONS[0], seed: 5, memberLogprobs: true, topLogprobs: 3, explain: true };
        const plain = await run(ensemble, { ...request, speculation: false });
        const result = await run(ensemble, { ...request, speculation: { length: 4 } });
        const numbers = ({ parts }: CompletionResult): number[] =>
            parts.flatMap(({ logprob, members = {}, top = [], drafter }) => [
                logprob,
                ...Object.values(members),
                ...top.flatMap((candidate) => [candidate.id, ...Object.values(candidate.members ?? {})]),
                drafter?.id ?? NaN,
                drafter?.totalVariation ?? NaN,
                ...Object.values(drafter?.shifts ?? {}),
            ]);
        const [own, other] = [numbers(result), numbers(plain)];
        expect(own).toHaveLength(other.length);
        expect(own.some(Number.isNaN)).toBe(false);
        // Members err apart from each other here, and differences of two log-probabilities twice.
        own.forEach((value, index) => expect(Math.abs(value - (other[index] ?? NaN))).toBeLessThan(2 * F32_BATCHING));
    });
});

describe("maximal coupling", () => {
    test("at temperature 0 gives the text of the plain loop", async () => {
        await withEnsemble(dialRecipe, { sequences: 1 }, async (ensemble) => {
            const request = { prompt: QUESTIONS[1], sampling: { temperature: 0 } };
            const plain = await run(ensemble, { ...request, scores: true });
            for (const length of LENGTHS) {
                const result = await run(ensemble, { ...request, speculation: { length, coupling: "maximal" } });
                expectSame(result, plain, 0);
            }
        });
    });

    test("repeats itself with a fixed draft length", async () => {
        await withEnsemble(dialRecipe, { sequences: 1 }, async (ensemble) => {
            const request: CompletionOptions = {
                prompt: QUESTIONS[1],
                seed: 3,
                speculation: { length: 3, coupling: "maximal" },
            };
            expect(ids(await run(ensemble, request))).toEqual(ids(await run(ensemble, request)));
        });
    });
});

describe("on an F16 family", () => {
    test("a first difference is a near-tie", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            let agreeing = 0;
            for (const [seed, prompt] of QUESTIONS.entries()) {
                const request = { prompt, seed, sampling: { temperature: 1 } };
                const plain = await run(ensemble, { ...request, scores: true });
                agreeing += expectSameDraws(await run(ensemble, { ...request, speculation: { length: 4 } }), plain, 1);
            }
            expect(agreeing).toBeGreaterThan(0.8 * TOKENS * QUESTIONS.length);
        });
    });
});
