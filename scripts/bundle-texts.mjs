// What is written for a bundle: its commands, and what README.txt says of it.

import { chmodSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { readBinaryFormat } from "./binary-format.mjs";

const PROGRAMS = { "eft-llama": "dist/cli/main.js", "eft-llama-bench": "bench/main.mjs" };

/** A shell script that needs no other program, so that it runs without a PATH; only following links takes `readlink`. */
const shellLauncher = (program) => `#!/bin/sh
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

const windowsLauncher = (program) =>
    ["@echo off", `"%~dp0bin\\node.exe" "%~dp0${program.replaceAll("/", "\\")}" %*`, ""].join("\r\n");

/** Writes the commands of a bundle into its folder. */
export function writeLaunchers(folder, platform) {
    for (const [name, program] of Object.entries(PROGRAMS)) {
        if (platform.startsWith("win32")) {
            writeFileSync(path.join(folder, `${name}.cmd`), windowsLauncher(program));
        } else {
            writeFileSync(path.join(folder, name), shellLauncher(program));
            chmodSync(path.join(folder, name), 0o755);
        }
    }
}

/** Of a GPU, and of node-llama-cpp's own addon: opened only when they are asked for, by their file names. */
const OPTIONAL_LIBRARY = /libggml-(vulkan|cuda)|libllama-common|llama-addon/;
const CUDA = "For CUDA, where its toolkit, CMake and a C++ compiler are: bin/node scripts/build-cuda.mjs";

/**
 * The text of README.txt.
 *
 * @param bundle - `platform`, releases `nodeVersion`, `llama` and `nodeLlamaCpp`; `hasCudaSource`; `isForeign`: parts are
 * downloaded for a machine of another kind
 */
export function writeReadme(folder, { platform, nodeVersion, llama, nodeLlamaCpp, hasCudaSource, isForeign }) {
    const isWindows = platform.startsWith("win32");
    const run = isWindows ? ".\\" : "./";
    const lines = [
        `${path.basename(folder)}: eft-llama for ${platform}, with Node ${nodeVersion} and llama.cpp ${llama}, the release of`,
        `ggml-org/llama.cpp that node-llama-cpp ${nodeLlamaCpp} brings. It runs where it lies and installs nothing:`,
        "",
        `    ${run}eft-llama demo`,
        `    ${run}eft-llama chat --base large.gguf --tuned small-chat.gguf --reference small.gguf`,
        // It compares with node-llama-cpp, which is taken along where it is installed.
        ...(existsSync(path.join(folder, "node_modules", "node-llama-cpp"))
            ? [`    ${run}eft-llama-bench step --family demo`]
            : []),
        "",
        `    ${run}eft-llama-bench gpu`,
        "",
        `It needs ${describeNeeds(folder, platform)}`,
        ...(platform.startsWith("darwin") ? [QUARANTINE] : describeGpuNeeds(folder, isWindows)),
        ...(hasCudaSource ? [CUDA] : []),
        ...(isForeign ? ["It was put together on a machine of another kind, where it cannot be tried."] : []),
        "Documents: README.md, docs/install.md and the others beside it.",
        "Licences: LICENSE, NOTICE, bin/LICENSE-node, and those in the folders below node_modules.",
        "",
    ];
    writeFileSync(path.join(folder, "README.txt"), lines.join(isWindows ? "\r\n" : "\n"));
}

const QUARANTINE = `Nothing in it but Node is signed by a developer that Apple knows, and nothing is notarised. macOS marks what a browser
has downloaded, and refuses to run it; where you trust this folder: xattr -dr com.apple.quarantine .`;

function describeGpuNeeds(folder, isWindows) {
    const hasVulkan = listBinaries(folder).some((file) => file.includes("ggml-vulkan"));
    return hasVulkan ? [`A GPU needs its driver with Vulkan${isWindows ? "" : ", and libvulkan.so.1"}.`] : [];
}

function describeNeeds(folder, platform) {
    const [system, processor] = platform.split("-");
    if (system === "linux") return describeLinuxNeeds(folder);
    if (system === "win32") {
        return (
            `Windows 10 or newer, and Microsoft's Visual C++ Redistributable of 2015 to 2022 for ${processor} (MSVCP140.dll,\r\n` +
            "VCRUNTIME140.dll), which many programs have brought already."
        );
    }
    const versions = listBinaries(folder).map((file) => readBinaryFormat(file).oldest ?? "0");
    return `macOS ${versions.reduce(newer)} or newer.`;
}

/** What programs and libraries need of Linux, by the versions of symbols that they name. */
function describeLinuxNeeds(folder) {
    const needs = { always: { GLIBC: "0", GLIBCXX: "0" }, sometimes: { GLIBC: "0", GLIBCXX: "0" } };
    for (const file of listBinaries(folder)) {
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

function newer(a, b) {
    return a.localeCompare(b, "en", { numeric: true }) > 0 ? a : b;
}

/** Programs and libraries in a bundle. */
export function listBinaries(folder) {
    return readdirSync(folder, { recursive: true })
        .filter((entry) => /\.(so|dylib|dll|exe|node)$/.test(entry) || entry === path.join("bin", "node"))
        .map((entry) => path.join(folder, entry))
        .filter((file) => statSync(file).isFile());
}
