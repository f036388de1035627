/** Many prompts at once: they share each pass over the weights. Run it: npx tsx examples/batch.ts */

import { collect, complete, loadEnsemble, loadRecipe } from "eft-llama";

const countries = ["Peru", "Japan", "Nepal", "Kenya", "Norway", "Chile", "Egypt", "Canada"];
await using ensemble = await loadEnsemble(await loadRecipe("demo"), { sequences: countries.length });

// Completions that are consumed at the same time advance together; each could have its own dials and sampling.
const results = await Promise.all(
    countries.map((country) => collect(complete(ensemble, { prompt: `What is the capital of ${country}?`, seed: 1 }))),
);
results.forEach(({ text }, index) => console.log(`${countries[index]}: ${text}`));
