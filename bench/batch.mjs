// Tokens per second when several completions run at once: their tokens go through each member in one batch, so the
// weights are read once for all of them.

import { withDisposables } from "./disposables.mjs";
import { createRecipe } from "./families.mjs";
import { describeSetting, format, printTable, summarize } from "./report.mjs";
import { runRounds } from "./rounds.mjs";

const COUNTS = [1, 2, 4, 8];

/**
 * @param options - `backend`, `threads` (default: the library's), `rounds`, `tokens` (of each completion), `until` (see
 *   {@link runRounds}), `counts`: how many completions at once, from 1 on
 */
export async function benchBatch(library, family, { backend, threads, rounds, tokens, until, counts = COUNTS }) {
    return withDisposables(async (keep) => {
        const ensemble = await keep(
            library.loadEnsemble(createRecipe(library, family), {
                ...{ backend, threads, contextSize: 256, sequences: Math.max(...counts) },
            }),
        );
        const { eos } = ensemble.members[0].model.info;
        const complete = (seed) =>
            library.collect(
                library.complete(ensemble, {
                    ...{ prompt: family.prompt, raw: true, maxTokens: tokens, seed },
                    logitBias: { [eos]: -Infinity },
                }),
            );
        // The first round warms up, and leaves the prompt in all caches.
        const measured = await runRounds({ rounds, until }, counts, async (_, inOrder) => {
            const round = {};
            for (const count of inOrder) {
                const start = performance.now();
                await Promise.all(Array.from({ length: count }, (_, seed) => complete(seed)));
                round[count] = (count * tokens * 1000) / (performance.now() - start);
            }
            return round;
        });
        return {
            ...{ family: family.name, shape: family.shape, tokens },
            ...{ backend: ensemble.backend.backend, threads: ensemble.threads },
            /** Why not all of it is on the device. */
            planRemarks: ensemble.plan?.remarks ?? [],
            results: counts.map((count) => ({
                completions: count,
                tokensPerSecond: summarize(measured.map((round) => round[count])),
                gain: summarize(measured.map((round) => round[count] / round[1])),
            })),
            rounds: measured,
        };
    });
}

export function printBatch({ results, ...result }) {
    printTable(
        describeSetting(result),
        ["completions at once", "tokens per second", "times one"],
        results.map(({ completions, tokensPerSecond, gain }) => [
            completions,
            format(tokensPerSecond, 1),
            format(gain, 2),
        ]),
    );
}
