/** `recipe init` knows today's families by what converters write into headers. */

import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { assignRoles, draftForRoles, relatedRecipe } from "../../src/ensemble/from-files.js";
import { listRecipes, parseRecipe } from "../../src/index.js";
import type { Roles } from "../../src/models/find-roles.js";
import { listArchitectures } from "../helpers/architectures.js";
import { withMetadata, writeGguf, type Gguf, type MetadataValue } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);
const architectures = listArchitectures();

interface Said {
    readonly architecture: string;
    /** Of the hub's repository; the other entries are what llama.cpp's converter makes of it. */
    readonly name: string;
    readonly basename?: string;
    readonly finetune?: string;
    readonly madeFrom?: string;
    readonly template?: string;
    readonly layers?: number;
    readonly ownOutput?: boolean;
    readonly temperature?: number;
}

const text = (value: string | undefined): MetadataValue | undefined =>
    value === undefined ? undefined : { type: "string", value };

/** Writes a model with the layers of the first one over and over. */
function write({ architecture, name, ...said }: Said): string {
    const gguf = architectures.get(architecture)?.();
    if (gguf === undefined) throw new Error(`There is no ${architecture}.`);
    const key = String(gguf.metadata.get("general.architecture")?.value);
    const layers = said.layers ?? 1;
    const first = gguf.tensors.filter((tensor) => tensor.name.startsWith("blk.0."));
    const embeddings = gguf.tensors.find((tensor) => tensor.name === "token_embd.weight");
    const all: Gguf["tensors"] = [
        ...gguf.tensors.filter((tensor) => !tensor.name.startsWith("blk.") && tensor.name !== "output.weight"),
        ...(said.ownOutput && embeddings ? [{ ...embeddings, name: "output.weight" }] : []),
        ...Array.from({ length: layers }, (_, layer) =>
            first.map((tensor) => ({ ...tensor, name: tensor.name.replace("blk.0.", `blk.${layer}.`) })),
        ).flat(),
    ];
    const file = path.join(folder, `${name.replaceAll(" ", "-")}.Q8_0.gguf`);
    const changes = {
        "general.name": text(name),
        "general.basename": text(said.basename),
        "general.finetune": text(said.finetune),
        "general.base_model.0.name": text(said.madeFrom),
        "tokenizer.chat_template": text(said.template),
        [`${key}.block_count`]: { type: "uint32", value: layers } as const,
        ...(said.temperature !== undefined && {
            "general.sampling.temp": { type: "float32", value: said.temperature } as const,
            "general.sampling.top_p": { type: "float32", value: 7 } as const,
        }),
    };
    writeGguf(file, { ...withMetadata(gguf, changes), tensors: all });
    return file;
}

/** In every order, without a difference. */
async function init(base: Said, tuned: Said, reference: Said) {
    const files = [base, tuned, reference].map(write) as [string, string, string];
    const names = ["base", "tuned", "reference"] as const;
    let found: Roles | undefined;
    const [a, b, c] = files;
    for (const order of [
        [a, b, c],
        [c, b, a],
        [b, a, c],
    ]) {
        const roles = await assignRoles({}, order, () => Promise.resolve(undefined));
        expect(names.map((name) => roles[name].source)).toEqual(files);
        expect(found?.reasons ?? roles.reasons).toEqual(roles.reasons);
        found = roles;
    }
    const roles = found as Roles;
    const output = path.join(folder, "recipe.yaml");
    const yaml = await draftForRoles(roles, output, { base: "b", tuned: "t", reference: "r" });
    writeFileSync(output, yaml);
    return {
        yaml,
        recipe: parseRecipe(yaml, { file: output }),
        reason: roles.reasons.tuned,
        related: relatedRecipe(roles),
    };
}

const CHAT_ML =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const THINKING = CHAT_ML + "{# </think> #}";
const said = (architecture: string, name: string, more: Partial<Said> = {}): Said => ({
    architecture: `${architecture}-${architecture.endsWith("moe") ? "moe" : "dense"}`,
    name,
    ...more,
});

