/** `eft-llama inspect`, as a shell sees it. */

import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { listRecipes, type GgufSummary, type MemoryPlan, type VocabularyReport } from "../../src/index.js";
import { demoFile } from "../helpers/demo.js";
import { metadataArray, readGguf, withMetadata, writeGguf } from "../helpers/gguf.js";
import { run } from "./run.js";

interface RecipeJson {
    readonly name: string;
    readonly parameters: readonly { readonly name: string; readonly value: number; readonly max: number }[];
    readonly combination: { readonly text: string; readonly weights: Readonly<Record<string, number>> };
    readonly conservative?: { readonly topP: number; readonly weights: Readonly<Record<string, number>> };
    readonly speculation: {
        readonly enabled: boolean;
        readonly drafter?: { readonly text: string; readonly weights: Readonly<Record<string, number>> };
    };
    readonly members: readonly { readonly name: string; readonly model: string; readonly gguf?: GgufSummary }[];
    readonly missing: readonly string[];
    readonly memory?: MemoryPlan;
    readonly vocabulary?: Omit<VocabularyReport, "controlTokens"> & { readonly controlTokens: number };
    readonly backend: { readonly backend: string; readonly rejected: readonly { readonly reason: string }[] };
}

let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "eft-cli-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

/** A recipe in a file, without its first lines. */
function writeRecipe(yaml: string): string {
    const file = path.join(folder, "recipe.yaml");
    writeFileSync(file, `eft: 1\nname: test\n${yaml}`);
    return file;
}

async function inspectJson<T>(...args: string[]): Promise<T> {
    const { stdout, stderr, code } = await run(["inspect", "--json", "--backend", "cpu", ...args]);
    expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    return JSON.parse(stdout) as T;
}

