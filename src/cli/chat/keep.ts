/**
 * Where a conversation is kept while it goes on: on a terminal in a file of its own from the first answer on, elsewhere only in a
 * file that was named. `--continue` goes on with the one that was written last.
 */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { formatChat, readConversation, writeConversation } from "../../chat/document.js";
import { EftError } from "../../errors.js";
import { makeFolder, readText, writeWhole } from "../../files.js";
import type { ChatSession } from "../../index.js";
import { stateFolder } from "./history.js";

/** A file that a conversation comes from, and what it said when it was read. */
export interface Origin {
    readonly file: string;
    readonly text: string;
}

/** Keeps one conversation. */
export interface Keeper {
    /** Where it is kept; undefined as long as it is not. */
    readonly file: string | undefined;
    /**
     * Writes what is new, if there is a place for it. A file that somebody else has written to meanwhile stays as it is, and
     * another one is begun.
     *
     * @returns whether that had to be
     * @throws EftError FILE_UNWRITABLE
     */
    keep(chat: ChatSession): Promise<boolean>;
    /**
     * From here on this conversation is kept, where something changes in it.
     *
     * @param origin - where it goes on to be kept. Default: nowhere as yet
     */
    switchTo(chat: ChatSession, origin?: Origin): void;
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
    /** What the file said when this process read or wrote it, and the conversation of that time. */
    let known: string | undefined;
    let kept: string | undefined;

    function newFile(): string | undefined {
        const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
        return folder && path.join(folder, `${time}-${randomBytes(3).toString("hex")}.json`);
    }

    async function write(place: string, chat: ChatSession): Promise<void> {
        const text = formatChat(chat);
        if (path.dirname(place) === folder) await makeFolder(folder, PRIVATE);
        await writeConversation(place, text);
        file = place;
        kept = known = text;
        if (folder === undefined) return;
        await makeFolder(folder, PRIVATE);
        await writeWhole(path.join(folder, LAST), `${path.resolve(place)}\n`, 0o600);
    }

    return {
        get file() {
            return file;
        },
        async keep(chat) {
            const place = file ?? (automatic && chat.turns.length > 0 ? newFile() : undefined);
            if (place === undefined || kept === formatChat(chat)) return false;
            // What cannot be read is not what this process has written.
            const found = await ifThere(readConversation(place)).catch(() => null);
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
        switchTo(chat, origin) {
            file = origin?.file;
            known = origin?.text;
            kept = origin && formatChat(chat);
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
/** Most bytes of a path that are read. */
const MAX_PATH = 1 << 16;
/** Of the folder: for nobody else to look into. */
const PRIVATE = 0o700;

/** What is read, or undefined where there is no file. Whatever else is wrong with it, it is there. */
async function ifThere(text: Promise<string>): Promise<string | undefined> {
    try {
        return await text;
    } catch (error) {
        if (EftError.isInstance(error) && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT")
            return undefined;
        throw error;
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
    const last = (await ifThere(readText(place, { limit: MAX_PATH, mustBeFile: true })))?.trimEnd();
    if (last) return last;
    throw new EftError(
        "CHAT_EMPTY",
        `There is no last conversation: ${folder} names none. Name a file with --load, or begin one.`,
    );
}
