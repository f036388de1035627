/** How much each sequence of the next step drafts: policies decide for all sequences that use them together. */

import type { CostTable } from "./costs.js";
import { NO_DRAFTS, type Attempt, type DraftPlan } from "./drafts.js";
import type { Drawing } from "./evaluations.js";
import type { Lease } from "./sequences.js";

/** A sequence that draws in the next step. */
export interface Candidate {
    readonly lease: Lease;
    readonly drawing: Drawing;
    readonly attempt: Attempt | undefined;
}

/** @returns one plan for each */
export function choosePlans(candidates: readonly Candidate[], costs: CostTable): DraftPlan[] {
    const plans = candidates.map(() => NO_DRAFTS);
    const drafting = [...candidates.keys()].filter((index) => candidates[index]?.attempt?.prospect !== undefined);
    const draws = candidates.length - drafting.length;
    const policyOf = (index: number) => candidates[index]?.drawing.speculation?.policy;
    for (const policy of new Set(drafting.map(policyOf))) {
        const own = drafting.filter((index) => policyOf(index) === policy);
        const prospects = own.flatMap((index) => candidates[index]?.attempt?.prospect ?? []);
        const trust = Math.min(...own.map((index) => candidates[index]?.lease.target.trust.factor() ?? 1));
        policy?.choose(prospects, { draws, trust }, costs).forEach((plan, place) => (plans[own[place] ?? 0] = plan));
    }
    return plans;
}
