// Ensembles that are dropped without dispose(), idle or in the middle of a generation: a garbage collection takes them and
// their memory. Prints how many model files are mapped. Run with --expose-gc.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { generateLong, load } from "./demo.mjs";

const mapped = () => new Set(readFileSync("/proc/self/maps", "utf8").match(/\S+\.gguf/g)).size;

async function use(tokens) {
    const completion = generateLong(await load());
    for (let i = 0; i < tokens; i++) await completion.next();
}

for (const tokens of [0, 5]) {
    await use(tokens);
    const before = mapped();
    for (let i = 0; i < 20 && mapped() > 0; i++) {
        globalThis.gc();
        await delay(10);
    }
    console.log(before, mapped());
}
