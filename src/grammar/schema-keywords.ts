/** The keywords of JSON schemas that mean something here. */

import { show } from "../options.js";
import { LONGEST_GRAMMAR } from "./gbnf.js";
import { escapePointer } from "./json-value.js";
import { invalid, isList, isObject, type Fields, type Report } from "./schema-report.js";

export const TYPES = ["string", "number", "integer", "boolean", "null", "array", "object"] as const;
export type Type = (typeof TYPES)[number];

/** Keywords that say something to people, or where something is, not about the text. */
export const ANNOTATIONS: ReadonlySet<string> = new Set(
    (
        "title description default examples example deprecated readOnly writeOnly $comment $schema $vocabulary $id id $anchor " +
        "$dynamicAnchor $defs definitions contentEncoding contentMediaType contentSchema"
    ).split(" "),
);

/** By the type that they constrain. */
export const CONSTRAINTS = {
    string: ["minLength", "maxLength", "pattern", "format"],
    number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
    array: (
        "prefixItems items additionalItems minItems maxItems uniqueItems contains minContains maxContains " +
        "unevaluatedItems"
    ).split(" "),
    object: (
        "properties required additionalProperties patternProperties propertyNames minProperties maxProperties " +
        "dependentRequired dependentSchemas dependencies unevaluatedProperties"
    ).split(" "),
} as const satisfies Record<string, readonly string[]>;

/** Keywords that hold other schemas for the same value. */
export const APPLICATORS = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref", "$dynamicRef"] as const;

const ENFORCEABLE: readonly string[] = [
    ...["type", "enum", "const", ...APPLICATORS],
    ...Object.values(CONSTRAINTS).flat(),
];

const NOT_ENFORCEABLE = `it is not among ${ENFORCEABLE.join(", ")}`;

/** The keywords of a schema that are no annotations. */
export function keywordsOf(schema: Fields): string[] {
    return Object.keys(schema).filter((keyword) => !ANNOTATIONS.has(keyword) && !keyword.startsWith("x-"));
}

/** @param sizes - about how long the JSON texts of objects and lists are */
export function checkKeywords(schema: Fields, at: string, report: Report, sizes: ReadonlyMap<object, number>): void {
    for (const keyword of keywordsOf(schema)) {
        if (ENFORCEABLE.includes(keyword)) continue;
        report.refuse(at, keyword, NOT_ENFORCEABLE);
    }
    const { enum: values, const: constant } = schema;
    for (const value of [values, constant]) {
        const size = typeof value === "object" && value !== null ? (sizes.get(value) ?? 0) : 0;
        if (size > LONGEST_GRAMMAR) invalid(at, `its values are longer than ${LONGEST_GRAMMAR} characters`);
    }
    if (values !== undefined && (!isList(values) || values.length === 0)) invalid(at, "`enum` is a list of values");
    typesOf(schema, at);
}

/** @returns undefined: any */
export function typesOf({ type }: Fields, at: string): readonly Type[] | undefined {
    if (type === undefined) return undefined;
    // Each type is named once, so that none is looked at often.
    if (isList(type) && type.length > TYPES.length) return invalid(at, "`type` names a type twice");
    const types = (isList(type) ? type : [type]).map((name) => TYPES.find((known) => known === name) ?? unknown(name));
    return types.length === 0 ? invalid(at, "`type` names no type") : types;

    function unknown(name: unknown): never {
        return invalid(at, `\`type\` can be ${TYPES.join(", ")}, not ${show(name)}`);
    }
}

/** The schemas that a keyword lists. */
export function listOf(schema: Fields, keyword: string, at: string): readonly { schema: unknown; at: string }[] {
    const value = schema[keyword];
    if (value === undefined) return [];
    if (!isList(value) || value.length === 0) return invalid(at, `\`${keyword}\` is a list of schemas`);
    return value.map((one, index) => ({ schema: one, at: `${at}/${keyword}/${index}` }));
}

/** The schemas that a keyword gives by name. */
export function mapOf(
    schema: Fields,
    keyword: string,
    at: string,
): readonly { name: string; schema: unknown; at: string }[] {
    const value = schema[keyword];
    if (value === undefined) return [];
    if (!isObject(value)) return invalid(at, `\`${keyword}\` is an object of schemas`);
    return Object.entries(value).map(([name, one]) => ({
        ...{ name, schema: one },
        at: `${at}/${keyword}/${escapePointer(name)}`,
    }));
}

/** The names that a keyword lists. */
export function namesOf(value: unknown, keyword: string, at: string): readonly string[] {
    if (value === undefined) return [];
    if (isList(value) && value.every((name) => typeof name === "string")) return value;
    return invalid(at, `\`${keyword}\` is a list of names`);
}
