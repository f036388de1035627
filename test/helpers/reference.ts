/**
 * Emulated fine-tuning in plain arithmetic: from the logits of several models to the next token.
 *
 * This is the slow, readable twin of `native/math/fuse.cpp` and `native/math/sample.cpp`, in double precision and without a
 * trick. Generation never calls it; the tests hold the native code against it. It reads from top to bottom in the order
 * in which a token is made:
 *
 * 1. {@link normalize}: each model's logits become log-probabilities.
 * 2. {@link combine}: a weighted sum of them. For up-scaling, `large + (chat - small)`: what the large model knows, plus
 *    what fine-tuning has changed in the small one. Adding logarithms multiplies probabilities.
 * 3. {@link applyConservativeFilter}: for tokens that the small fine-tuned model finds improbable, believe it alone. And
 *    {@link fuse}, which takes tokens that bases know nothing about from the fine-tuned model too.
 * 4. {@link applyPenaltiesAndBias}, {@link mask}, {@link shape}: the user's wishes about the text: penalties, grammar,
 *    temperature, filters.
 * 5. {@link drawGumbel}: one token, by noise that only depends on a seed and on places in the text and the vocabulary.
 *
 * How a drafter guesses tokens ahead of the target is the matter of `speculative-reference.ts`.
 *
 * The method is that of Mitchell, Rafailov, Sharma, Finn, Manning, "An Emulator for Fine-Tuning Large Language Models
 * using Small Language Models", ICLR 2024, arXiv 2310.12962.
 */

import { uniformNoise, type NoiseStream } from "../../src/decoding/noise.js";
import { EftError } from "../../src/errors.js";
import { TOKEN_KIND, type NativeFusion } from "../../src/native/binding.js";
import type { SamplingOptions } from "../../src/types.js";

/** One number per token id: logits or log-probabilities. -Infinity: the token is not possible ("masked"). */
export type Row = ArrayLike<number>;

/** A token id and its log-probability. */
export interface TokenLogprob {
    readonly token: number;
    readonly logprob: number;
}

// ---------------------------------------------------------------------------------------------- 1. log-probabilities

/**
 * log sum_i exp(row_i), the logarithm of the sum of what the row holds the logarithms of.
 *
 * Subtracting the maximum first keeps exp() from overflowing and changes nothing else.
 *
 * @returns -Infinity for a row that is masked entirely
 */
export function logSumExp(row: Row): number {
    const values = Array.from(row);
    const max = values.reduce((a, b) => Math.max(a, b), -Infinity);
    if (max === -Infinity) return -Infinity;
    return max + Math.log(sum(values.map((value) => Math.exp(value - max))));
}

/**
 * Logits to log-probabilities: log p_i = logit_i - log sum_j exp(logit_j).
 *
 * Models differ by an arbitrary constant in their logits. It disappears here, which is why combinations are made of
 * normalised rows.
 *
 * @throws EftError NON_FINITE_LOGITS: a logit is NaN or +Infinity
 * @throws EftError NO_TOKEN_LEFT: all tokens are masked
 */
export function normalize(row: Row): Float64Array {
    const values = Float64Array.from(row);
    if (values.some((value) => Number.isNaN(value) || value === Infinity)) {
        throw new EftError("NON_FINITE_LOGITS", "A row holds logits that are not numbers.");
    }
    const logNormalizer = logSumExp(values);
    if (logNormalizer === -Infinity) throw new EftError("NO_TOKEN_LEFT", "A row masks every token.");
    return values.map((value) => value - logNormalizer);
}

/** The same, but a row that is masked entirely stays as it is. */
function normalizeIfPossible(row: Row): Float64Array {
    return logSumExp(row) === -Infinity ? Float64Array.from(row) : normalize(row);
}

// ------------------------------------------------------------------------------------------------- 2. combination

/**
 * The linear form over the members' log-probabilities (equations 3 and 4 of the paper):
 *
 *     target_i = sum_m weight_m * log p_m(i)
 *
 * A member of weight 0 does not take part at all; it may even be broken. A token that any other member cannot produce
 * is not in the target, whatever the sign of that member's weight.
 *
 * @param rows - the members' logits, equally long; undefined is allowed where the weight is 0
 * @param length - of the rows
 * @returns log-values that are not normalised yet
 * @throws EftError NON_FINITE_LOGITS
 */
