/** Where the text of a command comes from: an argument, a file, or standard input. */

import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Options } from "yargs";
import { EftError } from "../errors.js";

export const fileOption = {
    alias: "f",
    type: "string",
    requiresArg: true,
    group: "Input:",
    description: "Read the text from this file",
} as const satisfies Options;

/** For `check()`. @throws Error when there is no text, or more than one */
export function checkInput(argument: string | undefined, file: string | undefined): void {
    if (argument !== undefined && file !== undefined) throw new Error("Give the text as an argument or with --file.");
    if (argument === undefined && file === undefined && process.stdin.isTTY) {
        throw new Error("Give the text as an argument, with --file, or on standard input.");
    }
}

/**
 * The text. Of a file and of standard input without the last line end, which is the editor's and not the author's.
 *
 * @throws EftError FILE_UNREADABLE
 */
export async function readInput(argument: string | undefined, file: string | undefined): Promise<string> {
    if (argument !== undefined) return argument;
    const content = file === undefined ? await text(process.stdin) : await readTextFile(file);
    return content.replace(/\r?\n$/, "");
}

/** The UTF-8 text of a file, without a byte-order mark. @throws EftError FILE_UNREADABLE */
export async function readTextFile(file: string): Promise<string> {
    try {
        return new TextDecoder().decode(await readFile(file));
    } catch (error) {
        throw new EftError("FILE_UNREADABLE", `${file} cannot be read: ${(error as Error).message}.`, { cause: error });
    }
}
