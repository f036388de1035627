/** Replies that were paid for once: a JSON line each. */

import { existsSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../../errors.js";
import { makeFolders, readBytes, unwritable } from "../../files.js";

/** Some hundred thousand replies; a text of more could not be one string. */
const MAX_BYTES = 2 ** 28;

export interface ReplyCache {
    readonly get: (key: string) => string | undefined;
    /** @throws EftError FILE_UNWRITABLE */
    readonly put: (key: string, reply: string) => Promise<void>;
}

/**
 * Reads the file, if there is one. Lines that are damaged, as the last one is after a crash, are passed over.
 *
 * @throws EftError FILE_UNREADABLE; OPTION_INVALID where the file cannot be written
 */
export async function openReplyCache(file: string): Promise<ReplyCache> {
    const replies = new Map<string, string>();
    const text = existsSync(file)
        ? (await readBytes(file, { limit: MAX_BYTES, mustBeFile: true })).toString("utf8")
        : "";
    for (const line of text.split("\n")) {
        const entry = readEntry(line);
        if (entry !== undefined) replies.set(entry.key, entry.reply);
    }
    try {
        await makeFolders(path.dirname(path.resolve(file)));
        await appendFile(file, text === "" || text.endsWith("\n") ? "" : "\n");
    } catch (cause) {
        const why = (cause as Error).message;
        throw new EftError("OPTION_INVALID", `The judge's replies cannot be kept in ${file}: ${why}.`, { cause });
    }
    return {
        get: (key) => replies.get(key),
        put: async (key, reply) => {
            replies.set(key, reply);
            await appendFile(file, `${JSON.stringify({ key, reply })}\n`).catch((error: unknown) => {
                throw unwritable(file, error);
            });
        },
    };
}

function readEntry(line: string): { key: string; reply: string } | undefined {
    try {
        const { key, reply } = JSON.parse(line) as { key?: unknown; reply?: unknown };
        return typeof key === "string" && typeof reply === "string" ? { key, reply } : undefined;
    } catch {
        return undefined;
    }
}
