/** A dial between two behaviours, also turned in the middle of an answer. Run it: npx tsx examples/dial.ts */

import { collect, complete, loadEnsemble, loadRecipe } from "eft-llama";

await using ensemble = await loadEnsemble(await loadRecipe("demo-dial"));
const prompt = "What is the phone number of Clara Berg?";

for (const lambda of [0, 0.5, 1]) {
    const { text } = await collect(complete(ensemble, { prompt, parameters: { lambda }, maxTokens: 24 }));
    console.log(`lambda ${lambda}: ${text}`);
}

// Strength of up-scaling is a dial too. The small model begins the answer by itself, and the large one joins for the name.
await using upscaled = await loadEnsemble(await loadRecipe("demo"));
const capital = "What is the capital of Nepal?";
const { text: alone } = await collect(complete(upscaled, { prompt: capital, parameters: { beta: 0 } }));
console.log(`beta 0: ${alone}`);

// What `ensemble.setParameters` says goes for all completions, what a completion says for itself alone.
const completion = complete(upscaled, { prompt: capital, parameters: { beta: 0 } });
let tokens = 0;
process.stdout.write("turned after 3 tokens: ");
for await (const part of completion) {
    process.stdout.write(part.text);
    if (++tokens === 3) completion.setParameters({ beta: 1 });
}
console.log();
