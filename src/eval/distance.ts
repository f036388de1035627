/** How far a system's next-token distributions are from those of another system, along the latter's own answers. */

import type { Ensemble } from "../ensemble/ensemble.js";
import { score } from "../scoring/score.js";
import type { Grade, System } from "./types.js";

/** A system that is loaded. */
export interface Loaded {
    readonly system: System;
    readonly ensemble: Ensemble;
}

/** A text, and how it came about. */
export interface AnsweredText {
    readonly prompt: string;
    readonly text: string;
    /** The system that wrote it ended it there. */
    readonly isEnded: boolean;
}

/**
 * Means over the tokens of the text, the end-of-text token included: the Kullback-Leibler divergence from the reference
 * to the system in nats, sum_i p_i ln(p_i / q_i); their total variation, 1/2 sum_i |p_i - q_i|; how often both find the same
 * token most probable.
 */
export async function measureDistance(
    ours: Loaded,
    reference: Loaded,
    answered: AnsweredText,
    signal?: AbortSignal,
): Promise<Readonly<Record<string, Grade>>> {
    const [q, p] = await Promise.all([rowsAlong(ours, answered, signal), rowsAlong(reference, answered, signal)]);
    const count = p.length;
    if (count === 0) return {};
    const sums = { divergence: 0, totalVariation: 0, sameToken: 0 };
    for (const [index, row] of p.entries()) {
        const other = q[index] ?? row;
        const { divergence, totalVariation, isSame } = compareRows(row, other);
        sums.divergence += divergence;
        sums.totalVariation += totalVariation;
        sums.sameToken += Number(isSame);
    }
    return Object.fromEntries(Object.entries(sums).map(([measure, sum]) => [measure, [sum / count, count] as const]));
}

async function rowsAlong(
    { ensemble, system }: Loaded,
    { prompt, text, isEnded }: AnsweredText,
    signal?: AbortSignal,
): Promise<readonly Float32Array[]> {
    const [result] = await score(ensemble, [{ context: prompt, continuation: text, withEnd: isEnded }], {
        chat: true,
        scores: true,
        parameters: system.parameters,
        ...(signal && { signal }),
    });
    return result?.scores ?? [];
}

/** @param p - log-probabilities of the reference; @param q - of the system */
function compareRows(
    p: Float32Array,
    q: Float32Array,
): { divergence: number; totalVariation: number; isSame: boolean } {
    let [divergence, totalVariation] = [0, 0];
    let [bestOfP, bestOfQ] = [0, 0];
    for (const [token, logP] of p.entries()) {
        const logQ = q[token] ?? -Infinity;
        const probability = Math.exp(logP);
        if (probability > 0) divergence += probability * (logP - logQ);
        totalVariation += Math.abs(probability - Math.exp(logQ)) / 2;
        if (logP > (p[bestOfP] ?? NaN)) bestOfP = token;
        if (logQ > (q[bestOfQ] ?? NaN)) bestOfQ = token;
    }
    return { divergence, totalVariation, isSame: bestOfP === bestOfQ };
}
