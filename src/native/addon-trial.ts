/**
 * A prebuilt addon is loaded, with llama.cpp's libraries, in a process of its own before it is loaded here for the first time: what
 * was compiled elsewhere may crash on this machine, and nothing within a process can prevent that.
 */

import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { createHash } from "node:crypto";
import { statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import type { EftErrorCode } from "../errors.js";
import { cacheFolder, isThere, makeFoldersSync } from "../files.js";
import { findProgram, manifest, programEnvironment } from "../package.js";

/** What loading may take, in milliseconds, from a slow disk or through a virus scanner. */
const TIME_LIMIT = 60_000;

/** What the process says at its end, unless it crashes. */
export type AddonTrial = { readonly loaded: true } | { readonly code: EftErrorCode; readonly message: string };

/**
 * Where no process of its own can be started, as in Electron, everything is taken as loadable. What was loaded once on this machine
 * is not tried again.
 *
 * @param library - one of llama.cpp's that will be loaded with it
 * @returns undefined: it can be loaded. `crash`: how the process ended. Otherwise the error that loading ends with
 */
export function tryAddon(file: string, library: string): { readonly crash: string } | AddonError | undefined {
    const program = findProgram("native/try-addon.js");
    if (program === undefined) return undefined;
    const record = recordOf(file, library);
    if (record !== undefined && isThere(record)) return undefined;
    const ended = runProcess(program, file);
    if (ended === undefined) return undefined;
    const said = parse(ended.stdout);
    if (said === undefined) return { crash: describeEnd(ended) };
    if ("code" in said) return said;
    remember(record, file);
    return undefined;
}

type AddonError = Exclude<AddonTrial, { loaded: true }>;

/** Undefined where none can be started, because the machine has no room for it or Node's permissions forbid it. */
function runProcess(program: string, file: string): SpawnSyncReturns<string> | undefined {
    try {
        const ended = spawnSync(process.execPath, [program, file], {
            env: programEnvironment(),
            stdio: ["ignore", "pipe", "pipe"],
            encoding: "utf8",
            timeout: TIME_LIMIT,
            killSignal: "SIGKILL",
            windowsHide: true,
        });
        return ended.pid === 0 ? undefined : ended;
    } catch {
        return undefined;
    }
}

function parse(answer: string): AddonTrial | undefined {
    try {
        return JSON.parse(answer) as AddonTrial;
    } catch {
        return undefined;
    }
}

function describeEnd({ error, signal, status, stderr }: SpawnSyncReturns<string>): string {
    const said = stderr.trim().split("\n").slice(-3).join(" ");
    const late = error !== undefined && "code" in error && error.code === "ETIMEDOUT";
    const how = late ? `did not end within ${TIME_LIMIT / 1000} s` : `ended with ${signal ?? `code ${status}`}`;
    return said === "" ? how : `${how} (${said})`;
}

/** The file whose being there means that this very addon has been loaded with this very library, on this machine. */
function recordOf(file: string, library: string): string | undefined {
    try {
        const identities = [file, library].map((name) => {
            const { size, mtimeMs } = statSync(name);
            return [name, size, mtimeMs];
        });
        // The machine's name stands for its processor and its system: homes may be shared by machines of several kinds. Yarn gives the
        // files of every version the same time.
        const key = [manifest.version, identities, process.version, process.platform, process.arch, hostname()];
        return path.join(cacheFolder("tried"), createHash("sha256").update(JSON.stringify(key)).digest("hex"));
    } catch {
        return undefined;
    }
}

/** Where nothing can be written, the next start tries again. */
function remember(record: string | undefined, file: string): void {
    if (record === undefined) return;
    try {
        makeFoldersSync(path.dirname(record));
        writeFileSync(record, file);
    } catch {
        // A trial costs time alone.
    }
}
