/** Questions to whoever sits at the terminal. */

import { createInterface } from "node:readline";
import { escapeLines, isQuiet } from "./terminal.js";

/** Whether there is somebody to ask. */
export function canAsk(): boolean {
    return process.stdin.isTTY && process.stderr.isTTY && !isQuiet();
}

/** The line that is typed in answer, without blanks around it; empty if the input ends. Ctrl-C ends the program. */
export function ask(question: string): Promise<string> {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    return new Promise((resolve) => {
        terminal.on("SIGINT", () => process.exit(130));
        terminal.on("close", () => resolve(""));
        terminal.question(`${escapeLines(question)} `, (answer) => {
            resolve(answer.trim());
            terminal.close();
        });
    });
}

/** Only a word that begins with y is a yes. */
export async function confirm(question: string): Promise<boolean> {
    return /^y/i.test(await ask(`${question} [y/N]`));
}
