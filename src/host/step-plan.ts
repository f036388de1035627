/** Who takes part in the next step, and with how many tokens. */

import { MOST_APPENDED, MOST_DRAFTED } from "../models/context-memory.js";
import type { Attempt, DraftPlan } from "./drafts.js";
import { endsOf, isDraw, rowsOf, type Waiting } from "./evaluations.js";

/** What a member's cache lacks of the text. */
export interface Missing {
    /** Tokens that the cache keeps. */
    readonly keep: number;
    /** Tokens to evaluate. */
    readonly count: number;
    /** Those up to a bookmark that is to be made: a step ends there. */
    readonly bookmark?: number;
}

/**
 * Fewer tokens of a prompt than this are not worth a step. From 64 on, llama.cpp's attention works on many queries at once on a CPU;
 * on long texts of a small model, a piece of 48 took five times as long for each token.
 */
export const MIN_PIECE = 64;

/**
 * Tokens of a prompt behind its bookmark. Templates begin an answer with fewer, and those are what the next turn of a conversation may
 * have otherwise, where the answer is shown without thoughts.
 */
export const BEHIND_BOOKMARK = 16;

/** Per member. */
export function missingTokens({ evaluation, lease }: Waiting, withDrafter: boolean): Missing[] {
    const rows = rowsOf(evaluation);
    return endsOf(evaluation, withDrafter).map((end, member) => {
        const cells = lease.target.contexts[member]?.cells;
        const keepable = (length: number): number =>
            lease.slot === undefined ? 0 : (cells?.keepable(lease.slot, length) ?? 0);
        if (end === 0) return { keep: keepable(Infinity), count: 0 };
        const keep = keepable(end - rows);
        const bookmark = isDraw(evaluation) ? (lease.bookmarks[member] ?? 0) - keep : 0;
        return { keep, count: end - keep, ...(bookmark > 0 && { bookmark }) };
    });
}

/**
 * Whether drafts can be verified, and rejected ones cost no more than they have to. What cannot be cut goes back to where the step began, and then lacks the
 * accepted ones too: they come first, so that they are evaluated twice and no more.
 */
export function canTakeBackDrafts(waiting: Waiting, withDrafter: boolean): boolean {
    const { contexts } = waiting.lease.target;
    if (contexts.some(({ cells }) => !cells.verifies)) return false;
    return missingTokens(waiting, withDrafter).every(
        ({ count }, member) => contexts[member]?.cells.rewinds || count <= 1,
    );
}

/** Whether it is a running text, and not a prompt. */
export function isRunning(missing: readonly Missing[]): boolean {
    return missing.every(({ count }) => count <= MOST_APPENDED + MOST_DRAFTED);
}

/** An evaluation whose sequence has a slot, and what its caches lack. */
export interface Need {
    readonly waiting: Waiting;
    readonly missing: readonly Missing[];
    /** Of a draw with speculation. */
    readonly attempt?: Attempt | undefined;
    readonly plan: DraftPlan;
    readonly compare: boolean;
    /** Whether text that a grammar forces may be verified. */
    readonly mayDraft: boolean;
    /** Whether a member that drafts lacks too much of the text, which comes first: in this step nothing is drawn. */
    readonly catchesUp: boolean;
    /** Whether its chain says what the step needs. */
    readonly follows: boolean;
}

/** What a step takes of a need. */
export interface Portion {
    readonly need: Need;
    /** Per member: how many tokens. */
    readonly take: readonly number[];
    /** Members whose caches have a bookmark then. */
    readonly bookmarks: readonly number[];
    /** Whether nothing is left. */
    readonly last: boolean;
    /** Most tokens of forced text that it verifies; 0: none. */
    readonly forced: number;
}

export interface StepLimits {
    /** Most tokens of one context. */
    readonly batchSize: number;
    /** Most tokens of all prompts together, in one context. */
    readonly pieceSize: number;
}

/**
 * Fills a step with at most `batchSize` tokens for each context. Running texts come first, so that they do not stall behind a long
 * prompt, which is cut into pieces; who has waited longest comes before others. Among prompts, who needs fewest tokens.
 */
