/** How far two evaluations of one text are apart. */

import type { CompletionResult } from "../decoding/completion.js";
import { uniformNoise } from "../decoding/noise.js";

/** A token that is less probable than this may differ more: its logit is a small sum of large numbers. */
const PROBABLE = Math.log(1e-4);
/**
 * Log-probabilities may differ by so much where the same kernels compute the same batches: they are equal then, but for the order
 * of sums on some devices.
 */
export const ROUNDING = 0.01;
/**
 * By so much, two tokens of almost the same probability may change places where one is evaluated in another batch than the other: in
 * half precision and in few bits llama.cpp rounds by the size of the batch.
 */
export const NEAR_TIE = 0.2;

/**
 * Largest difference of two rows' log-probabilities, of tokens that are probable to either; NaN where a number is missing, or where
 * the rows are of different lengths.
 */
export function largestDifference(own: Float32Array, other: Float32Array): number {
    if (own.length !== other.length) return NaN;
    let worst = 0;
    for (let id = 0; id < own.length; id++) {
        const [a, b] = [own[id] ?? NaN, other[id] ?? NaN];
        if (Number.isNaN(a) || Number.isNaN(b)) return NaN;
        if (a >= PROBABLE || b >= PROBABLE) worst = Math.max(worst, Math.abs(a - b));
    }
    return worst;
}

/** Where two texts part, and by how much the one's token was ahead of the other's. */
export interface Difference {
    /** Tokens that are the same. */
    readonly at: number;
    /** In nats, noise included; NaN where it is not known, or one text has ended. */
    readonly margin: number;
}

/**
 * The first difference of a text to one that was drawn with the same seed.
 *
 * @param ids - tokens
 * @param plain - with `scores`
 * @param temperature - 0, or that of both
 */
export function firstDifference(
    ids: readonly number[],
    plain: Pick<CompletionResult, "parts" | "seed">,
    temperature: number,
): Difference | undefined {
    const at = plain.parts.findIndex(({ id }, index) => id !== ids[index]);
    if (at < 0) return ids.length <= plain.parts.length ? undefined : { at: plain.parts.length, margin: NaN };
    const part = plain.parts[at];
    const value = (token = -1): number => {
        const logprob = part?.scores?.[token] ?? NaN;
        if (temperature === 0) return logprob;
        return logprob / temperature - Math.log(-Math.log(uniformNoise(plain.seed, at, token)));
    };
    return { at, margin: value(part?.id) - value(ids[at]) };
}

/** Whether rounding explains a difference. */
export function isNearTie({ margin }: Difference): boolean {
    return Math.abs(margin) <= NEAR_TIE;
}

/** `at token 12, by 0.0003: a near-tie`. */
export function describeDifferenceOf({ at, margin }: Difference): string {
    if (Number.isNaN(margin)) return `at token ${at + 1}`;
    return `at token ${at + 1}, where one token is ahead of the other by ${margin.toPrecision(2)}`;
}
