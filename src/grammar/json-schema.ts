/**
 * From a JSON schema to a grammar of the JSON texts that it describes. The grammar is never wider than the schema, and
 * narrower where that is what one wants of an answer: properties come in the order of the schema and no others beside
 * them unless it says so, white space is at most one space after a comma or a colon.
 */

import type { JsonValue } from "../types.js";
import { arrayRule } from "./array-rules.js";
import { copyJson, type JsonCopy } from "./json-value.js";
import { createLanguageRules, KNOWN, RULES } from "./json-rules.js";
import { isLimited } from "./numbers.js";
import { objectRule } from "./object-rules.js";
import { createRecent } from "./recent.js";
import { createRegulars, type Regulars } from "./regular.js";
import { createWork, spend, TooManyStates, type Work } from "./work.js";
import { createRule, literal, oneOfTexts, writeRules, type Part, type Rule } from "./rules.js";
import type { Alternative } from "./schema-alternatives.js";
import { CONSTRAINTS, keywordsOf, listOf } from "./schema-keywords.js";
import { createSchemaReader } from "./schema-reader.js";
import { createReport, invalid, isObject, textOf, type Located, type UnenforcedKeyword } from "./schema-report.js";
import { readSchema, type JsonSchema, type SchemaSource } from "./schema-source.js";
import { KINDS, shapeOf, type Kind, type Shape } from "./schema-shape.js";

const MOST_RULES = 50_000;
/** Units of work for a rule, from the schema that asks for it to its text. */
const RULE = 20;

/** Characters of a schema's JSON. */
const LONGEST_KEY = 2 ** 16;
/** Languages of all schemas of a request, which often say the same. */
const REGULARS = new WeakMap<Work, Regulars>();
/** Of schemas that are a request's only ones: what others cost depends on those before them. */
const RECENT = createRecent<SchemaGrammar>(64, 2 ** 22);

export interface SchemaGrammar {
    /** GBNF. */
    readonly grammar: string;
    /** What does not constrain the texts; none if it was to be strict. */
    readonly unenforced: readonly UnenforcedKeyword[];
}

export interface SchemaGrammarOptions {
    /** Whether a keyword that cannot be enforced is an error. Default true. */
    readonly isStrict?: boolean;
    /**
     * Whether objects may have properties that the schema does not list, and values be of types that it says nothing about, as
     * JSON schemas mean it: to see what else the grammar lacks. Default false.
     */
    readonly isOpen?: boolean;
    /** What may still be done for a request that has several schemas. Default: as much as one may take. */
    readonly work?: Work;
}

/**
 * The grammar of the texts that a schema describes. Before the value there may be a space, with which texts begin in
 * many vocabularies. Takes time that grows with the size of the schema, in which an object that stands in several places
 * counts once.
 *
 * @throws EftError GRAMMAR_INVALID that names the place in the schema, for what cannot be enforced
 */
export function jsonSchemaToGbnf(
    given: JsonSchema | SchemaSource,
    { isStrict = true, isOpen = false, work: shared }: SchemaGrammarOptions = {},
): SchemaGrammar {
    const work = shared ?? createWork();
    return bounded(() => {
        const copy = copyWithin(readSchema(given), work);
        const { value: root, sizes } = copy;
        const size = isObject(root) ? (sizes.get(root) ?? 0) : 0;
        const convert = (): SchemaGrammar => convertWithin(copy, { isStrict, isOpen, work });
        // What stands in many places may be long beyond all bounds once it is written out.
        if (shared !== undefined || size > LONGEST_KEY) return convert();
        // By the text: the order of properties counts, and nobody can change it later.
        const key = `${isStrict} ${isOpen} ${JSON.stringify(root)}`;
        let made = RECENT.get(key);
        if (made === undefined) {
            made = convert();
            RECENT.set(key, made, key.length + made.grammar.length);
        }
        const { grammar, unenforced } = made;
        return { grammar, unenforced: unenforced.map((one) => ({ ...one })) };
    });
}

/**
 * Whether a value is valid, which may have properties that the schema does not list unless that says otherwise.
 *
 * @throws EftError GRAMMAR_INVALID where a strict grammar of the schema is an error, and where nobody can tell within the work
 */
export function isValidJson(given: JsonSchema, value: JsonValue): boolean {
    const work = createWork();
    return bounded(() => {
        const copy = copyWithin(given, work);
        const { judges } = createSchemaReader(copy, regularsOf(work), createReport(true, work), false);
        return judges.isValid(value, [{ schema: copy.value, at: "#" }]);
    });
}

