/** What the commands have in common when they write: colours, tables, numbers, a progress bar; and that no text is obeyed. */

import { stripVTControlCharacters } from "node:util";
import { Chalk, chalkStderr, type ChalkInstance } from "chalk";
import { SingleBar } from "cli-progress";
import Table from "cli-table3";

/** Colours of standard output; none when it is not a terminal, or when NO_COLOR is set (https://no-color.org). */
export const colors: ChalkInstance = process.env.NO_COLOR ? new Chalk({ level: 0 }) : new Chalk();

/** The same of standard error. */
export const errorColors: ChalkInstance = process.env.NO_COLOR ? new Chalk({ level: 0 }) : chalkStderr;

/** Columns that text may take. */
export const WIDTH = Math.min(process.stdout.columns || 100, 100);

/** Columns that text needs at least to be broken. */
const LEAST_ROOM = 20;

let quiet = false;

/** From now on there are no bars, remarks and questions. */
export function beQuiet(): void {
    quiet = true;
}

export function isQuiet(): boolean {
    return quiet;
}

/** Writes what people read to standard output. Of what a terminal obeys, only colours, line ends and tabs come through. */
export function print(text: string): void {
    process.stdout.write(escapeAllButColors(text));
}

/** The same to standard error. */
export function printError(text: string): void {
    process.stderr.write(escapeAllButColors(text));
}

/** Writes what is neither a result nor an error to standard error. */
export function remark(text: string): void {
    if (!quiet) printError(text);
}

/** Writes what models say: byte by byte as it is, unless it goes to a terminal. */
export function printAnswer(text: string): void {
    process.stdout.write(process.stdout.isTTY ? escapeLines(text) : text);
}

/** Writes a line of JSON. On a terminal it is the same data, with escape sequences for more characters. */
export function printJson(data: unknown): void {
    const json = JSON.stringify(data);
    process.stdout.write(`${process.stdout.isTTY ? escapeControls(json) : json}\n`);
}

interface TableOptions {
    /** Columns of each cell, its margins included; what is longer is cut. Default: what each cell needs. */
    readonly widths?: readonly number[];
    /** Default: that of standard output. */
    readonly palette?: ChalkInstance;
}

/**
 * A table without inner lines. Cells that begin with a digit or a sign are aligned to the right. What does not fit a terminal is broken
 * in the last column.
 */
export function formatTable(
    head: readonly string[],
    rows: readonly (readonly string[])[],
    { widths = [], palette = colors }: TableOptions = {},
): string {
    const table = new Table({
        head: head.map((title) => palette.bold(title)),
        style: { head: [], border: [], compact: true },
        colAligns: head.map((_, column) =>
            rows.every((row) => /^[-−+\d∞]/.test(stripVTControlCharacters(row[column] ?? ""))) ? "right" : "left",
        ),
        ...(widths.length > 0 ? { colWidths: [...widths] } : fitLast(head, rows)),
    });
    table.push(...rows.map((row) => [...row]));
    return table.toString();
}

/** Widths of a table's columns in which the last one leaves no terminal; nothing where all fits, or nothing would help. */
function fitLast(
    head: readonly string[],
    rows: readonly (readonly string[])[],
): Partial<Table.TableConstructorOptions> {
    const linesOf = (column: number): string[] =>
        [head, ...rows].flatMap((row) => stripVTControlCharacters(row[column] ?? "").split("\n"));
    const needed = head.map((_, column) => Math.max(...linesOf(column).map((line) => line.length)) + 2);
    const borders = head.length + 1;
    const last = needed.at(-1) ?? 0;
    const room = terminalColumns() - borders - sum(needed) + last;
    if (room >= last || room < LEAST_ROOM) return {};
    const wrapOnWordBoundary = linesOf(head.length - 1).every((line) =>
        line.split(" ").every((word) => word.length <= room - 2),
    );
    return { colWidths: [...needed.slice(0, -1), room], wordWrap: true, wrapOnWordBoundary };
}

/**
 * Data out of files, for people: each text in it on one line, without anything that a terminal would obey. Lists, maps and plain
 * objects are copied, all else is as it was.
 */
export function printable<T>(data: T): T {
    const copy = (value: unknown): unknown => {
        if (typeof value === "string") return escapeControls(value);
        if (Array.isArray(value)) return value.map(copy);
        if (value instanceof Map) return new Map([...value].map(([key, entry]) => [copy(key), copy(entry)]));
        if (Object.prototype.toString.call(value) !== "[object Object]") return value;
        return Object.fromEntries(
            Object.entries(value as object).map(([key, entry]) => [escapeControls(key), copy(entry)]),
        );
    };
    return copy(data) as T;
}

