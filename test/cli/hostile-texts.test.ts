/** Files that try to steer the terminal of whoever looks at them: names, metadata, descriptions, tensors, answers. */

import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { demoFile, repository } from "../helpers/demo.js";
import { mapEntry, readGguf, withMetadata, writeGguf, type Gguf, type MetadataValue } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { hasTerminal, program, run, runOnTerminal } from "./run.js";
import { hasTmux, openScreen } from "./screen.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);
const inFolder = (name: string): string => path.join(folder, name);

/** A title, colours, concealed text, a cleared screen in both kinds of sequences, a direction, and lines of its own. */
const HOSTILE = "\x1b]0;PWNED\x07\x1b[8m\x1b[2J\x9b31m\u202eRED\x7f\r\nFORGED line\rFORGED";
/** What the program paints with: bold, dim, underlined and colours, but nothing concealed. */
const COLORS = new RegExp(`${"\x1b"}\\[(?:[0124]|2[1-9]|3\\d|4\\d|9\\d)(?:;\\d+)*m`, "g");
/** What a file system takes. */
const HOSTILE_NAME = "\x1b[8mname\x07\u202e\nFORGED.gguf";

function text(value: string): MetadataValue {
    return { type: "string", value };
}

function writeRecipe(name: string, more: object): void {
    const recipe = {
        ...{ eft: 1, name: "t", members: { m: { model: "plain.gguf" } } },
        ...{ combination: "m", prompt: { template: "plain" } },
        ...more,
    };
    writeFileSync(inFolder(name), JSON.stringify(recipe));
}

beforeAll(() => {
    const model = readGguf(demoFile("small-chat"));
    const write = (name: string, gguf: Gguf): void => writeGguf(inFolder(name), gguf);
    const rename = (gguf: Gguf, at: number, change: (name: string) => string): Gguf => ({
        ...gguf,
        tensors: gguf.tensors.map((tensor, index) =>
            index === at ? { ...tensor, name: change(tensor.name) } : tensor,
        ),
    });
    write("plain.gguf", model);
    for (const [name, key] of [
        ["name", "general.name"],
        ["architecture", "general.architecture"],
        ["tokenizer", "tokenizer.ggml.model"],
        ["pre", "tokenizer.ggml.pre"],
        ["rope", "llama.rope.scaling.type"],
    ] as const)
        write(`${name}.gguf`, withMetadata(model, { [key]: text(HOSTILE) }));
    const template = `{{ raise_exception(${JSON.stringify(HOSTILE)}) }}`;
    write("template.gguf", withMetadata(model, { "tokenizer.chat_template": text(template) }));
    write(
        "tensor.gguf",
        rename(model, 3, () => "blk\x1b[31m\nFORGED"),
    );
    const tokens = mapEntry(model, "tokenizer.ggml.tokens", (token, index) =>
        index >= 300 ? `\x1b[8mX${index}\x07\x9b` : token,
    );
    write("tokens.gguf", withMetadata(model, { "tokenizer.ggml.tokens": tokens }));
    write(
        "adapter.gguf",
        rename(readGguf(path.join(repository, "models/demo/small-chat-lora.gguf")), 0, () => "\x1b[31m\nFORGED.lora_a"),
    );
    copyFileSync(inFolder("plain.gguf"), inFolder(HOSTILE_NAME));

    writeRecipe("described.json", {
        ...{ description: HOSTILE, source: HOSTILE, combination: "b * m" },
        parameters: { b: { default: 1, min: 0, max: 2, description: HOSTILE } },
    });
    writeRecipe("names.json", { members: { m: { model: HOSTILE_NAME } } });
    writeRecipe("missing.json", { members: { m: { model: `no${HOSTILE_NAME}` } } });
    writeRecipe("unknown.json", { combination: `m + ${HOSTILE}`, [HOSTILE]: 1 });
    writeRecipe("template.json", { members: { m: { model: "template.gguf" } }, prompt: { template: "from m" } });
    writeRecipe("name.json", { name: HOSTILE });
    writeRecipe("tokens.json", {
        members: { m: { model: "tokens.gguf" }, v: { model: "tokens.gguf" } },
        ...{ combination: "m + v", speculation: { drafter: "m" } },
    });
    writeRecipe("differ.json", {
        members: { m: { model: "plain.gguf" }, v: { model: "tokens.gguf" } },
        combination: "m + v",
    });
    writeRecipe("adapter.json", { members: { m: { model: "plain.gguf", lora: "adapter.gguf" } } });
    writeFileSync(inFolder("bad.gbnf"), `root ::= ${HOSTILE}`);
    writeFileSync(inFolder("bad.json"), `{"type":"${HOSTILE}"}`);
    writeFileSync(inFolder("unknown-type.json"), JSON.stringify({ properties: { [HOSTILE]: { type: HOSTILE } } }));
    writeFileSync(inFolder("chat.json"), JSON.stringify({ [HOSTILE]: HOSTILE }));
    writeFileSync(inFolder("experiment.json"), JSON.stringify({ eft: 1, [HOSTILE]: HOSTILE }));
});

