/** What the package brings along for recipes: the built-in ones, their schema, and a page of documentation. */

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Template } from "@huggingface/jinja";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { DEFAULT_SAMPLING, resolveSampling } from "../../src/decoding/sampling.js";
import { EftError } from "../../src/errors.js";
import { combinationWeights, listRecipes, loadRecipe, parseRecipe, resolveParameters } from "../../src/recipe/index.js";
import type { Recipe } from "../../src/types.js";
import { readPublicTemplates, sampleOf } from "../helpers/public-templates.js";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const BUILT_IN = [
    "apertus-upscaled",
    "context-aware",
    "demo",
    "demo-dial",
    "gemma-3-upscaled",
    "genarm-reward",
    "helpful-harmless-dial",
    "llama-2-13b-lora-7b",
    "llama-2-13b-upscaled",
    "llama-2-70b-upscaled",
    "llama-2-amplified",
    "llama-2-downscaled",
    "llama-3-upscaled",
    "llama-3.1-upscaled",
    "ministral-3-upscaled",
    "olmo-2-stages",
    "olmo-3-think-upscaled",
    "proxy-tuning",
    "qwen-2.5-upscaled",
    "qwen-3-moe-upscaled",
    "qwen-3-upscaled",
    "qwen-3.5-upscaled",
    "smollm2-upscaled",
    "thinklogit",
];

function weights(recipe: Recipe, values: Record<string, number> = {}): Record<string, number> {
    const names = recipe.members.map(({ name }) => name);
    const list = combinationWeights(recipe.combination, names, resolveParameters(recipe, values));
    return Object.fromEntries(names.map((name, index) => [name, list[index] ?? NaN]));
}

