/** Which schemas of arguments can be forced, and what is said of the others. */

import { describe, expect, test } from "@jest/globals";
import { GENERIC_SYNTAX, type CallSyntax } from "../../src/prompts/call-syntax.js";
import { readGbnf } from "../../src/grammar/gbnf.js";
import type { Fields } from "../../src/grammar/schema-report.js";
import { callGrammar } from "../../src/tools/call-grammar.js";
import { TEXT_MARKS } from "../helpers/answers.js";

const mark = { middle: ">", end: "</parameter>" };
const PAIRS: CallSyntax = {
    open: "<function=",
    call: ["name", { text: ">" }, "arguments"],
    between: undefined,
    close: "</function>",
    pairs: { before: "<parameter=", between: "", text: mark, other: mark },
};
const force = (syntax: CallSyntax, parameters: unknown): string =>
    callGrammar([{ name: "find", description: undefined, parameters: parameters as Fields }], syntax, TEXT_MARKS, true);
const argument = (schema: unknown, name = "a") => ({ type: "object", properties: { [name]: schema } });

describe.each([
    ["as JSON", GENERIC_SYNTAX],
    ["one by one", PAIRS],
])("arguments %s", (_name, syntax) => {
    test.each<[string, unknown]>([
        ["an object", argument({ type: "integer" })],
        ["an object that is not said to be one", { properties: { a: { type: "boolean" } } }],
        ["an object or null", { ...argument({ enum: ["x", "y"] }), type: ["object", "null"] }],
        ["definitions", { ...argument({ $ref: "#/$defs/n" }), $defs: { n: { type: "number" } } }],
        ["what only looks like a reference", argument({ enum: [1, { $ref: "#" }] })],
        ["a title", { ...argument({ type: "string", const: "x", enum: ["x", "y"] }), title: "What to find" }],
    ])("can be forced: %s", (_what, parameters) => {
        expect(() => readGbnf(`root ::= calls\n${force(syntax, parameters)}`)).not.toThrow();
    });

    test.each<[string, unknown]>([
        ["a constant", { const: 5 }],
        ["what nothing satisfies", { ...argument({ type: "integer", enum: ["x"] }), required: ["a"] }],
        ["no values", { ...argument({ enum: [] }), required: ["a"] }],
        ["an enum that is no list", argument({ type: "string", enum: "ab" })],
        ["required texts that are no list", { ...argument({}), required: "a" }],
    ])("cannot be forced: %s", (_what, parameters) => {
        expect(() => force(syntax, parameters)).toThrow(
            expect.objectContaining({
                code: "GRAMMAR_INVALID",
                message: expect.stringMatching(/^The tool find cannot be forced\. .+\.$/) as unknown,
            }),
        );
    });
});

describe("the grammar of calls that was made before", () => {
    const tools = ["a", "b"].map((name) => ({
        name,
        description: undefined,
        parameters: argument({ type: "number" }),
    }));
    const token = { ...TEXT_MARKS, toGbnf: (text: string) => text.replace(/.+/s, "<[7]>") };

    test.each<[string, Parameters<typeof callGrammar>]>([
        [
            "parameters",
            [tools.map((tool) => ({ ...tool, parameters: argument({ type: "null" }) })), PAIRS, TEXT_MARKS, true],
        ],
        ["names", [tools.map((tool) => ({ ...tool, name: `${tool.name}x` })), PAIRS, TEXT_MARKS, true]],
        ["an order", [[...tools].reverse(), PAIRS, TEXT_MARKS, true]],
        ["a syntax", [tools, GENERIC_SYNTAX, TEXT_MARKS, true]],
        ["tokens", [tools, PAIRS, token, true]],
        ["numbers of calls", [tools, { ...PAIRS, between: "," }, TEXT_MARKS, false]],
    ])("is that of nobody who has others: %s", (_what, others) => {
        const own = callGrammar(tools, PAIRS, TEXT_MARKS, true);
        const first = callGrammar(...others);
        expect(first).not.toBe(own);
        expect([callGrammar(...others), callGrammar(tools, PAIRS, TEXT_MARKS, true)]).toEqual([first, own]);
    });
});

describe("arguments one by one", () => {
    test.each<[string, unknown, RegExp]>([
        ["anyOf", { ...argument({}), anyOf: [{ required: ["a"] }] }, /`anyOf`/],
        ["$ref", { $ref: "#/$defs/a", $defs: { a: argument({}) } }, /`\$ref`/],
        ["minProperties", { ...argument({}), minProperties: 1 }, /`minProperties`/],
        ["what is required and not there", { ...argument({}), required: ["b"] }, /require "b"/],
        ["a name with a mark", argument({ type: "integer" }, "a>b"), /^.*"a>b" cannot be written/],
        ["a name with a space in front", argument({ type: "string", const: "x" }, " a"), /" a" with the value "x"/],
        ["a text with a mark", argument({ enum: ["ok", "</parameter>"] }), /"<\/parameter>" cannot be written/],
        ["half a character", argument({ enum: ["\ud800"] }), /cannot be written/],
        ["no text", argument({ type: "string", enum: ["x"], const: "y" }), /"a" has no value/],
        ["the parameters as a whole", argument({ type: "array", items: { $ref: "#" } }), /\$ref to #,/],
        ["a part of the parameters", argument({ items: { $ref: "#/properties/a" } }), /\$ref to #\/properties\/a/],
        [
            "a definition that leads there",
            { ...argument({ $ref: "#/$defs/n" }), $defs: { n: { type: "array", items: { $ref: "#" } } } },
            /\$ref to #,/,
        ],
    ])("cannot be forced: %s", (_what, parameters, message) => {
        expect(() => force(PAIRS, parameters)).toThrow(
            expect.objectContaining({ code: "GRAMMAR_INVALID", message: expect.stringMatching(message) as unknown }),
        );
    });
});
