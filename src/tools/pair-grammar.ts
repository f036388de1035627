/** The texts of arguments that are written one by one, as a grammar. */

import { EftError } from "../errors.js";
import type { Work } from "../grammar/regular.js";
import type { JsonSchema } from "../grammar/schema-source.js";
import type { PairSyntax } from "../prompts/pair-syntax.js";
import { argumentRules, textRules } from "./call-grammar.js";
import { gbnfLiteral, type Marks } from "./marks.js";
import type { ResolvedTool } from "./types.js";

type Fields = Readonly<Record<string, unknown>>;

/** Whether nothing but texts satisfy the schema of an argument. */
export function isTextArgument({ parameters }: ResolvedTool, name: string): boolean {
    return isTextSchema(propertiesOf(parameters)[name]);
}

function isTextSchema(schema: unknown): boolean {
    const {
        type,
        enum: values,
        const: value,
    } = (typeof schema === "object" && schema !== null ? schema : {}) as Fields;
    if (Array.isArray(values)) return values.every((each) => typeof each === "string");
    return type === "string" || typeof value === "string";
}

function propertiesOf(schema: JsonSchema): Fields {
    const { properties = {} } = typeof schema === "object" ? schema : {};
    return properties as Fields;
}

/**
 * The rule `<prefix>root`. Arguments come in the order of the schema. Of texts, only `enum` and `const` are enforced: what else a
 * schema says of them is about JSON.
 *
 * @throws EftError GRAMMAR_INVALID
 */
export function pairRules(given: ResolvedTool, syntax: PairSyntax, marks: Marks, prefix: string, work: Work): string {
    const { name: tool, parameters } = given;
    const { required = [], $defs, definitions } = (typeof parameters === "object" ? parameters : {}) as Fields;
    const properties = Object.entries(propertiesOf(parameters));
    const names = properties.map(([name]) => name);
    const missing = (required as readonly string[]).find((name) => !names.includes(name));
    if (missing !== undefined) {
        throw new EftError(
            "GRAMMAR_INVALID",
            `The tool ${tool} cannot be forced: its parameters require "${missing}", which is not among their properties.`,
        );
    }
    const quote = (text: string): string => (text === "" ? "" : marks.toGbnf(text));
    const rules: string[] = [];
    const pairs = properties.map(([name, schema], index) => {
        const rule = `${prefix}${index + 1}`;
        const isText = isTextSchema(schema);
        const { middle, end } = syntax[isText ? "text" : "other"];
        const lead = `${quote(syntax.before)} ${gbnfLiteral(name)} ${quote(middle)}`;
        const choices = isText ? choicesOf(schema as Fields) : undefined;
        if (choices !== undefined) {
            rules.push(`${rule} ::= ${lead} (${choices.map(gbnfLiteral).join(" | ")}) ${quote(end)}`);
        } else if (isText) {
            rules.push(`${rule} ::= ${lead} ${rule}-text`, textRules(`${rule}-text`, end, marks));
        } else {
            const own = typeof schema === "object" ? { $defs, definitions, ...schema } : schema;
            rules.push(
                `${rule} ::= ${lead} ${rule}-root ${quote(end)}`,
                argumentRules(given, own as JsonSchema, `${rule}-`, work),
            );
        }
        return { rule, isRequired: (required as readonly string[]).includes(name) };
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

function choicesOf({ enum: values, const: value }: Fields): readonly string[] | undefined {
    if (typeof value === "string") return [value];
    return values as readonly string[] | undefined;
}
