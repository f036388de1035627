/** Reading from and writing to places that the user has named. */

import { isUtf8 } from "node:buffer";
import { createHash, randomUUID } from "node:crypto";
import { closeSync, createReadStream, existsSync, mkdirSync, openSync, readSync, statSync, type Stats } from "node:fs";
import { chmod, readlink, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { EftError } from "./errors.js";

/** The user's home folder; undefined where the system knows none, as for a bare user id in a container. */
export function homeFolder(): string | undefined {
    try {
        return homedir() || undefined;
    } catch {
        return undefined;
    }
}

/**
 * A folder of ours in the user's folder of caches.
 *
 * @throws EftError OPTION_INVALID where the system knows no home folder
 */
export function cacheFolder(name: string): string {
    const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = process.env;
    const home = (...folders: string[]): string => {
        const own = homeFolder();
        if (own !== undefined) return path.join(own, ...folders);
        throw new EftError(
            "OPTION_INVALID",
            "There is no home folder to keep models in; name a folder in EFT_LLAMA_MODELS.",
        );
    };
    const caches =
        process.platform === "win32"
            ? local || home("AppData", "Local")
            : process.platform === "darwin"
              ? home("Library", "Caches")
              : xdg || home(".cache");
    return path.join(caches, "eft-llama", name);
}

/** As Node's `existsSync`, which throws at places that Node's permissions keep from this process: for it they are not there. */
export function isThere(place: string): boolean {
    try {
        return existsSync(place);
    } catch {
        return false;
    }
}

/** The path with the home folder for a `~` in front, which shells leave in variables, after `=` and in quotes. */
export function expandHome(place: string): string {
    const [tilde] = (process.platform === "win32" ? /^~(?=$|[/\\])/ : /^~(?=$|\/)/).exec(place) ?? [];
    if (tilde === undefined) return place;
    const home = homeFolder();
    if (home !== undefined) return home + place.slice(tilde.length);
    throw new EftError(
        "OPTION_INVALID",
        `${place} begins with the home folder, and this system knows none; write the whole path, or set HOME.`,
    );
}

/** The byte-order marks that tell an encoding; UTF-32's first, because its begins like one of UTF-16. */
const MARKS = [
    { bytes: [0xff, 0xfe, 0, 0], encoding: "utf-32" },
    { bytes: [0, 0, 0xfe, 0xff], encoding: "utf-32" },
    { bytes: [0xff, 0xfe], encoding: "utf-16le" },
    { bytes: [0xfe, 0xff], encoding: "utf-16be" },
] as const;

/** Bytes that are read at once of what may be large. */
const CHUNK = 1 << 20;

/** By its byte-order mark; UTF-8 without one. */
export function encodingOf(bytes: Uint8Array): (typeof MARKS)[number]["encoding"] | "utf-8" {
    return MARKS.find((mark) => mark.bytes.every((byte, index) => bytes[index] === byte))?.encoding ?? "utf-8";
}

/**
 * The text of a file: UTF-8, or UTF-16 with a byte-order mark. The mark is no part of the text.
 *
 * @param source - what messages call it
 * @param firstLine - number of the line that it begins with, where it is a part of a file
 * @throws EftError FILE_UNREADABLE in any other encoding, with line and column where that can be told
 */
export function decodeText(bytes: Uint8Array, source: string, firstLine = 1): string {
    const encoding = encodingOf(bytes);
    const fail = (what: string, cause?: unknown): never => {
        throw new EftError("FILE_UNREADABLE", `${source} cannot be read: ${what}. Save it as UTF-8 text.`, { cause });
    };
    let text: string;
    try {
        // Throws on an encoding that it does not know, too.
        text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    } catch (cause) {
        if (encoding === "utf-8") return fail(describeInvalidByte(bytes, firstLine), cause);
        return fail(encoding === "utf-32" ? "it is UTF-32" : "it is UTF-16 with half a character in it", cause);
    }
    const zero = text.indexOf("\0");
    if (zero < 0) return text;
    const line = firstLine + text.slice(0, zero).split("\n").length - 1;
    return fail(
        `line ${line} has a zero byte in it, as UTF-16 without a byte-order mark has, and what is no text at all`,
    );
}

/** A path, or what has been opened already. */
type Source = string | AsyncIterable<Buffer>;

/**
 * The bytes of a file, a pipe or a device, which may have no end: one more than `limit` where there are more.
 *
 * @throws the system's error
 */
export async function readStart(source: Source, limit: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    const stream = typeof source === "string" ? createReadStream(source, { end: limit }) : source;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > limit) break;
    }
    return Buffer.concat(chunks).subarray(0, limit + 1);
}

