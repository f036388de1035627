/** Where thoughts and calls can be in an answer, what is left at its end, and what gets into arguments. */

import { describe, expect, test } from "@jest/globals";
import { GENERIC_SYNTAX, type CallSyntax } from "../../src/prompts/call-syntax.js";
import type { Fields } from "../../src/grammar/schema-report.js";
import { allowsArguments } from "../../src/tools/allows-arguments.js";
import { cut, LLAMA, readPieces, TEXT_MARKS, type AnswerSetup, type ReadAnswer } from "../helpers/answers.js";

const NEMO: CallSyntax = {
    open: '[TOOL_CALLS][{"name": "',
    call: ["name", { text: '", "arguments": ' }, "arguments", { text: ', "id": "' }, "id"],
    between: '"}, {"name": "',
    close: '"}]',
};
const PAIRS: CallSyntax = {
    open: "<tool_call>\n<function=",
    call: ["name", { text: ">\n" }, "arguments"],
    between: "</function>\n</tool_call>\n<tool_call>\n<function=",
    close: "</function>\n</tool_call>",
    pairs: {
        before: "<parameter=",
        between: "",
        text: { middle: ">\n", end: "\n</parameter>\n" },
        other: { middle: ">\n", end: "\n</parameter>\n" },
    },
};
/** As DeepSeek V3.2 has it: marks around all calls, and around each of them. */
const LISTED: CallSyntax = {
    open: '<calls>\n<invoke name="',
    call: ["name", { text: '">\n' }, "arguments"],
    between: '</invoke>\n<invoke name="',
    close: "</invoke>\n</calls>",
};
const pair = { middle: '">', end: "</p>\n" };
const LISTED_PAIRS: CallSyntax = {
    ...LISTED,
    pairs: { before: '<p name="', between: "", text: pair, other: pair },
};
const thinking = { begin: "<think>", end: "</think>" };
const tools = ["now", "find"];
const hermes: AnswerSetup = { syntax: GENERIC_SYNTAX, thinking, tools };
const nemo: AnswerSetup = { syntax: NEMO, tools };
const pairs: AnswerSetup = { syntax: PAIRS, tools, isText: () => true };
const bare: AnswerSetup = { syntax: LLAMA, tools, accepts: (_, values) => !("city" in values), form: "either" };

const call = (name: string, values = "{}") => `<tool_call>\n{"name": "${name}", "arguments": ${values}}\n</tool_call>`;

/** The same in pieces of any length. */
function read(answer: string, setup: AnswerSetup): ReadAnswer {
    const all = [1, 2, 3, 7, 1000].map((length) => readPieces(cut(answer, [length]), setup));
    for (const each of all) expect(each).toEqual(all[0]);
    return all[0] as ReadAnswer;
}
const namesOf = ({ calls }: ReadAnswer): string[] => calls.map(({ name }) => name);

describe("an answer that a schema constrains", () => {
    const tricky = ['"<think>a</think>b"', `{"a":${JSON.stringify(call("now"))}}`, '["<tool_call>{", "<think>"]'];
    test.each(tricky)("keeps every mark in its texts: %s", (json) => {
        for (const form of ["json", "either"] as const) {
            expect(read(json, { ...hermes, form })).toMatchObject({ text: json, thinking: "", calls: [] });
            const begun = read(`a</think>\n\n${json}`, { ...hermes, form, beginsThinking: true });
            expect(begun).toMatchObject({ text: json, thinking: "a", calls: [] });
        }
    });

    test("or is calls from its beginning on", () => {
        const answer = read(`${call("now")}\n${call("find", '{"a": "<think>"}')}`, { ...hermes, form: "either" });
        expect([answer.text, answer.thinking, namesOf(answer)]).toEqual(["", "", ["now", "find"]]);
    });

    test.each([
        '{"name":"Lima"}',
        '{"name": "now"}',
        '{"name": "now", "parameters": {"city": "Lima"}}',
        '{"name": "now", "parameters": {}, "city": "Lima"}',
        '{"name":"now","parameters":{}}',
        '[{"name": "now", "size": 1}]',
        '[{"name": "now", "parameters": {}}]',
        '[{"name": "now", "parameters": {}}, {"name": "rm"}]',
        ' [ {"name": "now", "parameters": {}}, {"name": "now", "parameters": {}}]',
    ])("where calls are JSON, is a call only to the letter and with valid arguments: %s", (json) => {
        expect(read(json, bare)).toMatchObject({ text: json, calls: [] });
    });

    test("where calls are JSON, may be one", () => {
        const answer = read('{"name": "now", "parameters": {"a": 1}}', bare);
        expect([answer.text, namesOf(answer)]).toEqual(["", ["now"]]);
    });
});

