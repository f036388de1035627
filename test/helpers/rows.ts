/** Fusions of rows of logits and draws from rows of log-probabilities, natively and by the reference. */

import { existsSync } from "node:fs";
import path from "node:path";
import { describe } from "@jest/globals";
import { applyPenaltiesAndBias, shape } from "./reference.js";
import type { NativeBinding, NativeDraw, NativeFusion } from "../../src/native/binding.js";
import { loadBinding, openAddon } from "../../src/native/load-binding.js";
import { packageRoot } from "../../src/package.js";
import type { Coupling } from "../../src/types.js";

/** What `native/test/addon/rows.cpp` exports besides: native code's arithmetic on rows in JavaScript memory. */
interface RowFunctions {
    /**
     * `native/math/fuse.h` on rows of M members. Returns V normalised log-probabilities.
     *
     * @param kinds - V values of `TOKEN_KIND`; shorter rows lack what lies behind their end. Default: all are combined,
     * and V is the length of the shortest row
     */
    combineRows(rows: readonly (Float32Array | undefined)[], fusion: NativeFusion, kinds?: Uint8Array): Float32Array;
    /** `native/math/sample.h` on a row of V log-probabilities, which is not changed. Returns the token. */
    sampleRow(row: Float32Array, draw: NativeDraw): number;
    /** `native/math/speculate.h`: a draft from the drafter's row, and the probability of its most probable token. */
    draftRow(row: Float32Array, coupling: Coupling, draw: NativeDraw): { token: number; confidence: number };
    /** `native/math/speculate.h`: the token at a drafted position; the draft is accepted if it is that one. */
    verifyRow(
        target: Float32Array,
        drafter: Float32Array | undefined,
        draft: number,
        coupling: Coupling,
        draw: NativeDraw,
        /** How the draft was drawn. Default: as `draw` too. */
        drafterDraw?: NativeDraw,
    ): number;
}

const file = path.join(packageRoot, "build", "Release", "eft_rows.node");

/** Whether the addon of the tests is there; it is compiled, and not everybody has a compiler. */
export const hasRows = existsSync(file);
/** For tests of arithmetic on rows, which are skipped without that addon. */
export const describeRows = hasRows ? describe : describe.skip;

/**
 * The addon of the tests: of the same objects as the one that is shipped, with functions on rows besides. Where it is not, the
 * shipped one, for what surrounds tests that are skipped.
 */
export function loadRows(): NativeBinding & RowFunctions {
    return (hasRows ? openAddon(file) : loadBinding()) as NativeBinding & RowFunctions;
}

/** The target itself: nothing shapes it. */
export const UNSHAPED: NativeDraw = {
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    repeatPenalty: 1,
    frequencyPenalty: 0,
    presencePenalty: 0,
    history: new Int32Array(),
    historyLimit: 0,
    biasTokens: new Int32Array(),
    biasValues: new Float32Array(),
    seed: 0,
    position: 0,
    top: 0,
    members: false,
    scores: false,
};

/** The reference's log-probabilities after penalties and biases. */
export function penalized(row: Float32Array, options: NativeDraw): Float64Array {
    const bias = new Map(Array.from(options.biasTokens, (token, i) => [token, options.biasValues[i] ?? NaN]));
    return applyPenaltiesAndBias(row, options, options.history, bias);
}

/** The reference's probabilities, of which the draw is one. */
export function probabilities(row: Float32Array, options: NativeDraw): Float64Array {
    return shape(penalized(row, options), options);
}
