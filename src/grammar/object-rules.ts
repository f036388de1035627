/** Rules of objects. */

import { KNOWN, type createLanguageRules } from "./json-rules.js";
import type { Regulars } from "./regular.js";
import { createRule, literal, type Part, type Rule } from "./rules.js";
import type { Alternative } from "./schema-alternatives.js";
import type { Objects } from "./schema-objects.js";
import { invalid, type Located, type Report } from "./schema-report.js";

export interface ObjectParts {
    readonly regulars: Regulars;
    readonly objects: Objects;
    readonly report: Report;
    readonly languages: ReturnType<typeof createLanguageRules>;
    /** The rule of the values that are valid for all of some schemas. */
    readonly ruleOf: (schemas: readonly Located[]) => Rule;
}

const MOST_STATES = 20_000;
/** Units of work for a place in an object. */
const STATE = 10;

/** Properties in the order of the schema, then those that it does not list. */
export function objectRule(alternative: Alternative, parts: ObjectParts): Rule {
    const { regulars, objects, report, languages, ruleOf } = parts;
    const { listed, others, min, max = Infinity } = objects.objectLimits(alternative);
    const place = alternative.find(({ schema }) => "minProperties" in schema)?.at ?? "#";
    if (min > max) {
        report.note(place, "`minProperties` is more than `maxProperties`");
        return createRule();
    }
    const needed = listed.filter(({ isRequired }) => isRequired).length;
    // Names that are not listed may come twice, and then count once.
    const isCounted = min > needed;
    if (isCounted && others.length > 0 && min > Math.max(1, listed.length)) {
        report.refuse(place, "minProperties", "names that the schema does not list may come twice; it can be 1 there");
    }
    const pairs = listed.map(({ name, schemas }) =>
        createRule([`${literal(JSON.stringify(name))} ":" space`, ruleOf(schemas)]),
    );
    const other = createRule(
        ...others.map(({ names, schemas }): Part[] => {
            const name = names === regulars.all ? (KNOWN.string as Rule) : languages.strings(names);
            return [name, `":" space`, ruleOf(schemas)];
        }),
    );
    /** More pairs than these need not be told apart. */
    const cap = max === Infinity ? Math.max(1, isCounted ? min : 1) : max;
    if ((cap + 1) * (listed.length + 1) > MOST_STATES) invalid(place, "it counts too many properties");

    report.spend(STATE * (cap + 1) * (listed.length + 1));
    // From the last property to the first, so that no chain of them is too long to be followed.
    let behind: Rule[] = [];
    for (let index = listed.length; index >= 0; index--) {
        const own = Array.from({ length: cap + 1 }, () => createRule());
        own.forEach((rule, count) => {
            const separator: Part[] = count === 0 ? [] : [`"," space`];
            const next = max === Infinity ? Math.min(count + 1, cap) : count + 1;
            const pair = pairs[index];
            if (pair === undefined) {
                if (count >= Math.min(min, cap) || !isCounted) rule.alternatives.push([literal("}")]);
                if (others.length > 0 && next <= cap) rule.alternatives.push([...separator, other, own[next] ?? rule]);
                return;
            }
            const rest = behind[next];
            if (rest !== undefined) rule.alternatives.push([...separator, pair, rest]);
            if (listed[index]?.isRequired === false && behind[count] !== undefined)
                rule.alternatives.push([behind[count]]);
        });
        behind = own;
    }
    return createRule([literal("{"), behind[0] ?? createRule()]);
}
