/** Comparing texts that were drawn from logits that differ in their last bits. */

import { expect } from "@jest/globals";
import { uniformNoise } from "../../src/decoding/noise.js";
import type { CompletionResult } from "../../src/index.js";
import { F16_BATCHING } from "./tolerances.js";

/**
 * Expects the same tokens, or a first difference that is a near-tie: the two tokens' log p / T + noise, of which the
 * larger is drawn, are so close together that the difference between batched and single evaluation explains it.
 *
 * @param alone - with `scores`
 * @param temperature - of both; 0 for greedy
 * @param tolerance - largest difference of a log-probability that is explained
 * @returns number of tokens that agree
 */
export function expectSameDraws(
    actual: CompletionResult,
    alone: CompletionResult,
    temperature: number,
    // Three members, each of which may err.
    tolerance = 3 * F16_BATCHING,
): number {
    const [own, other] = [actual.parts.map(({ id }) => id), alone.parts.map(({ id }) => id)];
    const differs = other.findIndex((id, position) => id !== own[position]);
    if (differs < 0) {
        expect(own).toEqual(other);
        return own.length;
    }
    const scores = alone.parts[differs]?.scores ?? [];
    const margin = value(other[differs]) - value(own[differs]);
    // Both tokens' log-probabilities may err, and count the more the lower the temperature.
    expect(Math.abs(margin)).toBeLessThan((2 * tolerance) / (temperature || 1));
    return differs;

    function value(token = NaN): number {
        const logprob = scores[token] ?? NaN;
        if (temperature === 0) return logprob;
        return logprob / temperature - Math.log(-Math.log(uniformNoise(alone.seed, differs, token)));
    }
}
