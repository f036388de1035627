/** node-llama-cpp's own evaluation of a model, in a process of its own: an independent way to the same numbers. */

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { EftError, abortError } from "../errors.js";
import type { BackendChoice } from "../native/backend.js";
import { findProgram, nodeLlamaCppVersion, packageRoot, programEnvironment } from "../package.js";
import type { CacheType } from "../types.js";

/** What is evaluated. */
export interface AloneTask {
    readonly file: string;
    readonly lora: { readonly path: string; readonly scale: number } | undefined;
    readonly backend: BackendChoice["backend"];
    readonly gpuLayers: number | "max";
    readonly threads: number;
    readonly contextSize: number;
    readonly cacheType: CacheType;
    /** They are only tokenized. */
    readonly texts: readonly string[];
    /** A row is wanted after `tokens[from - 1]` and after each token behind it. */
    readonly beginnings: readonly { readonly tokens: readonly number[]; readonly from: number }[];
    readonly greedy: { readonly tokens: readonly number[]; readonly most: number };
}

/** What comes of it, in this order. */
export type AloneMessage =
    | { readonly type: "loaded"; readonly backend: string }
    | { readonly type: "tokens"; readonly ids: readonly Int32Array[] }
    /** Log-probabilities. */
    | { readonly type: "row"; readonly beginning: number; readonly row: Float32Array }
    | { readonly type: "greedy"; readonly ids: readonly number[] }
    | { readonly type: "failed"; readonly reason: string };

/** What node-llama-cpp makes of a task. */
export interface AloneResult {
    /** It may have found no device, and taken the CPU. */
    readonly backend: string;
    readonly ids: readonly Int32Array[];
    readonly greedy: readonly number[];
}

/** Kept of what the process says on its standard error, where llama.cpp's last words are. */
const LAST_WORDS = 1000;

/**
 * @param onRow - called with each row as it comes
 * @returns the reason why it cannot be asked: no process can be started (in Electron, and in programs of a single file), or it is
 * not installed
 * @throws EftError DECODE_FAILED where node-llama-cpp fails or its process ends, ABORTED
 */
export function evaluateAlone(
    task: AloneTask,
    onRow: (beginning: number, row: Float32Array) => void,
    signal: AbortSignal | undefined,
): Promise<AloneResult | string> {
    const program = findProgram("check/evaluate-alone.js");
    if (program === undefined) return Promise.resolve("a process can be started from Node alone");
    if (!isInstalled())
        return Promise.resolve(
            `it is not installed: \`npm install --save-exact node-llama-cpp@${nodeLlamaCppVersion}\``,
        );
    return new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [program], {
            env: programEnvironment(),
            stdio: ["ignore", "ignore", "pipe", "ipc"],
            serialization: "advanced",
            windowsHide: true,
        });
        const found: { backend?: string; ids?: readonly Int32Array[]; greedy?: readonly number[]; reason?: string } =
            {};
        let words = "";
        child.stderr?.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-LAST_WORDS)));
        const kill = (): void => void child.kill("SIGKILL");
        signal?.addEventListener("abort", kill);
        if (signal?.aborted) kill();
        child.on("message", (message: AloneMessage) => {
            if (message.type === "loaded") found.backend = message.backend;
            else if (message.type === "tokens") found.ids = message.ids;
            else if (message.type === "row") onRow(message.beginning, message.row);
            else if (message.type === "greedy") found.greedy = message.ids;
            else found.reason = message.reason;
        });
        child.on("error", (error) => {
            reject(new EftError("DECODE_FAILED", `node-llama-cpp's evaluation cannot be started: ${error.message}.`));
        });
        child.on("close", (code, killedBy) => {
            signal?.removeEventListener("abort", kill);
            const { backend, ids, greedy } = found;
            if (signal?.aborted) return reject(abortError("The check was aborted.", signal));
            if (backend !== undefined && ids !== undefined && greedy !== undefined)
                return resolve({ backend, ids, greedy });
            const said = words.trim().split("\n").slice(-3).join(" ");
            const reason = found.reason ?? `its process ended with ${killedBy ?? `code ${code}`}. ${said}`.trim();
            reject(new EftError("DECODE_FAILED", `node-llama-cpp fails with this model: ${reason}`));
        });
        child.send(task, () => {});
    });
}

/** It is a peer: it brings a second binding to llama.cpp and all libraries of CUDA, which nothing else needs. */
function isInstalled(): boolean {
    try {
        createRequire(path.join(packageRoot, "package.json")).resolve("node-llama-cpp");
        return true;
    } catch {
        return false;
    }
}
