/**
 * From references to files on this machine. Files are received in a folder of their own and move to their places when they
 * are complete and checked, so that what is at its place can be loaded.
 */

import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { loadBinding } from "../native/load-binding.js";
import { callback, checkOptions, listOf, place, signal as aSignal, text, type OptionTable } from "../options.js";
import { findReferenceProblem, hidePassword } from "../recipe/reference.js";
import { formatBytes } from "./bytes.js";
import { describeFiles, findAddresses } from "./download-source.js";
import { transferFile } from "./download-transfer.js";
import { findModel, isRemote, modelFolder, modelPath, SPLIT } from "./model-files.js";

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
interface PlanOptions {
    readonly folder?: string | undefined;
    readonly signal?: AbortSignal | undefined;
}

const PLAN_OPTIONS: OptionTable<PlanOptions> = { folder: place, signal: aSignal };
const DOWNLOAD_OPTIONS: OptionTable<DownloadOptions> = {
    ...{ onProgress: callback, onCheck: callback, onModel: callback, signal: aSignal },
};

/** Where files are received, in the folder of models. */
const WORKSHOP = ".incomplete";

/**
 * Finds out which models are missing, and asks servers for what they say about those.
 *
 * @param references - of models, `hf:` or `https:`; a token for the hub is read from the environment variable `HF_TOKEN`
 * @param options - `folder`: where models are. Default: `modelFolder()`
 * @throws EftError OPTION_INVALID, MODEL_NOT_FOUND, MODEL_GATED, DOWNLOAD_FAILED, ABORTED
 */
export async function planDownload(references: readonly string[], options: PlanOptions = {}): Promise<DownloadPlan> {
    const { folder = modelFolder(), signal } = checkOptions("planDownload", options, PLAN_OPTIONS);
    listOf(text)("references", references);
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
        const parts = await describeFiles(addresses, reference, signal);
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
    const { folder } = plan;
    checkSpace(plan.missingBytes, plan.freeBytes, folder);
    const missing = plan.models.filter(({ present }) => !present);
    let done = 0;
    for (const model of missing) {
        const workshop = workshopOf(folder, model.reference);
        await writeTo(workshop, model.reference, () => mkdir(workshop, { recursive: true }));
        await withLock(workshop, model.reference, async () => {
            done += await downloadModel(model, workshop, folder, done, options);
        });
        await rm(workshop, { recursive: true });
        options.onModel?.(model);
    }
}

/** @returns bytes of the model */
async function downloadModel(
    model: ModelDownload,
    workshop: string,
    folder: string,
    before: number,
    { onProgress, onCheck, signal }: DownloadOptions,
): Promise<number> {
    const { reference, addresses, bytes } = model;
    const received = partFiles(path.join(workshop, "model.gguf"), addresses.length);
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
        await checkContent(file, index === 0, reference);
        done += (await stat(file)).size;
    }
    const places = partFiles(model.file, addresses.length);
    const place = path.dirname(model.file);
    await writeTo(place, reference, async () => {
        await mkdir(place, { recursive: true });
        // The first part last: a model is there when its first part is.
        for (const index of [...places.keys()].reverse())
            await rename(received[index] as string, places[index] as string);
    });
    return done;
}

/** Servers answer with pages where files are not. @throws EftError MODEL_INVALID */
async function checkContent(file: string, isFirst: boolean, reference: string): Promise<void> {
    try {
        if (isFirst) loadBinding().readHeader(file);
        else if (!(await isGguf(file))) throw new EftError("MODEL_INVALID", `${file} is not a usable GGUF file.`);
    } catch (error) {
        if (!EftError.isInstance(error) || error.code !== "MODEL_INVALID") throw error;
        await rm(file);
        const reason = error.message.replace(file, "what has come");
        throw new EftError("MODEL_INVALID", `${reference} could not be downloaded: ${reason}`, { cause: error });
    }
}

/** By its first bytes. */
async function isGguf(file: string): Promise<boolean> {
    await using handle = await open(file);
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4);
    return buffer.toString() === "GGUF";
}

function partFiles(file: string, count: number): string[] {
    if (count === 1) return [file];
    const start = file.replace(SPLIT, ".gguf").replace(/\.gguf$/i, "");
    const number = (index: number): string => String(index).padStart(5, "0");
    return Array.from({ length: count }, (_, index) => `${start}-${number(index + 1)}-of-${number(count)}.gguf`);
}

function workshopOf(folder: string, reference: string): string {
    return path.join(folder, WORKSHOP, createHash("sha256").update(reference).digest("hex").slice(0, 16));
}

/** @throws EftError DOWNLOAD_FAILED in place of what the system throws */
async function writeTo(folder: string, reference: string, write: () => Promise<unknown>): Promise<void> {
    try {
        await write();
    } catch (error) {
        if (EftError.isInstance(error)) throw error;
        const why = `${reference} cannot be downloaded to ${folder}: ${(error as Error).message}.`;
        throw new EftError("DOWNLOAD_FAILED", `${why} Choose another folder with --dir or EFT_LLAMA_MODELS.`, {
            cause: error,
        });
    }
}

/** Two downloads of one file would write over each other. A lock of a process that has ended counts nothing. */
async function withLock(workshop: string, reference: string, body: () => Promise<void>): Promise<void> {
    const file = path.join(workshop, "process-id");
    await writeTo(workshop, reference, () => takeLock(file, reference));
    try {
        await body();
    } finally {
        await rm(file, { force: true });
    }
}

async function takeLock(file: string, reference: string): Promise<void> {
    const text = `${process.pid}`;
    try {
        await writeFile(file, text, { flag: "wx" });
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        const owner = Number(await readFile(file, "utf8"));
        if (isRunning(owner)) {
            throw new EftError(
                "DOWNLOAD_FAILED",
                `${reference} is being downloaded by process ${owner}. Wait for it, or delete ${file} if it is none of ours.`,
            );
        }
        await writeFile(file, text);
    }
}

function isRunning(pid: number): boolean {
    try {
        return pid > 0 && process.kill(pid, 0);
    } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EPERM";
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

/** What an earlier download has left; files with holes count what they occupy. */
async function receivedBytes(folder: string, reference: string): Promise<number> {
    const workshop = workshopOf(folder, reference);
    const names = await readdir(workshop).catch(() => []);
    // Another process may take away what it has finished.
    const blocks = (name: string) =>
        stat(path.join(workshop, name)).then(
            (file) => file.blocks,
            () => 0,
        );
    const sizes = await Promise.all(names.map(blocks));
    return 512 * sizes.reduce((total, size) => total + size, 0);
}

async function sizeOf(file: string): Promise<number> {
    const count = Number(SPLIT.exec(file)?.[2] ?? 1);
    const measure = async (part: string): Promise<number> => {
        const found = await stat(part).catch((cause: unknown) => {
            const remedy = `${file} is one of ${count} parts; put all of them there, or delete them and download again`;
            throw new EftError("MODEL_NOT_FOUND", `${part} is not there: ${remedy}.`, { cause });
        });
        return found.size;
    };
    const sizes = await Promise.all(partFiles(file, count).map(measure));
    return sizes.reduce((total, size) => total + size, 0);
}
