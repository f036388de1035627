/**
 * Which library of a GPU backend is taken, and what is said of those that cannot be: a package in a folder of its own, with
 * the real addon and CPU libraries, and small libraries where those of CUDA would be.
 */

import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { findLibraryFolder, loadAddon, loadBinding } from "../../src/native/load-binding.js";
import { packageRoot } from "../../src/package.js";
import { temporaryFolder } from "../helpers/temporary.js";

/** Where the libraries are, from the one that is preferred to the last. */
const PLACES = [
    "build/llama",
    "build/backends",
    "node_modules/@node-llama-cpp/linux-x64-cuda/bins/linux-x64-cuda",
    "node_modules/@node-llama-cpp/linux-x64-cuda-ext/bins/linux-x64-cuda/fallback",
] as const;
type Place = (typeof PLACES)[number];

interface Outcome {
    readonly found: readonly string[];
    readonly error?: { readonly code: string; readonly message: string };
    readonly backend?: string;
    readonly reason?: string;
}

/** In this package. */
const ADDON = path.relative(packageRoot, loadAddon().file);

let root = "";
let remove = (): void => {};

const libraryAt = (place: Place): string => path.join(root, place, "libggml-cuda.so");

function writePackage(name: string, main: string): void {
    const folder = path.join(root, "node_modules", name);
    mkdirSync(path.join(folder, path.dirname(main)), { recursive: true });
    writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, version: "0.0.0", main }));
    writeFileSync(path.join(folder, main), "");
}

/** A C compiler makes the library, which says when it is opened. */
function compile(file: string, source = "", flags: readonly string[] = []): void {
    mkdirSync(path.dirname(file), { recursive: true });
    const opened = `#include <stdio.h>\n__attribute__((constructor)) static void o(void) { fputs("opened\\n", stderr); }\n`;
    execFileSync("cc", ["-shared", "-fPIC", "-o", file, "-x", "c", "-", "-x", "none", ...flags], {
        input: opened + source,
    });
}

/** In the folder of the package, unless another one is named. */
async function run(
    what: "find" | "choose",
    { cwd = root, node = process.execPath, backend = "cuda" } = {},
): Promise<Outcome & { stderr: string }> {
    const program = path.join(root, "backend-libraries.mjs");
    const { stdout, stderr } = await promisify(execFile)(node, [program, what, backend], { cwd });
    return { ...(JSON.parse(stdout) as Outcome), stderr };
}

const isLinuxX64 = process.platform === "linux" && process.arch === "x64";

