// Ensembles in worker threads: one that answers, several that are terminated in the middle of their work, while the main
// thread uses one of its own.
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { collect, complete } from "../../../dist/index.js";
import { load, startGenerating } from "./demo.mjs";

const question = { prompt: "What is the capital of Peru?", sampling: { temperature: 0 } };

if (isMainThread) {
    const ensemble = await load();
    const start = (task) => new Worker(fileURLToPath(import.meta.url), { workerData: task });
    const answering = start("answer");
    const [[answer], own] = await Promise.all([once(answering, "message"), collect(complete(ensemble, question))]);
    console.log(answer === own.text ? own.text : `worker: ${answer}, main: ${own.text}`);
    for (const task of ["load", "generate", "generate", "left alone"]) {
        const worker = start(task);
        await once(worker, "message");
        await worker.terminate();
        const again = await collect(complete(ensemble, question));
        console.log(task, again.text === own.text);
    }
    await ensemble.dispose();
} else {
    const loading = load();
    if (workerData === "load") parentPort.postMessage("loading");
    const ensemble = await loading;
    if (workerData === "answer") {
        parentPort.postMessage((await collect(complete(ensemble, question))).text);
        await ensemble.dispose();
    } else if (workerData === "generate") {
        await startGenerating(ensemble);
        parentPort.postMessage("generating");
    } else {
        parentPort.postMessage("idle");
    }
}
