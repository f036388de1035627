/** What has been downloaded: from the files in the folder of models back to the references that recipes name them by. */

import type { Dirent } from "node:fs";
import { readdir, readFile, rm, rmdir, stat } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { unreadable, unwritable } from "../files.js";
import { listOf, place, string } from "../options.js";
import { findReferenceProblem } from "../recipe/reference.js";
import { isLocked, REFERENCE_FILE, tryLock, workshopOf, WORKSHOP } from "./download.js";
import { isRemote, modelFolder, modelPath, partCount, partFiles, SPLIT } from "./model-files.js";

/** A model in the folder of downloads, or what there is of one. */
export interface StoredModel {
    /** As a recipe names it; for files that are in no place of a reference, their path in the folder. */
    readonly name: string;
    /** Absolute paths, the first part first. */
    readonly files: readonly string[];
    /** Bytes that are on the disk. */
    readonly bytes: number;
    /** When the last of it came. */
    readonly time: Date;
    /** `incomplete`: a download that has ended before its end, or a model that lacks parts; `pull` goes on with it. */
    readonly state: "complete" | "incomplete" | "downloading";
}

/**
 * The models that have been downloaded, by name, and the downloads that have not come to their ends. Links to folders are not
 * followed.
 *
 * @param folder - default: {@link modelFolder}
 * @throws EftError FILE_UNREADABLE, OPTION_INVALID
 */
export async function listModels(folder = modelFolder()): Promise<StoredModel[]> {
    const root = path.resolve(place("folder", folder));
    const models = [...(await listPlaces(root)), ...(await listWorkshops(root))];
    return models.sort((a, b) => (a.name === b.name ? 0 : a.name < b.name ? -1 : 1));
}

/**
 * Deletes models from the folder of downloads, with what there is of unfinished downloads of them, and folders that are empty then.
 *
 * @param names - as `listModels` has them; references in any spelling
 * @param folder - default: {@link modelFolder}
 * @returns what was deleted
 * @throws EftError MODEL_NOT_FOUND before anything is deleted; FILE_UNWRITABLE, also for a model that is being downloaded
 */
export async function removeModels(names: readonly string[], folder = modelFolder()): Promise<StoredModel[]> {
    const root = path.resolve(place("folder", folder));
    const chosen = chooseModels(await listModels(root), listOf(string)("names", names), root);
    for (const model of chosen) await removeModel(model, root);
    return chosen;
}

/** The models that names stand for, each once. @throws EftError MODEL_NOT_FOUND */
export function chooseModels(
    models: readonly StoredModel[],
    names: readonly string[],
    folder = modelFolder(),
): StoredModel[] {
    const chosen = names.map((name) => {
        const found = models.filter((model) => model.name === name || isSame(model.name, name, folder));
        if (found.length > 0) return found;
        const what = `There is no model ${JSON.stringify(name)} in ${folder}`;
        throw new EftError("MODEL_NOT_FOUND", `${what}; \`eft-llama models list\` says which there are.`);
    });
    return [...new Set(chosen.flat())];
}

function isSame(name: string, wanted: string, folder: string): boolean {
    const isReference = (each: string): boolean => isRemote(each) && findReferenceProblem(each) === undefined;
    return isReference(name) && isReference(wanted) && modelPath(name, folder) === modelPath(wanted, folder);
}

async function listPlaces(root: string): Promise<StoredModel[]> {
    const files = (await listFiles(root, root)).filter((file) => /\.gguf$/i.test(file));
    const keyOf = (file: string): string => file.replace(SPLIT, "-$2.gguf");
    const models = [...new Set(files.map(keyOf))].map((key) => files.filter((file) => keyOf(file) === key));
    return Promise.all(
        models.map(async (own) => {
            const [file = ""] = own;
            const all = partFiles(file, partCount(file));
            const [first = ""] = all;
            const isWhole = all.every((part) => own.includes(part));
            const name = referenceOf(first, root) ?? path.relative(root, first);
            return { name, files: own, ...(await measure(own)), state: isWhole ? "complete" : "incomplete" } as const;
        }),
    );
}

