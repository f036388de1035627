/** Which cells a plot shows, and in which series: rows that the drawing needs to know nothing else about. */

import { measureOf, type Cell, type ExperimentReport, type PlotSpec, type Setting } from "../types.js";
import { formatPoint, formatReference, formatShown, parseReference, showCell, type Shown } from "./format.js";

/** A number to draw. */
export interface PlotRow extends Shown {
    /** `value`, as a label. */
    readonly text: string;
    /** System and settings, apart from those that the plot prescribes. */
    readonly point: string;
    readonly system: string;
    readonly settings: Readonly<Record<string, Setting>>;
    readonly isBaseline: boolean;
    /** Task and measure. */
    readonly measure: string;
    readonly unit: string;
}

/** Points of the plot's measures, in the order of `y`, then of the report. Infinite numbers cannot be drawn and are left out. */
export function selectRows(report: ExperimentReport, spec: PlotSpec, references: readonly string[]): PlotRow[] {
    const baselines = new Set(report.systems.filter(({ isBaseline }) => isBaseline).map(({ name }) => name));
    return references.flatMap((text) => {
        const reference = parseReference(text);
        return report.cells
            .filter(
                (cell) =>
                    cell.task === reference.task &&
                    cell.measure === reference.measure &&
                    cell.group === reference.group &&
                    isShown(cell, spec),
            )
            .map((cell): PlotRow => {
                const shown = showCell(cell);
                // What all points have in common is not worth a place in their names.
                const settings = Object.fromEntries(
                    Object.entries(cell.settings).filter(([name]) => spec.where?.[name] === undefined),
                );
                return {
                    ...shown,
                    text: formatShown(shown, shown.value),
                    point: formatPoint(cell.system, settings),
                    system: cell.system,
                    settings: cell.settings,
                    isBaseline: baselines.has(cell.system),
                    measure: formatReference(reference),
                    unit: measureOf(cell.measure).unit,
                };
            })
            .filter(({ value, low, high }) => [value, low, high].every(Number.isFinite));
    });
}

/** A system that lacks a setting of `where` is shown all the same: a baseline without the dial, for instance. */
export function isShown(point: Pick<Cell, "system" | "settings">, { systems, where = {} }: PlotSpec): boolean {
    return (
        (systems === undefined || systems.includes(point.system)) &&
        Object.entries(where).every(([setting, value]) => (point.settings[setting] ?? value) === value)
    );
}

/** `facts: right (%)`. */
export function titleOf({ measure, unit }: Pick<PlotRow, "measure" | "unit">): string {
    return unit === "" ? measure : `${measure} (${unit})`;
}

/**
 * Names the series of each row by what tells them apart: system, measure, and settings other than the one that runs along
 * the series.
 */
export function nameSeries(rows: readonly PlotRow[], along: string): string[] {
    const differs = (values: readonly unknown[]): boolean => new Set(values).size > 1;
    const showSystem = differs(rows.map(({ system }) => system));
    const showMeasure = differs(rows.map(({ measure }) => measure));
    return rows.map((row) => {
        const siblings = rows.filter(({ system }) => system === row.system);
        const settings = Object.entries(row.settings).filter(
            ([name]) => name !== along && differs(siblings.map((sibling) => sibling.settings[name])),
        );
        const point = [...(showSystem ? [row.system] : []), ...settings.map(([name, value]) => `${name} ${value}`)];
        return [...(showMeasure ? [row.measure] : []), ...point].join(", ");
    });
}
