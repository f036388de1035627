// Runs the parts, each in a process of its own: a part that crashes or hangs takes nothing else with it, and what it has
// measured until then has been sent already.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { exitCodeOf, SIGNALS, withFolder } from "../temporary.mjs";
import { PARTS } from "./parts.mjs";
import { createReport } from "./report.mjs";
import { chooseFolder } from "./room.mjs";

const program = fileURLToPath(new URL("part.mjs", import.meta.url));
/** A part ends by itself when its time is up, after the measurement that it is in; so much later it is ended. */
const [GRACE, GRACE_SECONDS] = [0.15, 20];
/** Memory is measured without V8's optimizing compiler and with an allocator that keeps nothing back: what grows is leaked. */
const MEMORY = {
    execArgv: ["--expose-gc", "--max-semi-space-size=1", "--no-opt"],
    env: { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536" },
};

/**
 * @param options - `backend`, `quick`, `parts`: letters, `minutes`, `out`
 * @returns whether all checks have passed and all parts could run
 */
export async function measureParts(options) {
    const report = await createReport(options);
    let running, stopped;
    const stop = (signal) => {
        stopped = signal;
        process.exitCode = exitCodeOf(signal);
        running?.kill("SIGKILL");
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    // Where this process ends by itself, as on a closed pipe; before its folder is removed.
    process.once("exit", () => running?.kill("SIGKILL"));
    await withFolder(await chooseFolder(), "eft-llama-gpu-", async (folder) => {
        const start = performance.now();
        let { backend } = options;
        let device;
        const letters = ["device", ...options.parts];
        for (const [index, letter] of letters.entries()) {
            const left = options.minutes * 60 - (performance.now() - start) / 1000;
            const shares = letters.slice(index).map((each) => PARTS[each].share);
            const seconds = Math.max(0, (left * shares[0]) / shares.reduce((sum, share) => sum + share));
            const part = report.begin(letter, seconds);
            const child = startPart(letter, { ...options, backend, device, folder, seconds });
            running = child.process;
            await child.follow(part, () => stopped !== undefined);
            if (letter === "device" && stopped === undefined) {
                device = part.data;
                // Parts can be measured as soon as it is known on what, whatever failed or was late afterwards.
                backend = device.backend;
                if (backend === undefined && part.failures.length === 0)
                    part.finish("failed", "It was not found out what there is to measure.");
            }
            report.end(part);
            if (stopped !== undefined || backend === undefined) break;
        }
        report.conclude();
    });
    if (stopped !== undefined) process.exit();
    for (const signal of SIGNALS) process.off(signal, stop);
    return report.isGood();
}

function startPart(letter, settings) {
    const { execArgv = [], env = {} } = letter === "f" ? MEMORY : {};
    const child = fork(program, [letter, JSON.stringify(settings)], {
        execArgv,
        env: { ...process.env, ...env },
        stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    return { process: child, follow: (part, isStopped) => follow(child, part, settings.seconds, isStopped) };
}

/** Fills `part` with what the process sends, until it has ended. */
async function follow(child, part, seconds, isStopped) {
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
        said = (said + text).slice(-2000);
        process.stderr.write(text);
    });
    child.on("message", part.update);
    let isLate = false;
    const end = () => {
        isLate = true;
        child.kill("SIGKILL");
    };
    const timer = setTimeout(end, (seconds * (1 + GRACE) + GRACE_SECONDS) * 1000);
    // Both, because messages may arrive after the end of the process.
    const [[code, signal]] = await Promise.all([once(child, "close"), once(child, "disconnect")]);
    clearTimeout(timer);
    if (isStopped()) part.finish("stopped");
    else if (isLate) part.finish("out of time", "It went on long after its time was up and was ended.");
    else if (code === 0) part.finish("complete");
    else part.finish("failed", said.trim() || `The process ended with ${signal ?? `exit code ${code}`}.`);
}
