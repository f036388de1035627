/** Jinja's filters, and `tojson` as transformers has it. */

import { bind, needText, optionalInteger, optionalText } from "./arguments.js";
import type { Context } from "./context.js";
import { getItem } from "./attributes.js";
import { capitalize, lengthOf, lower, replace, strip, title, upper } from "./strings.js";
import { test } from "./tests.js";
import {
    fail,
    Float,
    isSequence,
    isTrue,
    itemsOf,
    None,
    NONE,
    toInteger,
    toNumber,
    Tuple,
    typeName,
    Undefined,
    type Named,
    type Value,
} from "./values.js";

type Arguments = readonly (Value | undefined)[];
type Filter = (context: Context, value: Value, args: Arguments) => Value;

const ESCAPES: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&#34;",
    "'": "&#39;",
};

/** Names of the arguments of filters that have any. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
    ...{ default: ["default_value", "boolean"], dictsort: ["case_sensitive", "by", "reverse"], float: ["default"] },
    ...{ indent: ["width", "first", "blank"], int: ["default", "base"], join: ["d", "attribute"] },
    ...{ max: ["case_sensitive", "attribute"], min: ["case_sensitive", "attribute"], replace: ["old", "new", "count"] },
    ...{
        round: ["precision", "method"],
        sort: ["reverse", "case_sensitive", "attribute"],
        sum: ["attribute", "start"],
    },
    ...{ tojson: ["indent", "ensure_ascii", "separators", "sort_keys"], trim: ["chars"] },
    ...{ unique: ["case_sensitive", "attribute"] },
};

const FILTERS: Readonly<Record<string, Filter>> = {
    abs: (_, value) => (value instanceof Float ? new Float(Math.abs(value.value)) : Math.abs(toInteger(value, "abs"))),
    capitalize: (context, value) => capitalize(context, context.values.text(value)),
    default: (_, value, [instead = "", asBoolean = false]) =>
        value instanceof Undefined || (isTrue(asBoolean) && !isTrue(value)) ? instead : value,
    dictsort(context, value, [isCaseSensitive, by = "key", reverse]) {
        if (!(value instanceof Map)) return fail("dictsort needs a dictionary");
        const keys = [...(by === "value" ? value.values() : value.keys())];
        const pairs = [...value].map((pair) => new Tuple(pair));
        return sort(context, pairs, keys, isCaseSensitive, reverse);
    },
    escape(context, value) {
        const text = context.values.text(value);
        context.work.write(6 * text.length);
        return Array.from(text, (character) => ESCAPES[context.standIns.plain(character)] ?? character).join("");
    },
    first: ({ values }, value) => values.items(value)[0] ?? new Undefined("there is no first item"),
    float({ standIns }, value, [otherwise = new Float(0)]) {
        const number = typeof value === "string" ? parseNumber(standIns.plain(value)) : toNumber(value);
        return number === undefined ? otherwise : new Float(number);
    },
    indent(context, value, [width = 4, isFirst = false, isBlank = false]) {
        const text = context.values.text(value);
        const by = typeof width === "string" ? width : blanks(context, toInteger(width, "width"));
        // The beginnings of lines, and what stands there.
        const found = context.standIns.plain(text).matchAll(/(?<![^\n])[^\n]?/g);
        const starts = [...found].flatMap(({ 0: next, index }) => {
            const isWanted = index === 0 ? isTrue(isFirst) : isTrue(isBlank) || next !== "";
            return isWanted ? [index] : [];
        });
        context.work.write(text.length + starts.length * by.length);
        const pieces = starts.map((at, index) => text.slice(starts[index - 1] ?? 0, at));
        return [...pieces, text.slice(starts.at(-1) ?? 0)].join(by);
    },
    int({ standIns }, value, [otherwise = 0, base = 10]) {
        if (typeof value !== "string") return Math.trunc(toNumber(value) ?? toInteger(otherwise, "default"));
        const text = standIns.plain(value).trim();
        const number = base === 10 ? parseNumber(text) : parseInt(text, toInteger(base, "base"));
        return number === undefined || !Number.isFinite(number) ? otherwise : Math.trunc(number);
    },
    items({ work }, value) {
        if (value instanceof Undefined) return [];
        if (!(value instanceof Map)) return fail("items needs a dictionary");
        work.step(value.size);
        return [...value].map((pair) => new Tuple(pair));
    },
    join(context, value, [separator = "", attribute]) {
        const { values, work } = context;
        const between = values.text(separator);
        const parts = read(context, values.items(value), attribute).map((item) => values.text(item));
        for (const part of parts) work.write(part.length + between.length);
        return parts.join(between);
    },
    last: ({ values }, value) => values.items(value).at(-1) ?? new Undefined("there is no last item"),
    length({ work }, value) {
        if (value instanceof Undefined) return 0;
        if (value instanceof Map) return value.size;
        if (typeof value !== "string")
            return isSequence(value)
                ? itemsOf(value).length
                : fail(`a value of the type ${typeName(value)} has no length`);
        work.read(value.length);
        return lengthOf(value);
    },
    list: (context, value) => copy(context, context.values.items(value)),
    lower: (context, value) => lower(context, context.values.text(value)),
    max: (context, value, [isCaseSensitive, attribute]) =>
        sortBy(context, value, attribute, isCaseSensitive, true)[0] ?? new Undefined("there is no largest item"),
    min: (context, value, [isCaseSensitive, attribute]) =>
        sortBy(context, value, attribute, isCaseSensitive)[0] ?? new Undefined("there is no smallest item"),
    replace(context, value, [old, by, count]) {
        const [text, most] = [context.values.text(value), optionalInteger("replace", count)];
        return replace(context, text, needText("replace", old), needText("replace", by), most);
    },
    reverse(context, value) {
        const reversed = copy(context, context.values.items(value)).reverse();
        return typeof value === "string" ? (reversed as string[]).join("") : reversed;
    },
    round(_, value, [precision, method = "common"]) {
        const number = toNumber(value) ?? fail("round needs a number");
        const factor = 10 ** (optionalInteger("round", precision) ?? 0);
        const how = { common: roundHalfToEven, ceil: Math.ceil, floor: Math.floor }[needText("round", method)];
        const rounded = (how ?? fail("round knows the methods common, ceil and floor"))(number * factor) / factor;
        return value instanceof Float || method !== "common" ? new Float(rounded) : rounded;
    },
    safe: (_, value) => value,
    sort: (context, value, [reverse, isCaseSensitive, attribute]) =>
        sortBy(context, value, attribute, isCaseSensitive, reverse),
    string: (context, value) => context.values.text(value),
    sum(context, value, [attribute, start = 0]) {
        const summands = [start, ...read(context, context.values.items(value), attribute)];
        const sum = summands.reduce<number>((total, each) => total + (toNumber(each) ?? fail("sum needs numbers")), 0);
        return summands.some((each) => each instanceof Float) ? new Float(sum) : sum;
    },
    title: (context, value) => title(context, context.values.text(value), (before) => /[-\s({[<]/.test(before)),
    tojson(context, value, [indent, isAscii = false, pair, sortKeys = false]) {
        const given = pair !== undefined && isSequence(pair) ? itemsOf(pair) : undefined;
        const [between = "", colon = ""] = given?.map((each) => needText("separators", each)) ?? [];
        return context.values.json(value, {
            indent: typeof indent === "number" ? blanks(context, indent) : optionalText("indent", indent),
            separators: given && [between, colon],
            isAscii: isTrue(isAscii),
            sortKeys: isTrue(sortKeys),
        });
    },
    trim: (context, value, [chars]) => strip(context, context.values.text(value), optionalText("trim", chars)),
    unique(context, value, [isCaseSensitive, attribute]) {
        const items = context.values.items(value);
        const keys = foldCase(context, read(context, items, attribute), isCaseSensitive);
        const isFirst = (key: Value): number => keys.findIndex((other) => context.values.equal(key, other));
        return items.filter((_, index) => isFirst(keys[index] ?? NONE) === index);
    },
    upper: (context, value) => upper(context, context.values.text(value)),
};

const ALIASES: Readonly<Record<string, string>> = { d: "default", e: "escape", forceescape: "escape", count: "length" };

/** @throws TemplateFault */
export function applyFilter(context: Context, value: Value, name: string, args: readonly Value[], named: Named): Value {
    const own = Object.hasOwn(ALIASES, name) ? (ALIASES[name] ?? name) : name;
    switch (own) {
        case "map":
            return map(context, value, args, named);
        case "select":
        case "reject":
            return choose(context, value, NONE, args, own === "select");
        case "selectattr":
        case "rejectattr":
            return choose(context, value, args[0] ?? NONE, args.slice(1), own === "selectattr");
    }
    const filter = Object.hasOwn(FILTERS, own) ? FILTERS[own] : undefined;
    if (filter === undefined) return fail(`there is no filter named ${name}`);
    if (typeof value === "string") context.work.read(value.length);
    return filter(context, value, bind(context, name, PARAMETERS[own] ?? [], args, named));
}

