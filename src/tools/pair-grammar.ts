/** The texts of arguments that are written one by one, as a grammar. */

import { EftError } from "../errors.js";
import { jsonSchemaToGbnf } from "../grammar/json-schema.js";
import type { Work } from "../grammar/work.js";
import { keywordsOf } from "../grammar/schema-keywords.js";
import { isObject, type Fields } from "../grammar/schema-report.js";
import type { JsonSchema } from "../grammar/schema-source.js";
import { quoteText, type PairSyntax } from "../prompts/pair-syntax.js";
import { prefixRules, textRules } from "./call-grammar.js";
import { gbnfLiteral, type Marks } from "./marks.js";
import { parsePairs } from "./pair-parser.js";
import type { ResolvedTool } from "./types.js";

/** Whether nothing but texts satisfy the schema of an argument. */
export function isTextArgument({ parameters }: ResolvedTool, name: string): boolean {
    const { properties } = parameters;
    return isObject(properties) && Object.hasOwn(properties, name) && isTextSchema(properties[name]);
}

function isTextSchema(schema: unknown): schema is Fields {
    const { type, enum: values, const: value } = isObject(schema) ? schema : {};
    if (type !== undefined && type !== "string") return false;
    if (Array.isArray(values)) return values.every((each) => typeof each === "string");
    return type === "string" || typeof value === "string";
}

/**
 * The rule `<prefix>root`. Arguments come in the order of the schema. Of texts, only `enum` and `const` are enforced: what else a
 * schema says of them is about JSON.
 *
 * @param schema - of an object
 * @param work - what may still be done for the tools of one request
 * @throws EftError GRAMMAR_INVALID
 */
export function pairRules(schema: Fields, syntax: PairSyntax, marks: Marks, prefix: string, work: Work): string {
    const { properties: given, required, $defs, definitions } = checkParameters(schema);
    const properties = Object.entries(given);
    const quote = (text: string): string => (text === "" ? "" : marks.toGbnf(text));
    const rules: string[] = [];
    const pairs = properties.map(([name, schema], index) => {
        const rule = `${prefix}${index + 1}`;
        const isText = isTextSchema(schema);
        const { middle, end } = syntax[isText ? "text" : "other"];
        const lead = `${quote(syntax.before)} ${gbnfLiteral(name)} ${quote(middle)}`;
        const choices = isText ? choicesOf(schema, name) : undefined;
        for (const text of choices ?? ["1"]) checkReadable(name, text, isText, syntax);
        if (choices !== undefined) {
            const written = choices.map((text) => gbnfLiteral(quoteText(text, syntax)));
            rules.push(`${rule} ::= ${lead} (${written.join(" | ")}) ${quote(end)}`);
        } else if (isText) {
            rules.push(`${rule} ::= ${lead} ${rule}-text`, ...anyText(`${rule}-text`, end, syntax, marks));
        } else {
            const stray = strayReference([schema, Object.values($defs ?? {}), Object.values(definitions ?? {})]);
            if (stray !== undefined) {
                const reason = `the parameters as a whole are not JSON in this family; lead to #/$defs/name`;
                throw invalid(`"${name}" has a $ref to ${stray}, and ${reason}`);
            }
            const own = isObject(schema) ? { $defs, definitions, ...schema } : schema;
            rules.push(
                `${rule} ::= ${lead} ${rule}-root ${quote(end)}`,
                prefixRules(jsonSchemaToGbnf(own as JsonSchema, { work }).grammar, `${rule}-`),
            );
        }
        return { rule, isRequired: required.includes(name) };
    });
    // After an argument: those behind it, each with what stands between.
    const separator = quote(syntax.between);
    let behind = '""';
    const starts: string[] = [];
    for (const [index, { rule, isRequired }] of [...pairs.entries()].reverse()) {
        starts.unshift(`${rule} ${behind}`);
        const next = `${prefix}behind-${index}`;
        const one = `${separator} ${rule} ${behind}`;
        rules.push(`${next} ::= ${isRequired ? one : `${one} | ${behind}`}`);
        behind = next;
    }
    const until = pairs.findIndex(({ isRequired }) => isRequired);
    const firsts = until < 0 ? [...starts, '""'] : starts.slice(0, until + 1);
    return [`${prefix}root ::= ${firsts.join(" | ")}`, ...rules].join("\n");
}

