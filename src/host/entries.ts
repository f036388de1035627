/** Entries of native jobs, as far as they draw. */

import type { NativeFollowingEntry, NativeStepEntry } from "../native/binding.js";
import type { Chain } from "./chains.js";
import type { Attempt, DraftPlan } from "./drafts.js";
import type { DrawEvaluation } from "./evaluations.js";
import type { Lease } from "./sequences.js";

/** An entry that goes on. */
export function toFollowing(
    lease: Lease,
    slot: number,
    { id }: Chain,
    plan: DraftPlan,
    compare: boolean,
): NativeFollowingEntry {
    const { length, stop } = plan;
    return {
        ...{ target: lease.target.id, sequence: slot, follows: id },
        ...((length > 0 || compare) && { plan: { length, minConfidence: stop.minConfidence, compare } }),
    };
}

/** What native code has to be told of a draw. */
export function drawEntry(
    { drawing: { fusion, draw, speculation }, history, position }: DrawEvaluation,
    attempt: Attempt | undefined,
    { length, stop }: DraftPlan,
    compare: boolean,
): Partial<NativeStepEntry> {
    const drafts = attempt?.proposal?.slice(0, length) ?? new Int32Array(0);
    return {
        ...{ fusion, draw: { ...draw, history: history(), position } },
        ...(speculation && {
            speculation: {
                ...{ drafts, coupling: speculation.coupling },
                ...(speculation.drafter && attempt?.proposal === undefined && { drafter: speculation.drafter }),
                ...(speculation.drafterSampling && { drafterSampling: speculation.drafterSampling }),
            },
            plan: { length: attempt?.proposal ? 0 : length, minConfidence: stop.minConfidence, compare },
        }),
    };
}
