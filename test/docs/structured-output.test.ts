/** docs/structured-output.md is executed: its commands print what stands below them, its program runs. */

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { readText, repository } from "../helpers/demo.js";
import { codeBlocks, consoleExamples, patternOf } from "../helpers/markdown.js";

const document = readText("docs/structured-output.md");

// Inside the package, so that a program can import it by its name as a dependent would.
let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(repository, "build", "structured-"));
    symlinkSync(path.join(repository, "models"), path.join(folder, "models"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

it.each(consoleExamples(document))("%s", (command, output) => {
    const program = `eft-llama() { "${process.execPath}" "${path.join(repository, "dist", "cli", "main.js")}" "$@"; }`;
    const script = `${program}; { ${command}\n} 2>&1 || true`;
    const printed = execFileSync("bash", ["-c", script], { cwd: folder, encoding: "utf8" });
    expect(printed.trimEnd()).toMatch(patternOf(output));
});

it.each([
    ["a text of a schema", 0, /^\d+\n$/],
    ["what is not enforced", 1, /^#: pattern: it looks ahead or behind .*\n$/],
])("has a program that prints %s", async (_name, index, printed) => {
    const { [index]: program = "" } = codeBlocks(document, "js");
    const file = path.join(folder, "example.mjs");
    writeFileSync(file, program);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(printed);
});
