// Resident memory over many cycles of loading and disposing (`load`) or many generations (`generate`): prints MiB after
// each tenth of them. Run with --expose-gc.
import { setImmediate as turn } from "node:timers/promises";
import { collect, complete } from "../../../dist/index.js";
import { load } from "./demo.mjs";

const [what, cycles] = process.argv.slice(2);
const generate = (ensemble, seed) =>
    collect(complete(ensemble, { prompt: `What is the capital of Peru? ${seed % 10}`, seed, maxTokens: 8 }));

const shared = what === "generate" ? await load() : undefined;
const resident = [];
for (let cycle = 1; cycle <= Number(cycles); cycle++) {
    const ensemble = shared ?? (await load());
    await generate(ensemble, cycle);
    if (ensemble !== shared) await ensemble.dispose();
    if (cycle % (Number(cycles) / 10) === 0) {
        for (let i = 0; i < 3; i++) {
            globalThis.gc();
            await turn();
        }
        resident.push(Math.round((process.memoryUsage.rss() / 2 ** 20) * 10) / 10);
    }
}
await shared?.dispose();
console.log(JSON.stringify(resident));
