/** docs/bundlers.md with esbuild, and what becomes of code without its package. `.ci/run` tries the other bundlers. */

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { build, type BuildOptions } from "esbuild";
import { readText, repository } from "../helpers/demo.js";
import { codeBlocks } from "../helpers/markdown.js";
import { temporaryFolder } from "../helpers/temporary.js";

const run = promisify(execFile);
const { folder, remove } = temporaryFolder();
afterAll(remove);

const files = new Map(
    codeBlocks(readText("docs/bundlers.md"), "js").map((block) => {
        const [first = "", ...rest] = block.split("\n");
        return [first.replace("// ", ""), rest.join("\n")];
    }),
);

beforeAll(() => {
    mkdirSync(path.join(folder, "node_modules"));
    symlinkSync(path.join(repository, "node_modules", "esbuild"), path.join(folder, "node_modules", "esbuild"));
    symlinkSync(repository, path.join(folder, "node_modules", "eft-llama"));
    for (const name of ["main.mjs", "build.mjs"]) writeFileSync(path.join(folder, name), files.get(name) ?? "");
});

const ALL: BuildOptions = {
    ...{ bundle: true, logLevel: "silent", absWorkingDir: folder, entryPoints: ["main.mjs"], platform: "node" },
    external: ["node-llama-cpp", "vega", "vega-lite"],
};

test("the documented configuration is built and answers", async () => {
    await run(process.execPath, ["build.mjs"], { cwd: folder });
    const { stdout, stderr } = await run(process.execPath, ["out/esbuild.mjs"], { cwd: folder });
    expect({ stdout, stderr }).toEqual({ stdout: "Its capital is Lima.\n", stderr: "" });
});

test("the documented route answers, and says with a status what it cannot", async () => {
    writeFileSync(path.join(folder, "route.mjs"), files.get("app/api/answer/route.js") ?? "");
    const program = `
        import { GET } from "./route.mjs";
        const ask = (prompt) => GET(new Request("http://localhost/?prompt=" + encodeURIComponent(prompt)));
        console.log(await (await ask("What is the capital of Peru?")).text());
        const { status } = await ask("long ".repeat(1000));
        console.log(status);
        process.exit();`;
    writeFileSync(path.join(folder, "ask.mjs"), program);
    const { stdout, stderr } = await run(process.execPath, ["ask.mjs"], { cwd: folder });
    expect({ stdout, stderr }).toEqual({ stdout: "Its capital is Lima.\n400\n", stderr: "" });
});

test("a bundle of CommonJS requires the package", async () => {
    await build({ ...ALL, external: ["eft-llama"], format: "cjs", outfile: "out/external.cjs" });
    expect(readFileSync(path.join(folder, "out/external.cjs"), "utf8")).toContain('require("eft-llama")');
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    if (major === 20 && minor < 19) return;
    const { stdout } = await run(process.execPath, ["--no-warnings", "out/external.cjs"], { cwd: folder });
    expect(stdout).toBe("Its capital is Lima.\n");
});

describe("code without its package is one error that names the settings", () => {
    const SETTINGS = [
        ...['external: ["eft-llama"]', 'ssr: { external: ["eft-llama"] }'],
        ...['externals: { "eft-llama": "import eft-llama" }', 'serverExternalPackages: ["eft-llama"]'],
    ];

    async function failureOf(file: string): Promise<string> {
        return run(process.execPath, [file], { cwd: folder }).then(
            ({ stdout }) => `no failure: ${stdout}`,
            ({ stderr }: { stderr: string }) => stderr,
        );
    }

    test.each([
        ["esm", "main.mjs"],
        ["cjs", "main.mjs"],
        ["esm", "electron.mjs"],
    ] as const)("%s of %s", async (format, entry) => {
        writeFileSync(
            path.join(folder, "electron.mjs"),
            'import { startHost } from "eft-llama/electron"; startHost();',
        );
        const outfile = `out/all-${entry.slice(0, -4)}.${format === "esm" ? "mjs" : "cjs"}`;
        await build({ ...ALL, format, outfile, entryPoints: [entry] });
        const failure = await failureOf(outfile);
        for (const setting of SETTINGS) expect(failure).toContain(setting);
        expect(failure).toContain("code: 'PACKAGE_INCOMPLETE'");
    });

    test.each([
        ["recipes", "loadRecipe('demo')"],
        ["scripts/build-native.mjs", "chooseBackend('cpu')"],
    ])("a traced copy lacks %s", async (missing, use) => {
        const copy = path.join(folder, missing.replace("/", "-"));
        const place = path.join(copy, "node_modules", "eft-llama");
        mkdirSync(place, { recursive: true });
        for (const name of ["dist", "package.json"])
            cpSync(path.join(repository, name), path.join(place, name), { recursive: true });
        if (missing !== "recipes")
            cpSync(path.join(repository, "recipes"), path.join(place, "recipes"), { recursive: true });
        symlinkSync(path.join(repository, "node_modules"), path.join(place, "node_modules"));
        writeFileSync(path.join(copy, "main.mjs"), `import * as eft from "eft-llama"; await eft.${use};`);
        const failure = await failureOf(path.join(copy, "main.mjs"));
        expect(failure).toContain(`${missing} is missing`);
        expect(failure).toContain("outputFileTracingIncludes");
        expect(failure).toContain("code: 'PACKAGE_INCOMPLETE'");
    });
});

test("a page bundles its end of Electron, without anything of Node", async () => {
    const source = 'import { connect } from "eft-llama/electron/renderer"; connect(new MessageChannel().port1);';
    const { outputFiles, warnings } = await build({
        ...{ stdin: { contents: source, resolveDir: folder }, bundle: true, write: false, platform: "browser" },
        logLevel: "silent",
    });
    expect(warnings).toEqual([]);
    expect(outputFiles[0]?.text).toContain("toReadableStream");
});
