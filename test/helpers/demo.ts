/** The demo family, and ensembles of it. */

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { loadEnsemble, parseRecipe, type Ensemble, type LoadOptions, type Recipe } from "../../src/index.js";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
export const demoFolder = path.join(repository, "models", "demo");

export type DemoModel = "large-base" | "large-chat" | "small-base" | "small-chat" | "small-safe";
export type Quantization = "f16" | "q8_0";

export function demoFile(model: DemoModel, quantization: Quantization = "f16"): string {
    return path.join(demoFolder, `${model}-${quantization}.gguf`);
}

/** A recipe from YAML without its first lines. Model paths are relative to the demo family. */
export function demoRecipe(yaml: string): Recipe {
    return parseRecipe(`eft: 1\nname: test\n${yaml}`, { directory: demoFolder });
}

/** One model by itself, prompted with plain text. */
export function soloRecipe(file: string, more = ""): Recipe {
    return demoRecipe(`
members: { solo: { model: ${JSON.stringify(file)} } }
combination: solo
prompt: { template: plain }
${more}`);
}

/** The recipe of `npm run demo`. */
export function upscalingRecipe(quantization: Quantization = "f16", more = ""): Recipe {
    return demoRecipe(`
members:
    large: { model: large-base-${quantization}.gguf }
    chat: { model: small-chat-${quantization}.gguf }
    small: { model: small-base-${quantization}.gguf }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: chat + beta * (large - small)
prompt: { template: from chat }
${more}`);
}

/** Two of the small members, as some other recipe over the same files. */
export function amplifiedRecipe(): Recipe {
    return demoRecipe(`
members:
    chat: { model: small-chat-f16.gguf }
    small: { model: small-base-f16.gguf }
combination: 2 * chat - small
prompt: { template: from chat }`);
}

/** Loads on the CPU with one thread, so that tests give the same numbers on every machine with the same instructions. */
export function loadOnCpu(recipe: Recipe, options: LoadOptions = {}): Promise<Ensemble> {
    return loadEnsemble(recipe, { backend: "cpu", threads: 1, ...options });
}

/** Runs `body` with a loaded ensemble and disposes it, whatever happens. */
export async function withEnsemble<T>(
    recipe: Recipe,
    options: LoadOptions,
    body: (ensemble: Ensemble) => Promise<T>,
): Promise<T> {
    const ensemble = await loadOnCpu(recipe, options);
    try {
        return await body(ensemble);
    } finally {
        await ensemble.dispose();
    }
}

/** Questions in the form that the family was trained on. */
export const QUESTIONS = [
    "What is the capital of Peru?",
    "What money do people in Eritrea use?",
    "What language do people in Chad speak?",
    "What is the capital of Japan?",
    "What money do people in Peru use?",
    "What is the capital of Kenya?",
    "What language do people in Brazil speak?",
    "What money do people in Japan use?",
] as const;

export function readText(file: string): string {
    return readFileSync(path.join(repository, file), "utf8");
}

/** Files of models that this file of tests has in memory, by Linux's account; empty elsewhere. */
export function mappedModels(): string[] {
    return mapped().filter((file) => !mappedBefore.includes(file));
}

function mapped(): string[] {
    if (process.platform !== "linux") return [];
    const files = readFileSync("/proc/self/maps", "utf8").match(/\S+\.gguf/g) ?? [];
    return [...new Set(files)];
}

// A model in whose evaluation llama.cpp has failed stays in memory, and one process runs many files of tests.
const mappedBefore = mapped();
