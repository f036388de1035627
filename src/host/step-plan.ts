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
import type { Lease, Sequence } from "./sequences.js";

/** What a sequence wants: its caches filled up to some places of its texts, and something done with the rows there. */
export interface Evaluation {
    readonly sequence: Sequence;
    /** Per member: how many tokens of its text the cache is to hold. 0: the member is not read. */
    readonly ends: readonly number[];
    readonly fusion?: NativeFusion;
    readonly draw?: NativeDraw;
    /** With `draw`: drafts to verify, which follow the text. */
    readonly speculation?: NativeSpeculation;
    readonly queries?: NativeQueries;
    readonly signal?: AbortSignal | undefined;
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
    readonly lease: Lease;
    readonly resolve: (result: Evaluated) => void;
    readonly reject: (error: unknown) => void;
    readonly decodeMs: number[];
    fuseMs: number;
}

/** A part of a step: the entry of one waiting evaluation, and whether it is its last. */
export interface Share {
    readonly waiting: Waiting;
    readonly entry: NativeStepEntry;
    readonly last: boolean;
    /** Per member: tokens that its cache holds afterwards, of which a rejected draft is none. */
    readonly appended: readonly Int32Array[];
}

/** What a member's cache lacks. */
export interface Missing {
    /** Tokens that the cache keeps. */
    readonly keep: number;
    /** Tokens to evaluate, drafts included. */
    readonly count: number;
    /** Whether it has evaluated the drafts before, while it drafted. */
    readonly hasDrafted: boolean;
}

/** Tokens of a text that are evaluated beside running texts; a longer one is a prompt, and evaluated in pieces. */
export const MOST_APPENDED = 16;
/**
 * Fewer tokens of a prompt than this are not worth a step. From 64 on, llama.cpp's attention works on many queries at once on a CPU;
 * on long texts of a small model, a piece of 48 took five times as long for each token.
 */
export const MIN_PIECE = 64;
/** Most drafts of a block. */
export const MOST_DRAFTED = 16;

/** Per member. */
export function missingTokens({ evaluation, lease }: Pick<Waiting, "evaluation" | "lease">): Missing[] {
    const { ends, draw, speculation, queries } = evaluation;
    const rows = draw === undefined ? (queries?.rows ?? 0) : 1;
    const { drafts = [], keptRows = 0, drafter } = speculation ?? {};
    return ends.map((end, member) => {
        const held = lease.slot === undefined ? 0 : (lease.target.contexts[member]?.cells.held(lease.slot).length ?? 0);
        const hasDrafted = keptRows > 0 && drafter !== undefined && readsMember(drafter, member);
        if (end === 0 || hasDrafted) return { keep: held, count: 0, hasDrafted };
        const keep = Math.min(held, end - rows);
        return { keep, count: end - keep + (draw === undefined ? 0 : drafts.length), hasDrafted };
    });
}

/** Whether a form reads a member. A member that nothing reads is not evaluated, which makes a dial at zero cheap. */
export function readsMember({ weights, fallback }: NativeFusion, member: number): boolean {
    return weights[member] !== 0 || (fallback?.[member] ?? 0) !== 0;
}

/** Whether it is a running text, and not a prompt. */
export function isRunning(missing: readonly Missing[]): boolean {
    return missing.every(({ count }) => count <= MOST_APPENDED + MOST_DRAFTED);
}

/** An evaluation whose sequence has a slot, and what its caches lack. */
export interface Need {
    readonly waiting: Waiting;
    readonly missing: readonly Missing[];
}

export interface StepLimits {
    /** Most tokens of one context. */
    readonly batchSize: number;
    /** Most tokens of all prompts together, in one context. */
    readonly pieceSize: number;
}

/**
 * Fills a step with at most `batchSize` tokens for each context. Who needs fewest tokens comes first, so that texts do not stall
 * behind a long prompt, which is cut into pieces; among equals, who has waited longest.
 */
export function planStep(needs: readonly Need[], { batchSize, pieceSize }: StepLimits): Share[] {
    const room = new Map<number, number>();
    const pieces = new Map<number, number>();
    const most = (missing: readonly Missing[]): number => Math.max(...missing.map(({ count }) => count));
    const shares: Share[] = [];
    for (const { waiting, missing } of [...needs].sort((a, b) => most(a.missing) - most(b.missing))) {
        const { lease, evaluation } = waiting;
        const { ends, fusion, draw, speculation, queries } = evaluation;
        const { contexts, id } = lease.target;
        const drafts = speculation?.drafts ?? new Int32Array(0);
        const rows = draw === undefined ? (queries?.rows ?? 0) : 1 + drafts.length;
        const isPrompt = !isRunning(missing);
        const leftIn = (member: number): number => room.get(contexts[member]?.id ?? -1) ?? batchSize;
        const roomOf = (member: number): number => {
            const context = contexts[member]?.id ?? -1;
            const left = leftIn(member);
            if (!isPrompt) return left;
            // Rows that belong together are never cut, so a piece has place for them.
            const spent = pieces.get(context) ?? 0;
            const piece = Math.max(pieceSize, spent === 0 ? rows + 1 : 0) - spent;
            return Math.max(0, Math.min(left, piece));
        };
        // What would be left is not worth a step of its own.
        const rest = isPrompt ? MIN_PIECE : 0;
        const last = missing.every(
            ({ count }, member) =>
                count <= roomOf(member) ||
                (roomOf(member) > 0 && count <= Math.min(leftIn(member), roomOf(member) + rest)),
        );
        // The rows that drafting has kept are for the next job.
        if (!last && (speculation?.keptRows ?? 0) > 0) continue;
        // Rows exist only in the step that evaluates them, so the tokens at the end have to stay together.
        const take = missing.map(({ count }, member) =>
            last ? count : Math.max(0, Math.min(count - rows, roomOf(member))),
        );
        if (!last && take.every((count) => count === 0)) continue;
        take.forEach((count, member) => {
            const context = contexts[member]?.id ?? -1;
            room.set(context, (room.get(context) ?? batchSize) - count);
            if (isPrompt) pieces.set(context, (pieces.get(context) ?? 0) + count);
        });
        const tokens = missing.map(({ keep }, member) => {
            const count = take[member] ?? 0;
            if (count === 0) return new Int32Array(0);
            const text = (lease.texts[member] ?? []).slice(keep, Math.min(keep + count, ends[member] ?? 0));
            return Int32Array.from(last && draw !== undefined ? [...text, ...drafts] : text);
        });
        shares.push({
            ...{ waiting, last },
            entry: {
                ...{ target: id, sequence: lease.slot ?? 0, tokens },
                keep: Int32Array.from(missing, ({ keep }) => keep),
                ...(last ? { fusion, draw, speculation, queries } : {}),
            },
            appended: tokens.map((each, member) => (missing[member]?.hasDrafted ? drafts.subarray(-1) : each)),
        });
    }
    return shares;
}
