/**
 * Small JSON files in the user's folder of caches. Nothing depends on them: what cannot be read is as if it were not there, and what
 * cannot be written is not.
 */

import { readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { cacheFolder, makeFolders, readText, writeWhole } from "../files.js";

export interface CacheFiles {
    /** What was written under this name, as far as anybody can tell; undefined: nothing that is JSON and small enough. */
    read(name: string): Promise<unknown>;
    /** Resolves also where nothing could be written. Beyond the most files, those that were not written for longest go. */
    write(name: string, value: unknown): Promise<void>;
}

/** Bytes of a file. */
const LIMIT = 16384;
/** Ours are those alone, and such of them that were not written to their ends. */
const OWN_NAME = /^[\da-f]{32}\.json(?:\.[\da-f-]{36})?$/;

/**
 * @param folder - its name below the folder of caches
 * @param most - files that it keeps
 */
export function createCacheFiles(folder: string, most: number): CacheFiles {
    // At each call, since a system without a home folder has none, and a test may choose another.
    const place = (...names: string[]): string => path.join(cacheFolder(folder), ...names);
    const toFile = (name: string): string => place(`${name}.json`);

    async function removeOldest(): Promise<void> {
        const names = (await readdir(place())).filter((name) => OWN_NAME.test(name));
        if (names.length <= most) return;
        const files = await Promise.all(
            names.map(async (name) => ({ name, time: (await stat(place(name)).catch(() => undefined))?.mtimeMs ?? 0 })),
        );
        files.sort((a, b) => a.time - b.time);
        await Promise.all(files.slice(0, -most).map(({ name }) => rm(place(name), { force: true })));
    }

    return {
        async read(name) {
            try {
                return JSON.parse(await readText(toFile(name), { limit: LIMIT, mustBeFile: true })) as unknown;
            } catch {
                return undefined;
            }
        },
        async write(name, value) {
            try {
                await makeFolders(place());
                await writeWhole(toFile(name), JSON.stringify(value));
                await removeOldest();
            } catch {
                // Who reads it next learns it again.
            }
        },
    };
}
