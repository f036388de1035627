/**
 * Drafting and verifying in plain arithmetic: the slow, readable twin of `native/math/speculate.cpp`, as `reference.ts` is that
 * of the draw.
 *
 * A drafter, cheap to evaluate, guesses the next tokens; the target then decides about all of them after one evaluation.
 * Whatever the drafter guesses, each token must be distributed as the target wants it. At one position, with p and q the
 * target's and the drafter's distribution as {@link shape} returns them:
 *
 * 1. {@link draft}: a guess, drawn from q; {@link confidence}: how sure the drafter is.
 * 2. {@link verify}: the token, distributed as p. The draft is accepted if it is that token.
 * 3. {@link acceptanceGumbel}, {@link acceptanceMaximal}: how often that is the case.
 */

import type { Coupling, SamplingOptions } from "../../src/types.js";
import { uniformNoise } from "../../src/decoding/noise.js";
import { at, drawGumbel, shape, sum, type Row } from "./reference.js";

/**
 * Draws what the drafter proposes: with the noise of the target's draw (`gumbel`) or with noise of its own (`maximal`).
 *
 * @param q - the drafter's probabilities
 * @param seed - 0 .. 2^53 - 1
 * @param position - index of the token in the generated text
 */
export function draft(q: Row, coupling: Coupling, seed: number, position: number): number {
    return drawGumbel(q, seed, position, coupling === "gumbel" ? "target" : "drafter");
}

/**
 * Probability of the drafter's most probable token. At temperature 0 the drafter is certain of everything; there it is the
 * probability at temperature 1 without filters.
 *
 * @param row - the drafter's log-probabilities after penalties and bias
 * @throws EftError NO_TOKEN_LEFT
 */
export function confidence(row: Row, options: Pick<SamplingOptions, "temperature" | "topK" | "topP" | "minP">): number {
    const unshaped = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    const probabilities = shape(row, options.temperature === 0 ? unshaped : options);
    return probabilities.reduce((a, b) => Math.max(a, b));
}

/**
 * Draws the token at a drafted position. Its distribution is p, and the draft is accepted if and only if it is that token.
 *
 * - `gumbel`: the token is what the target draws without a drafter. A drafter that resembles the target has drawn the same
 *   from the same noise, most of the time.
 * - `maximal`: rejection sampling (Leviathan et al. 2211.17192, Chen et al. 2302.01318). Draft x stays with probability
 *   min(1, p_x / q_x). That gives token i with probability min(p_i, q_i); what is missing to p_i is
 *   max(0, p_i - q_i), and a rejection draws from that.
 *
 * @param p - the target's probabilities
 * @param q - those that the draft was drawn from; undefined if it was not drawn: 1 at the draft, 0 elsewhere
 * @param drafted - the draft
 */
export function verify(
    p: Row,
    q: Row | undefined,
    drafted: number,
    coupling: Coupling,
    seed: number,
    position: number,
): number {
    if (coupling === "gumbel") return drawGumbel(p, seed, position);
    const proposal = q ?? Float64Array.from(p, (_, id) => (id === drafted ? 1 : 0));
    const u = uniformNoise(seed, position, 0, "acceptance");
    if (u * at(proposal, drafted) < at(p, drafted)) return drafted;
    const missing = Float64Array.from(p, (probability, id) => Math.max(0, probability - at(proposal, id)));
    // After a rejection something is missing, but it may be less than rounding.
    return drawGumbel(missing.some((value) => value > 0) ? missing : p, seed, position);
}

/**
 * Half the sum of |p_i - q_i|: 0 for equal distributions, 1 for those that share no token.
 *
 * @param p - probabilities
 * @param q - probabilities
 */
export function totalVariation(p: Row, q: Row): number {
    return sum(Array.from(p, (probability, i) => Math.abs(probability - at(q, i)))) / 2;
}

/** Probability that `maximal` accepts a draft: 1 - {@link totalVariation}; no coupling accepts more often. */
export function acceptanceMaximal(p: Row, q: Row): number {
    return 1 - totalVariation(p, q);
}

/**
 * Probability that `gumbel` accepts a draft (Daliri, Musco, Suresh 2408.07978):
 *
 *     sum_i 1 / sum_j max(p_j / p_i, q_j / q_i)
 *
 * Token i wins both races against all j with this probability. It is at least (1 - TV) / (1 + TV), TV being the
 * {@link totalVariation}.
 */
export function acceptanceGumbel(p: Row, q: Row): number {
    const ids = Array.from(p, (_, i) => i);
    const possible = ids.filter((i) => at(p, i) > 0 && at(q, i) > 0);
    return sum(possible.map((i) => 1 / sum(ids.map((j) => Math.max(at(p, j) / at(p, i), at(q, j) / at(q, i))))));
}
