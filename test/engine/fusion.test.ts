/** Promise 1, through the whole engine: the target and the draw are those of the float64 reference. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { applyPenaltiesAndBias, drawGumbel, fuse, shape } from "../helpers/reference.js";
import { collect, complete, DEFAULT_SAMPLING, type Ensemble, type SamplingOptions } from "../../src/index.js";
import { demoRecipe, loadOnCpu, QUESTIONS, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { LOGPROB } from "../helpers/tolerances.js";

const PROMPTS = [QUESTIONS[1], QUESTIONS[3], "", "Who lives in Lima? Ελλάδα"];

/** Every weight a dial: one recipe gives the row of each member by itself and any mixture of them. */
const dialsRecipe = (more = "") =>
    demoRecipe(`
members:
    large: { model: large-base-f16.gguf }
    chat: { model: small-chat-f16.gguf }
    small: { model: small-base-f16.gguf }
parameters: { l: { default: 1 }, c: { default: 1 }, s: { default: 1 } }
combination: l * large + c * chat + s * small
prompt: { template: from chat }
${more}`);

/** The target after a prompt. Called again, it evaluates only the last token, each time with the same logits. */
async function targetRow(ensemble: Ensemble, prompt: string, weights: readonly number[]): Promise<Float32Array> {
    const [l = 0, c = 0, s = 0] = weights;
    const { parts } = await collect(
        complete(ensemble, { prompt, maxTokens: 1, scores: true, memberLogprobs: true, parameters: { l, c, s } }),
    );
    return parts[0]?.scores ?? new Float32Array();
}

describe("target", () => {
    const rows = new Map<string, Float32Array[]>();

    beforeAll(async () => {
        const ensemble = await loadOnCpu(dialsRecipe());
        for (const prompt of PROMPTS) {
            await targetRow(ensemble, prompt, [1, 1, 1]);
            rows.set(prompt, [
                await targetRow(ensemble, prompt, [1, 0, 0]),
                await targetRow(ensemble, prompt, [0, 1, 0]),
                await targetRow(ensemble, prompt, [0, 0, 1]),
            ]);
        }
        await ensemble.dispose();
    });

    const filters = [
        { name: "plain", more: "", topP: 1, fallback: false, control: false },
        { name: "conservative 0.95", more: "conservative: { topP: 0.95, fallback: chat }", topP: 0.95, fallback: true },
        { name: "conservative 0.5", more: "conservative: { topP: 0.5, fallback: chat }", topP: 0.5, fallback: true },
        {
            name: "control tokens by the fallback",
            more: "conservative: { topP: 1, fallback: chat }\ncontrolTokens: fallback",
            topP: 1,
            fallback: true,
            control: true,
        },
        {
            name: "both",
            more: "conservative: { topP: 0.9, fallback: chat }\ncontrolTokens: fallback",
            topP: 0.9,
            fallback: true,
            control: true,
        },
    ];

    test.each(filters)("$name", async ({ more, topP, fallback, control = false }) => {
        const ensemble = await loadOnCpu(dialsRecipe(more));
        try {
            for (const prompt of PROMPTS) {
                await targetRow(ensemble, prompt, [1, 1, 1]);
                for (const beta of [0, 0.5, 1, 2]) {
                    const weights = [beta, 1, -beta];
                    const members = rows.get(prompt) ?? [];
                    const expected = fuse(
                        members,
                        {
                            weights: Float64Array.from(weights),
                            ...(fallback && { fallback: Float64Array.of(0, 1, 0) }),
                            conservativeTopP: topP,
                            controlTokensFallback: control,
                        },
                        ensemble.vocabulary.controlTokens,
                    );
                    const actual = await targetRow(ensemble, prompt, weights);
                    if (control) expectControlOf(members[1] ?? [], actual, ensemble.vocabulary.controlTokens);
                    expect({ prompt, beta, ...worst(actual, expected, members, weights) }).toEqual({
                        prompt,
                        beta,
                        excess: 0,
                        argmax: indexOfMaximum(expected),
                    });
                }
            }
        } finally {
            await ensemble.dispose();
        }
    });
});

/** By how much the worst entry misses its tolerance: the target is rounded to float32, and so were the members' rows. */
function worst(
    actual: Float32Array,
    expected: Float64Array,
    members: readonly Float32Array[],
    weights: readonly number[],
): { excess: number; argmax: number } {
    expect(actual).toHaveLength(expected.length);
    const excess = Array.from(expected, (value, id) => {
        const rounded = members.reduce((sum, row, m) => sum + Math.abs((weights[m] ?? 0) * (row[id] ?? 0)), 0);
        return Math.abs((actual[id] ?? NaN) - value) - LOGPROB - (Math.abs(value) + rounded) * 2 ** -23;
    });
    return { excess: Math.max(0, ...excess), argmax: indexOfMaximum(actual) };
}

