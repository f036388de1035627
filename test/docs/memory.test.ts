/** docs/memory.md is executed: its program runs. */

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
    folder = mkdtempSync(path.join(repository, "build", "memory-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

it("has a program that runs", async () => {
    const [program = ""] = codeBlocks(readText("docs/memory.md"), "js");
    const file = path.join(folder, "example.mjs");
    writeFileSync(file, program);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file]);
    expect(stderr).toBe("");
    expect(stdout.trim().split("\n")).toEqual(
        ["large", "chat", "small"].map((name) => expect.stringMatching(`^${name}: [04] of 4 layers on the GPU$`)),
    );
});
