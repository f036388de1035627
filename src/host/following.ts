/** The job that follows one that runs: the same sequences, with what they will have drawn. */

import { readsAhead, type Chain, type Share } from "./chains.js";
import type { CostTable } from "./costs.js";
import { choosePlans } from "./draft-plans.js";
import { NO_DRAFTS } from "./drafts.js";
import { takeForced } from "./step-plan.js";
import { toFollowing } from "./shares.js";
import { isDraw } from "./evaluations.js";
import { isWanted } from "./jobs.js";
import { canTakeBack } from "./sequences.js";
import { MOST_APPENDED, MOST_DRAFTED } from "../models/context-memory.js";

/** A share of a job that goes on by itself. */
export interface FollowingShare extends Share {
    readonly chain: Chain;
}

/** What happens to a share of a job behind that job. */
type Future = "ends" | "goes on" | "has to be asked";

/**
 * @param running - the shares of a job, all of them asked for
 * @returns none, if one of them cannot go on by itself: it would be left behind, and take its steps alone
 */
export function planFollowing(
    running: readonly Share[],
    { batchSize, costs, others }: { readonly batchSize: number; readonly costs: CostTable; readonly others: number },
): FollowingShare[] {
    const futures = running.map(futureOf);
    if (futures.includes("has to be asked")) return [];
    const going = running.flatMap((share, index) => {
        const { chain } = share;
        if (futures[index] !== "goes on" || chain === undefined) return [];
        const most = roomBehind(share) - 1;
        const attempt = chain.drawing.speculation?.attempt({ position: undefined, most, others });
        return { share, lease: share.lease, chain, drawing: chain.drawing, attempt };
    });
    if (going.some(({ attempt }) => attempt?.hasToSee)) return [];
    const plans = choosePlans(going, costs);
    const sizes = new Map<number, number>();
    const shares = going.map(({ share, lease, chain, attempt }, index) => {
        const plan = plans[index] ?? NO_DRAFTS;
        const { compare } = attempt?.decide(plan) ?? { compare: false };
        const lacks = lackingBehind(share, chain);
        const contexts = readsAhead(chain, plan.length > 0).flatMap((isRead, member) => {
            const [id, count] = [lease.target.contexts[member]?.id ?? -1, lacks[member]];
            if (!isRead) return [];
            // What native code was not told, or is too much for the cells of a slot, fits into no batch.
            const added = count !== undefined && count <= MOST_APPENDED ? count + plan.length : Infinity;
            sizes.set(id, (sizes.get(id) ?? 0) + added);
            return id;
        });
        return { share, lease, chain, attempt, plan, compare, contexts };
    });
    if ([...sizes.values()].some((size) => size > batchSize)) return [];
    const left = new Map([...sizes].map(([id, size]) => [id, batchSize - size]));
    return shares.map(({ share: { slot, signal }, lease, chain, attempt, plan, compare, contexts }): FollowingShare => {
        const forced = takeForced(attempt, plan, contexts, left);
        const entry = toFollowing(lease, slot, chain, attempt, { plan, compare, forced });
        return {
            ...{ lease, slot, chain, attempt, plan, signal, entry },
            ...{ last: true, tokens: undefined, most: 1 + Math.max(plan.length, forced), waiting: undefined },
            bookmarks: [],
        };
    });
}

/** Tokens that may come behind what it draws. */
function roomBehind({ waiting, most }: Share): number {
    return waiting && isDraw(waiting.evaluation) ? waiting.evaluation.room - most : 0;
}

function futureOf(share: Share): Future {
    const { lease, slot, chain, waiting } = share;
    // Whether texts are scored behind those that are, is not known.
    if (waiting === undefined || !isDraw(waiting.evaluation)) return "has to be asked";
    // What nobody asks for after all would cost the evaluation of the whole text.
    if (!canTakeBack(lease.target)) return "has to be asked";
    if (waiting.evaluation.room <= 1 || !isWanted({ lease, signal: waiting.evaluation.signal })) return "ends";
    if (chain === undefined || lease.chain !== chain || lease.slot !== slot) return "has to be asked";
    // Where jobs before have failed, something may be there already.
    if (chain.result !== undefined || chain.ahead !== undefined) return "has to be asked";
    // How many tokens are left is known later. Under rejection sampling the text depends on the lengths of blocks, which must not
    // depend on when somebody asks.
    const least = chain.drawing.speculation?.coupling === "maximal" ? MOST_DRAFTED : 0;
    return roomBehind(share) > least ? "goes on" : "has to be asked";
}

/** Per member: how many tokens of the text its cache may lack behind a job. Undefined: native code was not told. */
function lackingBehind({ tokens, plan, most }: Share, chain: Chain): (number | undefined)[] {
    const reads = readsAhead(chain, plan.length > 0);
    return chain.lacking.map((lacking, member) => {
        const wasRead = tokens === undefined ? reads[member] : (tokens[member]?.length ?? 0) > 0;
        if (lacking === undefined) return undefined;
        return wasRead ? 1 : lacking.length + most;
    });
}
