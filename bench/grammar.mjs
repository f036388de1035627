// What a grammar costs a token of a large vocabulary. The rows come from here, so that nothing is measured but fusing and drawing:
// each row is drawn from with the grammar and without, in turn, and each text is written several times, each time by a grammar that
// begins anew; of each place the quickest counts.

import { importBuilt, importNative } from "./families.mjs";
import { CASES } from "./grammar-cases.mjs";
import { digits, printTable } from "./report.mjs";

const SAMPLINGS = {
    "temperature 0": { temperature: 0 },
    "temperature 1": {},
    "top-p 0.95": { topP: 0.95 },
    "top-k 40": { topK: 40 },
    "20 log-probabilities": { top: 20 },
};
const UNSHAPED = {
    ...{ temperature: 1, topK: 0, topP: 1, minP: 0, repeatPenalty: 1, frequencyPenalty: 0, presencePenalty: 0 },
    ...{ history: new Int32Array(), historyLimit: 0, biasTokens: new Int32Array(), biasValues: new Float32Array() },
    ...{ seed: 0, position: 0, top: 0, members: false, scores: false },
};
/** Standard deviations of logits. `sure`: knows the text that it writes, in most places; the other one knows nothing. */
const WRITERS = { sure: 2, "at random": 3 };
const MOST_TOKENS = 64;
/** Rows of numbers that are made once. */
const ROWS = 8;

/** @param options - `rounds`: how often each text is written */
export async function benchGrammar(vocabulary, { rounds }) {
    const native = (await importNative()).loadBinding();
    const engine = native.createEngine({ threads: 1, batchSize: 32, sequences: 1 });
    try {
        const model = await engine.loadModel({
            path: vocabulary.file,
            gpuLayers: 0,
            devices: [],
            vocabularyOnly: true,
        });
        const writer = await createWriter(native, engine, model);
        const tree = await timeTree(writer);
        const cases = [];
        for (const [name, each] of Object.entries(CASES)) {
            const { make, compileMs } = await compile(native, model, writer.endOfGeneration, each);
            const text = documentOf(model, make(), each.text);
            const measured = [];
            for (const kind of Object.keys(WRITERS)) {
                for (const sampling of Object.keys(SAMPLINGS)) {
                    const known = kind === "sure" ? text : undefined;
                    measured.push({
                        writer: kind,
                        sampling,
                        ...(await write(writer, make, kind, sampling, known, rounds)),
                    });
                }
            }
            cases.push({ name, compileMs, measured, allTokens: askAll(make, text, rounds) });
        }
        return { family: vocabulary.name, vocabulary: model.info.vocabularySize, tree, cases };
    } finally {
        await engine.dispose();
    }
}

async function createWriter(native, engine, model) {
    const size = model.info.vocabularySize;
    const endOfGeneration = model.endOfGeneration();
    const context = await engine.addExternalContext({ name: "rows", vocabularySize: size });
    const target = engine.createTarget({
        ...{
            contexts: Int32Array.of(context),
            kinds: new Uint8Array(size),
            endOfGeneration,
            lacking: [new Int32Array()],
        },
    });
    const rows = Object.fromEntries(
        Object.entries(WRITERS).map(([kind, deviation]) => [
            kind,
            Array.from({ length: ROWS }, (_, index) => normalRow(size, deviation, index)),
        ]),
    );
    /** Milliseconds of processor time, of both threads. */
    const draw = async (row, settings) => {
        const before = process.cpuUsage();
        const { results } = await engine.step([
            {
                ...{ target, sequence: 0, keep: Int32Array.of(0), tokens: [Int32Array.of(0)] },
                rows: [{ member: 0, logits: row }],
                fusion: { weights: Float64Array.of(1), conservativeTopP: 1, controlTokensFallback: false },
                draw: { ...UNSHAPED, ...settings },
            },
        ]);
        return { token: results[0].draws[0].token, ms: cpuSince(before) };
    };
    return { native, model, endOfGeneration, rows, draw };
}

/** Milliseconds that the first grammar of a vocabulary waits for what tokens write. */
async function timeTree({ native, model, endOfGeneration, rows, draw }) {
    const { compileGbnf } = await importBuilt("grammar", "gbnf-program.js");
    const { readGbnf } = await importBuilt("grammar", "gbnf.js");
    const program = compileGbnf(readGbnf('root ::= "a" | "b"'), []);
    const before = process.memoryUsage().rss;
    const { ms } = await draw(rows.sure[0], {
        temperature: 0,
        grammar: native.createGrammar({ model, program, endOfGeneration }),
    });
    return { ms, bytes: process.memoryUsage().rss - before };
}

