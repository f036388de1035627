// Tokens per second when several completions run at once: their tokens go through each member in one batch, so the
// weights are read once for all of them.

import { createRecipe } from "./families.mjs";
import { format, printTable, summarize } from "./report.mjs";

const COUNTS = [1, 2, 4, 8];

/** @param options - `threads` (default: the library's), `rounds`, `tokens` (of each completion) */
export async function benchBatch(library, family, { threads, rounds, tokens }) {
    const ensemble = await library.loadEnsemble(createRecipe(library, family), {
        ...{ backend: "cpu", threads, contextSize: 256, sequences: Math.max(...COUNTS) },
    });
    const { eos } = ensemble.members[0].model.info;
    const complete = (seed) =>
        library.collect(
            library.complete(ensemble, {
                ...{ prompt: family.prompt, raw: true, maxTokens: tokens, seed },
                logitBias: { [eos]: -Infinity },
            }),
        );
    const measured = [];
    for (let i = -1; i < rounds; i++) {
        const round = {};
        const first = (i + 1) % COUNTS.length;
        for (const count of [...COUNTS.slice(first), ...COUNTS.slice(0, first)]) {
            const start = performance.now();
            await Promise.all(Array.from({ length: count }, (_, seed) => complete(seed)));
            round[count] = (count * tokens * 1000) / (performance.now() - start);
        }
        // The first round warms up, and leaves the prompt in all caches.
        if (i >= 0) measured.push(round);
    }
    await ensemble.dispose();
    return {
        ...{ family: family.name, shape: family.shape, threads: ensemble.threads, tokens },
        results: COUNTS.map((count) => ({
            completions: count,
            tokensPerSecond: summarize(measured.map((round) => round[count])),
            gain: summarize(measured.map((round) => round[count] / round[1])),
        })),
        rounds: measured,
    };
}

export function printBatch({ family, shape, threads, results }) {
    printTable(
        `${family}: ${shape}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
        ["completions at once", "tokens per second", "times one"],
        results.map(({ completions, tokensPerSecond, gain }) => [
            completions,
            format(tokensPerSecond, 1),
            format(gain, 2),
        ]),
    );
}
