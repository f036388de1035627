/** What ARCHITECTURE.md and docs/errors.md promise about the source. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "@jest/globals";
import { ERROR_CODES } from "../../src/errors.js";
import { packageRoot } from "../../src/package.js";

/** Later rows may import from earlier ones, never the other way round. */
const ROWS = [
    ["errors.ts", "files.ts", "http.ts", "lock.ts", "options.ts", "package.ts", "plural.ts", "types.ts"],
    ["recipe", "native", "template", "grammar"],
    ["models"],
    ["prompts", "tools"],
    ["host"],
    ["ensemble"],
    ["decoding"],
    ["chat", "scoring", "frameworks", "ai-sdk", "langchain"],
    ["eval", "check", "doctor", "electron", "server"],
    ["index.ts"],
    ["cli"],
];

/** Imports of packages that are peers, which need not be there. */
const FRAMEWORKS = /^import [^;]*? from "(ai|zod|@langchain\/core|@ai-sdk\/[\w-]+)[^"]*";/gm;

/** Started in processes of their own and imported by nobody; they lie beside what starts them, and stand behind all rows. */
const PROGRAMS = [
    path.join("models", "try-model.ts"),
    path.join("native", "try-addon.ts"),
    path.join("check", "evaluate-alone.ts"),
];

const source = path.join(packageRoot, "src");
const page = path.join("server", "page") + path.sep;
const all = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file));
const files = all.filter((file) => !file.startsWith(page));

function rowOf(file: string): number {
    if (PROGRAMS.includes(file)) return ROWS.length;
    const [top = ""] = file.split(path.sep);
    const row = ROWS.findIndex((names) => names.includes(top));
    if (row < 0) throw new Error(`${file} is in no row`);
    return row;
}

function importsOf(file: string): string[] {
    const text = readFileSync(path.join(source, file), "utf8");
    return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)\.js"/g)].map((match) =>
        path.normalize(path.join(path.dirname(file), `${match[1]}.ts`)),
    );
}

