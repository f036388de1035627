/**
 * From schemas that hold for the same value to alternatives: each a list of schemas of which only the keywords that say something
 * about a type are left, and all of which hold. Here are allOf, anyOf, oneOf, not, if, $ref and what depends on properties.
 */

import { APPLICATORS, checkKeywords, CONSTRAINTS, keywordsOf, listOf, mapOf, namesOf } from "./schema-keywords.js";
import { createNegation, NoOpposite } from "./schema-negation.js";
import type { Resolve } from "./schema-references.js";
import { createTags } from "./schema-tags.js";
import { invalid, isList, isObject, type Fields, type Located, type Report } from "./schema-report.js";

/** Keywords of one schema that hold. */
export interface Atom {
    readonly schema: Fields;
    readonly at: string;
    /**
     * Of `unevaluatedProperties` and `unevaluatedItems`: the atoms that say what has been evaluated; the schema has nothing but
     * these keywords then.
     */
    readonly scope?: readonly Atom[];
    /** Whether it comes of an opposite, which does not count as having evaluated anything. */
    readonly isOpposite?: boolean;
}

/** Atoms that hold together. */
export type Alternative = readonly Atom[];

export interface Expander {
    /** @returns none: nothing is valid for all of the schemas */
    expand(schemas: readonly Located[]): readonly Alternative[];
}

/** What alternatives are asked for when they are to exclude each other. */
export interface Judge {
    /** Whether it is certain that nothing is valid. */
    isNever(alternative: Alternative): boolean;
    /** Whether an object of the alternative may have a property of this name. */
    hasProperty(alternative: Alternative, name: string): boolean;
    /** Types that a schema without one is taken to be about; none: any, or it has some. */
    impliedTypes(alternative: Alternative): readonly string[];
    /** Names that an object needs. */
    requiredOf(alternative: Alternative): readonly string[];
}

const MOST_ALTERNATIVES = 1000;
const LARGEST_UNION = 5000;
const MOST_ATOMS = 200;
const DEEPEST = 100;
/** Units of work. */
const SCHEMA = 40;
const UNEVALUATED = ["unevaluatedProperties", "unevaluatedItems"];
const DEPENDENT = ["dependentRequired", "dependentSchemas", "dependencies"];
const OWN: ReadonlySet<string> = new Set(
    ["type", "enum", "const", ...Object.values(CONSTRAINTS).flat()].filter(
        (keyword) => !UNEVALUATED.includes(keyword) && !DEPENDENT.includes(keyword),
    ),
);

/**
 * @param isOpen - whether objects may have properties that no schema lists, where nothing says that they may not
 * @param judge - of what the expander makes
 */
