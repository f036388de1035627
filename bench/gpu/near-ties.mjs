// Comparing texts that were drawn from logits that differ a little: another device multiplies in another order and another
// precision. The rule is that of the tests (test/helpers/draws.ts, tolerances.ts): log-probabilities may differ by so much, and
// where texts differ first, the two tokens must be so close together that this explains it: a near-tie. What follows a first
// difference is another text and is not compared.

import { importBuilt } from "../families.mjs";

const { uniformNoise } = await importBuilt("decoding", "noise.js");

/** Of one member in F16: the largest difference between log-probabilities that is explained; as in test/helpers/tolerances.ts. */
export const F16_BATCHING = 0.06;
/** The same where a text is not the models' own: a grammar forces it, or it is given. */
export const F32_FORCED = 0.1;
/**
 * The same with quantized weights: the CPU rounds activations to 8 bits to multiply them with, and a device may not, or not in the
 * same blocks. 0.18 was the largest difference seen on lavapipe, three members, Q8_0.
 */
export const QUANTIZED = 0.12;

/**
 * @param pairs - results of the reference and of what is checked, both with `scores`
 * @param options - `temperature` (default 0), `tolerance`: largest difference of a log-probability that is explained
 * @returns a check: `tokens` that were compared, `largest` difference, `first` difference of the texts, its `margin` (both
 *   undefined if there is none; the largest margin if there are several), `isGood`
 */
export function compareTexts(pairs, { temperature = 0, tolerance }) {
    const check = { tokens: 0, largest: 0, tolerance, isGood: pairs.length > 0 };
    for (const [index, [reference, other]] of pairs.entries()) {
        const differs = reference.parts.findIndex(({ id }, at) => id !== other.parts[at]?.id);
        const end = differs < 0 ? reference.parts.length : differs + 1;
        if (end === 0 || (differs < 0 && other.parts.length !== end)) check.isGood = false;
        for (let at = 0; at < end; at++) {
            const [own, others] = [reference.parts[at], other.parts[at]];
            for (const id of new Set([own.id, others?.id ?? own.id])) {
                const difference = Math.abs(own.scores[id] - (others?.scores[id] ?? NaN));
                // Not a number is never good.
                if (!(difference <= tolerance)) check.isGood = false;
                if (!(difference <= check.largest)) check.largest = difference;
            }
        }
        check.tokens += end;
        if (differs < 0) continue;
        const margin = marginAt(reference, differs, other.parts[differs]?.id, temperature);
        if (!(margin < (2 * tolerance) / (temperature || 1))) check.isGood = false;
        if (!(margin <= check.margin))
            Object.assign(check, { margin, first: `text ${index + 1}, token ${differs + 1}` });
    }
    return check;
}

/** How far the two tokens' log p / T + noise are apart, of which the larger one is drawn. */
function marginAt({ parts, seed }, at, otherId, temperature) {
    const { id, scores } = parts[at];
    const value = (token) =>
        temperature === 0
            ? scores[token]
            : scores[token] / temperature - Math.log(-Math.log(uniformNoise(seed, at, token)));
    return Math.abs(value(id) - value(otherId));
}

/** Log-probabilities of given texts. @param pairs - scores by the reference and by what is checked */
export function compareScores(pairs, { tolerance }) {
    const differences = pairs.flatMap(([reference, other]) =>
        reference.logprobs.map((logprob, token) => Math.abs(logprob - (other?.logprobs[token] ?? NaN))),
    );
    // Not a number is never good.
    const isGood = differences.length > 0 && differences.every((difference) => difference <= tolerance);
    return { tokens: differences.length, largest: Math.max(...differences), tolerance, isGood };
}
