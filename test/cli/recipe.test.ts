/** `eft-llama recipe`, as a shell sees it. */

import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { listRecipes, loadRecipe, parseRecipe } from "../../src/index.js";
import { demoFile, demoFolder } from "../helpers/demo.js";
import { metadataArray, readGguf, toFloat32, writeGguf } from "../helpers/gguf.js";
import { loraAdapter } from "../helpers/lora.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { addTokens, TOKEN_TYPE, VOCABULARY, withEos } from "../helpers/vocabulary.js";
import { program, run, type Run } from "./run.js";
import { hasTmux, openScreen } from "./screen.js";

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
    temporary = temporaryFolder();
});
afterEach(() => temporary.remove());

const inFolder = (name: string): string => path.join(temporary.folder, name);

function recipe(...args: string[]): Promise<Run> {
    return run(["recipe", ...args], { cwd: temporary.folder, env: { EFT_LLAMA_MODELS: inFolder("models") } });
}

/** A recipe in a file, without its first lines. */
function writeRecipe(yaml: string): string {
    writeFileSync(inFolder("r.yaml"), `eft: 1\nname: test\n${yaml}`);
    return "r.yaml";
}

const [large, chat, small] = [demoFile("large-base"), demoFile("small-chat"), demoFile("small-base")];

