/** The values of Jinja, which are Python's: how they compare, and how they look as text. */

import type { StandIns } from "./stand-ins.js";
import type { Work } from "./work.js";

/** An integer is a number, all other numbers are a {@link Float}; a list is an array, a dictionary a map. */
export type Value =
    string | number | boolean | None | Undefined | Float | Tuple | Value[] | Dictionary | Namespace | Callable;

export type Key = string | number | boolean | None;
export type Dictionary = Map<Key, Value>;
export type Named = ReadonlyMap<string, Value>;
/** What is called with positional and named arguments. */
export type Callable = (args: readonly Value[], named: Named) => Value;

/** What is not there. Most that is done with it is an error that says so. */
export class Undefined {
    constructor(readonly reason: string) {}
}

/** Python's `None`, of which there is one. */
export class None {
    readonly isNone = true;
}
export const NONE = new None();

export class Float {
    constructor(readonly value: number) {}
}

export class Tuple {
    constructor(readonly items: readonly Value[]) {}
}

/** The one kind of value that a template can change. */
export class Namespace {
    constructor(readonly attributes: Map<string, Value>) {}
}

/** What goes wrong in a template, as Python would say it. */
export class TemplateFault extends Error {}

export function fail(message: string): never {
    throw new TemplateFault(message);
}

export function typeName(value: Value): string {
    if (value instanceof None) return "NoneType";
    if (value instanceof Undefined) return "Undefined";
    if (value instanceof Float) return "float";
    if (value instanceof Tuple) return "tuple";
    if (value instanceof Namespace) return "Namespace";
    if (Array.isArray(value)) return "list";
    if (value instanceof Map) return "dict";
    return { string: "str", number: "int", boolean: "bool" }[typeof value as string] ?? "function";
}

export function isTrue(value: Value): boolean {
    if (value instanceof None || value instanceof Undefined) return false;
    if (value instanceof Float) return value.value !== 0;
    if (value instanceof Tuple) return value.items.length > 0;
    if (Array.isArray(value)) return value.length > 0;
    if (value instanceof Map) return value.size > 0;
    return typeof value === "boolean" || typeof value === "number" || typeof value === "string" ? !!value : true;
}

/** The value of what counts as a number, booleans included. */
export function toNumber(value: Value): number | undefined {
    if (value instanceof Float) return value.value;
    return typeof value === "number" || typeof value === "boolean" ? Number(value) : undefined;
}

export function toInteger(value: Value, name: string): number {
    if (typeof value === "number" || typeof value === "boolean") return Number(value);
    return fail(`${name} must be an integer, not ${typeName(value)}`);
}

/** What can be done with values whose texts may have {@link StandIns}. */
export interface Values {
    /** Python's `str()`, as a text with stand-ins where it comes from a message. */
    text(value: Value): string;
    /** Python's `json.dumps()`. */
    json(value: Value, options?: JsonOptions): string;
    equal(a: Value, b: Value): boolean;
    /** Below, at or above 0. @throws TemplateFault for what has no order */
    compare(a: Value, b: Value, operator?: string): number;
    /** What a loop goes through. @throws TemplateFault */
    items(value: Value): readonly Value[];
    /** What stands under a key. */
    lookUp(dictionary: Dictionary, key: Value): Value | undefined;
}

export interface JsonOptions {
    /** What stands in front of a line, for each level; undefined: all in one line. */
    readonly indent?: string | undefined;
    /** What stands between entries, and between a key and its value. */
    readonly separators?: readonly [string, string] | undefined;
    readonly isAscii?: boolean | undefined;
    readonly sortKeys?: boolean | undefined;
}

