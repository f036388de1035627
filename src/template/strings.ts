/**
 * Python's methods of texts. What is compared or searched is what a text stands for; what is made of it is cut out of the
 * text itself, so that stand-ins stay where they are.
 */

import { bind, needText, optionalInteger, optionalText } from "./arguments.js";
import type { Context } from "./context.js";
import { formatFields } from "./formatting.js";
import { fail, Tuple, type Callable, type Value } from "./values.js";

/** What Python regards as white space. */
// eslint-disable-next-line no-control-regex -- four of them separate parts of a text, for Python
const SPACE = /[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
const WORD = new RegExp(`[^${SPACE.source.slice(1, -1)}]+`, "g");
// eslint-disable-next-line no-control-regex -- the same
const LINE_END = /\r\n|[\n-\r\x1c-\x1e\x85\u2028\u2029]/g;

/** The text without certain characters at its ends: white space, if none are given. */
export function strip({ work, standIns }: Context, text: string, characters?: string, ends = "both"): string {
    work.read(text.length);
    const shown = standIns.plain(text);
    const unwanted = characters === undefined ? undefined : new Set(standIns.plain(characters));
    const isUnwanted = (unit: string): boolean => unwanted?.has(unit) ?? SPACE.test(unit);
    let [from, to] = [0, shown.length];
    if (ends !== "right") while (from < to && isUnwanted(shown.charAt(from))) from++;
    if (ends !== "left") while (to > from && isUnwanted(shown.charAt(to - 1))) to--;
    work.step((text.length - (to - from)) / 8);
    return text.slice(from, to);
}

/** Where a text begins within another, for the first few times. */
function* occurrences({ work, standIns }: Context, text: string, sought: string, most = Infinity): Generator<number> {
    const [shown, pattern] = [standIns.plain(text), standIns.plain(sought)];
    work.search(shown.length, pattern.length);
    if (pattern === "") fail("an empty text cannot be looked for");
    let from = 0;
    for (let count = 0; count < most; count++) {
        const at = shown.indexOf(pattern, from);
        if (at < 0) return;
        work.step();
        yield at;
        from = at + pattern.length;
    }
}

/** Whether a text is part of another. */
export function contains({ work, standIns }: Context, text: string, sought: string): boolean {
    work.search(text.length, sought.length);
    return standIns.plain(text).includes(standIns.plain(sought));
}

export function replace(context: Context, text: string, old: string, by: string, most = -1): string {
    const limit = most < 0 ? Infinity : most;
    const parts: string[] = [];
    let from = 0;
    const put = (part: string): void => {
        context.work.write(part.length + by.length);
        parts.push(part);
    };
    if (old === "") {
        for (const character of limit > 0 ? ["", ...text] : []) {
            if (parts.length >= limit) break;
            put(character);
            from += character.length;
        }
    } else {
        for (const at of occurrences(context, text, old, limit)) {
            put(text.slice(from, at));
            from = at + old.length;
        }
    }
    return [...parts, text.slice(from)].join(by);
}

function splitAt(text: string, places: readonly number[], length: number): string[] {
    const starts = [0, ...places.map((at) => at + length)];
    return starts.map((from, index) => text.slice(from, places[index] ?? text.length));
}

function split(context: Context, text: string, separator: string | undefined, most: number): string[] {
    const limit = most < 0 ? Infinity : most;
    if (separator !== undefined)
        return splitAt(text, [...occurrences(context, text, separator, limit)], separator.length);
    const parts: string[] = [];
    context.work.read(text.length);
    for (const { 0: word, index } of context.standIns.plain(text).matchAll(WORD)) {
        context.work.step();
        const isLast = parts.length >= limit;
        parts.push(isLast ? text.slice(index) : text.slice(index, index + word.length));
        if (isLast) break;
    }
    return parts;
}

function splitFromRight(context: Context, text: string, separator: string | undefined, most: number): string[] {
    const all = split(context, text, separator, -1);
    if (most < 0 || all.length <= most + 1) return all;
    const last = most === 0 ? [] : all.slice(-most);
    // What stands before the last parts, with its separators.
    const tail = last.reduce((length, part) => length + part.length + (separator?.length ?? 0), 0);
    if (separator !== undefined) return [text.slice(0, text.length - tail), ...last];
    let rest = strip(context, text, undefined, "right");
    for (const part of last.toReversed())
        rest = strip(context, rest.slice(0, rest.length - part.length), undefined, "right");
    return [rest, ...last];
}

/** Changes the case of each character; `change` gets it, and the one before it. */
function recase(context: Context, text: string, change: (character: string, before: string) => string): string {
    const { standIns, work } = context;
    work.write(text.length);
    work.step(text.length);
    let before = "";
    const parts = Array.from(text, (character) => {
        const shown = standIns.plain(character);
        const changed = change(shown, before);
        before = shown;
        return shown === character ? changed : standIns.mark(changed);
    });
    return parts.join("");
}

const isLetter = (character: string): boolean => character.toLowerCase() !== character.toUpperCase();

export function upper(context: Context, text: string): string {
    context.work.write(text.length);
    if (context.standIns.plain(text) === text) return text.toUpperCase();
    return recase(context, text, (character) => character.toUpperCase());
}

export function lower(context: Context, text: string): string {
    context.work.write(text.length);
    if (context.standIns.plain(text) === text) return text.toLowerCase();
    return recase(context, text, (character) => character.toLowerCase());
}

export function capitalize(context: Context, text: string): string {
    return recase(context, text, (character, before) =>
        before === "" ? character.toUpperCase() : character.toLowerCase(),
    );
}

/** @param begins - whether a word may begin after a character; the filter and the method do not agree on that */
export function title(context: Context, text: string, begins = (before: string) => !isLetter(before)): string {
    return recase(context, text, (character, before) =>
        before === "" || begins(before) ? character.toUpperCase() : character.toLowerCase(),
    );
}

/** In characters, as Python counts. */
export function lengthOf(text: string): number {
    let length = text.length;
    for (const _ of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) length--;
    return length;
}

/** Lines without their ends, as Python knows them. */
function splitlines({ work, standIns }: Context, text: string): string[] {
    work.read(text.length);
    const parts: string[] = [];
    let from = 0;
    for (const { 0: end, index } of standIns.plain(text).matchAll(LINE_END)) {
        work.step();
        parts.push(text.slice(from, index));
        from = index + end.length;
    }
    return from < text.length ? [...parts, text.slice(from)] : parts;
}

type Method = (context: Context, text: string, args: readonly (Value | undefined)[]) => Value;

/** Names of the arguments of methods that have any. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
    ...{
        strip: ["chars"],
        lstrip: ["chars"],
        rstrip: ["chars"],
        split: ["sep", "maxsplit"],
        rsplit: ["sep", "maxsplit"],
    },
    ...{ startswith: ["prefix"], endswith: ["suffix"], removeprefix: ["prefix"], removesuffix: ["suffix"] },
    ...{ partition: ["sep"], replace: ["old", "new", "count"], join: ["iterable"] },
    ...{ find: ["sub"], rfind: ["sub"], count: ["sub"] },
};

const METHODS: Readonly<Record<string, Method>> = {
    upper,
    lower,
    capitalize,
    splitlines,
    title: (context, text) => title(context, text),
    strip: (context, text, [chars]) => strip(context, text, optionalText("strip", chars)),
    lstrip: (context, text, [chars]) => strip(context, text, optionalText("lstrip", chars), "left"),
    rstrip: (context, text, [chars]) => strip(context, text, optionalText("rstrip", chars), "right"),
    startswith: (context, text, [prefix]) => matches(context, text, prefix, "startswith"),
    endswith: (context, text, [suffix]) => matches(context, text, suffix, "endswith"),
    removeprefix(context, text, [prefix]) {
        const part = needText("removeprefix", prefix);
        return matches(context, text, part, "startswith") ? text.slice(part.length) : text;
    },
    removesuffix(context, text, [suffix]) {
        const part = needText("removesuffix", suffix);
        return matches(context, text, part, "endswith") ? text.slice(0, text.length - part.length) : text;
    },
    split: (context, text, [separator, most]) =>
        split(context, text, optionalText("split", separator), optionalInteger("split", most) ?? -1),
    rsplit: (context, text, [separator, most]) =>
        splitFromRight(context, text, optionalText("rsplit", separator), optionalInteger("rsplit", most) ?? -1),
    partition(context, text, [separator]) {
        const between = needText("partition", separator);
        const [at] = occurrences(context, text, between, 1);
        if (at === undefined) return new Tuple([text, "", ""]);
        return new Tuple([text.slice(0, at), between, text.slice(at + between.length)]);
    },
    replace(context, text, [old, by, count]) {
        const most = optionalInteger("replace", count);
        return replace(context, text, needText("replace", old), needText("replace", by), most);
    },
    find: (context, text, [sub]) => position(context, text, sub, 0),
    rfind: (context, text, [sub]) => position(context, text, sub, -1),
    count: (context, text, [sub]) => [...occurrences(context, text, needText("count", sub))].length,
    join(context, text, [list]) {
        const parts = context.values.items(list ?? fail("join needs a list")).map((each) => needText("join", each));
        for (const part of parts) context.work.write(part.length + text.length);
        return parts.join(text);
    },
    isdigit: ({ standIns }, text) => /^\p{Nd}+$/u.test(standIns.plain(text)),
    isspace: (context, text) => text !== "" && strip(context, text) === "",
};

function matches(context: Context, text: string, parts: Value | undefined, where: "startswith" | "endswith"): boolean {
    const { work, standIns } = context;
    const choices = parts instanceof Tuple ? parts.items : [parts];
    const shown = standIns.plain(text);
    work.read(text.length);
    return choices.some((choice) => {
        const part = standIns.plain(needText(where, choice));
        work.read(part.length);
        return where === "startswith" ? shown.startsWith(part) : shown.endsWith(part);
    });
}

/** In characters; -1 where the text is not found. @param which - 0: the first place, -1: the last one */
function position(context: Context, text: string, sought: Value | undefined, which: 0 | -1): number {
    const part = needText("find", sought);
    const places = part === "" ? [0, text.length] : [...occurrences(context, text, part)];
    const at = places.at(which);
    return at === undefined ? -1 : lengthOf(text.slice(0, at));
}

/** A method of a text, or undefined if there is none of that name. */
export function stringMethod(context: Context, text: string, name: string): Callable | undefined {
    if (name === "format") return (args, named) => formatFields(context, text, args, named);
    const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
    return (
        method &&
        ((args, named) => {
            context.work.read(text.length);
            return method(context, text, bind(context, name, PARAMETERS[name] ?? [], args, named));
        })
    );
}
