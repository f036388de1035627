/** docs/chat.md is executed: its commands print what stands below them, its program runs, its conversation can be read. */

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { createChat, loadRecipe, parseChat } from "../../src/index.js";
import { loadOnCpu, readText, repository } from "../helpers/demo.js";
import { codeBlocks, consoleExamples, patternOf } from "../helpers/markdown.js";

const document = readText("docs/chat.md");
const program = path.join(repository, "dist", "cli", "main.js");
const blocks = (language: string): string[] => codeBlocks(document, language);

// Inside the package, so that a program can import it by its name as a dependent would.
let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(repository, "build", "chat-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

function shell(command: string): string {
    const script = `eft-llama() { "${process.execPath}" "${program}" "$@"; }; ${command}`;
    return execFileSync("bash", ["-c", script], { cwd: folder, encoding: "utf8", input: "" });
}

it.each(consoleExamples(document))("%s", (command, output) => {
    expect(shell(command).trimEnd()).toMatch(patternOf(output));
});

it("begins with a command that works", () => {
    const [command = ""] = blocks("sh");
    expect(shell(command)).toBe("");
});

it("has a program that runs", async () => {
    const file = path.join(folder, "example.mjs");
    writeFileSync(file, blocks("js")[0] ?? "");
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^Its capital is .*\nevaluated: \d+\n\[ 'Its/);
    const last = stdout.trimEnd().split("\n").at(-1) ?? "";
    expect(parseChat(last)).toMatchObject({ parameters: { beta: 1.5 }, turns: [{}, {}] });
});

it("shows a conversation that can be gone on with", async () => {
    await using ensemble = await loadOnCpu(await loadRecipe("demo"));
    const [text = ""] = blocks("json");
    expect(createChat(ensemble, parseChat(text)).turns).toHaveLength(1);
});

it("names every flag and every command, and no other", () => {
    const help = execFileSync(process.execPath, [program, "chat", "--help"], { encoding: "utf8" });
    const known = [...help.matchAll(/^ +(?:-\w, )?--([a-z][a-z-]+)/gm)].map(([, flag]) => flag);
    const named = [...document.matchAll(/(?<![\w#-])--([a-z][a-z-]+)/g)].map(([, flag]) => flag);
    // Every command of the program has these two.
    expect([...new Set([...named, "help", "version"])].sort()).toEqual([...new Set(known)].sort());
    const commands = execFileSync(process.execPath, [program, "chat", "-r", "demo"], {
        encoding: "utf8",
        input: "/help",
    });
    const usages = [...commands.matchAll(/^(\/\w.*?) {2}/gm)].map(([, usage]) => usage);
    const rows = [...document.matchAll(/^\| `(\/.*?)` +\|/gm)].map(([, usage = ""]) => usage.replaceAll("`", ""));
    expect(rows).toEqual(usages);
});
