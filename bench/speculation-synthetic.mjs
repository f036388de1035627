// Loop and policy by themselves: drafts that cost nothing and are right as often as one wants them to be. All members verify
// them, so the formula is (1 + c_f + c_b) E / (g(k+1) + c_f g_f(k+1) + c_b g_b(k+1)).

import { withDisposables } from "./disposables.mjs";
import { summarize } from "./report.mjs";
import { runRounds } from "./rounds.mjs";
import { blockTokens, LENGTHS, plainMs, proposedBlockMs } from "./speculation-costs.mjs";
import { addStatistics, generate, load, NO_DRAFTER } from "./speculation-run.mjs";
import { createSyntheticProposer } from "./synthetic.mjs";

const ACCEPTANCES = [0, 0.3, 0.6, 0.9, 1];
const MOST_DRAFTS = Math.max(...LENGTHS);
const ADAPTIVE = "adaptive";
const CONTENDERS = ["plain", 1, 2, 4, 8, MOST_DRAFTS, ADAPTIVE];

/** @param costs - what `summarizeCosts` returned */
export async function benchSynthetic(library, family, costs, options) {
    return withDisposables(async (keep) => {
        const fixed = await keep(load(library, family, options));
        const adaptive = await keep(load(library, family, options));
        const rounds = await runRounds(options, CONTENDERS, async (i, lengths) => {
            const [seed, prompt] = [i + 1, family.prompt];
            const known = await generate(library, fixed, { prompt, seed, tokens: options.tokens + MOST_DRAFTS });
            const round = {};
            for (const acceptance of ACCEPTANCES) {
                round[acceptance] = {};
                const lookup = createSyntheticProposer({
                    ...{ text: known.ids, promptTokens: known.promptTokens[fixed.members[0].name] },
                    ...{ acceptance, seed, vocabularySize: fixed.vocabulary.size },
                });
                for (const length of lengths) {
                    const speculation = length !== "plain" && { length, lookup, drafter: NO_DRAFTER };
                    round[acceptance][length] = await generate(library, length === ADAPTIVE ? adaptive : fixed, {
                        ...{ prompt, seed, tokens: options.tokens, speculation },
                    });
                }
            }
            return round;
        });
        return ACCEPTANCES.map((acceptance) => {
            const own = rounds.map((round) => round[acceptance]);
            return { acceptance, contenders: describe(acceptance, own, costs) };
        });
    });
}

function describe(acceptance, rounds, costs) {
    const predict = (k, rate) => (plainMs(costs) * blockTokens(k, rate)) / proposedBlockMs(costs, k);
    return CONTENDERS.slice(1).map((length) => {
        const counts = addStatistics(rounds.map((round) => round[length].statistics));
        return {
            length,
            ...counts,
            speedup: summarize(rounds.map((round) => round[length].tokensPerSecond / round.plain.tokensPerSecond)),
            formula:
                length === ADAPTIVE
                    ? // That of the best length; none is one too.
                      Math.max(1, ...LENGTHS.map((k) => predict(k, acceptance)))
                    : predict(length, counts.acceptanceRate),
        };
    });
}
