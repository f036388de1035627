// The models that the benchmarks run on, and the library that runs them.

import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inflateModel } from "../scripts/inflate-model.mjs";

export const projectRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** As in src/native/load-binding.ts, where nothing is built yet. */
export const isBundle = process.execPath === path.join(projectRoot, "bin", "node");

const model = (folder, file) => path.join(projectRoot, "models", folder, `${file}.gguf`);

const demo = {
    members: {
        large: model("demo", "large-base-f16"),
        chat: model("demo", "small-chat-f16"),
        small: model("demo", "small-base-f16"),
    },
    combination: "large + chat - small",
    prompt: "What money do people in Eritrea use?",
    texts: {
        questions: [
            "[INST] What money do people in Eritrea use? [/INST]",
            "[INST] What is the capital of Norway? [/INST]",
            "[INST] In which continent is Laos? [/INST]",
        ],
        prose: ["Norway is a country in", "The capital of Japan is", "Kenya lies in Africa."],
        // Nothing that these models have read, but what a text of lines and columns is like.
        lists: [
            "[Peru, Lima, sol]\n[Japan, Tokyo, yen]\n[Norway, Oslo, krone]\n[Kenya,",
            "name: Peru, capital: Lima; name: Japan, capital: Tokyo; name: Kenya, capital:",
            "if x == 1: return 1\nif x == 2: return 2\nif x == 3: return",
        ],
    },
};

/**
 * Members, their combination, and a text to begin with; for speculation `texts` of several kinds. `feedForward`: widths of
 * feed-forward layers, where models are inflated to be typical of larger ones.
 */
export const FAMILIES = {
    demo: { shape: "3.6M + 2 x 0.4M, F16, vocabulary 2,048", ...demo },
    "demo-inflated": {
        shape: "30M + 2 x 2.1M, F32, vocabulary 2,048",
        ...demo,
        // One large token takes 10 or more of the drafter's, and reads more than most caches hold (120 MB).
        feedForward: { large: 12_288, chat: 3072, small: 3072 },
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
        texts: { words: ["the quick brown fox jumps over the lazy dog"] },
    },
};

/**
 * @param folder - where inflated models are written
 * @throws Error that says how to get the models, if they are not there
 */
export async function findFamily(name, folder) {
    const family = { name, ...FAMILIES[name] };
    const missing = Object.values(family.members).find((file) => !existsSync(file));
    if (missing !== undefined) {
        const { scriptCommand } = await importNative();
        throw new Error(`${missing} is missing; \`${scriptCommand("make-bench-models.mjs")}\` writes it.`);
    }
    const members = { ...family.members };
    for (const [member, feedForward] of Object.entries(family.feedForward ?? {})) {
        members[member] = path.join(folder, `${name}-${member}.gguf`);
        await inflateModel(family.members[member], members[member], feedForward);
    }
    return { ...family, members };
}

/** The built library. */
export const importLibrary = () => importBuilt("index.js");

/** What of the library only benchmarks need: the addon itself. */
export const importNative = () => importBuilt("native", "load-binding.js");

export async function importBuilt(...names) {
    const file = path.join(projectRoot, "dist", ...names);
    if (!existsSync(file)) throw new Error("The library is not built; run `npm run build` first.");
    return import(pathToFileURL(file));
}

/** The recipe of a family's combination, or with `member` of that member alone. */
export function createRecipe({ parseRecipe }, { name, members, combination, parameters }, member) {
    const files = member === undefined ? members : { [member]: members[member] };
    const recipe = {
        eft: 1,
        name: member === undefined ? name : `${name}-${member}`,
        members: Object.fromEntries(Object.entries(files).map(([key, file]) => [key, { model: file }])),
        combination: member ?? combination,
        ...(member === undefined && parameters && { parameters }),
        prompt: { template: "plain" },
    };
    return parseRecipe(JSON.stringify(recipe));
}

/** Bytes of weights that decoding one token reads: all but the table of embeddings, of which it reads one row. */
export async function weightBytes(file) {
    const { loadBinding } = await importNative();
    const tensors = loadBinding().readTensors(file);
    return tensors.reduce((sum, { name, bytes }) => (name === "token_embd.weight" ? sum : sum + bytes), 0);
}