/** The items, or an attribute of each: a name, an index, or a path of them with dots between. */
function read(context: Context, items: readonly Value[], attribute: Value = NONE, otherwise?: Value): readonly Value[] {
    if (attribute instanceof None) return items;
    const path = typeof attribute === "number" ? [attribute] : needText("attribute", attribute).split(".");
    const keys = path.map((part) => (/^\d+$/.test(String(part)) ? Number(part) : part));
    return items.map((item) => {
        return keys.reduce((value: Value, key) => {
            const found = getItem(context, value, key);
            return found instanceof Undefined ? (otherwise ?? found) : found;
        }, item);
    });
}

function map(context: Context, value: Value, [name, ...args]: readonly Value[], named: Named): Value {
    if (!isTrue(value)) return [];
    const items = context.values.items(value);
    if (name === undefined) {
        const attribute = named.get("attribute") ?? fail("map needs a filter or an attribute");
        return [...read(context, items, attribute, named.get("default"))];
    }
    return items.map((item) => {
        context.work.step();
        return applyFilter(context, item, needText("map", name), args, named);
    });
}

function choose(
    context: Context,
    value: Value,
    attribute: Value,
    [name, ...args]: readonly Value[],
    isWanted: boolean,
): Value {
    if (!isTrue(value)) return [];
    const items = context.values.items(value);
    const keys = read(context, items, attribute);
    return items.filter((_, index) => {
        context.work.step();
        const key = keys[index] ?? NONE;
        return isWanted === (name === undefined ? isTrue(key) : test(context, needText("select", name), key, args));
    });
}

