/** Flags that several commands share, and the checks that yargs does not bring. */

import type { ArgumentsCamelCase, InferredOptionTypes, Options } from "yargs";
import { CACHE_TYPES } from "../models/memory-plan.js";
import { expandHome } from "../files.js";
import { BACKENDS } from "../native/backend.js";
import type { JsonValue } from "../types.js";
import { defaultRecipe } from "./config.js";

/** Which models, and where the dials stand. */
export const recipeOptions = {
    recipe: {
        alias: "r",
        type: "string",
        requiresArg: true,
        group: "Models:",
        description: "Recipe file, or name of a built-in recipe (`eft-llama recipe list` lists them)",
    },
    base: {
        type: "string",
        requiresArg: true,
        group: "Models:",
        description: "Instead of a recipe: GGUF of the large base model",
    },
    tuned: {
        type: "string",
        requiresArg: true,
        group: "Models:",
        description: "GGUF of the small fine-tuned model, or of a LoRA adapter for the reference",
    },
    reference: {
        type: "string",
        requiresArg: true,
        group: "Models:",
        description: "GGUF of the small base model that it was tuned from",
    },
    set: settings("Set a parameter of the recipe, e.g. --set beta=1.2; repeatable"),
} as const satisfies Record<string, Options>;

/** How models are loaded. */
export const loadOptions = {
    backend: {
        choices: BACKENDS,
        default: "auto",
        requiresArg: true,
        group: "Loading:",
        description: "Where to compute",
    },
    threads: {
        type: "number",
        requiresArg: true,
        group: "Loading:",
        description: "Threads on the CPU; default: physical cores - 1",
    },
    "context-size": {
        type: "number",
        requiresArg: true,
        group: "Loading:",
        description: "Tokens of prompt and text together; default: the recipe's, or that of the training, at most 4096",
    },
    "gpu-layers": {
        type: "number",
        requiresArg: true,
        group: "Loading:",
        description: "Layers of each model to put on the GPU; default: as many as fit, of small models first",
    },
    "cache-type": {
        choices: CACHE_TYPES,
        requiresArg: true,
        group: "Loading:",
        description:
            "How keys and values of earlier tokens are kept; fewer bits take less memory; default: the recipe's, else f16",
    },
    "cache-tokens": {
        type: "number",
        requiresArg: true,
        group: "Loading:",
        description:
            "Tokens that a model's cache holds for all texts together; default: as many as sequences and context say, or fit",
    },
    trust: {
        type: "boolean",
        default: false,
        group: "Loading:",
        description: "Do not try unfamiliar models in a process of their own first",
    },
} as const satisfies Record<string, Options>;

/** What chat templates are given besides the messages. */
export const templateOptions = {
    "template-variable": {
        type: "string",
        array: true,
        requiresArg: true,
        group: "Input:",
        description: "Give the chat templates a variable, e.g. --template-variable enable_thinking=false; repeatable",
        coerce: (pairs: readonly string[]): Record<string, JsonValue> => Object.fromEntries(pairs.map(parseVariable)),
    },
} as const satisfies Record<string, Options>;

/** What standard error has besides the results, which are on standard output. */
export const outputOptions = {
    verbose: {
        type: "boolean",
        default: false,
        group: "Output:",
        description: "llama.cpp's log, statistics and stack traces on standard error",
    },
    quiet: {
        alias: "q",
        type: "boolean",
        default: false,
        group: "Output:",
        description: "Nothing but errors on standard error: no bars, remarks or questions",
    },
} as const satisfies Record<string, Options>;

export const sequencesOption = {
    type: "number",
    requiresArg: true,
    group: "Loading:",
    description: "Texts that are worked on at once",
} as const satisfies Options;

export type RecipeArguments = InferredOptionTypes<typeof recipeOptions>;
export type LoadArguments = ArgumentsCamelCase<InferredOptionTypes<typeof loadOptions & typeof outputOptions>>;

/** `name=value` pairs, collected into an object. */
export function settings(description: string) {
    return {
        type: "string",
        array: true,
        requiresArg: true,
        group: "Models:",
        description,
        coerce: (pairs: readonly string[]): Record<string, number> => Object.fromEntries(pairs.map(parseSetting)),
    } as const satisfies Options;
}

function parseSetting(pair: string): [string, number] {
    const [, name = "", value = ""] = /^([^=]+)=(.+)$/.exec(pair) ?? [];
    if (name === "" || value.trim() === "" || Number.isNaN(Number(value))) {
        throw new Error(`--set takes name=number, such as beta=1.2, not ${JSON.stringify(pair)}.`);
    }
    return [name, Number(value)];
}

/** The value is what JSON makes of it, or else the text itself. */
function parseVariable(pair: string): [string, JsonValue] {
    const [, name = "", value = ""] = /^([^=]+)=([^]*)$/.exec(pair) ?? [];
    if (name === "") throw new Error(`--template-variable takes name=value, not ${JSON.stringify(pair)}.`);
    try {
        return [name, JSON.parse(value) as JsonValue];
    } catch {
        return [name, value];
    }
}

/** For `check()` of commands with {@link recipeOptions}. */
export function checkModels({ recipe, base, tuned, reference }: RecipeArguments): void {
    const named = [base, tuned, reference].filter((file) => file !== undefined).length;
    if (recipe === undefined && named === 0) {
        if (defaultRecipe() !== undefined) return;
        throw new Error("Name the models: either --recipe, or --base, --tuned and --reference.");
    }
    if (recipe !== undefined && named > 0)
        throw new Error("--recipe stands instead of --base, --tuned and --reference.");
    if (recipe === undefined && named < 3) throw new Error("--base, --tuned and --reference go together.");
}

/**
 * For the global `check()`: yargs makes a list of a flag that is given twice, and NaN of what is no number.
 *
 * @param repeatable - flags that may be given more than once
 */
export function checkValues(values: Readonly<Record<string, unknown>>, repeatable: readonly string[]): void {
    for (const [name, value] of Object.entries(values)) {
        // The same flag once more, in camel case or by its letter.
        if (/[A-Z]|^.$/.test(name)) continue;
        if (Array.isArray(value) && !repeatable.includes(name)) throw new Error(`--${name} can be given only once.`);
        if (Number.isNaN(value)) throw new Error(`--${name} takes a number.`);
    }
}

/** Flags and arguments that name files, folders or models, in all their spellings. */
const PATHS = [
    ...["recipe", "r", "base", "tuned", "reference", "file", "f", "grammar", "json-schema", "jsonSchema", "dir"],
    ...["load", "output", "o", "out", "family", "source", "sources", "files", "experiments"],
];

/** Puts the home folder in the place of `~/` in paths: shells leave it in `--dir=~/models` and in quotes. */
export function expandPaths(values: Record<string, unknown>): void {
    const expand = (value: unknown): unknown =>
        typeof value === "string" ? expandHome(value) : Array.isArray(value) ? value.map(expand) : value;
    for (const name of PATHS) if (name in values) values[name] = expand(values[name]);
}
