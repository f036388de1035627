/**
 * SHA-256 of model files. It is that of the whole file, so that anybody can compare it (`sha256sum`, the hub's list), and a
 * changed weight changes it. Reading a file takes about as long as loading it from the disk, which is quicker afterwards, and is
 * done once: the sum is kept beside the answers, under the file's path, size and time.
 */

import { stat } from "node:fs/promises";
import path from "node:path";
import { hashFile, makeFolder, readText, unreadable, writeWhole } from "../files.js";

export interface Checksum {
    readonly bytes: number;
    readonly sha256: string;
}

interface Known extends Checksum {
    /** Milliseconds since 1970. */
    readonly modified: number;
}

/** Of `checksums.json`: some hundred thousand files. */
const MAX_BYTES = 2 ** 26;

/**
 * @param files - paths
 * @param folder - where `checksums.json` is kept
 * @param onProgress - called with the file that is read, and the fraction of it that has been; what it throws ends all of it
 * @throws EftError FILE_UNREADABLE, FILE_UNWRITABLE
 */
export async function checksums(
    files: readonly string[],
    folder: string,
    onProgress: (file: string, fraction: number) => void,
): Promise<ReadonlyMap<string, Checksum>> {
    const store = path.join(folder, "checksums.json");
    const known = await readKnown(store);
    const result = new Map<string, Checksum>();
    for (const file of new Set(files)) {
        const { size: bytes, mtimeMs: modified } = await stat(file).catch((error: unknown) => {
            throw unreadable(file, error);
        });
        const old = known.get(file);
        const isSame = old?.bytes === bytes && old.modified === modified;
        const sha256 = isSame
            ? old.sha256
            : await hashFile(file, {
                  onBytes: (hashed) => onProgress(file, hashed / bytes),
                  explain: (error) => unreadable(file, error),
              });
        result.set(file, { bytes, sha256 });
        if (isSame) continue;
        known.set(file, { bytes, modified, sha256 });
        await makeFolder(folder);
        await writeWhole(store, `${JSON.stringify(Object.fromEntries(known), null, 2)}\n`);
    }
    return result;
}

/** What is damaged or of another form is computed anew. */
async function readKnown(store: string): Promise<Map<string, Known>> {
    try {
        const entries = Object.entries(
            JSON.parse(await readText(store, { limit: MAX_BYTES, mustBeFile: true })) as Record<
                string,
                Partial<Known> | null
            >,
        );
        return new Map(
            entries.filter((entry): entry is [string, Known] => /^[0-9a-f]{64}$/.test(entry[1]?.sha256 ?? "")),
        );
    } catch {
        return new Map();
    }
}
