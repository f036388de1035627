// process.exit() in the middle of the evaluation of a prompt (`prefill`), of a generation, or of loading (`load`).
import { complete } from "../../../dist/index.js";
import { load, startGenerating } from "./demo.mjs";

const [what] = process.argv.slice(2);
if (what === "load") {
    void load();
} else {
    const ensemble = await load({ contextSize: 8192, batchSize: 8192 });
    if (what === "prefill") {
        // Some seconds of work in one step.
        void complete(ensemble, { prompt: "Lima is the capital of Peru. ".repeat(900), raw: true }).next();
    } else {
        await startGenerating(ensemble);
    }
}
setTimeout(() => {
    console.log("leaving");
    process.exit(7);
}, 100);
