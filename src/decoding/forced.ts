/**
 * Text that a grammar forces: braces, names of properties, constants. Native code finds it (`native/math/forced-text`) and the
 * step verifies it as drafts that nobody had to make; here is how much of it is worth verifying at once.
 */

import type { CostTable } from "../host/costs.js";
import { NEVER_STOP, type ForcedRange } from "../host/drafts.js";
import { createForecast } from "./draft-length.js";

/** That a token of it is drawn, before anything is known: only its tokens are a guess, and not its characters. */
export const USUAL_FORCED_ACCEPTANCE = 0.9;

export interface ForcedProspect {
    /** Most tokens that there is room for. */
    readonly most: number;
    /** As a `DraftProspect` has it. */
    readonly acceptance: readonly number[];
    /** Contexts that the step evaluates. */
    readonly verifying: readonly number[];
    /** Other sequences in the step. */
    readonly others: number;
}

/**
 * @returns up to the number that promises most tokens per second if there are as many, by the measured costs of batches; from the
 *   number on from which each promises more than plain steps
 */
export function forcedRange(
    { most, acceptance, verifying, others }: ForcedProspect,
    costs: CostTable,
): Omit<ForcedRange, "looks"> {
    const prospect = { most, acceptance, verifying, stops: [NEVER_STOP] as const, drafting: [] };
    const forecast = createForecast([prospect], [NEVER_STOP], others, costs);
    // NaN and infinite while costs are unknown, when all of it is tried.
    const plain = forecast.rate();
    let [best, bestLength, least] = [plain, 0, 1];
    for (let tokens = 1; tokens <= most; tokens++) {
        forecast.addDraft(0);
        const rate = forecast.rate();
        if (rate < plain) least = tokens + 1;
        if (rate < best) continue;
        [best, bestLength] = [rate, tokens];
    }
    return { least, most: bestLength < least ? 0 : bestLength };
}
