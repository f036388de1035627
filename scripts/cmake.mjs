// How llama.cpp and its backends are built with CMake.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";

/** For libraries that lie in one folder, wherever that is moved, or beside the prebuilt ones. */
export const libraryOptions = {
    CMAKE_BUILD_TYPE: "Release",
    BUILD_SHARED_LIBS: "ON",
    // File names without a version, as the prebuilt libraries have them and ask for them.
    CMAKE_PLATFORM_NO_VERSIONED_SONAME: "ON",
    CMAKE_BUILD_WITH_INSTALL_RPATH: "ON",
    CMAKE_INSTALL_RPATH: process.platform === "darwin" ? "@loader_path" : "$ORIGIN",
    // As in the prebuilt libraries: with OpenMP, llama.cpp leaves the settings of our thread pool unused.
    GGML_OPENMP: "OFF",
};

/** What CMake reads from the environment when it begins with an empty folder, and never again. */
const READ_ONCE = [
    ...["CC", "CFLAGS", "CXX", "CXXFLAGS", "LDFLAGS", "CUDACXX", "CUDAFLAGS", "CUDAARCHS", "CUDAHOSTCXX"],
    ...["CMAKE_GENERATOR", "CMAKE_TOOLCHAIN_FILE"],
];

/** How many compilers run at once: CMAKE_BUILD_PARALLEL_LEVEL, or one for each processor. */
export function compilersAtOnce() {
    return process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism());
}

/** @returns what `program --version` prints, or undefined where there is no such program */
export function versionOf(program) {
    const { status, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
    return status === 0 ? stdout : undefined;
}

/**
 * Configures and builds. What the same call has built before is kept; after other options the folder starts empty, because
 * CMake does not notice that a compiler or a generator is another one.
 * @param options - CMake's variables; `flags` are passed on behind them, and override them
 * @param target - what to build; everything by default
 * @param what - for the error, e.g. "llama.cpp"
 */
export function buildWithCmake({ what, source, folder, generator, options, flags = [], target, env = {} }) {
    const configuration = [
        ...["-S", source, "-B", folder],
        ...(generator === undefined ? [] : ["-G", generator]),
        ...Object.entries(options).map(([name, value]) => `-D${name}=${value}`),
        ...flags,
    ];
    const record = path.join(folder, "eft-llama-configuration.json");
    const all = { ...process.env, ...env };
    const text = JSON.stringify([configuration, env, READ_ONCE.map((name) => all[name] ?? null)]);
    if (!existsSync(record) || readFileSync(record, "utf8") !== text) rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(record, text);

    const build = ["--build", folder, "--config", "Release", "--parallel", compilersAtOnce()];
    for (const parameters of [configuration, target === undefined ? build : [...build, "--target", target]]) {
        const { status } = spawnSync("cmake", parameters, { stdio: "inherit", env: all });
        if (status !== 0) throw new Error(`${what} could not be built; the reason stands above.`);
    }
}
