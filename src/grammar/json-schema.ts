/**
 * From a JSON schema to a grammar of the JSON texts that it describes. The grammar is never wider than the schema, and
 * narrower where that is what one wants of an answer: properties come in the order of the schema and no others beside
 * them, white space is at most one space after a comma or a colon.
 */

import { EftError } from "../errors.js";
import { LONGEST_GRAMMAR, MOST_REPETITIONS } from "./gbnf.js";
import { integerRange, LARGEST_INTEGER } from "./integer-range.js";
import { copyJson, escapePointer } from "./json-value.js";

/** A JSON schema, of which the following can be enforced: see docs/structured-output.md. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

const TYPES = ["string", "number", "integer", "boolean", "null", "array", "object"] as const;
type Type = (typeof TYPES)[number];

/** Keywords that say something to people, not about the text. */
const ANNOTATIONS = new Set(
    "title description default examples $schema $id $comment $defs definitions deprecated readOnly writeOnly".split(
        " ",
    ),
);
const CONSTRAINTS: Readonly<Record<string, readonly string[]>> = {
    string: ["minLength", "maxLength", "format"],
    integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
    array: ["items", "minItems", "maxItems"],
    object: ["properties", "required", "additionalProperties"],
};
const ENFORCEABLE = ["type", "enum", "const", "anyOf", "oneOf", "$ref", ...Object.values(CONSTRAINTS).flat()];

/** Schemas within schemas, not counting those behind a `$ref`. */
const DEEPEST = 100;
/** Half of the repetitions that a grammar may have: an item that is a group counts twice. */
const MOST_ITEMS = MOST_REPETITIONS / 2;

/** Rules that others refer to. */
const RULES: Readonly<Record<string, string>> = {
    space: `" "?`,
    string: String.raw`"\"" char* "\""`,
    // No half of a surrogate pair: minLength and maxLength count characters.
    char: String.raw`[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" ([0-9a-cefA-CEF] hex | [dD] [0-7]) hex hex)`,
    hex: "[0-9a-fA-F]",
    integer: `"-"? ("0" | [1-9] [0-9]{0,14})`,
    number: `integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?`,
    boolean: `"true" | "false"`,
    null: `"null"`,
    value: "string | number | boolean | null | array | object",
    array: `"[" (value ("," space value)*)? "]"`,
    object: `"{" (pair ("," space pair)*)? "}"`,
    pair: `string ":" space value`,
    year: "[0-9]{4}",
    leap: `[0-9]{2} ("0" [48] | [2468] [048] | [13579] [26]) | ([02468] [048] | [13579] [26]) "00"`,
    date:
        `year "-" (("0" [13578] | "1" [02]) "-" (day | "3" [01]) | ("0" [469] | "11") "-" (day | "30") | ` +
        `"02-" ("0" [1-9] | "1" [0-9] | "2" [0-8])) | leap "-02-29"`,
    day: `"0" [1-9] | [12] [0-9]`,
    clock: `([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]`,
    time: `clock ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [-+] clock)`,
    uuid: `hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}`,
};
const FORMATS: Readonly<Record<string, string>> = {
    date: String.raw`"\"" date "\""`,
    time: String.raw`"\"" time "\""`,
    "date-time": String.raw`"\"" date "T" time "\""`,
    uuid: String.raw`"\"" uuid "\""`,
};

/**
 * The grammar of the texts that a schema describes. Before the value there may be a space, with which texts begin in
 * many vocabularies. Takes time that grows with the size of the schema, in which an object that stands in several places
 * counts once.
 *
 * @throws EftError GRAMMAR_INVALID that names the place in the schema, for what cannot be enforced
 */
