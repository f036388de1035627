/** One file from a server to this machine; goes on where an earlier attempt ended, as long as the server has the same file. */

import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { abortError, EftError } from "../errors.js";
import { hashFile, reasonOf } from "../files.js";
import { describeFailure, type Response } from "../http.js";
import { describeRemoteFile, openFile, type RemoteFile } from "./download-source.js";

/** What is to be transferred. */
export interface Transfer {
    /** Before redirections: where the file will still be when a signed address has expired. */
    readonly address: string;
    /** What is downloaded, for messages. */
    readonly reference: string;
    /** Absolute path of the result. What has come of it is there before it is complete. */
    readonly file: string;
    /** Called with the bytes that are there so far. */
    readonly onProgress: (bytes: number) => void;
    /** Called while the result is compared with the checksum, with the fraction that has been, 0 to 1. */
    readonly onCheck?: (fraction: number) => void;
    /** Called about once a second while bytes come; what it throws ends the transfer. */
    readonly check?: () => Promise<void>;
    readonly signal?: AbortSignal;
    /** Seconds without a byte after which the transfer is given up. Default 30. */
    readonly patience?: number;
}

/** Which file the bytes on the disk are the beginning of; kept beside them. `bytes` is its whole size. */
type Origin = Pick<RemoteFile, "bytes" | "sha256" | "etag" | "modified">;

/** An attempt that brings so much is followed by the next one at once. */
const GOOD_ATTEMPT = 1 << 20;

/** How far all attempts together have come, and when. */
interface Course {
    furthest: number;
    moved: number;
}

/** A failure that the next attempt may not have. */
class Interruption extends Error {}

/**
 * Downloads a file and compares it with what the server says about it. On failure what is there stays, for the next
 * attempt to go on with, unless it is wrong. A connection that breaks is opened again, as long as that brings something new.
 *
 * @throws EftError DOWNLOAD_FAILED, DISK_FULL, CHECKSUM_MISMATCH, MODEL_*, ABORTED, and what `check` throws
 */
export async function transferFile(transfer: Transfer): Promise<void> {
    const { reference, signal, patience = 30 } = transfer;
    const course: Course = { furthest: 0, moved: Date.now() };
    for (let idle = 0; ; idle++) {
        const before = course.furthest;
        try {
            await verify(await receive(transfer, course), transfer);
            return;
        } catch (error) {
            if (signal?.aborted) throw aborted(signal);
            if (!(error instanceof Interruption)) throw error;
            if (Date.now() - course.moved > 1000 * patience) {
                if (EftError.isInstance(error.cause)) throw error.cause;
                throw new EftError(
                    "DOWNLOAD_FAILED",
                    `${reference} could not be downloaded to its end: ${error.message}. Run the same again to go on from here.`,
                    { cause: error.cause },
                );
            }
        }
        if (course.furthest > before) idle = 0;
        if (course.furthest - before < GOOD_ATTEMPT)
            await sleep(Math.min(500 * 2 ** idle, 1000 * patience), undefined, signal && { signal }).catch(() => {});
    }
}

/** One attempt. @throws Interruption; EftError */
async function receive(transfer: Transfer, course: Course): Promise<RemoteFile> {
    const { address, reference, file, signal, patience = 30 } = transfer;
    if (signal?.aborted) throw aborted(signal);
    const origin = (await readOrigin(file)) ?? {};
    const start = canGoOn(origin) ? await sizeOf(file) : 0;
    if (start > 0 && start === origin.bytes) {
        const remote = await describeRemoteFile(address, reference, signal);
        if (isSame(origin, remote) === true) return remote;
        return restart(transfer, course);
    }

    const stall = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const both = signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]);
    const onProgress = (bytes: number): void => {
        timer?.refresh();
        if (bytes > course.furthest) [course.furthest, course.moved] = [bytes, Date.now()];
        transfer.onProgress(bytes);
    };
    try {
        const { answer, remote } = await askForRest(transfer, origin, start, both);
        // From here on: the questions have a limit of their own, and a server may have asked to wait.
        timer = setTimeout(() => stall.abort(stalled(transfer)), 1000 * patience);
        if (answer.status === 200) {
            if (isSame(origin, remote) === false) course.furthest = 0;
            await writeTo(file, reference, () => begin(file, remote));
            await write(answer.body, remote, 0, { ...transfer, onProgress });
            return remote;
        }
        if (answer.status === 206 && isRestFrom(start, answer) && isSame(origin, remote) !== false) {
            await write(answer.body, remote, start, { ...transfer, onProgress });
            return remote;
        }
        await answer.body?.cancel();
        if (start === 0) {
            const text = `${reference} cannot be downloaded: the server answers ${answer.status}.`;
            throw new EftError("DOWNLOAD_FAILED", text);
        }
    } catch (error) {
        throw stall.signal.aborted ? stalled(transfer) : error;
    } finally {
        clearTimeout(timer);
    }
    // The server has another file by now than the one whose beginning is here, or cannot go on with it.
    return restart(transfer, course);
}

