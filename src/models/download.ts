/**
 * From references to files on this machine. Files are received in a folder of their own and move to their places when they
 * are complete and checked, so that what is at its place can be loaded.
 */

import { createHash } from "node:crypto";
import { open, readdir, rename, rm, stat, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { makeFolders } from "../files.js";
import { takeLock } from "../lock.js";
import { loadBinding } from "../native/load-binding.js";
import { callback, checkOptions, listOf, mapping, place, abortSignal, string, type OptionTable } from "../options.js";
import { findReferenceProblem, hidePassword } from "../recipe/reference.js";
import { formatBytes } from "./bytes.js";
import { describeRemoteFiles, findAddresses } from "./download-source.js";
import { transferFile, writeTo } from "./download-transfer.js";
import { findModel, isRemote, modelFolder, modelPath, partCount, partFiles } from "./model-files.js";

/** A model that a download is about. */
export interface ModelDownload {
    readonly reference: string;
    /** Where it is, or will be; of a split model the first part. */
    readonly file: string;
    /** Whether it is there, complete. */
    readonly present: boolean;
    /** Of all its parts; undefined where the server does not say it. */
    readonly bytes?: number;
    /** @internal One address for each part. */
    readonly addresses: readonly string[];
}

/** What {@link downloadModels} is to do. */
export interface DownloadPlan {
    /** Absolute path. */
    readonly folder: string;
    readonly models: readonly ModelDownload[];
    /** Bytes that are still to come, as far as servers say it. */
    readonly missingBytes: number;
    /** Bytes that the disk of the folder has left. */
    readonly freeBytes: number;
}

/** How {@link downloadModels} downloads. */
export interface DownloadOptions {
    /** Called with the model in work, and the bytes that are there of all models that were missing. */
    readonly onProgress?: ((model: ModelDownload, bytes: number) => void) | undefined;
    /** Called while a file of the model is compared with the hub's checksum; from 0 to 1 for each file. */
    readonly onCheck?: ((model: ModelDownload, fraction: number) => void) | undefined;
    /** Called when a model has got to its place. */
    readonly onModel?: ((model: ModelDownload) => void) | undefined;
    /** Aborts the download; what is there stays for the next one. */
    readonly signal?: AbortSignal | undefined;
}

/** How {@link planDownload} plans. */
export interface DownloadPlanOptions {
    /** Where downloads are. Default: {@link modelFolder} */
    readonly folder?: string | undefined;
    /** Aborts asking the servers. */
    readonly signal?: AbortSignal | undefined;
}

const PLAN_OPTIONS: OptionTable<DownloadPlanOptions> = { folder: place, signal: abortSignal };
const DOWNLOAD_OPTIONS: OptionTable<DownloadOptions> = {
    ...{ onProgress: callback, onCheck: callback, onModel: callback, signal: abortSignal },
};

/** Where files are received, in the folder of models. */
export const UNFINISHED = ".incomplete";
/** In the folder of a download: what is downloaded, since the folder's name does not tell it. */
export const REFERENCE_FILE = "reference";

/**
 * Finds out which models are missing, and asks servers for what they say about those.
 *
 * @param references - of models, `hf:` or `https:`; a token for the hub is read from the environment variable `HF_TOKEN`
 * @param options - `folder`: where models are. Default: `modelFolder()`
 * @throws EftError OPTION_INVALID, MODEL_NOT_FOUND, MODEL_GATED, DOWNLOAD_FAILED, ABORTED
 */
export async function planDownload(
    references: readonly string[],
    options: DownloadPlanOptions = {},
): Promise<DownloadPlan> {
    const { folder = modelFolder(), signal } = checkOptions("planDownload", options, PLAN_OPTIONS);
    listOf(string)("references", references);
    const root = path.resolve(folder);
    for (const reference of references) {
        const fault = isRemote(reference) ? findReferenceProblem(reference) : "is not an hf: or https: reference";
        if (fault !== undefined) throw new EftError("OPTION_INVALID", `"${hidePassword(reference)}" ${fault}.`);
    }
    const models: ModelDownload[] = [];
    let missingBytes = 0;
    for (const reference of new Set(references)) {
        const found = findModel(reference, root);
        if (found !== undefined) {
            models.push({ reference, file: found, present: true, bytes: await sizeOf(found), addresses: [] });
            continue;
        }
        const addresses = await findAddresses(reference, signal);
        const parts = await describeRemoteFiles(addresses, reference, signal);
        const sizes = parts.map(({ bytes }) => bytes).filter((bytes) => bytes !== undefined);
        const bytes = sizes.reduce((total, size) => total + size, 0);
        const [file = ""] = partFiles(modelPath(reference, root), addresses.length);
        const known = sizes.length === parts.length;
        models.push({ reference, file, present: false, ...(known && { bytes }), addresses });
        missingBytes += Math.max(0, bytes - (await receivedBytes(root, reference)));
    }
    return { folder: root, models, missingBytes, freeBytes: await freeBytes(root) };
}

/**
 * Downloads what is missing, one model after another; goes on where an earlier download was broken off.
 *
 * @throws EftError DISK_FULL, before and while it downloads; DOWNLOAD_FAILED, CHECKSUM_MISMATCH, MODEL_*, ABORTED
 */
export async function downloadModels(plan: DownloadPlan, given: DownloadOptions = {}): Promise<void> {
    const options = checkOptions("downloadModels", given, DOWNLOAD_OPTIONS);
    mapping("What downloadModels takes", plan);
    const { folder } = plan;
    listOf(mapping)("models", plan.models);
    checkSpace(plan.missingBytes, plan.freeBytes, folder);
    const missing = plan.models.filter(({ present }) => !present);
    let done = 0;
    for (const model of missing) {
        const { reference } = model;
        const unfinished = unfinishedFolder(folder, reference);
        await writeTo(folder, reference, () => makeFolders(path.dirname(unfinished)));
        await withLock(unfinished, reference, options.signal, async (signal) => {
            // Somebody else may have been quicker.
            const there = findModel(reference, folder);
            const bytes =
                there === undefined
                    ? downloadModel(model, unfinished, folder, done, { ...options, signal })
                    : sizeOf(there);
            done += await bytes;
            // The model is there, whatever becomes of the rest.
            await rm(unfinished, { recursive: true, force: true }).catch(() => {});
        });
        options.onModel?.(model);
    }
}

/** @returns bytes of the model */
async function downloadModel(
    model: ModelDownload,
    unfinished: string,
    folder: string,
    before: number,
    { onProgress, onCheck, signal }: DownloadOptions,
): Promise<number> {
    const { reference, addresses, bytes } = model;
    await writeTo(unfinished, reference, async () => {
        await makeFolders(unfinished);
        await writeFile(path.join(unfinished, REFERENCE_FILE), reference);
    });
    const received = partFiles(path.join(unfinished, "model.gguf"), addresses.length);
    let done = 0;
    for (const [index, address] of addresses.entries()) {
        const file = received[index] as string;
        let current = 0;
        const check = async (): Promise<void> => {
            if (bytes !== undefined) checkSpace(bytes - done - current, await freeBytes(folder), folder);
        };
        const report = (now: number): void => onProgress?.(model, before + done + (current = now));
        await transferFile({
            address,
            reference,
            file,
            onProgress: report,
            onCheck: (fraction) => onCheck?.(model, fraction),
            check,
            ...(signal && { signal }),
        });
        await writeTo(file, reference, async () => {
            await checkContent([file], reference, isGguf);
            done += (await stat(file)).size;
        });
    }
    await checkContent(received, reference, ([first = ""]) => Promise.resolve(loadBinding().readHeader(first)));
    const places = partFiles(model.file, addresses.length);
    const place = path.dirname(model.file);
    await writeTo(place, reference, async () => {
        await makeFolders(place);
        // The first part last: a model is there when its first part is.
        for (const index of [...places.keys()].reverse())
            await rename(received[index] as string, places[index] as string);
    });
    return done;
}

/** Deletes what does not pass a test. @throws EftError MODEL_INVALID */
async function checkContent(
    files: readonly string[],
    reference: string,
    test: (files: readonly string[]) => Promise<unknown>,
): Promise<void> {
    try {
        await test(files);
    } catch (error) {
        if (!EftError.isInstance(error) || error.code !== "MODEL_INVALID") throw error;
        await Promise.all(files.map((file) => rm(file, { force: true })));
        const reason = files.reduce((message, file) => message.replace(file, "what has come"), error.message);
        throw new EftError("MODEL_INVALID", `${reference} could not be downloaded: ${reason}`, { cause: error });
    }
}

/** By its first bytes: servers answer with pages where files are not. */
async function isGguf([file = ""]: readonly string[]): Promise<void> {
    await using handle = await open(file);
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4);
    if (buffer.toString() !== "GGUF") throw new EftError("MODEL_INVALID", `${file} is not a usable GGUF file.`);
}

