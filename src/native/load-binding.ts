/**
 * The only door to the `.node` file: find it, find the llama.cpp libraries that fit it, open both, and say exactly what
 * was tried when that fails.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { EftError } from "../errors.js";
import { nodeLlamaCppVersion, packageFile, packageRoot } from "../package.js";
import type { NativeBinding } from "./binding.js";

/** As from any file of this package, also where a bundler would give its own to this file. */
const require = createRequire(path.join(packageRoot, "package.json"));
/** What has been built on this machine. */
const built = (...names: string[]): string => unpacked(path.join(packageRoot, "build", ...names));

/** A folder of llama.cpp libraries and what they were built for. */
export interface LibraryFolder {
    readonly directory: string;
    readonly origin: "built from source" | "prebuilt";
}

/** Whether this is a bundle (scripts/bundle.mjs), which brings the Node that runs it, and has neither npm nor a compiler. */
export const isBundle = process.execPath === path.join(packageRoot, "bin", "node");

/** What to do about a part that is missing or does not fit; `otherwise` is for where there is npm. */
const restore = (otherwise: string): string =>
    isBundle ? "Unpack the bundle again, or make one on a machine like this one." : otherwise;

let binding: NativeBinding | undefined;

/**
 * Loads the addon and llama.cpp's libraries; later calls return the same.
 *
 * @throws EftError ADDON_NOT_FOUND, ADDON_LOAD_FAILED, LLAMA_VERSION_MISMATCH
 */
export function loadBinding(): NativeBinding {
    return (binding ??= openAddon(built("Release", "eft_llama.node")));
}

/**
 * Loads the addon in a file and llama.cpp's libraries for it. Once for each file.
 *
 * @throws EftError as {@link loadBinding}
 */
export function openAddon(file: string): NativeBinding {
    const addon = requireAddon(file);
    const { directory } = findLibraryFolder();
    const library = (name: string): string => findLibrary(directory, name);
    addon.setErrorClass(EftError);
    addon.openLibraries({
        base: library("ggml-base"),
        ggml: library("ggml"),
        llama: library("llama"),
        backends: directory,
    });
    // process.exit() runs the destructors of llama.cpp's libraries, and no thread may be inside them then.
    process.once("exit", () => addon.stopWorkers());
    return addon;
}

function requireAddon(file: string): NativeBinding {
    if (!existsSync(file)) {
        // What would build it comes with every whole package.
        if (!isBundle) packageFile("scripts/build-native.mjs");
        throw new EftError(
            "ADDON_NOT_FOUND",
            `The native addon is not at ${file}. ` +
                restore(
                    `Build it with \`npm run build:native\` in ${packageRoot} (needs CMake and a C++ compiler).`,
                ),
        );
    }
    try {
        return require(file) as NativeBinding;
    } catch (error) {
        throw new EftError(
            "ADDON_LOAD_FAILED",
            `${file} cannot be loaded into Node ${process.version} on ${process.platform}-${process.arch}:` +
                ` ${String(error)}. ${restore("Rebuild it with `npm run build:native`.")}`,
            { cause: error },
        );
    }
}

/** Where the libraries of the CPU (and, on Apple silicon, Metal) come from. */
export function findLibraryFolder(): LibraryFolder {
    const own = built("llama");
    if (existsSync(own)) return { directory: own, origin: "built from source" };
    const name = `@node-llama-cpp/${platformName()}${platformName() === "mac-arm64" ? "-metal" : ""}`;
    const directory = findPackageFolder(name, name.slice("@node-llama-cpp/".length));
    if (directory === undefined) {
        throw new EftError(
            "ADDON_LOAD_FAILED",
            `llama.cpp's libraries for this platform are not installed: the package ${name} was not found. ` +
                restore(
                    // Without --omit=optional, npm would add half a gigabyte for CUDA.
                    `Install it with \`npm install --omit=optional ${name}@${nodeLlamaCppVersion}\`, or build llama.cpp ` +
                        `with \`${scriptCommand("build-native.mjs")} --from-source\`.`,
                ),
        );
    }
    return { directory, origin: "prebuilt" };
}

