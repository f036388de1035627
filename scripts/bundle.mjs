// Makes a bundle: a folder that runs eft-llama where there is neither npm nor network nor a compiler, and a .tar.xz (for
// Windows, a .zip) of it. It holds Node, the library, the addon, llama.cpp's libraries for the CPU and Vulkan, the source of its
// CUDA backend, the demo family, recipes, experiments and benchmarks, for the kind of machine that it is made on, or for another
// kind, whose parts are downloaded. The same input gives the same bytes.
//
//     node scripts/bundle.mjs                         eft-llama-<version>-<platform>/ and .tar.xz, in the current folder
//     node scripts/bundle.mjs --platform win32-x64    for another platform
//     node scripts/bundle.mjs --out <folder>          in that folder
//     node scripts/bundle.mjs --folder-only           no archive
//
// SOURCE_DATE_EPOCH, in seconds, is the date of the files in the archive; without it they have the one that npm gives.

import { chmodSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { readBinaryFormat } from "./binary-format.mjs";
import { archiveOf, pack, requireArchivers } from "./bundle-archive.mjs";
import { copyTree, findPackage, placePackages } from "./bundle-packages.mjs";
import { fetchParts, requireKnownPlatform } from "./bundle-platforms.mjs";
import { listBinaries, writeLaunchers, writeReadme } from "./bundle-texts.mjs";
import { extractCudaSource } from "./cuda-source.mjs";
import { projectRoot } from "./llama-source.mjs";

/** What of the project runs, or has to travel with it. */
const PROJECT_FILES = [
    ...["package.json", "LICENSE", "NOTICE", "README.md", "CHANGELOG.md"],
    ...["dist", "recipes", "experiments", "models/demo", "bench", "scripts", "docs"],
];
/** Only where they have been made: llama.cpp or a backend built from source, which come before the packages' libraries. */
const OPTIONAL_FILES = ["build/llama", "build/backends"];
/** The training of the demo family; models that no recipe, experiment or benchmark uses, 4 MB; documents for editors. */
const UNUSED_FILES = [
    "scripts/train-demo-family",
    // Made of the types, which are left out.
    "docs/api",
    "models/demo/large-chat-q8_0.gguf",
    "models/demo/small-safe-q8_0.gguf",
];
/** They compile the addon, which is compiled. */
const BUILD_PACKAGES = ["cmake-js", "node-addon-api", "node-api-headers"];
/** llama.cpp's source in node-llama-cpp: 35 MB. */
const LLAMA_SOURCE = path.join("llama", "gitRelease.bundle");

const manifest = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8"));

function readArguments() {
    const flag = { type: "boolean", default: false };
    const text = { type: "string" };
    const { values } = parseArgs({
        options: { platform: text, out: { ...text, default: "." }, "folder-only": flag },
    });
    if (values.out === "") throw new Error("--out takes the name of a folder.");
    if (values.platform !== undefined) requireKnownPlatform(values.platform);
    return values;
}

function requireLinux() {
    if (process.report.getReport().header.glibcVersionRuntime !== undefined) return;
    throw new Error(
        "bundles are made on Linux with glibc, with --platform for other systems. Elsewhere, copy a project with its " +
            "node_modules folder to a machine of the same kind that has Node.",
    );
}

function requirePortableNode() {
    const shared = Object.entries(process.config.variables)
        .filter(([name, value]) => name.startsWith("node_shared") && String(value) === "true")
        .map(([name]) => name);
    if (shared.length > 0) {
        throw new Error(
            `${process.execPath} needs libraries of this system (${shared.join(", ")}) and would not run on others. Run this ` +
                "script with a Node from https://nodejs.org.",
        );
    }
}

/** As node-llama-cpp names it, which for those of `--platform` on Linux is as Node does. */
function thisPlatform() {
    return `linux-${process.arch === "arm" ? "armv7l" : process.arch}`;
}

/** A part of the library that is built, without which there is nothing to put into a bundle. */
async function importBuilt(name) {
    const file = path.join(projectRoot, "dist", name);
    if (!existsSync(file)) throw new Error(`the library is not built in ${projectRoot}; run \`npm run build\` first.`);
    return import(pathToFileURL(file));
}

/** The parts of a bundle that are not the same on every platform, for this one. */
async function installedParts() {
    requirePortableNode();
    const { loadAddon, backendPackageName } = await importBuilt("native/load-binding.js");
    // Loads the addon and llama.cpp's libraries; what is missing of them is said by the one who misses it.
    const { binding, file } = loadAddon();
    const platform = thisPlatform();
    const vulkan = findPackage(`@node-llama-cpp/${platform}-vulkan`, projectRoot);
    if (vulkan === undefined) {
        console.log(`eft-llama: ${backendPackageName("vulkan")} is not installed; the bundle is for the CPU alone.`);
    }
    const libraries = [findPackage(`@node-llama-cpp/${platform}`, projectRoot), vulkan];
    return {
        platform,
        llama: binding.llamaRelease,
        node: process.execPath,
        nodeVersion: process.version,
        // Beside the program in archives of nodejs.org; in packages of distributions where each of them keeps such texts.
        nodeLicenses: [
            path.resolve(process.execPath, "..", ".."),
            "/usr/share/doc/nodejs",
            "/usr/share/licenses/nodejs",
        ].map((place) => path.join(place, "LICENSE")),
        files: [
            path.relative(projectRoot, file),
            ...OPTIONAL_FILES.filter((file) => existsSync(path.join(projectRoot, file))),
        ],
        libraries: libraries.filter((folder) => folder !== undefined),
    };
}

function copyProject(folder, more) {
    for (const file of [...PROJECT_FILES, ...more]) {
        const isWanted = (below) => !UNUSED_FILES.includes(path.join(file, below));
        copyTree(path.join(projectRoot, file), path.join(folder, file), isWanted);
    }
}

function copyPackages(folder, libraries) {
    const isWanted = (file) => path.basename(file) !== "node_modules" && file !== LLAMA_SOURCE;
    const llama = Object.keys(manifest.optionalDependencies).filter((name) => name.startsWith("@node-llama-cpp/"));
    // What `check` and a benchmark compare with.
    const packages = placePackages(projectRoot, [...BUILD_PACKAGES, ...llama], ["node-llama-cpp"]);
    for (const [place, from] of packages) copyTree(from, path.join(folder, place), isWanted);
    for (const from of libraries) {
        const { name } = JSON.parse(readFileSync(path.join(from, "package.json"), "utf8"));
        // The other libraries of a GPU's package are those of the CPU once more; a .lib is for linkers.
        const unwanted = name.endsWith("-vulkan") ? /(?<!ggml-vulkan)\.(so|dll|node|lib)$/ : /\.lib$/;
        copyTree(from, path.join(folder, "node_modules", name), (file) => !unwanted.test(file));
    }
}

/** For scripts/build-cuda.mjs on the machine that the bundle is for. @returns whether it is there */
async function addCudaSource(folder, platform) {
    if (!platform.startsWith("linux")) return false;
    try {
        await extractCudaSource(path.join(folder, "build", "cuda-source"));
        return true;
    } catch (error) {
        console.log(`eft-llama: the bundle has no source of the CUDA backend: ${error.message}`);
        rmSync(path.join(folder, "build", "cuda-source"), { recursive: true, force: true });
        return false;
    }
}

function copyNode(folder, { node, nodeVersion, nodeLicenses }) {
    const target = path.join(folder, "bin", path.extname(node) === ".exe" ? "node.exe" : "node");
    copyTree(node, target);
    chmodSync(target, 0o755);
    const license = nodeLicenses
        .filter((file) => existsSync(file))
        .map((file) => readFileSync(file, "utf8"))
        .find((text) => text.startsWith("Node.js is licensed"));
    const reference = `https://raw.githubusercontent.com/nodejs/node/${nodeVersion}/LICENSE`;
    writeFileSync(path.join(folder, "bin", "LICENSE-node"), license ?? `The licence of Node.js: ${reference}\n`);
    if (license !== undefined) return;
    console.log(
        `eft-llama: the text of Node's licence was not found. Before you pass the bundle on, put ${reference} into ` +
            "bin/LICENSE-node.",
    );
}

/** A part for another machine would be found out only where the bundle is to run. */
function checkBinaries(folder, platform) {
    for (const file of listBinaries(folder)) {
        const { platform: found } = readBinaryFormat(file);
        if (found === platform.replace("armv7l", "arm")) continue;
        throw new Error(
            `${path.relative(folder, file)} is for ${found ?? "an unknown kind of machine"}, and not for ${platform}.`,
        );
    }
}

async function fillBundle(folder, parts, isForeign) {
    copyProject(folder, parts.files);
    copyPackages(folder, parts.libraries);
    const hasCudaSource = await addCudaSource(folder, parts.platform);
    copyNode(folder, parts);
    checkBinaries(folder, parts.platform);
    writeLaunchers(folder, parts.platform);
    const nodeLlamaCpp = manifest.peerDependencies["node-llama-cpp"];
    writeReadme(folder, { ...parts, nodeLlamaCpp, hasCudaSource, isForeign });
}

async function makeBundle() {
    const { platform: wanted, out, "folder-only": folderOnly } = readArguments();
    requireLinux();
    const { makeFoldersSync, reasonOf } = await importBuilt("files.js");
    const platform = wanted ?? thisPlatform();
    if (!folderOnly) requireArchivers(platform);
    const installed = wanted === undefined ? await installedParts() : undefined;
    const name = `eft-llama-${manifest.version}-${platform}`;
    const results = folderOnly ? [name] : [name, archiveOf(name, platform)];
    const places = results.map((result) => path.resolve(out, result));
    for (const place of places) {
        if (existsSync(place)) throw new Error(`${place} exists. Delete it, or name another place with --out.`);
    }
    // Half a bundle would be found out only where it is to run: nothing has its name before it is whole.
    const work = path.resolve(out, `${name}.partial`);
    const folder = path.join(work, name);
    try {
        rmSync(work, { recursive: true, force: true });
        makeFoldersSync(folder);
        const parts = installed ?? fetchParts(platform, work);
        await fillBundle(folder, parts, platform !== thisPlatform());
        if (!folderOnly) pack(folder, path.join(work, archiveOf(name, platform)), platform);
        for (const [index, result] of results.entries()) renameSync(path.join(work, result), places[index]);
    } catch (error) {
        // A failed call to the system; all others have a sentence of their own.
        if (error.syscall === undefined) throw error;
        throw new Error(`--out ${out}: the bundle cannot be written there: ${reasonOf(error)}.`, { cause: error });
    } finally {
        if (existsSync(work)) rmSync(work, { recursive: true });
    }
    const [made, archive] = places;
    console.log(folderOnly ? made : `${made}\n${archive}: ${(statSync(archive).size / 1e6).toFixed(1)} MB`);
}

await makeBundle().catch((error) => {
    console.error(`eft-llama: ${error.message}`);
    process.exitCode = 1;
});