/** The folder of a download. */
export function unfinishedFolder(folder: string, reference: string): string {
    return path.join(folder, UNFINISHED, createHash("sha256").update(reference).digest("hex").slice(0, 16));
}

/**
 * Two downloads of one file would write over each other.
 *
 * @param body - gets a signal that is fired when the lock is lost, too
 */
async function withLock(
    unfinished: string,
    reference: string,
    signal: AbortSignal | undefined,
    body: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
    const another = `${reference} is being downloaded by another process`;
    const lock = await writeTo(unfinished, reference, () => takeLock(unfinished, signal));
    if (lock === undefined)
        throw new EftError(
            "DOWNLOAD_FAILED",
            `${another}. Wait for it, or delete ${unfinished}.lock if there is none.`,
        );
    try {
        await body(AbortSignal.any([lock.lost, ...(signal === undefined ? [] : [signal])]));
    } catch (error) {
        if (!lock.lost.aborted) throw error;
        const text = `${another}, which took this one for dead. Wait for it.`;
        throw new EftError("DOWNLOAD_FAILED", text, { cause: error });
    } finally {
        await lock.release();
    }
}

/** @throws EftError DISK_FULL */
function checkSpace(needed: number, free: number, folder: string): void {
    if (needed <= free) return;
    throw new EftError(
        "DISK_FULL",
        `${formatBytes(needed)} are still to be downloaded, and the disk of ${folder} has ${formatBytes(free)} left. Make room, or ` +
            "choose another folder with --dir or EFT_LLAMA_MODELS.",
    );
}

/** Of the disk that the folder is on, or will be on. */
async function freeBytes(folder: string): Promise<number> {
    try {
        const { bavail, bsize } = await statfs(folder);
        return bavail * bsize;
    } catch {
        const parent = path.dirname(folder);
        return parent === folder ? Infinity : freeBytes(parent);
    }
}

/** What an earlier download has left. */
async function receivedBytes(folder: string, reference: string): Promise<number> {
    const unfinished = unfinishedFolder(folder, reference);
    const names = (await readdir(unfinished).catch(() => [])).filter((name) => name.endsWith(".gguf"));
    return sumOfSizes(names.map((name) => path.join(unfinished, name)));
}

function sizeOf(file: string): Promise<number> {
    return sumOfSizes(partFiles(file, partCount(file)));
}

/** A file that is gone by now counts nothing. */
async function sumOfSizes(files: readonly string[]): Promise<number> {
    const sizes = files.map((file) =>
        stat(file).then(
            ({ size }) => size,
            () => 0,
        ),
    );
    return (await Promise.all(sizes)).reduce((total, size) => total + size, 0);
}
