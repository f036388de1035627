// What speculation costs, and what it should gain by that:
//
//     speed-up = (1 + c_f + c_b) E / (k c_d + a^k c_f + v(k+1)),     E = (1 - a^(k+1)) / (1 - a)
//
// E is the number of tokens that a block of k drafts yields at the acceptance rate a (Leviathan et al. 2211.17192), c_f and
// c_b are the costs of a token of the drafter and of the small base, v(m) that of a batch of m tokens of all members but the
// drafter, all relative to a token of the large model; here they are milliseconds, whose ratios are the same. v is measured as
// a whole, in steps that do without the drafter: members on a GPU overlap, and only sums over them say what they took (see
// step.mjs). Two things are kept apart that the usual form takes for one:
//
// - While drafting, a token of the drafter costs less (c_d) than in a plain step (c_f), where the large model's weights have
//   just driven its own ones out of the nearer caches.
// - The drafter evaluates the last draft only where all drafts were accepted, which happens with the probability a^k.

import { summarize } from "./report.mjs";
import { generate, NO_DRAFTER, sum, WITHOUT_DRAFTER } from "./speculation-run.mjs";

/** Draft lengths that are measured. */
export const LENGTHS = [1, 2, 3, 4, 5, 6, 8, 12, 16];
/** Steps of each size. The first one builds a graph, which the others use again as those of a fixed length do. */
const STEPS = 5;
/** `<unk>`, which no text goes on with. */
const NEVER_RIGHT = 0;

/**
 * What batches of 1 and of k + 1 tokens take: drafts that are never right have to be verified.
 *
 * @returns from the size of the batch to milliseconds: `all`: per member, in steps of all of them; `verifying`: of all but the
 *   drafter, in steps without it
 */
export async function timeBatches(library, ensemble, prompt) {
    const time = async (length, parameters) => {
        const lookup = () => new Array(length).fill(NEVER_RIGHT);
        const { steps, statistics } = await generate(library, ensemble, {
            // The first token comes with the prompt.
            ...{ prompt, parameters, tokens: STEPS + 1, sampling: { temperature: 0 } },
            speculation: { length, drafter: NO_DRAFTER, lookup },
        });
        return statistics.stepMs.map((ms) => ms / steps);
    };
    const [all, verifying] = [{}, {}];
    for (const length of [0, ...LENGTHS]) {
        all[length + 1] = await time(length, {});
        verifying[length + 1] = sum(await time(length, WITHOUT_DRAFTER));
    }
    return { all, verifying };
}

/**
 * Medians over rounds.
 *
 * @param rounds - what {@link timeBatches} returned
 * @param draftRounds - milliseconds per token while drafting
 */
export function summarizeCosts(rounds, draftRounds, drafter) {
    const sizes = [1, ...LENGTHS.map((length) => length + 1)];
    const median = (values) => summarize(values).median;
    const bySize = (value) => Object.fromEntries(sizes.map((size) => [size, value(size)]));
    return {
        drafter,
        draftMs: median(draftRounds),
        /** Per member. On a GPU only sums over members say something. */
        batchMs: bySize((size) =>
            rounds[0].all[1].map((_, member) => median(rounds.map(({ all }) => all[size][member]))),
        ),
        /** Of all members but the drafter. */
        verifyMs: bySize((size) => median(rounds.map(({ verifying }) => verifying[size]))),
    };
}

export const plainMs = ({ batchMs }) => sum(batchMs[1]);

/** Decoding of a block of k drafts of which each is accepted with probability a. */
export function blockMs({ draftMs, verifyMs, ...costs }, k, a) {
    const drafterMs = plainMs(costs) - verifyMs[1];
    return k * draftMs + a ** k * drafterMs + verifyMs[k + 1];
}

/** The same where drafts come from elsewhere, so that all members verify. */
export const proposedBlockMs = ({ batchMs }, k) => sum(batchMs[k + 1]);

/** Expected tokens of a block. */
export function blockTokens(k, a) {
    return a === 1 ? k + 1 : (1 - a ** (k + 1)) / (1 - a);
}
