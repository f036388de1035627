/** Jinja's tests: what stands after `is`. */

import type { Context } from "./context.js";
import { contains, lower, upper } from "./strings.js";
import { fail, Float, isSequence, None, NONE, toInteger, Undefined, type Value } from "./values.js";

type Test = (context: Context, value: Value, other: Value) => boolean;

const isString = (value: Value): value is string => typeof value === "string";
const isCollection = (value: Value): boolean => isString(value) || isSequence(value) || value instanceof Map;
const order =
    (operator: string, isTheCase: (sign: number) => boolean): Test =>
    ({ values }, a, b) =>
        isTheCase(values.compare(a, b, operator));

const TESTS: Readonly<Record<string, Test>> = {
    boolean: (_, value) => typeof value === "boolean",
    callable: (_, value) => typeof value === "function",
    defined: (_, value) => !(value instanceof Undefined),
    divisibleby: (_, value, by) => toInteger(value, "divisibleby") % toInteger(by, "divisibleby") === 0,
    eq: ({ values }, a, b) => values.equal(a, b),
    even: (_, value) => toInteger(value, "even") % 2 === 0,
    false: (_, value) => value === false,
    float: (_, value) => value instanceof Float,
    ge: order(">=", (sign) => sign >= 0),
    gt: order(">", (sign) => sign > 0),
    in: isIn,
    integer: (_, value) => typeof value === "number",
    iterable: (_, value) => isCollection(value) || value instanceof Undefined,
    le: order("<=", (sign) => sign <= 0),
    lower: (context, value) => isString(value) && value === lower(context, value),
    lt: order("<", (sign) => sign < 0),
    mapping: (_, value) => value instanceof Map,
    ne: ({ values }, a, b) => !values.equal(a, b),
    none: (_, value) => value instanceof None,
    number: (_, value) => typeof value === "number" || typeof value === "boolean" || value instanceof Float,
    odd: (_, value) => Math.abs(toInteger(value, "odd") % 2) === 1,
    sameas: (_, a, b) => a === b,
    sequence: (_, value) => isCollection(value),
    string: (_, value) => isString(value),
    true: (_, value) => value === true,
    undefined: (_, value) => value instanceof Undefined,
    upper: (context, value) => isString(value) && value === upper(context, value),
};

const ALIASES: Readonly<Record<string, string>> = {
    ...{ "==": "eq", equalto: "eq", "!=": "ne", "<": "lt", lessthan: "lt", "<=": "le" },
    ...{ ">": "gt", greaterthan: "gt", ">=": "ge" },
};

/** Whether a collection has an item, a dictionary a key, a text a part. @throws TemplateFault */
export function isIn(context: Context, value: Value, collection: Value): boolean {
    const { values } = context;
    if (isString(collection)) {
        if (value instanceof Undefined) fail(value.reason);
        return contains(context, collection, isString(value) ? value : fail("only a text can be part of a text"));
    }
    if (collection instanceof Map) return values.lookUp(collection, value) !== undefined;
    return values.items(collection).some((item) => values.equal(item, value));
}

/** @param args - what the value is compared with, where the test wants that. @throws TemplateFault */
export function test(context: Context, name: string, value: Value, args: readonly Value[]): boolean {
    const own = Object.hasOwn(ALIASES, name) ? (ALIASES[name] ?? name) : name;
    if (!Object.hasOwn(TESTS, own)) return fail(`there is no test named ${name}`);
    return (TESTS[own] ?? fail(own))(context, value, args[0] ?? NONE);
}
