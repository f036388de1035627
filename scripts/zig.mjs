// zig, a C++ compiler for every system that brings their headers and libraries along: the package ziglang on PyPI. Needs
// Python with pip, which knows from where packages come here.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { projectRoot } from "./llama-source.mjs";

const run = promisify(execFile);

/** Of the wheel for Linux on x64. */
const SHA256 = "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54";

/** What `zig version` prints. */
export const ZIG_VERSION = "0.17.1";

// One for all clones: most of the time goes into every system's C++ run time, which no change of ours concerns.
const home = path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), ".cache"), "eft-llama", "zig");

/** @returns {Promise<string>} the program; downloaded (90 MB) if it is not there */
export async function fetchZig() {
    const folder = path.join(home, ZIG_VERSION);
    const program = path.join(folder, "ziglang", "zig");
    if (existsSync(program)) return program;
    if (process.platform !== "linux" || process.arch !== "x64") {
        throw new Error("Prebuilt addons are made on Linux on x64, for all systems.");
    }
    await mkdir(home, { recursive: true });
    const download = await mkdtemp(path.join(home, "new-"));
    try {
        const requirements = path.join(download, "requirements.txt");
        await writeFile(requirements, `ziglang==${ZIG_VERSION} --hash=sha256:${SHA256}\n`);
        const flags = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"];
        const target = path.join(download, "packages");
        await run("python3", ["-m", "pip", "install", ...flags, "--target", target, "--requirement", requirements]);
        await rm(folder, { recursive: true, force: true });
        await rename(target, folder);
    } finally {
        await rm(download, { recursive: true, force: true });
    }
    return program;
}

/**
 * Runs zig in the project's root. What it compiles it keeps in the user's folder of caches, by content.
 *
 * @param {string} program - of fetchZig()
 * @param {string[]} parameters - with paths from the project's root, so that nothing depends on where that is
 */
export async function zig(program, parameters) {
    const cache = path.join(home, "cache");
    // Nothing else of the environment, where other variables (CPATH, LIBRARY_PATH, ZIG_LIB_DIR) change what is compiled.
    const env = { PATH: process.env.PATH, ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache };
    try {
        const { stderr } = await run(program, parameters, { cwd: projectRoot, env, maxBuffer: 2 ** 26 });
        if (stderr !== "") console.error(stderr);
    } catch (error) {
        throw new Error(`zig ${parameters.join(" ")}\n${error.stderr}`, { cause: error });
    }
}
