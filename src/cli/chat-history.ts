/** What was typed in earlier conversations, in a file of the user's. */

import { appendFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expandHome, homeFolder, makeFoldersSync, readBytesSync } from "../files.js";

/** Lines that are kept. */
export const HISTORY_SIZE = 1000;
/** It is shortened to {@link HISTORY_SIZE} lines when it has twice as many; some are pasted texts. */
const MAX_BYTES = 2 ** 28;

/** `EFT_LLAMA_HISTORY`, where empty means none; else `chat-history` in {@link stateFolder}. */
export function historyFile(env = process.env): string | undefined {
    const { EFT_LLAMA_HISTORY: own } = env;
    if (own !== undefined) return own === "" ? undefined : expandHome(own);
    const folder = stateFolder(env);
    return folder && path.join(folder, "chat-history");
}

/** The program's folder for its state: in that of the XDG specification, or of Windows; undefined without a home folder. */
export function stateFolder({ XDG_STATE_HOME: xdg = "", LOCALAPPDATA: local = "" } = process.env): string | undefined {
    const home = homeFolder();
    const found =
        [xdg, local].find((folder) => path.isAbsolute(folder)) ?? (home && path.join(home, ".local", "state"));
    return found && path.join(found, "eft-llama");
}

export interface History {
    /** Newest first, as `readline` wants them. */
    readonly lines: string[];
    /** @throws Error when the file cannot be written */
    add(line: string): void;
}

/** What is a device or a pipe keeps nothing. @throws Error when there is a file that cannot be read, or that cannot be shortened */
export function openHistory(file: string | undefined): History {
    if (file === undefined) return { lines: [], add: () => {} };
    const found = statSync(file, { throwIfNoEntry: false });
    // /dev/null, and what would never end.
    if (found?.isFile() === false && !found.isDirectory()) return { lines: [], add: () => {} };
    const lines = found === undefined ? [] : readLines(file);
    // Each line is added as it is typed, so that conversations at the same time lose nothing of each other.
    if (lines.length > 2 * HISTORY_SIZE) {
        writeFileSync(file, `${lines.slice(-HISTORY_SIZE).join("\n")}\n`, { mode: 0o600 });
    }
    return {
        lines: lines.slice(-HISTORY_SIZE).toReversed(),
        add(line) {
            makeFoldersSync(path.dirname(file), 0o700);
            appendFileSync(file, `${line}\n`, { mode: 0o600 });
        },
    };
}

function readLines(file: string): string[] {
    const bytes = readBytesSync(file, { limit: MAX_BYTES });
    return bytes.toString("utf8").split("\n").filter(Boolean);
}