async function listWorkshops(root: string): Promise<StoredModel[]> {
    const entries = await readFolder(path.join(root, WORKSHOP));
    const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.endsWith(".lock"));
    return Promise.all(
        folders.map(async ({ name: hash }) => {
            const folder = path.join(root, WORKSHOP, hash);
            const written = await readFile(path.join(folder, REFERENCE_FILE), "utf8").catch(() => "");
            const isTrue = workshopOf(root, written) === folder;
            const files = (await listFiles(folder, root)).filter((file) => file.endsWith(".gguf"));
            return {
                ...{ name: isTrue ? written : path.join(WORKSHOP, hash), files, ...(await measure(files)) },
                state: (await isLocked(folder)) ? "downloading" : "incomplete",
            } as const;
        }),
    );
}

async function removeModel({ name, files }: StoredModel, root: string): Promise<void> {
    const isUnnamed = name.startsWith(WORKSHOP);
    const workshop = isUnnamed ? path.join(root, name) : workshopOf(root, name);
    try {
        const isUsed = (await readFolder(path.join(root, WORKSHOP))).length > 0;
        const release = isUsed ? await tryLock(workshop) : undefined;
        if (isUsed && release === undefined)
            throw new EftError("FILE_UNWRITABLE", `${name} is being downloaded, and stays; end the download first.`);
        // A model is found by its first part.
        for (const file of files) await rm(file, { force: true });
        await rm(workshop, { recursive: true, force: true });
        await release?.();
        for (const file of [...files, workshop]) await removeEmpty(path.dirname(file), root);
    } catch (error) {
        throw EftError.isInstance(error) ? error : unwritable(name, error);
    }
}

/** The folder and those above it, as long as there is nothing in them. */
async function removeEmpty(folder: string, root: string): Promise<void> {
    for (let each = folder; each.startsWith(root + path.sep); each = path.dirname(each)) {
        try {
            await rmdir(each);
        } catch {
            return;
        }
    }
}

/** Files below a folder, in the order of their names. */
async function listFiles(folder: string, root: string): Promise<string[]> {
    const files: string[] = [];
    for (const entry of await readFolder(folder)) {
        const file = path.join(folder, entry.name);
        if (folder === root && entry.name === WORKSHOP) continue;
        if (entry.isDirectory()) files.push(...(await listFiles(file, root)));
        else files.push(file);
    }
    return files.sort();
}

/** Nothing where there is no such folder. @throws EftError FILE_UNREADABLE */
async function readFolder(folder: string): Promise<Dirent[]> {
    try {
        return await readdir(folder, { withFileTypes: true });
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
        throw unreadable(folder, error);
    }
}

async function measure(files: readonly string[]): Promise<Pick<StoredModel, "bytes" | "time">> {
    // What is gone by now counts nothing.
    const found = (await Promise.all(files.map((file) => stat(file).catch(() => undefined)))).filter(
        (each) => each !== undefined,
    );
    return {
        bytes: found.reduce((sum, { size }) => sum + size, 0),
        time: new Date(found.reduce((latest, { mtimeMs }) => Math.max(latest, mtimeMs), 0)),
    };
}

/** The reference whose place a file is in, if there is one. */
function referenceOf(first: string, root: string): string | undefined {
    try {
        const [kind, ...parts] = path.relative(root, first).split(path.sep).map(decodeURIComponent);
        const reference = kind === "hf" ? hubReference(parts) : kind === "https" ? address(parts) : undefined;
        if (reference === undefined || findReferenceProblem(reference) !== undefined) return undefined;
        const [own] = partFiles(modelPath(reference, root), partCount(first));
        return own === first ? reference : undefined;
    } catch {
        return undefined;
    }
}

function hubReference([user = "", repository = "", ...rest]: readonly string[]): string {
    const [branch = "", ...file] = rest;
    if (file.length > 0) return `hf:${user}/${repository}/${file.join("/")}${branch === "main" ? "" : `#${branch}`}`;
    const tag = branch.replace(SPLIT, ".gguf").replace(/\.gguf$/, "");
    return `hf:${user}/${repository}${tag === "latest" ? "" : `:${tag}`}`;
}

function address([host = "", ...parts]: readonly string[]): string {
    const name = parts.pop() ?? "";
    const search = parts.at(-1)?.startsWith("?") === true ? parts.pop() : "";
    return `https://${host}/${[...parts, name].map(encodeURIComponent).join("/")}${search}`;
}
