/** Every tolerance of the tests, and why it is what it is. */

/** Promise: a fused log-probability differs from double precision by no more than this... */
export const LOGPROB = 1e-5;

/**
 * ...as far as float32 can hold it. The target is rounded twice, each time by at most 2^-24 of the number: after combining,
 * relative to about the largest entry, and after normalising. Log-probabilities of some hundred are rounded by more than
 * {@link LOGPROB}.
 */
export function logprobTolerance(logprob: number): number {
    return LOGPROB + 2 * Math.abs(logprob) * 2 ** -24;
}

/** Sums of some hundred doubles that are of the order of 1, in another order or by another formula. */
export const DOUBLE = 1e-12;

/**
 * Draws are fixed by their seeds, so a chi-square test either passes always or never. With about 50 tests, the smallest
 * p-value of correct code is expected at 0.02; below 1e-4 something is wrong with the code and not with the luck.
 */
export const P_VALUE = 1e-4;

/** Standard deviations by which a measured frequency may miss its expectation; 5 is p = 6e-7. */
export const DEVIATIONS = 5;

/**
 * llama.cpp multiplies one column by an F16 matrix with the activations rounded to F16 (relative error 2^-11 each) and
 * several columns without, and its attention over one query sums in F16. So a token of an F16 model gets slightly other
 * logits in a batch than by itself. 0.032 was the largest difference seen between log-probabilities of the demo family.
 * (In the same batches they agree to {@link LOGPROB}.)
 */
export const F16_BATCHING = 0.06;

/**
 * With float32 weights, batching leaves the cache's F16 entries and the attention over one query, which sums in F16. 0.0036
 * was the largest difference seen between log-probabilities of the demo family, three members, of any token; those of
 * improbable tokens differ most.
 */
export const F32_BATCHING = 0.008;

/**
 * Recurrent layers of random weights, fused with members of the demo family in float32: a state is the sum of another order where
 * tokens come one by one.
 */
export const STATE_BATCHING = 0.02;
/** Of any token then, improbable ones too: 0.04 was the largest difference that was seen. States of another text differ by units. */
export const STATE_ROWS = 0.08;

/**
 * A grammar forces texts that no member expects. There the small models' logits are large and far apart, and so are their errors:
 * 0.062 was the largest difference seen between log-probabilities of tokens with float32 weights, three members.
 */
export const F32_FORCED = 0.1;

/**
 * A GPU multiplies in another order and other precision than the CPU. 0.002 was the largest difference seen between
 * log-probabilities of the demo family on lavapipe and on the CPU, summed over three members.
 */
export const VULKAN_LOGPROB = 0.02;

/**
 * An adapter is applied as W x + B (A x), a merged model as (W + B A) x: the same in exact arithmetic. With float32 weights
 * the difference is some rounding, which the cache's F16 entries pass on at 2^-11. 4.2e-4 was the largest that was seen.
 */
export const MERGED_LORA = 2e-3;

/**
 * A cache in Q8_0 against one in F16: the log-probabilities of an answer's tokens, which the members are sure of. 7e-4 was the
 * largest difference that was seen.
 */
export const Q8_CACHE = 0.01;
