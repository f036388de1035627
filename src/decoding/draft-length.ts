/**
 * How many tokens a block drafts. A block of k drafts costs k tokens of the drafter and a batch of k + 1 tokens of every
 * other member, and yields between 1 and k + 1 tokens: with acceptance a_j at position j, 1 + sum_i prod_{j <= i} a_j are
 * expected (Leviathan et al. 2211.17192, section 3.3, where all a_j are equal).
 */

import type { CostTable } from "../ensemble/costs.js";
import type { DraftLengthPolicy, DraftProspect } from "../ensemble/drafts.js";
import type { DraftLength } from "../types.js";

/** Most tokens of a block. */
export const MOST_DRAFTS = 16;
/** The `confidence` policy stops where the drafter's most probable token is less probable than this. */
const MIN_CONFIDENCE = 0.5;
/** Speculation has to promise this much more than plain steps, since costs and acceptance are estimates. */
const MARGIN = 1.03;

export function createDraftLengthPolicy(length: DraftLength): DraftLengthPolicy {
    if (length === "adaptive") return ADAPTIVE;
    if (length === "confidence") return CONFIDENCE;
    return { minConfidence: 0, choose: (prospects) => prospects.map(({ most }) => Math.min(length, most)) };
}

const CONFIDENCE: DraftLengthPolicy = {
    minConfidence: MIN_CONFIDENCE,
    choose: (prospects) => prospects.map(({ most }) => most),
};

/**
 * As many as promise most tokens per second by measured costs and acceptance so far, and none if none do. For several
 * sequences together: drafts join in the order of their probability of being accepted, whosever they are, and the best
 * number of them is kept.
 */
const ADAPTIVE: DraftLengthPolicy = {
    minConfidence: 0,
    choose(prospects, { draws }, costs) {
        const forecast = createForecast(prospects, draws, costs);
        const lengths = prospects.map(() => 0);
        // Plain steps come first, which are then what drafts are compared with.
        if (!forecast.isKnown) return lengths;
        let best = MARGIN * forecast.rate();
        let kept = 0;
        const order = prospects
            .flatMap((prospect, sequence) => survival(prospect).map((probability) => ({ sequence, probability })))
            .sort((a, b) => b.probability - a.probability);
        order.forEach(({ sequence }, index) => {
            forecast.addDraft(sequence);
            if (forecast.rate() <= best) return;
            best = forecast.rate();
            kept = index + 1;
        });
        for (const { sequence } of order.slice(0, kept)) lengths[sequence] = (lengths[sequence] ?? 0) + 1;
        return lengths;
    },
};

/** Tokens per millisecond that a sequence promises by itself, with as many drafts as are best for it; none included. */
export function expectedRate(prospect: DraftProspect, costs: CostTable): number {
    const forecast = createForecast([prospect], 0, costs);
    let best = forecast.rate();
    for (let drafts = 0; drafts < prospect.most; drafts++) {
        forecast.addDraft(0);
        best = Math.max(best, forecast.rate());
    }
    return best;
}

/** Probability that the drafts up to each position are all accepted. */
function survival({ most, acceptance }: DraftProspect): number[] {
    let probability = 1;
    return Array.from({ length: most }, (_, position) => {
        probability *= acceptance[Math.min(position, acceptance.length - 1)] ?? 0;
        return probability;
    });
}

/** What the next block is expected to cost and to yield, draft by draft. */
export interface Forecast {
    /** Whether the costs of the same step without drafts are known. */
    readonly isKnown: boolean;
    /** Expected tokens of all sequences together. */
    readonly tokens: number;
    /** Milliseconds. */
    readonly ms: number;
    /** Tokens per millisecond. */
    rate(): number;
    /** One more draft of a sequence. */
    addDraft(sequence: number): void;
}

/** @param draws - further sequences that take part in the step without drafts */
export function createForecast(prospects: readonly DraftProspect[], draws: number, costs: CostTable): Forecast {
    /** Tokens of each member's batch in the step; sequences that each member drafts for, round after round. */
    const step: number[] = [];
    const rounds: number[][] = [];
    const survivals = prospects.map(survival);
    const lengths = prospects.map(() => 0);
    for (const { verifying } of prospects) for (const member of verifying) step[member] = (step[member] ?? draws) + 1;

    let tokens = draws + prospects.length;
    let ms = costs.overheadMs("step");
    step.forEach((count, member) => (ms += costs.decodeMs(member, count)));

    function grow(batches: number[], place: number, member: number, by: number): void {
        const before = batches[place] ?? 0;
        batches[place] = before + by;
        ms += costs.decodeMs(member, before + by) - costs.decodeMs(member, before);
    }

    return {
        isKnown: step.every((count, member) => costs.isKnown(member, count)),
        get tokens() {
            return tokens;
        },
        get ms() {
            return ms;
        },
        rate: () => tokens / ms,
        addDraft(sequence) {
            const { drafting = [], verifying = [] } = prospects[sequence] ?? {};
            const position = lengths[sequence] ?? 0;
            lengths[sequence] = position + 1;
            const probability = survivals[sequence]?.[position] ?? 0;
            const before = position === 0 ? 0 : (survivals[sequence]?.[position - 1] ?? 0);
            tokens += probability;
            if (drafting.length > 0 && !rounds.some((counts) => counts.length > 0)) ms += costs.overheadMs("draft");
            for (const member of drafting) {
                grow((rounds[member] ??= []), position, member, 1);
                if (position === 0 && verifying.includes(member)) grow(step, member, member, -1);
                // Where all drafts are accepted, the drafter has to evaluate the last one too.
                ms += (probability - before) * costs.decodeMs(member, 1);
            }
            for (const member of verifying) if (!drafting.includes(member)) grow(step, member, member, 1);
        },
    };
}