describe("arguments that a schema allows", () => {
    const tree = { name: "tree", description: undefined };
    const parameters = { $id: "https://example.org/tree", properties: { v: { const: 1 }, child: { $ref: "#" } } };
    test.each<[string, object, object, boolean]>([
        ["are found in recursive schemas", parameters, { v: 1, child: { v: 1 } }, true],
        ["are looked at to the bottom", parameters, { v: 1, child: { child: { v: 2 } } }, false],
        ["are those of older drafts", { $schema: "http://json-schema.org/draft-07/schema#" }, {}, true],
        ["are any where the schema cannot be read", { type: "nothing" }, {}, true],
    ])("%s", (_what, schema, values, expected) => {
        expect(allowsArguments({ ...tree, parameters: schema as Fields }, values as never)).toBe(expected);
    });
});

describe("what a model writes again and again takes time in proportion to its length, and is text", () => {
    test.each<[string, AnswerSetup, string]>([
        ["openings", hermes, '<tool_call>\n{"name": '],
        ["arguments", { ...hermes, syntax: PAIRS }, "<parameter=a>\n1\n</parameter>\n"],
    ])("%s", (_what, setup, piece) => {
        const begin = setup.syntax === PAIRS ? "<tool_call>\n<function=now>\n" : "";
        const pieces = [begin, ...Array.from({ length: 5000 }, () => piece)];
        const { text, calls } = readPieces(pieces, { ...setup, isCutOff: false });
        expect([text.length, calls]).toEqual([pieces.join("").length, []]);
    });
});

describe("the end of an answer", () => {
    test.each([
        ["a call", hermes, 'Hm. <tool_call>{"name": "now", "argu', "Hm. "],
        ["an opening", hermes, "Hm. <tool_call>", "Hm. "],
        ["an argument", pairs, "Hm. <tool_call>\n<function=find>\n<parameter=a>\nLi", "Hm. "],
    ])("drops %s that was cut off, and keeps what the model left unfinished", (_, setup, answer, text) => {
        expect(read(answer, setup)).toMatchObject({ text, calls: [] });
        expect(read(answer, { ...setup, isCutOff: false })).toMatchObject({ text: answer, calls: [] });
    });

    test("half a mark is text where nothing is forced, and else nothing", () => {
        for (const half of ["<", "<tool_cal"]) {
            expect(read(`2 ${half}`, hermes).text).toBe(`2 ${half}`);
            expect(read(half, { ...hermes, form: "calls" }).text).toBe("");
            expect(read(half, { ...hermes, form: "either" }).text).toBe("");
            expect(read(`${call("now")}${half}`, hermes).text).toBe("");
        }
    });

    test.each([
        [hermes, call("now")],
        [nemo, '[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "abcdefgh1"}]'],
        [pairs, "<tool_call>\n<function=find>\n<parameter=a>\nLima\n</parameter>\n</function>\n</tool_call>"],
    ])("wherever a forced call is cut off, nothing of it is text", (setup, answer) => {
        for (let length = 0; length <= answer.length; length++)
            for (const form of ["calls", "either"] as const)
                expect(read(answer.slice(0, length), { ...setup, form }).text).toBe("");
        expect(read(answer, setup).calls).toHaveLength(1);
    });

    test("half of what closes a call is no text", () => {
        expect(read(call("now").slice(0, -4), hermes)).toMatchObject({ text: "", calls: [{ name: "now" }] });
    });
});

