/**
 * A conversation on a terminal. Something may be typed while an answer is being written: the answer waits, the line is
 * typed below it, and then the answer goes on. Lines that are pasted are one input, if the terminal says what is pasted.
 */

import { clearLine, createInterface, cursorTo, type Completer, type Key } from "node:readline";
import { Writable } from "node:stream";
import wrapAnsi from "wrap-ansi";
import { createLineJoiner } from "./lines.js";
import { HISTORY_SIZE, historyFile, openHistory, type History } from "./history.js";
import type { Surface } from "./surface.js";
import { createKeyboard } from "./keyboard.js";
import { colors, escapeLines, formatMessage, print, printAnswer } from "../terminal.js";

const PROMPT = colors.green.bold("> ");
const CONTINUATION = colors.green.bold("… ");

interface TerminalOptions {
    readonly completer: Completer;
    /** Gets what is typed while there is work; whether it has been dealt with and is not to be read later. */
    readonly onInput: (text: string) => boolean;
}

export function createTerminal({ completer, onInput }: TerminalOptions): Surface {
    const { stdin, stdout } = process;
    const history = tryHistory();
    const lines = createLineJoiner();
    const typedAhead: string[] = [];
    /** `typing`: below an answer that waits for it. */
    let state: "reading" | "writing" | "typing" = "reading";
    let inLine = false;
    let closed = false;
    let leaving = false;
    let pasting = false;
    let prefill = "";
    let controller: AbortController | undefined;
    let deliver: ((text: string | undefined) => void) | undefined;
    let resume: (() => void)[] = [];

    const echo = new Writable({
        decodeStrings: false,
        write(chunk: string, _, done) {
            if (state === "writing" && input.line !== "") {
                stdout.write(`${inLine ? "\n" : ""}${input.getPrompt()}`);
                inLine = false;
                state = "typing";
            }
            // Keys that leave the line empty would only move the cursor in the answer.
            if (state !== "writing") stdout.write(chunk);
            done();
        },
    });
    Object.defineProperty(echo, "columns", { get: () => stdout.columns });
    const resize = (): void => void echo.emit("resize");
    stdout.on("resize", resize);
    const keyboard = createKeyboard(stdin, { onPaste: paste, onText: (text) => input.write(text) });
    const input = createInterface({
        ...{ input: keyboard, output: echo, terminal: true, prompt: PROMPT, completer },
        ...{ history: history.lines, historySize: HISTORY_SIZE, removeHistoryDuplicates: true },
    });

    /** Whether the terminal puts marks around what is pasted. */
    function markPastes(on: boolean): void {
        if (process.env.TERM !== "dumb") stdout.write(on ? "\x1b[?2004h" : "\x1b[?2004l");
    }
    const wakeUp = (): void => {
        markPastes(true);
        input.resume();
    };
    /** Sees keys before `readline` does, which stops the process at Ctrl-Z. */
    const watch = (_: unknown, { name, ctrl }: Key): void => {
        if (ctrl === true && name === "z") markPastes(false);
    };

    /** At the cursor: of several lines, what stands behind it belongs to the last one. */
    function paste(text: string): void {
        const whole = text.split("\n");
        const last = whole.pop() ?? "";
        if (whole.length === 0) return input.write(last);
        const behind = input.line.slice(input.cursor);
        input.write(null, { ctrl: true, name: "k" });
        pasting = true;
        for (const line of whole) {
            input.write(line);
            input.write(null, { name: "return" });
        }
        pasting = false;
        input.write(last + behind);
        while (input.cursor > last.length) input.write(null, { name: "left" });
    }
    function width(): number {
        return Math.min(stdout.columns, 160);
    }
    function goOn(): void {
        if (state === "typing") state = "writing";
        const waiting = resume;
        resume = [];
        for (const each of waiting) each();
    }
    async function untilTyped(): Promise<void> {
        while (state === "typing") await new Promise<void>((resolve) => resume.push(resolve));
    }
    function clearTyped(): void {
        input.write(null, { ctrl: true, name: "e" });
        input.write(null, { ctrl: true, name: "u" });
        lines.flush();
        input.setPrompt(PROMPT);
    }
    function eraseLine(): void {
        cursorTo(stdout, 0);
        clearLine(stdout, 0);
    }
    function interrupt(): void {
        const wasTyped = input.line !== "" || lines.open;
        clearTyped();
        if (controller !== undefined) {
            if (state === "typing") eraseLine();
            controller.abort();
            goOn();
        } else if (wasTyped) {
            leaving = false;
            input.prompt();
        } else if (leaving) {
            input.close();
        } else {
            leaving = true;
            stdout.write(colors.dim("\nCtrl-C once more, or Ctrl-D, leaves.\n"));
            input.prompt();
        }
    }
    /** Lines that end between words; what is shown besides tables and answers. */
    function wrap(text: string): string {
        return wrapAnsi(text, width(), { trim: false });
    }
    async function show(text: string): Promise<void> {
        await untilTyped();
        print(`${inLine ? "\n" : ""}${text}\n`);
        inLine = false;
    }
    /** To whoever waits for an input, if somebody does; what comes next is typed ahead. */
    function settle(text: string | undefined): boolean {
        if (deliver === undefined) return false;
        const take = deliver;
        deliver = undefined;
        state = "writing";
        take(text);
        return true;
    }

    /** Ends as the signal wants, but leaves the terminal as it was. */
    const terminate = (signal: NodeJS.Signals): void => {
        input.close();
        process.kill(process.pid, signal);
    };

    input.on("SIGINT", interrupt);
    process.once("SIGTERM", terminate);
    process.on("SIGINT", interrupt);
    input.on("SIGCONT", wakeUp);
    markPastes(true);
    keyboard.prependListener("keypress", watch);
    keyboard.on("keypress", () => {
        if (state !== "typing" || input.line !== "") return;
        eraseLine();
        goOn();
    });
    input.on("line", (line) => {
        leaving = false;
        if (line.trim() !== "") history.add(line);
        if (state === "typing") state = "writing";
        const text = lines.push(line, pasting);
        input.setPrompt(lines.open ? CONTINUATION : PROMPT);
        if (text === undefined) {
            if (state === "reading") input.prompt();
        } else if (!settle(text) && text.trim() !== "" && !onInput(text)) {
            typedAhead.push(text);
        }
        goOn();
    });
    input.on("close", () => {
        closed = true;
        keyboard.destroy();
        markPastes(false);
        controller?.abort();
        settle(undefined);
        goOn();
    });

    return {
        get width() {
            return width();
        },
        async read() {
            if (typedAhead.length > 0) await untilTyped();
            const next = typedAhead.shift();
            if (next !== undefined) {
                print(`${PROMPT}${escapeLines(next).replaceAll("\n", `\n${CONTINUATION}`)}\n`);
                state = "writing";
                return next;
            }
            if (!closed) {
                state = "reading";
                input.prompt(true);
                if (prefill !== "") input.write(prefill);
                prefill = "";
                const text = await new Promise<string | undefined>((resolve) => (deliver = resolve));
                if (text !== undefined) return text;
                stdout.write("\n");
            }
            if (lines.open) await show(colors.dim("What was begun has not been said, since its end is missing."));
            return undefined;
        },
        async work(body) {
            controller = new AbortController();
            if (closed) controller.abort();
            try {
                return await body(controller.signal);
            } finally {
                controller = undefined;
            }
        },
        async write(text) {
            await untilTyped();
            printAnswer(text);
            if (text !== "") inLine = !text.endsWith("\n");
            await untilTyped();
        },
        async endAnswer() {
            await untilTyped();
            if (inLine) stdout.write("\n");
            inLine = false;
        },
        print: show,
        note: (text) => show(wrap(colors.dim(text))),
        tell: (text) => show(wrap(colors.dim(text))),
        fail: (message) => show(wrap(colors.red(formatMessage(message)))),
        suggest(text) {
            prefill = text;
        },
        close() {
            process.off("SIGINT", interrupt);
            process.off("SIGTERM", terminate);
            stdout.off("resize", resize);
            input.close();
        },
    };
}

/** Without its history a conversation is as good; so a file that cannot be used is said once, and that is all. */
function tryHistory(): History {
    let failed = false;
    function attempt<T>(body: () => T, otherwise: T): T {
        if (failed) return otherwise;
        try {
            return body();
        } catch (error) {
            failed = true;
            print(colors.dim(`What is typed is not remembered: ${formatMessage((error as Error).message)}.\n`));
            return otherwise;
        }
    }
    const none: History = { lines: [], add: () => {} };
    const history = attempt(() => openHistory(historyFile()), none);
    return { lines: history.lines, add: (line) => attempt(() => history.add(line), undefined) };
}
