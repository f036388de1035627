/** One file from a server to this machine, by node-llama-cpp's downloader, which resumes what was broken off. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm, stat } from "node:fs/promises";
import path from "node:path";
import type { ModelDownloader } from "node-llama-cpp";
import { abortError, EftError } from "../errors.js";
import { describeFile, type RemoteFile } from "./download-source.js";

/** What is to be transferred. */
export interface Transfer {
    /** Before redirections: where the file will still be when a signed address has expired. */
    readonly address: string;
    /** What is downloaded, for messages. */
    readonly reference: string;
    /** Absolute path of the result. */
    readonly file: string;
    /** Called with the bytes that are there so far. */
    readonly onProgress: (bytes: number) => void;
    /** Called while the result is compared with the checksum, with the fraction that has been, 0 to 1. */
    readonly onCheck?: (fraction: number) => void;
    /** Called about once a second; what it throws ends the transfer. */
    readonly check?: () => Promise<void>;
    readonly signal?: AbortSignal;
    /** Seconds without a byte after which the transfer is given up. Default 30. */
    readonly patience?: number;
}

/**
 * Downloads a file and compares it with what the server says about it. On failure what is there stays, for the next
 * attempt to go on with, unless it is wrong.
 *
 * @throws EftError DOWNLOAD_FAILED, CHECKSUM_MISMATCH, MODEL_*, ABORTED, and what `check` throws
 */
export async function transferFile(transfer: Transfer): Promise<void> {
    const { address, reference, signal } = transfer;
    let remote: RemoteFile;
    let bytes = 0;
    for (let before = -1; ; before = bytes) {
        remote = await describeFile(address, reference, signal);
        try {
            await receive(remote, { ...transfer, onProgress: (now) => transfer.onProgress((bytes = now)) });
            break;
        } catch (error) {
            // Signed addresses expire in the middle of a large file; a new one goes on where the old one ended.
            const isHopeless = EftError.isInstance(error) || (error as NodeJS.ErrnoException).code === "ENOSPC";
            if (isHopeless || bytes <= before) throw toDownloadError(error, reference);
        }
    }
    await verify(remote, transfer);
}

async function receive(remote: RemoteFile, transfer: Transfer): Promise<void> {
    const { reference, file, onProgress, check, signal, patience = 30 } = transfer;
    // Imported here because it is large, and only those who download need it.
    const { createModelDownloader } = await import("node-llama-cpp");
    let downloader: ModelDownloader | undefined;
    let moved = Date.now();
    const watch = startWatch(async () => {
        if (signal?.aborted) throw aborted(signal);
        if (Date.now() - moved > 1000 * patience) {
            throw new EftError(
                "DOWNLOAD_FAILED",
                `Nothing of ${reference} has come for ${patience} seconds. Run the same again to go on from here.`,
            );
        }
        await check?.();
    }, signal);
    const download = async (): Promise<void> => {
        downloader = await createModelDownloader({
            modelUri: remote.url,
            dirPath: path.dirname(file),
            fileName: path.basename(file),
            headers: remote.headers,
            // All addresses are resolved; it must not see a reference, or an occasion for a token, in one.
            endpoints: { huggingFace: "https://no-hub.invalid/" },
            deleteTempFileOnCancel: false,
            onProgress: ({ downloadedSize }) => {
                moved = Date.now();
                onProgress(downloadedSize);
            },
        });
        await downloader.download();
    };
    try {
        await Promise.race([download(), watch.failed]);
    } catch (error) {
        await downloader?.cancel();
        throw error;
    } finally {
        watch.stop();
    }
}

/** `failed` rejects with what the body throws, which is called every second and when the signal fires. */
function startWatch(body: () => Promise<void>, signal?: AbortSignal): { failed: Promise<never>; stop: () => void } {
    let stop = (): void => {};
    const failed = new Promise<never>((_, reject) => {
        const look = (): void => void body().catch(reject);
        const timer = setInterval(look, 1000);
        signal?.addEventListener("abort", look);
        const ignoreWrites = catchFailedWrites(reject);
        stop = () => {
            clearInterval(timer);
            signal?.removeEventListener("abort", look);
            ignoreWrites();
        };
    });
    return { failed, stop };
}

/** Listeners of {@link catchFailedWrites}. */
const listeners = new Set<unknown>();

/**
 * Nothing in the downloader waits for its writes, so that a full disk would end the process.
 *
 * @returns ends it; when the disk was full after a while, in which writes that have been begun fail too
 */
function catchFailedWrites(onFailure: (error: Error) => void): () => void {
    let isFull = false;
    const onRejection = (reason: unknown): void => {
        const { code, syscall } = (reason ?? {}) as NodeJS.ErrnoException;
        if (code === "ENOSPC" && syscall === "write") {
            isFull = true;
            onFailure(reason as Error);
        } else if (process.listeners("unhandledRejection").every((listener) => listeners.has(listener))) {
            // As if nobody listened.
            throw reason;
        }
    };
    const remove = (): void => {
        process.off("unhandledRejection", onRejection);
        listeners.delete(onRejection);
    };
    listeners.add(onRejection);
    process.on("unhandledRejection", onRejection);
    return () => {
        if (isFull) setTimeout(remove, 10_000).unref();
        else remove();
    };
}

async function verify({ bytes, sha256 }: RemoteFile, transfer: Transfer): Promise<void> {
    const { file, reference, onCheck, signal } = transfer;
    const { size } = await stat(file);
    if (bytes !== undefined && size !== bytes) {
        await rm(file);
        throw new EftError(
            "DOWNLOAD_FAILED",
            `${reference} is ${bytes} bytes on the server, and ${size} have come. Run the same again.`,
        );
    }
    if (sha256 === undefined) return;
    const hash = createHash("sha256");
    let hashed = 0;
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
        if (signal?.aborted) throw aborted(signal);
        hash.update(chunk);
        onCheck?.((hashed += chunk.length) / size);
    }
    if (hash.digest("hex") === sha256) return;
    await rm(file);
    throw new EftError(
        "CHECKSUM_MISMATCH",
        `What has come is not ${reference}: its SHA-256 differs from the hub's. It was deleted; run the same again.`,
    );
}

function aborted(signal: AbortSignal): EftError {
    return abortError("The download was aborted; the next one goes on from here.", signal);
}

function toDownloadError(error: unknown, reference: string): EftError {
    if (EftError.isInstance(error)) return error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC") return new EftError("DISK_FULL", `The disk became full while ${reference} was downloaded.`);
    return new EftError(
        "DOWNLOAD_FAILED",
        `${reference} could not be downloaded to its end: ${message}. Run the same again to go on from here.`,
        { cause: error },
    );
}
