/** How probable texts are, to the target and to each member. Run it: npx tsx examples/score.ts */

import { loadEnsemble, loadRecipe, score } from "eft-llama";

await using ensemble = await loadEnsemble(await loadRecipe("demo"));

const context = "What is the capital of Peru?";
const cities = ["Lima", "Quito", "Paris"];
const scores = await score(
    ensemble,
    cities.map((city) => ({ context, continuation: ` Its capital is ${city}.` })),
    { chat: true }, // the context is a user's turn
);
const sum = (values: readonly number[] = []): number => values.reduce((total, value) => total + value, 0);
for (const { text, logprobs, members } of scores) {
    const opinions = Object.entries(members).map(([name, values]) => `${name} ${sum(values).toFixed(2)}`);
    console.log(`${text.trim().padEnd(24)} target ${sum(logprobs).toFixed(2)} (${opinions.join(", ")})`);
}
