/** Writing to places that the user has named. */

import { randomUUID } from "node:crypto";
import { chmod, mkdir, readlink, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { EftError } from "./errors.js";

/** Makes a folder and those above it, as far as they are missing. @throws EftError FILE_UNWRITABLE */
export async function makeFolder(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
        throw unwritable(folder, error);
    });
}

/**
 * Writes a file as a whole: whoever reads it meanwhile sees the old one or the new one, never a part. A file that is there
 * keeps its permissions, and a symbolic link goes on pointing to it.
 *
 * @throws EftError FILE_UNWRITABLE; the old file is untouched then
 */
export async function writeWhole(file: string, text: string): Promise<void> {
    let unfinished: string | undefined;
    try {
        const place = await followLinks(file);
        const old = await stat(place).catch(() => undefined);
        // A device or a pipe would be replaced by a file.
        if (old?.isFile() === false) throw new Error("it is not a file");
        unfinished = `${place}.${randomUUID()}`;
        await writeFile(unfinished, text, { flag: "wx", ...(old && { mode: old.mode }) });
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
    // Node adds the call and its path, which may be one that the user has never seen.
    const reason = (cause as Error).message.replace(/^(E[A-Z0-9]+: .*?), [a-z]+(?: '.*')?$/s, "$1");
    return new EftError(
        "FILE_UNWRITABLE",
        `${place} cannot be written: ${reason}. Name another place, or make room there.`,
        {
            cause,
        },
    );
}