const MODELS = ["name", "architecture", "tokenizer", "pre", "rope", "template", "tensor", "tokens", "adapter"];
const RECIPES = ["described", "name", "names", "missing", "unknown", "template", "tokens", "differ", "adapter"];
const FEW = ["--backend", "cpu", "--threads", "1", "--max-tokens", "4", "--seed", "1"];
const COMMANDS: readonly (readonly string[])[] = [
    ...MODELS.map((name) => ["inspect", `${name}.gguf`]),
    ["inspect", HOSTILE_NAME],
    ["inspect", "no" + HOSTILE_NAME],
    ...RECIPES.flatMap((name) => [
        ["inspect", `${name}.json`],
        ["recipe", "show", `${name}.json`],
        ["recipe", "check", `${name}.json`],
        ["complete", "--verbose", "-r", `${name}.json`, ...FEW, "Hello"],
    ]),
    ["recipe", "init", "plain.gguf", "plain.gguf", HOSTILE_NAME],
    ["recipe", "init", "--base", "name.gguf", "--tuned", HOSTILE_NAME, "--reference", "plain.gguf", "-o", "new.yaml"],
    ["complete", "-r", "described.json", "--grammar", "bad.gbnf", "Hello"],
    ["complete", "-r", "described.json", "--json-schema", "bad.json", "Hello"],
    ["complete", "-r", "described.json", "--json-schema", "unknown-type.json", "Hello"],
    ["complete", "-r", "described.json", `--${HOSTILE}`, "Hello"],
    ["complete", "-r", HOSTILE, "Hello"],
    ["complete", "-r", "described.json", "-f", HOSTILE],
    ["complete", "-r", "tokens.json", "--explain", ...FEW, "Hello"],
    ["score", "-r", "described.json", "--pairs", "-f", "bad.gbnf"],
    ["pull", `hf:a/b/${HOSTILE}`],
    ["pull", "names.json"],
    ["eval", "experiment.json", "--out", "results"],
];

/** Lines, with what nobody may see marked; no line is forged. */
function expectHarmless(output: string): void {
    expect(output.replaceAll("\n", "").match(/(?!\t)[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu)).toBeNull();
    expect(output).not.toMatch(/^FORGED/m);
}

describe("what people read", () => {
    it.each(COMMANDS)("is harmless: %j %j %j %j", async (...args) => {
        const { stdout, stderr } = await run(args, { cwd: folder });
        expect(stdout + stderr).not.toBe("");
        // Of a pipe, an answer is none of our business.
        if (args[0] !== "complete" || args.includes("--explain")) expectHarmless(stdout);
        expectHarmless(stderr);
    });

    it("is harmless in a conversation", async () => {
        const input = ["/recipe", "Hello", "/prompt", "/explain", "/load chat.json", "/set", "/stats"].join("\n");
        const args = ["chat", "--verbose", "-r", "described.json", ...FEW];
        const { stdout, stderr } = await run(args, { cwd: folder, input });
        expectHarmless(stderr);
        expectHarmless(stdout);
        expect(stdout).toContain("PWNED");
    });
});

describe("what a model says", () => {
    const complete = (...more: readonly string[]): readonly string[] => [
        ...["complete", "--quiet", "-r", inFolder("tokens.json"), ...FEW],
        ...[...more, "Hello"],
    ];

    it("comes byte by byte in a pipe", async () => {
        const { stdout } = await run(complete());
        const tokens = (await run(complete("--json"))).stdout.split("\n").slice(0, -2);
        expect(stdout).toContain("\x1b[8mX");
        expect(stdout).toContain(tokens.map((line) => (JSON.parse(line) as { text: string }).text).join(""));
    });

    (hasTerminal ? it : it.skip).each([[[]], [["--json"]], [["--explain"]]])(
        "is harmless on a terminal: %j",
        (more) => {
            const words = [process.execPath, program, ...complete(...more)].map((word) => `'${word}'`);
            const output = runOnTerminal(words.join(" ")).replaceAll("\r\n", "\n");
            expect(output).toContain("X");
            // The colours of tables and of the heat are the program's own.
            expectHarmless(output.replaceAll(COLORS, ""));
        },
    );

    (hasTmux ? it : it.skip)("is harmless in a conversation on a terminal", async () => {
        const env = { EFT_LLAMA_HISTORY: "" };
        const args = [process.execPath, program, "chat", "-r", inFolder("tokens.json"), ...FEW];
        const screen = openScreen(args, { env });
        try {
            await screen.wait(/\/help lists/);
            screen.type("Hello", "Enter");
            await screen.wait(/\\u001b\[8mX\d+\\u0007\\u009b/);
        } finally {
            screen.close();
        }
    });
});

it("no command writes past the functions that see to this", () => {
    const source = path.join(repository, "src", "cli");
    // The terminal of a conversation moves the cursor.
    const allowed = ["terminal.ts", path.join("chat", "terminal.ts")];
    const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
        (file) => file.endsWith(".ts") && !allowed.includes(file),
    );
    expect(files.length).toBeGreaterThan(30);
    const writes = files.filter((file) =>
        /std(?:out|err)\.write|console\.|process\.emitWarning/.test(readFileSync(path.join(source, file), "utf8")),
    );
    expect(writes).toEqual([]);
});

(process.platform === "win32" ? it.skip : it)("a saved conversation is for nobody else to read", async () => {
    const args = ["chat", "-r", "described.json", ...FEW];
    await run(args, { cwd: folder, input: "Hello\n/save talk.json" });
    expect(statSync(inFolder("talk.json")).mode & 0o777).toBe(0o600);
});
