// Copies of this package, and node-llama-cpp, in one process. Does what its arguments say, one after another, and prints a
// line for each: `a.load`, `b.ask`, `a+b.ask` (at once), `a.fail` (loads the damaged model), `a.dispose`, for copies that
// are given as `--copy a=<folder>`; the same for `n`, which is node-llama-cpp. `a+b.thread` does all of it in threads.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { demoFile } from "./demo.mjs";

const { values, positionals: operations } = parseArgs({
    options: { copy: { type: "string", multiple: true, default: [] }, damaged: { type: "string" } },
    allowPositionals: true,
});
const question = { prompt: "What is the capital of Peru?", sampling: { temperature: 0 } };

async function openCopy(folder) {
    const api = await import(pathToFileURL(path.join(folder, "dist", "index.js")));
    const models = (reference) =>
        api.adHocRecipe({ base: demoFile("large-base-f16"), tuned: demoFile("small-chat-f16"), reference });
    let ensemble;
    return {
        async load() {
            ensemble = await api.loadEnsemble(models(demoFile("small-base-f16")), { backend: "cpu", threads: 1 });
            return "loaded";
        },
        ask: async () => (await api.collect(api.complete(ensemble, question))).text,
        /** What llama.cpp says reaches the message of the copy that loads, and so does a failed assertion. */
        fail: () =>
            api.loadEnsemble(models(values.damaged), { backend: "cpu", threads: 1 }).then(
                () => "loaded",
                ({ code, message }) => `${code} ${/llama\.cpp says: .*GGML_ASSERT/s.test(message)}`,
            ),
        async dispose() {
            await ensemble.dispose();
            return "disposed";
        },
    };
}

async function openNeighbour() {
    let llama, model, sequence;
    return {
        async load() {
            llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.disabled });
            model = await llama.loadModel({ modelPath: demoFile("large-chat-f16") });
            sequence = (await model.createContext({ contextSize: 256 })).getSequence();
            return "loaded";
        },
        async ask() {
            await sequence.clearHistory();
            const prompt = model.tokenize("<s>[INST] What is the capital of Peru? [/INST]", true);
            const tokens = [];
            for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
                if (model.isEogToken(token)) break;
                tokens.push(token);
            }
            // Its texts begin with the template's space.
            return model.detokenize(tokens).trimStart();
        },
        async dispose() {
            await llama.dispose();
            return "disposed";
        },
    };
}

async function runInThread(name) {
    const argv = process.argv.slice(2).filter((argument) => !/\.\w+$/.test(argument) || /[=/]/.test(argument));
    const worker = new Worker(fileURLToPath(import.meta.url), {
        argv: [...argv, ...["load", "ask", "fail", "dispose"].map((what) => `${name}.${what}`)],
        stdout: true,
    });
    let text = "";
    worker.stdout.on("data", (chunk) => (text += chunk));
    const [code] = await once(worker, "exit");
    return `${code} ${text.trim().replaceAll("\n", ", ")}`;
}

const parties = new Map();
async function party(name) {
    if (!parties.has(name)) {
        const folder = values.copy.find((each) => each.startsWith(`${name}=`))?.slice(2);
        parties.set(name, await (name === "n" ? openNeighbour() : openCopy(folder)));
    }
    return parties.get(name);
}

for (const operation of operations) {
    const [names, what] = operation.split(".");
    const act = what === "thread" ? runInThread : async (name) => (await party(name))[what]();
    const done = await Promise.all(names.split("+").map(act));
    console.log(`${operation} ${done.join(" | ")}`);
}