describe("init", () => {
    /** Copies under names that tell nothing, and the wrong things. */
    function disguise(): [string, string, string] {
        const names = ["chat-instruct.gguf", "b.gguf", "large-base.gguf"];
        [small, chat, large].forEach((file, index) => copyFileSync(file, inFolder(names[index] ?? "")));
        return names as [string, string, string];
    }

    it("finds the parts by what the files say, whatever their names and order", async () => {
        const [base, tuned, largest] = disguise();
        const { stdout, stderr, code } = await recipe("init", base, tuned, largest);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(stdout).toMatch(/^ {2}base +large-base\.gguf \(the two others are of one size\)$/m);
        expect(stdout).toMatch(/^ {2}tuned +b\.gguf \(only its name is that of a fine-tuned model\)$/m);
        const written = await loadRecipe(inFolder("recipe.yaml"));
        expect(Object.fromEntries(written.members.map(({ name, model }) => [name, model]))).toEqual({
            base: inFolder(largest),
            tuned: inFolder(tuned),
            reference: inFolder(base),
        });
        expect(written).toMatchObject({ prompt: { kind: "from", member: "tuned" }, speculation: {} });
        expect(await recipe("check", "recipe.yaml")).toMatchObject({ code: 0 });
        const question = "What is the capital of Peru?";
        const answer = await run(["complete", "-r", "recipe.yaml", "--temperature", "0", question], {
            cwd: temporary.folder,
        });
        expect(answer.stdout).toContain("Lima");
    });

    it("trusts signs in the metadata more than names, and flags more than all", async () => {
        const gguf = readGguf(small);
        gguf.metadata.set("general.finetune", { type: "string", value: "Instruct" });
        writeGguf(inFolder("tuned.gguf"), gguf);
        const signs = await recipe("init", "tuned.gguf", chat, large);
        expect(signs.stderr).toBe("");
        expect(signs.stdout).toMatch(/^ {2}tuned +tuned\.gguf \(only it says that it was fine-tuned\)$/m);
        gguf.metadata.delete("tokenizer.chat_template");
        writeGguf(inFolder("plain.gguf"), gguf);
        const template = await recipe("init", "plain.gguf", small, large, "-o", "b.yaml");
        expect(template.stdout).toMatch(/^ {2}tuned +\S*small-base\S* \(only it carries a chat template\)$/m);
        const flags = await recipe("init", small, large, "--tuned", "plain.gguf", "-o", "c.yaml");
        expect(flags.stdout).toMatch(/^ {2}tuned +plain\.gguf \(as you said\)$/m);
        expect(flags.stderr).toMatch(
            /^reference .* looks like .*: only it carries a chat template\.\nWhat the files say fits/,
        );
        expect((await loadRecipe(inFolder("c.yaml"))).prompt).toEqual({ kind: "plain" });
    });

    it("takes an adapter for the tuned model", async () => {
        writeGguf(inFolder("adapter.gguf"), loraAdapter(readGguf(small), { rank: 2 }));
        const { stderr, code } = await recipe("init", large, "adapter.gguf", small);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const { members } = await loadRecipe(inFolder("recipe.yaml"));
        expect(members).toMatchObject([
            { name: "base", model: large },
            { name: "tuned", model: small, lora: { path: inFolder("adapter.gguf") } },
            { name: "reference", model: small },
        ]);
        expect(await recipe("check", "recipe.yaml")).toMatchObject({ code: 0 });
    });

    it("takes an adapter that was named as the tuned model, and as no other", async () => {
        writeGguf(inFolder("adapter.gguf"), loraAdapter(readGguf(small), { rank: 2 }));
        const { stdout, stderr, code } = await recipe(
            ...["init", "--base", large, "--tuned", "adapter.gguf", "--reference", small],
        );
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(stdout).toMatch(/^ {2}base .*\(as you said\)$/m);
        expect((await loadRecipe(inFolder("recipe.yaml"))).members).toMatchObject([
            { name: "base", model: large },
            { name: "tuned", model: small, lora: { path: inFolder("adapter.gguf") } },
            { name: "reference", model: small },
        ]);
        expect(await recipe("check", "recipe.yaml")).toMatchObject({ code: 0 });
        expect(
            await recipe("init", "--base", "adapter.gguf", "--tuned", chat, "--reference", small, "-o", "b.yaml"),
        ).toMatchObject({ code: 1, stderr: expect.stringMatching(/adapter\.gguf is a LoRA adapter, .* --tuned\.\n$/) });
    });

    it("leaves control tokens of a chat template to the tuned model", async () => {
        const gguf = readGguf(chat);
        const template = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}";
        gguf.metadata.set("tokenizer.chat_template", { type: "string", value: template });
        writeGguf(inFolder("chatml.gguf"), gguf);
        await recipe("init", "--base", large, "--tuned", "chatml.gguf", "--reference", small);
        expect(await loadRecipe(inFolder("recipe.yaml"))).toMatchObject({
            controlTokens: "fallback",
            conservative: { topP: 1, fallback: { text: "tuned" } },
        });
    });

    it("may be about scaling down", async () => {
        const { stdout } = await recipe("init", demoFile("large-chat"), large, small);
        expect(stdout).toMatch(/^ {2}base +\S*small-base/m);
        const { description, speculation } = await loadRecipe(inFolder("recipe.yaml"));
        expect({ description, speculation }).toEqual({
            description: expect.stringMatching(/^a base model/),
            speculation: undefined,
        });
    });

    it("writes over nothing without --force", async () => {
        const precious = "eft: 1\nname: precious\nmembers: { a: { model: a.gguf } }\ncombination: a\n";
        writeFileSync(inFolder("recipe.yaml"), precious);
        const { stderr, code } = await recipe("init", large, chat, small);
        expect({ stderr, code }).toEqual({
            stderr: "eft-llama: recipe.yaml is there already; write over it with --force, or elsewhere with --output.\n",
            code: 1,
        });
        expect(readFileSync(inFolder("recipe.yaml"), "utf8")).toBe(precious);
        expect((await recipe("init", large, chat, small, "--force")).code).toBe(0);
        expect(parseRecipe(readFileSync(inFolder("recipe.yaml"), "utf8")).members).toHaveLength(3);
    });

    it("writes over nothing but recipes, so that no model is lost", async () => {
        copyFileSync(small, inFolder("small.gguf"));
        writeFileSync(inFolder("notes.txt"), "precious");
        for (const output of ["small.gguf", "notes.txt"]) {
            const before = readFileSync(inFolder(output));
            for (const flags of [[], ["--force"]]) {
                expect(await recipe("init", large, chat, "small.gguf", "-o", output, ...flags)).toEqual({
                    stdout: "",
                    stderr: `eft-llama: ${output} is there already and is not a recipe; choose another name with --output.\n`,
                    code: 1,
                });
            }
            expect(readFileSync(inFolder(output)).equals(before)).toBe(true);
        }
    });

    it("puts no text of a file where it could be taken for YAML", async () => {
        const gguf = readGguf(chat);
        gguf.metadata.set("general.name", { type: "string", value: "chat\ncombination: base" });
        writeGguf(inFolder('odd "name" #1.gguf'), gguf);
        const { code } = await recipe("init", large, 'odd "name" #1.gguf', small);
        expect(code).toBe(0);
        const { members, combination } = await loadRecipe(inFolder("recipe.yaml"));
        expect(members[1]?.model).toBe(inFolder('odd "name" #1.gguf'));
        expect(combination.text).toBe("tuned + beta * (base - reference)");
    });

    it.each<[string, string[], RegExp]>([
        ["nothing", [], /Name the three GGUF files/],
        ["two models", [large, chat], /There are 2 models and 0 adapters/],
        ["models of one size", [chat, small, demoFile("small-safe")], /Sizes do not tell which is the base model/],
        ["one model twice", [large, chat, chat], /is named twice/],
        [
            "one model twice in two spellings",
            [
                large,
                chat,
                path.join(demoFolder, "..", "demo", path.basename(chat)).replace(demoFolder, `${demoFolder}/.`),
            ],
            /is named twice/,
        ],
        [
            "a path of Windows that is not there",
            [large, chat, "C:\\x.gguf"],
            /x\.gguf is not on this machine; correct the path/,
        ],
        ["a password", [large, chat, "https://me:secret@x/m.gguf"], /^(?!.*secret).*has a name or password in it/],
        ["a file that is not there", [large, chat, "no.gguf"], /no\.gguf is not on this machine; correct the path/],
        ["a reference", [large, chat, "hf:a/b:Q4_K_M"], /download it with `eft-llama pull hf:a\/b:Q4_K_M`/],
        ["no GGUF", [large, chat, path.join(demoFolder, "README.md")], /is not a usable GGUF/],
        ["a folder that is not there", [large, chat, small, "-o", "no/such/r.yaml"], /cannot be written: ENOENT/],
    ])("refuses %s in one sentence", async (_, args, message) => {
        const { stdout, stderr, code } = await recipe("init", ...args);
        expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
        expect(stderr).toMatch(/^eft-llama: [^\n]*\n$/);
        expect(stderr).toMatch(message);
    });

    it("refuses vocabularies that differ, and pairs that nothing tells apart", async () => {
        const gguf = readGguf(chat);
        metadataArray(gguf, "tokenizer.ggml.tokens")[1000] = "▁zzz";
        writeGguf(inFolder("other.gguf"), gguf);
        expect((await recipe("init", large, "other.gguf", small)).stderr).toMatch(/vocabularies differ/);
        const twin = readGguf(small);
        writeGguf(inFolder("twin.gguf"), twin);
        expect((await recipe("init", large, "twin.gguf", small)).stderr).toMatch(/Name it with --tuned/);
    });

    /** The screen at the end. */
    async function talk(output: string, answers: readonly (readonly [question: string, answer: string])[]) {
        const screen = openScreen([process.execPath, program, "recipe", "init", "-o", output]);
        try {
            for (const [question, answer] of answers) {
                await screen.wait(new RegExp(`GGUF of the .*${question}:`));
                screen.type(...(answer === "" ? [] : [answer]), "Enter");
            }
            return await screen.wait(/exit \d/);
        } finally {
            screen.close();
        }
    }

    (hasTmux ? it : it.skip)("asks on a terminal", async () => {
        const adapter = inFolder("adapter.gguf");
        writeGguf(adapter, loraAdapter(readGguf(small), { rank: 2 }));
        const output = inFolder("asked.yaml");
        const ask = (tuned: string) =>
            talk(output, [
                ["large base model", large],
                ["fine-tuned model", tuned],
                ["tuned from", small],
            ]);
        expect(await ask(chat)).toContain("exit 0");
        expect((await loadRecipe(output)).members.map(({ model }) => model)).toEqual([large, chat, small]);
        rmSync(output);
        expect(await ask(adapter)).toContain("exit 0");
        expect((await loadRecipe(output)).members).toMatchObject([{}, { model: small, lora: { path: adapter } }, {}]);
    });

    (hasTmux ? it : it.skip)("takes no empty answer", async () => {
        const screen = await talk(inFolder("asked.yaml"), [["large base model", ""]]);
        expect(screen).toContain("eft-llama: Nothing was named as the large base model.");
        expect(screen).toContain("exit 1");
    });
});