describe("the rows of ARCHITECTURE.md", () => {
    it("see imports at all", () => {
        expect(importsOf("index.ts").length).toBeGreaterThan(3);
    });

    it.each(files)("%s imports only from its own row or rows above", (file) => {
        const wrong = importsOf(file).filter((imported) => rowOf(imported) > rowOf(file));
        expect(wrong).toEqual([]);
    });

    it("leave the page of the server to itself", () => {
        const pageFiles = all.filter((file) => file.startsWith(page));
        expect(pageFiles.length).toBeGreaterThan(10);
        expect(pageFiles.flatMap(importsOf).filter((imported) => !imported.startsWith(page))).toEqual([]);
        expect(files.flatMap(importsOf).filter((imported) => imported.startsWith(page))).toEqual([]);
    });

    it("let recipes work without the addon", () => {
        const wrong = files.filter((file) => file.startsWith("recipe")).flatMap(importsOf);
        expect(wrong.filter((imported) => imported.startsWith("native"))).toEqual([]);
    });

    it("let only src/native touch the addon", () => {
        const text = (file: string): string => readFileSync(path.join(source, file), "utf8");
        expect(files.filter((file) => text(file).includes('.node"'))).toEqual([path.join("native", "addon-file.ts")]);
    });

    it("let only src/langchain import a framework, and src/ai-sdk nothing but types of one", () => {
        const imports = files.flatMap((file) =>
            [...readFileSync(path.join(source, file), "utf8").matchAll(FRAMEWORKS)].map(([statement, name]) => ({
                folder: file.split(path.sep)[0],
                name,
                isType: /^import type/.test(statement),
            })),
        );
        expect(imports.length).toBeGreaterThan(5);
        const allowed = { langchain: "@langchain/core", "ai-sdk": "@ai-sdk/provider" };
        for (const { folder, name, isType } of imports) {
            expect(Object.entries(allowed)).toContainEqual([folder, name]);
            if (folder === "ai-sdk") expect(isType).toBe(true);
        }
    });

    it("let only src/files.ts make folders, since Node tries without end where the system makes none", () => {
        const makes = (file: string): boolean => /\bmkdir(Sync)?\(/.test(readFileSync(path.join(source, file), "utf8"));
        expect(files.filter(makes)).toEqual(["files.ts"]);
    });

    it("let only estimates of the memory, and what is to be independent of us, use node-llama-cpp", () => {
        const isUser = (file: string): boolean =>
            /(?:from|import\() *"node-llama-cpp"/.test(readFileSync(path.join(source, file), "utf8"));
        expect(files.filter(isUser).sort()).toEqual([
            path.join("check", "evaluate-alone.ts"),
            ...["insights.ts", "memory-estimate.ts", "memory-plan.ts"].map((name) => path.join("models", name)),
        ]);
    });
});

describe("the folders of native/", () => {
    const folder = path.join(packageRoot, "native");
    const rows = ["failure.h", "math", "llama", "jobs", "node"];
    const own = readdirSync(folder, { recursive: true, encoding: "utf8" })
        .map((file) => file.split(path.sep))
        .filter((parts) => rows.includes(parts[0] ?? "") && /\.(cpp|h)$/.test(parts.at(-1) ?? ""))
        .map((parts) => parts.join("/"));
    const includesOf = (file: string): string[] =>
        [...readFileSync(path.join(folder, file), "utf8").matchAll(/^ *# *include ["<]([^">]+)[">]/gm)].map(
            ([, name = ""]) => name,
        );
    /** Headers of others, and the first folder that may know them. */
    const others = [
        { names: /^(llama|gguf|ggml[\w-]*)\.h$|^vendor\/llama\.cpp\//, folder: "llama" },
        { names: /^(napi|node_api|uv)\.h$/, folder: "node" },
    ];

    it("and all others that ARCHITECTURE.md names are there", () => {
        const text = readFileSync(path.join(packageRoot, "ARCHITECTURE.md"), "utf8");
        const named = [...text.matchAll(/`((?:src|native|test|scripts|docs|bench)\/[\w./-]*)`/g)].map(
            ([, name = ""]) => name,
        );
        expect(named.length).toBeGreaterThan(20);
        const isThere = (name: string): boolean =>
            ["", ".ts", ".test.ts", ".h", ".cpp"].some((end) => existsSync(path.join(packageRoot, `${name}${end}`)));
        expect(named.filter((name) => !isThere(name))).toEqual([]);
    });

    it("are what both CMake and node-gyp compile, and the files that they vectorise are there", () => {
        const { variables } = JSON.parse(readFileSync(path.join(folder, "build.gypi"), "utf8")) as {
            variables: Readonly<Record<string, readonly string[]>>;
        };
        expect(variables.eft_folders).toEqual(rows.slice(1));
        expect(variables.eft_arithmetic?.filter((file) => !existsSync(path.join(packageRoot, file)))).toEqual([]);
        for (const name of ["CMakeLists.txt", "binding.gyp"])
            expect(readFileSync(path.join(packageRoot, name), "utf8")).toMatch(/native\/build\.gypi[^]*vectorise/i);
    });

    it("see includes at all", () => {
        expect(own.flatMap(includesOf)).toContain("math/combine.h");
        expect(own.flatMap(includesOf)).toContain("napi.h");
    });

    it.each(own)("%s includes only from its own folder or those before", (file) => {
        const row = (name: string): number => rows.indexOf(name.split("/")[0] ?? "");
        const wrong = includesOf(file).filter(
            (name) =>
                row(name) > row(file) ||
                others.some((other) => other.names.test(name) && row(other.folder) > row(file)),
        );
        expect(wrong).toEqual([]);
    });
});

describe("error codes", () => {
    const codes = Object.keys(ERROR_CODES);

    it("are those of docs/errors.md", () => {
        const text = readFileSync(path.join(packageRoot, "docs", "errors.md"), "utf8");
        const rows = [...text.matchAll(/^\| `([A-Z_]+)` +\| (.+?) +\|$/gm)].map((match) => [match[1], match[2]]);
        expect(Object.fromEntries(rows)).toEqual(ERROR_CODES);
    });

    it("are all thrown somewhere", () => {
        const native = path.join(packageRoot, "native");
        const text = [
            ...files.filter((file) => file !== "errors.ts").map((file) => path.join(source, file)),
            ...readdirSync(native, { recursive: true, encoding: "utf8" })
                .filter((file) => file.endsWith(".cpp") && !/^(?:vendor|test)\b/.test(file))
                .map((file) => path.join(native, file)),
        ]
            .map((file) => readFileSync(file, "utf8"))
            .join("\n");
        expect(codes.filter((code) => !text.includes(`"${code}"`))).toEqual([]);
    });
});
