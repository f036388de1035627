/** A running estimate of how often drafts are accepted, which follows the text when it changes its character. */

import { NEVER_STOP, type DraftStop } from "./drafts.js";

export interface Acceptance {
    /**
     * The target drew at `position` (0 = first), all drafts before it having been accepted.
     *
     * @param accepted - whether the draft there was, or would have been, the target's token
     * @param confidence - probability of the drafter's most probable token
     */
    record(position: number, accepted: boolean, confidence: number): void;
    /** Estimates for positions 0, 1, ...; the last one goes for all further positions. */
    rates(): readonly number[];
    /** What it would change to stop where the drafter is unsure. */
    stops(): readonly [DraftStop, ...DraftStop[]];
}

/** What a verdict weighs after one more verdict at its position: half after 23. */
const MEMORY = 0.97;
/** How many verdicts the estimate before any verdict counts for. Few would make the first blocks decide too much. */
const PRIOR_WEIGHT = 16;
/** What is left of it in the end. More would keep hoping for drafts that are never right. */
const LEAST_PRIOR_WEIGHT = 1;
/** Confidences at which drafting may stop. */
const THRESHOLDS = [0.3, 0.5, 0.7, 0.9];

interface Counts {
    accepted: number;
    verified: number;
}

/** @param prior - the estimate to begin with */
export function createAcceptance(prior: number): Acceptance {
    const all = createCounts();
    let priorWeight = PRIOR_WEIGHT;
    const positions: Counts[] = [];
    /** Of verdicts at which the drafter was at least as sure as each threshold. */
    const sure = THRESHOLDS.map(createCounts);

    const pooledRate = (): number => (all.accepted + priorWeight * prior) / (all.verified + priorWeight);

    return {
        record(position, accepted, confidence) {
            add(all, accepted);
            priorWeight = Math.max(LEAST_PRIOR_WEIGHT, MEMORY * priorWeight);
            add((positions[position] ??= createCounts()), accepted);
            sure.forEach((counts, index) => {
                if (confidence >= (THRESHOLDS[index] ?? 1)) add(counts, accepted);
                else fade(counts);
            });
        },
        rates() {
            const pooled = pooledRate();
            // A position that was hardly ever reached is taken for an average one.
            const rates = positions.map(({ accepted, verified }) => estimate(accepted, verified, pooled));
            return [...rates, pooled];
        },
        stops() {
            const pooled = pooledRate();
            const stops = sure.map(({ accepted, verified }, index): DraftStop => {
                const minConfidence = THRESHOLDS[index] ?? 1;
                // Before anything is known, to be unsure is thought to say nothing.
                const goesOn = estimate(verified, all.verified, 1 - minConfidence / 2);
                return { minConfidence, goesOn, gain: estimate(accepted, verified, pooled) / pooled };
            });
            return [NEVER_STOP, ...stops];
        },
    };
}

function createCounts(): Counts {
    return { accepted: 0, verified: 0 };
}

function fade(counts: Counts): void {
    counts.accepted *= MEMORY;
    counts.verified *= MEMORY;
}

function add(counts: Counts, accepted: boolean): void {
    fade(counts);
    counts.accepted += Number(accepted);
    counts.verified++;
}

function estimate(count: number, of: number, before: number): number {
    return (count + PRIOR_WEIGHT * before) / (of + PRIOR_WEIGHT);
}