(isLinuxX64 ? describe : describe.skip)("the libraries of a backend", () => {
    beforeEach(() => {
        const temporary = temporaryFolder();
        root = realpathSync(temporary.folder);
        remove = temporary.remove;
        cpSync(path.join(packageRoot, "dist"), path.join(root, "dist"), { recursive: true });
        for (const file of ["package.json", "test/engine/programs/backend-libraries.mjs"]) {
            cpSync(path.join(packageRoot, file), path.join(root, path.basename(file)));
        }
        mkdirSync(path.join(root, path.dirname(ADDON)), { recursive: true });
        symlinkSync(path.join(packageRoot, ADDON), path.join(root, ADDON));
        writePackage("node-llama-cpp", "index.js");
        // What options are checked with.
        const options = path.join("node_modules", "fastest-levenshtein");
        symlinkSync(path.join(packageRoot, options), path.join(root, options));
        writePackage("@node-llama-cpp/linux-x64", "dist/index.js");
        const bins = path.join(root, "node_modules", "@node-llama-cpp", "linux-x64", "bins");
        mkdirSync(bins);
        symlinkSync(findLibraryFolder().directory, path.join(bins, "linux-x64"));
        writePackage("@node-llama-cpp/linux-x64-cuda", "dist/index.js");
        writePackage("@node-llama-cpp/linux-x64-cuda-ext", "dist/index.js");
    });
    afterEach(() => {
        remove();
    });

    it("come in one order, whichever are there", async () => {
        for (const place of PLACES) compile(libraryAt(place));
        for (let missing = 0; missing <= PLACES.length; missing++) {
            expect((await run("find")).found).toEqual(PLACES.slice(missing).map(libraryAt));
            const place = PLACES[missing];
            if (place !== undefined) rmSync(path.join(root, place), { recursive: true });
        }
    });

    it("may all be missing, and then both remedies are named and the CPU is taken", async () => {
        const { found, error, backend, reason } = await run("choose");
        expect(found).toEqual([]);
        expect(error?.code).toBe("BACKEND_UNAVAILABLE");
        expect(reason).toMatch(
            /linux-x64-cuda@[\d.]+ is not installed.*`npm install --save-exact @node.*`node scripts\/build-cuda.mjs`$/,
        );
        expect(error?.message).toBe(`The backend cuda cannot be used: ${reason}. Use --backend cpu or auto.`);
        expect(backend).not.toBe("cuda");
    });

    it("are built by commands that work from where they are printed, and with the Node that a bundle brings", async () => {
        const script = path.join("scripts", "build-cuda.mjs");
        for (const file of [script, "bin/node"]) mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
        // Says what it has been run with.
        writeFileSync(path.join(root, script), "console.log(process.execPath);");
        const own = path.join(root, "bin", "node");
        cpSync(process.execPath, own);
        const spaced = path.join(root, "a b", "c");
        mkdirSync(spaced, { recursive: true });
        for (const cwd of [root, path.join(root, "bin"), path.join(root, "scripts"), spaced, path.dirname(root)]) {
            for (const node of [own, process.execPath]) {
                const { reason = "" } = await run("choose", { cwd, node });
                const command = /build the backend with `(.*)`$/.exec(reason)?.[1] ?? "";
                const env = { PATH: node === own ? "" : path.dirname(process.execPath) };
                const said = execFileSync("/bin/sh", ["-c", command], { cwd, env, encoding: "utf8" });
                expect([cwd, command, said.trim()]).toEqual([cwd, command, node]);
            }
        }
    });

    it("and their packages that are missing from a bundle are not to be installed by npm, which it has not", async () => {
        mkdirSync(path.join(root, "bin"), { recursive: true });
        const node = path.join(root, "bin", "node");
        cpSync(process.execPath, node);
        const reasons = await Promise.all(
            ["cuda", "vulkan"].map(async (backend) => (await run("choose", { node, backend })).reason),
        );
        expect(reasons).toEqual([
            expect.stringMatching(/^no library of it has been built\. To have one, build .*build-cuda\.mjs`$/),
            "the bundle has no library of it. Make one where its package is installed",
        ]);
        for (const [part, said] of [
            [ADDON, "The native addon is not"],
            ["node_modules/@node-llama-cpp/linux-x64", "are not installed"],
        ] as const) {
            rmSync(path.join(root, part), { recursive: true });
            const message = new RegExp(`${said}.* Unpack the bundle again, or make one on a machine like this one\\.`);
            await expect(run("choose", { node })).rejects.toMatchObject({ stderr: expect.stringMatching(message) });
        }
    });

    it.each([
        ["of another release", JSON.stringify({ release: "v0.0.1" }), "llama.cpp v0.0.1"],
        ["with a damaged record", '{ "release": ', "an unknown release of llama.cpp"],
        ["without a record", undefined, "an unknown release of llama.cpp"],
    ])("built alone are not opened when they are %s", async (_, record, name) => {
        compile(libraryAt("build/backends"));
        if (record !== undefined) writeFileSync(path.join(root, "build/backends/libggml-cuda.json"), record);
        const { reason, stderr } = await run("choose");
        const { llamaRelease } = loadBinding();
        expect(reason).toBe(
            `${libraryAt("build/backends")} was built for ${name}, and the other libraries are those of ${llamaRelease}. ` +
                "Build it again with `node scripts/build-cuda.mjs`, or delete it",
        );
        expect(stderr).not.toContain("opened");
    });

    it("that cannot be opened are explained one by one, and the next is tried", async () => {
        // Linked with libraries that are gone by the time they are needed.
        const gone = (name: string): string => {
            const file = path.join(root, name);
            compile(file, "", [`-Wl,-soname,${name}`]);
            return file;
        };
        const needs = (place: Place, name: string): void => {
            const file = gone(name);
            compile(libraryAt(place), "", ["-Wl,--no-as-needed", file]);
            rmSync(file);
        };
        needs("build/backends", "libcudart.so.99");
        writeFileSync(
            path.join(root, "build/backends/libggml-cuda.json"),
            JSON.stringify({ release: loadBinding().llamaRelease }),
        );
        needs(PLACES[2], "libcuda.so.99");
        compile(libraryAt(PLACES[3]), "int ggml_of_tomorrow(void); int (*call)(void) = ggml_of_tomorrow;");
        const { reason, backend, stderr } = await run("choose");
        expect(reason?.split("; ")).toEqual([
            `${libraryAt("build/backends")} needs libcudart.so.99, which was not found`,
            `${libraryAt(PLACES[2])} needs libcuda.so.99, which was not found`,
            expect.stringMatching(
                /^.* does not fit the other libraries of llama.cpp: .* undefined symbol: ggml_of_tomorrow\. /,
            ),
        ]);
        expect(reason).toMatch(/\. Install cudart and cuBLAS of CUDA 99, or name their folder in LD_LIBRARY_PATH$/);
        expect(backend).not.toBe("cuda");
        expect(stderr).not.toContain("opened");
    });

    it("of another interface are refused by ggml, with its words", async () => {
        compile(
            libraryAt(PLACES[2]),
            "static struct { int version; void * rest[9]; } reg = { 1 }; void * ggml_backend_init(void) { return &reg; }",
        );
        const { reason, stderr } = await run("choose");
        expect(reason).toContain("incompatible API version (backend: 1");
        expect(stderr).toContain("opened");
    });
});
