/** How much of the prompts is evaluated beside running texts: as much as makes a step no longer than the texts may wait. */

import type { CostTable } from "./costs.js";
import { isRunning, MIN_PIECE, type Need } from "./step-plan.js";

export interface Pieces {
    /** Most tokens of prompts in the next step, in one context. */
    choose(needs: readonly Need[]): number;
    /** A step is over: the one that was chosen for, if it is the first one since. */
    learn(tookMs: number): void;
}

/** What a step with a piece may take: a multiple of the running texts' own step, and at least milliseconds. */
const [STEP_STRETCH, MIN_STEP_MS] = [2, 50];
/** From a step to the next, a piece at most doubles or becomes a quarter. */
const [MOST_GROWTH, MOST_SHRINKING] = [2, 0.25];

/** @param batchSize - most tokens of a step */
export function createPieces(batchSize: number, costs: CostTable): Pieces {
    /** What a token of a prompt costs grows with the tokens before it, so the last step says more than any table. */
    let piece = MIN_PIECE;
    let limitMs: number | undefined;
    return {
        choose(needs) {
            limitMs = undefined;
            const running = new Map<number, number>();
            for (const { waiting, missing } of needs) {
                if (!isRunning(missing)) continue;
                missing.forEach(({ count }, member) => {
                    const context = waiting.lease.target.contexts[member]?.id ?? -1;
                    if (count > 0) running.set(context, (running.get(context) ?? 0) + count);
                });
            }
            if (running.size === 0 || needs.every(({ missing }) => isRunning(missing))) return batchSize;
            let ownMs = costs.overheadMs("step");
            for (const [context, count] of running) ownMs += costs.decodeMs("step", context, count);
            limitMs = Math.max(STEP_STRETCH * ownMs, MIN_STEP_MS);
            return Math.min(piece, batchSize);
        },
        learn(tookMs) {
            if (limitMs === undefined) return;
            const change = Math.min(MOST_GROWTH, Math.max(MOST_SHRINKING, limitMs / tookMs));
            piece = Math.min(batchSize, Math.max(MIN_PIECE, Math.floor(piece * change)));
            limitMs = undefined;
        },
    };
}
