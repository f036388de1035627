/** The opposite of a JSON schema, as another one. */

import { keywordsOf } from "./schema-keywords.js";
import type { Resolve } from "./schema-references.js";
import { isList, isObject, type Fields, type Located } from "./schema-report.js";

/** Why a schema has no opposite that can be enforced: the keyword. */
export class NoOpposite extends Error {
    constructor(readonly keyword: string) {
        super(`the opposite of \`${keyword}\` cannot be enforced`);
    }
}

/**
 * Makes of schemas what is valid exactly where they are not; throws {@link NoOpposite} where that cannot be said.
 *
 * @param resolve - finds what a reference of a schema leads to
 */
export function createNegation(resolve: Resolve): (given: Located) => unknown {
    /** What stands in several places has one opposite. */
    const known = new Map<object, unknown>();

    function negate({ schema, at }: Located): unknown {
        if (typeof schema === "boolean") return !schema;
        if (!isObject(schema)) return { allOf: [schema] };
        if (known.has(schema)) return known.get(schema);
        const alternatives = keywordsOf(schema).flatMap((keyword) => opposites(keyword, schema, at));
        const result =
            alternatives.length === 1 ? alternatives[0] : alternatives.length === 0 ? false : { anyOf: alternatives };
        known.set(schema, result);
        return result;
    }

    /** A schema for each way in which a keyword may be violated. */
    function opposites(keyword: string, schema: Fields, at: string): unknown[] {
        const value = schema[keyword];
        const count = typeof value === "number" ? value : 0;
        const list = isList(value) ? value : [];
        const not = (one: unknown): unknown => negate({ schema: one, at: `${at}/${keyword}` });
        switch (keyword) {
            case "type":
            case "enum":
            case "const":
                // Those are taken as they are.
                return [{ not: { [keyword]: value } }];
            case "pattern":
                return [{ type: "string", not: { pattern: value } }];
            case "minimum":
                return [{ type: "number", exclusiveMaximum: value }];
            case "maximum":
                return [{ type: "number", exclusiveMinimum: value }];
            case "exclusiveMinimum":
                return [{ type: "number", maximum: value }];
            case "exclusiveMaximum":
                return [{ type: "number", minimum: value }];
            case "minLength":
            case "minItems":
            case "minProperties":
                return count > 0 ? [{ type: typeOf(keyword), [keyword.replace("min", "max")]: count - 1 }] : [];
            case "maxLength":
            case "maxItems":
            case "maxProperties":
                return [{ type: typeOf(keyword), [keyword.replace("max", "min")]: count + 1 }];
            case "required":
                return list.map((name) => ({ type: "object", properties: { [String(name)]: false } }));
            case "properties":
                return Object.entries(isObject(value) ? value : {}).map(([name, property]) => ({
                    ...{ type: "object", required: [name], properties: { [name]: not(property) } },
                }));
            case "prefixItems":
                return list.map((one, index) => ({
                    ...{ type: "array", minItems: index + 1 },
                    prefixItems: [...new Array<boolean>(index).fill(true), not(one)],
                }));
            case "items":
                if (isList(value) || "prefixItems" in schema) throw new NoOpposite(keyword);
                return [{ type: "array", contains: not(value) }];
            case "contains":
                if ("minContains" in schema || "maxContains" in schema) throw new NoOpposite("minContains");
                return [{ type: "array", items: not(value) }];
            case "allOf":
                return list.map((one) => not(one));
            case "anyOf":
                return [{ allOf: list.map((one) => not(one)) }];
            case "not":
                return [value];
            case "$ref":
            case "$dynamicRef":
                return [{ not: resolve(schema, keyword, at).schema }];
            default:
                throw new NoOpposite(keyword);
        }
    }

    return negate;
}

function typeOf(keyword: string): string {
    return keyword.endsWith("Length") ? "string" : keyword.endsWith("Items") ? "array" : "object";
}
