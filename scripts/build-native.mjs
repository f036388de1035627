// Compiles the native addon.
//
//     node scripts/build-native.mjs                                 compile what has changed since the last time
//     node scripts/build-native.mjs --if-needed                     only where no prebuilt addon fits, as at `npm install`
//     node scripts/build-native.mjs --tests                         and the addon that tests load, kept up to date from then on
//     node scripts/build-native.mjs --debug                         without optimisation
//     node scripts/build-native.mjs --from-source [-- cmake flags]  llama.cpp itself, to build/llama, and the addon if needed
//     node scripts/build-native.mjs --clean                         delete build/

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { hashAddonSources } from "./addon-sources.mjs";
import { buildLlama } from "./build-llama.mjs";
import { buildPackage } from "./build-packages.mjs";
import { compilersAtOnce } from "./cmake.mjs";
import { projectRoot } from "./llama-source.mjs";

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

/** There is no CMake or no compiler, so that nothing can be compiled. */
function lackTools(message) {
    const hint = installHints[process.platform] ?? "Install CMake and a C++17 compiler.";
    return Object.assign(new Error(`${message}\n${hint}`), { lacksTools: true });
}

function readArguments() {
    const flag = { type: "boolean", default: false };
    try {
        return parseArgs({
            options: { "if-needed": flag, debug: flag, tests: flag, "from-source": flag, clean: flag },
            allowPositionals: true,
        });
    } catch (error) {
        return fail(error.message);
    }
}

function requireCmake() {
    if (spawnSync("cmake", ["--version"]).error) {
        throw lackTools(
            "compiling the native addon needs CMake 3.21 or newer and a C++17 compiler, and `cmake` was not found.",
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
    const program = path.join(buildPackage("cmake-js"), "bin", "cmake-js");
    // cmake-js looks for it from this package alone.
    const headers = `--CDEFT_NODE_ADDON_API=${buildPackage("node-addon-api").replaceAll(path.sep, "/")}`;
    const parameters = [program, command, "--config", "Release", `--CDCMAKE_BUILD_TYPE=${buildType}`, headers, ...more];
    const result = spawnSync(process.execPath, parameters, { cwd: projectRoot, encoding: "utf8", maxBuffer: 2 ** 26 });
    const output = result.stdout + result.stderr;
    const noCompiler =
        /No CMAKE_C(XX)?_COMPILER could be found|toolset is not available|CMAKE_MAKE_PROGRAM is not set|find Visual Studio/i;
    if (result.status !== 0 && noCompiler.test(output)) throw lackTools("CMake found no C++ compiler or build tool.");
    if (result.status !== 0 || output.includes("warning:")) console.error(output);
    if (result.status === 0) return;
    throw new Error(`the native addon could not be compiled (\`cmake-js ${command}\`); the reason stands above.`);
}

/** As prebuilt addons are named; the loader says it in its own way (src/native/addon-file.ts). */
function platformName() {
    const musl = process.platform === "linux" && process.report.getReport().header.glibcVersionRuntime === undefined;
    return `${process.platform}-${process.arch}${musl ? "-musl" : ""}`;
}

/** What was installed came without tests. It has not been changed, and may have no headers, or others, to compare. */
const isClone = existsSync(path.join(projectRoot, "native", "test"));

/** Whether there is a prebuilt addon of these sources that this Node can load. */
function hasPrebuilt() {
    const folder = path.join(projectRoot, "prebuilds");
    const name = `${platformName()}.node`;
    const file = path.join(folder, name);
    const manifest = path.join(folder, "manifest.json");
    if (!existsSync(file) || !existsSync(manifest)) return false;
    const { sources } = JSON.parse(readFileSync(manifest, "utf8"));
    if (isClone && sources !== hashAddonSources()) return false;
    const { status, signal, stderr } = spawnSync(process.execPath, ["-e", "require(process.argv[1])", file], {
        env: { ...process.env, NODE_OPTIONS: "" },
        encoding: "utf8",
    });
    if (status === 0) return true;
    const reason = /^Error: (.*)$/m.exec(stderr)?.[1] ?? `Node ended with ${signal ?? status}`;
    console.log(`eft-llama: prebuilds/${name} cannot be used here (${reason}); an addon is compiled.`);
    return false;
}

/** With the prebuilt addon an older one is not needed, and would be preferred. */
function usePrebuilt() {
    const file = fileOf(shipped);
    const stampFile = `${file}.stamp`;
    const isCurrent = () => !isClone || readFileSync(stampFile, "utf8").endsWith(` ${hashAddonSources()}\n`);
    if (existsSync(stampFile) && isCurrent()) return;
    for (const stale of [file, stampFile]) rmSync(stale, { force: true });
}

/** What tests load is left out where it cannot be compiled and need not be. */
function buildForTests() {
    try {
        build(forTests);
    } catch (error) {
        if (!flags["if-needed"] || !error.lacksTools) throw error;
        rmSync(fileOf(forTests), { force: true });
        console.log(
            `eft-llama: ${error.message.split("\n")[0]} Tests of arithmetic on rows, which load an addon of their own, are left out.`,
        );
    }
}

async function main() {
    if (flags.clean) {
        rmSync(path.join(projectRoot, "build"), { recursive: true, force: true });
        return;
    }
    process.env.CMAKE_BUILD_PARALLEL_LEVEL = compilersAtOnce();
    if (cmakeFlags.length > 0 && !flags["from-source"])
        throw new Error("flags after `--` go to llama.cpp and need --from-source.");
    if (flags["from-source"]) {
        requireCmake();
        await buildLlama(cmakeFlags);
    }
    const onPurpose = flags.debug || !(flags["if-needed"] || flags["from-source"]);
    if (!onPurpose && hasPrebuilt()) usePrebuilt();
    else build(shipped);
    if (flags.tests || existsSync(fileOf(forTests))) buildForTests();
}

function build(addon) {
    const file = fileOf(addon);
    // What is asked for first is what no package brings.
    if (!existsSync(file)) requireCmake();
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

main().catch((error) => fail(error.message));
