/** A running estimate of how often drafts are accepted, which follows the text when it changes its character. */

export interface Acceptance {
    /** The draft at `position` (0 = first) was verified, all before it having been accepted. */
    record(position: number, accepted: boolean): void;
    /** Estimates for positions 0, 1, ...; the last one goes for all further positions. */
    rates(): readonly number[];
}

/** What a verdict weighs after one more verdict at its position: half after 23. */
const MEMORY = 0.97;
/** How many verdicts the estimate before any verdict counts for. */
const PRIOR_WEIGHT = 4;

/** @param prior - the estimate to begin with */
export function createAcceptance(prior: number): Acceptance {
    const all = { accepted: 0, verified: 0 };
    const positions: { accepted: number; verified: number }[] = [];

    function add(counts: { accepted: number; verified: number }, accepted: boolean): void {
        counts.accepted = MEMORY * counts.accepted + Number(accepted);
        counts.verified = MEMORY * counts.verified + 1;
    }
    function estimate(counts: { accepted: number; verified: number }, before: number): number {
        return (counts.accepted + PRIOR_WEIGHT * before) / (counts.verified + PRIOR_WEIGHT);
    }

    return {
        record(position, accepted) {
            add(all, accepted);
            add((positions[position] ??= { accepted: 0, verified: 0 }), accepted);
        },
        rates() {
            const pooled = estimate(all, prior);
            // A position that was hardly ever reached is taken for an average one.
            return positions.length === 0 ? [pooled] : [...positions.map((counts) => estimate(counts, pooled)), pooled];
        },
    };
}