function regularsOf(work: Work): Regulars {
    const regulars = REGULARS.get(work) ?? createRegulars(work);
    REGULARS.set(work, regulars);
    return regulars;
}

/** What is done with a schema; whatever takes too much is an error of it. */
function bounded<T>(act: () => T): T {
    try {
        return act();
    } catch (error) {
        // Nothing of a schema is left out here: there is no work left for the least of grammars.
        if (!isTooLarge(error)) throw error;
        return invalid("#", "a grammar of it would be too large");
    }
}

/** The values of a schema count, whatever they say. */
const copyWithin = (given: unknown, work: Work): JsonCopy =>
    copyJson(given, invalid, (count) => {
        spend(work, count);
    });

/** Patterns of thousands of parts overflow the stack. */
function isTooLarge(error: unknown): boolean {
    return error instanceof TooManyStates || error instanceof RangeError;
}

function convertWithin(copy: JsonCopy, { isStrict, isOpen, work }: Required<SchemaGrammarOptions>): SchemaGrammar {
    const report = createReport(isStrict, work);
    const regulars = regularsOf(work);
    const { limits, expander, objects, arrays, judges } = createSchemaReader(copy, regulars, report, isOpen);
    const languages = createLanguageRules(regulars);

    const rules = new Map<string, Rule>();
    const ids = new Map<unknown, number>();
    const pending: { rule: Rule; schemas: readonly Located[] }[] = [];

    function ruleOf(schemas: readonly Located[]): Rule {
        report.spend(RULE);
        const unique = [...new Map(schemas.map((one) => [one.schema, one])).values()].filter(
            ({ schema }) => schema !== true,
        );
        const places = unique.map(({ schema }) => {
            const id = ids.get(schema) ?? ids.size;
            ids.set(schema, id);
            return id;
        });
        const key = places.sort((a, b) => a - b).join();
        const known = rules.get(key);
        if (known !== undefined) return known;
        if (rules.size === MOST_RULES) invalid(unique[0]?.at ?? "#", `it combines to more than ${MOST_RULES} schemas`);
        const rule = createRule();
        rules.set(key, rule);
        pending.push({ rule, schemas: unique });
        return rule;
    }

    function alternativesOf(alternative: Alternative): Part[][] {
        const shape = shapeOf(alternative, isOpen, report);
        if (shape.values !== undefined) {
            const values = shape.values.filter((value) => judges.isValidFor(value, shape));
            if (values.length === 0)
                report.note(placeOf(alternative), "no value of `enum` or `const` satisfies the rest");
            return oneOfTexts(values.map((value) => textOf(value, report.spend)));
        }
        if (shape.kinds.size === 0) report.note(placeOf(alternative), "its types exclude each other");
        const isAny = alternative.length === 0 || (shape.kinds.size === KINDS.length && !isConstrained(alternative));
        if (isAny && shape.excluded.length === 0) return [[KNOWN.value as Rule]];
        const done = new Set<Part>();
        return [...shape.kinds]
            .flatMap((kind) =>
                unlessLarge(
                    () => rulesOfKind(kind, shape),
                    shape.alternative,
                    () => [[KNOWN[kind === "fraction" ? "number" : kind] as Rule]],
                ),
            )
            .filter(([part]) => {
                const isNew = part !== undefined && !done.has(part);
                if (part !== undefined) done.add(part);
                return isNew;
            });
    }

    /** What takes too many states is refused, and comes without its bounds where that is no error. */
    function unlessLarge<T>(make: () => T, schemas: readonly Located[], otherwise: () => T): T {
        try {
            return make();
        } catch (error) {
            if (!isTooLarge(error)) throw error;
            limits.refuseLarge(schemas);
            return otherwise();
        }
    }

    function rulesOfKind(kind: Kind, shape: Shape): Part[][] {
        const { alternative, excluded } = shape;
        switch (kind) {
            case "null":
                return excluded.includes(null) ? [] : [[KNOWN.null as Rule]];
            case "boolean": {
                const left = [true, false].filter((value) => !excluded.includes(value));
                return left.length === 2 ? [[KNOWN.boolean as Rule]] : left.map((value) => [literal(String(value))]);
            }
            case "string":
                return stringRules(shape);
            case "integer":
            case "fraction":
                return numberRules(shape);
            case "array":
            case "object": {
                const other = excluded.some(
                    (value) =>
                        typeof value === "object" && value !== null && Array.isArray(value) === (kind === "array"),
                );
                if (other) report.refuse(placeOf(alternative), "not", `it excludes ${kind}s`);
                if (!alternative.some(({ schema }) => CONSTRAINTS[kind].some((keyword) => keyword in schema)))
                    return [[KNOWN[kind] as Rule]];
                const parts = { regulars, objects, arrays, report, languages, ruleOf, isNever, oppositeOf, valuesOf };
                return [[kind === "array" ? arrayRule(alternative, parts) : objectRule(alternative, parts)]];
            }
        }
    }

    function stringRules(shape: Shape): Part[][] {
        const { min, max, language } = limits.stringLimits(shape);
        if (max !== undefined && min > max) {
            report.note(placeOf(shape.alternative), "`minLength` is more than `maxLength`");
            return [];
        }
        const all = limits.stringLanguage(shape);
        if (all === undefined) return [[KNOWN.string as Rule]];
        if (language !== undefined) return [[languages.strings(all)]];
        return [[createRule([`"\\"" char{${min},${max ?? ""}} "\\""`])]];
    }

    function numberRules(shape: Shape): Part[][] {
        const own = limits.numberLimits(shape);
        if (!isLimited(own)) return [[(own.isInteger ? KNOWN.integer : KNOWN.number) as Rule]];
        const language = limits.numberLanguage(shape);
        if (regulars.isEmpty(language))
            report.note(placeOf(shape.alternative), "its bounds leave no number of up to 15 digits");
        return [[languages.texts(language)]];
    }

    function oppositeOf({ schema, at }: Located): Located | undefined {
        const opposite = { not: schema };
        try {
            expander.expand([{ schema: opposite, at }]);
        } catch {
            return undefined;
        }
        return { schema: opposite, at };
    }

    function isNever(schemas: readonly Located[]): boolean {
        return expander.expand(schemas).every((alternative) => judges.isNever(alternative));
    }

    function valuesOf(schemas: readonly Located[]): readonly unknown[] | undefined {
        const found = expander.expand(schemas).map((alternative) => {
            const shape = shapeOf(alternative, isOpen, report);
            const isFew = [...shape.kinds].every((kind) => kind === "boolean" || kind === "null");
            const values = shape.values ?? (isFew ? [null, true, false] : undefined);
            return values?.filter((value) => judges.isValidFor(value, shape));
        });
        if (found.some((values) => values === undefined)) return undefined;
        return [
            ...new Map(
                found.flatMap((values = []) => values.map((value) => [textOf(value, report.spend), value])),
            ).values(),
        ];
    }

    const start = createRule(["space", ruleOf([{ schema: copy.value, at: "#" }])]);
    // It grows while it is walked through.
    for (const { rule, schemas } of pending) {
        rule.alternatives = unlessLarge(
            () =>
                branchesOf(schemas)?.map((one) => [ruleOf([one])]) ?? expander.expand(schemas).flatMap(alternativesOf),
            schemas,
            () => [[KNOWN.value as Rule]],
        );
    }
    const lines = writeRules(start, report.spend);
    if (lines === undefined) {
        const { place = "#", reason = "no text satisfies it" } = report.notes[0] ?? {};
        return invalid(place, reason);
    }
    const shared = Object.entries(RULES).map(([name, body]) => `${name} ::= ${body}`);
    return { grammar: [...lines, ...shared, ""].join("\n"), unenforced: report.unenforced };
}

/** The schemas of which one holds, where nothing else is said; undefined: something is. */
function branchesOf([only, ...others]: readonly Located[]): readonly Located[] | undefined {
    if (only === undefined || others.length > 0 || !isObject(only.schema)) return undefined;
    const [keyword, ...more] = keywordsOf(only.schema);
    return keyword === "anyOf" && more.length === 0 ? listOf(only.schema, keyword, only.at) : undefined;
}

function placeOf(alternative: Alternative): string {
    return alternative.at(-1)?.at ?? "#";
}

/** Whether a keyword says something about values of a type. */
function isConstrained(alternative: Alternative): boolean {
    const keywords = Object.values(CONSTRAINTS).flat();
    return alternative.some(({ schema }) => keywords.some((keyword) => keyword in schema));
}
