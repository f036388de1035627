/** Where the text of a command comes from: an argument, a file, or standard input. */

import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import type { Options } from "yargs";
import { decodeText, unreadable } from "../files.js";

export const fileOption = {
    alias: "f",
    type: "string",
    requiresArg: true,
    group: "Input:",
    description: "Read the text from this file; - is standard input",
} as const satisfies Options;

/** For `check()`. @throws Error when there is no text, or more than one */
export function checkInput(argument: string | undefined, file: string | undefined): void {
    if (argument !== undefined && file !== undefined) throw new Error("Give the text as an argument or with --file.");
    if (argument === undefined && file === undefined && process.stdin.isTTY) {
        throw new Error("Give the text as an argument, with --file, or on standard input.");
    }
}

/**
 * The text. Of a file and of standard input, which the file `-` is too, without the last line end, which is the editor's and not
 * the author's.
 *
 * @throws EftError FILE_UNREADABLE
 */
export async function readInput(argument: string | undefined, file: string | undefined): Promise<string> {
    if (argument !== undefined) return argument;
    const content =
        file === undefined || file === "-"
            ? decodeText(await buffer(process.stdin), "Standard input")
            : await readTextFile(file);
    return content.replace(/\r?\n$/, "");
}

/** The text of a file, or of a pipe, without a byte-order mark. @throws EftError FILE_UNREADABLE */
export async function readTextFile(file: string): Promise<string> {
    try {
        return decodeText(await readFile(file), file);
    } catch (error) {
        throw unreadable(file, error);
    }
}
