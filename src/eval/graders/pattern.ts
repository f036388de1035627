/** Regular expressions out of files: JavaScript's syntax with the flag `u`, applied such that none can hang the process. */

import { createContext, Script } from "node:vm";
import { EftError } from "../../errors.js";

/** Longest pattern and most brackets in brackets: what is worse than that, V8 may take minutes to compile. */
const MAX_LENGTH = 5000;
const MAX_DEPTH = 32;
/**
 * Milliseconds of processor time that a match may take. Ordinary ones take a few microseconds, and how many others use the
 * machine must not decide about a pattern.
 */
const PROCESSOR_MS = 1000;
/** Milliseconds by the clock, of the longest attempt; all attempts together take about twice as long. */
const LONGEST_MS = 32_000;

const sandbox: { pattern: string; text: string } = { pattern: "", text: "" };
/** A script with a time limit is the one way to stop a regular expression; V8 heeds it while it backtracks. */
const script = new Script('new RegExp(pattern, "u").test(text)');
let context: object | undefined;

/** What is wrong with it, if anything is. */
export function findPatternFault(pattern: string): string | undefined {
    if (pattern.length > MAX_LENGTH) return `it has more than ${MAX_LENGTH} characters`;
    if (depthOf(pattern) > MAX_DEPTH) return `its groups are nested more than ${MAX_DEPTH} deep`;
    try {
        new RegExp(pattern, "u");
        return undefined;
    } catch (error) {
        // V8 repeats the pattern before it comes to the point.
        return (error as Error).message.replace(`Invalid regular expression: /${pattern}/u: `, "").toLowerCase();
    }
}

/**
 * Whether the pattern matches some part of the text.
 *
 * @throws EftError PATTERN_UNUSABLE after a second of processor time, of this thread or, before Node 23.9, of the process
 */
export function occurs(pattern: string, text: string): boolean {
    context ??= createContext(sandbox);
    Object.assign(sandbox, { pattern, text });
    // V8 is stopped by the clock alone; what was stopped without having had its time starts again, with more.
    for (let timeout = PROCESSOR_MS; ; timeout *= 2) {
        const before = processorTime();
        try {
            return script.runInContext(context, { timeout }) as boolean;
        } catch (cause) {
            const isShort = processorTime() - before < PROCESSOR_MS && timeout < LONGEST_MS;
            if (isShort && (cause as NodeJS.ErrnoException).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") continue;
            throw new EftError(
                "PATTERN_UNUSABLE",
                `The regular expression ${abbreviate(pattern)} found no end on the answer ${abbreviate(text)}; ` +
                    "write it without repetitions inside of repetitions, such as (a+)+.",
                { cause },
            );
        }
    }
}

/** Whether the pattern matches all of the text, or would if its first letter were a capital. */
export function matchesWhole(pattern: string, text: string): boolean {
    const whole = `^(?:${pattern})$`;
    const [first = ""] = text;
    return occurs(whole, text) || occurs(whole, first.toUpperCase() + text.slice(first.length));
}

/** Milliseconds. */
function processorTime(): number {
    const { threadCpuUsage } = process as { threadCpuUsage?(this: void): NodeJS.CpuUsage };
    const { user, system } = threadCpuUsage?.() ?? process.cpuUsage();
    return (user + system) / 1000;
}

function depthOf(pattern: string): number {
    let depth = 0;
    let most = 0;
    for (const [bracket] of pattern.matchAll(/\\.|\[(?:\\.|[^\]\\])*\]|[()]/gs)) {
        if (bracket === "(") most = Math.max(most, ++depth);
        if (bracket === ")") depth--;
    }
    return most;
}

function abbreviate(text: string): string {
    return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
