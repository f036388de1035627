/**
 * How many tokens a block drafts. A block of k drafts costs k tokens of the drafter and a batch of k + 1 tokens of every
 * other member, and yields between 1 and k + 1 tokens: with acceptance a_j at position j, 1 + sum_i prod_{j <= i} a_j are
 * expected (Leviathan et al. 2211.17192, section 3.3, where all a_j are equal).
 */

import type { CostTable } from "../ensemble/costs.js";
import { NEVER_STOP, type DraftLengthPolicy, type DraftProspect, type DraftStop } from "../ensemble/drafts.js";
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
    return {
        choose: (prospects) => prospects.map(({ most }) => ({ length: Math.min(length, most), stop: NEVER_STOP })),
    };
}

const CONFIDENCE: DraftLengthPolicy = {
    choose: (prospects) =>
        prospects.map(({ most, stops }) => ({
            length: most,
            stop: stops.find(({ minConfidence }) => minConfidence === MIN_CONFIDENCE) ?? {
                ...NEVER_STOP,
                minConfidence: MIN_CONFIDENCE,
            },
        })),
};

/**
 * As many as promise most tokens per second by measured costs and acceptance so far, and none if none do; stopping where the
 * drafter is unsure, if that promises more. For several sequences together: each chooses its stop as if it were alone, then
 * drafts join in the order of their probability of being accepted, whosever they are, and the best number of them is kept.
 */
const ADAPTIVE: DraftLengthPolicy = {
    choose(prospects, { draws }, costs) {
        const stops = prospects.map((prospect) => bestPlan(prospect, costs).stop);
        const forecast = createForecast(prospects, stops, draws, costs);
        const lengths = prospects.map(() => 0);
        const plans = () => lengths.map((length, index) => ({ length, stop: stops[index] ?? NEVER_STOP }));
        // Plain steps come first, which are then what drafts are compared with.
        if (!forecast.isKnown) return plans();
        let best = MARGIN * forecast.rate();
        let kept = 0;
        const order = prospects
            .flatMap((prospect, sequence) =>
                survival(prospect, stops[sequence]).map(({ accepted }) => ({ sequence, accepted })),
            )
            .sort((a, b) => b.accepted - a.accepted);
        order.forEach(({ sequence }, index) => {
            forecast.addDraft(sequence);
            if (forecast.rate() <= best) return;
            best = forecast.rate();
            kept = index + 1;
        });
        for (const { sequence } of order.slice(0, kept)) lengths[sequence] = (lengths[sequence] ?? 0) + 1;
        return plans();
    },
};

/** What is best for a sequence by itself, and the tokens per millisecond that it promises then. */
export function bestPlan(prospect: DraftProspect, costs: CostTable): { stop: DraftStop; rate: number } {
    let best = { stop: NEVER_STOP, rate: 0 };
    for (const stop of prospect.stops) {
        const forecast = createForecast([prospect], [stop], 0, costs);
        let rate = forecast.rate();
        for (let drafts = 0; drafts < prospect.most; drafts++) {
            forecast.addDraft(0);
            rate = Math.max(rate, forecast.rate());
        }
        if (rate > best.rate) best = { stop, rate };
    }
    return best;
}

/** For each position: probability that there is a draft, and that it is accepted with all before it. */
function survival(
    { most, acceptance }: DraftProspect,
    { goesOn, gain }: DraftStop = NEVER_STOP,
): { drafted: number; accepted: number }[] {
    let [drafted, accepted] = [1, 1];
    return Array.from({ length: most }, (_, position) => {
        drafted *= goesOn;
        accepted *= goesOn * Math.min(1, gain * (acceptance[Math.min(position, acceptance.length - 1)] ?? 0));
        return { drafted, accepted };
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

/**
 * @param stops - one per prospect
 * @param draws - further sequences that take part in the step without drafts
 */
export function createForecast(
    prospects: readonly DraftProspect[],
    stops: readonly DraftStop[],
    draws: number,
    costs: CostTable,
): Forecast {
    /** Tokens of each member's batch in the step; sequences that each member drafts for, round after round. */
    const step: number[] = [];
    const rounds: number[][] = [];
    const survivals = prospects.map((prospect, sequence) => survival(prospect, stops[sequence]));
    const lengths = prospects.map(() => 0);
    for (const { verifying } of prospects) for (const member of verifying) step[member] = (step[member] ?? draws) + 1;

    let tokens = draws + prospects.length;
    let ms = costs.overheadMs("step");
    step.forEach((count, member) => (ms += costs.decodeMs(member, count)));

    /** @param probability - that the batch grows */
    function grow(batches: number[], place: number, member: number, by: number, probability: number): void {
        const before = batches[place] ?? 0;
        batches[place] = before + by;
        ms += probability * (costs.decodeMs(member, before + by) - costs.decodeMs(member, before));
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
            const { drafted = 0, accepted = 0 } = survivals[sequence]?.[position] ?? {};
            const before = survivals[sequence]?.[position - 1] ?? { drafted: 1, accepted: 0 };
            tokens += accepted;
            if (drafting.length > 0 && !rounds.some((counts) => counts.length > 0)) ms += costs.overheadMs("draft");
            for (const member of drafting) {
                // How sure the drafter is shows only in its row.
                grow((rounds[member] ??= []), position, member, 1, before.drafted);
                if (position === 0 && verifying.includes(member)) grow(step, member, member, -1, 1);
                // Where all drafts are accepted, the drafter has to evaluate the last one too.
                ms += (accepted - before.accepted) * costs.decodeMs(member, 1);
            }
            for (const member of verifying) if (!drafting.includes(member)) grow(step, member, member, 1, drafted);
        },
    };
}
