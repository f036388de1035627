/** Documents whose programs run, with what they print. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { readText, repository } from "../helpers/demo.js";
import { codeBlocks } from "../helpers/markdown.js";

// Inside the package, so that a program can import it by its name as a dependent would.
let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(repository, "build", "programs-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

async function outputOf(document: string, index = 0): Promise<string[]> {
    const program = codeBlocks(readText(document), "js")[index] ?? "";
    const file = path.join(folder, "example.mjs");
    writeFileSync(file, program);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file]);
    expect(stderr).toBe("");
    return stdout.trim().split("\n");
}

it("docs/memory.md", async () => {
    expect(await outputOf("docs/memory.md")).toEqual(
        ["large", "chat", "small"].map((name) => expect.stringMatching(`^${name}: [04] of 4 layers on the GPU$`)),
    );
});

it("docs/tools.md", async () => {
    expect(await outputOf("docs/tools.md")).toEqual(["population_of [ 'country' ]", `[ '{"people":34000000}' ] true`]);
});

it("docs/server.md", async () => {
    expect(await outputOf("docs/server.md")).toEqual(["Its capital is Lima. 7"]);
});

it("docs/hosts.md", async () => {
    const lines = await outputOf("docs/hosts.md");
    expect(lines).toEqual([
        "Its capital is Lima.",
        expect.stringMatching(/nakfa\.$/),
        "Its capital is Lima.",
        expect.any(String),
        expect.stringMatching(/^[234]\.\d sequences in a step$/),
    ]);
});

it("docs/library.md", async () => {
    expect(await outputOf("docs/library.md", 0)).toEqual(["Its capital is Lima.", "400 400"]);
    expect(await outputOf("docs/library.md", 1)).toEqual(["Its capital is Lima.", "true", "true"]);
    const lines = await outputOf("docs/library.md", 2);
    expect(lines).toEqual([
        ...[" is", " Li", "ma", "."].map((text) => expect.stringMatching(`^(-[\\d.e-]+) ${text} \\1 true$`)),
        ...["true", " is Lima."],
    ]);
    expect((await outputOf("docs/library.md", 3))[0]).toMatch(/^true \[ 'cpu'/);
});
