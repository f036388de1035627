/** What templates can be given. */

import type { JsonValue } from "../types.js";

/** Variables that every template is given anyway, and not by recipes or requests. */
export const RESERVED_VARIABLES: readonly string[] = ["messages", "add_generation_prompt", "bos_token", "eos_token"];

/** Levels of lists and mappings within each other. */
const MAX_DEPTH = 32;
const MOST_VALUES = 200_000;

/** Something that JSON can say. */
export interface Data {
    /** It, read once: what it is read from may change, or answer otherwise the next time. */
    readonly copy: JsonValue;
    /** All texts in it, names included. */
    readonly texts: readonly string[];
    /** How many values there are in it. */
    readonly values: number;
}

/**
 * Reads a value, whatever it is.
 *
 * @param depth - levels of lists and mappings that it may have
 * @returns undefined for what JSON cannot say, and for what throws when it is looked at. An entry may be undefined
 */
export function readData(value: unknown, depth = MAX_DEPTH): Data | undefined {
    const texts: string[] = [];
    let values = 0;
    const read = (each: unknown, level: number): JsonValue => {
        // What stands in many places is written out in each.
        if (++values > MOST_VALUES) throw new TypeError("no data");
        if (typeof each === "string") texts.push(each);
        if (each === null || ["string", "boolean", "undefined"].includes(typeof each)) return each as JsonValue;
        if (typeof each === "number" && Number.isFinite(each)) return each;
        if (typeof each !== "object" || level > depth) throw new TypeError("no data");
        // Holes take no time where there are millions of them.
        if (Array.isArray(each) && Object.keys(each).length < each.length) throw new TypeError("no data");
        if (Array.isArray(each)) return Array.from(each as readonly unknown[], (item) => read(item, level + 1));
        // Also where it comes from another realm, as through a message port.
        const prototype = Object.getPrototypeOf(each) as object | null;
        if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw new TypeError("no data");
        return Object.fromEntries(
            Object.entries(each).map(([key, item]) => {
                texts.push(key);
                return [key, read(item, level + 1)];
            }),
        );
    };
    try {
        return { copy: read(value, 0), texts, values };
    } catch {
        return undefined;
    }
}

/** Whether a value is something that JSON can say. */
export function isData(value: unknown): value is JsonValue {
    return readData(value) !== undefined;
}
