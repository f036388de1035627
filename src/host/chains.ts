/**
 * How a text goes on by itself. Native code keeps what the draws of a text have in common, so a later entry only says that it
 * follows; and the next job can be submitted before anybody has seen what the last one has drawn. What is drawn so and not wanted
 * after all, because a dial was turned or the text has ended, is never shown: caches are rewound to the text.
 */

import type { NativeFollowingEntry, NativeStepEntry } from "../native/binding.js";
import type { Attempt, DraftPlan } from "./drafts.js";
import { drawingReads, type DrawEvaluation, type Drawing, type Evaluated, type Waiting } from "./evaluations.js";
import type { Lease } from "./sequences.js";

export interface Chain {
    /** Under which native code knows it. */
    readonly id: number;
    readonly drawing: Drawing;
    /** Index of the token that is asked for next. */
    next: number;
    /** Per member: the tokens of the text that its cache lacks, by the last job whose result is there. Undefined: native code was not told. */
    lacking: (readonly number[] | undefined)[];
    /** What has been drawn, and nobody has asked for yet. */
    result: Evaluated | undefined;
    /** What is being drawn, and nobody has asked for yet. */
    ahead: Share | undefined;
}

/** What one sequence does in a job. */
export interface Share {
    readonly lease: Lease;
    /** Where it does it. */
    readonly slot: number;
    readonly entry: NativeStepEntry | NativeFollowingEntry;
    /** Whether the evaluation is finished by it. */
    readonly last: boolean;
    /** Per member: tokens of the text that it evaluates. Undefined: what the chain lacks when its turn comes. */
    readonly tokens: readonly Int32Array[] | undefined;
    /** Members whose caches have a bookmark then. */
    readonly bookmarks: readonly number[];
    /** Most tokens that it may draw. */
    readonly most: number;
    /** Of a draw with speculation. */
    readonly attempt: Attempt | undefined;
    readonly plan: DraftPlan;
    /** Of a draw that can be followed. */
    readonly chain: Chain | undefined;
    readonly signal: AbortSignal | undefined;
    /** Who gets the result; undefined while nobody has asked for it. */
    waiting: Waiting | undefined;
}

/** Native code forgets what a member lacks that has not been read for so many tokens. */
const MOST_LACKING = 64;

/** Per member: whether a follower evaluates it. */
export function readsAhead({ drawing, lacking }: Chain, withDrafter: boolean): boolean[] {
    return lacking.map((_, member) => drawingReads(drawing, member, withDrafter));
}

/**
 * A job of it is over.
 *
 * @param drawn - by the job
 * @param held - per member: how many tokens its cache has got
 * @returns per member: these tokens
 */
export function settleShare(
    { chain, tokens }: Pick<Share, "chain" | "tokens">,
    drawn: readonly number[],
    held: readonly number[],
): (readonly number[])[] {
    const before = tokens?.map((each) => (each.length === 0 ? undefined : Array.from(each))) ?? chain?.lacking ?? [];
    const lacking = before.map((each) => each && [...each, ...drawn]);
    if (chain !== undefined) {
        chain.lacking = lacking.map((each, member) => {
            const left = each?.slice(held[member]);
            return left !== undefined && left.length <= MOST_LACKING ? left : undefined;
        });
    }
    return lacking.map((each, member) => each?.slice(0, held[member]) ?? []);
}

/** The chain of a sequence, if what it has drawn or is drawing is what is asked for; if not, that is void. */
export function nextChain(lease: Lease, { drawing, position, signal }: DrawEvaluation): Chain | undefined {
    const { chain } = lease;
    if (chain?.drawing !== drawing || chain.next !== position || signal?.aborted) lease.chain = undefined;
    return lease.chain;
}
