import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { EftError } from "../../src/errors.js";
import { adHocRecipe, combinationWeights, loadRecipe, parseRecipe, resolveParameters } from "../../src/recipe/index.js";
import { writeReference } from "../../src/recipe/reference.js";

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/recipes/${name}`, import.meta.url));

const MINIMAL = "eft: 1\nname: minimal\nmembers: { only: { model: only.gguf } }\ncombination: only\n";

async function failure(body: () => unknown): Promise<{ code: string; message: string }> {
    try {
        await body();
    } catch (error) {
        if (EftError.isInstance(error)) return { code: error.code, message: error.message };
        throw error;
    }
    throw new Error("Nothing was thrown.");
}

describe("loadRecipe", () => {
    test("reads every key", async () => {
        const file = fixture("complete.yaml");
        const recipe = await loadRecipe(file);
        expect(recipe).toMatchObject({
            eft: 1,
            name: "complete",
            description: "every key once",
            source: "nowhere",
            file,
            parameters: {
                beta: { default: 1, min: 0.5, max: 2, description: "a dial" },
                gamma: { default: -3, min: -1e6, max: 1e6 },
            },
            conservative: { topP: 0.95, fallback: { text: "chat" } },
            controlTokens: "fallback",
            unusedTokens: "keep",
            prompt: { kind: "from", member: "chat" },
            speculation: {
                drafter: { text: "chat - gamma * small" },
                lookup: true,
                length: 4,
                coupling: "maximal",
            },
            contextSize: 4096,
        });
        expect(recipe.members).toEqual([
            { name: "large", model: "hf:user/large-GGUF:Q4_K_M", gpuLayers: 20, contextSize: 2048 },
            {
                name: "chat",
                model: fixture("../models/chat.gguf"),
                lora: { path: fixture("chat-adapter.gguf"), scale: 0.5 },
            },
            {
                name: "small",
                model: "https://example.com/small.gguf",
                lora: { path: "/absolute/adapter.gguf", scale: 1 },
                prompt: { kind: "plain" },
            },
        ]);
        expect(recipe.sampling).toEqual({
            temperature: 0.7,
            topK: 40,
            topP: 0.95,
            minP: 0.05,
            repeatPenalty: 1.1,
            frequencyPenalty: 0.5,
            presencePenalty: -0.5,
            penaltyLastN: 32,
        });
        const names = recipe.members.map(({ name }) => name);
        expect([...combinationWeights(recipe.combination, names, { beta: 2, gamma: 1 })]).toEqual([2, 1, -2.5]);
    });

    test("reads JSON, indented with tabs, and fills in the defaults", async () => {
        expect(await loadRecipe(fixture("minimal.json"))).toEqual({
            eft: 1,
            name: "minimal",
            file: fixture("minimal.json"),
            members: [{ name: "only", model: fixture("only.gguf") }],
            parameters: {},
            combination: { text: "only", weights: { only: { kind: "number", value: 1 } } },
            controlTokens: "combine",
            prompt: { kind: "plain" },
            sampling: {},
        });
    });

    test("prefers a built-in recipe to a file of the same name, and says what exists", async () => {
        expect((await loadRecipe("demo")).name).toBe("demo");
        const missing = resolve("demmo.yaml");
        expect(await failure(() => loadRecipe("demmo.yaml"))).toEqual({
            code: "RECIPE_NOT_FOUND",
            message: `There is neither a file ${missing} nor a built-in recipe "demmo.yaml"; did you mean "demo"?`,
        });
        expect((await failure(() => loadRecipe("something-else"))).message).toMatch(
            /; possible: .*\bdemo, demo-dial, /,
        );
    });

    test("refuses what is not a file with a recipe", async () => {
        expect(await failure(() => loadRecipe(fixture(".")))).toEqual({
            code: "RECIPE_NOT_FOUND",
            message: `${resolve(fixture("."))} is a folder; name a recipe file in it.`,
        });
        expect(await failure(() => loadRecipe("/dev/zero"))).toEqual({
            code: "RECIPE_INVALID",
            message: "/dev/zero:1:1: the document has more than 1048576 characters; this is not a recipe",
        });
        const folder = await mkdtemp(join(tmpdir(), "eft-recipe-"));
        try {
            const file = join(folder, "binary.yaml");
            await writeFile(file, Buffer.from([0x47, 0x47, 0x55, 0x46, 0xff, 0xfe, 0x00, 0x01]));
            expect((await failure(() => loadRecipe(file))).code).toBe("RECIPE_INVALID");
            const reason = /binary\.yaml is a model, not a recipe\. .* --base, --tuned and --reference/;
            expect((await failure(() => loadRecipe(file))).message).toMatch(reason);
        } finally {
            await rm(folder, { recursive: true });
        }
    });
});

describe("parseRecipe", () => {
    test("resolves paths against the folder that it is told", () => {
        const model = (origin?: Parameters<typeof parseRecipe>[1]) => parseRecipe(MINIMAL, origin).members[0]?.model;
        expect(model()).toBe(resolve("only.gguf"));
        expect(model({ file: "some/where/recipe.yaml" })).toBe(resolve("some/where/only.gguf"));
        expect(model({ file: "some/where/recipe.yaml", directory: "/models" })).toBe("/models/only.gguf");
        expect(parseRecipe(MINIMAL.replace("only.gguf", "~/only.gguf")).members[0]?.model).toBe(
            join(homedir(), "only.gguf"),
        );
        expect(parseRecipe(MINIMAL, { file: "recipe.yaml" }).file).toBe(resolve("recipe.yaml"));
        expect(parseRecipe(MINIMAL)).not.toHaveProperty("file");
    });

    test.each([
        "hf:user/model",
        "hf:user/model:Q4_K_M",
        "hf:user/model/folder/file.gguf",
        "hf:user/model/file.gguf#branch",
        "https://example.com/a.gguf?download=true",
    ])("keeps the reference %s", (reference) => {
        expect(parseRecipe(MINIMAL.replace("only.gguf", reference)).members[0]?.model).toBe(reference);
    });

    test.each([
        ...[
            "hf:user",
            "https:",
            "colon: x",
            " lead",
            "~",
            "~tilde",
            "- dash",
            "käse 模型",
            'double"quote',
            "100%",
            "hash #1",
        ],
        ...[
            "{brace}",
            "*star",
            "C:\\win\\path",
            "back\\slash",
            "${x}",
            "{{ j }}",
            "null",
            "0x10",
            "@at",
            "&and",
            "|",
            "'",
        ],
    ])("finds the file %s.gguf from wherever it was written down", (name) => {
        for (const file of [`${name}.gguf`, `${name}/m.gguf`, `../${name}/${name}.gguf`]) {
            const model = writeReference(resolve("/a/b", file), "/a/b");
            const recipe = parseRecipe(MINIMAL.replace("only.gguf", JSON.stringify(model)), { directory: "/a/b" });
            expect(recipe.members[0]?.model).toBe(resolve("/a/b", file));
        }
    });

    test.each([
        ["plain", { kind: "plain" }],
        ["from only", { kind: "from", member: "only" }],
        ["'{{ messages[0].content }}'", { kind: "jinja", template: "{{ messages[0].content }}" }],
        ["|\n    {% if true %}x{% endif %}", { kind: "jinja", template: "{% if true %}x{% endif %}\n" }],
    ])("reads the template %s", (template, expected) => {
        expect(parseRecipe(`${MINIMAL}prompt:\n  template: ${template}\n`).prompt).toEqual(expected);
    });

    test("follows anchors, a byte order mark and Windows line ends", () => {
        const text = MINIMAL.replace("only.gguf", "&file only.gguf") + "description: *file\n";
        expect(parseRecipe(`\uFEFF${text.replaceAll("\n", "\r\n")}`).description).toBe("only.gguf");
    });
});

describe("resolveParameters", () => {
    const recipe = parseRecipe(
        "eft: 1\nname: dials\nmembers: { a: { model: a.gguf }, b: { model: b.gguf } }\n" +
            "parameters:\n  beta: { default: 1, min: 0, max: 2 }\n  free: { default: 5 }\n" +
            "  above: { default: 1, min: 0 }\n" +
            "combination: a + beta * b + free * b + above * b\n",
    );

    test("overlays the defaults", () => {
        expect(resolveParameters(recipe, {})).toEqual({ beta: 1, free: 5, above: 1 });
        expect(resolveParameters(recipe, { beta: 0, free: -1e6 })).toEqual({ beta: 0, free: -1e6, above: 1 });
    });

    test.each([
        [{ bta: 1 }, "PARAMETER_UNKNOWN", 'The recipe "dials" has no parameter "bta"; did you mean "beta"?'],
        [{ x: 1 }, "PARAMETER_UNKNOWN", 'The recipe "dials" has no parameter "x"; possible: beta, free, above'],
        [
            { beta: 2.5 },
            "PARAMETER_RANGE",
            'The parameter "beta" of the recipe "dials" must be a number from 0 to 2, not 2.5.',
        ],
        [
            { beta: NaN },
            "PARAMETER_RANGE",
            'The parameter "beta" of the recipe "dials" must be a number from 0 to 2, not NaN.',
        ],
        [
            { free: Infinity },
            "PARAMETER_RANGE",
            'The parameter "free" of the recipe "dials" must be a number from -1000000 to 1000000, not Infinity.',
        ],
        [
            { free: 1e38 },
            "PARAMETER_RANGE",
            'The parameter "free" of the recipe "dials" must be a number from -1000000 to 1000000, not 1e+38.',
        ],
        [
            { above: -1 },
            "PARAMETER_RANGE",
            'The parameter "above" of the recipe "dials" must be a number from 0 to 1000000, not -1.',
        ],
        [
            { beta: "1" as unknown as number },
            "PARAMETER_RANGE",
            'The parameter "beta" of the recipe "dials" must be a number from 0 to 2, not "1".',
        ],
    ])("refuses %j", async (values, code, message) => {
        expect(await failure(() => resolveParameters(recipe, values))).toEqual({ code, message });
    });

    test("says when there are no parameters", async () => {
        expect((await failure(() => resolveParameters(parseRecipe(MINIMAL), { beta: 1 }))).message).toBe(
            'The recipe "minimal" has no parameter "beta"; there are none',
        );
    });
});

describe("adHocRecipe", () => {
    test("is the recipe of up-scaling", () => {
        const recipe = adHocRecipe({ base: "L.gguf", tuned: "/s/chat.gguf", reference: "hf:user/small" });
        expect(recipe.members).toEqual([
            { name: "base", model: resolve("L.gguf") },
            { name: "tuned", model: "/s/chat.gguf" },
            { name: "reference", model: "hf:user/small" },
        ]);
        expect(recipe.prompt).toEqual({ kind: "from", member: "tuned" });
        expect(recipe).not.toHaveProperty("speculation");
        const names = recipe.members.map(({ name }) => name);
        const weights = (values: Record<string, number>) => [
            ...combinationWeights(recipe.combination, names, resolveParameters(recipe, values)),
        ];
        expect(weights({})).toEqual([1, 1, -1]);
        expect(weights({ beta: 1.5 })).toEqual([1.5, 1, -1.5]);
    });

    test("has a LoRA adapter on the reference instead of a tuned model", async () => {
        const { members, prompt } = adHocRecipe({ base: "L.gguf", lora: "a.gguf", reference: "s.gguf" });
        const reference = resolve("s.gguf");
        expect(members.slice(1)).toEqual([
            { name: "tuned", model: reference, lora: { path: resolve("a.gguf"), scale: 1 } },
            { name: "reference", model: reference },
        ]);
        expect(prompt).toEqual({ kind: "from", member: "tuned" });
        const models = { base: "L.gguf", reference: "s.gguf" };
        const neither = "Name either a tuned model or a LoRA adapter (lora), and not both.";
        for (const tuned of [{}, { tuned: "c.gguf", lora: "a.gguf" }])
            expect(await failure(() => adHocRecipe({ ...models, ...tuned }))).toMatchObject({ message: neither });
        expect(await failure(() => adHocRecipe({ ...models, lora: "hf:user/adapter" }))).toEqual({
            code: "OPTION_INVALID",
            message: "The LoRA adapter (hf:user/adapter) is not a file; download the adapter and write its path.",
        });
    });

    test("takes another beta as the default", () => {
        const models = { base: "L.gguf", tuned: "c.gguf", reference: "s.gguf" };
        expect(resolveParameters(adHocRecipe({ ...models, beta: 0.5 }), {})).toEqual({ beta: 0.5 });
    });

    test("refuses what cannot be", async () => {
        const models = { base: "L.gguf", tuned: "c.gguf", reference: "s.gguf" };
        expect(await failure(() => adHocRecipe({ ...models, beta: 3 }))).toEqual({
            code: "PARAMETER_RANGE",
            message: 'The parameter "beta" of the recipe "ad-hoc" must be a number from 0 to 2, not 3.',
        });
        expect(await failure(() => adHocRecipe({ ...models, base: "" }))).toEqual({
            code: "OPTION_INVALID",
            message: 'The model "base" () is empty.',
        });
        expect(await failure(() => adHocRecipe({ ...models, tuned: "hf:user" }))).toEqual({
            code: "OPTION_INVALID",
            message: 'The model "tuned" (hf:user) is incomplete; write "hf:user/repository:Q4_K_M".',
        });
    });
});