test("calls of a list come one by one, each once it is whole", () => {
    const one = (id: string) => `{"name": "now", "arguments": {}, "id": "${id}"}`;
    const first = `[TOOL_CALLS][${one("a")}`;
    expect(namesOf(read(first, nemo))).toEqual(["now"]);
    expect(read(`${first}, ${one("b")}]`, nemo).calls.map(({ id }) => id)).toEqual(["a", "b"]);
});

describe.each<[string, AnswerSetup, (names: readonly string[]) => string, (name: string) => string]>([
    [
        "a list of JSON behind a mark",
        nemo,
        (names) => `[TOOL_CALLS][${names.map((name) => `{"name": "${name}", "arguments": {}, "id": "1"}`).join(", ")}]`,
        (name) => `{"name": "${name}", "arguments": {}, "id": "1"}`,
    ],
    [
        "JSON in one pair of marks",
        hermes,
        (names) =>
            `<tool_call>\n${names.map((name) => `{"name": "${name}", "arguments": {}}`).join("\n")}\n</tool_call>`,
        (name) => `{"name": "${name}", "arguments": {}}`,
    ],
    [
        "a list of JSON in marks",
        hermes,
        (names) => `<tool_call>[${names.map((name) => `{"name": "${name}"}`).join(",")}]</tool_call>`,
        (name) => `{"name": "${name}"}`,
    ],
    [
        "tags in a pair of marks",
        { syntax: LISTED, tools },
        (names) => `<calls>\n${names.map((name) => `<invoke name="${name}">\n{}</invoke>`).join("\n")}\n</calls>`,
        (name) => `<invoke name="${name}">\n{}</invoke>`,
    ],
    [
        "arguments one by one in a pair of marks",
        { syntax: LISTED_PAIRS, tools, isText: () => true },
        (names) =>
            `<calls>\n${names.map((name) => `<invoke name="${name}">\n<p name="a">Lima</p>\n</invoke>`).join("\n")}\n</calls>`,
        (name) => `<invoke name="${name}">\n<p name="a">Lima</p>\n</invoke>`,
    ],
])("of calls that share %s", (_what, setup, write, one) => {
    test.each<[string[], string[]]>([
        [["now", "find"], []],
        [["now", "rm"], ["rm"]],
        [["rm", "now"], ["rm"]],
        [
            ["now", "rm", "find", "ls"],
            ["rm", "ls"],
        ],
        [
            ["rm", "ls", "now"],
            ["rm", "ls"],
        ],
    ])("%j, those that name no tool are text, whole, and nothing around them is", (names, strays) => {
        const { text, calls } = read(`Well. ${write(names)}`, setup);
        expect(calls.map(({ name }) => name)).toEqual(names.filter((name) => !strays.includes(name)));
        expect(text).toBe(`Well. ${strays.map(one).join("")}`);
        expect(read(`${write(names)} Ok.`, setup).text).toBe(`${strays.map(one).join("")}Ok.`);
    });

    test("all are text as it is written if none names a tool, marks included", () => {
        for (const names of [["rm"], ["rm", "ls"]])
            expect(read(`${write(names)} Ok.`, setup)).toMatchObject({ text: `${write(names)} Ok.`, calls: [] });
    });

    test("one that was cut off is dropped, and the others are read", () => {
        const whole = write(["now", "rm", "find"]);
        const { text, calls } = read(whole.slice(0, whole.indexOf("find") + 2), setup);
        expect([text, calls.map(({ name }) => name)]).toEqual([one("rm"), ["now"]]);
        const none = write(["rm", "ls"]);
        const cutOff = read(none.slice(0, none.lastIndexOf('ls"') + 1), setup);
        expect([cutOff.text.includes("rm"), cutOff.text.includes('l"'), cutOff.calls]).toEqual([true, false, []]);
    });
});

