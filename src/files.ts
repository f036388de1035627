/** Writing to places that the user has named. */

import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { EftError } from "./errors.js";

/** Makes a folder and those above it, as far as they are missing. @throws EftError FILE_UNWRITABLE */
export async function makeFolder(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
        throw unwritable(folder, error);
    });
}

/**
 * Writes a file as a whole: whoever reads it meanwhile sees the old one or the new one, never a part.
 *
 * @throws EftError FILE_UNWRITABLE; the old file is untouched then
 */
export async function writeWhole(file: string, text: string): Promise<void> {
    const unfinished = `${file}.${randomUUID()}`;
    try {
        await writeFile(unfinished, text, { flag: "wx" });
        await rename(unfinished, file);
    } catch (error) {
        await rm(unfinished, { force: true }).catch(() => {});
        throw unwritable(file, error);
    }
}

/** The error for something that could not be written. */
export function unwritable(place: string, cause: unknown): EftError {
    const reason = (cause as Error).message;
    return new EftError(
        "FILE_UNWRITABLE",
        `${place} cannot be written: ${reason}. Name another place, or make room there.`,
        {
            cause,
        },
    );
}
