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
    // What is no index of anything finds nothing.
    if (typeof key !== "number" && typeof key !== "boolean") return missing(value, typeName(key));
    const index = Number(key);
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

/** Python's sandbox has no methods that change what a template is given, and neither are there here. */
const DICTIONARY: Readonly<Record<string, (dictionary: Dictionary) => Value>> = {
    items: (dictionary) => [...dictionary].map((pair) => new Tuple(pair)),
    keys: (dictionary) => [...dictionary.keys()],
    values: (dictionary) => [...dictionary.values()],
    copy: (dictionary) => new Map(dictionary),
};

function dictionaryMethod(context: Context, dictionary: Dictionary, name: string): Callable | undefined {
    if (name === "get") {
        return (args, named) => {
            const [key = NONE, otherwise = NONE] = bind(context, "get", ["key", "default"], args, named);
            return context.values.lookUp(dictionary, key) ?? otherwise;
        };
    }
    const method = Object.hasOwn(DICTIONARY, name) ? DICTIONARY[name] : undefined;
    return (
        method &&
        (() => {
            context.work.step(dictionary.size);
            return method(dictionary);
        })
    );
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
        default:
            return undefined;
    }
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
