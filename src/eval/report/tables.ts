/** The tables of a report as plain data, the same for all its forms. */

import { measureOf, type Cell, type ExperimentReport, type Sample } from "../types.js";
import { formatCell, formatDifference, formatP, formatPoint } from "./format.js";

export interface Column {
    readonly task: string;
    /** Measure, with its unit unless the numbers carry it. */
    readonly label: string;
}

export interface Row {
    readonly point: string;
    readonly isBaseline: boolean;
    readonly group?: string;
    /** For each column; undefined where there is no number. */
    readonly entries: readonly (Entry | undefined)[];
}

export interface Entry {
    readonly text: string;
    /** Marks of the baselines that differ with p < 0.05. */
    readonly marks: readonly string[];
}

export interface MeasureTable {
    readonly columns: readonly Column[];
    readonly rows: readonly Row[];
    /** Items behind each column's numbers, by task: `300`, or `288 to 300` where some are missing. */
    readonly items: ReadonlyMap<string, string>;
}

/** A mark for each baseline: a, b, c, ... */
export function markBaselines({ systems }: ExperimentReport): ReadonlyMap<string, string> {
    const baselines = systems.filter(({ isBaseline }) => isBaseline);
    return new Map(baselines.map(({ name }, index) => [name, String.fromCharCode("a".charCodeAt(0) + index)]));
}

/** Points by measures, over all items. */
export function tabulateMeasures(report: ExperimentReport): MeasureTable {
    return tabulate(
        report,
        report.cells.filter(({ group }) => group === undefined),
    );
}

/** Points and groups by measures. */
export function tabulateGroups(report: ExperimentReport): MeasureTable {
    return tabulate(
        report,
        report.cells.filter(({ group }) => group !== undefined),
    );
}

function tabulate(report: ExperimentReport, cells: readonly Cell[]): MeasureTable {
    const marks = markBaselines(report);
    const columnOf = ({ task, measure }: Cell): string => JSON.stringify([task, measure]);
    const rowOf = ({ system, settings, group }: Cell): string => JSON.stringify([formatPoint(system, settings), group]);
    const columns = new Map(cells.map((cell) => [columnOf(cell), cell]));
    const rows = new Map<string, Map<string, Cell>>();
    for (const cell of [...cells].sort(byPoint(report))) {
        const row = rows.get(rowOf(cell)) ?? new Map<string, Cell>();
        rows.set(rowOf(cell), row.set(columnOf(cell), cell));
    }
    return {
        columns: [...columns.values()].map(({ task, measure }) => ({ task, label: labelOf(measure) })),
        rows: [...rows.values()].flatMap((row): Row[] => {
            const [first] = row.values();
            if (first === undefined) return [];
            return [
                {
                    point: formatPoint(first.system, first.settings),
                    isBaseline: marks.has(first.system),
                    ...(first.group === undefined ? {} : { group: first.group }),
                    entries: [...columns.keys()].map((column) => describeCell(row.get(column), marks)),
                },
            ];
        }),
        items: countItems(cells),
    };
}

function labelOf(measure: string): string {
    const { label, unit } = measureOf(measure);
    return unit === "" || unit === "%" ? label : `${label} (${unit})`;
}

/** Points of a system together, in the order of the report; groups of a point in the order of the task. */
function byPoint(report: ExperimentReport): (a: Cell, b: Cell) => number {
    const order = new Map<string, number>();
    for (const { system, settings } of report.cells) {
        const point = formatPoint(system, settings);
        if (!order.has(point)) order.set(point, order.size);
    }
    const rank = ({ system, settings }: Cell): number => order.get(formatPoint(system, settings)) ?? 0;
    return (a, b) => rank(a) - rank(b);
}

function describeCell(cell: Cell | undefined, marks: ReadonlyMap<string, string>): Entry | undefined {
    if (cell === undefined) return undefined;
    const differing = cell.comparisons.filter(({ p }) => p < 0.05);
    return { text: formatCell(cell), marks: differing.flatMap(({ baseline }) => marks.get(baseline) ?? []) };
}

