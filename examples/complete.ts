/** A completion, token by token. Run it: npx tsx examples/complete.ts */

import { complete, loadEnsemble, loadRecipe } from "eft-llama";

// A recipe that comes with the package; `loadRecipe("./mine.yaml")` reads one of yours.
await using ensemble = await loadEnsemble(await loadRecipe("demo"));

const completion = complete(ensemble, {
    prompt: "What is the capital of Peru?",
    sampling: { temperature: 0 },
    speculation: true, // the same text, in blocks
});
for await (const part of completion) {
    if (part.type === "token") process.stdout.write(part.text);
    else if (part.type === "finish") console.log(`\n(${part.reason} after ${part.tokens} tokens, seed ${part.seed})`);
}
