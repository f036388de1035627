/** How checks say what they have found. */

import type { Finding } from "../ensemble/check.js";
import { colors, formatMessage, print, wrap } from "./terminal.js";

const STATE_WIDTH = 9;

/** @param nameWidth - columns of the names of checks */
export function printFinding({ check, state, text }: Finding, nameWidth: number): void {
    const paint = { ok: colors.green, warning: colors.yellow, failed: colors.red }[state];
    const word = state === "failed" ? "FAILED" : state;
    const rest = wrap(formatMessage(text), STATE_WIDTH + nameWidth);
    print(`${paint(word.padEnd(STATE_WIDTH))}${check.padEnd(nameWidth)}${rest}\n`);
}