function countItems(cells: readonly Cell[]): ReadonlyMap<string, string> {
    const tasks = new Set(cells.map(({ task }) => task));
    return new Map(
        [...tasks].map((task) => {
            const counts = cells.filter((cell) => cell.task === task).map(({ count }) => count);
            const [fewest, most] = [Math.min(...counts), Math.max(...counts)];
            return [task, fewest === most ? String(most) : `${fewest} to ${most}`];
        }),
    );
}

/** Comparisons over all items, as texts: point, measure, baseline, difference, p-value. */
export function tabulateComparisons(report: ExperimentReport): readonly (readonly string[])[] {
    return report.cells
        .filter(({ group }) => group === undefined)
        .flatMap(({ system, settings, task, measure, comparisons }) =>
            comparisons.map((comparison) => [
                formatPoint(system, settings),
                `${task}: ${measureOf(measure).label}`,
                comparison.baseline,
                formatDifference(measure, comparison),
                formatP(comparison.p),
            ]),
        );
}

export const COMPARISON_HEAD = ["system", "measure", "compared with", "difference", "p"];

/** Sample answers by the item that they answer. */
export function groupSamples({ samples }: ExperimentReport): readonly (readonly [Sample, ...Sample[]])[] {
    const items = new Map<string, [Sample, ...Sample[]]>();
    for (const sample of samples) {
        const key = JSON.stringify([sample.task, sample.item]);
        const others = items.get(key);
        if (others === undefined) items.set(key, [sample]);
        else others.push(sample);
    }
    return [...items.values()];
}

/** Marks that a sample got: `right 1, refusal 0`, and those that the judge did not give. */
export function describeGrades({ grades, withoutVerdict = [] }: Sample): string {
    const given = Object.entries(grades)
        .filter((entry): entry is [string, number] => typeof entry[1] === "number")
        .map(([measure, grade]) => `${measureOf(measure).label} ${grade}`);
    return [...given, ...withoutVerdict.map((measure) => `${measure}: no verdict`)].join(", ");
}

/** A table of texts. */
export interface TextTable {
    readonly head: readonly string[];
    readonly rows: readonly (readonly string[])[];
}

/** What a reproduction needs. A list within a cell has a line for each entry. */
export function tabulateSetup({ systems, tasks, setup }: ExperimentReport): TextTable[] {
    const ofSystems = systems.map((system) => [
        system.name,
        system.combination,
        system.conservative ?? "",
        describeEntries(system.models),
        describeEntries(setup?.prompts[system.name] ?? {}),
        describeEntries(system.parameters),
        describeEntries(system.sampling),
        describeEntries(system.speculation ?? {}),
        describeEntries({
            ...{ "control tokens": system.controlTokens, "unused tokens": system.unusedTokens },
            ...(system.cacheType && { cache: system.cacheType }),
        }),
    ]);
    const ofTasks = tasks.map(({ name, kind, items, graders, compareTo }) => [
        name,
        `${items} of the kind ${kind}`,
        compareTo === undefined ? describeEntries(graders) : `distance to ${compareTo}`,
    ]);
    const files = (setup?.files ?? []).map(({ name, bytes, sha256 }) => [name, String(bytes), sha256]);
    const systemHead = [
        ...["system", "combination", "conservative filter", "models", "templates", "parameters", "sampling"],
        ...["speculation", "otherwise"],
    ];
    return [
        { head: systemHead, rows: ofSystems },
        { head: ["task", "items", "graded by"], rows: ofTasks },
        { head: ["file", "bytes", "SHA-256"], rows: files },
    ].filter(({ rows }) => rows.length > 0);
}

/** `name: value`, a line each; what a grid has several values of with a stroke between them. */
function describeEntries(entries: Readonly<Record<string, unknown>>): string {
    const show = (value: unknown): string => {
        if (Array.isArray(value)) return value.map(show).join(" | ");
        return typeof value === "string" ? value : JSON.stringify(value);
    };
    return Object.entries(entries)
        .map(([name, value]) => `${name}: ${show(value)}`)
        .join("\n");
}