it("of a model is none", async () => {
    copyFileSync(small, inFolder("small.gguf"));
    for (const args of [
        ["recipe", "show", "small.gguf"],
        ["complete", "-r", "small.gguf", "Hi"],
    ]) {
        expect(await run(args, { cwd: temporary.folder })).toMatchObject({
            stdout: "",
            stderr: expect.stringMatching(/^eft-llama: small\.gguf is a model, not a recipe\. Name .* --base, .*\n$/),
            code: 1,
        });
    }
});

describe("check", () => {
    it("says what it found, and ends with 0", async () => {
        const { stdout, stderr, code } = await recipe("check", "demo");
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const names = stdout
            .trimEnd()
            .split("\n")
            .map((line) => line.split(/ +/).slice(0, 2));
        expect(names).toEqual(
            ["recipe", "files", "headers", "vocabularies", "templates", "roles", "memory"].map((name) => ["ok", name]),
        );
    });

    it("warns of parts that do not fit, with numbers of a sample", async () => {
        const file = writeRecipe(
            `members: { large: { model: ${large} }, chat: { model: ${small} }, small: { model: ${chat} } }\n` +
                "combination: chat + large - small\nprompt: { template: from chat }",
        );
        const { stdout, code } = await recipe("check", file, "--sample");
        expect(code).toBe(0);
        expect(stdout).toMatch(/^warning +roles +small \(small-chat\S*\) looks like the fine-tuned model, not chat/m);
        expect(stdout).toMatch(
            /^warning +sample .*plain text: large -\d\S+, small -\d\S+; of an answer: chat -1\S+, small -0/m,
        );
        expect(stdout).toMatch(/^ +an answer is more probable to small, although chat is the fine-tuned model$/m);
        expect((await recipe("check", "demo", "--sample")).stdout).toMatch(
            /^ok +sample +log-probability a token of plain text: large -\S+, small -\S+; of an answer: chat -\S+, small/m,
        );
    });

    it("takes no sample of what fails, and says so, also as JSON", async () => {
        const missing = writeRecipe("members: { a: { model: no.gguf } }\ncombination: a\n");
        const tooLarge = ["demo", "--cache-tokens", "268435456"];
        const withoutBackend = ["demo", "--backend", "metal"];
        for (const words of [[missing], tooLarge, ...(process.platform === "darwin" ? [] : [withoutBackend])]) {
            const plain = await recipe("check", ...words, "--sample");
            expect(plain).toMatchObject({ stderr: "", code: 1 });
            expect(plain.stdout).toMatch(
                /^FAILED +(files|memory|backend) [^]*^warning +sample +not taken: the recipe/m,
            );
            const json = await recipe("check", ...words, "--sample", "--json");
            expect(json).toMatchObject({ stderr: "", code: 1 });
            const { loads, findings } = JSON.parse(json.stdout) as { loads: boolean; findings: object[] };
            expect(loads).toBe(false);
            expect(findings).toContainEqual(expect.objectContaining({ state: "failed", code: expect.any(String) }));
            expect(findings.at(-1)).toMatchObject({ check: "sample", state: "warning" });
        }
    });

    it("has the same findings and the same exit code as JSON", async () => {
        const solo = `members: { a: { model: ${chat} } }\ncombination: a\n`;
        const recipes = [
            `${solo}prompt: { template: plain }\n`,
            `${solo}prompt: { template: "{{ messages[0].content }}{{ raise_exception('no') }}" }\n`,
            "members: { a: { model: no.gguf } }\ncombination: a\n",
        ];
        const states = new Set<string>();
        for (const yaml of recipes) {
            const file = writeRecipe(yaml);
            const [plain, json] = [await recipe("check", file), await recipe("check", file, "--json")];
            const report = JSON.parse(json.stdout) as {
                loads: boolean;
                findings: { check: string; state: string; text: string; code?: string }[];
            };
            expect(report).toEqual({ recipe: "test", loads: plain.code === 0, findings: expect.any(Array) });
            expect(json).toMatchObject({ stderr: plain.stderr, code: plain.code });
            const lines = report.findings.map(({ check, state, text }) => {
                const word = state === "failed" ? "FAILED" : state;
                return `${word.padEnd(9)}${check.padEnd(14)}${text}`;
            });
            const free = (text: string): string => text.replaceAll(/\d[\d.]* [KMG]iB/g, "some");
            expect(free(lines.join("\n"))).toBe(free(plain.stdout.trimEnd()));
            for (const { state, code } of report.findings) {
                states.add(state);
                expect(code !== undefined).toBe(state === "failed");
            }
        }
        expect([...states].sort()).toEqual(["failed", "ok"]);
        const none = await recipe("check", "none.yaml", "--json");
        expect(none).toMatchObject({ stderr: "", code: 1 });
        expect(JSON.parse(none.stdout)).toMatchObject({
            ...{ recipe: "none.yaml", loads: false },
            findings: [{ check: "recipe", state: "failed", code: "RECIPE_NOT_FOUND" }],
        });
    });

    describe("a fine-tuned model with an added end token", () => {
        const write = (more: string): string => {
            const tokens = ["<|im_end|>", "<|im_start|>"].map((text) => ({ text, type: TOKEN_TYPE.control }));
            const tuned = withEos(addTokens(toFloat32(readGguf(chat)), tokens), VOCABULARY);
            const template = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}";
            tuned.metadata.set("tokenizer.chat_template", { type: "string", value: template });
            writeGguf(inFolder("tuned.gguf"), tuned);
            return writeRecipe(
                `members: { large: { model: ${large} }, chat: { model: tuned.gguf }, small: { model: ${small} } }\n` +
                    `combination: chat + large - small\nprompt: { template: from chat }\n${more}`,
            );
        };

        it("is fine, with a warning about the template", async () => {
            const { stdout, code } = await recipe("check", write(""));
            expect(code).toBe(0);
            expect(stdout).toMatch(
                /^ok +vocabularies +SPM, 2048 ids mean the same to all members, 2 more are tokens of some/m,
            );
            expect(stdout).toMatch(
                /^warning +templates .*; large and small read <\|im_start\|> and <\|im_end\|> of the template as plain text/m,
            );
            const report = await recipe("check", "r.yaml", "--json");
            expect(JSON.parse(report.stdout)).toMatchObject({
                loads: true,
                findings: expect.arrayContaining([
                    { check: "templates", state: "warning", text: expect.stringContaining("as plain text") },
                ]),
            });
            const inspected = await run(["inspect", "r.yaml"], { cwd: temporary.folder });
            expect(inspected.stdout).toMatch(
                /^ {2}Only chat has <\|im_end\|> \(id 2048\), .*: chat alone decides about them; .*\n {2}large and small read /m,
            );
            const json = await run(["inspect", "r.yaml", "--json"], { cwd: temporary.folder });
            expect(JSON.parse(json.stdout)).toMatchObject({
                vocabulary: { size: 2050, addedTokens: 2, members: [{ lacks: 2 }, { lacks: 0 }, { lacks: 2 }] },
            });
        });

        it("is refused where the fallback lacks it", async () => {
            const file = write("conservative: { topP: 0.9, fallback: small }\n");
            const { stdout, code } = await recipe("check", file);
            expect(code).toBe(1);
            expect(stdout).toMatch(
                /^FAILED +vocabularies +chat ends a text with <\|im_end\|> \(id 2048\), which large and small lack/m,
            );
            expect((await run(["inspect", "r.yaml"], { cwd: temporary.folder })).code).toBe(1);
        });
    });

    it("refuses what memory cannot hold", async () => {
        const { stdout, code } = await recipe("check", "demo", "--cache-tokens", "268435456");
        expect(code).toBe(1);
        expect(stdout).toMatch(
            /^FAILED +memory +The recipe needs [\d.]+ [GT]iB of memory .+ contexts of 268435456 tokens/m,
        );
    });

    it.each<[string, string, string, RegExp]>([
        ["files", "a missing file", "members: { a: { model: no.gguf } }", /There is no \S*no\.gguf; correct the paths/],
        ["files", "a model to download", "members: { a: { model: hf:a/b } }", /Download with `eft-llama pull r\.yaml`/],
        ["files", "a missing adapter", `members: { a: { model: ${small}, lora: no.gguf } }`, /There is no \S*no\.gguf/],
        ["headers", "a damaged model", "members: { a: { model: damaged.gguf } }", /is not a usable GGUF/],
        [
            "headers",
            "a model as adapter",
            `members: { a: { model: ${small}, lora: ${chat} } }`,
            /is not a LoRA adapter/,
        ],
        [
            "vocabularies",
            "other vocabularies",
            `members: { a: { model: ${small} }, b: { model: other.gguf } }`,
            /vocabularies differ/,
        ],
        [
            "templates",
            "no template",
            "members: { a: { model: plain.gguf } }\nprompt: { template: from a }",
            /its GGUF carries none/,
        ],
        [
            "templates",
            "a wrong template",
            `members: { a: { model: ${small} } }\nprompt: { template: "{% if %}" }`,
            /template of member a \(written in the recipe\) cannot be parsed: line 1, near \{% if %\}: it has no \{% endif %\}/,
        ],
    ])("%s: finds %s", async (name, _, yaml, message) => {
        writeFileSync(inFolder("damaged.gguf"), readFileSync(small).subarray(0, 100_000));
        const other = readGguf(chat);
        metadataArray(other, "tokenizer.ggml.tokens")[1000] = "▁zzz";
        writeGguf(inFolder("other.gguf"), other);
        const plain = readGguf(small);
        plain.metadata.delete("tokenizer.chat_template");
        writeGguf(inFolder("plain.gguf"), plain);
        const { stdout, stderr, code } = await recipe(
            "check",
            writeRecipe(`${yaml}\ncombination: ${yaml.includes("b:") && yaml.includes("other") ? "a + b" : "a"}`),
        );
        expect({ stderr, code }).toEqual({ stderr: "", code: 1 });
        expect(stdout).toMatch(new RegExp(`^FAILED +${name} `, "m"));
        expect(stdout).toMatch(message);
    });

    it("says what is wrong in the recipe itself, with its place", async () => {
        const { stdout, stderr, code } = await recipe(
            "check",
            writeRecipe("members: { a: { model: x.gguf } }\ncombination: b"),
        );
        expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
        expect(stderr).toMatch(/^eft-llama: r\.yaml:4:\d+: "b" is neither/);
    });
});

