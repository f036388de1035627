// Speculates on the demo family, `rounds` times with an ensemble of its own, and prints for each round whether costs were known
// from the first block on.
//
//     node speculate.mjs [rounds]
import { adHocRecipe, collect, complete, loadEnsemble } from "../../../dist/index.js";
import { demoFile } from "./demo.mjs";

const [rounds = "1"] = process.argv.slice(2);
const recipe = adHocRecipe({
    base: demoFile("large-base-f16"),
    tuned: demoFile("small-chat-f16"),
    reference: demoFile("small-base-f16"),
});
const request = { prompt: "What is the capital of Peru?", seed: 1, logitBias: { 2: -Infinity } };
for (let round = 0; round < Number(rounds); round++) {
    const ensemble = await loadEnsemble(recipe, { backend: "cpu", threads: 1, sequences: 1 });
    const { speculation } = await collect(complete(ensemble, { ...request, maxTokens: 4, speculation: true }));
    console.log(speculation.predictedSpeedup === undefined ? "unknown" : "known");
    for (const length of [0, 4])
        await collect(complete(ensemble, { ...request, maxTokens: 24, speculation: { length } }));
    await ensemble.dispose();
}
