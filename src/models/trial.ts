/**
 * Models that llama.cpp is not known to be safe with are loaded and used once in a process of their own, because it may
 * fail an assertion, crash or run for ever on them, and nothing within a process can prevent that. What a header tells is
 * refused before (native/llama/header.h); this is for the rest, which differs from architecture to architecture.
 */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { abortError, EftError } from "../errors.js";
import { cacheFolder, isThere, makeFoldersSync } from "../files.js";
import type { NativeHeader } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { findProgram, programEnvironment } from "../package.js";
import { formatBytes } from "./bytes.js";

/** What the trial may take: as long as the file takes to be read from a slow disk, and room for a copy of the weights. */
const [MIN_SECONDS, BYTES_PER_SECOND] = [30, 2e7];
const [MEMORY_PER_BYTE, MEMORY_BESIDES] = [2, 2 ** 31];
/** Kept of what the process says on its standard error, where llama.cpp's last words are. */
const LAST_WORDS = 2000;

/**
 * A trial's end. `used`: it loaded the model and used it. `refused`: it got an error, as whoever loads the model will as a
 * rule. Where the error is MEMORY_EXCEEDED or CONTEXT_FAILED that depends on the memory, and a GPU may have enough: the model
 * is loaded there without having been tried. The others end in an error here.
 */
export type TrialOutcome =
    { readonly outcome: "used" | "refused" } | { readonly outcome: "stopped" | "memory"; readonly reason: string };

/** How the process is started, and what limits it keeps to. */
export interface TrialTask {
    readonly file: string;
    readonly threads: number;
    /** Bytes. */
    readonly memory: number;
}

/**
 * Tries each model that is not of a well-known kind and has not been tried before, one after another.
 *
 * @param files - of whole models or first parts
 * @throws EftError MODEL_UNSAFE, MEMORY_EXCEEDED, ABORTED; MODEL_* where a header is refused
 */
export async function tryModels(
    files: readonly string[],
    options: {
        readonly threads: number;
        readonly signal: AbortSignal | undefined;
        readonly onTrial: ((file: string) => void) | undefined;
    },
): Promise<void> {
    const program = findProgram("models/try-model.js");
    if (program === undefined) return;
    for (const file of new Set(files)) {
        const header = loadBinding().readHeader(file);
        if (isFamiliar(header)) continue;
        const record = recordOf(header);
        if (record !== undefined && isThere(record)) continue;
        options.onTrial?.(file);
        const outcome = await runTrial(program, file, header, options);
        if (outcome === "used") remember(record, header);
    }
}

/**
 * Dense Llama models with a usual tokenizer: thousands of damaged ones have shown no crash that the header does not
 * tell. The demo family and most downloads are of this kind.
 */
function isFamiliar({ architecture, expertCount, tokenizer }: NativeHeader): boolean {
    return architecture === "llama" && expertCount === 0 && (tokenizer === "llama" || tokenizer === "gpt2");
}

/** @throws EftError MODEL_UNSAFE, MEMORY_EXCEEDED, ABORTED */
async function runTrial(
    program: string,
    file: string,
    { fileBytes }: NativeHeader,
    { threads, signal }: { readonly threads: number; readonly signal: AbortSignal | undefined },
): Promise<"used" | "refused"> {
    const seconds = Math.ceil(MIN_SECONDS + fileBytes / BYTES_PER_SECOND);
    const task: TrialTask = { file, threads, memory: MEMORY_PER_BYTE * fileBytes + MEMORY_BESIDES };
    const ended = await runProcess(program, task, seconds, signal);
    if (signal?.aborted) throw abortError("Loading was aborted.", signal);
    const advice = "Download it again, or from elsewhere; `trust` (--trust) loads it without a trial.";
    if (ended.outcome === "memory") {
        throw new EftError(
            "MEMORY_EXCEEDED",
            `${file} is ${formatBytes(fileBytes)} large and takes more than ${formatBytes(task.memory)} of memory as soon as ` +
                `it is used, so its header is likely to be damaged. ${advice}`,
        );
    }
    if (ended.outcome === "stopped") {
        throw new EftError(
            "MODEL_UNSAFE",
            `llama.cpp cannot be used with ${file}: a trial in a process of its own ${ended.reason}. ${advice}`,
        );
    }
    return ended.outcome;
}

function runProcess(
    program: string,
    task: TrialTask,
    seconds: number,
    signal: AbortSignal | undefined,
): Promise<TrialOutcome> {
    return new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [program, JSON.stringify(task)], {
            env: programEnvironment(),
            // The process ends when its standard input does: when this one has been killed.
            stdio: ["pipe", "pipe", "pipe"],
            windowsHide: true,
        });
        let [answer, words, late] = ["", "", false];
        child.stdout.setEncoding("utf8").on("data", (text: string) => (answer += text));
        child.stderr.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-LAST_WORDS)));
        child.stdin.on("error", () => {});
        const kill = (): void => void child.kill("SIGKILL");
        const timer = setTimeout(() => {
            late = true;
            kill();
        }, 1000 * seconds);
        signal?.addEventListener("abort", kill);
        if (signal?.aborted) kill();
        const settle = (): void => {
            clearTimeout(timer);
            signal?.removeEventListener("abort", kill);
        };
        child.on("error", (error) => {
            settle();
            reject(new EftError("MODEL_UNSAFE", `A trial of ${task.file} cannot be started: ${error.message}.`));
        });
        child.on("close", (code, killedBy) => {
            settle();
            const said = words.trim().split("\n").slice(-3).join(" ");
            const how = late ? `did not end within ${seconds} s` : `ended with ${killedBy ?? `code ${code}`}`;
            resolve(parse(answer) ?? { outcome: "stopped", reason: said === "" ? how : `${how} (${said})` });
        });
    });
}

function parse(answer: string): TrialOutcome | undefined {
    try {
        return JSON.parse(answer) as TrialOutcome;
    } catch {
        return undefined;
    }
}

/** The file whose being there means that these very files have been tried with this very llama.cpp. */
function recordOf({ identity }: NativeHeader): string | undefined {
    const { compiledFor, llamaRelease } = loadBinding();
    const hash = createHash("sha256").update(JSON.stringify([identity, compiledFor, llamaRelease]));
    try {
        return path.join(cacheFolder("tried"), hash.digest("hex"));
    } catch {
        return undefined;
    }
}

/** Where nothing can be written, the next loading tries again. */
function remember(record: string | undefined, { identity }: NativeHeader): void {
    if (record === undefined) return;
    try {
        makeFoldersSync(path.dirname(record));
        writeFileSync(record, identity);
    } catch {
        // A trial costs time alone.
    }
}
