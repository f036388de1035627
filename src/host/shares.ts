/** What a sequence does in a job, as native code is told it: everything, or only that it goes on. */

import type { NativeFollowingEntry, NativePlan, NativeStepEntry } from "../native/binding.js";
import type { Chain, Share } from "./chains.js";
import type { Attempt, DraftPlan } from "./drafts.js";
import { isDraw, type DrawEvaluation, type Waiting } from "./evaluations.js";
import type { Lease } from "./sequences.js";
import type { Missing, Portion } from "./step-plan.js";
import { MOST_APPENDED } from "../models/context-memory.js";

/**
 * Whether native code has all that the step needs.
 *
 * @param missing - what caches lack that the step reads
 */
export function canFollow(
    { lease: { chain } }: Waiting,
    missing: readonly Missing[],
    attempt: Attempt | undefined,
): boolean {
    if (chain === undefined || attempt?.proposal !== undefined) return false;
    return missing.every(
        ({ count }, member) => count === 0 || (count <= MOST_APPENDED && count === chain.lacking[member]?.length),
    );
}

/** @param nextId - for a chain that begins */
export function toShare({ need, take, bookmarks, last, forced }: Portion, nextId: () => number): Share {
    const { waiting, missing, attempt, plan, compare, follows } = need;
    const { lease, evaluation } = waiting;
    const slot = lease.slot ?? 0;
    const { signal } = evaluation;
    const most = 1 + Math.max(plan.length, forced);
    const common = { lease, slot, last, attempt, plan, signal, waiting, most, bookmarks };
    const block = { plan, compare, forced };
    if (follows && lease.chain !== undefined) {
        const entry = toFollowing(lease, slot, lease.chain, attempt, block);
        return { ...common, entry, chain: lease.chain, tokens: undefined };
    }
    const tokens = missing.map(({ keep }, member) =>
        Int32Array.from((lease.texts[member] ?? []).slice(keep, keep + (take[member] ?? 0))),
    );
    const keep = Int32Array.from(missing, (each) => each.keep);
    const entry: NativeStepEntry = {
        ...{ target: lease.target.id, sequence: slot, tokens, keep },
        ...(bookmarks.length > 0 && { bookmarks: Int32Array.from(bookmarks) }),
    };
    lease.chain = undefined;
    if (!last) return { ...common, entry, chain: undefined, tokens };
    if (!isDraw(evaluation)) {
        const { fusion, queries } = evaluation;
        const rows = { ...(fusion && { fusion }), ...(queries && { queries }) };
        return { ...common, entry: { ...entry, ...rows }, chain: undefined, tokens };
    }
    // What is proposed is no draft of the drafter, so native code is told no drafter that it could go on with.
    if (attempt?.proposal === undefined) {
        lease.chain = {
            ...{ id: nextId(), drawing: evaluation.drawing, next: evaluation.position },
            lacking: tokens.map(({ length }) => (length === 0 ? undefined : [])),
            ...{ result: undefined, ahead: undefined },
        };
    }
    const { chain } = lease;
    const draw = drawEntry(evaluation, attempt, block);
    return { ...common, chain, tokens, entry: { ...entry, ...draw, ...(chain && { begins: chain.id }) } };
}

/** What is different from step to step. */
interface BlockPlan {
    readonly plan: DraftPlan;
    readonly compare: boolean;
    /** As {@link Portion} has it. */
    readonly forced: number;
}

/** An entry that goes on. */
export function toFollowing(
    lease: Lease,
    slot: number,
    { id }: Chain,
    attempt: Attempt | undefined,
    block: BlockPlan,
): NativeFollowingEntry {
    const plan = toPlan(attempt, block);
    return {
        ...{ target: lease.target.id, sequence: slot, follows: id },
        ...((plan.length > 0 || plan.compare || plan.forced > 0) && { plan }),
    };
}

function toPlan(attempt: Attempt | undefined, { plan: { length, stop }, compare, forced }: BlockPlan): NativePlan {
    const { least, looks } = attempt?.forced ?? { least: 0, looks: false };
    const asked = forced > 0 || !looks ? { forced, leastForced: least } : { forced: 1, leastForced: 2 };
    return { length, minConfidence: stop.minConfidence, compare, ...asked };
}

/** What native code has to be told of a draw. */
function drawEntry(
    { drawing: { fusion, draw, speculation }, history, position }: DrawEvaluation,
    attempt: Attempt | undefined,
    block: BlockPlan,
): Partial<NativeStepEntry> {
    const plan = toPlan(attempt, block);
    const drafts = attempt?.proposal?.slice(0, plan.length) ?? new Int32Array(0);
    return {
        ...{ fusion, draw: { ...draw, history: history(), position } },
        ...(speculation && {
            speculation: {
                ...{ drafts, coupling: speculation.coupling },
                ...(speculation.drafter && attempt?.proposal === undefined && { drafter: speculation.drafter }),
                ...(speculation.drafterSampling && { drafterSampling: speculation.drafterSampling }),
                ...(speculation.selective !== undefined && { selective: speculation.selective }),
            },
            plan: { ...plan, ...(attempt?.proposal && { length: 0 }) },
        }),
    };
}