export function combine(
    rows: readonly (Row | undefined)[],
    weights: ArrayLike<number>,
    length = Math.max(...rows.map((row) => row?.length ?? 0)),
): Float64Array {
    const terms = rows.flatMap((row, member) => {
        const weight = weights[member] ?? 0;
        return weight === 0 || row === undefined ? [] : [{ weight, logprobs: normalizeIfPossible(row) }];
    });
    return Float64Array.from({ length }, (_, i) => {
        const masked = terms.some(({ logprobs }) => at(logprobs, i) === -Infinity);
        return masked ? -Infinity : sum(terms.map(({ weight, logprobs }) => weight * at(logprobs, i)));
    });
}

// ------------------------------------------------------------------------------------------- 3. conservative filter

/** Ids of the tokens that are possible, most probable first, ties to the lower id. */
export function rank(row: Row): number[] {
    const ids = Array.from(row, (_, i) => i).filter((i) => at(row, i) > -Infinity);
    return ids.sort((a, b) => at(row, b) - at(row, a) || a - b);
}

/**
 * The nucleus of Holtzman et al. 1904.09751: the smallest set of most probable tokens that holds the mass.
 *
 * @param ranking - ids, most probable first
 * @param weight - unnormalised probability of an id
 * @param topP - fraction of the mass of all ids in `ranking`, (0, 1]
 * @returns the beginning of `ranking`
 */
export function nucleus(ranking: readonly number[], weight: (id: number) => number, topP: number): number[] {
    if (topP >= 1) return [...ranking];
    const enough = topP * sum(ranking.map(weight));
    let mass = 0;
    const size = ranking.findIndex((id) => (mass += weight(id)) >= enough) + 1;
    return ranking.slice(0, size || ranking.length);
}

/**
 * The paper's "top-p filtering of up-scaling weights", a conservative way of decoding. The ratio of two models is noise where both find
 * a token improbable, and a sum of such ratios can raise a nonsense token to the top. So:
 *
 *     target_i   for i in the nucleus of the fallback (normally the small fine-tuned member)
 *     fallback_i for all others
 *
 * @param target - the combination, as {@link combine} returns it
 * @param fallback - normalised log-probabilities
 * @returns log-values that are not normalised
 */
export function applyConservativeFilter(target: Row, fallback: Row, topP: number): Float64Array {
    const inside = new Set(nucleus(rank(fallback), (id) => Math.exp(at(fallback, id)), topP));
    return Float64Array.from(fallback, (value, i) => (inside.has(i) ? at(target, i) : value));
}

/**
 * Steps 1 to 3 together. What bases know nothing about stands apart: added tokens, which some members do not even have, and
 * control tokens, if asked for. With f the fallback, p the filtered combination of the others and A the tokens apart:
 *
 *     target_i = f_i                            for i in A
 *     target_i = (1 - sum of f over A) * p_i    for all others
 *
 * where p is made as if the tokens apart did not exist: each member is normalised over the others alone.
 *
 * @param rows - one row of logits per member; what lies behind the end of a row is none of the member's tokens
 * @param kinds - one of {@link TOKEN_KIND} per id. Default: all are combined, as far as the shortest row reaches
 * @returns the normalised log-probabilities of the target
 * @throws EftError NON_FINITE_LOGITS, NO_TOKEN_LEFT
 */
export function fuse(
    rows: readonly (Row | undefined)[],
    fusion: NativeFusion,
    kinds?: ArrayLike<number>,
): Float64Array {
    const { weights, fallback: fallbackWeights, conservativeTopP } = fusion;
    const length = kinds?.length ?? Math.min(...rows.flatMap((row) => row?.length ?? []));
    const whole = rows.map((row, member) => {
        if ((weights[member] ?? 0) === 0 && (fallbackWeights?.[member] ?? 0) === 0) return undefined;
        const logits = Float64Array.from({ length }, (_, id) => row?.[id] ?? -Infinity);
        return normalize(logits);
    });
    const isControlApart = fallbackWeights !== undefined && fusion.controlTokensFallback;
    const isApart = (id: number): boolean =>
        kinds?.[id] === TOKEN_KIND.added || (isControlApart && kinds?.[id] === TOKEN_KIND.control);
    const others = whole.map((row) => row && mask(row, (id) => !isApart(id)));
    if (fallbackWeights === undefined) return normalize(combine(others, weights, length));

    const fallback = normalize(combine(whole, fallbackWeights, length));
    const rest = logSumExp(mask(fallback, (id) => !isApart(id)));
    const filtered = applyConservativeFilter(
        combine(others, weights, length),
        normalizeIfPossible(combine(others, fallbackWeights, length)),
        conservativeTopP,
    );
    const shares = normalizeIfPossible(filtered);
    return normalize(fallback.map((logprob, id) => (isApart(id) ? logprob : rest + at(shares, id))));
}

