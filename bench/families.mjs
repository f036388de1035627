// The models that the benchmarks run on, and the library that runs them.

import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { readGgufFileInfo } from "node-llama-cpp";

export const projectRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

const model = (folder, file) => path.join(projectRoot, "models", folder, `${file}.gguf`);

/** Members, their combination, and a text to begin with. */
export const FAMILIES = {
    demo: {
        shape: "3.6M + 2 x 0.4M, F16, vocabulary 2,048",
        members: {
            large: model("demo", "large-base-f16"),
            chat: model("demo", "small-chat-f16"),
            small: model("demo", "small-base-f16"),
        },
        combination: "large + chat - small",
        prompt: "What money do people in Eritrea use?",
    },
    "134m": {
        shape: "2 x 134M, Q8_0, vocabulary 32,000",
        members: { chat: model("bench", "small-chat"), small: model("bench", "small-base") },
        combination: "2 * chat - small",
        prompt: "the quick brown fox jumps over the lazy dog",
    },
    "1.1b": {
        shape: "1.1B Q4_0 + 2 x 134M Q8_0, vocabulary 32,000",
        members: {
            large: model("bench", "large"),
            chat: model("bench", "small-chat"),
            small: model("bench", "small-base"),
        },
        combination: "large + chat - small",
        prompt: "the quick brown fox jumps over the lazy dog",
    },
};

/** @throws Error that says how to get the models, if they are not there */
export function findFamily(name) {
    const family = { name, ...FAMILIES[name] };
    const missing = Object.values(family.members).find((file) => !existsSync(file));
    if (missing === undefined) return family;
    throw new Error(`${missing} is missing; \`node scripts/make-bench-models.mjs\` writes it.`);
}

/** The built library. */
export async function importLibrary() {
    const entry = path.join(projectRoot, "dist", "index.js");
    if (!existsSync(entry)) throw new Error("The library is not built; run `npm run build` first.");
    return import(pathToFileURL(entry));
}

/** The recipe of a family's combination, or with `member` of that member alone. */
export function createRecipe({ parseRecipe }, { name, members, combination }, member) {
    const files = member === undefined ? members : { [member]: members[member] };
    const recipe = {
        eft: 1,
        name: member === undefined ? name : `${name}-${member}`,
        members: Object.fromEntries(Object.entries(files).map(([key, file]) => [key, { model: file }])),
        combination: member ?? combination,
        prompt: { template: "plain" },
    };
    return parseRecipe(JSON.stringify(recipe));
}

/** Bytes of weights that decoding one token reads: all but the table of embeddings, of which it reads one row. */
export async function weightBytes(file) {
    const { fullTensorInfo } = await readGgufFileInfo(file);
    const tensors = fullTensorInfo.map(({ name, fileOffset }) => ({ name, from: Number(fileOffset) }));
    tensors.sort((a, b) => a.from - b.from);
    const { size } = await stat(file);
    return tensors.reduce((sum, { name, from }, i) => {
        const bytes = (tensors[i + 1]?.from ?? size) - from;
        return name === "token_embd.weight" ? sum : sum + bytes;
    }, 0);
}
