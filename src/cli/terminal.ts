/** What the commands have in common when they write: colours, tables, numbers, a progress bar. */

import { Chalk, type ChalkInstance } from "chalk";
import { SingleBar } from "cli-progress";
import Table from "cli-table3";

/** Colours of standard output; none when it is not a terminal, or when NO_COLOR is set (https://no-color.org). */
export const colors: ChalkInstance = process.env.NO_COLOR ? new Chalk({ level: 0 }) : new Chalk();

/** Columns that text may take. */
export const WIDTH = Math.min(process.stdout.columns || 100, 100);

/** A table without inner lines. Cells that begin with a digit or a sign are aligned to the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
    const table = new Table({
        head: head.map((title) => colors.bold(title)),
        style: { head: [], border: [], compact: true },
        colAligns: head.map((_, column) =>
            rows.every((row) => /^[-−+\d∞]/.test(row[column] ?? "")) ? "right" : "left",
        ),
    });
    table.push(...rows.map((row) => [...row]));
    return table.toString();
}

/** `1.5 GiB`, with three significant digits. */
export function formatBytes(bytes: number): string {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
    const value = bytes / 1024 ** power;
    return `${power === 0 ? value : Number(value.toPrecision(3))} ${units[power]}`;
}

/** `6.74 B` parameters, with three significant digits. */
export function formatCount(count: number): string {
    const units = ["", " k", " M", " B", " T"];
    const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
    return `${Number((count / 1000 ** power).toPrecision(3))}${units[power]}`;
}

export interface Progress {
    /** @param fraction - 0 .. 1 */
    readonly update: (fraction: number) => void;
    /** May be called again. */
    readonly stop: () => void;
}

/** A bar on standard error while something takes its time; nothing where that is no terminal. */
export function startProgress(label: string): Progress {
    if (!process.stderr.isTTY) return { update: () => {}, stop: () => {} };
    const bar = new SingleBar({
        format: `${label} {bar} {percentage}%`,
        barCompleteChar: "\u2588",
        barIncompleteChar: "\u2591",
        clearOnComplete: true,
        linewrap: true,
    });
    bar.start(1, 0);
    return { update: (fraction) => bar.update(fraction), stop: () => bar.stop() };
}
