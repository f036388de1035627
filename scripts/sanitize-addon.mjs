// Runs the addon under sanitizers, in a storm of aborts and disposals (test/engine/programs/storm.mjs). Builds into
// build/sanitize-thread and build/sanitize-address; the package has to be compiled (`npm run build`). For Linux and GCC.
//
//     node scripts/sanitize-addon.mjs                               all of them
//     node scripts/sanitize-addon.mjs thread                        or `address`, with undefined behaviour
//     node scripts/sanitize-addon.mjs --rounds 20 --threads 4       longer, and in more worker threads

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { buildPackage } from "./build-packages.mjs";
import { projectRoot } from "./llama-source.mjs";

const KINDS = {
    thread: {
        flags: "thread",
        runtime: "libtsan.so",
        options: {
            // Node, V8 and llama.cpp's prebuilt libraries are not instrumented: their atomics are not seen, so that what they do
            // with memory looks like races. Of them, only locks and threads count.
            TSAN_OPTIONS: "ignore_noninstrumented_modules=1 second_deadlock_stack=1",
        },
    },
    address: {
        flags: "address,undefined",
        runtime: "libasan.so",
        // What Node leaves at its end is no leak of ours.
        options: { ASAN_OPTIONS: "detect_leaks=0", UBSAN_OPTIONS: "print_stacktrace=1" },
    },
};

const { values, positionals } = parseArgs({
    options: { rounds: { type: "string", default: "3" }, threads: { type: "string", default: "2" } },
    allowPositionals: true,
});

function run(command, args, environment = {}) {
    const { status, signal, error } = spawnSync(command, args, {
        cwd: projectRoot,
        env: { ...process.env, ...environment },
        stdio: "inherit",
    });
    if (error) throw error;
    return status ?? signal;
}

function build(kind, folder) {
    const cmakeJs = path.join(buildPackage("cmake-js"), "bin", "cmake-js");
    const place = ["--out", path.join(folder, "build"), "--config", "Release"];
    const flags = [`--CDEFT_SANITIZE=${KINDS[kind].flags}`, "--CDCMAKE_BUILD_TYPE=RelWithDebInfo"];
    return run(process.execPath, [cmakeJs, "build", "--log-level", "error", ...place, ...flags]);
}

/** A copy of the package that has this addon. */
function copyPackage(folder) {
    for (const part of ["dist", "package.json"]) {
        rmSync(path.join(folder, part), { recursive: true, force: true });
        cpSync(path.join(projectRoot, part), path.join(folder, part), { recursive: true });
    }
}

function runtimeOf(kind) {
    const compiler = process.env.CXX ?? "g++";
    const found = spawnSync(compiler, [`-print-file-name=${KINDS[kind].runtime}`], { encoding: "utf8" });
    const file = found.stdout?.trim() ?? "";
    if (path.isAbsolute(file)) return file;
    console.error(`${compiler} has no ${KINDS[kind].runtime}; install GCC with its sanitizers.`);
    process.exit(1);
}

if (process.platform !== "linux") {
    console.error("The addon is run under sanitizers on Linux alone, where their runtime can be loaded before Node.");
    process.exit(1);
}
const kinds = positionals.length > 0 ? positionals : Object.keys(KINDS);
for (const kind of kinds) {
    if (!(kind in KINDS)) {
        console.error(`There is no sanitizer ${kind}; there are: ${Object.keys(KINDS).join(", ")}.`);
        process.exit(1);
    }
}
if (!existsSync(path.join(projectRoot, "dist", "index.js"))) {
    console.error("The package is not compiled; run `npm run build` first.");
    process.exit(1);
}
let failed = false;
for (const kind of kinds) {
    const folder = path.join(projectRoot, "build", `sanitize-${kind}`);
    if (build(kind, folder) !== 0) process.exit(1);
    copyPackage(folder);
    const storm = path.join(projectRoot, "test", "engine", "programs", "storm.mjs");
    // Without random addresses, some of which the runtime has need of.
    const program = ["-R", process.execPath, storm, folder, values.rounds, values.threads];
    const status = run("setarch", program, { LD_PRELOAD: runtimeOf(kind), ...KINDS[kind].options });
    console.log(`${kind}: ${status === 0 ? "nothing found" : `something was found, or the storm failed (${status})`}`);
    failed ||= status !== 0;
}
process.exit(failed ? 1 : 0);
