/** JSON that a model wrote. */

import type { JsonValue } from "../types.js";
import { unmark } from "./marks.js";

/**
 * Without what stands in for control tokens. Numbers beyond the range of doubles are the largest there is, so that what a schema lets
 * be written can be written as JSON again.
 *
 * @returns undefined for what is no JSON, or nested too deep
 */
export function readJson(json: string): JsonValue | undefined {
    try {
        return JSON.parse(unmark(json), (_, value: JsonValue) =>
            typeof value === "number" ? finite(value) : value,
        ) as JsonValue;
    } catch {
        return undefined;
    }
}

/** Arguments; undefined for what is no object, or deeper than a conversation may be. */
export function readArguments(json: string): Arguments | undefined {
    const value = readJson(json);
    return isArguments(value) ? value : undefined;
}

export type Arguments = Readonly<Record<string, JsonValue>>;

/** Levels of arguments: those of a message are some more. */
const MOST_LEVELS = 25;

export function isArguments(value: unknown): value is Arguments {
    return isRecord(value) && levelsOf(value) <= MOST_LEVELS;
}

function levelsOf(value: JsonValue): number {
    if (typeof value !== "object" || value === null) return 0;
    return 1 + Object.values(value).reduce<number>((most, each) => Math.max(most, levelsOf(each)), 0);
}

export function isRecord(value: unknown): value is Readonly<Record<string, JsonValue>> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function finite(value: number): number {
    return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value));
}

/** Looks for the end of a JSON object or list in a text that grows. */
export interface JsonScan {
    /** @returns where it ends; undefined: not yet. Goes on where it stopped */
    end(text: string): number | undefined;
}

/** @param from - where the object or list begins */
export function scanJson(from: number): JsonScan {
    let at = from;
    let depth = 0;
    let isText = false;
    let end: number | undefined;
    return {
        end(text) {
            for (; end === undefined && at < text.length; at++) {
                const unit = text[at];
                if (isText) {
                    if (unit === "\\") at++;
                    else if (unit === '"') isText = false;
                } else if (unit === '"') isText = true;
                else if (unit === "{" || unit === "[") depth++;
                else if ((unit === "}" || unit === "]") && --depth === 0) end = at + 1;
            }
            return end;
        },
    };
}
