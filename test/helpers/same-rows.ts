/** Texts of members that keep a state, a window or choose experts, compared row by row and not by their tokens alone. */

import { expect } from "@jest/globals";
import type { CompletionResult } from "../../src/index.js";
import { expectSameDraws } from "./draws.js";
import { largestError } from "./oracle.js";
import { STATE_BATCHING, STATE_ROWS } from "./tolerances.js";

/**
 * Expects the same tokens at temperature 1, each from the same row, and what is drawn differently, as at near-ties, from the same row still:
 * one behind a rejected draft shows that its state is that of the text, and of no draft.
 *
 * @param actual - with `scores`, as `alone`
 */
export function expectSameRows(actual: CompletionResult, alone: CompletionResult): void {
    const agreed = expectSameDraws(actual, alone, 1, STATE_BATCHING);
    const rowsOf = ({ parts }: CompletionResult) => parts.slice(0, agreed + 1).map(({ scores }) => scores ?? []);
    const own = rowsOf(actual);
    expect(own.at(-1)?.length).toBeGreaterThan(0);
    expect(largestError(own, rowsOf(alone))).toBeLessThan(STATE_ROWS);
}
