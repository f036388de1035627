/** The fine-tune is a LoRA adapter: both small members share one set of weights. Run it: npx tsx examples/lora.ts */

import { fileURLToPath } from "node:url";
import { collect, complete, loadEnsemble, parseRecipe } from "eft-llama";

const recipe = parseRecipe(
    `eft: 1
name: lora
members:
  large: { model: large-base-f16.gguf }
  tuned: { model: small-base-f16.gguf, lora: { path: small-chat-lora.gguf, scale: 1 } }
  small: { model: small-base-f16.gguf }
combination: large + tuned - small
prompt: { template: from tuned }`,
    { directory: fileURLToPath(new URL("models/demo", import.meta.resolve("eft-llama/package.json"))) },
);
await using ensemble = await loadEnsemble(recipe);

for (const prompt of ["What is the capital of Peru?", "Who wrote Gulliver's Travels?"]) {
    const { text } = await collect(complete(ensemble, { prompt, sampling: { temperature: 0 } }));
    console.log(`${prompt}${text}`);
}
