/** Text, thoughts and calls in one stream. */

import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { GENERIC_SYNTAX, type CallSyntax } from "../../src/prompts/call-syntax.js";
import { createAnswerReader } from "../../src/tools/answer-reader.js";
import { createCallParser } from "../../src/tools/call-parser.js";
import { cut, LLAMA, readPieces, TEXT_MARKS, type AnswerSetup } from "../helpers/answers.js";

const TAGGED: CallSyntax = {
    open: "<function=",
    call: ["name", { text: ">" }, "arguments"],
    between: "</function><function=",
    close: "</function>",
};
const thinking = { begin: "<think>", end: "</think>" };
const NOW = { id: undefined, name: "now", arguments: {} };
const hermes: AnswerSetup = { syntax: GENERIC_SYNTAX, thinking, tools: ["now", "find"] };
const llama: AnswerSetup = { syntax: LLAMA, tools: ["now", "find"] };
const tagged: AnswerSetup = { syntax: TAGGED, tools: ["now", "find"] };

describe("an answer is read the same in whatever pieces it comes", () => {
    const call = (name: string, values: unknown) =>
        `<tool_call>\n${JSON.stringify({ name, arguments: values })}\n</tool_call>`;
    test.each<[string, AnswerSetup, string, string, string, unknown[]]>([
        ["text alone", hermes, "Lima is < Quito, and <tool is text.", "Lima is < Quito, and <tool is text.", "", []],
        ["a call", hermes, call("now", {}), "", "", [NOW]],
        ["a call in front of its mark's end", hermes, call("now", {}).replace(/\n<.*/, ""), "", "", [NOW]],
        ["text in front of a call", hermes, `I look. ${call("now", {})}`, "I look. ", "", [NOW]],
        ["text behind a call", hermes, `${call("now", {})}\nThat is it.`, "That is it.", "", [NOW]],
        ["two calls", hermes, `${call("now", {})}\n${call("now", {})}\n`, "", "", [NOW, NOW]],
        ["calls in one mark", hermes, '<tool_call>{"name":"now"}\n{"name":"now"}</tool_call>', "", "", [NOW, NOW]],
        ["a tool that is not there", hermes, call("rm", {}), call("rm", {}), "", []],
        ["what is no JSON", hermes, "<tool_call>now()</tool_call> ok", "<tool_call>now()</tool_call> ok", "", []],
        ["a call that was cut off", hermes, 'Hm. <tool_call>{"name": "now", "argu', "Hm. ", "", []],
        ["a second call that was cut off", hermes, `${call("now", {})}\n<tool_c`, "", "", [NOW]],
        ["arguments in a text", hermes, '<tool_call>{"name":"now","arguments":"{}"}</tool_call>', "", "", [NOW]],
        [
            "marks in arguments",
            hermes,
            call("find", { a: "</tool_call>" }),
            "",
            "",
            [{ id: undefined, name: "find", arguments: { a: "</tool_call>" } }],
        ],
        ["thoughts", hermes, "<think>\nIt is\nthis.\n</think>\n\nLima.", "Lima.", "It is\nthis.", []],
        ["thoughts without an end", hermes, "<think>\nIt is", "", "It is", []],
        ["thoughts that the prompt began", { ...hermes, beginsThinking: true }, "a\n</think>\n\nb", "b", "a", []],
        ["thoughts and a call", hermes, `<think>a</think>\n${call("now", {})}`, "", "a", [NOW]],
        ["a call in thoughts", hermes, `<think>${call("now", {})}</think>b`, "b", call("now", {}), []],
        ["a bare call", llama, '{"name": "now", "parameters": {}}', "", "", [NOW]],
        ["a bare call with its type", llama, '{"type": "function", "name": "now", "parameters": {}}', "", "", [NOW]],
        ["two bare calls", llama, '{"name": "now", "parameters": {}}\n{"name":"now"}', "", "", [NOW, NOW]],
        ["other JSON", llama, '{"city": "Lima", "name": "now"}', '{"city": "Lima", "name": "now"}', "", []],
        [
            "a brace in text",
            llama,
            'So {"name": "now", "parameters": {}}',
            'So {"name": "now", "parameters": {}}',
            "",
            [],
        ],
        ["a tag", tagged, "<function=now>{}</function>", "", "", [NOW]],
        ["two tags", tagged, "<function=now>{}</function><function=now>{}</function>", "", "", [NOW, NOW]],
        ["a tag of no tool", tagged, "<function=a>{}</function>", "<function=a>{}</function>", "", []],
        ["a tag without JSON", tagged, "<function=now> 7</function>", "<function=now> 7</function>", "", []],
    ])("%s", (_, setup, answer, text, thoughts, calls) => {
        const expected = { text, thinking: thoughts, calls, stoppedBy: undefined };
        fc.assert(
            fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 40 }), (lengths) => {
                expect(readPieces(cut(answer, lengths), setup)).toEqual(expected);
            }),
            { numRuns: 60 },
        );
    });
});

test("nothing is held back for longer than it may become a mark", () => {
    const seen: string[] = [];
    for (let length = 1; length <= 4; length++) seen.push(readPieces(["a", "b<", "c"].slice(0, length), hermes).text);
    expect(seen).toEqual(["a", "ab<", "ab<c", "ab<c"]);
});

test("any text that has no mark in it comes through as it is", () => {
    const texts = fc.string({
        unit: fc.constantFrom("<", "t", "o", "{", '"', "[", " ", "\n", "é", "think>"),
        maxLength: 40,
    });
    fc.assert(
        fc.property(texts, fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (text, lengths) => {
            fc.pre(!text.includes("<think>") && !text.includes("<tool_call>"));
            expect(readPieces(cut(text, lengths), hermes).text).toBe(text);
        }),
    );
});

test("stop texts are looked for in the answer, not in thoughts and calls", () => {
    const answer = `<think>a. b</think>c<tool_call>{"name": "find", "arguments": {"a": "x. y"}}</tool_call>d. e`;
    for (const length of [1, 3, 100]) {
        const {
            text,
            thinking: thoughts,
            calls,
            stoppedBy,
        } = readPieces(cut(answer, [length]), { ...hermes, stop: ["."] });
        expect([text, thoughts, calls.length, stoppedBy]).toEqual(["cd", "a. b", 1, "."]);
    }
});

test("tokens of thoughts are counted from the end of the mark in front to that of the mark behind; those of calls and of the answer are not", () => {
    const call = ["<tool_call>", '{"name": ', '"now"}', "</tool_call>"];
    const count = (pieces: readonly string[], beginsThinking = false): number => {
        const reader = createAnswerReader({ detokenize: (ids) => Buffer.from(pieces[ids[0] ?? -1] ?? "") }, [], {
            ...{ marks: TEXT_MARKS, thinking, beginsThinking, form: "free" },
            calls: createCallParser(GENERIC_SYNTAX, { names: new Set(["now"]) }),
        });
        pieces.forEach((_, index) => reader.push(index));
        return reader.thinkingTokens;
    };
    expect(count(["<think>", "a", " b", "</think>", "c", ...call, "<think>", "d", "</think>", "e"])).toBe(7);
    expect(count(["a", "</thi", "nk>", "b", ...call], true)).toBe(3);
    expect(count(["<think>a</think>b", "c"])).toBe(1);
    expect(count(["<th", "ink>", "a", "</thi", "nk>", "b"])).toBe(4);
    expect(count(["a", ...call])).toBe(0);
});
