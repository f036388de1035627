/**
 * That libraries of llama.cpp whose structures are laid out in another way than in the headers are refused: the check, compiled with
 * the headers and with changed ones, looks at the real libraries.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { findLibraryFolder } from "../../src/native/load-binding.js";
import { repository } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

const native = path.join(repository, "native");
const headers = path.join(native, "vendor", "llama.cpp");

function compileAndCheck(include: string): string {
    const program = path.join(include, "check-layout");
    const sources = ["test/programs/check-layout.cpp", "llama/layout.cpp"].map((file) => path.join(native, file));
    execFileSync("c++", ["-std=c++17", `-I${native}`, `-I${include}`, ...sources, "-o", program, "-ldl"]);
    const { directory } = findLibraryFolder();
    const libraries = ["ggml-base", "ggml", "llama"].map((name) => {
        const pattern = new RegExp(`^lib${name}(\\.[\\w.]+)?\\.so$`);
        return path.join(directory, readdirSync(directory).find((file) => pattern.test(file)) ?? "");
    });
    return execFileSync(program, libraries, { encoding: "utf8" });
}

/** What is refused, of headers in which a line of a file is another one. */
function checkChanged(file: string, line: RegExp, change: (found: string) => string): string {
    const include = path.join(folder, String(readdirSync(folder).length));
    mkdirSync(include);
    cpSync(headers, include, { recursive: true });
    const place = path.join(include, file);
    const text = readFileSync(place, "utf8");
    expect(text).toMatch(line);
    writeFileSync(place, text.replace(line, change));
    return compileAndCheck(include);
}

const hasCompiler = process.platform === "linux" && spawnSync("c++", ["--version"]).status === 0;

(hasCompiler ? describe : describe.skip)("libraries of the same version", () => {
    test("are what they should be", () => {
        expect(checkChanged("llama.h", /^/, () => "")).toBe("");
    });

    test.each<[string, string, RegExp, (found: string) => string, string]>([
        [
            "a field more",
            "llama.h",
            /^.*uint32_t n_batch;/m,
            (found) => `uint32_t more; ${found}`,
            "llama_context_params has 160 bytes instead of 168",
        ],
        [
            "a flag more",
            "llama.h",
            /^.*bool no_perf;/m,
            (found) => `bool more; ${found}`,
            "llama_context_params has something else where swa_full is expected",
        ],
        [
            "a field more at the end",
            "llama.h",
            /^.*struct llama_context \* ctx_other;/m,
            (found) => `${found} void * more;`,
            "llama_context_params has 160 bytes instead of 168",
        ],
        [
            "a field less",
            "llama.h",
            /^.*const float \* tensor_split;/m,
            () => "#define tensor_split kv_overrides",
            "llama_model_params has 80 bytes instead of 72",
        ],
        [
            "two fields the other way round",
            "llama.h",
            /^ *int32_t n_gpu_layers;.*\n(.*split_mode;).*$/m,
            (found) => found.split("\n").reverse().join("\n"),
            "llama_model_params has something else where n_gpu_layers is expected",
        ],
        [
            "a field more in what a step is given",
            "llama.h",
            /^.*llama_pos *\* *pos;/m,
            (found) => `void * more; ${found}`,
            "llama_batch has 56 bytes instead of 64",
        ],
        [
            "shorter fields",
            "ggml.h",
            /^#define GGML_MAX_N_THREADS .*$/m,
            () => "#define GGML_MAX_N_THREADS 256",
            "ggml_threadpool_params has 528 bytes instead of 272",
        ],
    ])("are refused for headers with %s", (_, file, line, change, difference) => {
        expect(checkChanged(file, line, change)).toMatch(
            new RegExp(
                `^LLAMA_VERSION_MISMATCH: libllama is llama\\.cpp .*, but of changed sources: its ${difference}\\. `,
            ),
        );
    });
});

test("every field of the structures is compared", () => {
    const source = readFileSync(path.join(native, "llama", "layout.cpp"), "utf8");
    const ignored = /\/\*[^]*?\*\/|\/\/.*$/gm;
    for (const [name, file, list] of [
        ["llama_model_params", "llama.h", "MODEL_PARAMS"],
        ["llama_context_params", "llama.h", "CONTEXT_PARAMS"],
        ["llama_batch", "llama.h", "BATCH"],
        ["ggml_threadpool_params", "ggml.h", "THREADPOOL_PARAMS"],
    ] as const) {
        const text = readFileSync(path.join(headers, file), "utf8").replace(ignored, "");
        const body = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(text)?.[1] ?? "";
        const declared = [...body.matchAll(/(\w+)(?:\[\w+\])?;/g)].map(([, field]) => field);
        const macro = new RegExp(`#define EFT_${list}\\(X\\)((?:.*\\\\\n)*.*)`).exec(source)?.[1] ?? "";
        const compared = [...macro.matchAll(/X\((\w+),/g)].map(([, field]) => field);
        if (name === "ggml_threadpool_params") compared.unshift("cpumask");
        expect(declared.length).toBeGreaterThan(5);
        expect(compared).toEqual(declared);
    }
});
