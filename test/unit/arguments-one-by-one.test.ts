/** Arguments that templates write one by one are read back as the values that they were. */

import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { tryCalls, type CallSyntax } from "../../src/prompts/call-syntax.js";
import type { PairSyntax } from "../../src/prompts/pair-syntax.js";
import { writeCalls } from "../../src/prompts/tool-messages.js";
import { callGrammar } from "../../src/tools/call-grammar.js";
import { endOfName, readMarkedValue } from "../../src/tools/marked-value.js";
import type { JsonValue } from "../../src/types.js";
import { cut, readPieces, TEXT_MARKS } from "../helpers/answers.js";
import { createRandom, createReader, createWalker } from "../helpers/grammar-texts.js";
import { readPublicTemplates, sampleOf } from "../helpers/public-templates.js";

const QUESTION = { role: "user", content: "Which is it?" } as const;
const TEXT = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 12 }),
    fc.constantFrom('a "b", {c: [d]}', "}]", "it's, \\n", "two\nlines", "Zoë, Ωμέγα: 東京", "x:{y}", "\\"),
);
const NAME = fc.constantFrom("city", "é", "x:y", "a b", "東京", "__proto__", "a-b.c", "a,b");
const SCALAR = fc.oneof(
    TEXT,
    fc.integer(),
    fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    fc.constantFrom(null, true, false),
);
const dictionary = (value: fc.Arbitrary<JsonValue>, minLength = 0) =>
    fc
        .uniqueArray(fc.tuple(NAME, value), { minLength, maxLength: 3, selector: ([name]) => name })
        .map((entries) => Object.fromEntries(entries) as Readonly<Record<string, JsonValue>>);
const VALUE = fc.oneof(
    SCALAR,
    fc.array(SCALAR, { maxLength: 3 }),
    dictionary(SCALAR),
    fc.array(dictionary(SCALAR), { maxLength: 2 }),
);

function textsOf(value: JsonValue): readonly string[] {
    if (typeof value === "string") return [value];
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([name, each]) => [name, ...textsOf(each)]);
}

/**
 * What is left out: texts with the family's marks in them, with white space around them, which belongs to the marks, or with `<` and
 * `>`, which some templates escape.
 */
function canSay(values: JsonValue, { before, text, other }: PairSyntax): boolean {
    const marks = [before, text.middle, text.end, other.end]
        .map((mark) => mark.trim())
        .filter((mark) => mark.length > 1);
    return textsOf(values).every(
        (each) => each === each.trim() && !/[<>]/.test(each) && !marks.some((mark) => each.includes(mark)),
    );
}

test("what templates write", async () => {
    let count = 0;
    const failures: string[] = [];
    for (const [name, source] of await readPublicTemplates()) {
        const render = sampleOf(source);
        const { syntax, wantsText = false } = tryCalls(render, ["<|im_end|>", "</s>"], false) ?? {};
        if (syntax?.pairs === undefined) continue;
        const { pairs } = syntax;
        count++;
        const property = fc.property(dictionary(VALUE, 1), fc.integer({ min: 1, max: 9 }), (values, length) => {
            fc.pre(canSay(values, pairs));
            const called = { name: "find", arguments: wantsText ? JSON.stringify(values) : values };
            const call = { id: "call00000", type: "function", function: called };
            const text = render(
                [QUESTION, { role: "assistant", content: "", tool_calls: [call] }],
                { tools: [] },
                false,
            );
            const from = text.indexOf(syntax.open, text.lastIndexOf(QUESTION.content));
            const to = text.indexOf(syntax.close.trim(), from);
            const isText = (_: string, argument: string): boolean => typeof values[argument] === "string";
            const answer = text.slice(from, to + syntax.close.trim().length);
            const { calls } = readPieces(cut(answer, [length]), { syntax, tools: ["find"], isText });
            expect(calls.map((each) => each.arguments)).toEqual([JSON.parse(JSON.stringify(values))]);
        });
        const result = fc.check(property, { numRuns: 60 });
        if (result.failed)
            failures.push(
                `${name}: ${JSON.stringify(result.counterexample)} ${String(result.errorInstance).slice(0, 600)}`,
            );
    }
    expect(failures).toEqual([]);
    expect(count).toBeGreaterThan(15);
});

test("a text that a template puts into a quote is read without it, and forced with it", async () => {
    const source = (await readPublicTemplates()).get("openbmb-MiniCPM5-1B.jinja") as string;
    const render = sampleOf(source);
    const syntax = tryCalls(render, ["<|im_end|>"], false)?.syntax as CallSyntax;
    expect(syntax.pairs?.quote).toEqual({ begin: "<![CDATA[", end: "]]>" });
    const properties = { text: { type: "string" }, choice: { enum: ["a < b", "c"] } } as const;
    const tool = { name: "find", description: undefined, parameters: { type: "object", properties } as const };
    const gbnf = readGbnf(`root ::= calls\n${callGrammar([tool], syntax, TEXT_MARKS, true)}`);
    const readAll = (answer: string) =>
        [1, 5, 1000].map(
            (length) =>
                readPieces(cut(answer, [length]), { syntax, tools: ["find"], isText: (_, name) => name !== "other" })
                    .calls,
        );
    const texts = [
        "Lima",
        "a < b",
        "Rio & Santos",
        "one\ntwo",
        '<param name="x">y</param></function>',
        "<![CDATA[",
        "",
        "]]",
    ];
    for (const text of texts) {
        const values = { text, choice: "a < b" };
        const message = {
            role: "assistant",
            content: "",
            tool_calls: [{ type: "function", function: { name: "find", arguments: values } }],
        } as const;
        const shown = render([QUESTION, message], { tools: [] }, false);
        const answer = shown.slice(shown.indexOf("<function"), shown.lastIndexOf("<|im_end|>"));
        // It writes calls twice, which models do not.
        const [one = ""] = answer.split('\n<function name="find">');
        for (const calls of readAll(one)) expect(calls.map((call) => call.arguments)).toEqual([values]);
        expect([text, createReader(gbnf)(one)]).toEqual([text, true]);
        expect(writeCalls([{ id: "", name: "find", values }], syntax)).toBe(one);
    }
    const walk = createWalker(gbnf);
    for (let seed = 0; seed < 50; seed++)
        for (const calls of readAll(walk(createRandom(seed)))) expect(calls).toHaveLength(1);
});

