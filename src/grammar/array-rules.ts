/** Rules of arrays. */

import { createRule, literal, type Part, type Rule } from "./rules.js";
import type { Alternative } from "./schema-alternatives.js";
import type { ArrayLimits, Arrays } from "./schema-arrays.js";
import { invalid, type Located, type Report } from "./schema-report.js";

export interface ArrayParts {
    readonly arrays: Arrays;
    readonly report: Report;
    /** The rule of the values that are valid for all of some schemas. */
    readonly ruleOf: (schemas: readonly Located[]) => Rule;
    /** The opposite of a schema; undefined: it has none. */
    readonly oppositeOf: (schema: Located) => Located | undefined;
    /** All values that are valid; undefined: there are too many. */
    readonly valuesOf: (schemas: readonly Located[]) => readonly unknown[] | undefined;
}

/** Values of which all orders are told apart; of more, only that of the schema comes. */
const MOST_SHUFFLED = 6;
const MOST_UNIQUE = 100;
const MOST_STATES = 5000;

export function arrayRule(alternative: Alternative, parts: ArrayParts): Rule {
    const { arrays, report } = parts;
    const limits = arrays.arrayLimits(alternative);
    const { prefix, min, max, isUnique, contains } = limits;
    const place = (keyword: string): string => alternative.find(({ schema }) => keyword in schema)?.at ?? "#";
    if (max !== undefined && min > max) {
        report.note(place("minItems"), "`minItems` is more than `maxItems`");
        return createRule();
    }
    if (isUnique && (max ?? Infinity) > 1) {
        const values =
            prefix === 0 && contains.length === 0 ? parts.valuesOf(arrays.schemasOfItem(alternative, 0)) : undefined;
        if (values !== undefined && values.length <= MOST_UNIQUE) return uniqueRule(values, min, max ?? Infinity);
        report.refuse(place("uniqueItems"), "uniqueItems", "the items are not among a list of values");
    }
    if (contains.length > 1) {
        report.refuse(place("contains"), "contains", "it cannot be enforced beside another one");
    }
    const [found] = contains;
    if (found !== undefined) return containingRule(alternative, limits, found, parts);
    return plainRule(alternative, limits, parts);
}

function plainRule(alternative: Alternative, { prefix, min, max }: ArrayLimits, parts: ArrayParts): Rule {
    const item = (index: number): Rule => parts.ruleOf(parts.arrays.schemasOfItem(alternative, index));
    /** All items from `index` on, and the end. */
    function from(index: number): Rule {
        const own = createRule();
        const separator = index === 0 ? [] : [`"," space`];
        const isLast = index === max;
        if (index >= min) own.alternatives.push([literal("]")]);
        if (isLast) return own;
        if (index < prefix) {
            own.alternatives.push([...separator, item(index), from(index + 1)]);
            return own;
        }
        const rest = item(index);
        const least = Math.max(0, min - index - 1);
        const most = max === undefined ? "" : max - index - 1;
        const more = most === 0 ? [] : [`("," space`, rest, `){${least},${most}}`];
        own.alternatives.push([...separator, rest, ...more, literal("]")]);
        return own;
    }
    return createRule([literal("["), from(0)]);
}

/** Arrays in which some items are valid for a schema. */
function containingRule(
    alternative: Alternative,
    { prefix, min, max }: ArrayLimits,
    { schema, least, most }: ArrayLimits["contains"][number],
    parts: ArrayParts,
): Rule {
    const { arrays, report, ruleOf } = parts;
    let opposite: Located | undefined;
    if (most !== undefined) {
        opposite = parts.oppositeOf(schema);
        if (opposite === undefined)
            report.refuse(schema.at.replace(/\/contains$/, ""), "maxContains", "`contains` has no opposite");
    }
    /** Behind the last place that counts, all are alike. */
    const last = Math.max(prefix, min, max ?? 0, 1);
    const mostFound = opposite === undefined ? least : (most ?? least);
    if ((last + 1) * (mostFound + 1) > MOST_STATES) invalid(schema.at, "it counts too many items");
    const states = new Map<string, Rule>();
    function from(index: number, count: number): Rule {
        const key = `${index},${count}`;
        const known = states.get(key);
        if (known !== undefined) return known;
        const own = createRule();
        states.set(key, own);
        if (index >= min && count >= least) own.alternatives.push([literal("]")]);
        if (index === max) return own;
        const next = max === undefined ? Math.min(index + 1, last) : index + 1;
        const separator = index === 0 ? [] : [`"," space`];
        const schemas = arrays.schemasOfItem(alternative, index);
        if (opposite !== undefined) {
            own.alternatives.push([...separator, ruleOf([...schemas, opposite]), from(next, count)]);
            if (count < mostFound)
                own.alternatives.push([...separator, ruleOf([...schemas, schema]), from(next, count + 1)]);
            return own;
        }
        // What is not needed may be valid for the schema, too.
        own.alternatives.push([...separator, ruleOf(schemas), from(next, count)]);
        if (count < least) own.alternatives.push([...separator, ruleOf([...schemas, schema]), from(next, count + 1)]);
        return own;
    }
    return createRule([literal("["), from(0, 0)]);
}

/** Arrays of some of the values, of each once. */
function uniqueRule(values: readonly unknown[], min: number, max: number): Rule {
    const states = new Map<string, Rule>();
    const isShuffled = values.length <= MOST_SHUFFLED;
    const texts = values.map((value) => literal(JSON.stringify(value)));
    /** `left`: places of the values that may come. */
    function from(left: readonly number[], count: number): Rule {
        const key = `${isShuffled ? left.join() : left.length},${count}`;
        const known = states.get(key);
        if (known !== undefined) return known;
        const own = createRule();
        states.set(key, own);
        if (count >= min) own.alternatives.push([literal("]")]);
        if (count < max) own.alternatives.push([next(left, count)]);
        return own;
    }
    /** One of them, and what comes behind it. */
    function next(left: readonly number[], count: number): Rule {
        const key = `next ${isShuffled ? left.join() : left.length},${count}`;
        const known = states.get(key);
        if (known !== undefined) return known;
        const own = createRule();
        states.set(key, own);
        const separator: Part[] = count === 0 ? [] : [`"," space`];
        const take = (index: number, rest: readonly number[]): void => {
            own.alternatives.push([...separator, texts[index] ?? "", from(rest, count + 1)]);
        };
        const [first, ...rest] = left;
        if (first === undefined) return own;
        if (isShuffled) {
            for (const index of left)
                take(
                    index,
                    left.filter((other) => other !== index),
                );
        } else {
            take(first, rest);
            own.alternatives.push([next(rest, count)]);
        }
        return own;
    }
    return createRule([literal("["), from([...values.keys()], 0)]);
}
