/** The texts that calls can be, as a grammar. */

import { EftError } from "../errors.js";
import { LONGEST_GRAMMAR } from "../grammar/gbnf.js";
import { jsonSchemaToGbnf } from "../grammar/json-schema.js";
import { createWork, type Work } from "../grammar/regular.js";
import type { JsonSchema } from "../grammar/schema-source.js";
import type { CallSyntax } from "../prompts/call-syntax.js";
import { gbnfLiteral, type Marks } from "./marks.js";
import { pairRules } from "./pair-grammar.js";
import type { ResolvedTool } from "./types.js";

/** Calls of one answer that is forced to call. */
const MOST_CALLS = 16;

/** GBNF, with the rule `calls` for an answer of at least one call. */
export function callGrammar(
    tools: readonly ResolvedTool[],
    { open, call, between, close, pairs }: CallSyntax,
    marks: Marks,
    isOne: boolean,
): string {
    const quote = (text: string): string => (text === "" ? "" : marks.toGbnf(text));
    // As much as one schema may take, whatever the number of tools.
    const work = createWork();
    let size = 0;
    const rules = tools.map((tool, index) => {
        const { name, parameters } = tool;
        const prefix = `arguments-${index + 1}-`;
        const slots = {
            name: gbnfLiteral(name),
            arguments: `${prefix}root`,
            id: "[a-zA-Z0-9]{9}",
        };
        const pieces = call.map((piece) => (typeof piece === "object" ? quote(piece.text) : slots[piece]));
        const own =
            pairs === undefined
                ? argumentRules(tool, parameters, prefix, work)
                : pairRules(tool, pairs, marks, prefix, work);
        size += own.length;
        if (size > LONGEST_GRAMMAR) {
            const reason = `the grammar of the tools up to ${name} is longer than ${LONGEST_GRAMMAR} characters`;
            throw new EftError("GRAMMAR_INVALID", `No call can be forced: ${reason}; give fewer or smaller ones.`);
        }
        return [`call-${index + 1} ::= ${pieces.join(" ")}`, own];
    });
    const names = tools.map((_, index) => `call-${index + 1}`).join(" | ");
    const more = isOne || between === undefined ? "" : `(${quote(between)} call){0,${MOST_CALLS - 1}}`;
    return [`calls ::= ${quote(open)} call ${more} ${quote(close)}`, `call ::= ${names}`, ...rules.flat(), ""].join(
        "\n",
    );
}

/**
 * The rules of what arguments of a tool can be; the first is `<prefix>root`.
 *
 * @param work - what may still be done for the tools of one request
 * @throws EftError GRAMMAR_INVALID that names the tool
 */
export function argumentRules({ name }: ResolvedTool, schema: JsonSchema, prefix: string, work: Work): string {
    try {
        return prefixRules(jsonSchemaToGbnf(schema, { work }).grammar, prefix);
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        throw new EftError(error.code, `A call of the tool ${name} cannot be forced: ${error.message}`, {
            cause: error,
        });
    }
}

/** A grammar with all its rules' names behind a prefix. */
export function prefixRules(grammar: string, prefix: string): string {
    // Names of rules stand outside of texts and sets of characters.
    return grammar.replace(/"(?:\\[^]|[^"\\])*"|\[(?:\\[^]|[^\]\\])*\]|[a-zA-Z][\w-]*/g, (found) =>
        /^[a-zA-Z]/.test(found) ? prefix + found : found,
    );
}

/**
 * A rule for any text that ends with a mark (not marked yet), which occurs nowhere else in it. One rule for each character of the mark that has been
 * seen, as in Knuth, Morris and Pratt's search.
 */
export function textRules(rule: string, end: string, marks: Marks): string {
    // A control token occurs in no text.
    if (marks.mark(end) !== end) return String.raw`${rule} ::= [^\x00]* ${marks.toGbnf(end)}`;
    const units = [...end];
    const name = (seen: number): string => (seen === 0 ? rule : `${rule}-${seen}`);
    /** How much of the mark has been seen after `seen` characters of it and another one. */
    const next = (seen: number, unit: string): number => {
        const text = [...units.slice(0, seen), unit];
        for (let length = Math.min(text.length, units.length); length > 0; length--)
            if (text.slice(-length).join("") === units.slice(0, length).join("")) return length;
        return 0;
    };
    const alphabet = [...new Set(units)];
    return units
        .map((_, seen) => {
            const ways = alphabet
                .filter((unit) => next(seen, unit) > 0)
                .map((unit) => {
                    const to = next(seen, unit);
                    return `${gbnfLiteral(unit)}${to === units.length ? "" : ` ${name(to)}`}`;
                });
            const others = alphabet
                .filter((unit) => next(seen, unit) > 0)
                .map((unit) => unit.replace(/[\]\\^-]/, String.raw`\$&`));
            return `${name(seen)} ::= ${[...ways, `[^${others.join("")}] ${rule}`].join(" | ")}`;
        })
        .join("\n");
}