describe("built-in recipes", () => {
    test("are listed", async () => {
        const list = await listRecipes();
        expect(list.map(({ name }) => name)).toEqual(BUILT_IN);
        for (const { name, file, description } of list) {
            expect(basename(file)).toBe(`${name}.yaml`);
            expect(description).not.toBe("");
        }
    });

    test.each(BUILT_IN)("%s is complete", async (name) => {
        const recipe = await loadRecipe(name);
        expect(recipe.name).toBe(name);
        expect(recipe.source).toMatch(/arXiv \d{4}\.\d{5}$/);
        for (const { description } of Object.values(recipe.parameters)) expect(description).toBeTruthy();
        expect(read(`recipes/${name}.yaml`).split("\n")[0]).toBe(
            "# yaml-language-server: $schema=./recipe.schema.json",
        );
    });

    test.each([
        ["demo", {}, { large: 1, chat: 1, small: -1 }],
        ["demo", { beta: 0 }, { large: 0, chat: 1, small: 0 }],
        ["demo-dial", { lambda: 0 }, { large: 1, chat: 1, safe: 0, small: -1 }],
        ["demo-dial", { lambda: 1 }, { large: 1, chat: 0, safe: 1, small: -1 }],
        ["genarm-reward", { w: 2 }, { large: 1, reward: 2 }],
        ["helpful-harmless-dial", { lambda: 0.25 }, { large: 1, help: 0.75, safe: 0.25, small: -1 }],
        ["llama-2-13b-lora-7b", {}, { large: 1, tuned: 1, small: -1 }],
        ["llama-2-amplified", {}, { large: 1.5, chat: 1, small: -1.5 }],
        ["llama-2-downscaled", {}, { small: 1, chat: 1, large: -1 }],
        ["proxy-tuning", { alpha: 0.5 }, { large: 1, chat: 0.5, small: -0.5 }],
        ["olmo-2-stages", {}, { large: 1, base: -1, sft: 0, dpo: 0, instruct: 1 }],
        ["olmo-2-stages", { w_dpo: 0, w_rlvr: 0 }, { large: 1, base: -1, sft: 1, dpo: 0, instruct: 0 }],
        ["thinklogit", {}, { reasoner: 1, large: 1, small: -1 }],
        ["context-aware", { alpha: 1 }, { informed: 2, uninformed: -1 }],
    ])("%s with %j", async (name, values: Record<string, number>, expected) => {
        const actual = weights(await loadRecipe(name), values);
        expect(Object.keys(actual)).toEqual(Object.keys(expected));
        for (const [member, weight] of Object.entries(expected)) expect(actual[member]).toBeCloseTo(weight, 12);
    });

    test("speculate where a smaller model can draft for a larger one", async () => {
        const drafters: Record<string, string> = {};
        for (const name of BUILT_IN) {
            const { speculation } = await loadRecipe(name);
            if (speculation) drafters[name] = speculation.drafter?.text ?? "the default";
        }
        expect(drafters).toEqual({
            "apertus-upscaled": "the default",
            "gemma-3-upscaled": "the default",
            "helpful-harmless-dial": "(1 - lambda) * help + lambda * safe",
            "llama-2-13b-lora-7b": "the default",
            "llama-2-13b-upscaled": "the default",
            "llama-2-70b-upscaled": "the default",
            "llama-2-amplified": "the default",
            "llama-3-upscaled": "the default",
            "llama-3.1-upscaled": "the default",
            "ministral-3-upscaled": "the default",
            "olmo-2-stages": "(1 - w_sft) * base + (w_sft - w_dpo) * sft + (w_dpo - w_rlvr) * dpo + w_rlvr * instruct",
            "olmo-3-think-upscaled": "the default",
            "proxy-tuning": "chat",
            "qwen-2.5-upscaled": "the default",
            "qwen-3-upscaled": "the default",
            "smollm2-upscaled": "the default",
            thinklogit: "the default",
        });
    });

    const MESSAGES = [
        { role: "system", content: "Be kind." },
        { role: "user", content: " Hi. " },
        { role: "assistant", content: "Hello." },
        { role: "user", content: "Bye." },
    ];
    const LLAMA_2 = "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi. [/INST] Hello. </s><s>[INST] Bye. [/INST]";

    test.each([
        ["genarm-reward", "large", LLAMA_2],
        ["llama-2-13b-upscaled", "chat", LLAMA_2],
        ["llama-2-70b-upscaled", "chat", LLAMA_2],
        ["llama-2-amplified", "chat", LLAMA_2],
        ["llama-2-downscaled", "chat", LLAMA_2],
        ["proxy-tuning", "chat", LLAMA_2],
        [
            "llama-2-13b-lora-7b",
            "tuned",
            "Be kind.\n\n### Instruction:\n Hi. \n\n### Response:\nHello.</s>\n\n" +
                "### Instruction:\nBye.\n\n### Response:\n",
        ],
        ["helpful-harmless-dial", "help", "Be kind.\n\nHuman:  Hi. \n\nAssistant: Hello.\n\nHuman: Bye.\n\nAssistant:"],
    ])("the template of %s renders", async (name, member, expected) => {
        const recipe = await loadRecipe(name);
        const prompt = recipe.members.find((spec) => spec.name === member)?.prompt ?? recipe.prompt;
        if (prompt.kind !== "jinja") throw new Error(`${name} has no Jinja template.`);
        const variables = { messages: MESSAGES, bos_token: "<s>", eos_token: "</s>", add_generation_prompt: true };
        expect(new Template(prompt.template).render(variables)).toBe(expected);
    });

    test("context-aware shows one member everything but the system message, in the format of the other", async () => {
        const { members, prompt } = await loadRecipe("context-aware");
        const [informed = prompt, uninformed] = members.map((member) => member.prompt);
        if (uninformed?.kind !== "jinja") throw new Error("There is no Jinja template.");
        expect(informed).toMatchObject({ kind: "from", member: "informed" });
        const messages = [
            { role: "system", content: "The context." },
            { role: "user", content: "Hi." },
            { role: "assistant", content: "Hello." },
            { role: "user", content: "Bye." },
        ] as const;
        const family = sampleOf((await readPublicTemplates()).get("Qwen-Qwen3-0.6B.jinja") ?? "");
        expect(sampleOf(uninformed.template)(messages, {}, true)).toBe(family(messages.slice(1), {}, true));
        expect(family(messages, {}, true)).toContain("The context.");
    });
});

