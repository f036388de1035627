// The llama.cpp source that node-llama-cpp ships as a git bundle.

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export const projectRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

// node-llama-cpp may be hoisted out of our own node_modules; its `exports` do not offer package.json.
function bundleFolder() {
    const folders = createRequire(import.meta.url).resolve.paths("node-llama-cpp");
    const found = folders
        .map((folder) => path.join(folder, "node-llama-cpp", "llama"))
        .find((folder) => existsSync(folder));
    if (!found) {
        const { peerDependencies } = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8"));
        const name = `node-llama-cpp@${peerDependencies["node-llama-cpp"]}`;
        throw new Error(
            `llama.cpp's source comes with ${name}, which is not installed. Install it with \`npm install --save-exact ${name}\`.`,
        );
    }
    return found;
}

/** Tag of the llama.cpp release in the bundle, e.g. `v0.5.0`. */
export async function llamaRelease() {
    const text = await readFile(path.join(bundleFolder(), "binariesGithubRelease.json"), "utf8");
    return JSON.parse(text).release;
}

/**
 * Writes files of the bundle's release into a folder.
 * @param target - created if need be; files in it are overwritten
 * @param paths - files or folders of llama.cpp's tree; all of them by default
 */
export async function extractLlamaSource(target, paths = []) {
    const source = path.join(bundleFolder(), "gitRelease.bundle");
    if (!existsSync(source)) {
        throw new Error(
            `llama.cpp's source is not in ${source}, as in bundles. One that is made where git is brings the source of the CUDA ` +
                "backend; all of llama.cpp is built where npm is.",
        );
    }
    const repository = await mkdtemp(path.join(tmpdir(), "eft-llama-bundle-"));
    try {
        const git = (...parameters) => run("git", ["-C", repository, ...parameters], { maxBuffer: 2 ** 24 });
        await git("init", "--quiet", "--bare");
        await git("fetch", "--quiet", "--depth=1", source, "HEAD");
        await mkdir(target, { recursive: true });
        await git(
            "--work-tree",
            target,
            "checkout",
            "--quiet",
            "--force",
            "FETCH_HEAD",
            "--",
            ...(paths.length > 0 ? paths : ["."]),
        );
    } catch (error) {
        if (error.code === "ENOENT") {
            throw new Error(
                "git is needed to unpack llama.cpp's source and was not found. Install git and try again.",
                {
                    cause: error,
                },
            );
        }
        throw error;
    } finally {
        await rm(repository, { recursive: true, force: true });
    }
}

/** Calls `use` with a temporary folder that holds the given files of the bundle's release. */
export async function withLlamaSource(paths, use) {
    const folder = await mkdtemp(path.join(tmpdir(), "eft-llama-source-"));
    try {
        await extractLlamaSource(folder, paths);
        return await use(folder);
    } finally {
        await rm(folder, { recursive: true, force: true });
    }
}
