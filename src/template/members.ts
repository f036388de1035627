/** What can be found in a value: items, attributes, methods, parts. */

import { bind, optionalInteger } from "./arguments.js";
import type { Context } from "./context.js";
import { stringMethod } from "./strings.js";
import {
    fail,
    isSequence,
    itemsOf,
    Namespace,
    NONE,
    Tuple,
    typeName,
    Undefined,
    type Callable,
    type Dictionary,
    type Value,
} from "./values.js";

/** `value.name`: methods first. @throws TemplateFault for anything of what is undefined */
export function getAttribute(context: Context, value: Value, name: string): Value {
    if (value instanceof Undefined) return fail(value.reason);
    if (value instanceof Namespace) return value.attributes.get(name) ?? missing(value, name);
    const method = methodOf(context, value, name);
    if (method !== undefined) return method;
    return (value instanceof Map ? context.values.lookUp(value, name) : undefined) ?? missing(value, name);
}

/** `value[key]`: items first. @throws TemplateFault for anything of what is undefined */
export function getItem(context: Context, value: Value, key: Value): Value {
    if (value instanceof Undefined) return fail(value.reason);
    if (value instanceof Map) {
        const found = context.values.lookUp(value, key);
        if (found !== undefined) return found;
    }
    if (typeof key === "string") return getAttribute(context, value, context.standIns.plain(key));
    const index = optionalInteger("an index", key) ?? 0;
    if (typeof value === "string") return characterAt(context, value, index) ?? missing(value, String(index));
    const item = isSequence(value) ? itemsOf(value).at(index) : undefined;
    return item ?? missing(value, String(index));
}

function characterAt(context: Context, text: string, index: number): string | undefined {
    return context.values.items(text).at(index) as string | undefined;
}

function missing(value: Value, name: string): Undefined {
    return new Undefined(`a value of the type ${typeName(value)} has no "${name}"`);
}

function methodOf(context: Context, value: Value, name: string): Callable | undefined {
    if (typeof value === "string") return stringMethod(context, value, name);
    if (value instanceof Map) return dictionaryMethod(context, value, name);
    return isSequence(value) ? sequenceMethod(context, itemsOf(value), name) : undefined;
}

function dictionaryMethod({ values, work }: Context, dictionary: Dictionary, name: string): Callable | undefined {
    switch (name) {
        case "get":
            return (args, named) => {
                const [key = NONE, otherwise = NONE] = bind("get", ["key", "default"], args, named);
                return values.lookUp(dictionary, key) ?? otherwise;
            };
        case "items":
            return () => {
                work.step(dictionary.size);
                return [...dictionary].map((pair) => new Tuple(pair));
            };
        case "keys":
            return () => {
                work.step(dictionary.size);
                return [...dictionary.keys()];
            };
        case "values":
            return () => {
                work.step(dictionary.size);
                return [...dictionary.values()];
            };
        case "copy":
            return () => {
                work.step(dictionary.size);
                return new Map(dictionary);
            };
        case "clear":
        case "pop":
        case "popitem":
        case "setdefault":
        case "update":
            return forbidden(name);
        default:
            return undefined;
    }
}

function sequenceMethod({ values }: Context, items: readonly Value[], name: string): Callable | undefined {
    switch (name) {
        case "count":
            return ([sought = NONE]) => items.filter((item) => values.equal(item, sought)).length;
        case "index":
            return ([sought = NONE]) => {
                const at = items.findIndex((item) => values.equal(item, sought));
                return at < 0 ? fail("index: the value is not in the list") : at;
            };
        case "append":
        case "clear":
        case "extend":
        case "insert":
        case "pop":
        case "remove":
        case "reverse":
        case "sort":
            return forbidden(name);
        default:
            return undefined;
    }
}

/** Python's sandbox refuses these, too. */
function forbidden(name: string): Callable {
    return () => fail(`a template must not change what it is given, as ${name} does`);
}

/** `value[start:stop:step]`; `none` is what is left out. @throws TemplateFault */
export function slice(context: Context, value: Value, bounds: readonly Value[]): Value {
    if (value instanceof Undefined) return fail(value.reason);
    if (typeof value !== "string" && !isSequence(value))
        return fail(`a value of the type ${typeName(value)} has no parts`);
    const items = context.values.items(value);
    const { length } = items;
    context.work.step(length);
    const [start, stop, given] = bounds.map((bound) => optionalInteger("a bound", bound));
    const step = given ?? 1;
    if (step === 0) return fail("the step of a slice must not be 0");
    const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
    const clamp = (bound: number): number => Math.min(high, Math.max(low, bound < 0 ? bound + length : bound));
    const from = start === undefined ? (step > 0 ? low : high) : clamp(start);
    const to = stop === undefined ? (step > 0 ? high : low) : clamp(stop);
    const taken: Value[] = [];
    for (let at = from; step > 0 ? at < to : at > to; at += step) taken.push(items[at] ?? NONE);
    if (typeof value === "string") return (taken as string[]).join("");
    return value instanceof Tuple ? new Tuple(taken) : taken;
}
