/**
 * A running estimate of how often drafts are accepted, which follows the text when it changes its character; and a slower one,
 * which is what the next text begins with.
 */

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
    /** All of it, for another estimate to begin with. */
    read(): KnownAcceptance;
}

/** What is known of the acceptance of a drafter. */
export interface KnownAcceptance {
    /** As {@link Acceptance.rates} gives them: at least one, each above 0 and at most 1. */
    readonly rates: readonly number[];
    /** As {@link Acceptance.stops} gives them, for each of the {@link THRESHOLDS}. */
    readonly stops: readonly Pick<DraftStop, "goesOn" | "gain">[];
}

/** Acceptance that is expected before anything was drafted. */
export const USUAL_ACCEPTANCE = 0.7;

/** What a verdict weighs after one more verdict at its position: half after 23 in a text, half after 138 over many texts. */
const [MEMORY, LONG_MEMORY] = [0.97, 0.995];
/** How many verdicts the estimate before any verdict counts for. Few would make the first blocks decide too much. */
const PRIOR_WEIGHT = 16;
/** What is left of it in the end. More would keep hoping for drafts that are never right. */
const LEAST_PRIOR_WEIGHT = 1;
/** Confidences at which drafting may stop. */
export const THRESHOLDS = [0.3, 0.5, 0.7, 0.9];

interface Counts {
    accepted: number;
    verified: number;
}

/**
 * @param prior - what to begin with; a number is the rate at all positions
 * @param memory - what a verdict weighs after one more verdict at its position
 */
export function createAcceptance(prior: number | KnownAcceptance, memory = MEMORY): Acceptance {
    const before = typeof prior === "number" ? usual(prior) : prior;
    const pooledBefore = before.rates.at(-1) ?? USUAL_ACCEPTANCE;
    const all = createCounts();
    let priorWeight = PRIOR_WEIGHT;
    const positions: Counts[] = [];
    /** Of verdicts at which the drafter was at least as sure as each threshold. */
    const sure = THRESHOLDS.map(createCounts);

    const pooledRate = (): number => (all.accepted + priorWeight * pooledBefore) / (all.verified + priorWeight);

    function rates(): number[] {
        const pooled = pooledRate();
        return Array.from({ length: Math.max(positions.length + 1, before.rates.length) }, (_, position) => {
            // Texts differ in how much is accepted, less in how that changes from position to position. One of which nothing is
            // known is taken for an average one.
            const shape = (before.rates[position] ?? pooledBefore) / pooledBefore;
            const { accepted, verified } = positions[position] ?? NOTHING;
            return estimate(accepted, verified, Math.min(1, pooled * shape));
        });
    }

    function stops(): [DraftStop, ...DraftStop[]] {
        const pooled = pooledRate();
        const others = sure.map(({ accepted, verified }, index): DraftStop => {
            const { goesOn, gain } = before.stops[index] ?? NEVER_STOP;
            return {
                minConfidence: THRESHOLDS[index] ?? 1,
                goesOn: estimate(verified, all.verified, goesOn),
                gain: estimate(accepted, verified, Math.min(1, pooled * gain)) / pooled,
            };
        });
        return [NEVER_STOP, ...others];
    }

    return {
        record(position, accepted, confidence) {
            add(all, accepted, memory);
            priorWeight = Math.max(LEAST_PRIOR_WEIGHT, memory * priorWeight);
            add((positions[position] ??= createCounts()), accepted, memory);
            sure.forEach((counts, index) => {
                if (confidence >= (THRESHOLDS[index] ?? 1)) add(counts, accepted, memory);
                else fade(counts, memory);
            });
        },
        rates,
        stops,
        read: () => ({ rates: rates(), stops: stops().slice(1) }),
    };
}

/** An estimate over many texts. */
export function createLongAcceptance(prior: number | KnownAcceptance): Acceptance {
    return createAcceptance(prior, LONG_MEMORY);
}

/** An estimate for a text, which begins with what is known; what it learns is known to the texts after it. */
export function beginText(known: Acceptance): Acceptance {
    const own = createAcceptance(known.read());
    return {
        ...own,
        record(position, accepted, confidence) {
            own.record(position, accepted, confidence);
            known.record(position, accepted, confidence);
        },
    };
}

/** Before anything is known of it, to be unsure is thought to say nothing. */
function usual(rate: number): KnownAcceptance {
    return { rates: [rate], stops: THRESHOLDS.map((threshold) => ({ goesOn: 1 - threshold / 2, gain: 1 })) };
}

const NOTHING: Counts = { accepted: 0, verified: 0 };

function createCounts(): Counts {
    return { ...NOTHING };
}

function fade(counts: Counts, memory: number): void {
    counts.accepted *= memory;
    counts.verified *= memory;
}

function add(counts: Counts, accepted: boolean, memory: number): void {
    fade(counts, memory);
    counts.accepted += Number(accepted);
    counts.verified++;
}

function estimate(count: number, of: number, before: number): number {
    return (count + PRIOR_WEIGHT * before) / (of + PRIOR_WEIGHT);
}
