// Writes the table of docs/structured-output.md: how the grammars of this project and of llama.cpp's converter do at the official
// tests of JSON Schema. Needs a C++ compiler, and what scripts/json-schema-suite.mjs fetches.
//
//     node scripts/json-schema-suite.mjs && node --import tsx scripts/compare-json-schemas.mjs [--list]

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { EftError } from "../src/errors.ts";
import { jsonSchemaToGbnf } from "../src/grammar/json-schema.ts";
import { measure, readSuite } from "../test/helpers/json-schema-suite.ts";
import { extractLlamaSource, projectRoot } from "./llama-source.mjs";

const run = promisify(execFile);

const SEEDS = 100;

const suite = readSuite();
if (suite === undefined) throw new Error("Run node scripts/json-schema-suite.mjs first.");

/** @returns by their JSON, the grammars that llama.cpp makes of schemas; null: it refuses */
async function convertByLlama(schemas) {
    const require = createRequire(import.meta.url);
    const entry = createRequire(require.resolve("node-llama-cpp")).resolve("@node-llama-cpp/linux-x64");
    const libraries = path.join(path.dirname(entry), "..", "bins", "linux-x64");
    const names = readdirSync(libraries).filter((name) =>
        /^lib(llama|ggml)(-common|-base)?(\.v[\d.]+)?\.so$/.test(name),
    );
    const folder = mkdtempSync(path.join(tmpdir(), "eft-llama-schemas-"));
    try {
        const [source, program] = ["source", "convert"].map((name) => path.join(folder, name));
        await extractLlamaSource(source, ["common", "include", "ggml/include", "vendor"]);
        await run("c++", [
            ...["-std=c++17", "-O0", "-I", path.join(source, "common")],
            ...[path.join(projectRoot, "scripts", "compare-json-schemas.cpp"), "-o", program],
            ...names.map((name) => path.join(libraries, name)),
            ...[`-Wl,-rpath,${libraries}`, `-Wl,-rpath-link,${libraries}`, "-lpthread"],
        ]);
        const lines = schemas.map((schema) => JSON.stringify(schema));
        const options = { input: `${lines.join("\n")}\n`, encoding: "utf8", stdio: ["pipe", "pipe", "ignore"] };
        const written = execFileSync(program, options).trimEnd().split("\n");
        return new Map(lines.map((line, index) => [line, JSON.parse(written[index] ?? "null")]));
    } finally {
        rmSync(folder, { recursive: true, force: true });
    }
}

const byLlama = await convertByLlama(suite.map(({ schema }) => schema));
const refuse = (reason) => {
    throw new EftError("GRAMMAR_INVALID", reason);
};
const columns = [
    measure(suite, (schema) => jsonSchemaToGbnf(schema).grammar, SEEDS),
    measure(suite, (schema) => byLlama.get(JSON.stringify(schema)) ?? refuse("llama.cpp refuses it"), SEEDS),
];
if (process.argv.includes("--list")) {
    for (const { wider, invalidTaken } of columns) console.log([...wider, ...invalidTaken].join("\n"), "\n");
}
const rows = [
    ["schemas accepted", ({ accepted }) => accepted],
    ["schemas refused", ({ refused }) => refused],
    [`accepted schemas of which ${SEEDS} random texts were judged`, ({ judged }) => judged],
    ["of these: all texts are valid", ({ judged, wider }) => judged - wider.length],
    ["of these: some text is not valid", ({ wider }) => wider.length],
    ["valid instances that are texts", ({ validTaken }) => validTaken],
    ["valid instances that are none", ({ validLacked }) => validLacked.length],
    ["invalid instances that are none", ({ invalidRefused }) => invalidRefused],
    ["invalid instances that are texts", ({ invalidTaken }) => invalidTaken.length],
];
console.log(`of ${suite.length} schemas | eft-llama | llama.cpp`);
for (const [name, count] of rows) console.log([name, ...columns.map(count)].join(" | "));
