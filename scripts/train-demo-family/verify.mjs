// Compares the exported files with the training code, by node-llama-cpp alone: tokens, probabilities, greedy text.
//
//     node scripts/train-demo-family/verify.mjs REFERENCE.json FOLDER
//
// Prints a table. The exit code is 1 if a file differs more than its type allows.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { getLlama } from "node-llama-cpp";

// Bounds of the mean KL divergence. Four bits are coarse for matrices as small as these: that bound finds blunders.
const BOUNDS = { f32: 1e-5, f16: 1e-5, q8_0: 1e-3, q4_0: 1 };
// A greedy token of an exact file may differ only from one whose lead was smaller than this.
const TIE = 0.02;
// A member whose file is an adapter, and the model that it changes.
const ADAPTERS = { "small-chat-lora": "small-base-f16.gguf" };
const MAX_TOKENS = 64;

const [referenceFile, folder] = process.argv.slice(2);
const reference = JSON.parse(readFileSync(referenceFile, "utf8"));
const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1 });

const table = [];
for (const file of readdirSync(folder).filter((name) => name.endsWith(".gguf"))) table.push(await verify(file));
console.table(table);
process.exitCode = table.every(({ passed }) => passed) ? 0 : 1;

async function verify(file) {
    const adapterBase = ADAPTERS[path.basename(file, ".gguf")];
    const [, member, type] =
        adapterBase === undefined ? /^(.*)-([^-]+)\.gguf$/.exec(file) : [file, path.basename(file, ".gguf"), "f16"];
    const { rows, greedy } = reference.members[member];
    const model = await llama.loadModel({ modelPath: path.join(folder, adapterBase ?? file) });
    const context = await model.createContext({
        contextSize: model.trainContextSize,
        batchSize: 512,
        flashAttention: true,
        lora: adapterBase && path.join(folder, file),
    });
    const sequence = context.getSequence();
    const tokenize = (text) => [model.tokens.bos, ...model.tokenize(text)];

    let wrongTexts = 0;
    const divergences = [];
    for (const [i, { text, tokens }] of reference.texts.entries()) {
        if (tokenize(text).join() !== tokens.join()) wrongTexts++;
        if (rows[i] === undefined) continue;
        const wanted = new Map(rows[i].map(({ position, logProbabilities }) => [position, logProbabilities]));
        await sequence.clearHistory();
        const input = tokens
            .slice(0, model.trainContextSize)
            .map((token, at) => (wanted.has(at) ? [token, { generateNext: { logits: true } }] : token));
        const output = await sequence.controlledEvaluate(input);
        for (const [at, expected] of wanted) {
            divergences.push(klDivergence(expected, logProbabilities(output[at].next.logits)));
        }
    }

    let sameAnswers = 0;
    let ties = 0;
    for (const { text, continuation, leads } of greedy) {
        const generated = [];
        await sequence.clearHistory();
        for await (const token of sequence.evaluate(tokenize(text), { temperature: 0, yieldEogToken: true })) {
            generated.push(token);
            if (token === model.tokens.eos || generated.length === MAX_TOKENS) break;
        }
        const different = continuation.findIndex((token, at) => generated[at] !== token);
        if (different === -1) sameAnswers++;
        else if (leads[different] < TIE) ties++;
    }
    await model.dispose();

    const mean = divergences.reduce((sum, divergence) => sum + divergence, 0) / divergences.length;
    // Rounded to eight or four bits, a model may well prefer another token somewhere.
    const exact = type === "f32" || type === "f16";
    return {
        file,
        "texts with other tokens": wrongTexts,
        "mean KL": Number(mean.toPrecision(2)),
        "largest KL": Number(Math.max(...divergences).toPrecision(2)),
        "same greedy text": `${sameAnswers}/${greedy.length}`,
        "another after a tie": ties,
        passed: wrongTexts === 0 && mean < BOUNDS[type] && (!exact || sameAnswers + ties === greedy.length),
    };
}

function logProbabilities(logits) {
    const row = Float64Array.from({ length: logits.size }, (_, token) => logits.get(token));
    const largest = row.reduce((a, b) => Math.max(a, b));
    const logSum = largest + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
    return row.map((logit) => logit - logSum);
}

function klDivergence(expected, actual) {
    return expected.reduce((sum, logP, token) => sum + Math.exp(logP) * (logP - actual[token]), 0);
}
