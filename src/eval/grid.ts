/** Lists in place of values: every combination of them is a point. */

import type { Setting } from "./types.js";

/** A way down to a value in nested mappings. */
export type Path = readonly string[];

/** A list in nested mappings. */
export interface Dimension {
    readonly path: Path;
    readonly values: readonly Setting[];
}

/** The lists among the values of nested mappings, in the order of the text. */
export function findDimensions(value: unknown, path: Path = []): Dimension[] {
    if (Array.isArray(value)) return [{ path, values: value as readonly Setting[] }];
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([key, inner]) => findDimensions(inner, [...path, key]));
}

/** One value for each dimension, the last dimension varying fastest. One empty point where there are no dimensions. */
export function listPoints(dimensions: readonly Dimension[]): Setting[][] {
    return dimensions.reduce<Setting[][]>(
        (points, { values }) => points.flatMap((point) => values.map((value) => [...point, value])),
        [[]],
    );
}

/** A copy with another value at the path; without the key if it is undefined. */
export function replaceAt(value: unknown, [key, ...rest]: Path, replacement: unknown): unknown {
    if (key === undefined) return replacement;
    const { [key]: inner, ...others } = value as Readonly<Record<string, unknown>>;
    const replaced = replaceAt(inner, rest, replacement);
    if (replaced === undefined) return others;
    return Object.fromEntries(
        Object.entries(value as object).map(([name, each]) => [name, name === key ? replaced : (each as unknown)]),
    );
}

/** Whether two points have the same values of the settings that both have. */
export function agree(a: Readonly<Record<string, Setting>>, b: Readonly<Record<string, Setting>>): boolean {
    return Object.entries(a).every(([name, value]) => (b[name] ?? value) === value);
}
