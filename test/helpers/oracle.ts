/** node-llama-cpp's own evaluation of a model, by its public interface: an independent path to the same numbers. */

import { getLlama, type Llama, type Token } from "node-llama-cpp";
import { logSumExp } from "./reference.js";

export interface Oracle {
    /** Tokens of a text, BOS first. Control tokens that it spells are text, unless `parseSpecial` is true. */
    tokenize(text: string, parseSpecial?: boolean): number[];
    /**
     * Evaluates tokens in an empty context.
     *
     * @param batches - how many tokens to evaluate at a time, first to last; the rest one by one
     * @param from - index of the first token whose row is wanted. Others are not asked for: llama.cpp computes less for
     * them, and what it computes together it may round differently.
     * @returns log-probabilities of what follows, for each token from `from` on
     */
    rows(tokens: readonly number[], batches: readonly number[], from: number): Promise<Float64Array[]>;
    dispose(): Promise<void>;
}

let llama: Promise<Llama> | undefined;

export async function openOracle(modelPath: string): Promise<Oracle> {
    // Its logger gets the lines of all later tests of this process too, for there is one llama.cpp.
    llama ??= getLlama({ gpu: false, build: "never", maxThreads: 1, logger: () => undefined });
    const model = await (await llama).loadModel({ modelPath });
    // Flash attention as in our contexts: without it, F16 values of the cache are summed with another rounding.
    const context = await model.createContext({ contextSize: 256, batchSize: 512, flashAttention: true });
    const sequence = context.getSequence();
    return {
        tokenize: (text, parseSpecial = false) => [model.tokens.bos ?? NaN, ...model.tokenize(text, parseSpecial)],
        async rows(tokens, batches, from) {
            await sequence.clearHistory();
            const rows: Float64Array[] = [];
            for (let batch = 0, at = 0; at < tokens.length; batch++) {
                const input = tokens.slice(at, at + (batches[batch] ?? 1)) as Token[];
                const output = await sequence.controlledEvaluate(
                    input.map((token, i) => (at + i < from ? token : [token, { generateNext: { logits: true } }])),
                );
                for (const item of output) if (item !== undefined) rows.push(toRow(item.next.logits));
                at += input.length;
            }
            return rows;
        },
        dispose: () => model.dispose(),
    };
}

function toRow(logits: ReadonlyMap<Token, number> | undefined): Float64Array {
    if (logits === undefined) throw new Error("node-llama-cpp returned no logits.");
    const row = new Float64Array(logits.size);
    for (const [token, logit] of logits) row[token] = logit;
    const logNormalizer = logSumExp(row);
    return row.map((logit) => logit - logNormalizer);
}

/** Largest absolute difference between rows of equal shape; NaN if a row is missing or has another length. */
export function largestError(
    actual: readonly (ArrayLike<number> | undefined)[],
    expected: readonly ArrayLike<number>[],
): number {
    if (actual.length !== expected.length) return NaN;
    return expected.reduce((worst, row, i) => {
        const own = actual[i];
        if (own?.length !== row.length) return NaN;
        for (let id = 0; id < row.length; id++) worst = Math.max(worst, Math.abs((own[id] ?? NaN) - (row[id] ?? NaN)));
        return worst;
    }, 0);
}
