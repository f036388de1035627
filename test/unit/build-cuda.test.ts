/** What scripts/build-cuda.mjs needs and finds. Building takes NVIDIA's compiler, so that ends before it. */

import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { repository } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder: temporary, remove } = temporaryFolder();
const folder = realpathSync(temporary);
afterAll(remove);

/** Runs Node; `code` is that of its exit. */
async function runNode(parameters: readonly string[], env: Record<string, string> = {}) {
    const options = { cwd: repository, env: { ...process.env, CUDA_HOME: "", CUDA_PATH: "", ...env } };
    const run = promisify(execFile)(process.execPath, [...parameters], options);
    return run.then(
        ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
        ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
    );
}

/** The result of a function of scripts/, or the message of what it throws. */
async function call(script: string, expression: string, env?: Record<string, string>): Promise<unknown> {
    const text =
        `const script = await import("./scripts/${script}.mjs"); let result;` +
        `try { result = await script.${expression}; } catch ({ message }) { result = message; }` +
        `console.log(JSON.stringify(result) ?? "null");`;
    const { stdout, stderr } = await runNode(["--input-type=module", "-e", text], env);
    expect(stderr).toBe("");
    return JSON.parse(stdout);
}

describe("the source of the CUDA backend", () => {
    const source = path.join(folder, "source");
    let files: string[] = [];
    beforeAll(async () => {
        await call("cuda-source", `extractCudaSource(${JSON.stringify(source)})`);
        const entries = readdirSync(source, { recursive: true, withFileTypes: true });
        files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
    });

    it("is small, and says of which release it is", async () => {
        const release = await call("llama-source", "llamaRelease()");
        expect(readFileSync(path.join(source, "release.txt"), "utf8")).toBe(`${String(release)}\n`);
        expect(files).toContain(path.join(source, "LICENSE"));
        const size = files.reduce((sum, file) => sum + readFileSync(file).length, 0);
        expect(size).toBeLessThan(6e6);
    });

    it("holds every file that one of its files includes", () => {
        const places = [path.join(source, "ggml", "src"), path.join(source, "ggml", "include")];
        // CMake makes the one; the other is only for GPUs of another make.
        const elsewhere = ["ggml-version.h", "ggml-musa/mudnn.cuh"];
        const unresolved = files
            .filter((file) => /\.(c|cpp|h|cu|cuh)$/.test(file))
            .flatMap((file) =>
                [...readFileSync(file, "utf8").matchAll(/^[ \t]*#[ \t]*include[ \t]+"([^"]+)"/gm)]
                    .map(([, name = ""]) => name)
                    .filter(
                        (name) => ![path.dirname(file), ...places].some((place) => existsSync(path.join(place, name))),
                    )
                    .map((name) => `${path.relative(source, file)}: ${name}`),
            )
            .filter((line) => !elsewhere.some((name) => line.endsWith(`: ${name}`)));
        expect(files.filter((file) => file.endsWith(".cu")).length).toBeGreaterThan(100);
        expect(unresolved).toEqual([]);
    });

    it("can be configured as far as that goes without CUDA", async () => {
        const options = ["-DGGML_CPU=OFF", "-DGGML_OPENMP=OFF", "-DGGML_BACKEND_DL=ON", "-DBUILD_SHARED_LIBS=ON"];
        const build = path.join(folder, "build");
        const { stdout } = await promisify(execFile)("cmake", ["-S", source, "-B", build, ...options]);
        expect(stdout).toContain("Generating done");
    });
});

describe("the architecture", () => {
    it.each([
        ["90", ["90"]],
        ["9.0", ["90"]],
        ["sm_90a", ["90a"]],
        ["8.6,9.0,86", ["86", "90"]],
        ["12.0", ["120"]],
    ])("%s is %p", async (wanted, expected) => {
        expect(await call("cuda-toolkit", `findArchitectures("${wanted}")`)).toEqual(expected);
    });

    it.each(["H100", "9", "", "90,"])("%p is refused", async (wanted) => {
        expect(await call("cuda-toolkit", `findArchitectures("${wanted}")`)).toContain(
            "is no architecture of NVIDIA GPUs",
        );
    });

    it("is to be named where no GPU is found", async () => {
        expect(await call("cuda-toolkit", 'findArchitectures("native")', { PATH: folder })).toMatch(
            /^no NVIDIA GPU was found here \(there is no nvidia-smi\)\. Name the architecture/,
        );
    });
});

describe("the toolkit", () => {
    const places = [...(process.env.PATH ?? "").split(path.delimiter), "/usr/local/cuda/bin", "/opt/cuda/bin"];
    const isThere = places.some((place) => existsSync(path.join(place, "nvcc")));

    /** As nvcc answers, with files that are empty. */
    function makeToolkit(name: string, files: readonly string[]): string {
        const root = path.join(folder, name);
        const compiler = path.join(root, "bin", "nvcc");
        for (const file of ["bin/nvcc", ...files].map((file) => path.join(root, file))) {
            mkdirSync(path.dirname(file), { recursive: true });
            writeFileSync(file, "");
        }
        const answer = `echo "Cuda compilation tools, release 99.1, V99.1.2"; echo "#$ TOP=${root}/bin/.." >&2`;
        writeFileSync(compiler, `#!/bin/sh\n${answer}\n`);
        chmodSync(compiler, 0o755);
        return root;
    }

    it("is found in NVIDIA's own layout and in that of packages for Python", async () => {
        const headers = ["include/cuda_runtime.h", "include/cublas_v2.h"];
        const names = ["cudart", "cublas", "cublasLt"];
        for (const [layout, library, driver] of [
            ["toolkit", (name: string) => `lib64/lib${name}.so`, "lib64/stubs/libcuda.so"],
            ["wheels", (name: string) => `lib/lib${name}.so.99`, undefined],
        ] as const) {
            const stubs = driver === undefined ? [] : [driver];
            const root = makeToolkit(layout, [...headers, ...names.map(library), ...stubs]);
            expect(await call("cuda-toolkit", "findCudaToolkit()", { CUDA_HOME: root })).toEqual({
                compiler: path.join(root, "bin", "nvcc"),
                root,
                version: "99.1.2",
                libraries: Object.fromEntries(names.map((name) => [name, path.join(root, library(name))])),
                ...(driver === undefined ? {} : { driver: path.join(root, driver) }),
                includeFolders: [path.join(root, "include")],
                libraryFolders: [path.dirname(path.join(root, library("cudart")))],
            });
        }
    });

    it("may lack what cuBLAS needs, which is named", async () => {
        const root = makeToolkit("incomplete", ["include/cuda_runtime.h", "include/cublas_v2.h", "lib64/libcudart.so"]);
        expect(await call("cuda-toolkit", "findCudaToolkit()", { CUDA_HOME: root })).toMatch(
            /nvcc is CUDA 99\.1\.2, but of its toolkit libcublas\.so, libcublasLt\.so were not found\. Install/,
        );
    });

    (isThere ? it.skip : it)("is asked for by the script where it is missing, which then ends with 1", async () => {
        const { code, stdout, stderr } = await runNode(["scripts/build-cuda.mjs"]);
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
        expect(stderr).toMatch(/^eft-llama: nvcc, .* was not found .*Install the toolkit .*CUDA_HOME\.\n$/);
    });

    it("is not asked for by a flag that there is not", async () => {
        const { code, stderr } = await runNode(["scripts/build-cuda.mjs", "--arch", "90"]);
        expect(code).toBe(1);
        expect(stderr).toMatch(/^eft-llama: Unknown option '--arch'/);
    });
});
