/** What has been downloaded: from the files in the folder of models back to the references that recipes name them by. */

import type { Dirent } from "node:fs";
import { readdir, rm, rmdir, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { makeFolder, readText, reasonOf, unreadable, unwritable } from "../files.js";
import { isLocked, tryLock } from "../lock.js";
import { listOf, place, string } from "../options.js";
import { findReferenceProblem } from "../recipe/reference.js";
import { REFERENCE_FILE, unfinishedFolder, UNFINISHED } from "./download.js";
import { isRemote, modelFolder, modelPath, partCount, partFiles, SPLIT } from "./model-files.js";

/** Most bytes of a reference that are read. */
const MAX_REFERENCE = 1 << 16;

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
    const models = [...(await listPlaces(root)), ...(await listUnfinished(root))];
    return models.sort((a, b) => (a.name === b.name ? 0 : a.name < b.name ? -1 : 1));
}

/**
 * Deletes models from the folder of downloads, with what there is of unfinished downloads of them, and folders that are empty then.
 *
 * @param names - as `listModels` has them; references in any spelling
 * @param folder - default: {@link modelFolder}
 * @returns what was deleted
 * @throws EftError MODEL_NOT_FOUND before anything is deleted; FILE_UNWRITABLE, also for a model that is being downloaded, says
 * what was deleted before
 */
export async function removeModels(names: readonly string[], folder = modelFolder()): Promise<StoredModel[]> {
    const root = path.resolve(place("folder", folder));
    const chosen = chooseModels(await listModels(root), listOf(string)("names", names), root);
    const removed: StoredModel[] = [];
    for (const model of chosen) {
        await removeModel(model, root, removed);
        removed.push(model);
    }
    return removed;
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
    const models = new Map<string, { all: readonly string[]; own: string[] }>();
    for (const file of files) {
        const all = filesOfModel(file);
        const [first = file] = all;
        const model = models.get(first) ?? { all, own: [] };
        model.own.push(file);
        models.set(first, model);
    }
    return Promise.all(
        [...models].map(async ([first, { all, own }]) => {
            const isWhole = all.length === own.length;
            const name = referenceOf(first, root) ?? path.relative(root, first);
            return { name, files: own, ...(await measure(own)), state: isWhole ? "complete" : "incomplete" } as const;
        }),
    );
}

/** The files of the model that a file is a part of; the file alone where it is none, whatever its name looks like. */
function filesOfModel(file: string): readonly string[] {
    const files = partFiles(file, partCount(file));
    return files.includes(file) ? files : [file];
}

async function listUnfinished(root: string): Promise<StoredModel[]> {
    const entries = await readFolder(path.join(root, UNFINISHED));
    const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.endsWith(".lock"));
    return Promise.all(
        folders.map(async ({ name: hash }) => {
            const folder = path.join(root, UNFINISHED, hash);
            const place = path.join(folder, REFERENCE_FILE);
            const written = await readText(place, { limit: MAX_REFERENCE, mustBeFile: true }).catch(() => "");
            const isTrue = unfinishedFolder(root, written) === folder;
            const files = (await listFiles(folder, root)).filter((file) => file.endsWith(".gguf"));
            return {
                ...{ name: isTrue ? written : path.join(UNFINISHED, hash), files, ...(await measure(files)) },
                state: (await isLocked(folder)) ? "downloading" : "incomplete",
            } as const;
        }),
    );
}

/** @param before - models that have been deleted already, for messages */
async function removeModel({ name, files }: StoredModel, root: string, before: readonly StoredModel[]): Promise<void> {
    const isUnnamed = name.startsWith(UNFINISHED + path.sep);
    const unfinished = isUnnamed ? path.join(root, name) : unfinishedFolder(root, name);
    const removed = before.map((model) => model.name);
    const fail = (what: string, cause?: unknown): EftError => {
        const sofar = removed.length === 0 ? "Nothing has been deleted." : `Deleted before that: ${removed.join(", ")}.`;
        return new EftError("FILE_UNWRITABLE", `${name} ${what} ${sofar}`, { cause });
    };
    // A model that is there may be downloaded at this moment as well, by somebody who has found a part missing.
    await makeFolder(path.dirname(unfinished));
    const lock = await tryLock(unfinished).catch((error: unknown) => {
        throw unwritable(`${unfinished}.lock`, error);
    });
    if (lock === undefined) throw fail("is being downloaded, and stays; end the download first.");
    try {
        // A model is found by its first part.
        for (const [index, file] of files.entries()) {
            await unlink(file).catch(ignoreMissing);
            removed[before.length] = `${index + 1} of ${files.length} files of ${name}`;
        }
        await rm(unfinished, { recursive: true, force: true });
    } catch (error) {
        throw fail(`cannot be deleted: ${reasonOf(error)}. Look who may write to its folder.`, error);
    } finally {
        await lock.release();
        for (const file of [...files, unfinished]) await removeEmpty(path.dirname(file), root);
    }
}

/** What somebody else has deleted is gone, too. */
function ignoreMissing(error: unknown): void {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
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
        if (folder === root && entry.name === UNFINISHED) continue;
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
