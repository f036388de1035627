// Tokenizes long texts with every vocabulary of a folder, in a thread with a small stack, and prints a JSON object a line:
// {"file", "unit"} before each, then {"file", "unit", "outcome"}: `same` if the tokens spell the text, an error's code, or `differs`.
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread, Worker } from "node:worker_threads";
import { EftError } from "../../../dist/index.js";
import { loadBinding } from "../../../dist/native/load-binding.js";

const [folder, units, length] = process.argv.slice(2);

if (isMainThread) {
    // One megabyte: with 355 bytes a character, matches of 3,000 characters overflow it.
    new Worker(fileURLToPath(import.meta.url), { argv: process.argv.slice(2), resourceLimits: { stackSizeMb: 1 } });
} else {
    const engine = loadBinding().createEngine({ threads: 1, batchSize: 32, sequences: 1 });
    for (const file of readdirSync(folder)) {
        const options = { path: path.join(folder, file), gpuLayers: 0, devices: [], vocabularyOnly: true };
        const model = await engine.loadModel(options);
        for (const unit of JSON.parse(units)) {
            console.log(JSON.stringify({ file, unit }));
            console.log(JSON.stringify({ file, unit, outcome: attempt(model, unit) }));
        }
    }
    await engine.dispose();
}

function attempt(model, unit) {
    const text = unit.repeat(Math.ceil(Number(length) / unit.length));
    try {
        const spelled = model.detokenize(model.tokenize(text, false, false), true).toString("utf8");
        return spelled.replaceAll("▁", " ") === text ? "same" : "differs";
    } catch (error) {
        return EftError.isInstance(error) ? error.code : String(error);
    }
}
