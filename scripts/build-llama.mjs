// Builds llama.cpp's shared libraries out of the source that node-llama-cpp ships. The loader prefers build/llama.

import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { buildWithCmake, libraryOptions } from "./cmake.mjs";
import { extractLlamaSource, llamaRelease, projectRoot } from "./llama-source.mjs";

const source = path.join(projectRoot, "build", "llama-source");
const workFolder = path.join(projectRoot, "build", "llama-build");
const installFolder = path.join(projectRoot, "build", "llama");

const options = {
    ...libraryOptions,
    // For this processor alone. llama.cpp excludes that in combination with backends that are loaded on demand.
    GGML_NATIVE: "ON",
    GGML_BACKEND_DL: "OFF",
    LLAMA_ALL_WARNINGS: "OFF",
    LLAMA_BUILD_COMMON: "OFF",
    LLAMA_BUILD_TESTS: "OFF",
    LLAMA_BUILD_TOOLS: "OFF",
    LLAMA_BUILD_EXAMPLES: "OFF",
    LLAMA_BUILD_SERVER: "OFF",
    LLAMA_BUILD_APP: "OFF",
    LLAMA_OPENSSL: "OFF",
};

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
    buildWithCmake({ what: "llama.cpp", source, folder: workFolder, options, flags: userFlags });

    // The loader takes the folder as soon as it is there: it never sees half of one.
    const partial = `${installFolder}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    const built = await libraries(path.join(workFolder, "bin"));
    for (const file of built) await copyFile(file, path.join(partial, path.basename(file)));
    await rm(installFolder, { recursive: true, force: true });
    await rename(partial, installFolder);
    console.log(`eft-llama: installed ${built.map((file) => path.basename(file)).join(", ")} in build/llama.`);
}
