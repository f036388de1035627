/**
 * The keys of a terminal, for `node:readline`. Of several that arrive at once it puts all but the last at the end of the line,
 * wherever the cursor stands, and loses count of the rows; so it gets them one by one. What is pasted, if the terminal says so,
 * is no keys at all.
 */

import { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { ReadStream } from "node:tty";

const [PASTE_START, PASTE_END] = ["\x1b[200~", "\x1b[201~"];
const CTRL_C = "\x03";

/** Where `readline` reads; destroying it leaves standard input alone again. */
export type Keyboard = Readable & Pick<ReadStream, "isTTY" | "setRawMode">;

interface KeyboardOptions {
    /** Gets what was pasted: lines, and no other control characters than tabs. */
    readonly onPaste: (text: string) => void;
    /** Gets what else is text and no key: tabs that arrive with other keys, from terminals that do not mark what is pasted. */
    readonly onText: (text: string) => void;
}

export function createKeyboard(stdin: ReadStream, { onPaste, onText }: KeyboardOptions): Keyboard {
    const decoder = new StringDecoder("utf8");
    /** What may become the mark of a paste. */
    let begun = "";
    let pasted: string | undefined;

    function receive(chunk: Buffer): void {
        let text = begun + decoder.write(chunk);
        begun = "";
        while (text !== "") text = pasted === undefined ? type(text) : collect(text, pasted);
    }
    /** Returns what follows the mark of a paste. */
    function type(text: string): string {
        const start = text.indexOf(PASTE_START);
        const end = start < 0 ? text.length - beginningOfMark(text) : start;
        const keys = [...text.slice(0, end)];
        for (const key of keys) {
            if (key === "\t" && keys.length > 1) onText(key);
            else keyboard.push(key);
        }
        if (start < 0) begun = text.slice(end);
        else pasted = "";
        return start < 0 ? "" : text.slice(start + PASTE_START.length);
    }
    /** Returns what follows the end of the paste. */
    function collect(text: string, before: string): string {
        // The end may never come; and nobody shall be locked in.
        const given = text.endsWith(CTRL_C) ? text.slice(0, -1) + PASTE_END + CTRL_C : text;
        const all = before + given;
        const end = all.indexOf(PASTE_END, Math.max(0, before.length - PASTE_END.length));
        pasted = end < 0 ? all : undefined;
        if (end < 0) return "";
        onPaste(clean(all.slice(0, end)));
        return all.slice(end + PASTE_END.length);
    }

    const finish = (): void => void keyboard.push(null);
    const keyboard: Keyboard = Object.assign(
        new Readable({
            encoding: "utf8",
            read: () => {},
            destroy(error, done) {
                stdin.off("data", receive);
                stdin.off("end", finish);
                stdin.pause();
                done(error);
            },
        }),
        {
            isTTY: true as const,
            setRawMode(on: boolean) {
                stdin.setRawMode(on);
                return keyboard as never;
            },
        },
    );
    stdin.on("data", receive);
    stdin.on("end", finish);
    return keyboard;
}

/** How many of the last characters begin a mark that is not complete yet. A single Esc is a key. */
function beginningOfMark(text: string): number {
    for (let length = PASTE_START.length - 1; length > 1; length--)
        if (text.endsWith(PASTE_START.slice(0, length))) return length;
    return 0;
}

function clean(text: string): string {
    return text.replaceAll(/\r\n?/g, "\n").replaceAll(/[^\P{Cc}\n\t]/gu, "");
}
