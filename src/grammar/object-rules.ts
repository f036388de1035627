/** Rules of objects. */

import { KNOWN, type createLanguageRules } from "./json-rules.js";
import type { Regulars } from "./regular.js";
import { createRule, literal, type Part, type Rule } from "./rules.js";
import type { Alternative } from "./schema-alternatives.js";
import type { Objects } from "./schema-objects.js";
import { invalid, textOf, type Located, type Report } from "./schema-report.js";

export interface ObjectParts {
    readonly regulars: Regulars;
    readonly objects: Objects;
    readonly report: Report;
    readonly languages: ReturnType<typeof createLanguageRules>;
    /** The rule of the values that are valid for all of some schemas. */
    readonly ruleOf: (schemas: readonly Located[]) => Rule;
    /** Whether it is certain that no value is valid for all of some schemas. */
    readonly isNever: (schemas: readonly Located[]) => boolean;
}

const MOST_STATES = 20_000;
/** Units of work for a place in an object. */
const STATE = 10;

/** Properties in the order of the schema, then those that it does not list. */
export function objectRule(alternative: Alternative, parts: ObjectParts): Rule {
    const { regulars, objects, report, languages, ruleOf, isNever } = parts;
    const { listed, others, min, max = Infinity } = objects.objectLimits(alternative);
    const place = alternative.find(({ schema }) => "minProperties" in schema)?.at ?? "#";
    if (min > max) {
        report.note(place, "`minProperties` is more than `maxProperties`");
        return createRule();
    }
    // Names that are not listed may come twice, so all of them together count as one towards the least.
    const isAsked = others.length > 0 && min > 1;
    const countable = isAsked ? listed.filter(({ schemas }) => !isNever(schemas)).length + 1 : Infinity;
    const needed = listed.filter(({ isRequired }) => isRequired).length;
    const isRefused = min > countable;
    if (isRefused) {
        const reason = `names that the schema does not list may come twice; it can be ${countable} there`;
        report.refuse(place, "minProperties", reason);
    }
    const least = isRefused ? countable : min;
    const isCounted = least > needed;
    const pairs = listed.map(({ name, schemas }) =>
        createRule([`${literal(textOf(name, report.spend))} ":" space`, ruleOf(schemas)]),
    );
    const other = createRule(
        ...others.map(({ names, schemas }): Part[] => {
            const name = names === regulars.all ? (KNOWN.string as Rule) : languages.strings(names);
            return [name, `":" space`, ruleOf(schemas)];
        }),
    );
    /** More pairs than these need not be told apart. */
    const cap = max === Infinity ? Math.max(1, isCounted ? least : 1) : max;
    if ((cap + 1) * (listed.length + 2) > MOST_STATES) invalid(place, "it counts too many properties");

    report.spend(STATE * (cap + 1) * (listed.length + 2));
    const level = (): Rule[] => Array.from({ length: cap + 1 }, () => createRule());
    const behindOne = (count: number): number => (max === Infinity ? Math.min(count + 1, cap) : count + 1);
    const separatorAt = (count: number): Part[] => (count === 0 ? [] : [`"," space`]);
    /** Behind a property that is not listed there may be more of them. */
    const open = level();
    const addOther = (rule: Rule, count: number): void => {
        const rest = open[behindOne(count)];
        if (others.length > 0 && rest !== undefined) rule.alternatives.push([...separatorAt(count), other, rest]);
    };
    open.forEach((rule, count) => {
        rule.alternatives.push([literal("}")]);
        addOther(rule, count);
    });
    // From the last property to the first, so that no chain of them is too long to be followed.
    let behind = level();
    behind.forEach((rule, count) => {
        if (!isCounted || count >= least) rule.alternatives.push([literal("}")]);
        if (!isCounted || count + 1 >= least) addOther(rule, count);
    });
    for (let index = listed.length - 1; index >= 0; index--) {
        const own = level();
        own.forEach((rule, count) => {
            const [rest, same] = [behind[behindOne(count)], behind[count]];
            if (rest !== undefined) rule.alternatives.push([...separatorAt(count), pairs[index] ?? other, rest]);
            if (listed[index]?.isRequired === false && same !== undefined) rule.alternatives.push([same]);
        });
        behind = own;
    }
    return createRule([literal("{"), behind[0] ?? createRule()]);
}
