/** Hundreds of candidates, the most probable ones first. Run it: npx tsx examples/rescore.ts [how many] */

import { loadEnsemble, loadRecipe, score } from "eft-llama";

const cities = ["Lima", "Quito", "Paris", "Tokyo", "Cairo", "Oslo", "Ottawa", "Nairobi", "Santiago", "Kathmandu"];
const forms = [
    (city: string, extra: string) => ` Its capital is ${city}${extra}.`,
    (city: string, extra: string) => ` The capital is ${city}${extra}.`,
    (city: string, extra: string) => ` It is ${city}${extra}.`,
    (city: string, extra: string) => ` ${city}${extra}.`,
    (city: string, extra: string) => ` That would be ${city}${extra}.`,
];
const extras = [
    "",
    ", I think",
    " of course",
    " since long ago",
    ", a large city",
    " today",
    " again",
    "",
    " then",
    " now",
];
const candidates = extras.flatMap((extra) => forms.flatMap((form) => cities.map((city) => form(city, extra))));

await using ensemble = await loadEnsemble(await loadRecipe("demo"), { sequences: 8 });
const context = "What is the capital of Peru?";
const chosen = candidates.slice(0, Number(process.argv[2] ?? 500));
const start = performance.now();
// The question is evaluated once for all of them.
const scores = await score(
    ensemble,
    chosen.map((continuation) => ({ context, continuation })),
    { chat: true },
);
const seconds = (performance.now() - start) / 1000;
const ranked = scores
    .map(({ text, logprobs }) => ({ text, mean: logprobs.reduce((sum, each) => sum + each, 0) / logprobs.length }))
    .sort((a, b) => b.mean - a.mean);
for (const { text, mean } of ranked.slice(0, 3)) console.log(`${mean.toFixed(2)} ${text.trim()}`);
console.log(`${scores.length} candidates in ${seconds.toFixed(1)} s`);
