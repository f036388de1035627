// Writes test/fixtures/architectures.json.gz: for every architecture that llama.cpp knows, the metadata of a small model and
// the tensors that it then asks for. To be run again when node-llama-cpp is updated. Needs a C++ compiler.
//
//     node scripts/list-architectures.mjs

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { extractLlamaSource, projectRoot } from "./llama-source.mjs";

const run = promisify(execFile);

const require = createRequire(import.meta.url);
const entry = createRequire(require.resolve("node-llama-cpp")).resolve("@node-llama-cpp/linux-x64");
const libraries = path.join(path.dirname(entry), "..", "bins", "linux-x64");
const folder = mkdtempSync(path.join(tmpdir(), "eft-llama-architectures-"));
try {
    const [source, output, program] = ["source", "output", "list"].map((name) => path.join(folder, name));
    await extractLlamaSource(source, [
        "tests/test-llama-archs.cpp",
        "common",
        "vendor",
        "ggml/include",
        "include",
        "src",
    ]);
    // With room for the 256 bytes that SentencePiece's vocabularies have.
    const test = path.join(source, "tests", "test-llama-archs.cpp");
    writeFileSync(test, readFileSync(test, "utf8").replace("n_vocab = 128;", "n_vocab = 384;"));
    const names = readdirSync(libraries).filter((name) =>
        /^lib(llama|ggml)(-common|-base)?(\.v[\d.]+)?\.so$/.test(name),
    );
    const include = [".", "include", "ggml/include", "common", "src", "vendor"].map(
        (name) => `-I${path.join(source, name)}`,
    );
    await run("c++", [
        ...[
            "-std=c++17",
            "-O0",
            ...include,
            path.join(projectRoot, "scripts", "list-architectures.cpp"),
            "-o",
            program,
        ],
        ...names.map((name) => path.join(libraries, name)),
        ...[`-Wl,-rpath,${libraries}`, `-Wl,-rpath-link,${libraries}`, "-lpthread"],
    ]);
    await run("mkdir", [output]);
    const { stderr } = await run(program, [libraries, output], { env: { ...process.env, GGML_NO_BACKTRACE: "1" } });
    const models = readdirSync(output)
        .filter((name) => name.endsWith(".tensors"))
        .map((name) => path.basename(name, ".tensors"))
        .map((name) => ({
            name,
            metadata: readMetadata(path.join(output, `${name}.gguf`)),
            tensors: readFileSync(path.join(output, `${name}.tensors`), "utf8")
                .trim()
                .split("\n")
                .map((line) => line.split(" "))
                // Two layers may share one tensor.
                .filter(([tensor], index, all) => all.findIndex(([other]) => other === tensor) === index)
                .map(([tensor, type, ...shape]) => [tensor, Number(type), ...shape.map(Number)]),
        }));
    const file = path.join(projectRoot, "test", "fixtures", "architectures.json.gz");
    writeFileSync(file, gzipSync(JSON.stringify(models), { level: 9 }));
    process.stderr.write(stderr);
    console.log(`${models.length} models in ${path.relative(".", file)}`);
} finally {
    rmSync(folder, { recursive: true, force: true });
}

/** Metadata without the vocabulary, as [key, type, value] with the names that test/helpers/gguf.ts has for types. */
function readMetadata(file) {
    const bytes = readFileSync(file);
    let at = 16;
    const take = (length) => (at += length) - length;
    const size = () => Number(bytes.readBigUInt64LE(take(8)));
    const text = () => {
        const length = size();
        return bytes.toString("utf8", take(length), at);
    };
    const read = {
        4: ["uint32", () => bytes.readUInt32LE(take(4))],
        5: ["int32", () => bytes.readInt32LE(take(4))],
        6: ["float32", () => bytes.readFloatLE(take(4))],
        7: ["bool", () => bytes[take(1)] === 1],
        8: ["string", text],
        10: ["uint64", size],
    };
    const entries = Array.from({ length: size() }, () => {
        const key = text();
        const type = bytes.readUInt32LE(take(4));
        if (type !== 9) return [key, read[type][0], read[type][1]()];
        const [name, element] = read[bytes.readUInt32LE(take(4))];
        return [key, [name], Array.from({ length: size() }, element)];
    });
    return entries.filter(([key]) => !key.startsWith("tokenizer."));
}