export function jsonSchemaToGbnf(given: JsonSchema): string {
    const { value: schema, shared: sharedObjects, sizes } = copyJson(given, invalid);
    const rules: string[] = [];
    const references = new Map<string, string>();
    /** Schemas that `$ref` leads to, and the names of their rules. */
    const pending: { readonly name: string; readonly target: unknown; readonly place: string }[] = [];
    const converted = new Map<object, string>();

    function addRule(body: string): string {
        const name = `rule-${rules.length + 1}`;
        rules.push(`${name} ::= ${body}`);
        return name;
    }

    /** @returns the name of a rule, or a group */
    function convert(value: unknown, place: string, depth: number): string {
        if (value === true) return "value";
        if (value === false) return invalid(place, "it is `false`, which no text satisfies");
        if (!isObject(value)) return invalid(place, "a schema is an object, `true` or `false`");
        const known = converted.get(value);
        if (known !== undefined) return known;
        const body = convertSchema(value, place, depth);
        const result = sharedObjects.has(value) && !/^[a-z\d-]+$/.test(body) ? addRule(body) : body;
        converted.set(value, result);
        return result;
    }

    function convertSchema(value: Fields, place: string, depth: number): string {
        if (depth > DEEPEST) return invalid(place, `it is nested more than ${DEEPEST} deep`);
        for (const keyword of Object.keys(value)) {
            if (ENFORCEABLE.includes(keyword) || ANNOTATIONS.has(keyword)) continue;
            invalid(place, `\`${keyword}\` cannot be enforced; what can be is ${ENFORCEABLE.join(", ")}`);
        }
        const { enum: values, anyOf, oneOf, $ref, type } = value;
        if ($ref !== undefined) {
            onlyBeside(value, place, "$ref", []);
            return refer($ref, place);
        }
        if ("const" in value || values !== undefined) {
            onlyBeside(value, place, values === undefined ? "const" : "enum", ["type"]);
            const size = sizes.get(isList(values) ? values : value) ?? 0;
            if (size > LONGEST_GRAMMAR)
                return invalid(place, `its values are longer than ${LONGEST_GRAMMAR} characters`);
            return oneOfValues("const" in value ? [value.const] : values, typesOf(type, place), place);
        }
        if (anyOf !== undefined || oneOf !== undefined) {
            const keyword = anyOf === undefined ? "oneOf" : "anyOf";
            onlyBeside(value, place, keyword, []);
            const schemas = anyOf ?? oneOf;
            if (!isList(schemas) || schemas.length === 0) return invalid(place, `\`${keyword}\` is a list of schemas`);
            return group(schemas.map((one, index) => convert(one, `${place}/${keyword}/${index}`, depth + 1)));
        }
        const implied = Object.entries(CONSTRAINTS).find(([, keywords]) =>
            keywords.some((keyword) => keyword in value),
        );
        const types = typesOf(type ?? implied?.[0], place);
        if (types === undefined) return "value";
        return group(types.map((one) => convertType(one, value, place, depth)));
    }

    function convertType(type: Type, schema: Fields, place: string, depth: number): string {
        if (type === "string") return convertString(schema, place);
        if (type === "integer" || type === "number") return convertNumber(type, schema, place);
        if (type === "array") return convertArray(schema, place, depth);
        return type === "object" ? convertObject(schema, place, depth) : type;
    }

    function convertString({ format, ...schema }: Fields, place: string): string {
        const length = bounds(schema, "minLength", "maxLength", place);
        if (format === undefined) return length === undefined ? "string" : addRule(String.raw`"\"" char${length} "\""`);
        const rule = typeof format === "string" && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
        if (rule === undefined) {
            return invalid(place, `\`format\` can be ${Object.keys(FORMATS).join(", ")}, not ${show(format)}`);
        }
        if (length !== undefined) invalid(place, "`format` and a length exclude each other");
        return addRule(rule);
    }

    function convertNumber(type: "integer" | "number", schema: Fields, place: string): string {
        const given = (CONSTRAINTS.integer ?? []).filter((keyword) => keyword in schema);
        if (given.length === 0) return type;
        if (type === "number") return invalid(place, `\`${given[0] ?? ""}\` can be enforced for integers only`);
        const bound = (keyword: string, missing: number): number => {
            const { [keyword]: value = missing } = schema;
            return typeof value === "number" ? value : invalid(place, `\`${keyword}\` is a number`);
        };
        const min = Math.max(
            Math.ceil(bound("minimum", -LARGEST_INTEGER)),
            Math.floor(bound("exclusiveMinimum", -LARGEST_INTEGER - 1)) + 1,
            -LARGEST_INTEGER,
        );
        const max = Math.min(
            Math.floor(bound("maximum", LARGEST_INTEGER)),
            Math.ceil(bound("exclusiveMaximum", LARGEST_INTEGER + 1)) - 1,
            LARGEST_INTEGER,
        );
        if (min > max) return invalid(place, "its bounds leave no integer of up to 15 digits");
        return addRule(integerRange(min, max));
    }

    function convertArray(schema: Fields, place: string, depth: number): string {
        const { items = true, minItems = 0, maxItems } = schema;
        bounds(schema, "minItems", "maxItems", place, MOST_ITEMS);
        if (maxItems === 0) return addRule(`"[]"`);
        const item = convert(items, `${place}/items`, depth + 1);
        const [min, max] = [Math.max(0, Number(minItems) - 1), maxItems === undefined ? "" : Number(maxItems) - 1];
        const list = `${item} ("," space ${item}){${min},${max}}`;
        return addRule(`"[" ${minItems === 0 ? `(${list})?` : list} "]"`);
    }

    function convertObject(schema: Fields, place: string, depth: number): string {
        const { properties = {}, required = [], additionalProperties = true } = schema;
        if (!isObject(properties)) return invalid(place, "`properties` is an object of schemas");
        if (!isList(required) || !required.every((name) => typeof name === "string")) {
            return invalid(place, "`required` is a list of names");
        }
        const isRequired = new Set<unknown>(required);
        const missing = required.find((name) => !Object.hasOwn(properties, name));
        if (missing !== undefined) invalid(place, `\`required\` names "${missing}", which is not in \`properties\``);
        const fields = Object.entries(properties).map(([name, property]) => ({
            isRequired: isRequired.has(name),
            rule: addRule(
                `${literal(JSON.stringify(name))} ":" space ` +
                    convert(property, `${place}/properties/${escapePointer(name)}`, depth + 1),
            ),
        }));
        if (fields.length === 0) {
            if (additionalProperties === true) return "object";
            if (additionalProperties === false) return addRule(`"{}"`);
            const pair = `string ":" space ${convert(additionalProperties, `${place}/additionalProperties`, depth + 1)}`;
            return addRule(`"{" (${pair} ("," space ${pair})*)? "}"`);
        }
        // After a property: those behind it, each with a comma before it.
        const behind = [""];
        for (const field of [...fields].reverse()) {
            const next = `"," space ${field.rule}`;
            behind.push(addRule(sequence(field.isRequired ? next : `(${next})?`, behind.at(-1))));
        }
        behind.reverse();
        // The first property that is there: any up to the first that has to be.
        const until = fields.findIndex((field) => field.isRequired);
        const first = fields
            .slice(0, until < 0 ? undefined : until + 1)
            .map(({ rule }, index) => sequence(rule, behind[index + 1]));
        return addRule(`"{" (${first.join(" | ")})${until < 0 ? "?" : ""} "}"`);
    }

    function refer(reference: unknown, place: string): string {
        if (typeof reference !== "string" || !/^#(\/|$)/.test(reference)) {
            return invalid(place, "`$ref` can lead to a place in the same schema only, such as #/$defs/name");
        }
        const known = references.get(reference);
        if (known !== undefined) return known;
        let target: unknown = schema;
        for (const step of decode(reference).split("/").slice(1)) {
            const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
            target =
                (isObject(target) || isList(target)) && Object.hasOwn(target, key)
                    ? (target as Fields)[key]
                    : undefined;
        }
        if (target === undefined) return invalid(place, `\`$ref\` leads to ${reference}, where nothing is`);
        const name = `ref-${references.size + 1}`;
        references.set(reference, name);
        pending.push({ name, target, place: reference });
        return name;
    }

    const root = convert(schema, "#", 0);
    // It grows while it is walked through.
    for (const { name, target, place } of pending) rules.push(`${name} ::= ${convert(target, place, 0)}`);
    const shared = Object.entries(RULES).map(([name, body]) => `${name} ::= ${body}`);
    return [`root ::= space ${root}`, ...rules, ...shared, ""].join("\n");
}

