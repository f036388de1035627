/** Where the text of a command comes from: an argument, a file, or standard input. */

import type { Options } from "yargs";
import { readText } from "../files.js";

/** Bytes of a text; some hundred times what the largest contexts hold. */
const MAX_BYTES = 2 ** 26;

export const fileOption = {
    alias: "f",
    type: "string",
    requiresArg: true,
    group: "Input:",
    description: "Read the text from this file; - is standard input",
} as const satisfies Options;

/**
 * For `check()`.
 *
 * @param texts - what was typed as texts: the argument, and that of a flag
 * @throws Error when there is no text, or more than one
 */
export function checkInput(texts: readonly (string | undefined)[], file: string | undefined): void {
    const given = [...texts, file].filter((text) => text !== undefined);
    const flags = texts.length > 1 ? ["--prompt", "--file"] : ["--file"];
    if (given.length > 1) throw new Error(`Give one text: as an argument, or with ${flags.join(" or ")}.`);
    if (given.length === 0 && process.stdin.isTTY) {
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
    const standard = file === undefined || file === "-";
    const content = standard
        ? await readText(process.stdin, { limit: MAX_BYTES, name: "Standard input" })
        : await readTextFile(file);
    return content.replace(/\r?\n$/, "");
}

/** The text of a file, or of a pipe, without a byte-order mark. @throws EftError FILE_UNREADABLE */
export function readTextFile(file: string): Promise<string> {
    return readText(file, { limit: MAX_BYTES });
}
