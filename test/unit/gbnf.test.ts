/** What is found wrong with a grammar, and that llama.cpp takes what passes. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { demoFile } from "../helpers/demo.js";
import { openGrammarOracle, type GrammarOracle } from "../helpers/grammar-oracle.js";

let oracle: GrammarOracle;
beforeAll(async () => {
    oracle = await openGrammarOracle(demoFile("small-base"));
});
afterAll(() => oracle.dispose());

test.each<[string, string, string]>([
    ["nothing", "", "line 1, column 1): there is no rule `root`"],
    ["a comment alone", "# root", "there is no rule `root`"],
    ["another start symbol", 'start ::= "a"', "there is no rule `root`"],
    ["an unknown rule", 'root ::= "a" |\n  b "c" | digits', "line 2, column 3): there is no rule `b`"],
    [
        "a rule that is defined twice",
        'root ::= "a"\nroot ::= "b"',
        "line 2, column 1): the rule `root` is defined twice",
    ],
    ["no name", '::= "a"', 'column 1): a rule begins with its name, not with ":"'],
    ["a name that is none", 'a_b ::= "a"', "column 2): `::=` is missing"],
    ["no definition", "root", "`::=` is missing before the end"],
    ["an open text", 'root ::= "abc', "column 14): it ends inside quotes or brackets"],
    ["an open range", "root ::= [a-", "it ends inside quotes or brackets"],
    ["an empty range", "root ::= [^]", "these brackets are empty"],
    ["an unknown escape", String.raw`root ::= "\d"`, "column 11): no such escape"],
    ["a short escape", String.raw`root ::= "\u12"`, "no such escape"],
    ["an open group", 'root ::= ("a" | "b"', "a `)` is missing before the end"],
    ["a group that was not opened", 'root ::= "a")', '")" is not expected here'],
    ["something else", 'root ::= "a" & "b"', 'column 14): "&" is not expected here'],
    ["a repetition of nothing", "root ::= *", "there is nothing before it to repeat"],
    ["a repetition without numbers", 'root ::= "a"{x}', "a number of repetitions is written"],
    ["a range without numbers", 'root ::= "a"{3,2}', "{3,2} is a range without numbers"],
    ["a huge repetition", 'root ::= "a"{0,100000}', "at most 2000 repetitions"],
    ["a repetition beyond all numbers", `root ::= "a"{${"9".repeat(400)}}`, "at most 2000 repetitions"],
    ["repetitions of repetitions", 'root ::= ("a"{100} "b"){100}{100}', "more than 2000 together"],
    ["what grows too large", `root ::= ${'"abcdefghij"{2000} '.repeat(6)}`, "more than 100000 elements"],
    ["a repetition of what may be empty", 'root ::= ("a"*)*', "repeats something that may be empty"],
    ["the same behind a rule", 'root ::= maybe{3}\nmaybe ::= "a"?', "repeats something that may be empty"],
    ["left recursion", 'root ::= root "a" | "b"', "`root` may begin with itself"],
    ["left recursion through others", 'root ::= "x" a\na ::= b "y"\nb ::= ("q" | a) "z"', "may begin with itself"],
    ["left recursion behind what may be empty", 'root ::= a root "b" | "c"\na ::= d d\nd ::= "e"?', "`root` may begin"],
    ["a rule that is itself", "root ::= root", "`root` may begin with itself"],
    ["deep nesting", `root ::= ${"(".repeat(100_000)}`, "nested more than 100 deep"],
    ["what is too long", `root ::= "a"${" ".repeat(2 ** 20)}`, "it is longer than 1048576 characters"],
    ["a long text", `root ::= "${"a".repeat(2 ** 19)}"`, "more than 100000 elements"],
    ["a long set", `root ::= [${"ab".repeat(2 ** 18)}]`, "more than 100000 elements"],
    ["a long run of signs", `root ::= "a"${"?".repeat(2 ** 19)}`, "more than 100000 elements"],
    [
        "a long circle",
        `root ::= r0\n${Array.from({ length: 20_000 }, (_, i) => `r${i} ::= r${(i + 1) % 20_000}`).join("\n")}`,
        "may begin with itself",
    ],
    ["a NUL character", 'root ::= "a\0b"', "column 12): a NUL character"],
    ["a token without a name", "root ::= <>", "a token is written"],
])("refuses %s", (_name, text, message) => {
    expect(() => readGbnf(text)).toThrow(expect.objectContaining({ code: "GRAMMAR_INVALID" }));
    expect(() => readGbnf(text)).toThrow(message);
});

describe("what it lets pass, llama.cpp takes:", () => {
    test.each<[string, string]>([
        ["a text", 'root ::= "a"'],
        ["an empty text", 'root ::= "" | "a"'],
        ["no text at all", "root ::="],
        [
            "comments, empty lines and Windows line ends",
            '# one\r\n\r\nroot ::= "a" |\r\n  b # two\r\n\r\nb ::= "b"\r\n# end',
        ],
        ["alternatives over lines", 'root ::= (\n "a" # one\n | "b"\n)\n'],
        ["ranges", String.raw`root ::= [a-zA-Z0-9_.-] [^\]\\"-] [-a] [a-] . [^\x00-\x1F\u00e9\U0001F600é😀]`],
        ["escapes", String.raw`root ::= "\"\\\[\]\-\n\r\t\x41\u0042\U00000043"`],
        ["repetitions", 'root ::= "a"* "b"+ "c"? "d"{3} "e"{3,} "f"{0,2000} ("g" | "h"){ 1 , 4 } "i"{0}'],
        ["repetitions in repetitions", 'root ::= ("a"{10} "b"){10}{10}'],
        ["recursion", 'root ::= "(" root ")" | list\nlist ::= "x" ("," list)?'],
        ["rules that are not used", 'root ::= "a"\nother ::= other2 "b"\nother2 ::= "c"?'],
        ["tokens", "root ::= <[5]> !<[6]>"],
        ["a hundred groups", `root ::= ${"(".repeat(100)}"a"${")".repeat(100)}`],
        [
            "many rules",
            `root ::= r0\n${Array.from({ length: 3000 }, (_, i) => `r${i} ::= "a" r${i + 1}`).join("\n")}\nr3000 ::= "b"`,
        ],
    ])("%s", async (_name, text) => {
        readGbnf(text);
        await oracle.start(text);
    });

    // llama.cpp recurses, or takes time that grows with a power of the length, where this does not.
    test.each<[string, string]>([
        ["long runs of signs", `root ::= "a"${"?".repeat(5000)} "b"${"{1}".repeat(5000)} ("c"+)${"?".repeat(5000)}`],
        ["many optional characters", `root ::= ${"[a-z ]? ".repeat(10_000)}`],
        ["many repetitions", `root ::= ${'"a"{0,40} '.repeat(500)}`],
        [
            "a long chain of rules",
            `root ::= a0 "x"\n${Array.from({ length: 20_000 }, (_, i) => `a${i} ::= a${i + 1}`).join("\n")}\na20000 ::= ""`,
        ],
        [
            "many users of one rule",
            `root ::= b0\nx ::= "y"\n${Array.from({ length: 30_000 }, (_, i) => `b${i} ::= x`).join("\n")}`,
        ],
        ["many alternatives", `root ::= ${Array.from({ length: 15_000 }, (_, i) => `"${i}"`).join(" | ")}`],
        ["many comments", `root ::= "a"\n${"# b\n".repeat(200_000)}`],
    ])("%s, at any length", (_name, text) => {
        readGbnf(text);
    });

    test("and tells the tokens that are named", () => {
        expect(readGbnf("root ::= <[5]> (!<[6]> | <s>)*").tokens).toEqual([{ id: 5 }, { id: 6 }, { text: "<s>" }]);
    });
});