type Fields = Readonly<Record<string, unknown>>;

function invalid(place: string, reason: string): never {
    const shown = place.length > 200 ? `${place.slice(0, 200)}...` : place;
    throw new EftError("GRAMMAR_INVALID", `The JSON schema cannot be enforced at ${shown}: ${reason}.`);
}

function isObject(value: unknown): value is Fields {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: unknown): value is readonly unknown[] {
    return Array.isArray(value);
}

/** Without `%20` and the like, where it has them. */
function decode(reference: string): string {
    try {
        return decodeURIComponent(reference);
    } catch {
        return reference;
    }
}

function sequence(...parts: readonly (string | undefined)[]): string {
    return parts.filter(Boolean).join(" ");
}

function group(alternatives: readonly string[]): string {
    const different = [...new Set(alternatives)];
    return different.length === 1 ? (different[0] ?? "") : `(${different.join(" | ")})`;
}

/** For messages, which need not tell all of a large value. */
function show(value: unknown): string {
    if (isList(value)) return "a list";
    if (isObject(value)) return "an object";
    const text = JSON.stringify(value);
    return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

/** A text as GBNF writes it. */
function literal(text: string): string {
    return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

function onlyBeside(schema: Fields, place: string, keyword: string, others: readonly string[]): void {
    const [other] = Object.keys(schema).filter((key) => ![keyword, ...others].includes(key) && !ANNOTATIONS.has(key));
    if (other !== undefined) invalid(place, `\`${keyword}\` and \`${other}\` cannot be enforced together`);
}

function typesOf(type: unknown, place: string): readonly Type[] | undefined {
    if (type === undefined) return undefined;
    const names = isList(type) ? type : [type];
    const types = names.map((name) => TYPES.find((known) => known === name) ?? unknownType(name));
    if (types.length === 0) return invalid(place, "`type` names no type");
    // Every integer is a number.
    return types.includes("number") ? types.filter((name) => name !== "integer") : types;

    function unknownType(name: unknown): never {
        return invalid(place, `\`type\` can be ${TYPES.join(", ")}, not ${show(name)}`);
    }
}

function oneOfValues(values: unknown, types: readonly Type[] | undefined, place: string): string {
    if (!isList(values) || values.length === 0) return invalid(place, "`enum` is a list of values");
    const fitting = values.filter((value) => types === undefined || types.some((type) => isOfType(value, type)));
    if (fitting.length === 0) return invalid(place, "no value of `enum` or `const` is of its `type`");
    return group(fitting.map((value) => literal(JSON.stringify(value))));
}

function isOfType(value: unknown, type: Type): boolean {
    if (type === "null") return value === null;
    if (type === "integer") return Number.isInteger(value);
    if (type === "array" || type === "object") return type === "array" ? isList(value) : isObject(value);
    return typeof value === type;
}

/** A number of repetitions as GBNF writes it; undefined where there are no bounds. */
function bounds(
    schema: Fields,
    least: string,
    most: string,
    place: string,
    largest = MOST_REPETITIONS,
): string | undefined {
    const { [least]: min, [most]: max } = schema;
    for (const [keyword, value] of [
        [least, min],
        [most, max],
    ] as const) {
        const isCount = Number.isInteger(value) && Number(value) >= 0 && Number(value) <= largest;
        if (value !== undefined && !isCount) {
            invalid(place, `\`${keyword}\` can be a whole number from 0 to ${largest}, not ${show(value)}`);
        }
    }
    if (min === undefined && max === undefined) return undefined;
    if (max !== undefined && Number(min ?? 0) > Number(max)) invalid(place, `\`${least}\` is more than \`${most}\``);
    return `{${Number(min ?? 0)},${max === undefined ? "" : Number(max)}}`;
}
