// A storm of aborts and disposals, in the main thread and in worker threads at once: what a sanitizer is to watch. Prints
// "calm" when all is over and every completion has come to an end of one kind or another.
//
//     node storm.mjs <folder of the package> [rounds] [threads]
import { once } from "node:events";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isMainThread, threadId, Worker } from "node:worker_threads";
import { demoFile } from "./demo.mjs";

const [folder, rounds = "2", threads = "2"] = process.argv.slice(2);
const dist = (name) => import(pathToFileURL(path.join(folder, "dist", name)));
const { adHocRecipe, collect, complete, createChat, loadEnsemble, score } = await dist("index.js");
const { loadBinding } = await dist("native/load-binding.js");

const recipe = adHocRecipe({
    base: demoFile("large-base-f16"),
    tuned: demoFile("small-chat-f16"),
    reference: demoFile("small-base-f16"),
});
const prompt = "What is the capital of Peru?";
const ENDS = ["ABORTED", "DISPOSED", "NO_TOKEN_LEFT"];
const OPTIONS = [
    {},
    { speculation: { length: 4 } },
    { speculation: { lookup: true, coupling: "maximal" } },
    { grammar: 'root ::= " Its " [a-z ]+ "."' },
    { explain: true, topLogprobs: 3, memberLogprobs: true },
    { sampling: { topP: 0.9, repeatPenalty: 1.2 } },
    { logitBias: Object.fromEntries(Array.from({ length: 2048 }, (_, token) => [token, -Infinity])) },
    { prompt: `${prompt} `.repeat(12), raw: true, maxTokens: 8 },
];

// Numbers of its own in each thread, the same every time.
let state = 1 + threadId;
const random = (below) => (state = (state * 48_271) % 2_147_483_647) % below;

/** However it ends, as long as it is an end that it may have. */
async function settle(work) {
    const { code, stack } = (await work.then(
        () => ({ code: undefined }),
        (error) => error,
    )) ?? { code: undefined };
    if (code !== undefined && !ENDS.includes(code)) throw new Error(`an unexpected end: ${stack}`);
}

async function turns(most) {
    for (let count = random(most); count > 0; count--) await turn();
}

async function loadSome() {
    const controller = new AbortController();
    const options = { backend: "cpu", threads: 1, sequences: 1 + random(4), batchSize: 32 };
    // Some are aborted; all at once want the same files.
    const doomed = loadEnsemble(recipe, { ...options, signal: controller.signal, onProgress: () => undefined });
    const [ensemble, other] = [loadEnsemble(recipe, options), loadEnsemble(recipe, options)];
    await turns(20);
    controller.abort();
    await settle(doomed.then((loaded) => loaded.dispose()));
    return [await ensemble, await other];
}

async function complain(ensemble) {
    const options = OPTIONS[random(OPTIONS.length)];
    const controller = new AbortController();
    const completion = complete(ensemble, {
        prompt,
        seed: random(1000),
        maxTokens: 12,
        ...options,
        signal: controller.signal,
    });
    const end = random(4);
    if (end === 0) {
        const reading = settle(collect(completion));
        await turns(30);
        controller.abort();
        return reading;
    }
    if (end === 1) {
        // Begun, left alone for a while, and dropped or left.
        await settle(completion.next());
        await turns(30);
        return random(2) === 0 ? undefined : settle(completion.return());
    }
    return settle(collect(completion));
}

async function storm(ensemble) {
    const works = Array.from({ length: 12 }, () => complain(ensemble));
    const controller = new AbortController();
    const items = Array.from({ length: 6 }, (_, index) => ({ context: prompt, continuation: ` ${index}` }));
    works.push(settle(score(ensemble, items, { signal: controller.signal })));
    works.push(settle(collect(createChat(ensemble, { seed: random(1000) }).send(prompt))));
    const { model } = ensemble.members[0];
    works.push(settle(model.tokenizeAll([prompt.repeat(1000), prompt], true, true)));
    for (let count = 0; count < 20; count++) model.detokenize(model.tokenize(prompt, true, true), true);
    await turns(60);
    controller.abort();
    // In the middle of it, or after it.
    if (random(2) === 0) await Promise.all(works);
    await Promise.all([ensemble.dispose(), ...works]);
}

async function rage() {
    for (let round = 0; round < Number(rounds); round++) {
        let lines = 0;
        loadBinding().setLog(() => lines++);
        const ensembles = await loadSome();
        await Promise.all(ensembles.map(storm));
        loadBinding().setLog(undefined);
    }
}

if (isMainThread) {
    const workers = Array.from({ length: Number(threads) }, () => {
        return new Worker(fileURLToPath(import.meta.url), { argv: process.argv.slice(2) });
    });
    // One more that does not live to see its end.
    const doomed = new Worker(fileURLToPath(import.meta.url), { argv: process.argv.slice(2) });
    const ends = workers.map(async (worker) => (await once(worker, "exit"))[0]);
    const own = rage();
    await turns(400);
    await doomed.terminate();
    await own;
    const codes = await Promise.all(ends);
    console.log(codes.every((code) => code === 0) ? "calm" : `threads have ended with ${codes.join(", ")}`);
} else {
    await rage();
}
