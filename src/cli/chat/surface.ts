/** Where a conversation takes place: what `chat` needs of a terminal, and the same for a plain pipe. */

import { createInterface } from "node:readline";
import { EftError } from "../../errors.js";
import { decodeText, encodingOf } from "../../files.js";
import { createLineJoiner } from "./lines.js";
import { abortOnInterrupt } from "../interrupt.js";
import { formatMessage, print, printAnswer, printError, remark } from "../terminal.js";

export interface Surface {
    /** Columns for tables. */
    readonly width: number;
    /** What is said next; undefined when nothing more will be. */
    read(): Promise<string | undefined>;
    /** Does something that Ctrl-C stops. */
    work<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T>;
    /** Text of an answer, as it comes; resolves when the next one can be shown. */
    write(text: string): Promise<void>;
    /** Ends the line of an answer. */
    endAnswer(): Promise<void>;
    /** What was asked for besides answers. */
    print(text: string): Promise<void>;
    /** What else there is to know. */
    note(text: string): Promise<void>;
    /** What takes its time now, if somebody waits for it. */
    tell?(text: string): Promise<void>;
    fail(message: string): Promise<void>;
    /** Puts a text where the next one is typed, if there is such a place. */
    suggest?(text: string): void;
    close(): void;
}

/** Each line of standard input is a turn, standard output has the answers, and nothing is decorated. */
export function createPipe(): Surface {
    const signal = abortOnInterrupt();
    const lines = createLineJoiner();
    // Lines of bytes, a character each: what is not UTF-8 would otherwise be read as other text.
    const input = createInterface({ input: process.stdin.setEncoding("latin1"), terminal: false });
    let number = 0;
    const decode = (line: string): string => {
        const bytes = Buffer.from(line, "latin1");
        const encoding = number === 0 ? encodingOf(bytes) : "utf-8";
        if (encoding !== "utf-8")
            throw new EftError("FILE_UNREADABLE", `Standard input is in ${encoding}; write UTF-8 to it.`);
        return decodeText(bytes, "Standard input", ++number);
    };
    const iterator = input[Symbol.asyncIterator]();
    signal.addEventListener("abort", () => input.close());
    return {
        width: 100,
        async read() {
            for (;;) {
                const next = await iterator.next();
                if (signal.aborted) return undefined;
                if (next.done) return lines.flush();
                const text = lines.push(decode(next.value));
                if (text !== undefined) return text;
            }
        },
        work: (body) => body(signal),
        write: (text) => Promise.resolve(printAnswer(text)),
        endAnswer: () => Promise.resolve(print("\n")),
        print: (text) => Promise.resolve(print(`${text}\n`)),
        note: (text) => Promise.resolve(remark(`${text}\n`)),
        fail(message) {
            process.exitCode ??= 1;
            return Promise.resolve(printError(`eft-llama: ${formatMessage(message)}\n`));
        },
        close: () => input.close(),
    };
}
