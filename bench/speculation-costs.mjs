// What speculation costs, and what it should gain by that:
//
//     speed-up = (1 + c_f + c_b) E / (k c_d + a^k c_f + g(k+1) + c_b g_b(k+1)),     E = (1 - a^(k+1)) / (1 - a)
//
// E is the number of tokens that a block of k drafts yields at the acceptance rate a (Leviathan et al. 2211.17192), c_f and
// c_b are the costs of a token of the drafter and of the small base, g and g_b those of a batch, all relative to a token of
// the large model; here they are milliseconds, whose ratios are the same. Two things are kept apart that the usual form
// takes for one:
//
// - While drafting, a token of the drafter costs less (c_d) than in a plain step (c_f), where the large model's weights have
//   just driven its own ones out of the nearer caches.
// - The drafter evaluates the last draft only where all drafts were accepted, which happens with the probability a^k.

import { summarize } from "./report.mjs";
import { generate, NO_DRAFTER, sum } from "./speculation-run.mjs";

/** Draft lengths that are measured. */
export const LENGTHS = [1, 2, 3, 4, 5, 6, 8, 12, 16];
/** Steps of each size. The first one builds a graph, which the others use again as those of a fixed length do. */
const STEPS = 5;
/** `<unk>`, which no text goes on with. */
const NEVER_RIGHT = 0;

/**
 * What each member takes for batches of 1 and of k + 1 tokens, in steps of all members: drafts that are never right have to
 * be verified.
 *
 * @returns from the size of the batch to milliseconds per member
 */
export async function timeBatches(library, ensemble, prompt) {
    const times = {};
    for (const length of [0, ...LENGTHS]) {
        const lookup = () => new Array(length).fill(NEVER_RIGHT);
        const { steps, statistics } = await generate(library, ensemble, {
            // The first token comes with the prompt.
            ...{ prompt, tokens: STEPS + 1, sampling: { temperature: 0 } },
            speculation: { length, drafter: NO_DRAFTER, lookup },
        });
        times[length + 1] = statistics.stepMs.map((ms) => ms / steps);
    }
    return times;
}

/**
 * Medians over rounds.
 *
 * @param rounds - what {@link timeBatches} returned
 * @param draftRounds - milliseconds per token while drafting
 */
export function summarizeCosts(rounds, draftRounds, drafter) {
    const [{ 1: single }] = rounds;
    const batches = [1, ...LENGTHS.map((length) => length + 1)];
    const median = (values) => summarize(values).median;
    return {
        drafter,
        draftMs: median(draftRounds),
        batchMs: Object.fromEntries(
            batches.map((size) => [
                size,
                single.map((_, member) => median(rounds.map((times) => times[size][member]))),
            ]),
        ),
    };
}

export const plainMs = ({ batchMs }) => sum(batchMs[1]);

/** Decoding of a block of k drafts of which each is accepted with probability a. */
export function blockMs({ drafter, draftMs, batchMs }, k, a) {
    const verifying = batchMs[k + 1].filter((_, member) => member !== drafter);
    return k * draftMs + a ** k * batchMs[1][drafter] + sum(verifying);
}

/** The same where drafts come from elsewhere, so that all members verify. */
export const proposedBlockMs = ({ batchMs }, k) => sum(batchMs[k + 1]);

/** Expected tokens of a block. */
export function blockTokens(k, a) {
    return a === 1 ? k + 1 : (1 - a ** (k + 1)) / (1 - a);
}
