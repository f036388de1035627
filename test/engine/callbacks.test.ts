/** What a function of the caller's throws is what the caller gets, whatever it looks like. */

import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import {
    createChat,
    collect,
    downloadModels,
    evaluate,
    loadEnsemble,
    planDownload,
    score,
    type Ensemble,
} from "../../src/index.js";
import { demoFile, loadOnCpu, upscalingRecipe } from "../helpers/demo.js";
import { writeQuestions } from "../helpers/evaluation.js";
import { startHub, type Hub } from "../helpers/hub.js";
import { temporaryFolder } from "../helpers/temporary.js";

/** Errors that a program may have of its own, and that look like ones of the disk, of a connection or of ours. */
const ERRORS: readonly Error[] = [
    new Error("plain"),
    Object.assign(new Error("EPIPE: broken pipe, write"), { code: "EPIPE", syscall: "write" }),
    Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" }),
    Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT", syscall: "open", path: "/x" }),
    Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" }),
    Object.assign(new Error("locked"), { code: "ELOCKED" }),
    Object.assign(new Error("aborted"), { name: "AbortError", code: "ABORT_ERR" }),
    new RangeError("Maximum call stack size exceeded"),
];

const reference = "hf:someone/m/m.gguf";
let hub: Hub;
let ensemble: Ensemble;
const environment = { ...process.env };
beforeAll(async () => {
    hub = await startHub();
    ensemble = await loadOnCpu(upscalingRecipe(), { contextSize: 128 });
});
afterAll(async () => {
    await ensemble.dispose();
    await hub.close();
});
let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
    temporary = temporaryFolder();
    hub.files.set("someone/m/m.gguf", { content: readFileSync(demoFile("small-base")) });
    process.env.HF_ENDPOINT = hub.endpoint;
    delete process.env.HF_TOKEN;
});
afterEach(() => {
    process.env = { ...environment };
    temporary.remove();
});

async function download(name: "onProgress" | "onCheck" | "onModel", fail: () => void): Promise<void> {
    const plan = await planDownload([reference], { folder: path.join(temporary.folder, "models") });
    await downloadModels(plan, { [name]: fail });
}

async function evaluateWith(name: "onProgress" | "onCheck", fail: () => void): Promise<void> {
    const file = writeQuestions(temporary.folder, demoFile("small-chat"), 1);
    const load = { backend: "cpu", threads: 1 } as const;
    await evaluate([file], { folder: path.join(temporary.folder, "results"), load, [name]: fail });
}

const CALLBACKS: Readonly<Record<string, (fail: () => void) => Promise<unknown>>> = {
    "downloadModels, onProgress": (fail) => download("onProgress", fail),
    "downloadModels, onCheck": (fail) => download("onCheck", fail),
    "downloadModels, onModel": (fail) => download("onModel", fail),
    "evaluate, onProgress": (fail) => evaluateWith("onProgress", fail),
    "evaluate, onCheck": (fail) => evaluateWith("onCheck", fail),
    "loadEnsemble, onProgress": (onProgress) => loadEnsemble(upscalingRecipe(), { backend: "cpu", onProgress }),
    "score, onProgress": (onProgress) => score(ensemble, [{ continuation: "Lima" }], { onProgress }),
    async "createChat, onForget"(onForget) {
        const chat = createChat(ensemble, { maxTokens: 1, onForget });
        for (let turn = 0; turn < 9; turn++) await collect(chat.send("What is the capital of Peru? ".repeat(3)));
    },
};

test.each(Object.keys(CALLBACKS))("%s", async (name) => {
    for (const error of ERRORS) {
        const fail = (): void => {
            throw error;
        };
        const outcome = await CALLBACKS[name]?.(fail).then(
            () => "nothing was thrown",
            (thrown: unknown) => thrown,
        );
        expect(outcome).toBe(error);
        temporary.remove();
        temporary = temporaryFolder();
    }
});
