// Resident memory over 400 constrained texts: prints MiB after each tenth of them. Run with --expose-gc.
import { setImmediate as turn } from "node:timers/promises";
import { collect, complete } from "../../../dist/index.js";
import { load } from "./demo.mjs";

const ensemble = await load();
// Some hundred KiB each, in native memory.
const grammar = `root ::= ${'"abcdefghijklmnopqrstuvwxyz"{300} | '.repeat(4)} [a-e]{2}`;
const resident = [];
for (let round = 0; round < 10; round++) {
    for (let seed = 0; seed < 40; seed++) {
        await collect(complete(ensemble, { prompt: "Hi", grammar, seed, speculation: { length: 4 }, maxTokens: 8 }));
    }
    for (let i = 0; i < 3; i++) {
        globalThis.gc();
        await turn();
    }
    resident.push(Math.round((process.memoryUsage.rss() / 2 ** 20) * 10) / 10);
}
await ensemble.dispose();
console.log(JSON.stringify(resident));