export function planStep(needs: readonly Need[], { batchSize, pieceSize }: StepLimits): Portion[] {
    const room = new Map<number, number>();
    const scored = new Map<number, number>();
    const pieces = new Map<number, number>();
    const rank = ({ missing }: Need): number =>
        isRunning(missing) ? 0 : Math.max(...missing.map(({ count }) => count));
    const portions: Portion[] = [];
    for (const need of [...needs].sort((a, b) => rank(a) - rank(b))) {
        const { waiting, missing, catchesUp, follows } = need;
        const drafts = need.plan.length;
        const { contexts } = waiting.lease.target;
        const rows = rowsOf(waiting.evaluation);
        const isPrompt = !isRunning(missing);
        const scores = !isDraw(waiting.evaluation);
        const scoredIn = (member: number): number => scored.get(contexts[member]?.id ?? -1) ?? 0;
        // One text's rows always have place.
        const fits = (member: number): boolean =>
            !scores || scoredIn(member) === 0 || scoredIn(member) + rows <= (contexts[member]?.scoredRows ?? 0);
        const leftIn = (member: number): number => room.get(contexts[member]?.id ?? -1) ?? batchSize;
        const roomOf = (member: number): number => {
            const context = contexts[member]?.id ?? -1;
            const left = leftIn(member);
            if (!isPrompt) return left;
            // Rows that belong together are never cut, so a piece has place for them.
            const spent = pieces.get(context) ?? 0;
            const piece = Math.max(pieceSize, spent === 0 ? rows + drafts + 1 : 0) - spent;
            return Math.max(0, Math.min(left, piece));
        };
        const whole = missing.map(({ count }) => (count === 0 ? 0 : count + drafts));
        // What would be left is not worth a step of its own.
        const rest = isPrompt ? MIN_PIECE : 0;
        const last =
            !catchesUp &&
            missing.every(({ bookmark }) => bookmark === undefined) &&
            whole.every(
                (count, member) =>
                    fits(member) &&
                    (count <= roomOf(member) ||
                        (roomOf(member) > 0 && count <= Math.min(leftIn(member), roomOf(member) + rest))),
            );
        if (!last && follows) continue;
        // Rows exist only in the step that evaluates them, so the tokens at the end have to stay together.
        const take = missing.map(({ count, bookmark = count - rows }, member) =>
            last ? count : Math.max(0, Math.min(bookmark, roomOf(member))),
        );
        const bookmarks = [...missing.keys()].filter((member) => take[member] === missing[member]?.bookmark);
        if (!last && take.every((count) => count === 0)) continue;
        (last ? whole : take).forEach((count, member) => {
            const context = contexts[member]?.id ?? -1;
            room.set(context, (room.get(context) ?? batchSize) - count);
            if (isPrompt) pieces.set(context, (pieces.get(context) ?? 0) + count);
            if (scores && last) scored.set(context, (scored.get(context) ?? 0) + rows);
        });
        portions.push({ need, take, bookmarks, last, forced: 0 });
    }
    // Whether there is forced text is not known, so it gets what nobody else has use for.
    for (const { id } of new Set(portions.flatMap(({ need }) => need.waiting.lease.target.contexts)))
        room.set(id, room.get(id) ?? batchSize);
    return portions.map((portion) => {
        const { need, take, last } = portion;
        if (!last || !need.mayDraft) return portion;
        const contexts = need.waiting.lease.target.contexts.flatMap(({ id }, member) => (take[member] ? id : []));
        return { ...portion, forced: takeForced(need.attempt, need.plan, contexts, room) };
    });
}

/**
 * How much forced text a sequence may verify in place of its drafts.
 *
 * @param contexts - that verify it
 * @param room - tokens that each context has place for beside drafts; what is taken is subtracted
 */
export function takeForced(
    attempt: Attempt | undefined,
    { length }: DraftPlan,
    contexts: readonly number[],
    room: Map<number, number>,
): number {
    const { least, most } = attempt?.forced ?? { least: 0, most: 0 };
    const left = Math.min(...contexts.map((id) => room.get(id) ?? 0));
    const added = Math.max(0, Math.min(most - length, left));
    const taken = Math.min(most, length + added);
    if (taken < least) return 0;
    for (const id of contexts) room.set(id, (room.get(id) ?? 0) - added);
    return taken;
}
