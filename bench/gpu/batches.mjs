// What a batch of m tokens costs each member, alone in an ensemble and so charged for nothing but its own work, all m rows on
// their way to the host included: g(m) is that in units of one token. Two figures, because llama.cpp builds its graph anew when
// the size of the batch has changed: of batches that follow one of their own size, and of the first after another size.

import { createRecipe, FAMILIES, findFamily } from "../families.mjs";
import { digits, summarize } from "../report.mjs";
import { runRounds } from "../rounds.mjs";
import { prepareFamily, randomFamilies, randomFamily } from "./models.mjs";

const SIZES = [1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 17, 24, 32, 48, 64];
/** Tokens in the cache before each batch. */
const PREFIX = 64;
/** Batches of a size in a round; the first of them follows another size. */
const REPEATS = 4;
/** The member's own distribution. */
const FUSION = { weights: Float64Array.of(1), conservativeTopP: 1, controlTokensFallback: false };

export async function measure(kit) {
    const { quick } = kit;
    const families = quick
        ? [{ name: "demo", ...FAMILIES.demo, isHere: true }, randomFamilies(quick)[0]]
        : [
              randomFamily("7b", "1.1b", "q4_0", 32_000),
              randomFamily("1.1b", "134m", "q4_0", 32_000),
              randomFamily("7b", "1.1b", "f16", 32_000),
          ];
    const members = families.flatMap((family) => ["large", "chat"].map((member) => ({ family, member })));
    kit.result.data.members = [];
    for (const [index, { family, member }] of members.entries()) {
        await kit.attempt(`${family.shape}: ${member}`, members.length - index, async (until) => {
            const prepared = await (family.isHere ? findFamily(family.name) : prepareFamily(kit, family));
            const options = { sizes: SIZES, rounds: quick ? 3 : 10, until };
            const costs = await timeSizes(kit, prepared, member, options);
            kit.result.data.members.push({ family: family.name, shape: family.shape, member, ...costs });
            addRows(kit, `${family.shape}: ${member}`, costs);
        });
    }
    kit.remark("Small models of a family have the same shape and cost the same.");
}

/**
 * @param options - `sizes` of batches, `rounds`, `until` (see {@link runRounds})
 * @returns milliseconds by size: `steadyMs` after a batch of the same size, `changedMs` after one of another
 */
export async function timeSizes({ library, backend }, family, member, { sizes: all, ...options }) {
    const ensemble = await library.loadEnsemble(createRecipe(library, family, member), {
        ...{ backend, contextSize: 256, sequences: 1 },
    });
    try {
        const { vocabulary } = ensemble;
        const token = (at) => 300 + ((at * 7919) % (vocabulary.size - 300));
        const prefix = Int32Array.from({ length: PREFIX }, (_, at) => token(at));
        const { scheduler } = ensemble;
        const sequence = scheduler.open(ensemble.target, [prefix]);
        const evaluate = async (tokens) => {
            // Every token has a row, as drafts have that are verified; looking at one of them is enough.
            const queries = { rows: tokens.length, row: Int32Array.of(0), token: Int32Array.of(0), scores: false };
            sequence.texts[0].splice(PREFIX, Infinity, ...tokens);
            const ends = [PREFIX + tokens.length];
            const { decodeMs } = await scheduler.evaluate({ sequence, ends, fusion: FUSION, queries });
            return decodeMs[0];
        };
        await scheduler.evaluate({ sequence, ends: [PREFIX] });
        const rounds = await runRounds(options, all, async (_, sizes) => {
            const round = {};
            for (const size of sizes) {
                const tokens = Int32Array.from({ length: size }, (_, at) => token(PREFIX + at));
                round[size] = [];
                for (let i = 0; i < REPEATS; i++) round[size].push(await evaluate(tokens));
            }
            return round;
        });
        const bySize = (value) =>
            Object.fromEntries(all.map((size) => [size, summarize(rounds.flatMap((round) => value(round[size])))]));
        return { steadyMs: bySize((times) => times.slice(1)), changedMs: bySize(([first]) => first) };
    } finally {
        await ensemble.dispose();
    }
}

function addRows(kit, name, { steadyMs, changedMs }) {
    const one = steadyMs[1].median;
    const head = ["member", "ms of one token", ...SIZES.slice(1)];
    const row = (times, sizes) => sizes.map((size) => (times[size].median / one).toFixed(2));
    kit.addRow("Batches of m tokens, in units of one token", head, [
        name,
        digits(one),
        ...row(steadyMs, SIZES.slice(1)),
    ]);
    kit.addRow(
        "The same, the first after a batch of another size",
        ["member", ...SIZES],
        [name, ...row(changedMs, SIZES)],
    );
}
