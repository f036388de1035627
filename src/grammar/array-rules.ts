/** Rules of arrays. */

import { createRule, literal, type Part, type Rule } from "./rules.js";
import type { Alternative } from "./schema-alternatives.js";
import type { ArrayLimits, Arrays } from "./schema-arrays.js";
import { invalid, textOf, type Located, type Report } from "./schema-report.js";

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
/** Units of work for a place in an array. */
const STATE = 30;

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
        if (values !== undefined && values.length <= MOST_UNIQUE) {
            report.spend(STATE * values.length * Math.min(values.length, max ?? Infinity));
            const texts = values.map((value) => literal(textOf(value, report.spend)));
            return uniqueRule(texts, min, max ?? Infinity);
        }
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
    const { report } = parts;
    const item = (index: number): Rule => parts.ruleOf(parts.arrays.schemasOfItem(alternative, index));
    const separatorAt = (index: number): Part[] => (index === 0 ? [] : [`"," space`]);
    /** All items behind the first ones, which are alike, and the end. */
    function rest(): Rule {
        const own = createRule();
        if (prefix >= min) own.alternatives.push([literal("]")]);
        if (prefix === max) return own;
        const least = Math.max(0, min - prefix - 1);
        const most = max === undefined ? "" : max - prefix - 1;
        const more = most === 0 ? [] : [`("," space`, item(prefix), `){${least},${most}}`];
        own.alternatives.push([...separatorAt(prefix), item(prefix), ...more, literal("]")]);
        return own;
    }
    const first = Math.min(prefix, max ?? prefix);
    report.spend(STATE * first);
    // From the last item to the first, so that no list of them is too long to be followed.
    let behind = first < prefix ? createRule([literal("]")]) : rest();
    for (let index = first - 1; index >= 0; index--) {
        const own: Part[][] = index >= min ? [[literal("]")]] : [];
        behind = createRule(...own, [...separatorAt(index), item(index), behind]);
    }
    return createRule([literal("["), behind]);
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
    report.spend(STATE * (last + 1) * (mostFound + 1));
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

/** Arrays of some of the values, whose texts differ, of each once. */
function uniqueRule(texts: readonly string[], min: number, max: number): Rule {
    const states = new Map<string, Rule>();
    const isShuffled = texts.length <= MOST_SHUFFLED;
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
    return createRule([literal("["), from([...texts.keys()], 0)]);
}
