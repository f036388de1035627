/** The configuration file and `--quiet`, as a shell sees them. */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { modelPath } from "../../src/models/model-files.js";
import type { MemoryPlan } from "../../src/index.js";
import { codeBlocks } from "../helpers/markdown.js";
import { readText, repository } from "../helpers/demo.js";
import { run } from "./run.js";

let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "eft-config-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

/** Writes the file into the configuration folder, and gives the environment in which it is found. */
function configure(yaml: string): { readonly XDG_CONFIG_HOME: string } {
    mkdirSync(path.join(folder, "eft-llama"), { recursive: true });
    writeFileSync(path.join(folder, "eft-llama", "config.yaml"), yaml);
    return { XDG_CONFIG_HOME: folder };
}

async function inspect(env: Readonly<Record<string, string>>, ...flags: readonly string[]): Promise<MemoryPlan> {
    const { stdout, stderr } = await run(["inspect", "demo", "--json", "--backend", "cpu", ...flags], { env });
    expect(stderr).toBe("");
    return (JSON.parse(stdout) as { memory: MemoryPlan }).memory;
}

describe("the configuration file", () => {
    it("gives defaults, which flags replace", async () => {
        const env = configure("context-size: 100\ncache-type: q8_0\ncache-tokens: 300\n");
        expect(await inspect(env)).toMatchObject({ contextSize: 100, cacheType: "q8_0", cacheTokens: 300 });
        expect(await inspect(env, "--cache-tokens", "200")).toMatchObject({ contextSize: 100, cacheTokens: 200 });
        expect(await inspect(env, "--context-size", "64")).toMatchObject({ contextSize: 64, cacheType: "q8_0" });
        const { stdout } = await run(["complete", "--help"], { env });
        expect(stdout).toMatch(/--context-size .*\[number\] \[default: 100\]/s);
    });

    it("may name a recipe and say how to draw", async () => {
        const env = configure("recipe: demo\ntemperature: 0\nmax-tokens: 3\nbackend: cpu\n");
        const question = "What is the capital of Nepal?";
        expect((await run(["complete", question], { env })).stdout).toBe("Its capital is\n");
        expect((await run(["complete", "-n", "4", question], { env })).stdout).toBe("Its capital is K\n");
        expect((await run(["chat", question], { env })).stdout).toBe("Its capital is\n");
        const other = await run(["chat", "demo-dial", "What is the phone number of Clara Berg?"], { env });
        expect(other.stdout).not.toBe("");
        expect((await run(["complete", "--base", "x.gguf", "Hi"], { env })).stderr).toContain("go together");
        expect((await run(["complete", "-r", "no-such-recipe", "Hi"], { env })).stderr).toContain("no-such-recipe");
        // A path is one from the file.
        const near = configure("recipe: ./near.yaml\n");
        const { stderr, code } = await run(["complete", "Hi"], { env: near });
        expect({ stderr, code }).toMatchObject({ code: 1, stderr: expect.stringContaining("eft-llama/near.yaml") });
        expect((await run(["complete", "Hi"], { env: configure("top-p: 0\n") })).stderr).toMatch(/"top-p" must be/);
    });

    it("says where models are, unless the environment does", async () => {
        const env = configure("models: store\n");
        const pull = (more: Readonly<Record<string, string>>) =>
            run(["recipe", "show", "llama-2-13b-upscaled"], { env: { EFT_LLAMA_MODELS: "", ...env, ...more } });
        const complete = (more: Readonly<Record<string, string>>) =>
            run(["complete", "-r", "llama-2-13b-upscaled", "Hi"], { env: { EFT_LLAMA_MODELS: "", ...env, ...more } });
        expect((await pull({})).code).toBe(0);
        expect((await complete({})).stderr).toContain(path.join(folder, "eft-llama", "store"));
        expect((await complete({ EFT_LLAMA_MODELS: "/elsewhere" })).stderr).toContain("/elsewhere");
    });

    it("may be named, and then has to be there", async () => {
        const file = path.join(folder, "mine.yaml");
        writeFileSync(file, "# nothing yet\n");
        expect(await inspect({ EFT_LLAMA_CONFIG: file })).toMatchObject({ contextSize: 256 });
        const { stderr, code } = await run(["inspect", "demo"], { env: { EFT_LLAMA_CONFIG: `${file}.bak` } });
        expect(code).toBe(1);
        expect(stderr).toContain(`The configuration file ${file}.bak cannot be read`);
    });

    it.each([
        ["thread: 2", /config\.yaml:1:1: a configuration has no key "thread"; did you mean "threads"\?/],
        [
            "backend: cpu\nthreads: many",
            /config\.yaml:2:10: "threads" must be a whole number from 1 to 512, not the text "many"/,
        ],
        ["cache-type: f8", /config\.yaml:1:13: "cache-type" must be one of f16, q8_0, q4_0, not the text "f8"/],
        ["cache-tokens: 7", /config\.yaml:1:15: "cache-tokens" must be a whole number from 8 to 268435456, not 7/],
        ["models: [a", /config\.yaml:1:1\d: /],
    ])("says where it is wrong: %s", async (yaml, message) => {
        const env = configure(yaml);
        const { stderr, code, stdout } = await run(["complete", "-r", "demo", "Hi"], { env });
        expect([code, stdout]).toEqual([1, ""]);
        expect(stderr).toMatch(message);
        expect(stderr.trim().split("\n")).toHaveLength(1);
    });

    it.each([
        ["complete --help", /--threads/],
        ["--get-yargs-completions eft-llama complete --th", /--threads/],
        ["recipe list", /demo-dial/],
    ])("may be wrong where it does not matter: %s", async (command, output) => {
        const { stdout, stderr, code } = await run(command.split(" "), { env: configure("thread: 2") });
        expect([stderr, code]).toEqual(["", 0]);
        expect(stdout).toMatch(output);
    });

    it("is named with --verbose", async () => {
        const command = ["recipe", "check", "demo", "--backend", "cpu", "--verbose"];
        const line = `Configuration: ${path.join(folder, "eft-llama", "config.yaml")}\n`;
        expect((await run(command, { env: configure("threads: 2") })).stderr).toBe(line);
        expect((await run(command)).stderr).toBe("");
    });

    it("says where models of a recipe that is written are", async () => {
        const env = { EFT_LLAMA_MODELS: "", ...configure("models: store\n") };
        const store = path.join(folder, "eft-llama", "store");
        const reference = "hf:user/repository/small-chat-f16.gguf";
        const file = modelPath(reference, store);
        mkdirSync(path.dirname(file), { recursive: true });
        symlinkSync(path.join(repository, "models", "demo", "small-chat-f16.gguf"), file);
        const others = ["large", "small"].map((size) =>
            path.join(repository, "models", "demo", `${size}-base-f16.gguf`),
        );
        const output = path.join(folder, "recipe.yaml");
        const { stderr, code } = await run(["recipe", "init", reference, ...others, "-o", output], { env });
        expect([stderr, code]).toEqual(["", 0]);
        expect((await run(["recipe", "check", output], { env })).code).toBe(0);
    });

    it("is written as the document says", async () => {
        const [example = ""] = codeBlocks(readText("docs/cli.md"), "yaml");
        expect(await inspect(configure(example))).toMatchObject({ contextSize: 256, cacheType: "q8_0" });
    });
});

