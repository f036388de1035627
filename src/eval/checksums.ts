/**
 * SHA-256 of model files. It is that of the whole file, so that anybody can compare it (`sha256sum`, the hub's list), and a
 * changed weight changes it. Reading a file once takes no longer than loading it did, and is done once: the sum is kept
 * beside the answers, under the file's path, size and time.
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { unreadable, writeWhole } from "../files.js";

export interface Checksum {
    readonly bytes: number;
    readonly sha256: string;
}

interface Known extends Checksum {
    /** Milliseconds since 1970. */
    readonly modified: number;
}

/**
 * @param files - paths
 * @param folder - where `checksums.json` is kept
 * @throws EftError FILE_UNREADABLE, FILE_UNWRITABLE
 */
export async function checksums(files: readonly string[], folder: string): Promise<ReadonlyMap<string, Checksum>> {
    const store = path.join(folder, "checksums.json");
    const known = await readKnown(store);
    const result = new Map<string, Checksum>();
    for (const file of new Set(files)) {
        const { size: bytes, mtimeMs: modified } = await stat(file).catch((error: unknown) => {
            throw unreadable(file, error);
        });
        const old = known.get(file);
        const isSame = old?.bytes === bytes && old.modified === modified;
        const sha256 = isSame ? old.sha256 : await hashFile(file);
        result.set(file, { bytes, sha256 });
        if (isSame) continue;
        known.set(file, { bytes, modified, sha256 });
        await writeWhole(store, `${JSON.stringify(Object.fromEntries(known), null, 2)}\n`);
    }
    return result;
}

async function hashFile(file: string): Promise<string> {
    const hash = createHash("sha256");
    try {
        const chunks = createReadStream(file, { highWaterMark: 1 << 20 });
        for await (const chunk of chunks as AsyncIterable<Buffer>) hash.update(chunk);
    } catch (error) {
        throw unreadable(file, error);
    }
    return hash.digest("hex");
}

/** What is damaged or of another form is computed anew. */
async function readKnown(store: string): Promise<Map<string, Known>> {
    try {
        const entries = Object.entries(
            JSON.parse(await readFile(store, "utf8")) as Record<string, Partial<Known> | null>,
        );
        return new Map(
            entries.filter((entry): entry is [string, Known] => /^[0-9a-f]{64}$/.test(entry[1]?.sha256 ?? "")),
        );
    } catch {
        return new Map();
    }
}
