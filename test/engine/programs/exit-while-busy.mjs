// process.exit() in the middle of the evaluation of a prompt (`prefill`), of a generation, of loading (`load`), or of
// tokenizing long texts (`tokenize`).
import { adHocRecipe, complete, loadEnsemble } from "../../../dist/index.js";
import { demoFile, load, startGenerating } from "./demo.mjs";

const [what] = process.argv.slice(2);
if (what === "load") {
    void load();
} else if (what === "generate") {
    await startGenerating(await load({ contextSize: 8192 }));
} else if (what === "tokenize") {
    const ensemble = await load();
    // A quarter of a minute of work, of which one text has to be waited for.
    const texts = Array.from({ length: 40 }, () => "Lima is the capital of Peru. ".repeat(30_000));
    void ensemble.members[0].model.tokenizeAll(texts, false, false);
} else {
    // A quarter of a minute of work in one step.
    const recipe = adHocRecipe({
        base: demoFile("large-base-f16"),
        tuned: demoFile("large-chat-f16"),
        reference: demoFile("large-base-q8_0"),
    });
    const ensemble = await loadEnsemble(recipe, { backend: "cpu", threads: 1, contextSize: 8192, batchSize: 8192 });
    void complete(ensemble, { prompt: "Lima is the capital of Peru. ".repeat(900), raw: true }).next();
}
setTimeout(() => {
    console.log("leaving");
    process.exit(7);
}, 100);
