/** Who takes part in the next step, and with how many tokens. */

import type {
    NativeDraw,
    NativeDrawResult,
    NativeFusion,
    NativeQueries,
    NativeQueryResult,
    NativeSpeculation,
    NativeStepEntry,
} from "../native/binding.js";
import type { Sequence } from "./sequences.js";

/** What a sequence wants: tokens added to its caches, and something done with the rows at their ends. */
export interface Evaluation {
    readonly sequence: Sequence;
    /** Per member: the tokens to add to what its cache holds. */
    readonly append: readonly Int32Array[];
    readonly fusion?: NativeFusion;
    readonly draw?: NativeDraw;
    /** With `draw`: drafts to verify; they are the last tokens of `append` where the drafter has not evaluated them. */
    readonly speculation?: NativeSpeculation;
    readonly queries?: NativeQueries;
    readonly signal?: AbortSignal;
}

/** Outcome of an {@link Evaluation}. */
export interface Evaluated {
    /** With `draw`: the accepted drafts and one more token, or a single token without speculation. */
    readonly draws: readonly NativeDrawResult[];
    readonly queries?: NativeQueryResult;
    /** Per member, milliseconds, summed over the steps it took part in, which are shared with other sequences. */
    readonly decodeMs: readonly number[];
    /** Milliseconds of fusing, drawing and looking up, summed over these steps. */
    readonly fuseMs: number;
}

/** An evaluation that is not finished yet. */
export interface Waiting {
    readonly evaluation: Evaluation;
    readonly resolve: (result: Evaluated) => void;
    readonly reject: (error: unknown) => void;
    readonly decodeMs: number[];
    fuseMs: number;
    /** Per member: how many tokens of `append` are in the cache. */
    readonly evaluated: number[];
}

/** A part of a step: the entry of one waiting evaluation, and whether it is its last. */
export interface Share {
    readonly waiting: Waiting;
    readonly entry: NativeStepEntry;
    readonly last: boolean;
}

/**
 * Fills a step with at most `batchSize` tokens per member. Who needs fewest tokens comes first, so that texts do not stall
 * behind a long prompt, which is cut into pieces; among equals, who has waited longest.
 */
export function planStep(queue: readonly Waiting[], members: number, batchSize: number): Share[] {
    const room = new Array<number>(members).fill(batchSize);
    const shortFirst = [...queue].sort((a, b) => Math.max(...missingTokens(a)) - Math.max(...missingTokens(b)));
    const shares: Share[] = [];
    for (const waiting of shortFirst) {
        const { sequence, append, fusion, draw, speculation, queries } = waiting.evaluation;
        const rows = draw === undefined ? (queries?.rows ?? 0) : 1 + (speculation?.drafts.length ?? 0);
        const missing = missingTokens(waiting);
        const last = missing.every((count, member) => count <= (room[member] ?? 0));
        // Rows exist only in the step that evaluates them, so the tokens at the end have to stay together.
        const take = missing.map((count, member) => Math.min(last ? count : count - rows, room[member] ?? 0));
        if (!last && take.every((count) => count <= 0)) continue;
        take.forEach((count, member) => (room[member] = (room[member] ?? 0) - Math.max(count, 0)));
        const entry: NativeStepEntry = {
            sequence: sequence.slot,
            keep: Int32Array.from(sequence.held, (held) => held.length),
            tokens: append.map((tokens, member) => {
                const from = waiting.evaluated[member] ?? 0;
                return tokens.subarray(from, from + Math.max(take[member] ?? 0, 0));
            }),
            ...(last ? { fusion, draw, speculation, queries } : {}),
        };
        shares.push({ waiting, entry, last });
    }
    return shares;
}

function missingTokens({ evaluation, evaluated }: Waiting): number[] {
    return evaluation.append.map((tokens, member) => tokens.length - (evaluated[member] ?? 0));
}