/** How a script of this package is run from the current folder; by the Node that the package brings, where it brings one. */
export function scriptCommand(script: string): string {
    const shown = (file: string): string => {
        const relative = path.relative(".", file);
        // A shell would look for a bare name elsewhere, and see two words where there is a space.
        const found = relative.includes(path.sep) ? relative : `.${path.sep}${relative}`;
        return /\s/.test(found) ? `"${found}"` : found;
    };
    const node = isBundle ? shown(process.execPath) : "node";
    return `${node} ${shown(path.join(packageRoot, "scripts", script))}`;
}

/** A library of an optional GPU backend. */
export interface BackendLibrary {
    readonly file: string;
    /** What is known of the llama.cpp release that it belongs to: that of node-llama-cpp, or what its build has noted. */
    readonly release: "as pinned" | { readonly noted: string | undefined };
}

/**
 * The installed libraries of a GPU backend, in the order in which they are to be tried: of llama.cpp built from source, the
 * backend built alone (scripts/build-cuda.mjs), node-llama-cpp's package, and its second one for systems with an older
 * version of CUDA.
 *
 * @param backend - `vulkan` or `cuda`
 */
export function findBackendLibraries(backend: string): BackendLibrary[] {
    const name = `${platformName()}-${backend}`;
    const builtAlone = built("backends");
    const folders = [
        findLibraryFolder().directory,
        builtAlone,
        findPackageFolder(`@node-llama-cpp/${name}`, name),
        findPackageFolder(`@node-llama-cpp/${name}-ext`, name, "fallback"),
    ];
    return folders.flatMap((folder) => {
        const file = folder === undefined ? undefined : matchLibrary(folder, `ggml-${backend}`);
        if (file === undefined) return [];
        return [{ file, release: folder === builtAlone ? { noted: readBuildRecord(file) } : "as pinned" }];
    });
}

/** The release that scripts/build-cuda.mjs notes beside a library. */
function readBuildRecord(library: string): string | undefined {
    const file = library.slice(0, -path.extname(library).length) + ".json";
    try {
        const { release } = JSON.parse(readFileSync(file, "utf8")) as { release?: unknown };
        return typeof release === "string" ? release : undefined;
    } catch {
        return undefined;
    }
}

/** Name of the npm package that carries a GPU backend for this platform. */
export function backendPackageName(backend: string): string {
    return `@node-llama-cpp/${platformName()}-${backend}@${nodeLlamaCppVersion}`;
}

function platformName(): string {
    const system = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as string] ?? process.platform;
    return `${system}-${process.arch === "arm" ? "armv7l" : process.arch}`;
}

/** A folder below `bins` of one of node-llama-cpp's packages, if that is installed. */
function findPackageFolder(name: string, ...folder: string[]): string | undefined {
    try {
        const entry = require.resolve(name);
        const directory = unpacked(path.join(path.dirname(entry), "..", "bins", ...folder));
        return existsSync(directory) ? directory : undefined;
    } catch {
        return undefined;
    }
}

/** File names carry backend and version, e.g. `libllama.vulkan.v0.5.0.so`; `libllama-common.so` is another library. */
function matchLibrary(directory: string, name: string): string | undefined {
    if (!existsSync(directory)) return undefined;
    const pattern = new RegExp(`^(lib)?${name}(\\.[\\w.]+)?\\.(so|dylib|dll)$`);
    const file = readdirSync(directory).find((entry) => pattern.test(entry));
    return file === undefined ? undefined : path.join(directory, file);
}

function findLibrary(directory: string, name: string): string {
    const file = matchLibrary(directory, name);
    if (file === undefined) {
        throw new EftError("ADDON_LOAD_FAILED", `There is no ${name} library in ${directory}; reinstall the package.`);
    }
    return file;
}

/** Electron can read files inside app.asar, but the operating system's loader cannot. */
function unpacked(file: string): string {
    return file.replace(/\bapp\.asar(?=[\\/])/, "app.asar.unpacked");
}
