/** Where the models of a recipe lie on this machine: files that it names by path, and those that were downloaded. */

import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { EftError } from "../errors.js";
import { text } from "../options.js";
import { checkRecipe, listRecipes } from "../recipe/index.js";
import type { Recipe } from "../types.js";

/** The end of the name of one part of a split GGUF, as llama.cpp's `llama-gguf-split` makes them. */
export const SPLIT = /-(\d{5})-of-(\d{5})\.gguf$/i;

/** An `hf:` reference in its parts: `tag` chooses a file by its quantization, `file` names it. */
export interface HubReference {
    readonly user: string;
    readonly repository: string;
    readonly branch: string;
    readonly tag?: string;
    readonly file?: string;
}

/**
 * Folder that models are downloaded to and looked up in: the environment variable `EFT_LLAMA_MODELS`, else `eft-llama/models`
 * in the user's folder of caches (`XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches`; `%LOCALAPPDATA%`).
 */
export function modelFolder(): string {
    const { EFT_LLAMA_MODELS: chosen, XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = process.env;
    if (chosen) return path.resolve(chosen);
    const home = homedir();
    if (process.platform === "win32")
        return path.join(local || path.join(home, "AppData", "Local"), "eft-llama", "models");
    if (process.platform === "darwin") return path.join(home, "Library", "Caches", "eft-llama", "models");
    return path.join(xdg || path.join(home, ".cache"), "eft-llama", "models");
}

/** Whether a model has to be downloaded before it can be loaded. @throws EftError OPTION_INVALID */
export function isRemote(reference: string): boolean {
    return /^(?:hf|https):/.test(text("A reference", reference));
}

/**
 * The file of a model, or undefined if it is not on this machine. What is half downloaded is not found.
 *
 * @param reference - a path, or an `hf:` or `https:` reference
 * @param folder - where downloads are. Default: {@link modelFolder}
 * @throws EftError OPTION_INVALID
 */
export function findModel(reference: string, folder = modelFolder()): string | undefined {
    const file = modelPath(reference, text("folder", folder));
    if (existsSync(file)) return file;
    // A tag may stand for a model in parts, and only the hub knows how many there are. A file name says it.
    if (!reference.startsWith("hf:") || parseHubReference(reference).file !== undefined) return undefined;
    const directory = path.dirname(file);
    const start = `${path.basename(file, ".gguf")}-00001-of-`;
    const names = existsSync(directory) ? readdirSync(directory) : [];
    const first = names.find((name) => name.startsWith(start) && SPLIT.test(name));
    return first === undefined ? undefined : path.join(directory, first);
}

/**
 * The recipe with the paths of its models in the place of references.
 *
 * @throws EftError MODEL_NOT_FOUND, which names the command that downloads what is missing
 */
export async function locateModels(recipe: Recipe, folder = modelFolder()): Promise<Recipe> {
    const missing = missingModels(recipe, folder);
    if (missing.length > 0) {
        const [name, { model }] = [missing.map(({ name }) => name).join(", "), missing[0] as { model: string }];
        const what = missing.length === 1 ? `The model of member ${name} (${model}) has` : `The models of ${name} have`;
        const source = await pullSource(recipe);
        throw new EftError(
            "MODEL_NOT_FOUND",
            `${what} not been downloaded to ${folder}. Download with \`eft-llama pull ${source}\`.`,
        );
    }
    const members = recipe.members.map((member) => {
        const file = findModel(member.model, folder);
        if (file !== undefined) return { ...member, model: file };
        throw new EftError(
            "MODEL_NOT_FOUND",
            `The model of member ${member.name} is not at ${member.model}; correct the path.`,
        );
    });
    return { ...recipe, members };
}

/** The members whose models would have to be downloaded. @throws EftError OPTION_INVALID */
export function missingModels(recipe: Pick<Recipe, "members">, folder = modelFolder()): Recipe["members"] {
    checkRecipe("missingModels", recipe);
    return recipe.members.filter(({ model }) => isRemote(model) && findModel(model, folder) === undefined);
}

/** What `eft-llama pull` takes to download the models of a recipe. */
async function pullSource({ file, members }: Recipe): Promise<string> {
    if (file === undefined) return [...new Set(members.map(({ model }) => model).filter(isRemote))].join(" ");
    const builtIn = (await listRecipes()).find((recipe) => recipe.file === file);
    return builtIn?.name ?? path.relative(".", file);
}

/**
 * Where a model lies, or would lie: references have a place of their own each, whatever a server says its file is called.
 * Of a split model it is the first part.
 */
export function modelPath(reference: string, folder: string): string {
    if (!isRemote(reference)) return path.resolve(reference);
    return path.join(folder, ...placeOf(reference).map(toFileName)).replace(SPLIT, "-00001-of-$2.gguf");
}

function placeOf(reference: string): string[] {
    if (reference.startsWith("hf:")) {
        const { user, repository, branch, tag, file } = parseHubReference(reference);
        // Folders are branches, files beside them are tags, so that neither is taken for the other.
        return ["hf", user, repository, ...(file === undefined ? [`${tag}.gguf`] : [branch, ...file.split("/")])];
    }
    const { host, pathname, search } = new URL(reference);
    const folders = pathname.split("/").map(decode);
    const name = folders.pop() ?? "";
    return ["https", host, ...folders, search, /\.gguf$/i.test(name) ? name : `${name}.gguf`].filter(
        (part) => part !== "",
    );
}

/** @param reference - of the form that recipes allow */
export function parseHubReference(reference: string): HubReference {
    const [, user = "", repository = "", tag = "latest", file, branch = "main"] =
        /^hf:([^/]+)\/([^/:]+)(?::(.+)|\/([^#]+)(?:#(.+))?)?$/.exec(reference) ?? [];
    const place = { user, repository, branch };
    return file === undefined ? { ...place, tag: tag === "latest" ? tag : tag.toUpperCase() } : { ...place, file };
}

/** A name that no file system takes for a path, whatever the part of a reference is. */
function toFileName(part: string): string {
    // Lone surrogates, which have no encoding, become U+FFFD.
    const text = Buffer.from(part).toString();
    return encodeURIComponent(text).replaceAll("*", "%2A").replace(/\.$/, "%2E");
}

function decode(part: string): string {
    try {
        return decodeURIComponent(part);
    } catch {
        return part;
    }
}