/** A message that may have come from a file by half: its further lines are indented, so that none passes for another message. */
export function formatMessage(message: string): string {
    return escapeLines(message).replaceAll(/\n(?! {2}|$)/g, "\n  ");
}

/**
 * Breaks lines between words where a terminal ends, which breaks them anywhere. Elsewhere, and where too little room is left, a text stays
 * as it is.
 *
 * @param indent - columns in front of the first line, and of what is broken off from it; further lines have their own
 * @param columns - default: those of standard output
 */
export function wrap(text: string, indent: number, columns = terminalColumns()): string {
    if (columns - indent < LEAST_ROOM) return text;
    return text
        .split("\n")
        .map((line, index) => wrapLine(line, index === 0 ? indent : 0, index === 0 ? indent : 4, columns))
        .join("\n");
}

function wrapLine(line: string, start: number, indent: number, columns: number): string {
    let column = start;
    return line
        .split(/(?<=\S)(?= +\S)/)
        .map((word) => {
            const isTooLong = column + word.length > columns && column > indent;
            const part = isTooLong ? `\n${" ".repeat(indent)}${word.trimStart()}` : word;
            column = isTooLong ? part.length - 1 : column + word.length;
            return part;
        })
        .join("");
}

/** Infinitely many where standard output is no terminal. */
function terminalColumns(): number {
    return (process.stdout.isTTY && process.stdout.columns) || Infinity;
}

/** A text in quotes, on one line, without anything that a terminal would obey. */
export function quote(text: string): string {
    return escapeControls(JSON.stringify(text));
}

/** Control characters, and those that change the direction of writing, become escape sequences of JSON. */
export function escapeControls(text: string): string {
    return text.replaceAll(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (character) => {
        const [, short] = /^"(\\.)"$/.exec(JSON.stringify(character)) ?? [];
        return short ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
    });
}

/** The same for a text that may have several lines: line ends and tabs stay. */
export function escapeLines(text: string): string {
    return text.replaceAll("\r\n", "\n").replaceAll(/[^\n\t]+/g, escapeControls);
}

const ESCAPE = "\u001b";
const COLOR = new RegExp(`(${ESCAPE}\\[[\\d;]*m)`);

function escapeAllButColors(text: string): string {
    const parts = text.split(COLOR);
    return parts.map((part, index) => (index % 2 === 1 ? part : escapeLines(part))).join("");
}

/** ` 99.1 %`, in the colours of a traffic light. */
export function formatProbability(logprob: number): string {
    const probability = Math.exp(logprob);
    const color = probability >= 0.5 ? colors.green : probability >= 0.05 ? colors.yellow : colors.red;
    return color(`${(100 * probability).toFixed(1).padStart(5)} %`);
}

export function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
}

/** `6.74 B` parameters, with three significant digits. */
export function formatCount(count: number): string {
    const units = ["", " k", " M", " B", " T"];
    const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
    return `${Number((count / 1000 ** power).toPrecision(3))}${units[power]}`;
}

export interface Progress {
    /** @param fraction - 0 .. 1; @param label - what is being done now, instead of the first label */
    readonly update: (fraction: number, label?: string) => void;
    /** May be called again. */
    readonly stop: () => void;
}

/**
 * A bar on standard error while something takes its time; nothing where that is no terminal, or one that cannot go back in a line.
 *
 * @param showsTimeLeft - for what takes minutes
 */
export function startProgress(label: string, showsTimeLeft = false): Progress {
    if (quiet || !process.stderr.isTTY || process.env.TERM === "dumb") return { update: () => {}, stop: () => {} };
    const bar = new SingleBar({
        format: `{label} {bar} {percentage}%${showsTimeLeft ? ", {eta_formatted} left" : ""}`,
        barCompleteChar: "\u2588",
        barIncompleteChar: "\u2591",
        clearOnComplete: true,
        linewrap: true,
        // The time left is judged by so many of the last updates.
        etaBuffer: 200,
    });
    bar.start(1, 0, { label: escapeControls(label) });
    return {
        update: (fraction, now = label) => bar.update(fraction, { label: escapeControls(now) }),
        stop: () => bar.stop(),
    };
}
