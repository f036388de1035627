/**
 * How many tokens a block drafts. A block of k drafts costs k tokens of the drafter and a batch of k + 1 tokens of every
 * other member, and yields between 1 and k + 1 tokens: with acceptance a_j at position j, 1 + sum_i prod_{j <= i} a_j are
 * expected (Leviathan et al. 2211.17192, section 3.3, where all a_j are equal).
 */

import type { CostTable, Job } from "../host/costs.js";
import {
    NEVER_STOP,
    type DraftLengthPolicy,
    type DraftPlan,
    type DraftProspect,
    type DraftStop,
} from "../host/drafts.js";
import type { DraftLength } from "../types.js";

/** The `confidence` policy stops where the drafter's most probable token is less probable than this. */
const MIN_CONFIDENCE = 0.5;
/** Speculation has to promise this much more than plain steps, since costs and acceptance are estimates. */
const MARGIN = 1.03;
/** Below this part of the best rate, no further draft is tried: steps in the costs of batches do not make up for that much. */
const WORSE = 0.8;

export function createDraftLengthPolicy(length: DraftLength): DraftLengthPolicy {
    if (length === "adaptive") return ADAPTIVE;
    if (length === "confidence") return CONFIDENCE;
    return {
        choose: (prospects, { draws }, costs) => {
            const lengths = prospects.map(({ most }) => Math.min(length, most));
            const stops = prospects.map(({ stops: [never] }) => never);
            return finishPlans(createForecast(prospects, stops, draws, costs), lengths, stops);
        },
    };
}

const CONFIDENCE: DraftLengthPolicy = {
    choose(prospects, { draws }, costs) {
        const lengths = prospects.map(({ most }) => most);
        const usual = { ...NEVER_STOP, minConfidence: MIN_CONFIDENCE };
        const stops = prospects.map(
            (prospect) => prospect.stops.find(({ minConfidence }) => minConfidence === MIN_CONFIDENCE) ?? usual,
        );
        return finishPlans(createForecast(prospects, stops, draws, costs), lengths, stops);
    },
};

/**
 * As many as promise most tokens per second by measured costs and acceptance so far, and none if none do; stopping where the
 * drafter is unsure, if that promises more. For several sequences together: each chooses its stop as if it were alone, then
 * drafts join in the order of their probability of being accepted, whosever they are, and the best number of them is kept, if
 * it promises more than plain steps even when as much of the gain is believed as earlier blocks have kept.
 */
const ADAPTIVE: DraftLengthPolicy = {
    choose(prospects, { draws, trust }, costs) {
        const stops = prospects.map((prospect) => bestPlan(prospect, costs).stop);
        const lengths = prospects.map(() => 0);
        const forecast = createForecast(prospects, stops, draws, costs);
        // Plain steps come first, which are then what drafts are compared with.
        if (forecast.isKnown) {
            const enough = (MARGIN / trust) * forecast.rate();
            let best = forecast.rate();
            let kept = 0;
            const order = prospects
                .flatMap((prospect, sequence) =>
                    survival(prospect, stops[sequence]).map(({ accepted }) => ({ sequence, accepted })),
                )
                .sort((a, b) => b.accepted - a.accepted);
            for (const [index, { sequence }] of order.entries()) {
                forecast.addDraft(sequence);
                if (forecast.rate() < WORSE * best) break;
                if (forecast.rate() <= best) continue;
                best = forecast.rate();
                kept = index + 1;
            }
            if (best <= enough) kept = 0;
            for (const { sequence } of order.slice(0, kept)) lengths[sequence] = (lengths[sequence] ?? 0) + 1;
        }
        return finishPlans(createForecast(prospects, stops, draws, costs), lengths, stops);
    },
};

/** @param forecast - without drafts yet */
function finishPlans(forecast: Forecast, lengths: readonly number[], stops: readonly DraftStop[]): DraftPlan[] {
    const plainMs = forecast.ms;
    lengths.forEach((length, sequence) => {
        for (let i = 0; i < length; i++) forecast.addDraft(sequence);
    });
    const { isKnown, ms } = forecast;
    return lengths.map((length, sequence) => ({
        ...{ length, stop: stops[sequence] ?? NEVER_STOP },
        ...(isKnown && { forecast: { tokens: forecast.tokensOf(sequence), ms, plainMs } }),
    }));
}

/** What is best for a sequence by itself, and the tokens per millisecond that it promises then. */
export function bestPlan(prospect: DraftProspect, costs: CostTable): { stop: DraftStop; rate: number } {
    let best = { stop: NEVER_STOP, rate: 0 };
    for (const stop of prospect.stops) {
        const forecast = createForecast([prospect], [stop], 0, costs);
        for (let drafts = 0; drafts <= prospect.most; drafts++) {
            const rate = forecast.rate();
            if (rate > best.rate) best = { stop, rate };
            if (rate < WORSE * best.rate) break;
            forecast.addDraft(0);
        }
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
    /** Milliseconds. */
    readonly ms: number;
    /** Expected tokens of a sequence. */
    tokensOf(sequence: number): number;
    /** Expected tokens of all sequences together, per millisecond. */
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
    /** Tokens of each context's batch in the step; sequences that each context drafts for, round after round. */
    const step: number[] = [];
    const rounds: number[][] = [];
    const sequences = prospects.map((prospect, index) => ({
        survival: survival(prospect, stops[index]),
        drafting: prospect.drafting,
        /** Those that draft do not evaluate the drafts again. */
        verifying: prospect.verifying.filter((context) => !prospect.drafting.includes(context)),
        relieved: prospect.verifying.filter((context) => prospect.drafting.includes(context)),
        length: 0,
        tokens: 1,
    }));
    for (const { verifying } of prospects)
        for (const context of verifying) step[context] = (step[context] ?? draws) + 1;

    let isDrafting = false;
    let tokens = draws + prospects.length;
    let ms = costs.overheadMs("step");
    step.forEach((count, context) => (ms += costs.decodeMs("step", context, count)));

    /** A batch grows by a token, with this probability. */
    function grow(job: Job, batches: number[], place: number, context: number, by: number, probability: number): void {
        const before = batches[place] ?? 0;
        batches[place] = before + by;
        ms += probability * (costs.decodeMs(job, context, before + by) - costs.decodeMs(job, context, before));
    }

    return {
        isKnown: step.every((count, context) => costs.isKnown(context, count)),
        get ms() {
            return ms;
        },
        tokensOf: (sequence) => sequences[sequence]?.tokens ?? 0,
        rate: () => tokens / ms,
        addDraft(index) {
            const sequence = sequences[index];
            if (sequence === undefined) return;
            const { survival: chances, drafting, verifying, relieved } = sequence;
            const position = sequence.length++;
            const { drafted, accepted } = chances[position] ?? { drafted: 0, accepted: 0 };
            const before = chances[position - 1] ?? { drafted: 1, accepted: 0 };
            tokens += accepted;
            sequence.tokens += accepted;
            if (drafting.length > 0 && !isDrafting) ms += costs.overheadMs("draft");
            isDrafting ||= drafting.length > 0;
            for (const context of drafting) {
                // How sure the drafter is shows only in its row.
                grow("draft", (rounds[context] ??= []), position, context, 1, before.drafted);
                // Where all drafts are accepted, the drafter has to evaluate the last one too, for all sequences at once.
                const share = costs.decodeMs("draft", context, prospects.length) / prospects.length;
                ms += (accepted - before.accepted) * share;
            }
            if (position === 0) for (const context of relieved) grow("step", step, context, context, -1, 1);
            for (const context of verifying) grow("step", step, context, context, 1, drafted);
        },
    };
}
