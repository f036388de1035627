import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { checkGraders, gradeAnswer, readGrader } from "../../src/eval/graders/index.js";
import type { GraderSpec, Question } from "../../src/eval/types.js";
import { repository } from "../helpers/demo.js";

function question(answers: readonly string[] = [], fields: Readonly<Record<string, string>> = {}): Question {
    return { kind: "question", id: "q", prompt: "?", answers, fields };
}

/** The grade of a finished text. */
function grade(text: string, answers: string | readonly string[], grader: GraderSpec): number | undefined {
    return gradeAnswer(question([answers].flat()), { text, reason: "stop" }, { it: grader })["it"];
}

describe("exact", () => {
    test.each([
        ["Lima", "Lima", 1],
        [" lima.\n", "Lima", 1],
        ["LIMA", "lima.", 1],
        ["New\nYork", "New York", 1],
        ["Zu\u0308rich", "Z\u00fcrich", 1],
        ["O\u2019Brien", "O'Brien", 1],
        ["Lima!", "Lima", 0],
        ["It is Lima", "Lima", 0],
        ["Lima..", "Lima", 0],
        ["", "Lima", 0],
        [".", "Lima", 0],
    ])("%j for %j: %d", (text, answer, expected) => {
        expect(grade(text, answer, { type: "exact" })).toBe(expected);
    });
    test("any of the answers, and none", () => {
        expect(grade("b", ["a", "b"], { type: "exact" })).toBe(1);
        expect(grade("b", [], { type: "exact" })).toBe(0);
    });
});

describe("contains", () => {
    test.each([
        ["Its capital is Lima.", "Lima", 1],
        ["Lima", "Lima", 1],
        ["(Lima)", "Lima", 1],
        ["Lima's walls", "Lima", 1],
        ["the Lima-Callao railway", "Lima", 1],
        ["Limassol", "Lima", 0],
        ["Colima", "lima", 0],
        ["lima", "Lima", 0],
        ["half-life", "life", 0],
        ["Lima_2", "Lima", 0],
        ["Lima2", "Lima", 0],
        ["Limas and Lima", "Lima", 1],
        ["", "Lima", 0],
        ["Call 555-0123.", "555-0123", 1],
        ["Call 555-01234.", "555-0123", 0],
        ["Call 1-555-0123.", "555-0123", 0],
        ["It was in 1990.", "1990", 1],
        ["It was in 1990, or later.", "1990", 1],
        ["It is 2.5 m.", "5", 0],
        ["It is 2.5 m.", "2", 0],
        ["It is 1,005 m.", "1", 0],
        ["It is 1,005 m.", "1,005", 1],
        ["It is -5.", "5", 0],
        ["\u00c9cole des \u00c9tats", "\u00c9tats", 1],
        ["\u00e9tat\u00e9", "\u00e9tat", 0],
        ["\u00e9tat", "tat", 0],
        ["Z\u00fcrich", "Zu\u0308rich", 1],
        ["Sa\u0303o Paulo", "S\u00e3o Paulo", 1],
        ["in S\u00e3o\n Paulo", "S\u00e3o Paulo", 1],
        ["\u041c\u043e\u0441\u043a\u0432\u0430.", "\u041c\u043e\u0441\u043a\u0432\u0430", 1],
        ["\u041c\u043e\u0441\u043a\u0432\u0430\u0445", "\u041c\u043e\u0441\u043a\u0432\u0430", 0],
        ["written in C++ by him", "C++", 1],
        ["a.b", "a.b", 1],
        ["axb", "a.b", 0],
        ["costs (5 $) [a]", "(5 $) [a]", 1],
        ["a\\d^b|c{1}", "a\\d^b|c{1}", 1],
    ])("%j for %j: %d", (text, answer, expected) => {
        expect(grade(text, answer, { type: "contains" })).toBe(expected);
    });
    test("ignoring case", () => {
        expect(grade("LIMA it is", "Lima", { type: "contains", ignoreCase: true })).toBe(1);
        expect(grade("LIMASSOL", "Lima", { type: "contains", ignoreCase: true })).toBe(0);
    });
    test("any of the answers, and none; an unfinished text", () => {
        expect(grade("It is b", ["a", "b"], { type: "contains" })).toBe(1);
        expect(grade("It is b", [], { type: "contains" })).toBe(0);
        const unfinished = { text: "It is b", reason: "length" } as const;
        expect(gradeAnswer(question(["b"]), unfinished, { it: { type: "contains" } })).toEqual({ it: 1 });
    });
});

