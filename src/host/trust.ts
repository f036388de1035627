/**
 * How far forecasts can be believed. Whoever takes the best of many estimates takes one that is too high, and batches between
 * other batches take longer than among their like; so what blocks promise is compared with what they have kept.
 */

import type { SpeculativeStep } from "./statistics.js";

export interface Trust {
    /** A step that drew tokens, with drafts or plainly. */
    learn(step: SpeculativeStep): void;
    /** The gain of drafts over plain steps, as a part of what was forecast, lately. 0..1; 1 before there was a block. */
    factor(): number;
}

/** What a step weighs after one more of its kind: half after 13. */
const MEMORY = 0.95;
/** What the blocks weigh after a plain step: half after 69, so that what has failed is tried again. */
const FORGIVENESS = 0.99;
/** How many blocks full trust counts for. */
const PRIOR_WEIGHT = 4;

/** Of steps with or without drafts, fading. */
interface Sums {
    weight: number;
    tokens: number;
    ms: number;
    expectedTokens: number;
    expectedMs: number;
}

export function createTrust(): Trust {
    const [blocks, plain] = [createSums(), createSums()];
    let wasPlain = false;
    return {
        learn({ drafted, tokens, wallMs, forecast }) {
            const isPlain = drafted === 0;
            if (isPlain) fade(blocks, FORGIVENESS);
            // After a block a plain step pays for another graph, which is the block's doing.
            const counts = !isPlain || wasPlain;
            wasPlain = isPlain;
            if (forecast === undefined || !counts) return;
            const sums = isPlain ? plain : blocks;
            fade(sums, MEMORY);
            sums.weight++;
            sums.tokens += tokens;
            sums.ms += wallMs;
            sums.expectedTokens += forecast.tokens;
            sums.expectedMs += forecast.ms;
        },
        factor() {
            const kept = Math.min(1, keptPart(blocks) / keptPart(plain));
            return (blocks.weight * kept + PRIOR_WEIGHT) / (blocks.weight + PRIOR_WEIGHT);
        },
    };
}

function createSums(): Sums {
    return { weight: 0, tokens: 0, ms: 0, expectedTokens: 0, expectedMs: 0 };
}

function fade(sums: Sums, by: number): void {
    for (const key of Object.keys(sums) as (keyof Sums)[]) sums[key] *= by;
}

/** Tokens per millisecond, as a part of what was expected. */
function keptPart({ weight, tokens, ms, expectedTokens, expectedMs }: Sums): number {
    return weight === 0 ? 1 : tokens / ms / (expectedTokens / expectedMs);
}
