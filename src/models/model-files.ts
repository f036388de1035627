/** Where the models of a recipe lie on this machine: files that it names by path, and those that were downloaded. */

import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { EftError } from "../errors.js";
import { cacheFolder, expandHome, unreadable } from "../files.js";
import { string } from "../options.js";
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
 *
 * @throws EftError OPTION_INVALID where the system knows no home folder
 */
export function modelFolder(): string {
    const chosen = process.env.EFT_LLAMA_MODELS;
    return chosen ? path.resolve(expandHome(chosen)) : cacheFolder("models");
}

/** Whether a model has to be downloaded before it can be loaded. @throws EftError OPTION_INVALID */
export function isRemote(reference: string): boolean {
    return /^(?:hf|https):/.test(string("A reference", reference));
}

/**
 * The file of a model, or undefined if it is not on this machine. Of a split model it is the first part, whichever was named.
 * What is half downloaded is not found.
 *
 * @param reference - a path, or an `hf:` or `https:` reference
 * @param folder - where downloads are. Default: {@link modelFolder}
 * @throws EftError OPTION_INVALID also as {@link modelFolder}
 */
export function findModel(reference: string, folder?: string): string | undefined {
    const file = modelPath(reference, folder === undefined ? undefined : string("folder", folder));
    // A path is found where any part is: loading tells which of the others is missing.
    if (!isRemote(reference)) return existsSync(file) ? file : undefined;
    if (isWhole(file)) return file;
    // A tag may stand for a model in parts, and only the hub knows how many there are. A file name says it.
    if (!reference.startsWith("hf:") || parseHubReference(reference).file !== undefined) return undefined;
    const start = `${path.basename(file, ".gguf")}-00001-of-`;
    const parts = listFolder(path.dirname(file)).filter((name) => name.startsWith(start) && SPLIT.test(name));
    return parts.map((name) => path.join(path.dirname(file), name)).find(isWhole);
}

/** Whether the file is there, with all parts that its name speaks of. */
function isWhole(file: string): boolean {
    return partFiles(file, partCount(file)).every((part) => existsSync(part));
}

/** Parts of a split model by the name of one of them; 1 for other files. */
export function partCount(name: string): number {
    return Number(SPLIT.exec(name)?.[2] ?? 1);
}

/** The names of a model's files, made of any of them or of that of a whole model. */
export function partFiles(file: string, count: number): string[] {
    if (count === 1) return [file];
    const start = file.replace(SPLIT, ".gguf").replace(/\.gguf$/i, "");
    const number = (index: number): string => String(index).padStart(5, "0");
    return Array.from({ length: count }, (_, index) => `${start}-${number(index + 1)}-of-${number(count)}.gguf`);
}

function listFolder(folder: string): string[] {
    try {
        return readdirSync(folder);
    } catch {
        return [];
    }
}

/**
 * The recipe with the paths of its models in the place of references.
 *
 * @throws EftError MODEL_NOT_FOUND, which names the command that downloads what is missing; FILE_UNREADABLE, OPTION_INVALID
 */
export async function locateModels(recipe: Recipe, folder?: string): Promise<Recipe> {
    const missing = missingModels(recipe, folder);
    if (missing.length > 0) {
        const [name, { model }] = [missing.map(({ name }) => name).join(", "), missing[0] as { model: string }];
        const what = missing.length === 1 ? `The model of member ${name} (${model}) has` : `The models of ${name} have`;
        throw new EftError(
            "MODEL_NOT_FOUND",
            `${what} not been downloaded to ${folder ?? modelFolder()}. Download with \`${await commandToPull(recipe)}\`.`,
        );
    }
    const members = recipe.members.map((member) => {
        const file = findModel(member.model, folder);
        if (file !== undefined) return { ...member, model: file };
        throw notAt(`The model of member ${member.name}`, member.model);
    });
    return { ...recipe, members };
}

/** The error for a file that was named and not found: it is not there, or in a folder that this user may not look into. */
export function notAt(what: string, file: string): EftError {
    try {
        statSync(file);
    } catch (error) {
        if (!["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? ""))
            return unreadable(file, error);
    }
    return new EftError("MODEL_NOT_FOUND", `${what} is not at ${file}; correct the path.`);
}

/** The members whose models would have to be downloaded. @throws EftError OPTION_INVALID */
export function missingModels(recipe: Pick<Recipe, "members">, folder?: string): Recipe["members"] {
    checkRecipe("missingModels", recipe);
    return recipe.members.filter(({ model }) => isRemote(model) && findModel(model, folder) === undefined);
}

/** The command that downloads the models of a recipe. */
export async function commandToPull({ file, members }: Recipe): Promise<string> {
    const references = [...new Set(members.map(({ model }) => model).filter(isRemote))];
    const builtIn = (await listRecipes()).find((recipe) => recipe.file === file);
    const sources = file === undefined ? references : [builtIn?.name ?? path.relative(".", file)];
    // A shell would read some characters otherwise.
    const words = sources.map((source) => (/^[\w./\\:@+,-]+$/.test(source) ? source : JSON.stringify(source)));
    return `eft-llama pull ${words.join(" ")}`;
}

/**
 * Where a model lies, or would lie: references have a place of their own each, whatever a server says its file is called.
 * Of a split model it is the first part.
 */
export function modelPath(reference: string, folder?: string): string {
    if (isRemote(reference)) return toFirst(path.join(folder ?? modelFolder(), ...placeOf(reference).map(toFileName)));
    const file = path.resolve(expandHome(reference));
    // A whole model may have a name that looks like a part's.
    return existsSync(toFirst(file)) ? toFirst(file) : file;
}

function toFirst(file: string): string {
    return file.replace(SPLIT, "-00001-of-$2.gguf");
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
