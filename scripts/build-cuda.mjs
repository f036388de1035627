// Builds llama.cpp's CUDA backend alone, for the GPU in this machine, beside the prebuilt libraries of the same release.
// The loader finds it in build/backends. Linux; needs the CUDA toolkit, CMake, a C++ compiler, and ninja or make.
//
//     node scripts/build-cuda.mjs                         for the GPUs that nvidia-smi lists
//     node scripts/build-cuda.mjs --architecture 90       for others, also where there is none: 8.6,9.0 for several
//     node scripts/build-cuda.mjs --no-flash-attention    in half of the time; longer contexts are slower then
//     node scripts/build-cuda.mjs -- cmake flags
//
// The source is that of node-llama-cpp's llama.cpp, in build/cuda-source; where it is not, git unpacks it.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { buildWithCmake, libraryOptions, versionOf } from "./cmake.mjs";
import { cudaSourceFolder, cudaSourceRelease, extractCudaSource } from "./cuda-source.mjs";
import { findArchitectures, findCudaToolkit } from "./cuda-toolkit.mjs";
import { llamaRelease, projectRoot } from "./llama-source.mjs";

const workFolder = path.join(projectRoot, "build", "cuda-build");
const stubFolder = path.join(projectRoot, "build", "cuda-stub");
const installFolder = path.join(projectRoot, "build", "backends");
const libraryName = "libggml-cuda.so";

function readArguments() {
    const { values, positionals } = parseArgs({
        options: {
            architecture: { type: "string", default: "native" },
            "no-flash-attention": { type: "boolean", default: false },
        },
        allowPositionals: true,
    });
    return { architecture: values.architecture, flashAttention: !values["no-flash-attention"], flags: positionals };
}

function requireTools() {
    if (process.platform !== "linux") {
        throw new Error(
            "this script builds for Linux. Elsewhere: node scripts/build-native.mjs --from-source -- -DGGML_CUDA=ON",
        );
    }
    const [ninja, make] = ["ninja", "make"].map(versionOf);
    const missing = [
        ...(versionOf("cmake") === undefined ? ["CMake"] : []),
        ...(versionOf(process.env.CC ?? "cc") === undefined ? ["a C compiler"] : []),
        ...(versionOf(process.env.CXX ?? "c++") === undefined ? ["a C++ compiler"] : []),
        ...(ninja === undefined && make === undefined ? ["ninja or make"] : []),
    ];
    if (missing.length > 0) {
        throw new Error(
            `${missing.join(", ")} were not found. Debian, Ubuntu: sudo apt-get install cmake g++ ninja-build; ` +
                "Fedora: sudo dnf install cmake gcc-c++ ninja-build.",
        );
    }
    return ninja === undefined ? "Unix Makefiles" : "Ninja";
}

/** The source of the release that node-llama-cpp has libraries of. */
async function requireSource() {
    const release = await llamaRelease();
    if (cudaSourceRelease(cudaSourceFolder) !== release) await extractCudaSource(cudaSourceFolder);
    return release;
}

/**
 * A library that has the name of the driver's and nothing in it, to be linked where there is no driver: the result asks for
 * the driver by this name.
 */
function makeDriverStub() {
    mkdirSync(stubFolder, { recursive: true });
    const file = path.join(stubFolder, "libcuda.so");
    const { status, stderr } = spawnSync(
        process.env.CC ?? "cc",
        ["-shared", "-Wl,-soname,libcuda.so.1", "-o", file, "-x", "c", "/dev/null"],
        { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`${file} could not be linked: ${stderr}`);
    return file;
}

function cmakeOptions(toolkit, architectures, flashAttention) {
    const { compiler, root, libraries, driver } = toolkit;
    return {
        ...libraryOptions,
        // Where the libraries are that it is linked with, which need not be where the system looks.
        CMAKE_INSTALL_RPATH: ["$ORIGIN", ...toolkit.libraryFolders].join(";"),
        // The empty stub has nothing that is needed, and some compilers leave such libraries out.
        CMAKE_MODULE_LINKER_FLAGS: "-Wl,--no-as-needed",
        CMAKE_CUDA_COMPILER: compiler,
        // For these GPUs alone: no code that the driver would translate for others.
        CMAKE_CUDA_ARCHITECTURES: architectures.map((architecture) => `${architecture}-real`).join(";"),
        CUDAToolkit_ROOT: root,
        CUDA_CUDART: libraries.cudart,
        ...Object.fromEntries(Object.entries(libraries).map(([name, file]) => [`CUDA_${name}_LIBRARY`, file])),
        CUDA_cuda_driver_LIBRARY: driver ?? makeDriverStub(),
        GGML_BACKEND_DL: "ON",
        GGML_CPU: "OFF",
        GGML_NATIVE: "OFF",
        GGML_ALL_WARNINGS: "OFF",
        GGML_BUILD_TESTS: "OFF",
        GGML_BUILD_EXAMPLES: "OFF",
        GGML_CUDA: "ON",
        GGML_CUDA_FA: flashAttention ? "ON" : "OFF",
        // As llama.cpp sets it where it includes ggml.
        GGML_CUDA_GRAPHS: "ON",
        // As in the prebuilt library.
        GGML_CUDA_NCCL: "OFF",
    };
}

/** Whoever has the old library open keeps it; nobody ever finds half of one, or one beside the description of another. */
function install(description) {
    mkdirSync(installFolder, { recursive: true });
    const library = path.join(installFolder, libraryName);
    const record = path.join(installFolder, "libggml-cuda.json");
    const news = [library, record].map((file) => `${file}.new`);
    try {
        copyFileSync(path.join(workFolder, "bin", libraryName), news[0]);
        writeFileSync(news[1], `${JSON.stringify(description, undefined, 4)}\n`);
        rmSync(record, { force: true });
        renameSync(news[0], library);
        renameSync(news[1], record);
    } finally {
        for (const file of news) rmSync(file, { force: true });
    }
    return library;
}

const joinPaths = (folders) => folders.filter(Boolean).join(":");

async function buildCuda() {
    const { architecture, flashAttention, flags } = readArguments();
    const generator = requireTools();
    const toolkit = findCudaToolkit();
    const architectures = findArchitectures(architecture);
    const release = await requireSource();
    console.log(
        `eft-llama: building the CUDA backend of llama.cpp ${release} for ${architectures.join(", ")} with CUDA ` +
            `${toolkit.version}, ${flashAttention ? "with" : "without"} flash attention; this takes minutes.`,
    );
    const start = Date.now();
    buildWithCmake({
        what: "The CUDA backend",
        source: cudaSourceFolder,
        folder: workFolder,
        generator,
        options: cmakeOptions(toolkit, architectures, flashAttention),
        flags,
        target: "ggml-cuda",
        // nvcc knows the folders of its own layout alone; these are read by the C++ compiler behind it.
        env: {
            CPLUS_INCLUDE_PATH: joinPaths([...toolkit.includeFolders, process.env.CPLUS_INCLUDE_PATH]),
            LIBRARY_PATH: joinPaths([...toolkit.libraryFolders, process.env.LIBRARY_PATH]),
        },
    });
    const library = install({ release, architectures, flashAttention, cuda: toolkit.version });
    const [megabytes, seconds] = [statSync(library).size / 1e6, (Date.now() - start) / 1000];
    console.log(`eft-llama: installed ${library}, ${megabytes.toFixed(0)} MB, after ${seconds.toFixed(0)} s.`);
}

await buildCuda().catch((error) => {
    console.error(`eft-llama: ${error.message}`);
    process.exitCode = 1;
});
