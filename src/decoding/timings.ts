/** What completions took together. */

import type { CompletionResult, CompletionTimings } from "./completion.js";

/** Milliseconds a token, all of them but the first ones, which come with their prompts. */
export interface TokenTimings extends Pick<CompletionTimings, "decodeMs" | "fuseMs" | "tokensPerSecond"> {
    readonly ms: number;
}

/** Of completions that ran one after another; NaN where none has more than one token. */
export function timePerToken(results: readonly Pick<CompletionResult, "tokens" | "timings">[]): TokenTimings {
    const tokens = results.reduce((sum, result) => sum + Math.max(0, result.tokens - 1), 0);
    const perToken = (milliseconds: (timings: CompletionTimings) => number): number =>
        results.reduce((sum, { timings }) => sum + milliseconds(timings), 0) / tokens;
    const ms = perToken(({ generationMs }) => generationMs);
    const members = new Set(results.flatMap(({ timings }) => Object.keys(timings.decodeMs)));
    return {
        ...{ ms, tokensPerSecond: 1000 / ms },
        decodeMs: Object.fromEntries(
            [...members].map((name) => [name, perToken(({ decodeMs }) => decodeMs[name] ?? 0)]),
        ),
        fuseMs: perToken(({ fuseMs }) => fuseMs),
    };
}
