/** What schemas that hold together say about values of each type. */

import { show } from "../options.js";
import { FORMAT_OF_PATTERN, FORMATS, SAID_BY_PATTERN } from "./formats.js";
import { PatternRefused, readPattern } from "./pattern.js";
import { isPossibleFactor, nextDouble, numberLanguage, UNLIMITED, type NumberLimits } from "./numbers.js";
import type { Regular, Regulars } from "./regular.js";
import { TooManyStates } from "./work.js";
import { plainNot, type Alternative } from "./schema-alternatives.js";
import { CONSTRAINTS, typesOf } from "./schema-keywords.js";
import { countOf, invalid, isList, isObject, keyOf, type Fields, type Located, type Report } from "./schema-report.js";

/** Types that have no value in common. */
export const KINDS = ["string", "integer", "fraction", "boolean", "null", "array", "object"] as const;
export type Kind = (typeof KINDS)[number];

export interface Shape {
    readonly alternative: Alternative;
    readonly kinds: ReadonlySet<Kind>;
    /** The only ones; undefined: any. They need not be valid otherwise. */
    readonly values?: readonly unknown[];
    /** Whether a value is one of those, if there are any. */
    readonly isListed: (value: unknown) => boolean;
    readonly excluded: readonly unknown[];
    readonly isExcluded: (value: unknown) => boolean;
}

/** Units of work for a schema, or a value that one lists. */
const SHAPE = 10;
/** Of a pattern, besides its characters. */
const PATTERN = 200;

const KINDS_OF_TYPE: Readonly<Record<string, readonly Kind[]>> = { number: ["integer", "fraction"] };
const kindsOfType = (type: string): readonly Kind[] => KINDS_OF_TYPE[type] ?? [type as Kind];

/** Strings: a grammar of longer ones is too large. */
export const LONGEST_STRING = 2000;

export function kindOf(value: unknown): Kind {
    if (value === null) return "null";
    if (isList(value)) return "array";
    if (typeof value === "number") return Number.isInteger(value) ? "integer" : "fraction";
    return typeof value as Kind;
}

/** @param isOpen - whether a schema without a type says nothing about values of types that its keywords are not about */
export function shapeOf(alternative: Alternative, isOpen: boolean, { spend }: Report): Shape {
    spend(SHAPE * (alternative.length + 1));
    let kinds: ReadonlySet<Kind> | undefined;
    let values: ReadonlyMap<string, unknown> | undefined;
    const excluded: unknown[] = [];
    const keep = (allowed: readonly Kind[]): void => {
        kinds = new Set(allowed.filter((kind) => kinds?.has(kind) ?? true));
    };
    const keepValues = (allowed: readonly unknown[]): void => {
        spend(SHAPE * allowed.length);
        const known = values;
        const keyed = allowed.map((value) => [keyOf(value, spend), value] as const);
        values = new Map(keyed.filter(([key]) => known?.has(key) ?? true));
    };
    for (const { schema, at } of alternative) {
        const types = typesOf(schema, at);
        if (types !== undefined) keep(types.flatMap(kindsOfType));
        if (isList(schema.enum)) keepValues(schema.enum);
        if ("const" in schema) keepValues([schema.const]);
        const not = plainNot(schema);
        if (not === undefined) continue;
        const others = typesOf(not, at);
        if (others !== undefined) {
            const lost = new Set(others.flatMap(kindsOfType));
            keep(KINDS.filter((kind) => !lost.has(kind)));
        }
        if (isList(not.enum)) for (const value of not.enum) excluded.push(value);
        if ("const" in not) excluded.push(not.const);
        if ("pattern" in not) keep(["string"]);
    }
    if (kinds === undefined && values === undefined && !isOpen) {
        const implied = impliedTypes(alternative).flatMap(kindsOfType);
        if (implied.length > 0) kinds = new Set(implied);
    }
    spend(SHAPE * excluded.length);
    const keys = new Set(excluded.map((value) => keyOf(value, spend)));
    const isExcluded = (value: unknown): boolean => keys.size > 0 && keys.has(keyOf(value, spend));
    const listed = values;
    const isListed = (value: unknown): boolean => listed?.has(keyOf(value, spend)) ?? true;
    return {
        ...{ alternative, kinds: kinds ?? new Set(KINDS), excluded, isExcluded, isListed },
        ...(listed && { values: [...listed.values()] }),
    };
}

/** The types that keywords are about. */
export function impliedTypes(alternative: Alternative): readonly string[] {
    return Object.entries(CONSTRAINTS)
        .filter(([, keywords]) => alternative.some(({ schema }) => keywords.some((keyword) => keyword in schema)))
        .map(([type]) => type);
}

export interface StringLimits {
    readonly min: number;
    /** undefined: no bound */
    readonly max: number | undefined;
    /** What the strings are besides; undefined: any. */
    readonly language: Regular | undefined;
}

/** Keywords of which grammars can be too large, the likeliest first. */
const LARGE = [
    ...["pattern", "format", "patternProperties", "propertyNames", "multipleOf", "maxLength", "minLength"],
    ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "oneOf", "anyOf", "allOf", "if"],
    ...["additionalProperties", "properties", "required", "items", "prefixItems", "not"],
];

