import type { CompletionResult, Score } from "../../src/index.js";

export const F16_BATCHING: number;
export const F32_FORCED: number;
export const QUANTIZED: number;

export interface Check {
    readonly tokens: number;
    readonly largest: number;
    readonly tolerance: number;
    readonly first?: string;
    readonly margin?: number;
    readonly isGood: boolean;
}

export function compareTexts(
    pairs: readonly (readonly [CompletionResult, CompletionResult])[],
    options: { readonly temperature?: number; readonly tolerance: number },
): Check;

export function compareScores(
    pairs: readonly (readonly [Score, Score])[],
    options: { readonly tolerance: number },
): Check;
