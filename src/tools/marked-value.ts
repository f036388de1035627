/** Values inside of arguments that are written one by one: as JSON, as Python writes it, or with texts between marks and names without. */

import type { JsonValue } from "../types.js";
import { unmark } from "./marks.js";
import { readJson } from "./read-json.js";

/** What is there instead: the beginning of a value, or no value at all. */
export type NoValue = "unfinished" | "none";

/** What was read, and where it ends. */
export interface FoundValue {
    readonly value: JsonValue;
    readonly to: number;
}

const PYTHON: ReadonlyMap<string, JsonValue> = new Map([
    ["True", true],
    ["False", false],
    ["None", null],
]);
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/** Levels of lists and objects. */
const DEEPEST = 200;

/**
 * The value at a place. A word that is none is a text.
 *
 * @param quote - what stands around texts; empty: quotation marks alone do
 */
export function readMarkedValue(text: string, from: number, quote: string, depth = 0): FoundValue | NoValue {
    if (depth > DEEPEST) return "none";
    const at = behindSpace(text, from);
    const quoted = readText(text, at, quote);
    if (quoted !== undefined) return quoted;
    const first = text[at] ?? "";
    if (first === "[") return readList(text, at, quote, depth + 1);
    if (first === "{") return readObject(text, at, quote, depth + 1);
    // The text has not ended yet.
    if (/["']/.test(first) || (quote !== "" && text.startsWith(quote, at))) return "unfinished";
    const to = endOfWord(text, at);
    if (to === undefined) return "unfinished";
    const word = text.slice(at, to).trimEnd();
    const value = readWord(word);
    return { value: value === undefined ? unmark(word) : value, to };
}

/** A word that is a number, true, false or null; undefined: it is none of these. */
function readWord(word: string): JsonValue | undefined {
    const value = PYTHON.get(word);
    return value === undefined ? readJson(word) : value;
}

/**
 * Where the colon behind a name is: names may have colons themselves, so it is the first one with a value behind it that is marked or
 * ends as values do; else the first one of all. A name that contains a colon with such a value cannot be told.
 */
export function endOfName(text: string, from: number, quote: string): number | undefined {
    const first = text.indexOf(":", from);
    if (first < 0) return undefined;
    /** Of the word behind a colon, which the next one may share. */
    let end: number | undefined = -1;
    for (let at = first; at >= 0;) {
        const start = behindSpace(text, at + 1);
        if (start === text.length) return undefined;
        if (quote !== "" && text.startsWith(quote, start)) return at;
        if (/["'[{]/.test(text[start] ?? "")) return at;
        if (end < start) end = endOfWord(text, start);
        if (end === undefined) return undefined;
        const next = text.indexOf(":", at + 1);
        // A word with a colon in it is no value.
        if (next < 0 || next >= end) return readWord(text.slice(start, end).trim()) === undefined ? first : at;
        at = next;
    }
    return first;
}

function endOfWord(text: string, from: number): number | undefined {
    const length = text.slice(from).search(/[,}\]]/);
    return length < 0 ? undefined : from + length;
}

function readText(text: string, from: number, quote: string): { value: string; to: number } | undefined {
    if (quote !== "" && text.startsWith(quote, from)) {
        const end = text.indexOf(quote, from + quote.length);
        return end < 0 ? undefined : { value: unmark(text.slice(from + quote.length, end)), to: end + quote.length };
    }
    const [written] = /^(?:"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*')/.exec(text.slice(from)) ?? [];
    if (written === undefined) return undefined;
    const value = unmark(written.slice(1, -1)).replace(
        /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([^]))/g,
        (_, ...parts: (string | undefined)[]) => {
            const code = parts.slice(0, 3).find((part) => part !== undefined);
            if (code !== undefined) return codeText(Number.parseInt(code, 16));
            return ESCAPES[parts[3] ?? ""] ?? parts[3] ?? "";
        },
    );
    return { value, to: from + written.length };
}

function codeText(code: number): string {
    return code > 0x10ffff ? "\ufffd" : String.fromCodePoint(code);
}

function readList(text: string, from: number, quote: string, depth: number): FoundValue | NoValue {
    const values: JsonValue[] = [];
    let at = behindSpace(text, from + 1);
    if (text[at] === "]") return { value: values, to: at + 1 };
    for (;;) {
        const found = readMarkedValue(text, at, quote, depth);
        if (typeof found === "string") return found;
        values.push(found.value);
        at = behindSpace(text, found.to);
        if (text[at] === "]") return { value: values, to: at + 1 };
        if (text[at] !== ",") return at === text.length ? "unfinished" : "none";
        at++;
    }
}

function readObject(text: string, from: number, quote: string, depth: number): FoundValue | NoValue {
    const entries: [string, JsonValue][] = [];
    let at = behindSpace(text, from + 1);
    if (text[at] === "}") return { value: {}, to: at + 1 };
    for (;;) {
        at = behindSpace(text, at);
        const quoted = readText(text, at, quote);
        const colon = quoted === undefined ? endOfName(text, at, quote) : behindSpace(text, quoted.to);
        if (colon === undefined || colon === text.length) return "unfinished";
        if (text[colon] !== ":") return "none";
        const found = readMarkedValue(text, colon + 1, quote, depth);
        if (typeof found === "string") return found;
        entries.push([quoted === undefined ? unmark(text.slice(at, colon)).trim() : quoted.value, found.value]);
        at = behindSpace(text, found.to);
        if (text[at] === "}") return { value: Object.fromEntries(entries), to: at + 1 };
        if (text[at] !== ",") return at === text.length ? "unfinished" : "none";
        at++;
    }
}

export function behindSpace(text: string, from: number): number {
    return from + text.slice(from).search(/\S|$/);
}
