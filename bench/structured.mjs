// Labels: short objects of JSON by a schema, one after another and several at a time, with the text that the schema forces
// verified as drafts and without. Processor time of the whole process counts, and beside it the clock.

import { withDisposables } from "./disposables.mjs";
import { createRecipe } from "./families.mjs";
import { describeSetting, format, printTable, summarize } from "./report.mjs";
import { runRounds } from "./rounds.mjs";

const LABELS = ["positive", "negative", "neutral", "mixed"];
const LANGUAGES = ["en", "de", "fr", "es"];
const SCHEMA = {
    properties: {
        label: { enum: LABELS },
        confidence: { type: "integer", minimum: 0, maximum: 100 },
        language: { enum: LANGUAGES },
    },
    required: ["label", "confidence", "language"],
};
/** Beside weights that are random, or have seen no JSON, a model that writes it as its tokenizer cuts it: by a bias. */
const WRITERS = { "as it is": 0, "as its tokenizer": 40 };
const SEQUENCES = [1, 4];
/** Labels of a round. */
const TEXTS = 4;
const CONTENDERS = { plain: { speculation: false }, forced: {} };
const TEMPERATURE = 0.7;

/** @param options - `backend`, `threads` (default: the library's), `rounds` */
export async function benchStructured(library, family, { backend, threads, rounds }) {
    return withDisposables(async (keep) => {
        // Each has an ensemble of its own, since it learns what its writer is like.
        const settings = [];
        for (const writer of Object.keys(WRITERS)) {
            for (const sequences of SEQUENCES) {
                const options = { backend, threads, contextSize: 256, sequences };
                const ensemble = await keep(library.loadEnsemble(createRecipe(library, family), options));
                settings.push({ writer, ensemble });
            }
        }
        const all = await runRounds({ rounds }, Object.keys(CONTENDERS), async (i, names) => {
            const outcomes = [];
            for (const { writer, ensemble } of settings) {
                const logitBias = biasOf(ensemble, WRITERS[writer]);
                const results = {};
                for (const name of names) {
                    results[name] = await label(library, ensemble, { ...CONTENDERS[name], logitBias }, i);
                }
                outcomes.push(results);
            }
            return outcomes;
        });
        const [{ ensemble: first }] = settings;
        return {
            ...{ family: family.name, shape: family.shape, backend: first.backend.backend, threads: first.threads },
            settings: settings.map(({ writer, ensemble: { sequences } }, place) => ({
                ...{ writer, sequences },
                ...describe(all.map((outcomes) => outcomes[place])),
            })),
            rounds: all,
        };
    });
}

/** All labels of a round; as many at a time as there are sequences. */
async function label(library, ensemble, options, round) {
    const texts = Array.from({ length: TEXTS }, (_, index) => index);
    const results = [];
    const [cpu, clock] = [process.cpuUsage(), performance.now()];
    while (texts.length > 0) {
        const group = texts.splice(0, ensemble.sequences).map((index) =>
            library.collect(
                library.complete(ensemble, {
                    ...{ prompt: `Text ${index} of ${TEXTS} in JSON:`, raw: true, seed: 100 * (round + 1) + index },
                    ...{ jsonSchema: SCHEMA, sampling: { temperature: TEMPERATURE }, ...options },
                }),
            ),
        );
        results.push(...(await Promise.all(group)));
    }
    const { user, system } = process.cpuUsage(cpu);
    const count = (value) => results.reduce((sum, result) => sum + value(result), 0);
    return {
        ...{ cpuMs: (user + system) / 1000, wallMs: performance.now() - clock },
        ...{ tokens: count(({ tokens }) => tokens), ids: results.map(({ parts }) => parts.map(({ id }) => id)) },
        forced: count(({ speculation }) => speculation?.forced ?? 0),
        accepted: count(({ speculation }) => speculation?.forcedAccepted ?? 0),
        steps: count(({ speculation, tokens }) => (speculation ? speculation.steps + 1 : tokens)),
    };
}

/** For the tokens of labels, as the tokenizer writes them. A space is the surer one where it may come. */
function biasOf({ members: [{ model }] }, bias) {
    if (bias === 0) return {};
    const texts = LABELS.flatMap((label) =>
        LANGUAGES.map((language) => JSON.stringify({ label, confidence: 50, language }).replace(/([:,])"/g, '$1 "')),
    );
    const ids = texts.flatMap((text) => [...model.tokenize(`\n${text}`, false, false)]);
    const digits = Array.from("0123456789", (digit) => model.tokenize(`\n${digit}`, false, false).at(-1));
    return Object.fromEntries([...ids, ...digits].map((id) => [id, bias]));
}

function describe(rounds) {
    const ratio = (value) => summarize(rounds.map(({ plain, forced }) => value(plain) / value(forced)));
    const perText = (name, value) => summarize(rounds.map((round) => value(round[name]) / TEXTS)).median;
    return {
        cpu: ratio(({ cpuMs }) => cpuMs),
        wall: ratio(({ wallMs }) => wallMs),
        tokens: perText("plain", ({ tokens }) => tokens),
        steps: perText("forced", ({ steps }) => steps),
        forced: perText("forced", ({ forced }) => forced),
        accepted: perText("forced", ({ accepted }) => accepted),
        differing: rounds.reduce(
            (count, { plain, forced }) =>
                count + plain.ids.filter((ids, index) => ids.join() !== forced.ids[index].join()).length,
            0,
        ),
    };
}

export function printStructured(result) {
    printTable(
        `Labels of three fields, ${describeSetting(result)}: without forced text / with it`,
        ["writes", "at once", "processor time", "clock", "tokens", "steps", "forced", "accepted", "other texts"],
        result.settings.map(({ writer, sequences, cpu, wall, tokens, steps, forced, accepted, differing }) => [
            ...[writer, sequences, format(cpu, 2), format(wall, 2)],
            ...[tokens, steps, forced, accepted].map((count) => count.toFixed(1)),
            differing,
        ]),
    );
}
