/**
 * Where a conversation is kept while it goes on: on a terminal in a file of its own from the first answer on, elsewhere only in a
 * file that was named. `--continue` goes on with the one that was written last.
 */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../../errors.js";
import { makeFoldersSync, unreadable, unwritable, writeWhole } from "../../files.js";
import { saveChat, type ChatSession } from "../../index.js";
import { stateFolder } from "./history.js";

/** Keeps one conversation. */
export interface Keeper {
    /** Where it is kept; undefined as long as it is not. */
    readonly file: string | undefined;
    /**
     * Writes what is new, if there is a place for it. A file that somebody else has written to meanwhile stays as it is, and
     * another one is begun.
     *
     * @returns whether that had to be
     * @throws EftError FILE_UNWRITABLE, FILE_UNREADABLE
     */
    keep(chat: ChatSession): Promise<boolean>;
    /** From here on this conversation is kept, where something changes in it. @param file - that it comes from. Default: none */
    turnTo(chat: ChatSession, file?: string): Promise<void>;
    /**
     * A copy, in which the conversation goes on; the file so far stays as it is.
     *
     * @param file - default: a new one among those of all conversations
     * @throws EftError FILE_EXISTS, FILE_UNWRITABLE, OPTION_INVALID where there is no place for files without a name
     */
    branch(chat: ChatSession, file?: string): Promise<void>;
}

/** Undefined where nothing is to be remembered: `EFT_LLAMA_HISTORY` is empty, or there is no home folder. */
export function chatFolder(env = process.env): string | undefined {
    const state = env.EFT_LLAMA_HISTORY === "" ? undefined : stateFolder(env);
    return state && path.join(state, "chats");
}

/** @param automatic - conversations that were given no file are kept, too */
export function createKeeper(automatic: boolean, folder = chatFolder()): Keeper {
    let file: string | undefined;
    /** What the file says as far as this process knows, and the conversation of that time. */
    let known: string | undefined;
    let kept: string | undefined;

    function newFile(): string | undefined {
        const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
        return folder && path.join(folder, `${time}-${randomBytes(3).toString("hex")}.json`);
    }

    async function write(place: string, chat: ChatSession): Promise<void> {
        if (path.dirname(place) === folder) makeFolder(folder);
        await saveChat(place, chat);
        file = place;
        kept = JSON.stringify(chat);
        known = await readFile(place, "utf8");
        if (folder === undefined) return;
        makeFolder(folder);
        await writeWhole(path.join(folder, LAST), `${path.resolve(place)}\n`, 0o600);
    }

    return {
        get file() {
            return file;
        },
        async keep(chat) {
            const place = file ?? (automatic && chat.turns.length > 0 ? newFile() : undefined);
            if (place === undefined || kept === JSON.stringify(chat)) return false;
            const found = await readFile(place, "utf8").catch(() => undefined);
            const isForeign = found !== undefined && found !== known;
            const free = isForeign ? newFile() : place;
            if (free === undefined)
                throw new EftError(
                    "FILE_UNWRITABLE",
                    `${place} has been written to by somebody else and stays as it is. Write /fork and another name.`,
                );
            await write(free, chat);
            return isForeign;
        },
        async turnTo(chat, other) {
            file = other;
            kept = other === undefined ? undefined : JSON.stringify(chat);
            known = other === undefined ? undefined : await readFile(other, "utf8").catch(() => undefined);
        },
        async branch(chat, wanted = newFile()) {
            if (wanted === undefined) throw new EftError("OPTION_INVALID", "Write /fork and the name of a file.");
            if (existsSync(wanted))
                throw new EftError("FILE_EXISTS", `${wanted} is there already; choose another name.`);
            await write(wanted, chat);
        },
    };
}

/** In the folder of conversations: the path of the one that was written last. */
const LAST = "last";

function makeFolder(folder: string): void {
    try {
        makeFoldersSync(folder, 0o700);
    } catch (error) {
        throw unwritable(folder, error);
    }
}

/** The file of the conversation that was written last. @throws EftError CHAT_EMPTY, FILE_UNREADABLE */
export async function lastChat(folder = chatFolder()): Promise<string> {
    if (folder === undefined)
        throw new EftError(
            "CHAT_EMPTY",
            "No conversations are kept, since EFT_LLAMA_HISTORY is empty or there is no home folder; name a file with --load.",
        );
    const place = path.join(folder, LAST);
    if (!existsSync(place))
        throw new EftError(
            "CHAT_EMPTY",
            `There is no last conversation: none has been kept in ${folder} yet. Name a file with --load, or begin one.`,
        );
    try {
        return (await readFile(place, "utf8")).trimEnd();
    } catch (error) {
        throw unreadable(place, error);
    }
}
