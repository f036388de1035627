/** Draws from rows of log-probabilities, natively and by the reference. */

import { applyPenaltiesAndBias, shape } from "./reference.js";
import type { NativeSampleOptions } from "../../src/native/binding.js";

/** The target itself: nothing shapes it. */
export const UNSHAPED: NativeSampleOptions = {
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    repeatPenalty: 1,
    frequencyPenalty: 0,
    presencePenalty: 0,
    history: new Int32Array(),
    biasTokens: new Int32Array(),
    biasValues: new Float32Array(),
    seed: 0,
    position: 0,
};

/** The reference's log-probabilities after penalties and biases. */
export function penalized(row: Float32Array, options: NativeSampleOptions): Float64Array {
    const bias = new Map(Array.from(options.biasTokens, (token, i) => [token, options.biasValues[i] ?? NaN]));
    return applyPenaltiesAndBias(row, options, options.history, bias);
}

/** The reference's probabilities, of which the draw is one. */
export function probabilities(row: Float32Array, options: NativeSampleOptions): Float64Array {
    return shape(penalized(row, options), options);
}
