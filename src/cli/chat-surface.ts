/** Where a conversation takes place: what `chat` needs of a terminal, and the same for a plain pipe. */

import { createInterface } from "node:readline";
import { createLineJoiner } from "./chat-lines.js";
import { abortOnInterrupt } from "./interrupt.js";
import { remark } from "./terminal.js";

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
    const input = createInterface({ input: process.stdin, terminal: false });
    const iterator = input[Symbol.asyncIterator]();
    signal.addEventListener("abort", () => input.close());
    const say = (stream: NodeJS.WriteStream, text: string): Promise<void> => {
        stream.write(text);
        return Promise.resolve();
    };
    return {
        width: 100,
        async read() {
            for (;;) {
                const next = await iterator.next();
                if (signal.aborted) return undefined;
                if (next.done) return lines.flush();
                const text = lines.push(next.value);
                if (text !== undefined) return text;
            }
        },
        work: (body) => body(signal),
        write: (text) => say(process.stdout, text),
        endAnswer: () => say(process.stdout, "\n"),
        print: (text) => say(process.stdout, `${text}\n`),
        note: (text) => Promise.resolve(remark(`${text}\n`)),
        fail(message) {
            process.exitCode ??= 1;
            return say(process.stderr, `eft-llama: ${message}\n`);
        },
        close: () => input.close(),
    };
}