test("lists of nothing are text", () => {
    expect(read("<tool_call>[]</tool_call>", hermes).text).toBe("<tool_call>[]</tool_call>");
});

test("characters of two code units stay whole behind what looked like a call", () => {
    for (const text of ["<tool_call>👩‍🚀", "<tool_call>🇵🇪</tool_call>"]) {
        const pieces = cut(text, [1]);
        for (let count = 1; count <= pieces.length; count++)
            expect(readPieces(pieces.slice(0, count), { ...hermes, isCutOff: false }).text).not.toMatch(
                /\p{Surrogate}/u,
            );
        expect(read(text, { ...hermes, isCutOff: false }).text).toBe(text);
    }
});

test("JSON that names no tool is not held back", () => {
    const free: AnswerSetup = { syntax: LLAMA, tools };
    expect(readPieces(['{"name": "n'], free).text).toBe("");
    for (const text of ['{"name": "x', '{"name": "nowhere', '[{"name": "Lima'])
        expect(readPieces([text], free).text).toBe(text);
});

test("a stop text does not reach across a call or a thought", () => {
    for (const between of [call("now"), "<think>a</think>"]) {
        const { text, stoppedBy } = read(`one ${between}two`, { ...hermes, stop: ["one two"] });
        expect([text, stoppedBy]).toEqual(["one two", undefined]);
    }
});

describe("arguments", () => {
    const argumentsOf = (values: string): unknown => read(call("find", values), hermes).calls[0]?.arguments;

    test("have any name", () => {
        for (const name of ["__proto__", "constructor", "toString"]) {
            const values = argumentsOf(`{"${name}": "constructor"}`) as object;
            expect(Object.entries(values)).toEqual([[name, "constructor"]]);
            const text = `<tool_call>\n<function=find>\n<parameter=${name}>\nconstructor\n</parameter>\n</function>\n</tool_call>`;
            for (const isText of [true, false]) {
                const { calls } = read(text, { ...pairs, isText: () => isText });
                expect(Object.entries(calls[0]?.arguments ?? {})).toEqual([[name, "constructor"]]);
                expect(Object.getPrototypeOf(calls[0]?.arguments)).toBe(Object.prototype);
            }
            expect(namesOf(read(call(name), hermes))).toEqual([]);
            expect(namesOf(read(call(name), { ...hermes, tools: [name] }))).toEqual([name]);
        }
    });

    test("are JSON again", () => {
        expect(argumentsOf('{"a": 1e999, "b": [-1e999]}')).toEqual({ a: Number.MAX_VALUE, b: [-Number.MAX_VALUE] });
    });

    test("may be long", () => {
        const long = "a".repeat(200_000);
        const { calls } = readPieces(cut(call("find", `{"a": "${long}"}`), [4]), hermes);
        expect(calls[0]?.arguments).toEqual({ a: long });
    });

    test("have nothing that stands in for a control token", () => {
        const marks = { ...TEXT_MARKS, standIn: (token: number) => (token === 1 ? "\udc05" : undefined) };
        const whole = ['<tool_call>{"name": "find", "arguments": {"a": "Li', "", 'ma"}}</tool_call>'];
        expect(readPieces(whole, { ...hermes, marks }).calls[0]?.arguments).toEqual({ a: "Lima" });
        const end = "ma\n</parameter>\n</function>\n</tool_call>";
        const oneByOne = ["<tool_call>\n<function=find>\n<parameter=a>\nLi", "", end];
        expect(readPieces(oneByOne, { ...pairs, marks }).calls[0]?.arguments).toEqual({ a: "Lima" });
    });
});