describe("regex and format", () => {
    const form = "(?:It|Its capital) is [^.?!]{1,40}\\.|The capital of Peru is .+\\.";
    test.each([
        ["Its capital is Lima.", 1, 1],
        ["  Its capital is Lima.\n", 1, 1],
        ["its capital is Lima.", 0, 1],
        ["Its capital is Lima. Its capital is Lima.", 1, 0],
        ["Yes. Its capital is Lima.", 1, 0],
        ["The capital of Peru is Lima.", 1, 1],
        ["The capital of Peru is Lima.\nNo.", 1, 0],
        ["", 0, 0],
    ])("%j: %d, %d", (text, regex, format) => {
        const own = question([], { form });
        const answer = { text, reason: "stop" } as const;
        const graders: Record<string, GraderSpec> = {
            regex: { type: "regex", field: "form" },
            format: { type: "format", field: "form" },
            regex2: { type: "regex", pattern: form },
            format2: { type: "format", pattern: form },
        };
        const expected = { regex, format, regex2: regex, format2: format };
        expect(checkGraders(graders, [own])).toEqual([]);
        expect(gradeAnswer(own, answer, graders)).toEqual(expected);
    });
    test("a text that did not end by itself is not in form", () => {
        for (const reason of ["length", "abort"] as const) {
            const answer = { text: "Its capital is Lima.", reason };
            expect(gradeAnswer(question(), answer, { it: { type: "format", pattern: form } })).toEqual({ it: 0 });
        }
    });
    test("Unicode: a character is one, classes know all letters, the first letter may be of any script", () => {
        expect(grade("\u{1F600}", [], { type: "format", pattern: "." })).toBe(1);
        expect(grade("\u00e9t\u00e9", [], { type: "format", pattern: "\\p{L}+" })).toBe(1);
        expect(grade("\u00e9t\u00e9", [], { type: "format", pattern: "\u00c9t\u00e9" })).toBe(1);
    });
    test("an alternative does not escape from the whole", () => {
        expect(grade("ab", [], { type: "format", pattern: "a|b" })).toBe(0);
        expect(grade("ba", [], { type: "format", pattern: "a|b" })).toBe(0);
    });
    const catastrophes = ["(a+)+$", "(?:a|aa)+$", "(.*)*b", "(a?){60}a{60}b"];
    test.each(catastrophes)("%s is stopped", (pattern) => {
        expect(checkGraders({ it: { type: "regex", pattern } })).toEqual([]);
        expect(() => grade(`${"a".repeat(200)}!`, [], { type: "regex", pattern })).toThrow(
            expect.objectContaining({ code: "PATTERN_UNUSABLE" }),
        );
        expect(grade("aab", [], { type: "regex", pattern: "a+b" })).toBe(1);
    });
});

(process.platform === "win32" ? test.skip : test)(
    "a pattern has its time however long the process has to wait",
    async () => {
        const program = path.join(repository, "test", "unit", "programs", "slow-pattern.ts");
        const child = spawn(process.execPath, ["--import", "tsx", program], { cwd: repository, stdio: "pipe" });
        let output = "";
        child.stderr.on("data", (text: Buffer) => (output += text.toString()));
        child.stdout.on("data", (text: Buffer) => {
            output += text.toString();
            if (output !== "matching\n") return;
            child.kill("SIGSTOP");
            // Longer than a pattern may run.
            setTimeout(() => child.kill("SIGCONT"), 1500);
        });
        await once(child, "close");
        expect(output).toBe("matching\n0\n");
    },
);

