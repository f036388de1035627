/** What can be asked of a sequence: rows at given places, or the next tokens. */

import type {
    NativeDraw,
    NativeDrawResult,
    NativeFusion,
    NativeQueries,
    NativeQueryResult,
} from "../native/binding.js";
import type { Block, Speculating } from "./drafts.js";
import type { Lease, Sequence } from "./sequences.js";

/** The caches are to be filled up to some places of the texts, and log-probabilities looked up at the rows there. */
export interface RowEvaluation {
    readonly sequence: Sequence;
    /** Per member: how many tokens of its text the cache is to hold. 0: the member is not read. */
    readonly ends: readonly number[];
    readonly fusion?: NativeFusion;
    readonly queries?: NativeQueries;
    readonly signal?: AbortSignal | undefined;
}

/** What the tokens of a text are drawn with: the same from token to token, until a dial is turned. */
export interface Drawing {
    readonly fusion: NativeFusion;
    readonly draw: Omit<NativeDraw, "history" | "position">;
    readonly speculation?: Speculating | undefined;
}

/** The next token behind the text is to be drawn, or the next ones where there are drafts. */
export interface DrawEvaluation {
    readonly sequence: Sequence;
    readonly drawing: Drawing;
    /** Tokens that count for the penalties. Asked only where they are not known already. */
    readonly history: () => Int32Array;
    /** Index of the token. */
    readonly position: number;
    /** Most tokens that may still come, this one included. */
    readonly room: number;
    readonly signal?: AbortSignal | undefined;
}

export type Evaluation = RowEvaluation | DrawEvaluation;

/** Outcome of an {@link Evaluation}. */
export interface Evaluated {
    /** Of a draw: the accepted drafts and one more token, or a single token without drafts. */
    readonly draws: readonly NativeDrawResult[];
    readonly queries?: NativeQueryResult;
    /** Of a draw with speculation. */
    readonly block?: Block;
    /** Per member, milliseconds, summed over the steps it took part in, which are shared with other sequences. */
    readonly decodeMs: readonly number[];
    /** Milliseconds of fusing, drawing and looking up, summed over these steps. */
    readonly fuseMs: number;
    /** Milliseconds that the last job took of the time that went by. */
    readonly jobMs: number;
}

/** An evaluation that is not finished yet. */
export interface Waiting {
    readonly evaluation: Evaluation;
    readonly lease: Lease;
    readonly resolve: (result: Evaluated) => void;
    readonly reject: (error: unknown) => void;
    readonly decodeMs: number[];
    fuseMs: number;
    /** Whether a step with others has failed, whose fault that was is not known, and it cannot be repeated as it was. */
    isAlone: boolean;
}

export function isDraw(evaluation: Evaluation): evaluation is DrawEvaluation {
    return "drawing" in evaluation;
}

/** Whether a form reads a member. A member that nothing reads is not evaluated, which makes a dial at zero cheap. */
export function readsMember({ weights, fallback }: NativeFusion, member: number): boolean {
    return weights[member] !== 0 || (fallback?.[member] ?? 0) !== 0;
}

/** Whether drawing reads a member, with or without the drafter. */
export function drawingReads({ fusion, draw, speculation }: Drawing, member: number, withDrafter: boolean): boolean {
    const drafter = withDrafter || speculation?.selective !== undefined ? speculation?.drafter : undefined;
    return draw.members || readsMember(fusion, member) || (drafter !== undefined && readsMember(drafter, member));
}

/**
 * Per member: how many tokens of its text the cache is to hold; 0 where it is not read. One that is not read catches up when it is
 * read again.
 */
export function endsOf(evaluation: Evaluation, withDrafter: boolean): readonly number[] {
    if (!isDraw(evaluation)) return evaluation.ends;
    const { sequence, drawing } = evaluation;
    return sequence.texts.map(({ length }, member) => (drawingReads(drawing, member, withDrafter) ? length : 0));
}

/** How many of the last tokens of the text belong together, because their rows do. */
export function rowsOf(evaluation: Evaluation): number {
    return isDraw(evaluation) ? 1 : (evaluation.queries?.rows ?? 0);
}
