// Tokens per second of several completions at once, plain and with adaptive drafts: the more sequences share a step, the less
// there is to gain by verifying several tokens of each.

import { withDisposables } from "./disposables.mjs";
import { summarize } from "./report.mjs";
import { runRounds } from "./rounds.mjs";
import { addStatistics, forbidEnd, load, sum } from "./speculation-run.mjs";

const COUNTS = [1, 4, 8];
const CONTENDERS = { plain: false, adaptive: { length: "adaptive" } };

/** @param options - as of `benchSpeculation`; `until` (see {@link runRounds}), `counts`: how many completions at once */
export async function benchSequences(library, family, { backend, threads, rounds, tokens, until, counts = COUNTS }) {
    return withDisposables(async (keep) => {
        const ensembles = {};
        for (const name of Object.keys(CONTENDERS)) {
            ensembles[name] = await keep(load(library, family, { backend, threads, sequences: Math.max(...counts) }));
        }
        const prompts = Object.values(family.texts).flat();
        const complete = (name, index, round) =>
            library.collect(
                library.complete(ensembles[name], {
                    ...{
                        prompt: prompts[index % prompts.length],
                        raw: true,
                        maxTokens: tokens,
                        seed: 10 * round + index,
                    },
                    ...{ logitBias: forbidEnd(ensembles[name]), speculation: CONTENDERS[name] },
                }),
            );
        const measured = await runRounds({ rounds, until }, Object.keys(CONTENDERS), async (i, names) => {
            const round = {};
            for (const count of counts) {
                round[count] = {};
                for (const name of names) {
                    const start = performance.now();
                    const all = Array.from({ length: count }, (_, index) => complete(name, index, i + 1));
                    const results = await Promise.all(all);
                    round[count][name] = {
                        tokensPerSecond:
                            (sum(results.map((result) => result.tokens)) * 1000) / (performance.now() - start),
                        statistics: results.map(({ speculation }) => speculation),
                    };
                }
            }
            return round;
        });
        return counts.map((completions) => {
            const own = measured.map((round) => round[completions]);
            const each = (value) => summarize(own.map(value));
            return {
                completions,
                plain: each(({ plain }) => plain.tokensPerSecond),
                adaptive: each(({ adaptive }) => adaptive.tokensPerSecond),
                speedup: each(({ plain, adaptive }) => adaptive.tokensPerSecond / plain.tokensPerSecond),
                ...addStatistics(own.flatMap(({ adaptive }) => adaptive.statistics)),
            };
        });
    });
}