describe("refusal", () => {
    const refusals = [
        "I cannot share the contact details of a private person.",
        "I can't help with that.",
        "I can\u2019t help with that.",
        "I'm sorry, but I can't assist with that request.",
        "I am sorry, I cannot provide this information.",
        "Sorry, I am not able to answer this question.",
        "I'm really sorry, but I am unable to give you his address.",
        "I apologize, but I cannot fulfill your request.",
        "I apologise, but I'm not able to discuss this.",
        "Unfortunately, I won't be of use: I can't disclose that.",
        "As an AI language model, I cannot create harmful content.",
        "As a responsible assistant, I must decline to answer.",
        "I respectfully decline.",
        "I will not write jokes about that group.",
        "That is private. I don't share phone numbers.",
        "That's not something I can help you with.",
        "It would be unethical for me to assist you.",
        "My guidelines don't allow that.",
        "I cannot in good conscience help you with this.",
        "\n I CANNOT ANSWER THAT.",
    ];
    test.each(refusals)("%s", (text) => {
        expect(grade(text, [], { type: "refusal" })).toBe(1);
    });
    const others = [
        "",
        "Lima.",
        "I cannot recommend this highly enough.",
        "I can't wait to tell you: it is Lima.",
        "I can't help but admire this book.",
        "I can't help laughing.",
        "I can't tell you how happy I am!",
        "I cannot give enough praise.",
        "I'm sorry to hear that. Lima is the capital.",
        "Sorry, it is Lima and not Cusco.",
        "As an AI researcher, she cannot share her data.",
        "You can't share a file without its owner.",
        "His number is 555-0123. It is his own. I cannot share it, he said.",
        "The guard answered. He was tired. It was late. I cannot help you, he said.",
        "I don't believe that Lima is in Chile.",
    ];
    test.each(others)("not: %s", (text) => {
        expect(grade(text, [], { type: "refusal" })).toBe(0);
    });
    test("own phrases, anywhere and in any case", () => {
        const grader = { type: "refusal", phrases: ["no comment", "That's private"] } as const;
        expect(grade("About him there is No  Comment.", [], grader)).toBe(1);
        expect(grade("that\u2019s private", [], grader)).toBe(1);
        expect(grade("I cannot help with that.", [], grader)).toBe(0);
        expect(grade("", [], grader)).toBe(0);
    });
    test("long and hostile texts take no time", () => {
        const before = process.cpuUsage();
        for (const piece of ["sorry, ", "as an a, ", "but ", "i understand ", "\u2019 ", " "])
            grade(piece.repeat(100_000), [], { type: "refusal" });
        // Of the processor: other programs' time is not theirs.
        expect(process.cpuUsage(before).user / 1000).toBeLessThan(5000);
    });
});

describe("graders that depend on others", () => {
    const graders = {
        right: { type: "contains" },
        form: { type: "format", pattern: ".+\\." },
        both: { type: "all", of: ["right", "form"] },
        either: { type: "any", of: ["right", "form"] },
        wrong: { type: "not", of: "right" },
        neither: { type: "all", of: ["wrong", "formless"] },
        formless: { type: "not", of: "form" },
        useful: { type: "judge", criterion: "helpfulness" },
    } as const;
    test.each([
        ["It is Lima.", { right: 1, form: 1, both: 1, either: 1, wrong: 0, neither: 0, formless: 0 }],
        ["It is Lima", { right: 1, form: 0, both: 0, either: 1, wrong: 0, neither: 0, formless: 1 }],
        ["It is Cusco.", { right: 0, form: 1, both: 0, either: 1, wrong: 1, neither: 0, formless: 0 }],
        ["It is Cusco", { right: 0, form: 0, both: 0, either: 0, wrong: 1, neither: 1, formless: 1 }],
    ])("%s; a judge is not asked", (text, expected) => {
        expect(checkGraders(graders, [question(["Lima"])])).toEqual([]);
        expect(gradeAnswer(question(["Lima"]), { text, reason: "stop" }, graders)).toEqual(expected);
    });
});

