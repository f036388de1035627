/** The configuration file of the program: defaults of what one would otherwise type every day. The library does not read it. */

import { existsSync } from "node:fs";
import path from "node:path";
import type { Options } from "yargs";
import { CACHE_TYPES } from "../models/memory-plan.js";
import { expandHome, homeFolder, readTextSync } from "../files.js";
import { BACKENDS } from "../native/backend.js";
import { readDocument, type DocumentKind } from "../recipe/document.js";
import { createValidator } from "../recipe/schema.js";

/** Keys are those of the flags; `models` is the folder that `EFT_LLAMA_MODELS` names. */
interface Config {
    readonly models?: string;
    readonly recipe?: string;
    readonly backend?: string;
    readonly threads?: number;
    readonly "gpu-layers"?: number;
    readonly "cache-type"?: string;
    readonly "cache-tokens"?: number;
    readonly "context-size"?: number;
    readonly temperature?: number;
    readonly "top-k"?: number;
    readonly "top-p"?: number;
    readonly "min-p"?: number;
    readonly "repeat-penalty"?: number;
    readonly "frequency-penalty"?: number;
    readonly "presence-penalty"?: number;
    readonly "max-tokens"?: number;
}

const KIND: DocumentKind = { noun: "configuration", syntax: "CONFIG_INVALID", invalid: "CONFIG_INVALID" };

const validate = createValidator<Config>({
    title: "a mapping of settings",
    type: "object",
    additionalProperties: false,
    properties: {
        models: { title: "the path of a folder", type: "string", minLength: 1 },
        recipe: { title: "the path or name of a recipe", type: "string", minLength: 1 },
        backend: { enum: BACKENDS },
        threads: { type: "integer", minimum: 1, maximum: 512 },
        "gpu-layers": { type: "integer", minimum: 0, maximum: 1000 },
        "cache-type": { enum: CACHE_TYPES },
        "cache-tokens": { type: "integer", minimum: 8, maximum: 268435456 },
        "context-size": { type: "integer", minimum: 8, maximum: 4194304 },
        temperature: { type: "number", minimum: 0, maximum: 100 },
        "top-k": { type: "integer", minimum: 0, maximum: 2147483647 },
        "top-p": { type: "number", exclusiveMinimum: 0, maximum: 1 },
        "min-p": { type: "number", minimum: 0, maximum: 1 },
        "repeat-penalty": { type: "number", exclusiveMinimum: 0, maximum: 10 },
        "frequency-penalty": { type: "number", minimum: -100, maximum: 100 },
        "presence-penalty": { type: "number", minimum: -100, maximum: 100 },
        "max-tokens": { type: "integer", minimum: 0, maximum: 2147483647 },
    },
});

/** A mapping of some numbers and paths. */
const MAX_BYTES = 2 ** 20;

/** The file that a command got defaults from, or why it could not. */
let consulted: { readonly file?: string; readonly recipe?: string; readonly problem?: Error } = {};

/** The recipe for commands to which none is named, absolute or a name; undefined if the file has none. */
export function defaultRecipe(): string | undefined {
    return consulted.recipe;
}

/**
 * The options of a command with the defaults that the configuration file has for them. Its model folder is put into the
 * environment, where the library looks, unless the variable is there already.
 *
 * Help and completion are to be had whatever is in the file, so what is wrong with it is left to {@link checkConfig}.
 */
export function withConfig<T extends Readonly<Record<string, Options>>>(options: T): T {
    let config: Config;
    try {
        config = readConfig();
    } catch (error) {
        consulted = { problem: error as Error };
        return options;
    }
    const { models, recipe, ...defaults } = config;
    if (recipe !== undefined) consulted = { ...consulted, recipe };
    if (models !== undefined) process.env.EFT_LLAMA_MODELS ||= models;
    const settings: Readonly<Record<string, unknown>> = defaults;
    // The type stays: a default of the same type takes the place of another one or of none.
    return Object.fromEntries(
        Object.entries(options).map(([name, option]) => [
            name,
            settings[name] === undefined ? option : { ...option, default: settings[name] },
        ]),
    ) as T;
}

/**
 * For when a command is about to run.
 *
 * @returns the file that it got defaults from; undefined if there is none, or if the command does not ask for any
 * @throws EftError CONFIG_INVALID with line and column, FILE_UNREADABLE
 */
export function checkConfig(): string | undefined {
    if (consulted.problem !== undefined) throw consulted.problem;
    return consulted.file;
}

/**
 * `EFT_LLAMA_CONFIG`, else `eft-llama/config.yaml` in `XDG_CONFIG_HOME`, `~/.config` or, on Windows, `%APPDATA%`. Undefined
 * where there is no such folder.
 */
function configFile(): string | undefined {
    const { EFT_LLAMA_CONFIG: chosen, XDG_CONFIG_HOME: xdg, APPDATA: roaming } = process.env;
    if (chosen) return path.resolve(expandHome(chosen));
    const home = homeFolder();
    const folder = (process.platform === "win32" ? roaming : xdg) || (home && path.join(home, ".config"));
    return folder && path.join(folder, "eft-llama", "config.yaml");
}

/** The settings, with an absolute `models`; none if there is no file. */
function readConfig(): Config {
    const file = configFile();
    // A home folder that this user may not look into, such as that of another one, has none either.
    if (file === undefined || (!process.env.EFT_LLAMA_CONFIG && !existsSync(file))) return {};
    const text = readTextSync(file, { limit: MAX_BYTES, name: `The configuration file ${file}` });
    consulted = { file };
    const document = readDocument(text, file, KIND);
    // Nothing but comments.
    if (document.value === null) return {};
    const config = validate(document);
    const near = (place: string): string => path.resolve(path.dirname(file), expandHome(place));
    const { models, recipe } = config;
    // What has neither folder nor ending is the name of a built-in recipe.
    const isFile = recipe !== undefined && /[/\\]|\.(?:ya?ml|json)$/i.test(recipe);
    return { ...config, ...(models && { models: near(models) }), ...(isFile && { recipe: near(recipe) }) };
}
