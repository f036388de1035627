/** The loop at a given acceptance, whatever the models: drafts that are right as often as one wants. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createSyntheticProposer } from "../../bench/synthetic.mjs";
import { collect, complete, type CompletionResult, type DraftLength, type Ensemble } from "../../src/index.js";
import { loadOnCpu, QUESTIONS, upscalingRecipe } from "../helpers/demo.js";
import { DEVIATIONS } from "../helpers/tolerances.js";

const EOS = 2;
const TOKENS = 120;
const PROMPTS = QUESTIONS.slice(0, 5);

let ensemble: Ensemble;
let plain: CompletionResult[];
beforeAll(async () => {
    ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 1 });
    plain = [];
    for (const seed of PROMPTS.keys()) plain.push(await run(seed));
});
afterAll(() => ensemble.dispose());

/** Greedy, so that no token of a flat distribution is a near-tie. */
function run(seed: number, speculation?: { acceptance: number; length: DraftLength }): Promise<CompletionResult> {
    const { parts = [], promptTokens = {} } = plain[seed] ?? {};
    return collect(
        complete(ensemble, {
            prompt: PROMPTS[seed] ?? "",
            sampling: { temperature: 0 },
            maxTokens: TOKENS,
            logitBias: { [EOS]: -Infinity },
            ...(speculation && {
                speculation: {
                    length: speculation.length,
                    lookup: createSyntheticProposer({
                        text: parts.map(({ id }) => id),
                        promptTokens: promptTokens["large"] ?? NaN,
                        acceptance: speculation.acceptance,
                        seed,
                        vocabularySize: ensemble.vocabulary.size,
                    }),
                },
            }),
        }),
    );
}

/** Expects a frequency to be what it should be, within {@link DEVIATIONS} standard deviations. */
function expectFrequency(count: number, trials: number, probability: number): void {
    const deviation = Math.sqrt((probability * (1 - probability)) / trials);
    expect(Math.abs(count / trials - probability)).toBeLessThanOrEqual(DEVIATIONS * deviation);
}

describe.each([0, 0.3, 0.6, 0.9, 1])("drafts that are right with probability %d", (acceptance) => {
    test.each([1, 3, 8])("in blocks of %d", async (length) => {
        const sum = { steps: 0, tokens: 0, accepted: 0, drafted: 0 };
        const verifiedAt = new Array<number>(length).fill(0);
        const acceptedAt = new Array<number>(length).fill(0);
        let same = 0;
        for (const seed of PROMPTS.keys()) {
            const { parts, speculation } = await run(seed, { acceptance, length });
            // Where a near-tie falls the other way, the proposer does not know the text any more.
            const differs = parts.findIndex(({ id }, position) => id !== plain[seed]?.parts[position]?.id);
            if (differs >= 0 || speculation === undefined) continue;
            same++;
            sum.steps += speculation.steps;
            sum.tokens += speculation.tokens;
            sum.accepted += speculation.accepted;
            sum.drafted += speculation.drafted;
            expect(speculation.lookedUp).toBe(speculation.drafted);
            expect(speculation.draftMs.every((ms) => ms === 0)).toBe(true);
            for (let i = 0; i < length; i++) {
                verifiedAt[i] = (verifiedAt[i] ?? 0) + (speculation.verifiedAt[i] ?? 0);
                acceptedAt[i] = (acceptedAt[i] ?? 0) + (speculation.acceptedAt[i] ?? 0);
            }
        }
        expect(same).toBeGreaterThan(PROMPTS.length / 2);
        expect(sum.tokens).toBe(same * (TOKENS - 1));
        expect(sum.tokens).toBe(sum.steps + sum.accepted);
        verifiedAt.forEach((verified, position) => {
            if (verified > 0) expectFrequency(acceptedAt[position] ?? NaN, verified, acceptance);
        });
        // E = (1 - a^(k + 1)) / (1 - a) tokens a block; the last block of a text is cut short by its end.
        const expected = acceptance === 1 ? length + 1 : (1 - acceptance ** (length + 1)) / (1 - acceptance);
        const perBlock = sum.tokens / sum.steps;
        // A block has between 1 and length + 1 tokens, so its deviation is at most half the range.
        const tolerance = (DEVIATIONS * length) / 2 / Math.sqrt(sum.steps) + (length + 1) / (TOKENS / expected);
        expect(Math.abs(perBlock - expected)).toBeLessThan(acceptance === 0 ? 1e-9 : tolerance);
    });
});

describe("the adaptive policy", () => {
    test("gives up drafts that are never right", async () => {
        let drafted = 0;
        for (const seed of PROMPTS.keys()) {
            const { parts, speculation } = await run(seed, { acceptance: 0, length: "adaptive" });
            expect(parts).toHaveLength(TOKENS);
            expect(speculation?.lookupAccepted).toBe(0);
            drafted += speculation?.lookedUp ?? NaN;
        }
        // Each completion finds out anew. How soon depends on what a draft costs; free ones would be tried for 85 tokens.
        expect(drafted).toBeLessThan(0.5 * TOKENS * PROMPTS.length);
    });

    test("gives the same text at any acceptance", async () => {
        for (const acceptance of [0.5, 1]) {
            const { parts } = await run(1, { acceptance, length: "adaptive" });
            const differs = parts.findIndex(({ id }, position) => id !== plain[1]?.parts[position]?.id);
            expect(differs < 0 ? TOKENS : differs).toBeGreaterThan(0.5 * TOKENS);
        }
    });
});