async function restart(transfer: Transfer, course: Course): Promise<RemoteFile> {
    await writeTo(transfer.file, transfer.reference, () => forget(transfer.file));
    course.furthest = 0;
    return receive(transfer, course);
}

/** @throws Interruption; EftError */
async function askForRest(
    { address, reference }: Transfer,
    { etag, modified }: Origin,
    start: number,
    signal: AbortSignal,
): ReturnType<typeof openFile> {
    const validator = etag ?? modified;
    const headers = { range: `bytes=${start}-`, ...(validator !== undefined && { "if-range": validator }) };
    try {
        return await openFile(address, reference, start === 0 ? {} : headers, signal);
    } catch (error) {
        // A server may be gone for a moment; if it never was there, nothing is gained by asking it again.
        const isPassing = EftError.isInstance(error) && error.code === "DOWNLOAD_FAILED" && error.cause !== undefined;
        throw isPassing && start > 0 ? new Interruption(error.message, { cause: error }) : error;
    }
}

/** Appends to what is there. @throws Interruption; EftError */
async function write(
    body: Response["body"],
    { bytes, url }: RemoteFile,
    start: number,
    { file, reference, onProgress, check }: Transfer,
): Promise<void> {
    await using handle = await writeTo(file, reference, () => open(file, start > 0 ? "a" : "w"));
    let size = start;
    let checked = Date.now();
    for await (const chunk of chunksOf(body, url, () => size === bytes)) {
        await writeTo(file, reference, () => handle.writeFile(chunk));
        onProgress((size += chunk.length));
        // What is longer than was announced is refused, and might never end.
        if (bytes !== undefined && size > bytes) break;
        if (check === undefined || Date.now() - checked < 1000) continue;
        checked = Date.now();
        await check();
    }
    if (bytes !== undefined && size < bytes) throw new Interruption("the connection ended too early");
    await writeTo(file, reference, async () => {
        // Before it is moved to its place: a machine may go off at any time.
        await handle.datasync();
        if (bytes === undefined)
            await writeFile(originFile(file), JSON.stringify({ ...(await readOrigin(file)), bytes: size }));
    });
}

/**
 * What comes. The faults of a connection are told from those of whoever takes the chunks here, because a loop does not hand its
 * own errors to what it goes through.
 *
 * @param isWhole - whether all has come: some servers cut the connection instead of ending the answer
 * @throws Interruption; EftError
 */
async function* chunksOf(
    body: Response["body"],
    url: RemoteFile["url"],
    isWhole: () => boolean,
): AsyncGenerator<Uint8Array> {
    try {
        for await (const chunk of body ?? []) yield chunk as Uint8Array;
    } catch (error) {
        if (EftError.isInstance(error)) throw error;
        if (!isWhole()) throw new Interruption(describeFailure(error, url), { cause: error });
    }
}

/** Without a way to find out whether the server still has the same file, two might be joined. */
function canGoOn({ sha256, etag, modified }: Origin): boolean {
    return (sha256 ?? etag ?? modified) !== undefined;
}

function isRestFrom(start: number, { headers }: Response): boolean {
    return start > 0 && (headers.get("content-range") ?? "").startsWith(`bytes ${start}-`);
}

