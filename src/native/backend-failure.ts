/** Why the libraries of a GPU backend cannot be used, and what to do about it. */

import { backendPackageName, isBundle, scriptCommand, type BackendLibrary } from "./load-binding.js";

/** What is wrong with one library: a clause, and a sentence without its full stop. */
export interface BackendFailure {
    readonly problem: string;
    readonly remedy?: string;
}

/** All that was tried, and the remedy for what would have been preferred. */
export function joinFailures(failures: readonly BackendFailure[]): string {
    const problems = failures.map(({ problem }) => problem).join("; ");
    const remedy = failures[0]?.remedy;
    return remedy === undefined ? problems : `${problems}. ${remedy}`;
}

/** How a backend is built where node-llama-cpp's package does not serve. */
function buildCommand(backend: string): string {
    return backend === "cuda" && process.platform === "linux"
        ? scriptCommand("build-cuda.mjs")
        : `${scriptCommand("build-native.mjs")} --from-source -- -DGGML_${backend.toUpperCase()}=ON`;
}

/** No library of it is installed. */
export function explainMissing(backend: string): BackendFailure {
    if (backend === "cuda" && process.platform === "darwin") return { problem: "there is no CUDA for macOS" };
    if (isBundle && backend !== "cuda") {
        return { problem: "the bundle has no library of it", remedy: "Make one where its package is installed" };
    }
    const build = `build the backend with \`${buildCommand(backend)}\``;
    // node-llama-cpp has such packages for no other platforms, and a bundle has no npm.
    if (process.arch !== "x64" || process.platform === "darwin" || isBundle) {
        return { problem: "no library of it has been built", remedy: `To have one, ${build}` };
    }
    const name = backendPackageName(backend);
    return {
        problem: `the package ${name} is not installed, and no library of it has been built`,
        remedy: `Install the package with \`npm install --save-exact ${name}\`, or ${build}`,
    };
}

/** A library that was built for another llama.cpp; undefined for one that fits. */
export function explainRelease(
    backend: string,
    { file, release }: BackendLibrary,
    wanted: string,
): BackendFailure | undefined {
    if (release === "as pinned" || release.noted === wanted) return undefined;
    const built = release.noted === undefined ? "an unknown release of llama.cpp" : `llama.cpp ${release.noted}`;
    return {
        problem: `${file} was built for ${built}, and the other libraries are those of ${wanted}`,
        remedy: `Build it again with \`${buildCommand(backend)}\`, or delete it`,
    };
}

/** How to get a library that a backend asks for; the pattern's group is a version. */
const REMEDIES: readonly (readonly [RegExp, (version: string) => string])[] = [
    [/^libcuda\.so/, () => "Install NVIDIA's driver"],
    [
        /^lib(?:cudart|cublas|cublasLt)\.so\.(\d+)/,
        (version) => `Install cudart and cuBLAS of CUDA ${version}, or name their folder in LD_LIBRARY_PATH`,
    ],
    [/^libvulkan\.so/, () => "Install the Vulkan loader (Debian, Ubuntu: libvulkan1; Fedora: vulkan-loader)"],
];

/**
 * A library that ggml did not load.
 *
 * @param said - ggml's words, which hold those of the operating system's loader; on Windows that has none
 */
export function explainLoadFailure(file: string, said: string): BackendFailure {
    const missing = /: ([^\s:]+\.so[.\d]*): cannot open shared object file/.exec(said)?.[1];
    if (missing !== undefined) {
        const problem = `${file} needs ${missing}, which was not found`;
        for (const [pattern, describe] of REMEDIES) {
            const match = pattern.exec(missing);
            if (match) return { problem, remedy: describe(match[1] ?? "") };
        }
        return { problem };
    }
    if (/undefined symbol: \w*(ggml|gguf)_|incompatible API version/.test(said)) {
        return {
            problem: `${file} does not fit the other libraries of llama.cpp: ${said}`,
            remedy: "Delete it, or reinstall the package that it belongs to",
        };
    }
    // Where llama.cpp was built with it, and not as a library to be opened later, it was asked for devices at the start.
    if (said.includes("failed to find ggml_backend_init")) {
        return { problem: `${file} is linked with llama.cpp's other libraries and has found no device` };
    }
    const reason = said === "" ? "the system does not say why; its driver may be missing" : said;
    return { problem: `${file} could not be loaded: ${reason}` };
}

/** A library that was loaded and offers no device. */
export function explainNoDevice(backend: string, file: string, said: string): BackendFailure {
    return { problem: `${file} finds no ${backend} device${said === "" ? "" : `: ${said}`}` };
}