describe("a GGUF", () => {
    it("may have its numbers in 64 bits", async () => {
        const gguf = readGguf(demoFile("small-base"));
        const metadata = [...gguf.metadata].map(([key, entry]) =>
            entry.type === "uint32"
                ? ([key, { type: "uint64", value: entry.value }] as const)
                : ([key, entry] as const),
        );
        // llama.cpp takes these two in 32 bits alone.
        const file = path.join(folder, "wide.gguf");
        const kept = ["llama.block_count", "general.alignment"];
        writeGguf(file, {
            ...gguf,
            metadata: new Map(
                metadata.map(([key, entry]) => [key, kept.includes(key) ? (gguf.metadata.get(key) ?? entry) : entry]),
            ),
        });
        const { file: _, ...wide } = await inspectJson<GgufSummary>(file);
        const { file: __, ...usual } = await inspectJson<GgufSummary>(demoFile("small-base"));
        expect(wide).toEqual(usual);
    });

    it.each([
        ["none", {}],
        ["no_vocab", { "llama.vocab_size": { type: "uint32", value: 2048 } }],
    ] as const)("may have the tokenizer %s; a recipe with it is refused", async (tokenizer, instead) => {
        const gguf = readGguf(demoFile("small-base"));
        const file = path.join(folder, "silent.gguf");
        const without = Object.keys(instead).length === 0 ? [] : [...gguf.metadata.keys()];
        const changes = {
            ...Object.fromEntries(without.filter((key) => key.startsWith("tokenizer.")).map((key) => [key, undefined])),
            "tokenizer.ggml.model": { type: "string", value: tokenizer } as const,
        };
        writeGguf(file, withMetadata(gguf, { ...changes, ...instead }));
        const { tokenizer: found, layers } = await inspectJson<GgufSummary>(file);
        expect({ found, layers }).toEqual({ found: tokenizer, layers: 3 });
        const members = `{ whole: { model: ${demoFile("small-base")} }, silent: { model: ${file} } }`;
        const recipe = writeRecipe(`members: ${members}\ncombination: whole + silent\nprompt: { template: plain }\n`);
        const { stderr, code } = await run(["inspect", recipe, "--backend", "cpu"]);
        expect({ code, stderr }).toEqual({
            code: 1,
            stderr: expect.stringContaining("silent.gguf) cannot take part: it has no vocabulary"),
        });
    });

    it("is described", async () => {
        const file = demoFile("large-base");
        const { stdout, stderr, code } = await run(["inspect", file]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(stdout).toMatch(/^architecture +llama$/m);
        expect(stdout).toMatch(/^quantization +F16$/m);
        expect(stdout).toMatch(/^parameters +3\.61 M$/m);
        expect(stdout).toMatch(/^chat template +yes$/m);
        expect(stdout).toMatch(/^Backend: \w+/m);
    });

    it("is data with --json", async () => {
        const summary = await inspectJson<GgufSummary & { memory: MemoryPlan }>(demoFile("small-chat", "q8_0"));
        expect(summary).toMatchObject({
            file: demoFile("small-chat", "q8_0"),
            type: "model",
            name: "tiny-eft-small-chat",
            architecture: "llama",
            quantization: "Q8_0",
            layers: 3,
            embeddingSize: 64,
            trainContextSize: 256,
            tokenizer: "llama",
            vocabularySize: 2048,
            chatTemplate: expect.stringContaining("[INST]"),
        });
        expect(summary.parameters).toBeGreaterThan(420_000);
        // The weights are all of the file but its header.
        const bytes = statSync(demoFile("small-chat", "q8_0")).size;
        expect(summary.memory.total.ram).toBeGreaterThan(summary.tensorBytes);
        expect(summary.tensorBytes).toBeLessThan(bytes);
    });

    it("is recognised by its first bytes too", async () => {
        const file = path.join(folder, "sha256-0123");
        copyFileSync(demoFile("small-base"), file);
        expect(await inspectJson<GgufSummary>(file)).toMatchObject({ name: "tiny-eft-small-base" });
    });

    it("that is damaged, missing or something else is refused in one sentence", async () => {
        const whole = readFileSync(demoFile("small-base"));
        const files = {
            "truncated.gguf": whole.subarray(0, whole.length - 1000),
            "header.gguf": whole.subarray(0, 500),
            "empty.gguf": Buffer.alloc(0),
            "text.gguf": Buffer.from("This is no model, whatever its name says."),
        };
        for (const [name, content] of Object.entries(files)) {
            const file = path.join(folder, name);
            writeFileSync(file, content);
            const { stdout, stderr, code } = await run(["inspect", file]);
            expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
            expect(stderr).toMatch(new RegExp(`^eft-llama: ${file} is not a usable GGUF file: .*\\n$`));
        }
        const missing = await run(["inspect", "no-such.gguf"]);
        expect(missing.code).toBe(1);
        expect(missing.stderr).toMatch(/^eft-llama: There is no model file at \S*\/no-such\.gguf\.\n$/);
    });
});

describe("a header with impossible numbers", () => {
    it.each([
        ["llama.block_count", 0],
        ["llama.block_count", 100_000],
        ["llama.attention.head_count", 0],
        ["llama.embedding_length", 4_000_000_000],
        ["llama.context_length", 0],
        ["llama.vocab_size", 4_000_000_000],
    ])("%s = %d ends neither the process nor the patience", async (key, value) => {
        const file = path.join(folder, "impossible.gguf");
        const gguf = readGguf(demoFile("small-base"));
        gguf.metadata.set(key, { type: "uint32", value });
        writeGguf(file, gguf);
        const recipe = writeRecipe(`members: { a: { model: ${file} } }\ncombination: a\n`);
        for (const source of [file, recipe]) {
            const { stderr, code } = await run(["inspect", source]);
            expect([0, 1]).toContain(code);
            expect(stderr).toMatch(/^(eft-llama: [^\n]+\n)?$/);
        }
    });
});

describe("a recipe", () => {
    it("is described", async () => {
        const { stdout, stderr, code } = await run(["inspect", "demo", "--set", "beta=1.5"]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(stdout).toMatch(/^Combination: chat \+ beta \* \(large - small\)\n {2}beta = 1\.5, from 0 to 2: /m);
        expect(stdout).toMatch(/^│ small +│ +-1\.5 │ small-base-f16\.gguf │$/m);
        expect(stdout).toMatch(/^│ chat +│ llama +│ F16 +│ +422 k │ +3 │ +256 tokens │ yes +│$/m);
        expect(stdout).toMatch(/^Vocabulary: SPM, 2048 ids mean the same to all members/m);
        expect(stdout).toMatch(/^Memory, estimated for a cache of 256 tokens: [\d.]+ MiB/m);
    });

    it("is data with --json", async () => {
        const recipe = await inspectJson<RecipeJson>("demo-dial", "--set", "lambda=0.25");
        expect(recipe).toMatchObject({ name: "demo-dial", missing: [], backend: { backend: "cpu", rejected: [] } });
        expect(recipe.parameters).toEqual([
            expect.objectContaining({ name: "lambda", value: 0.25, default: 0.5, max: 1 }),
        ]);
        expect(recipe.combination.weights).toEqual({ large: 1, chat: 0.75, safe: 0.25, small: -1 });
        expect(recipe.members.map(({ gguf }) => gguf?.name)).toEqual(
            ["large-base", "small-chat", "small-safe", "small-base"].map((name) => `tiny-eft-${name}`),
        );
        expect(recipe.vocabulary).toMatchObject({ compatible: true, size: 2048, type: "SPM", controlTokens: 2 });
    });

    it("has a form to fall back to", async () => {
        const { conservative } = await inspectJson<RecipeJson>("llama-2-13b-upscaled");
        expect(conservative).toMatchObject({ topP: 0.95, weights: { large: 0, chat: 1, small: 0 } });
    });

    it("says who would draft, by the rule that completions follow", async () => {
        const { speculation } = await inspectJson<RecipeJson>("demo-dial", "--set", "lambda=0.75");
        const weights = { large: 0, chat: 0, safe: 1, small: 0 };
        const rest = { length: "adaptive", coupling: "gumbel", lookup: false };
        expect(speculation).toEqual({ enabled: false, drafter: { text: "safe", weights }, ...rest });
        const { stdout } = await run(["inspect", "demo-dial"]);
        expect(stdout).toMatch(
            /^Speculation: off unless asked for\n {2}drafter: chat \(by default\)\n {2}length adaptive, coupling gumbel, lookup off$/m,
        );
        const { speculation: completed } = JSON.parse(
            (
                await run(["complete", "-r", "demo-dial", "--set", "lambda=0.75", "--speculation", "2", "--json", "Hi"])
            ).stdout
                .trim()
                .split("\n")
                .at(-1) ?? "",
        ) as { speculation: { draftMs: Readonly<Record<string, number>> } };
        expect(Object.entries(completed.draftMs).filter(([, ms]) => ms > 0)).toEqual([["safe", expect.any(Number)]]);
    });

    it("says how it speculates", async () => {
        const recipe = writeRecipe(`
members:
    a: { model: ${demoFile("large-base")} }
    b: { model: ${demoFile("small-chat")} }
parameters: { share: { default: 0.5, min: 0, max: 1 } }
combination: a + share * b
speculation: { drafter: 2 * share * b, length: 3, coupling: maximal, lookup: true }
`);
        const { speculation } = await inspectJson<RecipeJson>(recipe, "--set", "share=0.25");
        const drafter = { text: "2 * share * b", weights: { a: 0, b: 0.5 } };
        expect(speculation).toEqual({ enabled: true, drafter, length: 3, coupling: "maximal", lookup: true });
        const { stdout } = await run(["inspect", recipe]);
        expect(stdout).toMatch(
            /^Speculation: on\n {2}drafter: 2 \* share \* b\n {2}length 3, coupling maximal, lookup on$/m,
        );
    });

    it("may have nobody who could draft", async () => {
        const recipe = writeRecipe(`members: { a: { model: ${demoFile("large-base")} } }\ncombination: a\n`);
        expect((await inspectJson<RecipeJson>(recipe)).speculation).not.toHaveProperty("drafter");
        expect((await run(["inspect", recipe])).stdout).toMatch(/^ {2}drafter: none, for no member can draft$/m);
        const unknown = await run(["inspect", "llama-2-downscaled"]);
        expect(unknown.stdout).toMatch(/^ {2}drafter: depends on the missing models$/m);
        const { speculation } = await inspectJson<RecipeJson>("llama-2-13b-upscaled");
        expect(speculation).toMatchObject({ enabled: true, drafter: { text: "chat" } });
    });

    it("can be looked at before its models are here", async () => {
        const { missing, memory, vocabulary } = await inspectJson<RecipeJson>("llama-2-13b-upscaled");
        expect(missing).toHaveLength(3);
        expect(missing[0]).toMatch(/^hf:/);
        expect({ memory, vocabulary }).toEqual({ memory: undefined, vocabulary: undefined });
        const { stdout, code } = await run(["inspect", "llama-2-13b-upscaled"]);
        expect(code).toBe(0);
        expect(stdout).toMatch(new RegExp(`^Not on this machine:\\n {2}${missing[0]}$`, "m"));
        expect(stdout).toMatch(/^Download with `eft-llama pull llama-2-13b-upscaled`\.$/m);
        const lines = stdout.split("\n").filter((line) => line.startsWith("│"));
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    });

    it("tells padding that is masked", async () => {
        const padded = path.join(folder, "padded.gguf");
        const gguf = readGguf(demoFile("small-chat"));
        for (const [key, value] of [
            ["tokens", "<pad>"],
            ["scores", 0],
            ["token_type", 5],
        ] as const) {
            metadataArray(gguf, `tokenizer.ggml.${key}`).push(value);
        }
        const tensors = gguf.tensors.map((tensor) => {
            if (!["token_embd.weight", "output.weight"].includes(tensor.name)) return tensor;
            const [width = 0, height = 0] = tensor.shape;
            const row = Buffer.alloc(tensor.data.length / height);
            return { ...tensor, shape: [width, height + 1], data: Buffer.concat([tensor.data, row]) };
        });
        gguf.metadata.set("llama.vocab_size", { type: "uint32", value: 2049 });
        writeGguf(padded, { ...gguf, tensors });
        const recipe = writeRecipe(
            `members: { a: { model: ${demoFile("large-base")} }, b: { model: ${padded} } }\ncombination: a + b\n`,
        );
        const { vocabulary } = await inspectJson<RecipeJson>(recipe);
        expect(vocabulary?.size).toBe(2048);
        expect(vocabulary?.members.map(({ width }) => width)).toEqual([2048, 2049]);
        const { stdout } = await run(["inspect", recipe]);
        expect(stdout).toMatch(/ids: a 2048, b 2049\n {2}b has 2049 ids and a 2048\.\n {2}One unused id is masked\./);
    });

    it("whose vocabularies differ is described, and ends with 1 and the differences", async () => {
        const other = path.join(folder, "other.gguf");
        const gguf = readGguf(demoFile("small-chat"));
        metadataArray(gguf, "tokenizer.ggml.tokens")[1000] = "▁zzz";
        writeGguf(other, gguf);
        const recipe = writeRecipe(
            `members: { a: { model: ${demoFile("large-base")} }, b: { model: ${other} } }\ncombination: a + b\n`,
        );
        const text = await run(["inspect", recipe]);
        expect(text.code).toBe(1);
        expect(text.stdout).toMatch(/^Combination: a \+ b$/m);
        expect(text.stderr).toMatch(/^eft-llama: The members' vocabularies differ/);
        expect(text.stderr).toMatch(/id 1000: "▁zzz" \(normal\) for b, /);
        const data = await run(["inspect", "--json", recipe]);
        expect(data.code).toBe(1);
        const { vocabulary } = JSON.parse(data.stdout) as RecipeJson;
        expect(vocabulary).toMatchObject({ compatible: false, differences: [{ token: 1000, member: "b" }] });
    });

    it("with a damaged model is refused in one sentence", async () => {
        const file = path.join(folder, "broken.gguf");
        writeFileSync(file, readFileSync(demoFile("small-base")).subarray(0, 100_000));
        const recipe = writeRecipe(`members: { a: { model: ${file} } }\ncombination: a\n`);
        const { stdout, stderr, code } = await run(["inspect", recipe]);
        expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
        expect(stderr).toMatch(/^eft-llama: \S*broken\.gguf is not a usable GGUF file: it is truncated.*\n$/);
    });

    it.each([
        [["no-such-recipe"], 1, /built-in recipe/],
        [["demo", "--set", "beta=9"], 1, /from 0 to 2, not 9/],
        [["demo", "--backend", "metal"], 1, /The backend metal cannot be used/],
        [["demo", "--context-size", "1"], 1, /--context-size must be a whole number/],
        [["demo", "--recipe", "demo"], 2, /There is no --recipe; write the recipe without a flag\./],
        [["-r", "demo"], 2, /There is no -r; write the recipe without a flag\./],
    ])("that cannot be: %j", async (args, expected, message) => {
        const { stdout, stderr, code } = await run(["inspect", ...args]);
        expect({ stdout, code }).toEqual({ stdout: "", code: expected });
        expect(stderr).toMatch(message);
    });
});

describe("without an argument", () => {
    it("lists the built-in recipes", async () => {
        const recipes = await listRecipes();
        expect(recipes.length).toBeGreaterThan(2);
        expect(await inspectJson<unknown>()).toEqual(recipes);
        const { stdout } = await run(["inspect"]);
        for (const { name } of recipes) expect(stdout).toMatch(new RegExp(`^│ ${name} +│`, "m"));
    });
});

describe("memory", () => {
    it("is what llama.cpp then allocates", async () => {
        const { memory } = await inspectJson<RecipeJson>("demo", "--context-size", "4096");
        // llama.cpp's log, in MiB: weights once a file, cache and buffers once a member.
        const { stderr } = await run([
            "complete",
            "-r",
            "demo",
            "--backend",
            "cpu",
            "--context-size",
            "4096",
            "--verbose",
            "Hi",
        ]);
        const read = (pattern: RegExp): number[] => [...stderr.matchAll(pattern)].map(([, number]) => Number(number));
        const ascending = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);
        // Models are read side by side, and which one is first is not said.
        const weights = ascending(read(/model buffer size = +([\d.]+) MiB/g));
        const caches = read(/KV buffer size = +([\d.]+) MiB/g);
        const buffers = read(/compute buffer size = +([\d.]+) MiB/g);
        expect([weights.length, caches.length, buffers.length]).toEqual([3, 3, 3]);
        // What is handed over of a text, and kept of its drafts.
        const rows = ((128 + 17) * 2048 * 4) / 2 ** 20;
        const planned = ascending((memory?.members ?? []).map((member) => member.weights.ram / 2 ** 20));
        planned.forEach((size, index) => {
            expect(size).toBeCloseTo(weights[index] ?? NaN, 1);
        });
        expect(planned).toHaveLength(3);
        memory?.members.forEach((member, index) => {
            const context = (caches[index] ?? NaN) + (buffers[index] ?? NaN) + rows;
            expect(member.context.ram / 2 ** 20 / context).toBeGreaterThan(0.9);
            expect(member.context.ram / 2 ** 20 / context).toBeLessThan(1.1);
            expect([member.weights.gpu, member.context.gpu]).toEqual([0, 0]);
        });
    });

    it("counts the weights of a shared file once, and grows with context and sequences", async () => {
        const file = demoFile("large-base");
        const recipe = writeRecipe(`
members:
    a: { model: ${file} }
    b: { model: ${file}, prompt: { template: "Be brief. {{ messages[0].content }}" } }
combination: 2 * a - b
`);
        const { memory } = await inspectJson<RecipeJson>(recipe);
        const [a, b] = memory?.members ?? [];
        expect(a?.weights.ram).toBeGreaterThan(7_000_000);
        expect(b).toMatchObject({ sharesWeightsOf: "a", weights: { ram: 0, gpu: 0 } });
        expect(b?.context).toEqual(a?.context);
        expect(memory?.total.ram).toBe((a?.weights.ram ?? NaN) + 2 * (a?.context.ram ?? NaN));
        const { memory: larger } = await inspectJson<RecipeJson>(recipe, "--context-size", "1024", "--sequences", "2");
        expect(larger).toMatchObject({ contextSize: 1024, sequences: 2 });
        expect(larger?.members[0]?.weights).toEqual(a?.weights);
        // Two caches of 1,024 cells in place of one of 256: 3 layers, keys and values of 256 numbers of two bytes.
        const cells = 2 * 1024 - 256;
        expect((larger?.members[0]?.context.ram ?? NaN) - (a?.context.ram ?? NaN)).toBeGreaterThan(
            cells * 3 * 2 * 256 * 2,
        );
    });
});
