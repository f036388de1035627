// Worker threads that are terminated at one moment or another of their life, loading or generating, while llama.cpp's log
// is listened to. `alone`: the main thread has nothing to do with the addon, so that each worker loads it and takes it
// with it. `beside`: the main thread generates meanwhile.
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isMainThread, Worker } from "node:worker_threads";
import { loadBinding } from "../../../dist/native/load-binding.js";
import { load, startGenerating } from "./demo.mjs";

const [company] = process.argv.slice(2);

if (!isMainThread || company === "beside") {
    loadBinding().setLog(() => undefined);
    await startGenerating(await load());
}
if (isMainThread) {
    for (let ms = 40; ms <= 200; ms += 20) {
        const worker = new Worker(fileURLToPath(import.meta.url));
        await delay(ms);
        await worker.terminate();
    }
    console.log("done");
}