/** Control tokens are as probable as the fallback says. */
function expectControlOf(fallback: ArrayLike<number>, actual: Float32Array, controlTokens: Uint8Array): void {
    const ids = [...controlTokens.keys()].filter((id) => controlTokens[id] === 1);
    expect(ids.length).toBeGreaterThan(0);
    for (const id of ids) expect(Math.abs((actual[id] ?? NaN) - (fallback[id] ?? NaN))).toBeLessThan(2 * LOGPROB);
}

function indexOfMaximum(row: ArrayLike<number>): number {
    return Array.from(row).reduce((best, value, id) => (value > (row[best] ?? NaN) ? id : best), 0);
}

describe("draw", () => {
    let ensemble: Ensemble;
    beforeAll(async () => (ensemble = await loadOnCpu(upscalingRecipe())));
    afterAll(() => ensemble.dispose());

    const cases: { sampling: Partial<SamplingOptions>; seed: number; logitBias?: Record<number, number> }[] = [
        { sampling: { temperature: 0 }, seed: 1 },
        { sampling: { temperature: 1 }, seed: 1 },
        { sampling: { temperature: 1 }, seed: 2 ** 53 - 1 },
        { sampling: { temperature: 0.7, topP: 0.9 }, seed: 3 },
        { sampling: { temperature: 1.5, topK: 40 }, seed: 4 },
        { sampling: { temperature: 2, minP: 0.003 }, seed: 5 },
        { sampling: { temperature: 2, topK: 100, topP: 0.95, minP: 0.001 }, seed: 6 },
        { sampling: { temperature: 2, repeatPenalty: 1.3 }, seed: 7 },
        { sampling: { temperature: 1.5, frequencyPenalty: 1.5, presencePenalty: 0.5, penaltyLastN: 8 }, seed: 8 },
        { sampling: { temperature: 1 }, seed: 9, logitBias: { 46: 12, 2: -Infinity } },
    ];

    test.each(cases)("$sampling, seed $seed", async ({ sampling, seed, logitBias = {} }) => {
        const prompt = QUESTIONS[2];
        const { parts } = await collect(
            complete(ensemble, { prompt, sampling, seed, logitBias, scores: true, maxTokens: 24 }),
        );
        const options = { ...DEFAULT_SAMPLING, ...sampling };
        const text = [...((await ensemble.members[0]?.prompt.tokenize([{ role: "user", content: prompt }])) ?? [])];
        const bias = new Map(Object.entries(logitBias).map(([id, value]) => [Number(id), value]));
        const expected = parts.map(({ scores = [] }, position) => {
            const history = [...text, ...parts.slice(0, position).map(({ id }) => id)].slice(-options.penaltyLastN);
            return drawGumbel(shape(applyPenaltiesAndBias(scores, options, history, bias), options), seed, position);
        });
        expect(parts.map(({ id }) => id)).toEqual(expected);
        expect(parts.length).toBeGreaterThan(3);
        // What is reported is the target itself, before all of that.
        for (const { id, logprob, scores } of parts) expect(logprob).toBe(scores?.[id]);
    });

    test("of the target's tokens is what the members' rows give", async () => {
        const { parts } = await collect(
            complete(ensemble, { prompt: QUESTIONS[0], memberLogprobs: true, topLogprobs: 100, scores: true, seed: 3 }),
        );
        for (const { logprob, members, top, scores } of parts) {
            expect(top).toHaveLength(100);
            // Differences between tokens need no normaliser.
            const [first] = top ?? [];
            for (const other of top ?? []) {
                const fused = upscaled(other.members) - upscaled(first?.members);
                expect(Math.abs(other.logprob - (first?.logprob ?? NaN) - fused)).toBeLessThan(LOGPROB);
                expect(other.logprob).toBe(scores?.[other.id]);
            }
            const fused = upscaled(members) - upscaled(first?.members);
            expect(Math.abs(logprob - (first?.logprob ?? NaN) - fused)).toBeLessThan(LOGPROB);
            expect(top?.map((token) => token.logprob)).toEqual([...(scores ?? [])].sort((a, b) => b - a).slice(0, 100));
        }
    });
});

test("the same seed gives the same text, another seed another", async () => {
    await withEnsemble(upscalingRecipe(), {}, async (ensemble) => {
        const text = async (seed: number): Promise<string> =>
            (await collect(complete(ensemble, { prompt: "", seed, sampling: { temperature: 1 }, maxTokens: 30 }))).text;
        const first = await text(1);
        expect(await text(1)).toBe(first);
        const others = await Promise.all([2, 3, 4].map(text));
        expect(new Set([first, ...others]).size).toBe(4);
    });
});

function upscaled(members: Readonly<Record<string, number>> | undefined): number {
    const { large = NaN, chat = NaN, small = NaN } = members ?? {};
    return chat + large - small;
}
