// Compiles the native addon; runs at `npm install`.
//
//     node scripts/build-native.mjs                                 compile what has changed since the last time
//     node scripts/build-native.mjs --tests                         and the addon that tests load, kept up to date from then on
//     node scripts/build-native.mjs --debug                         without optimisation
//     node scripts/build-native.mjs --from-source [-- cmake flags]  first build llama.cpp itself, to build/llama
//     node scripts/build-native.mjs --clean                         delete build/

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";
import { hashAddonSources } from "./addon-sources.mjs";
import { buildLlama } from "./build-llama.mjs";
import { compilersAtOnce } from "./cmake.mjs";
import { projectRoot } from "./llama-source.mjs";

const require = createRequire(import.meta.url);

const { values: flags, positionals: cmakeFlags } = readArguments();
// Not CMake's configuration, which would choose another folder too.
const buildType = flags.debug ? "Debug" : "Release";

/** An addon, and which files of native/test/ are its own. */
const shipped = { target: "eft_llama" };
const forTests = { target: "eft_rows", tests: /^native\/test\/addon\// };

const installHints = {
    linux: "Debian, Ubuntu: sudo apt-get install cmake g++ make\nFedora: sudo dnf install cmake gcc-c++ make",
    darwin: "macOS: xcode-select --install, and CMake from https://cmake.org/download or brew install cmake",
    win32:
        'Windows: Visual Studio Build Tools with the workload "Desktop development with C++" (it brings CMake), ' +
        "or CMake from https://cmake.org/download",
};

function fail(message) {
    console.error(`eft-llama: ${message}`);
    process.exit(1);
}

function readArguments() {
    const flag = { type: "boolean", default: false };
    try {
        return parseArgs({
            options: { debug: flag, tests: flag, "from-source": flag, clean: flag },
            allowPositionals: true,
        });
    } catch (error) {
        return fail(error.message);
    }
}

function requireCmake() {
    const found = spawnSync("cmake", ["--version"], { encoding: "utf8" });
    if (found.error) {
        fail(
            "compiling the native addon needs CMake 3.21 or newer and a C++17 compiler, and `cmake` was not found.\n" +
                `${installHints[process.platform] ?? "Install CMake and a C++ compiler."}\n` +
                "Then run the installation again.",
        );
    }
}

function fileOf({ target }) {
    return path.join(projectRoot, "build", "Release", `${target}.node`);
}

/** What the addon in a file was compiled from, and how. */
function currentStamp({ tests }) {
    return `${process.platform}-${process.arch} ${buildType} ${hashAddonSources(tests)}\n`;
}

/** A cache made in another folder, as in a copied or renamed checkout, makes CMake refuse to configure. */
function dropForeignCache() {
    const build = path.join(projectRoot, "build");
    const cache = path.join(build, "CMakeCache.txt");
    if (!existsSync(cache)) return;
    const home = readFileSync(cache, "utf8").match(/^CMAKE_CACHEFILE_DIR:INTERNAL=(.*)$/m)?.[1];
    if (home !== undefined && path.resolve(home) === build) return;
    rmSync(cache);
    rmSync(path.join(build, "CMakeFiles"), { recursive: true, force: true });
}

function cmakeJs(command, more = []) {
    const program = path.join(path.dirname(require.resolve("cmake-js/package.json")), "bin", "cmake-js");
    const parameters = [program, command, "--config", "Release", `--CDCMAKE_BUILD_TYPE=${buildType}`, ...more];
    const result = spawnSync(process.execPath, parameters, { cwd: projectRoot, encoding: "utf8", maxBuffer: 2 ** 26 });
    const output = result.stdout + result.stderr;
    if (result.status !== 0 || output.includes("warning:")) console.error(output);
    if (result.status === 0) return;
    const noCompiler =
        /No CMAKE_C(XX)?_COMPILER could be found|toolset is not available|CMAKE_MAKE_PROGRAM is not set|find Visual Studio/i;
    if (noCompiler.test(output)) {
        fail(
            `CMake found no C++ compiler or build tool.\n${installHints[process.platform] ?? "Install a C++17 compiler."}`,
        );
    }
    fail(`the native addon could not be compiled (\`cmake-js ${command}\`); the reason stands above.`);
}

if (flags.clean) {
    rmSync(path.join(projectRoot, "build"), { recursive: true, force: true });
} else {
    process.env.CMAKE_BUILD_PARALLEL_LEVEL = compilersAtOnce();
    if (cmakeFlags.length > 0 && !flags["from-source"])
        fail("flags after `--` go to llama.cpp and need --from-source.");
    if (flags["from-source"]) {
        requireCmake();
        await buildLlama(cmakeFlags).catch((error) => fail(error.message));
    }
    build(shipped);
    if (flags.tests || existsSync(fileOf(forTests))) build(forTests);
}

function build(addon) {
    const file = fileOf(addon);
    const name = path.relative(projectRoot, file);
    const stampFile = `${file}.stamp`;
    const stamp = currentStamp(addon);
    if (existsSync(file) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) {
        console.log(`eft-llama: ${name} is up to date.`);
        return;
    }
    requireCmake();
    dropForeignCache();
    rmSync(stampFile, { force: true });
    const start = Date.now();
    cmakeJs("configure");
    cmakeJs("build", ["--target", addon.target]);
    writeFileSync(stampFile, stamp);
    console.log(`eft-llama: compiled ${name} in ${((Date.now() - start) / 1000).toFixed(0)} s.`);
}