/** Any text, in its quote, or without the characters that need one. */
function anyText(rule: string, end: string, { quote }: PairSyntax, marks: Marks): readonly string[] {
    if (quote === undefined) return [textRules(rule, end, marks)];
    return [
        `${rule} ::= [^<&\\n]* ${marks.toGbnf(end)} | ${marks.toGbnf(quote.begin)} ${rule}-quoted`,
        textRules(`${rule}-quoted`, quote.end + end, marks),
    ];
}

const NOT_SCHEMAS = new Set(["enum", "const", "default", "examples"]);

/** Where a `$ref` leads that does not lead to a definition; undefined: all of them do. */
function strayReference(schema: unknown): string | undefined {
    if (typeof schema !== "object" || schema === null) return undefined;
    for (const [key, inner] of Object.entries(schema)) {
        if (key === "$ref" && typeof inner === "string" && !/^#\/(\$defs|definitions)\//.test(inner)) return inner;
        const found = NOT_SCHEMAS.has(key) ? undefined : strayReference(inner);
        if (found !== undefined) return found;
    }
    return undefined;
}

/** Undefined: any text. */
function choicesOf({ enum: values, const: value }: Fields, name: string): readonly string[] | undefined {
    if (values !== undefined && !Array.isArray(values)) throw invalid(`\`enum\` of "${name}" is no list of values`);
    const choices = (values as readonly string[] | undefined)?.filter((each) => value === undefined || each === value);
    if (choices?.length === 0) throw invalid(`"${name}" has no value that satisfies it`);
    return choices ?? (typeof value === "string" ? [value] : undefined);
}

const OF_OBJECTS = ["type", "properties", "required", "additionalProperties", "$defs", "definitions"];

interface Parameters {
    readonly properties: Fields;
    readonly required: readonly string[];
    readonly $defs?: unknown;
    readonly definitions?: unknown;
}

/** What is said of all arguments together cannot be enforced, except for which there are. */
function checkParameters(schema: Fields): Parameters {
    const { properties = {}, required = [], $defs, definitions } = schema;
    const other = keywordsOf(schema).find((keyword) => !OF_OBJECTS.includes(keyword));
    if (other !== undefined)
        throw invalid(`\`${other}\` of its parameters cannot be enforced where arguments are written one by one`);
    if (!isObject(properties)) throw invalid("`properties` of its parameters is no mapping of names to schemas");
    if (!Array.isArray(required) || !required.every((name) => typeof name === "string"))
        throw invalid("`required` of its parameters is no list of names");
    const missing = required.find((name) => !Object.hasOwn(properties, name));
    if (missing !== undefined)
        throw invalid(`Its parameters require "${missing}", which is not among their properties`);
    return { properties, required, $defs, definitions };
}

/** Names and texts are written as they are: some would be read as something else. */
function checkReadable(name: string, text: string, isText: boolean, syntax: PairSyntax): void {
    const { middle, end } = syntax[isText ? "text" : "other"];
    // A value without a mark behind it ends with what closes the call.
    const value = isText ? quoteText(text, syntax) : text;
    const written = `${syntax.before}${name}${middle}${value}${end}${end === "" ? "}" : ""}`;
    const found = parsePairs(written, 0, syntax, () => isText, true);
    const isRead =
        found.kind === "pairs" &&
        Object.entries(found.values).every(([key, value]) => {
            return key === name && (value === text || JSON.stringify(value) === text);
        });
    // Neither can be a part of a grammar.
    if (isRead && Object.keys(found.values).length === 1 && !/\0|\p{Cs}/u.test(name + text)) return;
    const what = text === "1" && !isText ? "" : ` with the value ${JSON.stringify(text)}`;
    throw invalid(`"${name}"${what} cannot be written so that it can be read back`);
}

function invalid(reason: string): EftError {
    return new EftError("GRAMMAR_INVALID", `${reason}.`);
}