function sortBy(
    context: Context,
    value: Value,
    attribute: Value | undefined,
    isCaseSensitive: Value | undefined,
    reverse?: Value,
): Value[] {
    const items = context.values.items(value);
    return sort(context, items, read(context, items, attribute), isCaseSensitive, reverse);
}

function sort(
    context: Context,
    items: readonly Value[],
    keys: readonly Value[],
    isCaseSensitive: Value | undefined,
    reverse: Value = false,
): Value[] {
    const folded = foldCase(context, keys, isCaseSensitive);
    const sign = isTrue(reverse) ? -1 : 1;
    const compare = (a: number, b: number): number =>
        sign * context.values.compare(folded[a] ?? NONE, folded[b] ?? NONE);
    const order = items.map((_, index) => index).sort(compare);
    return order.map((index) => items[index] ?? NONE);
}

function foldCase(context: Context, keys: readonly Value[], isCaseSensitive: Value = false): readonly Value[] {
    if (isTrue(isCaseSensitive)) return keys;
    return keys.map((key) => (typeof key === "string" ? lower(context, key) : key));
}

function copy({ work }: Context, items: readonly Value[]): Value[] {
    work.step(items.length);
    return [...items];
}

function blanks({ work }: Context, width: number): string {
    const count = Math.max(0, width);
    work.write(count);
    return " ".repeat(count);
}

/** As Python reads numbers, or undefined. */
function parseNumber(text: string): number | undefined {
    const trimmed = text.trim();
    return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined;
}

function roundHalfToEven(value: number): number {
    const floor = Math.floor(value);
    if (value - floor !== 0.5) return Math.round(value);
    return floor % 2 === 0 ? floor : floor + 1;
}
