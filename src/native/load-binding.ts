/**
 * The only door to the `.node` file: find it, find the llama.cpp libraries that fit it, open both, and say exactly what
 * was tried when that fails.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { EftError } from "../errors.js";
import { nodeLlamaCppVersion, packageFile, packageRoot } from "../package.js";
import { addonFiles, addonPlatform, packagePlace, unpacked, type AddonFile } from "./addon-file.js";
import { tryAddon } from "./addon-trial.js";
import type { NativeBinding } from "./binding.js";

/** As from any file of this package, also where a bundler would give its own to this file. */
const require = createRequire(path.join(packageRoot, "package.json"));

/** A folder of llama.cpp libraries and what they were built for. */
export interface LibraryFolder {
    readonly directory: string;
    readonly origin: "built from source" | "prebuilt";
}

/** Whether this is a bundle (scripts/bundle.mjs), which brings the Node that runs it, and has neither npm nor a compiler. */
export const isBundle =
    process.execPath === path.join(packageRoot, "bin", process.platform === "win32" ? "node.exe" : "node");

/** What to do about a part that is missing or does not fit; `otherwise` is for where there is npm. */
const restore = (otherwise: string): string =>
    isBundle ? "Unpack the bundle again, or make one on a machine like this one." : otherwise;

/** An addon that has been loaded, with llama.cpp's libraries. */
export interface LoadedAddon extends AddonFile {
    readonly binding: NativeBinding;
}

let loaded: LoadedAddon | undefined;

/**
 * Loads the addon and llama.cpp's libraries; later calls return the same.
 *
 * @throws EftError ADDON_NOT_FOUND, ADDON_LOAD_FAILED, LLAMA_VERSION_MISMATCH
 */
export function loadBinding(): NativeBinding {
    return loadAddon().binding;
}

/**
 * As {@link loadBinding}, with the file that the addon was found in.
 *
 * @throws EftError as {@link loadBinding}
 */
export function loadAddon(): LoadedAddon {
    return (loaded ??= chooseAddon());
}

/** The first one that can be loaded. */
function chooseAddon(): LoadedAddon {
    const files = addonFiles();
    const found = files.filter(({ file }) => existsSync(file));
    if (found.length === 0) throw notFound(files);
    const library = findLibrary(findLibraryFolder().directory, "llama");
    const failures: EftError[] = [];
    for (const addon of found) {
        try {
            if (addon.origin === "prebuilt") requireTrial(addon.file, library);
            return { ...addon, binding: openAddon(addon.file) };
        } catch (error) {
            if (!EftError.isInstance(error) || isForbidden(error.cause)) throw error;
            failures.push(error);
        }
    }
    const [first] = failures as [EftError, ...EftError[]];
    if (failures.length === 1) throw first;
    // What is to be done is said once.
    const advice = compileAdvice();
    const messages = failures.map(({ message }) => message.replace(` ${advice}`, ""));
    throw new EftError(first.code, [...new Set(messages), advice].join(" "), { cause: first });
}

function compileAdvice(): string {
    return restore(`Compile it with \`${scriptCommand("build-native.mjs")}\` (needs CMake and a C++ compiler).`);
}

function notFound(files: readonly AddonFile[]): EftError {
    // What would build it comes with every whole package.
    if (!isBundle) packageFile("scripts/build-native.mjs");
    return new EftError(
        "ADDON_NOT_FOUND",
        `The native addon is not at ${files.map(({ file }) => file).join(" nor at ")}. ${compileAdvice()}`,
    );
}

/** @throws EftError ADDON_LOAD_FAILED where it ends the process, and whatever else it fails with there */
function requireTrial(file: string, library: string): void {
    const failure = tryAddon(file, library);
    if (failure === undefined) return;
    if ("code" in failure) throw new EftError(failure.code, failure.message);
    throw new EftError(
        "ADDON_LOAD_FAILED",
        `${file} cannot be loaded into Node ${process.version} on ${addonPlatform()}: a trial in a process of its own ` +
            `${failure.crash}. ${compileAdvice()}`,
    );
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

/** An addon of another version of this package may be in the place of its own, and lack some. */
const FUNCTIONS = [
    ...["setErrorClass", "openLibraries", "loadBackend", "stopWorkers", "devices", "timeTransfers", "physicalCores"],
    ...["typeSizes", "graphBytes", "setLog", "readHeader", "readTensors", "checkAdapter", "createEngine", "createGrammar"],
] as const;

/** @throws EftError ADDON_LOAD_FAILED */
function requireAddon(file: string): NativeBinding {
    const fail = (reason: string, cause?: unknown): never => {
        const advice = isForbidden(cause)
            ? "Start Node without --no-addons, and where its permissions are restricted, with --allow-addons."
            : compileAdvice();
        throw new EftError(
            "ADDON_LOAD_FAILED",
            `${file} cannot be loaded into Node ${process.version} on ${addonPlatform()}: ${reason.replace(/\.$/, "")}. ${advice}`,
            { cause },
        );
    };
    let addon: NativeBinding;
    try {
        addon = require(file) as NativeBinding;
    } catch (error) {
        return fail(String(error), error);
    }
    const lacking = FUNCTIONS.filter((name) => !(name in addon));
    if (lacking.length > 0) fail(`it is of another version of this package, without ${lacking.join(", ")}`);
    return addon;
}

/** Whether Node was told to load no addon at all. */
function isForbidden(cause: unknown): boolean {
    return cause instanceof Error && "code" in cause && cause.code === "ERR_DLOPEN_DISABLED";
}

/** Where the libraries of the CPU (and, on Apple silicon, Metal) come from. */
export function findLibraryFolder(): LibraryFolder {
    const own = packagePlace("build", "llama");
    if (existsSync(own)) return { directory: own, origin: "built from source" };
    if (addonPlatform().endsWith("-musl")) {
        throw new EftError(
            "ADDON_LOAD_FAILED",
            "There are no prebuilt libraries of llama.cpp for musl, as in Alpine Linux. " +
                restore(`Build them with \`${scriptCommand("build-native.mjs")} --from-source\`.`),
        );
    }
    const name = `@node-llama-cpp/${platformName()}${platformName() === "mac-arm64" ? "-metal" : ""}`;
    const directory = findPackageFolder(name, name.slice("@node-llama-cpp/".length));
    if (directory === undefined) {
        throw new EftError(
            "ADDON_LOAD_FAILED",
            `llama.cpp's libraries for this platform are not installed: the package ${name} was not found. ` +
                restore(
                    `Install it with \`npm install --save-exact ${name}@${nodeLlamaCppVersion}\`, or build llama.cpp ` +
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
    const builtAlone = packagePlace("build", "backends");
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
        const remedy =
            directory === packagePlace("build", "llama")
                ? "Delete this folder, or build llama.cpp again."
                : restore("A part of its package is missing: delete node_modules, and install everything again.");
        throw new EftError("ADDON_LOAD_FAILED", `There is no ${name} library in ${directory}. ${remedy}`);
    }
    return file;
}