export function createValues(work: Work, standIns: StandIns): Values {
    const { plain } = standIns;

    function text(value: Value): string {
        const made = typeof value === "string" ? value : value instanceof Undefined ? "" : represent(value);
        work.read(made.length);
        return made;
    }

    /** Python's `repr()`. */
    function represent(value: Value): string {
        work.step();
        if (value instanceof None) return "None";
        if (typeof value === "boolean") return value ? "True" : "False";
        if (typeof value === "number") return BigInt(value).toString();
        if (typeof value === "string") return quote(value);
        if (value instanceof Float) return floatText(value.value);
        if (value instanceof Undefined) return "Undefined";
        if (Array.isArray(value)) return join("[", value.map(represent), "]");
        if (value instanceof Tuple) return join("(", value.items.map(represent), value.items.length === 1 ? ",)" : ")");
        if (value instanceof Map) return join("{", [...value].map(representEntry), "}");
        if (value instanceof Namespace) return `<Namespace ${represent(new Map(value.attributes))}>`;
        return fail("a function is to be written as text");
    }

    function representEntry([key, value]: [Key, Value]): string {
        return `${represent(key)}: ${represent(value)}`;
    }

    function join(open: string, parts: readonly string[], close: string, separator = ", "): string {
        const made = open + parts.join(separator) + close;
        work.write(made.length);
        return made;
    }

    function quote(value: string): string {
        const mark = value.includes("'") && !value.includes('"') ? '"' : "'";
        const escaped = value.replace(/[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}|['"]/gu, (character) => {
            if (character === mark || character === "\\") return `\\${character}`;
            if (character === "'" || character === '"' || plain(character) !== character) return character;
            const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
            if (named !== undefined) return named;
            const code = (character.codePointAt(0) ?? 0).toString(16);
            if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
            return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
        });
        work.write(escaped.length);
        return mark + escaped + mark;
    }

    function json(value: Value, options: JsonOptions = {}): string {
        const { indent, isAscii = false, sortKeys = false } = options;
        const [between, colon] = options.separators ?? [indent === undefined ? ", " : ",", ": "];
        const string = (content: string): string => {
            const escaped = JSON.stringify(content);
            const made = isAscii ? escaped.replace(/[\x7f-\uffff]/g, escapeUnit) : escaped;
            work.write(made.length);
            return made;
        };
        // A stand-in for a character of ASCII is written as that is.
        const escapeUnit = (unit: string): string => {
            const meant = plain(unit);
            return meant < "\x7f" ? unit : `\\u${meant.charCodeAt(0).toString(16).padStart(4, "0")}`;
        };
        const list = (open: string, parts: readonly string[], close: string, depth: number): string => {
            if (indent === undefined || parts.length === 0) return join(open, parts, close, between);
            work.write(indent.length * (depth + 1) * (parts.length + 1));
            const line = (level: number): string => `\n${indent.repeat(level)}`;
            return join(open + line(depth + 1), parts, line(depth) + close, between + line(depth + 1));
        };
        const write = (each: Value, depth: number): string => {
            work.step();
            if (each instanceof None) return "null";
            if (typeof each === "boolean" || typeof each === "number") return String(each);
            if (typeof each === "string") return string(each);
            if (each instanceof Float) return floatText(each.value).replace("inf", "Infinity").replace("nan", "NaN");
            const next = (inner: Value): string => write(inner, depth + 1);
            if (Array.isArray(each) || each instanceof Tuple) return list("[", itemsOf(each).map(next), "]", depth);
            if (!(each instanceof Map)) return fail(`a value of the type ${typeName(each)} cannot be written as JSON`);
            const named = [...each].map(([key, inner]) => [jsonKey(key), inner] as const);
            if (sortKeys) named.sort(([a], [b]) => compare(a, b));
            return list(
                "{",
                named.map(([key, inner]) => string(key) + colon + next(inner)),
                "}",
                depth,
            );
        };
        return write(value, 0);
    }

    function equal(a: Value, b: Value): boolean {
        work.step();
        if (typeof a === "string" && typeof b === "string") {
            // A stand-in is as long as what it stands for.
            if (a.length !== b.length) return false;
            work.read(a.length);
            return plain(a) === plain(b);
        }
        const [x, y] = [toNumber(a), toNumber(b)];
        if (x !== undefined && y !== undefined) return x === y;
        if (a instanceof Undefined || b instanceof Undefined) return a instanceof Undefined && b instanceof Undefined;
        if (a instanceof Map && b instanceof Map) {
            return a.size === b.size && [...a].every(([key, value]) => equal(value, lookUp(b, key) ?? NOTHING));
        }
        if (isSequence(a) && isSequence(b) && Array.isArray(a) === Array.isArray(b)) {
            const [left, right] = [itemsOf(a), itemsOf(b)];
            return left.length === right.length && left.every((item, index) => equal(item, right[index] ?? NOTHING));
        }
        return a === b;
    }

    function compare(a: Value, b: Value, operator = "<"): number {
        work.step();
        const [x, y] = [toNumber(a), toNumber(b)];
        if (x !== undefined && y !== undefined) return x - y;
        if (typeof a === "string" && typeof b === "string") {
            work.read(a.length + b.length);
            const [left, right] = [plain(a), plain(b)];
            return Number(left > right) - Number(left < right);
        }
        if (isSequence(a) && isSequence(b) && Array.isArray(a) === Array.isArray(b)) {
            const [left, right] = [itemsOf(a), itemsOf(b)];
            for (const [index, item] of left.entries()) {
                const other = right[index];
                if (other === undefined) return 1;
                if (!equal(item, other)) return compare(item, other, operator);
            }
            return left.length - right.length;
        }
        for (const each of [a, b]) if (each instanceof Undefined) fail(each.reason);
        return fail(`'${operator}' is not possible between ${typeName(a)} and ${typeName(b)}`);
    }

    function items(value: Value): readonly Value[] {
        if (isSequence(value)) return itemsOf(value);
        if (value instanceof Undefined) return [];
        if (value instanceof Map) {
            work.step(value.size);
            return [...value.keys()];
        }
        if (typeof value !== "string") return fail(`a value of the type ${typeName(value)} cannot be gone through`);
        work.step(value.length);
        return Array.from(value);
    }

    function lookUp(dictionary: Dictionary, key: Value): Value | undefined {
        if (key instanceof Float || (typeof key === "boolean" && !dictionary.has(key)))
            return dictionary.get(toNumber(key) ?? NaN);
        if (typeof key === "number" || typeof key === "boolean" || key instanceof None) return dictionary.get(key);
        if (typeof key !== "string") return undefined;
        work.read(key.length);
        // Keys that come from messages have stand-ins, those that are written in the template have none.
        return dictionary.get(key) ?? dictionary.get(plain(key)) ?? dictionary.get(standIns.mark(plain(key)));
    }

    return { text, json, equal, compare, items, lookUp };
}

/** Equal to nothing. */
const NOTHING: Value = new Float(NaN);

export function isSequence(value: Value): value is Value[] | Tuple {
    return Array.isArray(value) || value instanceof Tuple;
}

export function itemsOf(value: Value[] | Tuple): readonly Value[] {
    return value instanceof Tuple ? value.items : value;
}

/** What a dictionary can have as a key. @throws TemplateFault */
export function toKey(value: Value): Key {
    if (value instanceof None || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
        return value;
    if (value instanceof Float) return value.value;
    return fail(`a value of the type ${typeName(value)} cannot be a key`);
}

function jsonKey(key: Key): string {
    return typeof key === "string" ? key : key instanceof None ? "null" : String(key);
}

/** The shortest digits that mean the number, in Python's form. */
function floatText(value: number): string {
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
        const [digits = "", exponent = ""] = value.toExponential().split("e");
        const sign = exponent.startsWith("-") ? "-" : "+";
        return `${digits}e${sign}${exponent.replace(/^[+-]/, "").padStart(2, "0")}`;
    }
    const digits = Object.is(value, -0) ? "-0" : String(value);
    return digits.includes(".") ? digits : `${digits}.0`;
}
