// Finds NVIDIA's compiler and libraries (one folder of the toolkit, or packages of a distribution or of Python) and GPUs.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, realpathSync } from "node:fs";
import path from "node:path";

const libraries = ["cudart", "cublas", "cublasLt"];
const target = { x64: "x86_64-linux", arm64: "sbsa-linux" }[process.arch];
const multiarch = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" }[process.arch];

function output(program, parameters) {
    const { status, stdout, stderr } = spawnSync(program, parameters, { encoding: "utf8" });
    return { found: status !== null, succeeded: status === 0, text: `${stdout ?? ""}${stderr ?? ""}` };
}

const firstExisting = (files) => files.find((file) => existsSync(file));

/** Where nvcc may be, in the order of preference. */
function compilerCandidates() {
    const versioned = existsSync("/usr/local")
        ? readdirSync("/usr/local").filter((name) => /^cuda-[\d.]+$/.test(name))
        : [];
    versioned.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
    const toolkits = (folders) => folders.filter(Boolean).map((folder) => path.join(folder, "bin"));
    return [
        ...toolkits([process.env.CUDA_HOME, process.env.CUDA_PATH]),
        // Empty entries stand for the current folder, which nobody means.
        ...(process.env.PATH ?? "").split(path.delimiter).filter(Boolean),
        ...toolkits(["/usr/local/cuda", ...versioned.map((name) => `/usr/local/${name}`), "/opt/cuda"]),
    ].map((folder) => path.join(folder, "nvcc"));
}

/** Folders of NVIDIA's packages for Python, e.g. site-packages/nvidia/cu13. */
function pythonFolders(major) {
    const program = "import os, nvidia; print(os.pathsep.join(nvidia.__path__))";
    const { succeeded, text } = output("python3", ["-c", program]);
    return succeeded
        ? text
              .trim()
              .split(path.delimiter)
              .map((folder) => path.join(folder, `cu${major}`))
        : [];
}

/**
 * @returns `compiler`, its `root` and `version`; the files of `libraries` by name; `driver`, a stub of libcuda, where the
 * toolkit has one; the folders of its headers and libraries
 * @throws Error that says what is missing and what brings it
 */
export function findCudaToolkit() {
    if (target === undefined) {
        throw new Error(
            `there is no CUDA for processors of the kind ${process.arch}; its toolkit is for x64 and arm64 alone.`,
        );
    }
    const candidate = compilerCandidates().find((file) => existsSync(file));
    if (candidate === undefined) {
        throw new Error(
            "nvcc, the compiler of NVIDIA's CUDA toolkit, was not found on PATH, nor below CUDA_HOME, CUDA_PATH, /usr/local/cuda " +
                "and /opt/cuda. Install the toolkit (https://developer.nvidia.com/cuda-downloads), or name its folder in " +
                "CUDA_HOME.",
        );
    }
    // A program named nvcc may be a link or a script; it says itself where its toolkit is.
    const compiler = realpathSync(candidate);
    const version = output(compiler, ["--version"]).text.match(/ V(\d+\.\d+\.\d+)/)?.[1];
    const top = output(compiler, ["-v", "__where_is_the_toolkit"]).text.match(/^#\$ TOP=(.+)$/m)?.[1];
    if (version === undefined || top === undefined) {
        throw new Error(`${candidate} does not answer like nvcc. Name the folder of the CUDA toolkit in CUDA_HOME.`);
    }
    const major = version.split(".")[0];
    const root = realpathSync(top);
    const roots = [root, path.join(root, "targets", target), ...pythonFolders(major)];
    const headerPlaces = [...roots.map((folder) => path.join(folder, "include")), "/usr/include"];
    const toolkitPlaces = roots.flatMap((folder) => [path.join(folder, "lib64"), path.join(folder, "lib")]);
    const systemPlaces = [`/usr/lib/${multiarch}`, "/usr/lib64"];

    const missing = [];
    const findHeader = (name) => {
        const folder = headerPlaces.find((folder) => existsSync(path.join(folder, name)));
        if (folder === undefined) missing.push(name);
        return folder;
    };
    const findLibrary = (name) => {
        const versioned = `lib${name}.so.${major}`;
        const file = firstExisting([
            // Packages for Python have the second name alone.
            ...toolkitPlaces.flatMap((folder) => [path.join(folder, `lib${name}.so`), path.join(folder, versioned)]),
            // The first name may belong to another version here.
            ...systemPlaces.map((folder) => path.join(folder, versioned)),
        ]);
        if (file === undefined) missing.push(`lib${name}.so`);
        return file;
    };
    const includeFolders = ["cuda_runtime.h", "cublas_v2.h"].map(findHeader);
    const found = Object.fromEntries(libraries.map((name) => [name, findLibrary(name)]));
    if (missing.length > 0) {
        throw new Error(
            `${candidate} is CUDA ${version}, but of its toolkit ${missing.join(", ")} were not found. Install the development ` +
                `files of cudart and cuBLAS for CUDA ${major} (Debian, Ubuntu: cuda-cudart-dev, libcublas-dev; Python: ` +
                "nvidia-cuda-runtime, nvidia-cublas).",
        );
    }
    return {
        compiler,
        root,
        version,
        libraries: found,
        driver: firstExisting(toolkitPlaces.map((folder) => path.join(folder, "stubs", "libcuda.so"))),
        // Named twice, this one would hide the headers that C++ puts before it.
        includeFolders: [...new Set(includeFolders)].filter((folder) => folder !== "/usr/include"),
        libraryFolders: [...new Set(Object.values(found).map((file) => path.dirname(file)))],
    };
}

/** "8.6" and "86" are the same; "sm_86" too. */
function parseArchitecture(text) {
    const match = text.trim().match(/^(?:sm_)?(\d{1,2})\.?(\d)([af]?)$/);
    if (!match) {
        throw new Error(
            `"${text}" is no architecture of NVIDIA GPUs. Write 86 or 8.6 for an RTX 3000, 90 for an H100.`,
        );
    }
    return `${match[1]}${match[2]}${match[3]}`;
}

/**
 * @param wanted - compute capabilities, e.g. "90" or "8.6,9.0", or "native" for those of the GPUs in this machine
 * @returns e.g. ["86", "90"]
 */
export function findArchitectures(wanted) {
    if (wanted !== "native") return [...new Set(wanted.split(",").map(parseArchitecture))];
    const { found, succeeded, text } = output("nvidia-smi", ["--query-gpu=compute_cap", "--format=csv,noheader"]);
    const capabilities = succeeded ? text.split("\n").filter((line) => /^\d+\.\d$/.test(line.trim())) : [];
    if (capabilities.length > 0) return [...new Set(capabilities.map(parseArchitecture))];
    const reason = found ? `nvidia-smi says: ${text.trim() || "nothing"}` : "there is no nvidia-smi";
    throw new Error(
        `no NVIDIA GPU was found here (${reason}). Name the architecture that the library is for, e.g. --architecture 90 for an ` +
            "H100; https://developer.nvidia.com/cuda-gpus lists them as compute capabilities.",
    );
}
