/** What scores of several texts come to. */

import type { Score } from "./score.js";

export interface ScoreSummary {
    readonly texts: number;
    readonly tokens: number;
    /** Of the texts in UTF-8. */
    readonly bytes: number;
    readonly windows: number;
    /** The target, then each member. */
    readonly systems: readonly SystemScore[];
}

/** NaN where there are no tokens, but for `logprob`. */
interface SystemScore {
    /** Undefined for the target. */
    readonly member?: string;
    /** Of all texts, in nats. */
    readonly logprob: number;
    readonly perToken: number;
    readonly perplexity: number;
    readonly bitsPerByte: number;
}

export function summarizeScores(scores: readonly Score[]): ScoreSummary {
    const count = (value: (score: Score) => number): number => scores.reduce((total, score) => total + value(score), 0);
    const tokens = count((score) => score.tokens.length);
    const bytes = count(({ text }) => Buffer.byteLength(text));
    const summarize = (logprobsOf: (score: Score) => readonly number[]): Omit<SystemScore, "member"> => {
        const logprob = count((score) => logprobsOf(score).reduce((total, value) => total + value, 0));
        const perToken = logprob / tokens;
        return { logprob, perToken, perplexity: Math.exp(-perToken), bitsPerByte: -logprob / Math.LN2 / bytes };
    };
    const members = Object.keys(scores[0]?.members ?? {});
    return {
        ...{ texts: scores.length, tokens, bytes },
        windows: count((score) => score.windows),
        systems: [
            summarize(({ logprobs }) => logprobs),
            ...members.map((member) => ({ member, ...summarize(({ members }) => members[member] ?? []) })),
        ],
    };
}