/** The `count` most probable tokens of a row, most probable first, ties to the lower id. */
export function topLogprobs(row: Row, count: number): TokenLogprob[] {
    return rank(row)
        .slice(0, count)
        .map((token) => ({ token, logprob: at(row, token) }));
}

// --------------------------------------------------------------------------------- 4. what the user wants of the text

/**
 * Makes recent tokens less probable, and moves single tokens as asked:
 *
 *     log p_i <- repeatPenalty * log p_i - frequencyPenalty * occurrences_i - presencePenalty     for recent tokens
 *     log p_i <- log p_i + bias_i
 *
 * The first factor is Keskar et al. 1909.05858 on log-probabilities, where it always points downwards.
 *
 * @param history - the recent tokens
 * @param bias - per token id; -Infinity forbids the token
 */
export function applyPenaltiesAndBias(
    row: Row,
    options: Pick<SamplingOptions, "repeatPenalty" | "frequencyPenalty" | "presencePenalty">,
    history: ArrayLike<number>,
    bias: ReadonlyMap<number, number>,
): Float64Array {
    const occurrences = new Map<number, number>();
    for (const token of Array.from(history)) occurrences.set(token, (occurrences.get(token) ?? 0) + 1);
    return Float64Array.from(row, (logprob, token) => {
        const count = occurrences.get(token) ?? 0;
        const penalized =
            count === 0
                ? logprob
                : options.repeatPenalty * logprob - options.frequencyPenalty * count - options.presencePenalty;
        return penalized + (bias.get(token) ?? 0);
    });
}

/**
 * Leaves only the tokens that a grammar allows next. Filters come after it: what they keep is the best of what is allowed.
 *
 * @param isAllowed - by token id
 */
export function mask(row: Row, isAllowed: (id: number) => boolean): Float64Array {
    return Float64Array.from(row, (logprob, id) => (isAllowed(id) ? logprob : -Infinity));
}

/**
 * Temperature and filters, in this order:
 *
 * - temperature T: p_i ~ exp(log p_i / T); below 1 sharper, above 1 flatter, 0 only the most probable token
 * - top-k: the k most probable tokens (Fan et al. 1805.04833)
 * - top-p: the {@link nucleus} of what is left
 * - min-p: no token below this fraction of the most probable one (Nguyen et al. 2407.01082)
 *
 * @returns probabilities that sum to 1, 0 for tokens that were filtered out
 * @throws EftError NO_TOKEN_LEFT
 */
export function shape(
    row: Row,
    options: Pick<SamplingOptions, "temperature" | "topK" | "topP" | "minP">,
): Float64Array {
    const { temperature, topK, topP, minP } = options;
    const ranking = rank(row);
    const [best] = ranking;
    if (best === undefined) throw new EftError("NO_TOKEN_LEFT", "Biases and masks exclude every token.");
    if (temperature === 0) return Float64Array.from(row, (_, id) => (id === best ? 1 : 0));

    const weight = (id: number): number => Math.exp((at(row, id) - at(row, best)) / temperature);
    const likeliest = topK > 0 ? ranking.slice(0, topK) : ranking;
    const kept = nucleus(likeliest, weight, topP).filter((id) => weight(id) >= minP);
    const total = sum(kept.map(weight));
    const probabilities = new Float64Array(row.length);
    for (const id of kept) probabilities[id] = weight(id) / total;
    return probabilities;
}

// ------------------------------------------------------------------------------------------------------ 5. the draw

/**
 * Draws a token by the Gumbel-max trick (Gumbel 1954; Maddison, Tarlow, Minka 1411.0030):
 *
 *     argmax_i log p_i + g_i   with   g_i = -log(-log u_i),   u_i uniform
 *
 * is distributed as p. Each token brings its own noise, so a distribution that changes a little rarely changes the
 * draw. That is what lets a drafter guess the target's tokens, and what makes a text independent of how it was
 * computed.
 *
 * @param probabilities - need not sum to 1; tokens of probability 0 are never drawn
 * @returns the token; ties go to the lower id
 */
export function drawGumbel(probabilities: Row, seed: number, position: number, stream: NoiseStream = "target"): number {
    const scores = Array.from(probabilities, (probability, token) =>
        probability === 0
            ? -Infinity
            : Math.log(probability) - Math.log(-Math.log(uniformNoise(seed, position, token, stream))),
    );
    return scores.indexOf(scores.reduce((a, b) => Math.max(a, b), -Infinity));
}

// ---------------------------------------------------------------------------------------------------------- helpers

/** Sum of numbers. */
export function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
}

/** Entry of a row that is known to be there. */
export function at(row: ArrayLike<number>, i: number): number {
    return row[i] as number;
}
