// Where `--out` says that results go. Whether they can is found out before anything is measured.

import { closeSync, existsSync, openSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { importBuilt } from "./families.mjs";

/** `--out` for yargs. */
export function outOption(describe, more = {}) {
    const coerce = (out) => {
        if (Array.isArray(out)) throw new Error("--out is given more than once.");
        if (out === "") throw new Error("--out takes a name, and not nothing.");
        return out;
    };
    return { string: true, requiresArg: true, describe, coerce, ...more };
}

/**
 * Makes the folders of these files and tries whether the files can be written; what is in them stays.
 *
 * @param out - as it was given
 * @throws Error that names `--out` and the place
 */
export async function checkOut(out, files) {
    const { makeFoldersSync } = await importBuilt("files.js");
    for (const file of files) {
        const folder = path.dirname(path.resolve(file));
        await naming(out, folder, () => makeFoldersSync(folder));
        await naming(out, file, () => {
            const isNew = !existsSync(file);
            // A pipe would end with the first who closes it.
            if (!isNew && !statSync(file).isFile() && !statSync(file).isDirectory()) return;
            closeSync(openSync(file, "a"));
            if (isNew) rmSync(file);
        });
    }
}

/** Calls `write`; its error names `--out` and the place. */
export async function naming(out, place, write) {
    const { reasonOf } = await importBuilt("files.js");
    try {
        return await write();
    } catch (error) {
        throw new Error(`--out ${out}: ${place} cannot be written: ${reasonOf(error)}. Name another place.`, {
            cause: error,
        });
    }
}
