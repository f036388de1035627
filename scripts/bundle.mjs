// Makes a bundle: a folder that runs eft-llama where there is neither npm nor network nor a compiler, and a .tar.xz of it.
// It holds Node, the library, the addon, llama.cpp's libraries for the CPU and Vulkan, the source of its CUDA backend, the
// demo family, recipes, experiments and benchmarks, for the kind of machine that it is made on. The same input gives the
// same bytes.
//
//     node scripts/bundle.mjs                   eft-llama-<version>-<platform>/ and .tar.xz, in the current folder
//     node scripts/bundle.mjs --out <folder>    in that folder
//     node scripts/bundle.mjs --folder-only     no archive
//
// SOURCE_DATE_EPOCH, in seconds, is the date of the files in the archive; without it they have the one that npm gives.

import { chmodSync, existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { pack, requireArchivers } from "./bundle-archive.mjs";
import { copyTree, findPackage, placePackages } from "./bundle-packages.mjs";
import { extractCudaSource } from "./cuda-source.mjs";
import { projectRoot } from "./llama-source.mjs";

/** What of the project runs, or has to travel with it. */
const PROJECT_FILES = [
    ...["package.json", "LICENSE", "NOTICE", "README.md", "CHANGELOG.md"],
    ...["dist", "build/Release/eft_llama.node", "recipes", "experiments", "models/demo", "bench", "scripts", "docs"],
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

const PROGRAMS = { "eft-llama": "dist/cli/main.js", "eft-llama-bench": "bench/main.mjs" };

/** A shell script that needs no other program, so that it runs without a PATH; only following links takes `readlink`. */
const launcher = (program) => `#!/bin/sh
case $0 in
    */*) self=$0 ;;
    *) self=./$0 ;;
esac
while [ -L "$self" ]; do
    target=$(readlink "$self")
    case $target in
        /*) self=$target ;;
        *) self=\${self%/*}/$target ;;
    esac
done
folder=$(CDPATH= cd -- "\${self%/*}/" && pwd -P) || exit
exec "$folder/bin/node" "$folder/${program}" "$@"
`;

/** Libraries that are opened only when they are asked for, by their file names: of a GPU, and of node-llama-cpp's own addon. */
const OPTIONAL_LIBRARY = /libggml-(vulkan|cuda)|libllama-common|llama-addon/;

const readme = ({ name, platform, llama, nodeLlamaCpp, needs, hasCudaSource }) => `\
${name}: eft-llama for ${platform}, with Node ${process.version} and llama.cpp ${llama}, the release of
ggml-org/llama.cpp that node-llama-cpp ${nodeLlamaCpp} brings. It runs where it lies and installs nothing:

    ./eft-llama demo
    ./eft-llama chat --base large.gguf --tuned small-chat.gguf --reference small.gguf
    ./eft-llama-bench step --family demo

    ./eft-llama-bench gpu

It needs ${needs}
A GPU needs its driver with Vulkan, and libvulkan.so.1.${hasCudaSource ? CUDA : ""}
Documents: README.md, docs/install.md and the others beside it.
Licences: LICENSE, NOTICE, bin/LICENSE-node, and those in the folders below node_modules.
`;

const CUDA = `
For CUDA, where its toolkit, CMake and a C++ compiler are: bin/node scripts/build-cuda.mjs`;

function readArguments() {
    const flag = { type: "boolean", default: false };
    const { values } = parseArgs({ options: { out: { type: "string", default: "." }, "folder-only": flag } });
    if (values.out === "") throw new Error("--out takes the name of a folder.");
    return values;
}

function requirePlatform() {
    if (process.report.getReport().header.glibcVersionRuntime === undefined) {
        throw new Error(
            "bundles are made on Linux with glibc, for machines like that. Elsewhere, copy a project with its node_modules " +
                "folder to a machine of the same kind that has Node.",
        );
    }
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

/** Loads the addon and llama.cpp's libraries; what is missing of them is said by the one who misses it. */
async function loadLibrary() {
    const folder = path.join(projectRoot, "dist", "native");
    if (!existsSync(folder))
        throw new Error(`the library is not built in ${projectRoot}; run \`npm run build\` first.`);
    const { loadBinding, backendPackageName } = await import(pathToFileURL(path.join(folder, "load-binding.js")));
    const { makeFoldersSync, reasonOf } = await import(pathToFileURL(path.join(projectRoot, "dist", "files.js")));
    return {
        llama: loadBinding().llamaRelease,
        vulkanPackage: backendPackageName("vulkan"),
        makeFoldersSync,
        reasonOf,
    };
}

function copyProject(folder) {
    const optional = OPTIONAL_FILES.filter((file) => existsSync(path.join(projectRoot, file)));
    for (const file of [...PROJECT_FILES, ...optional]) {
        const isWanted = (below) => !UNUSED_FILES.includes(path.join(file, below));
        copyTree(path.join(projectRoot, file), path.join(folder, file), isWanted);
    }
}

function copyPackages(folder, platform, vulkanPackage) {
    const isWanted = (file) => path.basename(file) !== "node_modules" && file !== LLAMA_SOURCE;
    const { optionalDependencies } = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8"));
    const libraries = Object.keys(optionalDependencies).filter((name) => name.startsWith("@node-llama-cpp/"));
    // What `check` and a benchmark compare with.
    const packages = placePackages(projectRoot, [...BUILD_PACKAGES, ...libraries], ["node-llama-cpp"]);
    for (const [place, from] of packages) copyTree(from, path.join(folder, place), isWanted);

    const copyLibraries = (name, isWanted) => {
        const from = findPackage(`@node-llama-cpp/${name}`, projectRoot);
        if (from === undefined) return false;
        copyTree(from, path.join(folder, "node_modules", "@node-llama-cpp", name), isWanted);
        return true;
    };
    copyLibraries(platform);
    // The other libraries of this package are those of the CPU once more.
    const hasVulkan = copyLibraries(`${platform}-vulkan`, (file) => {
        return !/\.(so|node)$/.test(file) || path.basename(file) === "libggml-vulkan.so";
    });
    if (!hasVulkan) console.log(`eft-llama: ${vulkanPackage} is not installed; the bundle is for the CPU alone.`);
}

/** For scripts/build-cuda.mjs on the machine that the bundle is for. @returns whether it is there */
async function addCudaSource(folder) {
    try {
        await extractCudaSource(path.join(folder, "build", "cuda-source"));
        return true;
    } catch (error) {
        console.log(`eft-llama: the bundle has no source of the CUDA backend: ${error.message}`);
        rmSync(path.join(folder, "build", "cuda-source"), { recursive: true, force: true });
        return false;
    }
}

function copyNode(folder) {
    const node = path.join(folder, "bin", "node");
    copyTree(process.execPath, node);
    chmodSync(node, 0o755);
    // Beside the program in archives of nodejs.org; in packages of distributions where each of them keeps such texts.
    const license = [path.resolve(process.execPath, "..", ".."), "/usr/share/doc/nodejs", "/usr/share/licenses/nodejs"]
        .map((place) => path.join(place, "LICENSE"))
        .filter((file) => existsSync(file))
        .map((file) => readFileSync(file, "utf8"))
        .find((text) => text.startsWith("Node.js is licensed"));
    const reference = `https://raw.githubusercontent.com/nodejs/node/${process.version}/LICENSE`;
    writeFileSync(path.join(folder, "bin", "LICENSE-node"), license ?? `The licence of Node.js: ${reference}\n`);
    if (license !== undefined) return;
    console.log(
        `eft-llama: the text of Node's licence was not found. Before you pass the bundle on, put ${reference} into ` +
            "bin/LICENSE-node.",
    );
}

/** What the programs and libraries in a folder need of the system, by the versions of symbols that they name. */
function findNeeds(folder) {
    const newer = (a, b) => (a.localeCompare(b, "en", { numeric: true }) > 0 ? a : b);
    const needs = { always: { GLIBC: "0", GLIBCXX: "0" }, sometimes: { GLIBC: "0", GLIBCXX: "0" } };
    for (const entry of readdirSync(folder, { recursive: true })) {
        const file = path.join(folder, entry);
        if (!/(\.so|\.node|bin\/node)$/.test(file) || !statSync(file).isFile()) continue;
        const newest = OPTIONAL_LIBRARY.test(path.basename(file)) ? needs.sometimes : needs.always;
        const symbols = readFileSync(file, "latin1").matchAll(/\0(GLIBC|GLIBCXX)_([\d.]+)(?=\0)/g);
        for (const [, library, version] of symbols) newest[library] = newer(newest[library], version);
    }
    const { always, sometimes } = needs;
    const more = Object.keys(always)
        .filter((library) => newer(always[library], sometimes[library]) !== always[library])
        .map((library) => `${library}_${sometimes[library]}`);
    const least = `glibc ${always.GLIBC} and a libstdc++ with GLIBCXX_${always.GLIBCXX}`;
    return more.length === 0 ? `${least}.` : `${least}; GPUs and \`eft-llama-bench step\` need\n${more.join(" and ")}.`;
}

function writeLaunchers(folder) {
    for (const [name, program] of Object.entries(PROGRAMS)) {
        writeFileSync(path.join(folder, name), launcher(program), { mode: 0o755 });
    }
}

async function makeBundle() {
    const { out, "folder-only": folderOnly } = readArguments();
    requirePlatform();
    if (!folderOnly) requireArchivers();
    const { llama, vulkanPackage, makeFoldersSync, reasonOf } = await loadLibrary();
    const { version, peerDependencies } = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8"));
    const platform = `linux-${process.arch === "arm" ? "armv7l" : process.arch}`;
    const name = `eft-llama-${version}-${platform}`;
    const results = folderOnly ? [name] : [name, `${name}.tar.xz`];
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
        copyProject(folder);
        copyPackages(folder, platform, vulkanPackage);
        const hasCudaSource = await addCudaSource(folder);
        copyNode(folder);
        writeLaunchers(folder);
        const contents = { name, platform, llama, nodeLlamaCpp: peerDependencies["node-llama-cpp"], hasCudaSource };
        writeFileSync(path.join(folder, "README.txt"), readme({ ...contents, needs: findNeeds(folder) }));
        if (!folderOnly) pack(folder, `${folder}.tar.xz`);
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
