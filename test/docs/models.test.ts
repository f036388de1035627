/** docs/models.md is executed, with a hub on this machine: its commands print what stands below them, its program runs. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { demoFile, readText, repository } from "../helpers/demo.js";
import { startHub, type Hub } from "../helpers/hub.js";
import { codeBlocks, consoleExamples, patternOf } from "../helpers/markdown.js";

const document = readText("docs/models.md");

let hub: Hub;
let folder: string;
let env: Readonly<Record<string, string | undefined>>;
beforeAll(async () => {
    hub = await startHub();
    hub.files.set("someone/large-GGUF/large.gguf", { content: readFileSync(demoFile("large-base")) });
    hub.files.set("someone/small-GGUF/chat.gguf", { content: readFileSync(demoFile("small-chat")) });
    hub.files.set("someone/small-GGUF/base.gguf", { content: readFileSync(demoFile("small-base")) });
    hub.tags.set("someone/large-GGUF:F16", "large.gguf");
    // Inside the package, so that a program can import it by its name as a dependent would.
    mkdirSync(path.join(repository, "build"), { recursive: true });
    folder = mkdtempSync(path.join(repository, "build", "models-"));
    env = { ...process.env, HF_ENDPOINT: hub.endpoint, EFT_LLAMA_MODELS: path.join(folder, "models"), HF_TOKEN: "" };
    writeFileSync(
        path.join(folder, "recipe.yaml"),
        `eft: 1
name: remote
members:
    large: { model: "hf:someone/large-GGUF:F16" }
    chat: { model: hf:someone/small-GGUF/chat.gguf }
    small: { model: hf:someone/small-GGUF/base.gguf }
combination: chat + large - small
prompt: { template: from chat }
sampling: { temperature: 0 }
`,
    );
});
afterAll(async () => {
    rmSync(folder, { recursive: true });
    await hub.close();
});

it.each(consoleExamples(document))("%s", async (command, output) => {
    const program = `eft-llama() { "${process.execPath}" "${path.join(repository, "dist", "cli", "main.js")}" "$@"; }`;
    const { stdout } = await promisify(execFile)("bash", ["-c", `${program}; ${command}`], { cwd: folder, env });
    // Widths of columns depend on the sizes of the files.
    const plain = (text: string): string => text.trimEnd().replaceAll(/[─ ]+/g, " ");
    expect(plain(stdout)).toMatch(patternOf(plain(output)));
});

it("has a program that runs", async () => {
    const file = path.join(folder, "example.mjs");
    writeFileSync(file, codeBlocks(document, "js")[0] ?? "");
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { cwd: folder, env });
    expect({ stdout, stderr }).toEqual({ stdout: `0 bytes to ${path.join(folder, "models")}\n`, stderr: "" });
});