describe("--quiet", () => {
    it("leaves remarks out of standard error, and errors in", async () => {
        const input = "/system Be brief.\nWhat is the capital of Peru?\n";
        const chat = (...flags: readonly string[]) =>
            run(["chat", "-r", "demo", "--system", "Be brief.", "--backend", "cpu", ...flags], { input });
        const [loud, quiet] = [await chat(), await chat("--quiet")];
        expect(loud.stderr).not.toBe("");
        expect(quiet).toEqual({ stdout: loud.stdout, stderr: "", code: 0 });
        const { stderr, code } = await run(["complete", "-r", "no-such-recipe.yaml", "-q", "Hi"]);
        expect([code, stderr]).toEqual([1, expect.stringContaining("no-such-recipe.yaml")]);
    });

    it.each(["--verbose", "--stats"])("excludes %s", async (flag) => {
        const { stderr, code } = await run(["complete", "-r", "demo", "--quiet", flag, "Hi"]);
        expect(code).toBe(2);
        expect(stderr).toBe(`eft-llama: --quiet and ${flag} exclude each other.\nSee \`eft-llama complete --help\`.\n`);
    });

    it("keeps pull silent when it has nothing to complain about", async () => {
        expect(await run(["pull", "demo", "--quiet"])).toMatchObject({ stdout: "", stderr: "", code: 0 });
    });
});