/** Reads what schemas say about strings and numbers. */
export function createLimits(regulars: Regulars, report: Report) {
    const patterns = new Map<string, Regular | PatternRefused>();
    const { both, not, repeat, any, text } = regulars;

    function patternLanguage(source: string): Regular | PatternRefused {
        let found = patterns.get(source);
        if (found === undefined) {
            report.spend(PATTERN + source.length);
            try {
                found = readPattern(regulars, source);
            } catch (error) {
                if (error instanceof TooManyStates) found = new PatternRefused("a grammar of it would be too large");
                else if (error instanceof PatternRefused) found = error;
                else throw error;
            }
            patterns.set(source, found);
        }
        return found;
    }

    /** @returns undefined: it is refused */
    function pattern(source: unknown, at: string, keyword = "pattern"): Regular | undefined {
        if (typeof source !== "string") return invalid(at, `\`${keyword}\` is a regular expression in a text`);
        const language = patternLanguage(source);
        if (!(language instanceof PatternRefused)) return language;
        report.refuse(at, keyword, `${language.message} (${show(source)})`);
        return undefined;
    }

    function formatLanguage(name: string, isWide: boolean): Regular | undefined {
        const known = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
        if (known === undefined) return undefined;
        if (isWide && known.wide === undefined) return regulars.all;
        const language = patternLanguage(`^(?:${(isWide ? known.wide : undefined) ?? known.pattern})$`);
        if (language instanceof PatternRefused) throw language;
        return known.maxLength === undefined || isWide ? language : both(language, repeat(any, 0, known.maxLength));
    }

    function stringLimits({ alternative, excluded }: Shape, isWide = false): StringLimits {
        let min = 0;
        let max: number | undefined;
        const languages: Regular[] = [];
        for (const atom of alternative) {
            const { schema, at } = atom;
            min = Math.max(min, countOf(report, atom, "minLength", LONGEST_STRING) ?? 0);
            const most = countOf(report, atom, "maxLength", LONGEST_STRING);
            if (most !== undefined) max = Math.min(max ?? most, most);
            languages.push(...ofStrings(schema, at, isWide));
        }
        const texts = excluded.filter((value) => typeof value === "string");
        if (texts.length > 0) languages.push(not(regulars.either(...texts.map(text))));
        return { min, max, language: languages.length === 0 ? undefined : both(...languages) };
    }

    function ofStrings(schema: Fields, at: string, isWide: boolean): Regular[] {
        const { pattern: source, allOf, format } = schema;
        const opposite = plainNot(schema);
        const found: (Regular | undefined)[] = [];
        if (format !== undefined) {
            const own = typeof format === "string" ? formatLanguage(format, isWide) : undefined;
            const isSaid = (source ?? allOf) !== undefined && SAID_BY_PATTERN.some((name) => name === format);
            if (own === undefined && !isSaid) {
                report.refuse(at, "format", `it can be ${Object.keys(FORMATS).join(", ")}, not ${show(format)}`);
            }
            found.push(own);
        }
        if (source !== undefined) {
            const said = typeof source === "string" ? FORMAT_OF_PATTERN.get(source) : undefined;
            found.push(said === undefined ? pattern(source, at) : formatLanguage(said, isWide));
        }
        if (opposite !== undefined && "pattern" in opposite) {
            const own = pattern(opposite.pattern, `${at}/not`);
            if (own !== undefined) found.push(not(own));
        }
        return found.filter((one) => one !== undefined);
    }

    /** All of what limits strings, lengths included; undefined: nothing. */
    function stringLanguage(shape: Shape, isWide = false): Regular | undefined {
        const { min, max, language } = stringLimits(shape, isWide);
        if (min === 0 && max === undefined) return language;
        const length = repeat(any, min, max ?? Infinity);
        if (max !== undefined && min > max) return regulars.never;
        return language === undefined ? length : both(length, language);
    }

    function numberLimits({ alternative, kinds, excluded }: Shape): NumberLimits {
        let { min, max } = UNLIMITED;
        const factors: number[] = [];
        for (const { schema, at } of alternative) {
            const bound = (keyword: string): number | undefined => {
                const { [keyword]: value } = schema;
                return value === undefined || typeof value === "number"
                    ? value
                    : invalid(at, `\`${keyword}\` is a number`);
            };
            min = Math.max(min, bound("minimum") ?? min, nextDouble(bound("exclusiveMinimum") ?? -Infinity, 1));
            max = Math.min(max, bound("maximum") ?? max, nextDouble(bound("exclusiveMaximum") ?? Infinity, -1));
            const factor = bound("multipleOf");
            if (factor === undefined) continue;
            if (factor <= 0) invalid(at, "`multipleOf` is more than 0");
            if (isPossibleFactor(factor)) factors.push(factor);
            else report.refuse(at, "multipleOf", `it can be up to three digits and zeros, not ${factor}`);
        }
        return {
            ...{ min, max, factors, excluded: excluded.filter((value) => typeof value === "number") },
            ...{ isInteger: !kinds.has("fraction"), isFraction: !kinds.has("integer") },
        };
    }

    /** Refuses what makes a grammar too large, by the keyword that is likeliest to. */
    function refuseLarge(alternative: readonly Located[]): void {
        const has = ({ schema }: Located, keyword: string): boolean => isObject(schema) && keyword in schema;
        const keyword = LARGE.find((one) => alternative.some((atom) => has(atom, one))) ?? "type";
        const atom = alternative.find((one) => has(one, keyword)) ?? alternative.at(-1);
        report.refuse(atom?.at ?? "#", keyword, "a grammar of it would be too large");
    }

    const ofNumbers = (shape: Shape): Regular => numberLanguage(regulars, numberLimits(shape));
    const common = { pattern, stringLimits, numberLimits, numberLanguage: ofNumbers, refuseLarge };
    return {
        ...common,
        stringLanguage: (shape: Shape) => stringLanguage(shape),
        /** With all texts that may be of a format, of which fewer come. */
        wide: { ...common, stringLanguage: (shape: Shape) => stringLanguage(shape, true) },
    };
}

export type Limits = Omit<ReturnType<typeof createLimits>, "wide">;
