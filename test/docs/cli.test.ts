/** docs/cli.md is executed: each command of its `console` blocks prints what stands below it. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { readText, repository } from "../helpers/demo.js";
import { consoleExamples } from "../helpers/markdown.js";

const examples = consoleExamples(readText("docs/cli.md"));

// A folder to write into, in which the models are found.
let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "eft-docs-"));
    symlinkSync(path.join(repository, "models"), path.join(folder, "models"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

/** A decimal number that is written out. */
const DECIMAL = /-?\d+\.\d+(?![\d…])/;

/** Decimal numbers may differ a little from machine to machine; an ellipsis stands for what may differ at will. */
function expectOutput(printed: string, expected: string): void {
    const escape = (text: string): string => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&").replaceAll("…", ".*");
    const texts = expected.split(new RegExp(DECIMAL, "g"));
    const pattern = new RegExp(`^${texts.map(escape).join("(-?\\d+\\.\\d+)")}$`);
    expect(printed).toMatch(pattern);
    const numbers = pattern.exec(printed)?.slice(1) ?? [];
    const wanted = expected.match(new RegExp(DECIMAL, "g")) ?? [];
    numbers.forEach((number, index) => {
        const value = Number(wanted[index]);
        expect(Math.abs(Number(number) - value)).toBeLessThanOrEqual(0.02 * Math.abs(value));
    });
}

describe("docs/cli.md", () => {
    it.each(examples)("%s", (command, output) => {
        const program = `eft-llama() { "${process.execPath}" "${path.join(repository, "dist", "cli", "main.js")}" "$@"; }`;
        const { status, stdout } = spawnSync("bash", ["-c", `${program}; { ${command}; } 2>&1`], {
            cwd: folder,
            encoding: "utf8",
        });
        // With what it printed, which is the only trace of a failure.
        expect({ status, stdout }).toEqual({ status: 0, stdout });
        expectOutput(stdout.trimEnd(), output.trimEnd());
    });

    it("names every flag, and no other", () => {
        const program = path.join(repository, "dist", "cli", "main.js");
        const text = readText("docs/cli.md");
        const named = new Set([...text.matchAll(/(?<![\w-])--([a-z][a-z-]+)/g)].map(([, flag]) => flag));
        const known = [
            "complete",
            "chat",
            "score",
            "eval",
            "inspect",
            "check",
            "doctor",
            "recipe init",
            "recipe check",
            "recipe show",
            "pull",
            "models list",
            "models rm",
            "serve",
            "demo",
        ].flatMap((command) => {
            const help = execFileSync(process.execPath, [program, ...command.split(" "), "--help"], {
                encoding: "utf8",
            });
            return [...help.matchAll(/^ +(?:-\w, )?--([a-z][a-z-]+)/gm)].map(([, flag]) => flag);
        });
        // Spelled wrong on purpose.
        named.delete("temprature");
        expect([...named].sort()).toEqual([...new Set(known)].sort());
    });
});