/** Undefined: nothing tells. Servers need not honour `If-Range`, so that the answer to it is looked at. */
function isSame(origin: Origin, remote: RemoteFile): boolean | undefined {
    const compared = (["sha256", "etag", "modified", "bytes"] as const).flatMap((key) =>
        origin[key] === undefined || remote[key] === undefined ? [] : [{ key, isEqual: origin[key] === remote[key] }],
    );
    const [first] = compared;
    // A checksum outweighs all else; a size alone says nothing unless it differs.
    if (first?.key === "sha256") return first.isEqual;
    if (compared.some(({ isEqual }) => !isEqual)) return false;
    return first === undefined || first.key === "bytes" ? undefined : true;
}

function originFile(file: string): string {
    return `${file}.json`;
}

async function readOrigin(file: string): Promise<Origin | undefined> {
    try {
        const origin: unknown = JSON.parse(await readFile(originFile(file), "utf8"));
        return typeof origin === "object" && origin !== null ? origin : undefined;
    } catch {
        return undefined;
    }
}

/** In this order: a description never stands beside bytes of another file. */
async function begin(file: string, { bytes, sha256, etag, modified }: RemoteFile): Promise<void> {
    await forget(file);
    await writeFile(originFile(file), JSON.stringify({ bytes, sha256, etag, modified } satisfies Origin));
}

async function forget(file: string): Promise<void> {
    await rm(file, { force: true });
    await rm(originFile(file), { force: true });
}

async function sizeOf(file: string): Promise<number> {
    return stat(file).then(
        ({ size }) => size,
        () => 0,
    );
}

async function verify({ bytes, sha256 }: RemoteFile, transfer: Transfer): Promise<void> {
    const { file, reference, onCheck, signal } = transfer;
    const size = await sizeOf(file);
    if (bytes !== undefined && size !== bytes) {
        await forget(file);
        throw new EftError(
            "DOWNLOAD_FAILED",
            `${reference} is ${bytes} bytes on the server, and ${size} have come. Run the same again.`,
        );
    }
    if (sha256 === undefined) return;
    const sum = await hashFile(file, {
        onBytes(hashed) {
            if (signal?.aborted) throw aborted(signal);
            onCheck?.(hashed / size);
        },
        explain: (error) => diskError(file, reference, error),
    });
    if (sum === sha256) return;
    await forget(file);
    throw new EftError(
        "CHECKSUM_MISMATCH",
        `What has come is not ${reference}: its SHA-256 differs from the hub's. It was deleted; run the same again.`,
    );
}

function stalled({ reference, patience = 30 }: Transfer): EftError {
    return new EftError(
        "DOWNLOAD_FAILED",
        `Nothing of ${reference} has come for ${patience} seconds. Run the same again to go on from here.`,
    );
}

function aborted(signal: AbortSignal): EftError {
    return abortError("The download was aborted; the next one goes on from here.", signal);
}

/**
 * Does something on the disk, and nothing else: what a caller's function throws may look like an error of the disk.
 *
 * @throws EftError DISK_FULL, DOWNLOAD_FAILED in place of what the system throws
 */
export async function writeTo<T>(place: string, reference: string, write: () => Promise<T>): Promise<T> {
    try {
        return await write();
    } catch (error) {
        throw diskError(place, reference, error);
    }
}

/** The error for what went wrong on the disk. What else is thrown is no matter of the disk and stays as it is. */
function diskError(place: string, reference: string, error: unknown): unknown {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (EftError.isInstance(error) || syscall === undefined) return error;
    if (code === "ENOSPC" || code === "EDQUOT") {
        const text = `The disk became full while ${reference} was downloaded.`;
        return new EftError("DISK_FULL", text, { cause: error });
    }
    const why = `${reference} cannot be downloaded to ${place}: ${reasonOf(error)}.`;
    const remedy = "Choose another folder with --dir or EFT_LLAMA_MODELS.";
    return new EftError("DOWNLOAD_FAILED", `${why} ${remedy}`, { cause: error });
}
