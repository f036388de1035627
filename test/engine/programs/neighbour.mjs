// node-llama-cpp and this package in one process: `before` or `after` says when the other one is loaded. The second
// argument is a damaged model.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { adHocRecipe, collect, complete, loadEnsemble } from "../../../dist/index.js";
import { demoFile, load } from "./demo.mjs";

const [order] = process.argv.slice(2);

async function openNeighbour() {
    const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.disabled });
    const model = await llama.loadModel({ modelPath: demoFile("large-chat-f16") });
    const context = await model.createContext({ contextSize: 256 });
    const sequence = context.getSequence();
    return {
        async answer() {
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
        dispose: () => llama.dispose(),
    };
}

const ask = async (ensemble) =>
    (await collect(complete(ensemble, { prompt: "What is the capital of Peru?", sampling: { temperature: 0 } }))).text;

let neighbour = order === "before" ? await openNeighbour() : undefined;
if (order === "before") console.log(await neighbour.answer());
let ensemble = await load();
console.log(await ask(ensemble));
neighbour ??= await openNeighbour();
// Both at once.
console.log((await Promise.all([neighbour.answer(), ask(ensemble)])).join(""));
// And each after the other has gone.
await neighbour.dispose();
console.log(await ask(ensemble));
await ensemble.dispose();
ensemble = await load();
console.log(await ask(ensemble));
await ensemble.dispose();

// What llama.cpp says reaches our messages although node-llama-cpp has put its own logger in the place of ours.
const another = await openNeighbour();
const { message } = await loadEnsemble(
    adHocRecipe({ base: demoFile("large-base-f16"), tuned: demoFile("small-chat-f16"), reference: process.argv[3] }),
    { backend: "cpu" },
).catch((error) => error);
console.log(message.includes("llama.cpp says: "));
await another.dispose();
