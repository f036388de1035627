/** docs/frameworks.md: its programs run, and print what they are about. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readText, repository } from "../helpers/demo.js";
import { codeBlocks } from "../helpers/markdown.js";

// Inside the package, so that a program can import it by its name as a dependent would.
let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(repository, "build", "frameworks-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

const programs = codeBlocks(readText("docs/frameworks.md"), "js");
const FIRST = String.raw`Its capital is Lima\. \d+ tokens read\nIts capital is Kathmandu\.`;
const LAST = String.raw`It is sunny in (Lima|Quito)\.\ncity, isLarge`;

test.each([
    [0, FIRST],
    [1, LAST],
    [2, `${FIRST}\n${LAST}`],
])("program %i", async (index, output) => {
    expect(programs).toHaveLength(3);
    const file = path.join(folder, `${index}.mjs`);
    writeFileSync(file, programs[index] ?? "");
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file]);
    expect(stderr).toBe("");
    expect(stdout.trim()).toMatch(new RegExp(`^${output}$`));
});