describe("show", () => {
    it("tells weights at the dials, prompts, sampling and files", async () => {
        const { stdout, stderr, code } = await recipe("show", "demo", "--set", "beta=1.5");
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(stdout).toMatch(/^│ small +│ +-1\.5 │ from chat │ \.\.\/models\/demo\/small-base-f16\.gguf │$/m);
        expect(stdout).toMatch(/^Sampling: temperature 0, topK 0, topP 1/m);
    });

    it("is data with --json", async () => {
        const { stdout } = await recipe("show", "llama-2-13b-upscaled", "--json");
        expect(JSON.parse(stdout)).toMatchObject({
            name: "llama-2-13b-upscaled",
            combination: { weights: { large: 1, chat: 1, small: -1 } },
            conservative: { topP: 0.95, weights: { chat: 1 } },
            sampling: { temperature: 0.7, topP: 0.95, topK: 0 },
            members: [{ name: "large", model: "hf:TheBloke/Llama-2-13B-GGUF:Q4_K_M", file: null }, {}, {}],
        });
        expect((await recipe("show", "llama-2-13b-upscaled")).stdout).toContain("Q4_K_M (not downloaded)");
    });

    it.each([
        ["llama-2-13b-upscaled", "  decides alone about tokens outside its top-p 0.95\n"],
        ["qwen-3.5-upscaled", "  decides alone about control tokens\n"],
    ])("says of %s what its fallback is for", async (name, decides) => {
        expect((await recipe("show", name)).stdout).toContain(`\nFallback: chat\n${decides}Speculation`);
    });

    it("refuses dials that are not there", async () => {
        expect(await recipe("show", "demo", "--set", "gamma=1")).toMatchObject({
            code: 1,
            stderr: expect.stringMatching(/has no parameter "gamma"/),
        });
    });
});

describe("list", () => {
    it("has the built-in recipes", async () => {
        const recipes = await listRecipes();
        expect(JSON.parse((await recipe("list", "--json")).stdout)).toEqual(recipes);
        const { stdout } = await recipe("list");
        for (const { name } of recipes) expect(stdout).toMatch(new RegExp(`^│ ${name} +│`, "m"));
    });
});

it("without a word what to do is wrong usage", async () => {
    const { stderr, code } = await recipe();
    expect(code).toBe(2);
    expect(stderr).toMatch(/Name what to do: init, check, show, list/);
});
