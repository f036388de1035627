/** How numbers and names are written, the same in tables, plots and both forms of the report. */

import { measureOf, type Cell, type Comparison, type Setting } from "../types.js";

/** A mean and its interval as they are shown: in the measure's unit, and `low` not above `high`. */
export interface Shown {
    readonly value: number;
    readonly low: number;
    readonly high: number;
}

/** Numbers of a cell in the unit that its measure is shown in. */
export function showCell({ measure, mean, low, high }: Cell): Shown {
    const [first, last] = [show(measure, low), show(measure, high)];
    return { value: show(measure, mean), low: Math.min(first, last), high: Math.max(first, last) };
}

/** `98.0 % [96.2, 99.3]`; without the interval where it is a point. */
export function formatCell(cell: Cell): string {
    const { unit } = measureOf(cell.measure);
    return formatInterval(showCell(cell), unit === "%" ? " %" : "");
}

/** With no more digits than the interval supports: its width is 6 to 60 units of the last one. */
export function formatShown(shown: Shown, value: number): string {
    if (!Number.isFinite(value)) return "infinite";
    return value.toFixed(decimalsOf(shown)).replace(/^-(0\.?0*)$/, "$1");
}

/**
 * How much a mean differs from a baseline's: percentage points for shares, a factor for perplexities, and milliseconds
 * per token for speeds, whose means are times.
 */
export function formatDifference(measure: string, { difference, low, high }: Comparison): string {
    switch (measureOf(measure).show) {
        case "percent":
            return formatSigned({ value: 100 * difference, low: 100 * low, high: 100 * high }, " points");
        case "perplexity":
            return `times ${formatInterval({ value: Math.exp(difference), low: Math.exp(low), high: Math.exp(high) }, "")}`;
        case "rate":
            return formatSigned({ value: difference, low, high }, " ms/token");
        case "number":
            return formatSigned({ value: difference, low, high }, "");
    }
}

/** `0.012`, `< 0.001`, or a dash where there is none. */
export function formatP(p: number): string {
    if (!Number.isFinite(p)) return "–";
    return p < 0.001 ? "< 0.001" : p.toFixed(3);
}

/** `up-scaled, lambda 0.5, temperature 0`. */
export function formatPoint(system: string, settings: Readonly<Record<string, Setting>>): string {
    return [system, ...Object.entries(settings).map(([name, value]) => `${name} ${value}`)].join(", ");
}

/** A measure as plots name it, `task/measure` or `task/measure@group`, in parts. */
export interface MeasureReference {
    readonly task: string;
    readonly measure: string;
    readonly group?: string;
}

export function parseReference(text: string): MeasureReference {
    const [path = "", group] = text.split("@");
    const [task = "", measure = ""] = path.split("/");
    return { task, measure, ...(group === undefined ? {} : { group }) };
}

/** `facts: right`, `facts, tail: right`. */
export function formatReference({ task, measure, group }: MeasureReference): string {
    const where = group === undefined ? task : `${task}, ${group}`;
    return `${where}: ${measureOf(measure).label}`;
}

/** `4 min 10 s`. */
export function formatDuration(seconds: number): string {
    const whole = Math.round(seconds);
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    if (hours > 0) return `${hours} h ${minutes} min`;
    return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function show(measure: string, mean: number): number {
    switch (measureOf(measure).show) {
        case "percent":
            return 100 * mean;
        case "perplexity":
            return Math.exp(mean);
        case "rate":
            return 1000 / mean;
        case "number":
            return mean;
    }
}

function formatInterval(shown: Shown, unit: string): string {
    const { value, low, high } = shown;
    const mean = `${formatShown(shown, value)}${unit}`;
    return low === high ? mean : `${mean} [${formatShown(shown, low)}, ${formatShown(shown, high)}]`;
}

function formatSigned(shown: Shown, unit: string): string {
    const text = formatInterval(shown, unit);
    return shown.value > 0 ? `+${text}` : text;
}

function decimalsOf({ value, low, high }: Shown): number {
    // A point has no width to tell by: three digits then, whatever the size of the number.
    const width = high > low ? high - low : 0.06 * Math.abs(value);
    return width === 0 ? 0 : Math.min(6, Math.max(0, -Math.floor(Math.log10(width / 6))));
}