test.each([
    ["\n", "\n"],
    ["\n", ""],
    ["", "\n"],
    ["  ", ""],
])("a quote behind %j and in front of %j is no part of a text either", (front, back) => {
    const marks = { middle: `>${front}`, end: `${back}</param>` };
    const pairs = { before: "<param=", between: "", text: marks, other: marks };
    const open = "<call>";
    const syntax: CallSyntax = {
        ...{ open, call: ["name", { text: ":" }, "arguments"], between: undefined, close: "</call>" },
        pairs: { ...pairs, quote: { begin: "<![CDATA[", end: "]]>" } },
    };
    for (const text of ["Lima", "a < b", "one\ntwo", "\n a & b \n", "<![CDATA[", "]]", "<"]) {
        const values = { text, days: 3, more: text };
        const answer = writeCalls([{ id: "", name: "find", values }], syntax);
        for (const length of [1, 5, 1000]) {
            const isText = (_: string, name: string) => name !== "days";
            const { calls } = readPieces(cut(answer, [length]), { syntax, tools: ["find"], isText });
            expect(calls.map((call) => call.arguments)).toEqual([values]);
        }
    }
});

test.each<[string, JsonValue]>([
    ["{a:<>}, ]<>,b:[1,<>{<>],x:y:5}", { a: "}, ]", b: [1, "{"], "x:y": 5 }],
    ["{'a': True, 'b': [None, 'it\\'s']}", { a: true, b: [null, "it's"] }],
    ['{"a":"\\u00e9\\n","b":{}}', { a: "é\n", b: {} }],
    ["{é:word}", { é: "word" }],
])("%s", (written, value) => {
    expect(readMarkedValue(written, 0, "<>")).toEqual({ value, to: written.length });
    for (let length = 0; length < written.length; length++)
        expect(readMarkedValue(written.slice(0, length), 0, "<>")).toBe("unfinished");
});

test.each(['["a" "b"]', '{"k" 1}', "[[1}", "[".repeat(201)])("%s is no value", (written) => {
    expect(readMarkedValue(`${written},`, 0, "<>")).toBe("none");
});

test("a name ends at the colon that has a value behind it", () => {
    expect(endOfName("x:y:5,", 0, "<>")).toBe(3);
    expect(endOfName("x:<>y:5<>", 0, "<>")).toBe(1);
    expect(endOfName("x:y", 0, "<>")).toBeUndefined();
});

/**
 * How many characters are looked through: by expressions, for a text, and by taking pieces out. What goes to the end is no piece:
 * nothing is copied for it.
 */
function charactersRead(read: () => unknown): number {
    let count = 0;
    /* eslint-disable @typescript-eslint/unbound-method -- they are called with their texts */
    const { indexOf, slice } = String.prototype;
    // By which all other methods that take an expression look, too.
    const { exec } = RegExp.prototype;
    /* eslint-enable @typescript-eslint/unbound-method */
    const spies = [
        jest.spyOn(RegExp.prototype, "exec").mockImplementation(function (this: RegExp, text) {
            const from = this.global || this.sticky ? this.lastIndex : 0;
            const found = exec.call(this, text);
            const isAnchored = this.sticky || this.source.startsWith("^");
            const to = found === null ? (isAnchored ? from : text.length) : found.index + found[0].length;
            count += to - from + 1;
            return found;
        }),
        jest.spyOn(String.prototype, "indexOf").mockImplementation(function (this: string, part, from = 0) {
            const at = indexOf.call(this, part, from);
            count += (at < 0 ? this.length : at + 1) - from;
            return at;
        }),
        jest.spyOn(String.prototype, "slice").mockImplementation(function (this: string, from, to) {
            const piece = slice.call(this, from, to);
            if (to !== undefined) count += piece.length;
            return piece;
        }),
    ];
    try {
        read();
    } finally {
        for (const spy of spies) spy.mockRestore();
    }
    return count;
}

test.each([
    ["colons", (length: number) => `{k:{${":".repeat(length)}}}`],
    ["colons and blanks", (length: number) => `{${": ".repeat(length)}}`],
    ["names with a colon", (length: number) => `{${"a:b:c,".repeat(length)}d:1}`],
    ["colons without an end", (length: number) => `{${"a:".repeat(length)}`],
])("%s are read in a time that grows with their number", (_what, write) => {
    const [few, many] = [100, 3000].map((length) => charactersRead(() => readMarkedValue(write(length), 0, "<>")));
    expect(few).toBeGreaterThan(100);
    expect(many).toBeLessThan(2 * 30 * (few ?? 0));
});