/** How {@link readBytes} and what is made of it read. */
export interface ReadOptions {
    /** Most bytes. */
    readonly limit: number;
    /** Nothing but a file will do, since it is written to, too: a pipe or a device is refused. Default false. */
    readonly mustBeFile?: boolean;
    /** What messages call it. Default: its path. */
    readonly name?: string;
}

/**
 * All bytes of a file or a pipe that the user has named. It may be one without an end, such as `/dev/zero`.
 *
 * @throws EftError FILE_UNREADABLE, also where there are more bytes than the limit
 */
export async function readBytes(source: Source, options: ReadOptions): Promise<Buffer> {
    const { limit, mustBeFile = false } = options;
    try {
        if (mustBeFile && typeof source === "string") checkFile(await stat(source));
        return checkSize(await readStart(source, limit), limit);
    } catch (error) {
        throw unreadable(nameOf(source, options), error);
    }
}

/** The same, at once. @throws EftError FILE_UNREADABLE */
export function readBytesSync(file: string, { limit, mustBeFile = false, name = file }: ReadOptions): Buffer {
    try {
        if (mustBeFile) checkFile(statSync(file));
        const descriptor = openSync(file, "r");
        try {
            const chunk = Buffer.allocUnsafe(CHUNK);
            const chunks: Buffer[] = [];
            for (let size = 0, read = -1; read !== 0 && size <= limit; size += read) {
                read = readSync(descriptor, chunk);
                // A pipe gives little at a time.
                chunks.push(Buffer.from(chunk.subarray(0, read)));
            }
            return checkSize(Buffer.concat(chunks), limit);
        } finally {
            closeSync(descriptor);
        }
    } catch (error) {
        throw unreadable(name, error);
    }
}

/** The text of a file or a pipe, as {@link decodeText} has it. @throws EftError FILE_UNREADABLE */
export async function readText(source: Source, options: ReadOptions): Promise<string> {
    return decodeText(await readBytes(source, options), nameOf(source, options));
}

/** The same, at once. @throws EftError FILE_UNREADABLE */
export function readTextSync(file: string, options: ReadOptions): string {
    return decodeText(readBytesSync(file, options), options.name ?? file);
}

function nameOf(source: Source, { name }: ReadOptions): string {
    return name ?? (typeof source === "string" ? source : "What is given");
}

function checkFile(found: Stats): void {
    if (!found.isFile()) throw new Error(found.isDirectory() ? "it is a folder" : "it is not a file");
}

function checkSize(bytes: Buffer, limit: number): Buffer {
    if (bytes.length <= limit) return bytes;
    throw new Error(`it has more than ${limit / 2 ** 20} MiB`);
}

/**
 * SHA-256 of a file, in hex.
 *
 * @param options.onBytes - called with the bytes that have been read; what it throws ends the reading, and stays as it is
 * @param options.explain - the error for what the system throws
 */
export async function hashFile(
    file: string,
    { onBytes, explain }: { readonly onBytes: (bytes: number) => void; readonly explain: (error: unknown) => unknown },
): Promise<string> {
    const hash = createHash("sha256");
    let hashed = 0;
    for await (const chunk of chunksOf(file, explain)) {
        hash.update(chunk);
        onBytes((hashed += chunk.length));
    }
    return hash.digest("hex");
}

/** A loop does not hand its own errors to what it goes through: only those of the disk are explained. */
async function* chunksOf(file: string, explain: (error: unknown) => unknown): AsyncGenerator<Buffer> {
    try {
        yield* createReadStream(file, { highWaterMark: CHUNK }) as AsyncIterable<Buffer>;
    } catch (error) {
        throw explain(error);
    }
}

