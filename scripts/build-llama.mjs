// Builds llama.cpp's shared libraries out of the source that node-llama-cpp ships. The loader prefers build/llama.

import { spawnSync } from "node:child_process";
import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { extractLlamaSource, llamaRelease, projectRoot } from "./llama-source.mjs";

const source = path.join(projectRoot, "build", "llama-source");
const workFolder = path.join(projectRoot, "build", "llama-build");
const installFolder = path.join(projectRoot, "build", "llama");

const options = {
    CMAKE_BUILD_TYPE: "Release",
    BUILD_SHARED_LIBS: "ON",
    // For this processor alone. llama.cpp excludes that in combination with backends that are loaded on demand.
    GGML_NATIVE: "ON",
    GGML_BACKEND_DL: "OFF",
    // File names without a version, and libraries that find each other in their own folder wherever it is moved.
    CMAKE_PLATFORM_NO_VERSIONED_SONAME: "ON",
    CMAKE_BUILD_WITH_INSTALL_RPATH: "ON",
    CMAKE_INSTALL_RPATH: process.platform === "darwin" ? "@loader_path" : "$ORIGIN",
    // As in the prebuilt libraries: with OpenMP, llama.cpp leaves the settings of our thread pool unused.
    GGML_OPENMP: "OFF",
    LLAMA_ALL_WARNINGS: "OFF",
    LLAMA_BUILD_COMMON: "OFF",
    LLAMA_BUILD_TESTS: "OFF",
    LLAMA_BUILD_TOOLS: "OFF",
    LLAMA_BUILD_EXAMPLES: "OFF",
    LLAMA_BUILD_SERVER: "OFF",
    LLAMA_BUILD_APP: "OFF",
    LLAMA_OPENSSL: "OFF",
};

function cmake(parameters) {
    const { status } = spawnSync("cmake", parameters, { stdio: "inherit" });
    if (status !== 0) throw new Error("llama.cpp could not be built; the reason stands above.");
}

async function libraries(folder) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
        .filter((entry) => entry.isFile() && /^(lib)?(ggml|llama).*\.(so|dylib|dll)$/.test(entry.name))
        .map((entry) => path.join(entry.parentPath, entry.name));
}

/** @param userFlags - more flags for CMake, e.g. `-DGGML_CUDA=ON`; they override the defaults */
export async function buildLlama(userFlags) {
    console.log(`eft-llama: building llama.cpp ${await llamaRelease()} from source; this takes minutes.`);
    await extractLlamaSource(source);
    const defaults = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
    cmake(["-S", source, "-B", workFolder, ...defaults, ...userFlags]);
    cmake(["--build", workFolder, "--config", "Release"]);

    await rm(installFolder, { recursive: true, force: true });
    await mkdir(installFolder, { recursive: true });
    const built = await libraries(path.join(workFolder, "bin"));
    for (const file of built) await copyFile(file, path.join(installFolder, path.basename(file)));
    console.log(`eft-llama: installed ${built.map((file) => path.basename(file)).join(", ")} in build/llama.`);
}
