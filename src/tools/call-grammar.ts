/** The texts that calls can be, as a grammar. */

import { EftError } from "../errors.js";
import { LONGEST_GRAMMAR } from "../grammar/gbnf.js";
import { jsonSchemaToGbnf } from "../grammar/json-schema.js";
import { createRecent } from "../grammar/recent.js";
import { createWork, type Work } from "../grammar/work.js";
import type { CallSyntax } from "../prompts/call-syntax.js";
import { gbnfLiteral, type Marks } from "./marks.js";
import type { PairSyntax } from "../prompts/pair-syntax.js";
import { pairRules } from "./pair-grammar.js";
import type { ResolvedTool } from "./types.js";

/** Calls of one answer that is forced to call. */
const MOST_CALLS = 16;

/** By all that they are made of. */
const RECENT = createRecent<string>(64, 2 ** 23);

/** GBNF, with the rule `calls` for an answer of at least one call. It is kept for those who ask for it again. */
export function callGrammar(tools: readonly ResolvedTool[], syntax: CallSyntax, marks: Marks, isOne: boolean): string {
    const key = keyOf(tools, syntax, marks, isOne);
    let grammar = RECENT.get(key);
    if (grammar === undefined) {
        grammar = makeGrammar(tools, syntax, marks, isOne);
        RECENT.set(key, grammar, key.length + grammar.length);
    }
    return grammar;
}

function keyOf(tools: readonly ResolvedTool[], syntax: CallSyntax, marks: Marks, isOne: boolean): string {
    const { text, quote } = syntax.pairs ?? {};
    // What a quote and a value end with is looked for as one.
    const texts = [syntax, quote && text && quote.end + text.end];
    // Each vocabulary has control tokens of its own.
    const written = JSON.stringify(texts, (_name, value: unknown) =>
        typeof value === "string" ? `${value}\0${marks.toGbnf(value)}` : value,
    );
    return JSON.stringify([written, isOne, tools.map(({ name, parameters }) => [name, parameters])]);
}

function makeGrammar(
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
        const { name } = tool;
        // Short, since each mention of a rule has it.
        const prefix = `a${index + 1}-`;
        const slots = {
            name: gbnfLiteral(name),
            arguments: `${prefix}root`,
            id: "[a-zA-Z0-9]{9}",
        };
        const pieces = call.map((piece) => (typeof piece === "object" ? quote(piece.text) : slots[piece]));
        const own = argumentRules(tool, pairs, marks, prefix, work);
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
 * The rule `<prefix>root`, for an object.
 *
 * @param work - what may still be done for the tools of one request
 * @throws EftError GRAMMAR_INVALID
 */
function argumentRules(
    { name, parameters }: ResolvedTool,
    pairs: PairSyntax | undefined,
    marks: Marks,
    prefix: string,
    work: Work,
): string {
    try {
        // Arguments are an object, also where their schema leaves that out, or has others beside.
        const schema = { ...parameters, type: "object" };
        return pairs === undefined
            ? prefixRules(jsonSchemaToGbnf(schema, { work }).grammar, prefix)
            : pairRules(schema, pairs, marks, prefix, work);
    } catch (error) {
        if (!EftError.isInstance(error) || error.code !== "GRAMMAR_INVALID") throw error;
        throw new EftError(error.code, `The tool ${name} cannot be forced. ${error.message}`, { cause: error });
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
            const steps = alphabet.map((unit) => ({ unit, to: next(seen, unit) })).filter(({ to }) => to > 0);
            const ways = steps.map(
                ({ unit, to }) => `${gbnfLiteral(unit)}${to === units.length ? "" : ` ${name(to)}`}`,
            );
            const others = steps.map(({ unit }) => unit.replace(/[\]\\^-]/, String.raw`\$&`));
            return `${name(seen)} ::= ${[...ways, `[^${others.join("")}] ${rule}`].join(" | ")}`;
        })
        .join("\n");
}