/** Where text stops being UTF-8, in words. */
function describeInvalidByte(bytes: Uint8Array, firstLine: number): string {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let line = firstLine;
    let start = 0;
    let end = buffer.indexOf("\n");
    while (end >= 0 && isUtf8(buffer.subarray(start, end))) {
        line++;
        start = end + 1;
        end = buffer.indexOf("\n", start);
    }
    let offset = start;
    let column = 1;
    for (const character of buffer.toString("utf8", start, end < 0 ? buffer.length : end)) {
        const size = Buffer.byteLength(character);
        // What stands for an invalid byte may also stand in the text.
        if (character === "\ufffd" && buffer.toString("hex", offset, offset + size) !== "efbfbd") break;
        offset += size;
        column += character.length;
    }
    const byte = (buffer[offset] ?? 0).toString(16).toUpperCase();
    return (
        `it is not UTF-8 (byte 0x${byte} at line ${line}, column ${column}), but of an older encoding such as Latin-1, or no ` +
        "text at all"
    );
}

/**
 * Makes a folder and those above it, as far as they are missing. Node's `mkdir` with `recursive` would try without end where
 * the system makes no folders, as in /proc.
 *
 * @param mode - of those that are made
 * @throws the system's error
 */
export function makeFoldersSync(folder: string, mode = 0o777): void {
    const missing: string[] = [];
    for (let place = path.resolve(folder); !existsSync(place); place = path.dirname(place)) {
        missing.unshift(place);
        // A drive that there is not.
        if (path.dirname(place) === place) break;
    }
    for (const place of missing) {
        try {
            mkdirSync(place, { mode });
        } catch (error) {
            // Somebody else may have been quicker.
            if (!existsSync(place)) throw error;
        }
    }
    // All of it was there, and may be something else than a folder.
    if (missing.length === 0) mkdirSync(folder, { recursive: true });
}

/** The same, at once too; what goes wrong is in the promise. */
// eslint-disable-next-line @typescript-eslint/require-await
export async function makeFolders(folder: string, mode?: number): Promise<void> {
    makeFoldersSync(folder, mode);
}

/** The same. @throws EftError FILE_UNWRITABLE */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
    await makeFolders(folder, mode).catch((error: unknown) => {
        throw unwritable(folder, error);
    });
}

/**
 * Writes a file as a whole: whoever reads it meanwhile sees the old one or the new one, never a part. A file that is there
 * keeps its permissions, and a symbolic link goes on pointing to it.
 *
 * @param mode - permissions of a file that was not there. Default: what the process gives to files
 * @throws EftError FILE_UNWRITABLE; the old file is untouched then
 */
export async function writeWhole(file: string, text: string, mode?: number): Promise<void> {
    let unfinished: string | undefined;
    try {
        const place = await followLinks(file);
        const old = await stat(place).catch(() => undefined);
        // A device or a pipe would be replaced by a file.
        if (old?.isFile() === false) throw new Error("it is not a file");
        unfinished = `${place}.${randomUUID()}`;
        await writeFile(unfinished, text, { flag: "wx", mode: old?.mode ?? mode });
        // What the process masks when it makes a file.
        if (old !== undefined) await chmod(unfinished, old.mode);
        await rename(unfinished, place);
    } catch (error) {
        if (unfinished !== undefined) await rm(unfinished, { force: true }).catch(() => {});
        throw unwritable(file, error);
    }
}

/** Where a file is, or will be, when it is written to. */
async function followLinks(file: string): Promise<string> {
    try {
        return await realpath(file);
    } catch {
        const target = await readlink(file).catch(() => path.basename(file));
        return path.resolve(path.dirname(file), target);
    }
}

/** The error for something that could not be written. */
export function unwritable(place: string, cause: unknown): EftError {
    return new EftError(
        "FILE_UNWRITABLE",
        `${place} cannot be written: ${reasonOf(cause)}. Name another place, or make room there.`,
        {
            cause,
        },
    );
}

/** The error for something that could not be read; an EftError stays as it is. */
export function unreadable(place: string, cause: unknown): EftError {
    if (EftError.isInstance(cause)) return cause;
    return new EftError("FILE_UNREADABLE", `${place} cannot be read: ${reasonOf(cause)}.`, { cause });
}

/** Why something failed on the disk, in the system's words. */
export function reasonOf(cause: unknown): string {
    const { code, message, syscall } = cause as NodeJS.ErrnoException;
    if (code === "EISDIR") return "it is a folder";
    if (code === "EEXIST" && syscall === "mkdir") return "it is not a folder";
    // Node adds the call and its path, which may be one that the user has never seen.
    return message.replace(/^(E[A-Z0-9]+: .*?), [a-z]+(?: '.*')?$/s, "$1");
}