/** As src/decoding/grammar.ts does it. */
async function compile(native, model, endOfGeneration, { schema, grammar }) {
    const { jsonSchemaToGbnf } = await importBuilt("grammar", "json-schema.js");
    const { programOf } = await importBuilt("grammar", "gbnf-program.js");
    const before = process.cpuUsage();
    const text = schema === undefined ? grammar : jsonSchemaToGbnf(schema, { isStrict: true }).grammar;
    const program = programOf(text, undefined, () => NaN);
    const make = () => native.createGrammar({ model, program, endOfGeneration });
    make();
    return { make, compileMs: cpuSince(before) };
}

/** The tokens of a text, as far as they are wanted. @throws Error if it is none of the grammar */
function documentOf(model, grammar, text) {
    const tokens = [...model.tokenize(`\n${text}`, false, false)];
    const wanted = Buffer.from(text).length;
    let [from, bytes] = [tokens.length, 0];
    while (bytes < wanted) bytes += model.detokenize(Int32Array.of(tokens[--from]), true).length;
    const document = tokens.slice(from, from + MOST_TOKENS);
    for (const token of document) {
        if (grammar.allowed()[token] === 0) throw new Error(`The grammar does not allow ${text}.`);
        grammar.accept(token);
    }
    return document;
}

/** Writes a text `rounds` times. */
async function write({ rows, endOfGeneration, draw }, make, kind, sampling, text, rounds) {
    const best = [];
    for (let round = 0; round < rounds; round++) {
        const grammar = make();
        for (let position = 0; position < (text?.length ?? MOST_TOKENS); position++) {
            const row = rows[kind][position % ROWS];
            const undo = text === undefined ? [] : raise(row, text[position], position);
            const settings = { ...SAMPLINGS[sampling], seed: 1, position };
            const results = {};
            const order = [
                ["with", { ...settings, grammar }],
                ["without", settings],
            ];
            for (const [name, each] of (round + position) % 2 === 0 ? order : order.reverse())
                results[name] = await draw(row, each);
            for (const [id, logit] of undo) row[id] = logit;
            best[position] ??= { with: Infinity, without: Infinity };
            const place = best[position];
            for (const [name, { ms }] of Object.entries(results)) place[name] = Math.min(place[name], ms);
            const next = text?.[position] ?? results.with.token;
            if (endOfGeneration[next] === 1) break;
            grammar.accept(next);
        }
    }
    const above = best.map((place) => place.with - place.without);
    return { ...distributionOf(above), first: above[0] };
}

/** Milliseconds of finding out which of all tokens may come, at the places of a text. */
function askAll(make, text, rounds) {
    const best = text.map(() => Infinity);
    for (let round = 0; round < rounds; round++) {
        const grammar = make();
        for (const [position, token] of text.entries()) {
            const before = process.cpuUsage();
            grammar.allowed();
            best[position] = Math.min(best[position], cpuSince(before));
            grammar.accept(token);
        }
    }
    return distributionOf(best);
}

function cpuSince(before) {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
}

function distributionOf(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return { tokens: sorted.length, median: at(0.5), p95: at(0.95), worst: sorted.at(-1) };
}

/** The token that comes next gets from a third of the mass to nearly all of it, some others less. @returns what to undo */
function raise(row, token, position) {
    const random = createRandom(position + 1);
    const logit = 13 + 8 * random();
    const raised = [[token, logit]];
    for (let i = 1; i <= 20; i++) raised.push([Math.floor(random() * row.length), logit - 1 - i / 4 - 2 * random()]);
    const before = raised.map(([id]) => [id, row[id]]);
    for (const [id, value] of raised.reverse()) row[id] = value;
    return before;
}

/** Numbers in (0, 1) (Marsaglia, "Xorshift RNGs", 2003). */
function createRandom(seed) {
    let state = Math.imul(seed, 0x9e3779b9) | 1;
    return () => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return ((state >>> 0) + 0.5) / 2 ** 32;
    };
}

function normalRow(size, deviation, seed) {
    const random = createRandom(seed + 1000);
    return Float32Array.from(
        { length: size },
        () => deviation * Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()),
    );
}

export function printGrammar({ family, vocabulary, tree, cases }) {
    const show = ({ median, p95, worst }) => [median, p95, worst].map((ms) => ms.toFixed(2)).join(" / ");
    printTable(
        `Milliseconds of processor time that a grammar costs a token, ${family}, vocabulary ${vocabulary}, median / 95 % / worst; a tree of all ` +
            `texts takes ${digits(tree.ms)} ms and ${(tree.bytes / 2 ** 20).toFixed(0)} MiB`,
        ["grammar", "writer", ...Object.keys(SAMPLINGS), "first token", "asking about all", "compiled"],
        cases.flatMap(({ name, compileMs, measured, allTokens }) =>
            Object.keys(WRITERS).map((writer) => {
                const own = measured.filter((each) => each.writer === writer);
                const first = Math.max(...own.map((each) => each.first));
                return [name, writer, ...own.map(show), first.toFixed(2), show(allTokens), compileMs.toFixed(1)];
            }),
        ),
    );
}
