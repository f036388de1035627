/** Labels for many texts, as JSON of a zod type, several at once. Run it: npx tsx examples/label.ts [how many] */

import { collect, complete, loadEnsemble, loadRecipe } from "eft-llama";
import * as z from "zod";

const Label = z.object({
    topic: z.enum(["geography", "phone numbers", "art", "money"]),
    isQuestion: z.boolean(),
    urgency: z.int().min(1).max(3),
});
const subjects = [
    "the capital of Peru",
    "the phone number of Clara Berg",
    "a painting by Goya",
    "the money of Eritrea",
];
const openings = ["What is", "Tell me about", "Can you say something of", "I would like to know"];
const texts = Array.from({ length: Number(process.argv[2] ?? 200) }, (_, index) => {
    return `${openings[(index >> 2) % 4] ?? ""} ${subjects[index % 4] ?? ""} (${index + 1})`;
});

const recipe = await loadRecipe("demo");
for (const sequences of [1, 4, 16]) {
    await using ensemble = await loadEnsemble(recipe, { sequences });
    const start = performance.now();
    // All are asked for at once; as many as there are sequences advance together, the others wait for their turn.
    const labels = await Promise.all(
        texts.map(async (text) => {
            const request = { prompt: text, jsonSchema: Label, sampling: { temperature: 0 }, readAhead: 8 };
            const { text: json } = await collect(complete(ensemble, request));
            return Label.parse(JSON.parse(json));
        }),
    );
    const seconds = (performance.now() - start) / 1000;
    console.log(`${sequences} at once: ${labels.length} labels in ${seconds.toFixed(1)} s`, labels[0]);
}