export function createExpander(
    report: Report,
    resolve: Resolve,
    sizes: ReadonlyMap<object, number>,
    isOpen: boolean,
    judge: Judge,
): Expander {
    const checked = new Set<object>();
    const expanded = new Map<object, readonly Alternative[]>();
    /** Opposites and the like, which are made once of each schema. */
    const derived = new Map<object, Map<string, unknown>>();
    const negate = createNegation(resolve);
    const opposites = new Map<Atom, Atom>();
    const isApart = createTags(report);
    /** What is being expanded. */
    const open = new Set<object>();

    function derive(from: object, what: string, make: () => unknown): unknown {
        const own = derived.get(from) ?? new Map<string, unknown>();
        derived.set(from, own);
        if (!own.has(what)) own.set(what, make());
        return own.get(what);
    }

    function expandOne({ schema, at }: Located): readonly Alternative[] {
        if (schema === true) return [[]];
        if (schema === false) {
            report.note(at, "it is `false`, which no text satisfies");
            return [];
        }
        if (!isObject(schema)) return invalid(at, "a schema is an object, `true` or `false`");
        const known = expanded.get(schema);
        if (known !== undefined) return known;
        if (open.has(schema)) return invalid(at, "`$ref` leads in a circle to itself");
        if (open.size >= DEEPEST) return invalid(at, `it is nested more than ${DEEPEST} deep`);
        open.add(schema);
        try {
            const result = expandObject(schema, at);
            expanded.set(schema, result);
            return result;
        } finally {
            open.delete(schema);
        }
    }

    function expandObject(schema: Fields, at: string): readonly Alternative[] {
        report.spend(SCHEMA);
        if (!checked.has(schema)) checkKeywords(schema, at, report, sizes);
        checked.add(schema);
        const keywords = keywordsOf(schema);
        const isOwn = keywords.some((keyword) => OWN.has(keyword)) || plainNot(schema) !== undefined;
        let result: readonly Alternative[] = [isOwn ? [{ schema, at }] : []];
        const also = (alternatives: readonly Alternative[]): void => {
            result = product(result, alternatives, at);
        };
        for (const keyword of ["$ref", "$dynamicRef"] as const) {
            if (keyword in schema) also(expandOne(resolve(schema, keyword, at)));
        }
        for (const one of listOf(schema, "allOf", at)) also(expandOne(one));
        if ("anyOf" in schema) also(union(listOf(schema, "anyOf", at).map(expandOne), at));
        if ("oneOf" in schema) also(expandOneOf(schema, at));
        if ("not" in schema && plainNot(schema) === undefined) {
            const opposite = oppositeOf({ schema: schema.not, at: `${at}/not` });
            if (opposite instanceof NoOpposite) report.refuse(at, "not", opposite.message);
            else also(expandOpposite({ schema: opposite, at: `${at}/not` }));
        }
        if ("if" in schema) also(expandIf(schema, at));
        for (const one of dependencies(schema, at)) also(union(one.map(expandOne), at));
        for (const keyword of UNEVALUATED) {
            if (!(keyword in schema)) continue;
            const only = derive(schema, keyword, () => ({ [keyword]: schema[keyword] })) as Fields;
            result = result.map((scope) => [...scope, { schema: only, at, scope }]);
        }
        return result;
    }

    function product(before: readonly Alternative[], more: readonly Alternative[], at: string): readonly Alternative[] {
        if (before.length > 1 && more.length > 1 && before.length * more.length > MOST_ALTERNATIVES) {
            invalid(at, `its keywords combine to more than ${MOST_ALTERNATIVES} alternatives`);
        }
        if (before.length === 1 && before[0]?.length === 0) return more;
        for (const one of before) report.spend(more.length * one.length);
        for (const one of more) report.spend(before.length * one.length);
        const combined = before.flatMap((one) => more.map((other) => [...new Set([...one, ...other])]));
        if (combined.some(({ length }) => length > MOST_ATOMS)) {
            invalid(at, `more than ${MOST_ATOMS} schemas are to hold together`);
        }
        // What is certain to be nothing is left out before it multiplies.
        if (before.length < 2 && more.length < 2) return combined;
        return combined.filter((one) => !judge.isNever(one));
    }

    /** What stands in several places comes once. */
    function union(lists: readonly (readonly Alternative[])[], at: string): readonly Alternative[] {
        const found = new Set<Alternative>();
        for (const list of lists) {
            for (const one of list) found.add(one);
            if (found.size > LARGEST_UNION) invalid(at, `it has more than ${LARGEST_UNION} alternatives`);
        }
        return [...found];
    }

    function expandOpposite(given: Located): readonly Alternative[] {
        const silent = (atom: Atom): Atom => {
            const made = opposites.get(atom) ?? { ...atom, isOpposite: true };
            opposites.set(atom, made);
            return made;
        };
        return expandOne(given).map((alternative) => alternative.map(silent));
    }

    /** @returns a schema, or why there is none */
    function oppositeOf(given: Located): unknown {
        if (!isObject(given.schema)) return negate(given);
        return derive(given.schema, "not", () => {
            try {
                return negate(given);
            } catch (error) {
                if (!(error instanceof NoOpposite)) throw error;
                return error;
            }
        });
    }

    /** Alternatives of which a text may satisfy one only. */
    function expandOneOf(schema: Fields, at: string): readonly Alternative[] {
        const branches = listOf(schema, "oneOf", at).map((one) => ({ ...one, alternatives: expandOne(one) }));
        const exclusive = branches.map((branch, index) =>
            branches.reduce<readonly Alternative[]>(
                (left, other, place) => (other === branch ? left : without(left, other, [index, place], at)),
                branch.alternatives,
            ),
        );
        return union(exclusive, at);
    }

    /** Alternatives of one branch that are not valid for another one. */
    function without(
        own: readonly Alternative[],
        other: Located & { readonly alternatives: readonly Alternative[] },
        [index, place]: readonly [number, number],
        at: string,
    ): readonly Alternative[] {
        return own.flatMap((one) => {
            let left: readonly Alternative[] = [one];
            for (const excluded of other.alternatives) {
                const overlapping = left.filter(
                    (each) => !isApart(each, excluded) && !judge.isNever([...new Set([...each, ...excluded])]),
                );
                if (overlapping.length === 0) continue;
                const name = isOpen
                    ? undefined
                    : judge.requiredOf(excluded).find((required) => !judge.hasProperty(one, required));
                if (name !== undefined) {
                    // Such a property would not come anyway, unless a schema around this one lists it.
                    const lacks = derive(other.schema as object, `without ${name}`, () => ({
                        type: "object",
                        properties: { [name]: false },
                    }));
                    left = left.map((each) => [...each, { schema: lacks as Fields, at }]);
                    continue;
                }
                const opposite = oppositeOf(other);
                if (!(opposite instanceof NoOpposite)) {
                    left = product(left, expandOpposite({ schema: opposite, at: other.at }), at);
                    continue;
                }
                // Those that a schema without a type is about are the ones that come.
                const typed = isOpen ? left : left.map(withTypes);
                if (typed.every((each) => judge.isNever([...new Set([...each, ...excluded])]))) left = typed;
                else report.refuse(at, "oneOf", `${index} and ${place} may both be valid, and ${opposite.message}`);
            }
            return left;
        });
    }

    function withTypes(alternative: Alternative): Alternative {
        const types = judge.impliedTypes(alternative);
        const [first] = alternative;
        if (types.length === 0 || first === undefined) return alternative;
        const schema = derive(first.schema, `types ${types.join()}`, () => ({ type: types })) as Fields;
        return [...alternative, { schema, at: first.at }];
    }

    function expandIf(schema: Fields, at: string): readonly Alternative[] {
        const { if: condition, then = true, else: otherwise = true } = schema;
        if (then === true && otherwise === true) return [[]];
        const given = { schema: condition, at: `${at}/if` };
        const opposite = oppositeOf(given);
        if (opposite instanceof NoOpposite) {
            report.refuse(at, "if", opposite.message);
            return [[]];
        }
        const yes = product(expandOne(given), expandOne({ schema: then, at: `${at}/then` }), at);
        const no = product(
            expandOpposite({ schema: opposite, at: `${at}/if` }),
            expandOne({ schema: otherwise, at: `${at}/else` }),
            at,
        );
        return union([yes, no], at);
    }

    /** Of each property that others depend on: schemas of which one holds. */
    function dependencies(schema: Fields, at: string): Located[][] {
        return DEPENDENT.flatMap((keyword) =>
            mapOf(schema, keyword, at).map(({ name, schema: needed, at: place }) => {
                const made = derive(schema, `${keyword} ${name}`, () => {
                    const isNames = keyword === "dependentRequired" || isList(needed);
                    const then = isNames ? { required: namesOf(needed, keyword, at) } : needed;
                    return [{ properties: { [name]: false } }, { allOf: [{ required: [name] }, then] }];
                }) as unknown[];
                return made.map((one) => ({ schema: one, at: place }));
            }),
        );
    }

    return {
        expand: (schemas) =>
            schemas.reduce<readonly Alternative[]>((before, one) => product(before, expandOne(one), one.at), [[]]),
    };
}

/** What `not` excludes if it is about values, types or a pattern alone, which is no matter of alternatives. */
export function plainNot({ not }: Fields): Fields | undefined {
    if (!isObject(not)) return undefined;
    const [keyword = "", ...others] = keywordsOf(not);
    return others.length === 0 && ["type", "enum", "const", "pattern"].includes(keyword) ? not : undefined;
}

/** The keywords that are neither annotations nor lead to other schemas for the same value. */
export function ownKeywords(schema: Fields): string[] {
    return keywordsOf(schema).filter((keyword) => !(APPLICATORS as readonly string[]).includes(keyword));
}