describe("the schema", () => {
    interface Node {
        readonly properties?: Readonly<Record<string, Node>>;
        readonly definitions?: Readonly<Record<string, Node>>;
        readonly default?: unknown;
        readonly minimum?: number;
        readonly exclusiveMinimum?: number;
        readonly maximum?: number;
    }
    const schema = JSON.parse(read("recipes/recipe.schema.json")) as Node;

    test("has the sampling options with the defaults and limits of the engine", () => {
        const options = schema.properties?.["sampling"]?.properties ?? {};
        const defaults = Object.fromEntries(Object.entries(options).map(([key, option]) => [key, option.default]));
        expect(defaults).toEqual(DEFAULT_SAMPLING);
        for (const [key, { minimum, exclusiveMinimum, maximum = NaN }] of Object.entries(options)) {
            const lowest = minimum ?? (exclusiveMinimum ?? NaN) + 1e-9;
            const resolve = (value: number) => () => resolveSampling({ [key]: value });
            expect(resolve(lowest)).not.toThrow();
            expect(resolve(maximum)).not.toThrow();
            expect(resolve(exclusiveMinimum ?? lowest - 1)).toThrow(EftError);
            expect(resolve(maximum + 1)).toThrow(EftError);
        }
    });

    test("has no key that the documentation leaves out", () => {
        const keys = (node: Node): string[] =>
            Object.entries(node.properties ?? {}).flatMap(([key, child]) => [key, ...keys(child)]);
        const all = [schema, ...Object.values(schema.definitions ?? {})].flatMap(keys);
        const documentation = read("docs/recipes.md");
        for (const key of all)
            expect(documentation).toMatch(new RegExp(`^\\| \`(?:lora\\.|thinking\\.)?${key}\` `, "m"));
    });
});

describe("docs/recipes.md", () => {
    const blocks = [...read("docs/recipes.md").matchAll(/^```(\S*) ?(\S*)\n(.*?)^```$/gms)].map(
        ([, language = "", kind = "", text = ""]) => ({ language, kind, text }),
    );
    const ofKind = (language: string, kind: string) =>
        blocks.filter((block) => block.language === language && block.kind === kind).map(({ text }) => [text] as const);

    test("has no YAML block that nobody checks", () => {
        const checked = [...ofKind("yaml", ""), ...ofKind("yaml", "fragment"), ...ofKind("yaml", "wrong")];
        expect(blocks.filter(({ language }) => language.startsWith("y"))).toHaveLength(checked.length);
    });

    test.each([...ofKind("yaml", ""), ...ofKind("json", "")])("this is a recipe: %j", (text) => {
        expect(() => parseRecipe(text)).not.toThrow();
    });

    test.each(ofKind("yaml", "fragment"))("this is a part of a recipe: %j", (text) => {
        const rest = {
            eft: 1,
            name: "rest",
            members: { large: { model: "l.gguf" }, chat: { model: "c.gguf" }, small: { model: "s.gguf" } },
            combination: "large + chat - small",
        };
        const part = parse(text) as object | null;
        expect(() => parseRecipe(JSON.stringify({ ...rest, ...part }))).not.toThrow();
    });

    test("tells of every built-in recipe", () => {
        for (const name of BUILT_IN)
            expect(read("docs/recipes.md")).toMatch(new RegExp(`^\\| .*\`${name.replace(".", "\\.")}\``, "m"));
    });

    test("shows combinations that can be parsed", () => {
        const forms = blocks.filter(({ language }) => language === "").flatMap(({ text }) => text.trim().split("\n"));
        expect(forms).toHaveLength(3);
        for (const form of forms) {
            const names = [...new Set(form.match(/[a-z]+/g))];
            const parameters = names.filter((name) => ["beta", "lambda"].includes(name));
            const recipe = {
                eft: 1,
                name: "form",
                members: Object.fromEntries(
                    names.filter((name) => !parameters.includes(name)).map((name) => [name, { model: "m.gguf" }]),
                ),
                parameters: Object.fromEntries(parameters.map((name) => [name, { default: 1 }])),
                combination: form,
            };
            expect(() => parseRecipe(JSON.stringify(recipe))).not.toThrow();
        }
    });

    test("quotes the messages as they are", () => {
        const wrong = ofKind("yaml", "wrong");
        const messages = ofKind("text", "");
        expect(wrong).toHaveLength(2);
        expect(messages).toHaveLength(2);
        wrong.forEach(([text], index) => {
            let message = "";
            try {
                parseRecipe(text, { file: "mistakes.yaml" });
            } catch (error) {
                message = (error as EftError).message;
            }
            expect(message).toBe(messages[index]?.[0].trim());
        });
    });
});
