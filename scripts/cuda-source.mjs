// The source of llama.cpp's CUDA backend: a small part of the one that node-llama-cpp ships.

import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { extractLlamaSource, llamaRelease, projectRoot } from "./llama-source.mjs";

/** Where scripts/build-cuda.mjs looks before it asks git to unpack the source. */
export const cudaSourceFolder = path.join(projectRoot, "build", "cuda-source");

/** What of llama.cpp the backend is built of, as git names paths: ggml without its other backends. */
export const CUDA_SOURCE_PATHS = [
    "LICENSE",
    ":(glob)ggml/*",
    "ggml/cmake",
    "ggml/include",
    ":(glob)ggml/src/*",
    "ggml/src/ggml-cuda",
    // ggml's base library includes it.
    "ggml/src/ggml-cpu/ggml-cpu-impl.h",
];

// In the place of llama.cpp's own, which needs all of llama.cpp.
const project = `cmake_minimum_required(VERSION 3.21)
project(eft_llama_cuda LANGUAGES C CXX)
add_subdirectory(ggml)
`;

/**
 * Writes what scripts/build-cuda.mjs needs into a folder, 4 MB, and the name of the release into `release.txt`.
 * @param target - its old content is deleted
 */
export async function extractCudaSource(target) {
    await rm(target, { recursive: true, force: true });
    await extractLlamaSource(target, CUDA_SOURCE_PATHS);
    await writeFile(path.join(target, "CMakeLists.txt"), project);
    await writeFile(path.join(target, "release.txt"), `${await llamaRelease()}\n`);
}

/** The release of a folder that {@link extractCudaSource} has written; undefined without one, or after half of one. */
export function cudaSourceRelease(folder) {
    const file = path.join(folder, "release.txt");
    return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}