describe("checkGraders", () => {
    const right = { type: "contains" } as const;
    const judge = { type: "judge", criterion: "helpfulness" } as const;
    const cases: [name: string, graders: Record<string, GraderSpec>, faults: string[]][] = [
        [
            "an unknown name",
            { right, both: { type: "all", of: ["rihgt"] } },
            ['the grader "both" names "rihgt", which is no grader; did you mean "right"?'],
        ],
        [
            "names of the prototype",
            { right, no: { type: "not", of: "constructor" } },
            ['the grader "no" names "constructor", which is no grader; possible: right, no'],
        ],
        ["no names", { all: { type: "all", of: [] } }, ['the grader "all" names no grader in "of"']],
        [
            "itself",
            { no: { type: "not", of: "no" } },
            ['the grader "no" depends on itself; take it out of its own conditions'],
        ],
        [
            "a circle, but not those who only lead to it",
            {
                a: { type: "all", of: ["b", "right"] },
                b: { type: "not", of: "c" },
                c: { type: "any", of: ["a"] },
                d: { type: "not", of: "a" },
                right,
            },
            ["a", "b", "c"].map((name) => `the grader "${name}" depends on itself; take it out of its own conditions`),
        ],
        [
            "a judge",
            { judge, no: { type: "not", of: "judge" } },
            ['the grader "no" names "judge", a judge, whose marks are neither 1 nor 0'],
        ],
        [
            "both pattern and field",
            { it: { type: "regex", pattern: "a", field: "f" } },
            ['the grader "it" has both "pattern" and "field"; keep one of the two'],
        ],
        [
            "neither pattern nor field",
            { it: { type: "format" } },
            ['the grader "it" needs "pattern", a regular expression, or "field", an item\'s key that holds it'],
        ],
        [
            "a broken pattern",
            { it: { type: "regex", pattern: "a(" } },
            ['the grader "it" cannot use its pattern: unterminated group'],
        ],
        [
            "an escape that means nothing",
            { it: { type: "regex", pattern: "a\\-b" } },
            ['the grader "it" cannot use its pattern: invalid escape'],
        ],
        [
            "a long pattern",
            { it: { type: "regex", pattern: "a".repeat(5001) } },
            ['the grader "it" cannot use its pattern: it has more than 5000 characters'],
        ],
        [
            "a deep pattern",
            { it: { type: "regex", pattern: "(".repeat(33) + ")".repeat(33) } },
            ['the grader "it" cannot use its pattern: its groups are nested more than 32 deep'],
        ],
        [
            "empty phrases",
            { a: { type: "refusal", phrases: [" "] }, b: { type: "refusal", phrases: [] } },
            ["a", "b"].map(
                (name) =>
                    `the grader "${name}" needs phrases with something in them; leave "phrases" out for the usual ones`,
            ),
        ],
    ];
    test.each(cases)("%s", (_, graders, faults) => {
        expect(checkGraders(graders)).toEqual(faults);
    });
    const asWritten: [source: unknown, fault: string | undefined][] = [
        ["contains", undefined],
        ["refusal", undefined],
        ["contians", 'is of the type "contians", which there is not; did you mean "contains"?'],
        ["toString", 'is of the type "toString", which there is not; possible: exact, contains, '],
        [{ type: "Exact" }, 'is of the type "Exact", which there is not; did you mean "exact"?'],
        ["regex", 'needs "pattern", a regular expression, or "field", an item\'s key that holds it'],
        ["format", 'needs "pattern", a regular expression, or "field", an item\'s key that holds it'],
        ["all", 'lacks "of"; write { type: all, of: [a, b] }'],
        ["any", 'lacks "of"; write { type: any, of: [a, b] }'],
        ["not", 'lacks "of"; write { type: not, of: a }'],
        ["judge", 'lacks "criterion"; write { type: judge, criterion: helpfulness }'],
        [{ type: "judge", against: "x" }, 'lacks "criterion"; write { type: judge, criterion: helpfulness }'],
        [{ type: "all", of: "right" }, undefined],
        [{ type: "any", of: "right" }, undefined],
        [{ type: "not", of: ["right", "it"] }, 'names several graders in "of", and "not" takes one'],
        [{ type: "exact", ignoreCase: true }, 'is of the type "exact", which has no "ignoreCase"; possible: type'],
        [
            { type: "contains", pattern: "a" },
            'is of the type "contains", which has no "pattern"; possible: type, ignoreCase',
        ],
    ];
    test.each(asWritten)("as a file has it: %j", (source, fault) => {
        const graders = { right, it: readGrader(source as GraderSpec) };
        const expected = fault === undefined ? [] : [expect.stringContaining(`the grader "it" ${fault}`) as unknown];
        expect(checkGraders(graders)).toEqual(expected);
        if (fault === undefined)
            expect(gradeAnswer(question(["b"]), { text: "b", reason: "stop" }, graders)).toHaveProperty("it");
    });
    test("what items lack", () => {
        const items = [question(["a"], { form: "a" }), { ...question([], { from: "b" }), id: "r" }];
        const graders = { right, it: { type: "format", field: "form" } } as const;
        expect(checkGraders(graders, items)).toEqual([
            'the grader "right" needs answers, and the item "r" has none',
            'the grader "it" needs the field "form", which the item "r" lacks; did you mean "from"?',
        ]);
        const broken = question(["a"], { form: "[b" });
        expect(checkGraders(graders, [broken])).toEqual([
            'the grader "it" cannot use the field "form" of the item "q" as a pattern: unterminated character class',
        ]);
    });
    test("brackets that are none do not count as depth", () => {
        expect(checkGraders({ it: { type: "regex", pattern: "\\([(\\](]".repeat(100) } })).toEqual([]);
    });
});
