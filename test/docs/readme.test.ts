/** README.md is executed: its program, its commands, its recipe. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import { packageRoot } from "../../src/package.js";
import { parseRecipe } from "../../src/recipe/index.js";
import { codeBlocks } from "../helpers/markdown.js";

const run = promisify(execFile);
const readme = await readFile(path.join(packageRoot, "README.md"), "utf8");

const blocks = (language: string): string[] => codeBlocks(readme, language);

describe("README.md", () => {
    it("has a program that runs", async () => {
        const [program] = blocks("js");
        // Inside the package, so that it can import it by its name as a dependent would.
        const folder = await mkdtemp(path.join(packageRoot, "build", "readme-"));
        try {
            const file = path.join(folder, "example.mjs");
            await writeFile(file, program ?? "");
            const { stdout, stderr } = await run(process.execPath, [file]);
            expect(stderr).toBe("");
            expect(stdout).toContain("currency");
            expect(stdout).toMatch(/^stop \d+ tokens per second$/m);
            expect(stdout).toContain("large:");
        } finally {
            await rm(folder, { recursive: true });
        }
    });

    it("has commands that run", async () => {
        const commands = blocks("sh").filter((block) => block.startsWith("npx eft-llama"));
        expect(commands.length).toBeGreaterThan(0);
        for (const command of commands) {
            const { stdout } = await run("bash", ["-c", command], { cwd: packageRoot });
            expect(stdout).toContain("Lima");
        }
    });

    it("names scripts that exist", async () => {
        const { scripts } = JSON.parse(await readFile(path.join(packageRoot, "package.json"), "utf8")) as {
            scripts: Record<string, string>;
        };
        for (const [, name] of readme.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty([name ?? ""]);
    });

    it("shows a valid recipe", () => {
        const [recipe] = blocks("yaml");
        expect(parseRecipe(recipe ?? "", { directory: packageRoot }).members).toHaveLength(3);
    });
});
