import type { Proposer } from "../src/index.js";

export function createSyntheticProposer(options: {
    readonly text: readonly number[];
    readonly promptTokens: number;
    readonly acceptance: number;
    readonly seed: number;
    readonly vocabularySize: number;
}): Proposer;