describe("init recognises", () => {
    it.each<[string, [Said, Said, Said], object]>([
        [
            "Qwen 3, whose base models have a chat template, too",
            [
                said("qwen3", "Qwen3 14B Base", { finetune: "Base", template: THINKING, layers: 9 }),
                said("qwen3", "Qwen3 1.7B", { basename: "Qwen3", template: THINKING }),
                said("qwen3", "Qwen3 1.7B Base", { finetune: "Base", template: THINKING }),
            ],
            {
                reason: "only the other one has the name of a base model",
                related: expect.stringContaining("recipe qwen-3-upscaled is about Qwen 3,"),
                recipe: { sampling: { temperature: 0.6, topP: 0.95, topK: 20 }, speculation: {} },
            },
        ],
        [
            "Qwen 3 by what it was made from",
            [
                said("qwen3", "Qwen3 8B Base", { finetune: "Base", layers: 9 }),
                said("qwen3", "Qwen3 4B Instruct 2507", { finetune: "Instruct", madeFrom: "Qwen3 4B Base" }),
                said("qwen3", "Qwen3 4B Base", { finetune: "Base" }),
            ],
            {
                reason: "it says that it was made from the other one",
                recipe: { sampling: { temperature: 0.7, topP: 0.8, topK: 20 } },
            },
        ],
        [
            "a mixture of experts, which costs no more than the pair",
            [
                said("qwen3moe", "Qwen3 30B A3B Base", { finetune: "Base", layers: 2 }),
                said("qwen3", "Qwen3 1.7B", { template: THINKING, layers: 3 }),
                said("qwen3", "Qwen3 1.7B Base", { finetune: "Base", layers: 3 }),
            ],
            {
                reason: "only it carries a chat template",
                related: expect.stringContaining("recipe qwen-3-moe-upscaled is about Qwen 3,"),
                recipe: { description: expect.stringContaining("large base") },
                yaml: expect.not.stringContaining("speculation"),
            },
        ],
        [
            "Qwen 3.5",
            [
                said("qwen35", "Qwen3.5 9B Base", { finetune: "Base", layers: 8 }),
                said("qwen35", "Qwen3.5 2B", { basename: "Qwen3.5" }),
                said("qwen35", "Qwen3.5 2B Base", { finetune: "Base" }),
            ],
            {
                reason: "only the other one has the name of a base model",
                related: expect.stringContaining("recipe qwen-3.5-upscaled"),
            },
        ],
        [
            "Gemma 3, where pt is no tuning",
            [
                said("gemma3", "Gemma 3 12b Pt", { basename: "gemma-3", finetune: "pt", layers: 9 }),
                said("gemma3", "Gemma 3 1b It", { basename: "gemma-3", finetune: "it" }),
                said("gemma3", "Gemma 3 1b Pt", { basename: "gemma-3", finetune: "pt" }),
            ],
            {
                reason: "only it says that it was fine-tuned",
                related: expect.stringContaining("recipe gemma-3-upscaled"),
                recipe: { sampling: { temperature: 1, topP: 0.95, topK: 64 } },
            },
        ],
        [
            "Llama 3",
            [
                said("llama", "Meta Llama 3.1 70B", { basename: "Meta-Llama-3.1", layers: 9 }),
                said("llama", "Llama 3.2 3B Instruct", { basename: "Llama-3.2", finetune: "Instruct" }),
                said("llama", "Llama 3.2 3B", { basename: "Llama-3.2" }),
            ],
            { related: expect.stringContaining("recipe llama-3.1-upscaled is about Llama 3,") },
        ],
        [
            "stages of OLMo 2",
            [
                said("olmo2", "OLMo 2 1124 13B SFT", { basename: "OLMo-2-1124", finetune: "SFT", layers: 9 }),
                said("olmo2", "OLMo 2 1124 7B DPO", { basename: "OLMo-2-1124", finetune: "DPO", template: CHAT_ML }),
                said("olmo2", "OLMo 2 1124 7B SFT", { basename: "OLMo-2-1124", finetune: "SFT", template: CHAT_ML }),
            ],
            {
                reason: "its name is that of a later stage of training",
                related: expect.stringContaining("recipe olmo-2-stages is about OLMo 2,"),
            },
        ],
        [
            "thoughts of OLMo 3, which the template does not end",
            [
                said("olmo2", "Olmo 3 1125 32B", { basename: "Olmo-3-1125", layers: 9 }),
                said("olmo2", "Olmo 3 7B Think", { finetune: "Think", template: `${CHAT_ML}{{ '<think>' }}` }),
                said("olmo2", "Olmo 3 7B Think DPO", { finetune: "Think-DPO", template: CHAT_ML }),
            ],
            {
                reason: "its name is that of a later stage of training",
                recipe: { prompt: { member: "tuned", thinking: { begin: "<think>", end: "</think>" } } },
            },
        ],
        [
            "SmolLM2",
            [
                said("llama", "SmolLM2 1.7B", { basename: "SmolLM2", layers: 9 }),
                said("llama", "SmolLM2 360M Instruct", { finetune: "Instruct" }),
                said("llama", "SmolLM2 360M", { basename: "SmolLM2" }),
            ],
            { related: expect.stringContaining("smollm2"), recipe: { sampling: { temperature: 0.2, topP: 0.9 } } },
        ],
        [
            "Apertus",
            [
                said("apertus", "Apertus 70B 2509", { basename: "Apertus", layers: 9 }),
                said("apertus", "Apertus 8B Instruct 2509", { finetune: "Instruct" }),
                said("apertus", "Apertus 8B 2509", { basename: "Apertus" }),
            ],
            { related: expect.stringContaining("apertus") },
        ],
        [
            "Ministral 3",
            [
                said("mistral3", "Ministral 3 8B Base 2512", { finetune: "Base", layers: 9 }),
                said("mistral3", "Ministral 3 3B Reasoning 2512", { finetune: "Reasoning" }),
                said("mistral3", "Ministral 3 3B Base 2512", { finetune: "Base" }),
            ],
            { related: expect.stringContaining("ministral-3") },
        ],
        [
            "a reasoning model with an output of its own, beside an instruct model that shares it",
            [
                said("qwen2", "Qwen2.5 32B Instruct", { finetune: "Instruct", layers: 9 }),
                said("qwen2", "DeepSeek R1 Distill Qwen 1.5B", {
                    ...{ basename: "DeepSeek-R1-Distill-Qwen", template: THINKING, ownOutput: true },
                }),
                said("qwen2", "Qwen2.5 1.5B Instruct", {
                    ...{ basename: "Qwen2.5", finetune: "Instruct", madeFrom: "Qwen2.5 1.5B", template: CHAT_ML },
                }),
            ],
            {
                reason: "its name is that of a later stage of training",
                related: expect.stringContaining("recipe thinklogit is about DeepSeek R1 Distill,"),
                recipe: { sampling: { temperature: 0.6, topP: 0.95 } },
            },
        ],
        [
            "what a file recommends, and no more of it than can be",
            [
                said("llama", "Large", { layers: 9 }),
                said("llama", "Small Chat", { temperature: 0.35 }),
                said("llama", "Small"),
            ],
            { related: undefined, recipe: { sampling: { temperature: 0.35 } } },
        ],
    ])("%s", async (_, [base, tuned, reference], expected) => {
        expect(await init(base, tuned, reference)).toMatchObject(expected);
    });

    it("says in one sentence that it does not know where a family's names do not tell", async () => {
        const files = [
            said("qwen3moe", "Mixture", { layers: 2 }),
            said("qwen3", "Qwen3 A", { layers: 3 }),
            said("qwen3", "Qwen3 B", { layers: 3 }),
        ].map(write);
        await expect(assignRoles({}, files, () => Promise.resolve(undefined))).rejects.toThrow(
            /^Nothing in "\S+" and "\S+" tells which is the fine-tuned one\. Name it with --tuned\.$/,
        );
        const instructs = [
            said("llama", "X Instruct", { finetune: "Instruct" }),
            said("llama", "X Instruct DPO", { finetune: "Instruct-DPO" }),
            said("llama", "Y", { layers: 9 }),
        ].map(write);
        await expect(assignRoles({}, instructs, () => Promise.resolve(undefined))).rejects.toThrow(
            /Name it with --tuned/,
        );
    });

    it("a base model that was only quantized as such", async () => {
        const { reason } = await init(
            said("llama", "Big", { layers: 9 }),
            said("llama", "Gemma 3 1b It", { madeFrom: "gemma-3-1b-it" }),
            said("llama", "Gemma 3 1b Pt", { madeFrom: "gemma-3-1b-pt" }),
        );
        expect(reason).toBe("only its name is that of a fine-tuned model");
        const unsaid = await init(
            said("llama", "Big", { layers: 9 }),
            said("llama", "Llama Y", { madeFrom: "Llama Z" }),
            said("llama", "Llama X", { madeFrom: "llama-x" }),
        );
        expect(unsaid.reason).toBe("only it says which model it was made from");
    });

    it("no dense model as the fine-tuned one of a mixture", async () => {
        const files = [said("qwen3moe", "M", { layers: 7 }), said("qwen3", "D", { layers: 13 })].map(write);
        const other = write(said("qwen3", "E", { layers: 3 }));
        await expect(assignRoles({}, [...files, other], () => Promise.resolve(undefined))).rejects.toThrow(
            /Sizes do not tell/,
        );
    });

    it("names recipes that are built in", async () => {
        const names = new Set((await listRecipes()).map(({ name }) => name));
        expect(names.size).toBeGreaterThan(20);
        const { FAMILIES } = await import("../../src/models/families.js");
        for (const { recipe, mixtureRecipe = recipe } of FAMILIES)
            expect([recipe, mixtureRecipe].filter((name) => !names.has(name))).toEqual([]);
    });
});
