// Scoring many short continuations of shared contexts, as multiple-choice evaluations do: all in one score() call against
// one call per item with a single sequence. Contexts take turns, so that one by one nothing is found in the cache.

import { withDisposables } from "./disposables.mjs";
import { createRecipe } from "./families.mjs";
import { describeSetting, format, printTable, summarize } from "./report.mjs";

const ITEMS = 1000;
/** Continuations per context: a question with four answers, and a long list of candidates. */
const SHAPES = [4, 20];
const SEQUENCES = 16;
/** One by one, a round times only each tenth item. */
const STRIDE = 10;

const PLACES = ["Peru", "Japan", "Chad", "Eritrea", "Norway", "Cuba", "Kenya", "Laos", "Malta", "Nepal"];
const WORDS = [
    "capital",
    "currency",
    "language",
    "king",
    "river",
    "largest city",
    "neighbour",
    "president",
    "anthem",
    "sea",
];

/** @param options - `backend`, `threads` (default: the library's), `rounds` */
export async function benchScore(library, family, { backend, threads, rounds }) {
    const load = (sequences) =>
        library.loadEnsemble(createRecipe(library, family), { backend, threads, contextSize: 256, sequences });
    return withDisposables(async (keep) => {
        const together = await keep(load(SEQUENCES));
        const single = await keep(load(1));
        const results = [];
        for (const perContext of SHAPES) {
            const items = createItems(ITEMS / perContext);
            const tokens = countTokens(together, items);
            const measured = [];
            for (let i = -1; i < rounds; i++) {
                const oneByOne = items.filter((_, index) => index % STRIDE === (i + STRIDE) % STRIDE);
                const togetherMs = await time(() => library.score(together, items));
                const oneByOneMs = await time(async () => {
                    for (const item of oneByOne) await library.score(single, [item]);
                });
                if (i >= 0) measured.push({ togetherMs, oneByOneMs: oneByOneMs * STRIDE });
            }
            results.push({
                contexts: ITEMS / perContext,
                perContext,
                ...tokens,
                togetherMs: summarize(measured.map(({ togetherMs }) => togetherMs)),
                oneByOneMs: summarize(measured.map(({ oneByOneMs }) => oneByOneMs)),
                speedup: summarize(measured.map(({ togetherMs, oneByOneMs }) => oneByOneMs / togetherMs)),
                rounds: measured,
            });
        }
        return {
            family: family.name,
            shape: family.shape,
            backend: together.backend.backend,
            threads: together.threads,
            sequences: SEQUENCES,
            results,
        };
    });
}

/** Items whose neighbours have other contexts. */
function createItems(contexts) {
    return Array.from({ length: ITEMS }, (_, index) => {
        const [context, choice] = [index % contexts, Math.floor(index / contexts)];
        const at = (list, shift) => list[(context * 7 + shift) % list.length];
        const facts = Array.from({ length: 4 }, (_, i) => `the ${at(WORDS, i)} of ${at(PLACES, i + context)}`);
        return {
            context: `Question ${context} is about ${facts.join(", ")}. The answer is`,
            continuation: ` ${at(WORDS, choice)} ${choice}.`,
        };
    });
}

/** Mean lengths, in tokens. */
function countTokens(ensemble, items) {
    const [{ model }] = ensemble.members;
    const mean = (text) =>
        items.reduce((total, item) => total + model.tokenize(text(item), true, false).length, 0) / items.length;
    const contextTokens = mean(({ context }) => context);
    return {
        contextTokens,
        continuationTokens: mean(({ context, continuation }) => context + continuation) - contextTokens,
    };
}

async function time(body) {
    const start = performance.now();
    await body();
    return performance.now() - start;
}

export function printScore({ sequences, results, ...result }) {
    printTable(
        `${describeSetting(result)}, ${sequences} sequences; 1,000 continuations`,
        ["contexts x continuations", "tokens each", "one by one, s", "together, s", "speed-up"],
        results.map((result) => [
            `${result.contexts} x ${result.perContext}`,
            `${result.contextTokens.toFixed(0)} + ${result.continuationTokens.toFixed(1)}`,
            (result.oneByOneMs.median / 1000).toFixed(2),
            (result.togetherMs.median / 1000).toFixed(2),
            format(result.speedup, 1),
        ]),
    );
}
