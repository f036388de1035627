import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { EftError } from "../../src/errors.js";
import { readItems } from "../../src/eval/tasks.js";
import type { Item } from "../../src/eval/types.js";
import { temporaryFolder } from "../helpers/temporary.js";

let file: string;
let remove: () => void;
beforeAll(() => {
    const temporary = temporaryFolder();
    file = path.join(temporary.folder, "task.jsonl");
    remove = temporary.remove;
});
afterAll(() => remove());

function read(content: string | Buffer): Promise<Item[]> {
    writeFileSync(file, content);
    return readItems(file);
}

/** Lines of objects. */
const lines = (...values: unknown[]): string => values.map((value) => JSON.stringify(value)).join("\n");

/** The item of a line, without its id. */
async function itemOf(value: unknown): Promise<unknown> {
    const [item] = await read(lines(value));
    const { id, ...rest } = item ?? { id: "" };
    return id === "1" ? rest : { id, ...rest };
}

async function failure(content: string | Buffer): Promise<{ code: string; message: string }> {
    try {
        await read(content);
    } catch (error) {
        if (EftError.isInstance(error)) return { code: error.code, message: error.message.replaceAll(file, "t") };
        throw error;
    }
    throw new Error("Nothing was thrown.");
}

describe("our own shapes", () => {
    test("a question", async () => {
        const value = {
            ...{ id: "peru", prompt: "Capital of Peru?", answer: "Lima", group: "head" },
            ...{ form: "Lima\\.", relation: "capital", rank: 3 },
        };
        expect(await itemOf(value)).toEqual({
            ...{ id: "peru", group: "head", kind: "question", prompt: "Capital of Peru?", answers: ["Lima"] },
            fields: { prompt: "Capital of Peru?", answer: "Lima", form: "Lima\\.", relation: "capital" },
        });
    });
    test("a question with several answers, and one with none", async () => {
        expect(await itemOf({ prompt: "Q", answer: ["a", "b"] })).toMatchObject({ answers: ["a", "b"] });
        expect(await itemOf({ prompt: "Q" })).toMatchObject({ answers: [] });
    });
    test("a choice, taken as it is", async () => {
        expect(await itemOf({ prompt: "Q", choices: ["x", " y"], correct: 1 })).toEqual({
            ...{ kind: "choice", prompt: "Q", choices: ["x", " y"], correct: 1 },
        });
    });
    test("a passage", async () => {
        expect(await itemOf({ id: 7, text: "Once upon a time." })).toEqual({
            ...{ id: "7", kind: "passage", text: "Once upon a time." },
        });
    });
});

describe("shapes of data sets", () => {
    const capital = { kind: "choice", prompt: "Capital of Peru?", choices: [" Cusco", " Lima"], correct: 1 };
    const text = ["Cusco", "Lima"];
    const pairs = [
        { text: "Cusco", label: "A" },
        { text: "Lima", label: "B" },
    ];
    const choices: [name: string, line: object, item: object][] = [
        [
            "MMLU with an index",
            { question: "Capital of Peru?", subject: "geography", choices: text, answer: 1 },
            { ...capital, group: "geography" },
        ],
        ["MMLU with a letter", { question: "Capital of Peru?", choices: text, answer: "B" }, capital],
        [
            "ARC",
            { id: "x1", question: "Capital of Peru?", choices: { text, label: ["A", "B"] }, answerKey: "B" },
            { ...capital, id: "x1" },
        ],
        [
            "ARC with numbers",
            { question: "Capital of Peru?", choices: { text, label: ["1", "2"] }, answerKey: "2" },
            capital,
        ],
        [
            "OpenBookQA",
            { question_stem: "Capital of Peru?", choices: { text, label: ["A", "B"] }, answerKey: "B" },
            capital,
        ],
        [
            "CommonsenseQA",
            {
                question: "Capital of Peru?",
                question_concept: "x",
                choices: { label: ["A", "B"], text },
                answerKey: "B",
            },
            capital,
        ],
        [
            "the authors' files of these",
            { answerKey: "B", id: "x1", question: { stem: "Capital of Peru?", choices: pairs } },
            { ...capital, id: "x1" },
        ],
        [
            "HellaSwag",
            { ind: 3, ctx: "Capital of Peru?", ctx_a: "Capital", ctx_b: "of Peru?", endings: text, label: 1 },
            capital,
        ],
        ["HellaSwag with labels as texts", { ctx: "Capital of Peru?", endings: text, label: "1" }, capital],
        [
            "TruthfulQA",
            { question: "Capital of Peru?", mc1_targets: { choices: text, labels: [0, 1] }, mc2_targets: {} },
            capital,
        ],
        [
            "BoolQ",
            { question: "is lima in peru", title: "Lima", answer: true, passage: "Lima is in Peru." },
            {
                kind: "choice",
                prompt: "Lima is in Peru.\n\nQuestion: is lima in peru?",
                choices: [" no", " yes"],
                correct: 1,
            },
        ],
    ];
    test.each(choices)("%s", async (_, line, item) => {
        expect(await itemOf(line)).toEqual(item);
    });

    const questions: [name: string, line: object, item: object][] = [
        [
            "TruthfulQA, generation",
            {
                question: "Q?",
                category: "Myths",
                best_answer: "a",
                correct_answers: ["a", "b"],
                incorrect_answers: ["c"],
            },
            { group: "Myths", prompt: "Q?", answers: ["a", "b"] },
        ],
        [
            "TriviaQA",
            { question: "Q?", question_id: "tc_1", answer: { value: "Lima", aliases: ["Lima", "City of Kings"] } },
            { id: "tc_1", prompt: "Q?", answers: ["Lima", "City of Kings"] },
        ],
        ["GSM8K", { question: "Q?", answer: "4 x 18 = 72\n#### 72" }, { prompt: "Q?", answers: ["72"] }],
        ["GSM8K, thousands", { question: "Q?", answer: "so\n#### 1,072" }, { answers: ["1,072", "1072"] }],
        ["Natural Questions", { question: "q", answer: ["a", "b"] }, { prompt: "q", answers: ["a", "b"] }],
        [
            "SQuAD",
            { id: "s", title: "T", context: "C.", question: "Q?", answers: { text: ["a", "a"], answer_start: [0, 0] } },
            { id: "s", prompt: "C.\n\nQ?", answers: ["a", "a"] },
        ],
        ["SQuAD 2, unanswerable", { question: "Q?", context: "C.", answers: { text: [] } }, { answers: [] }],
        ["Alpaca", { instruction: "Do.", input: "", output: "Done." }, { prompt: "Do.", answers: ["Done."] }],
        ["Alpaca with input", { instruction: "Do.", input: "It.", output: "Done." }, { prompt: "Do.\n\nIt." }],
        [
            "Dolly",
            { instruction: "Do.", context: "It.", response: "Done.", category: "qa" },
            { prompt: "Do.\n\nIt.", answers: ["Done."], group: "qa" },
        ],
    ];
    test.each(questions)("%s", async (_, line, item) => {
        expect(await itemOf(line)).toMatchObject({ kind: "question", ...item });
    });
});

describe("files", () => {
    test("byte order mark, carriage returns, empty lines, no line end", async () => {
        const items = await read('\uFEFF{"text": "a"}\r\n\r\n  \n{"text": "\u00e9\u{1F600}"}');
        expect(items).toEqual([
            { id: "1", kind: "passage", text: "a" },
            { id: "4", kind: "passage", text: "\u00e9\u{1F600}" },
        ]);
    });
    test("characters and lines that are cut by the pieces a file is read in", async () => {
        const texts = Array.from({ length: 3000 }, (_, i) => `${"\u20ac".repeat(i % 97)}${i}`);
        const items = await read(lines(...texts.map((text) => ({ text }))));
        expect(items.map((item) => item.kind === "passage" && item.text)).toEqual(texts);
    });
    test("a key named like the prototype is a field as any other", async () => {
        const [item] = await read('{"prompt": "Q", "__proto__": "x"}');
        expect(item?.kind === "question" && Object.hasOwn(item.fields, "__proto__")).toBe(true);
    });
    test("a file that does not exist, and a folder", async () => {
        await expect(readItems(`${file}.no`)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
        await expect(readItems(path.dirname(file))).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    });
});

describe("lines that are not JSON", () => {
    const start = "this is not JSON: ";
    const cases: [line: string, column: number, message: string][] = [
        [
            '{"text": "a",}',
            14,
            `${start}a key in double quotes has to stand here, or a comma before the } is one too many`,
        ],
        ["{'text': 'a'}", 2, `${start}a text needs double quotes around it`],
        ['{"text" "a"}', 9, `${start}a colon is missing after the key`],
        ['{"text": "a" "id": 1}', 14, `${start}a comma is missing before this`],
        ['{"text": "a', 10, `${start}the " that ends this text is missing; write line breaks in texts as \\n`],
        ['{"text": "a"', 13, `${start}the } is missing; an object must not go on in the next line`],
        ['{"text": NaN}', 10, `${start}a text needs double quotes around it`],
        ['{"text": "a"} // c', 15, `${start}there are no comments in JSON`],
        ['{"text": "a"} {}', 15, `${start}the object ends before this; write the next one in a line of its own`],
        [
            '{"text": "a\tb"}',
            10,
            `${start}this text has a tab or another control character in it; write \\t or \\u and its number`,
        ],
        [
            '{"prompt": "a", "choices": ["b",]}',
            33,
            `${start}a value has to stand here, or a comma before the ] is one too many`,
        ],
        ["[", 1, 'a task file has one JSON object a line, such as {"prompt": "...", "answer": "..."}'],
        ["hello", 1, 'a task file has one JSON object a line, such as {"prompt": "...", "answer": "..."}'],
    ];
    test.each(cases)("%s", async (line, column, message) => {
        expect(await failure(`{"text": "fine"}\n${line}`)).toEqual({
            code: "TASK_INVALID",
            message: `t:2:${column}: ${message}`,
        });
    });
    test("an escape that does not exist", async () => {
        const { message } = await failure('{"text": "\\q"}');
        expect(message).toMatch(/^t:1:10: this is not JSON: of backslashes there are/);
    });
    test("nested beyond every stack", async () => {
        const depth = 400_000;
        expect((await failure(`{"text": ${"[".repeat(depth)}`)).message).toMatch(/^t:1:1: this is not JSON: /);
        const { message } = await failure(`{"text": ${"[".repeat(depth)}${"]".repeat(depth)}}`);
        expect(message).toBe('t:1:1: "text" must be a text that is not empty');
    });
});

describe("objects that are no items", () => {
    const cases: [line: object, place: string, message: string][] = [
        [{}, "{}", "this object is empty"],
        [
            { promt: "Q" },
            '{"promt"',
            'this object has no prompt, question, instruction or text; key "promt": did you mean "prompt"?',
        ],
        [{ prompt: "Q", answer: 4 }, "4}", '"answer" must be a text that is not empty'],
        [{ prompt: " " }, '" "', '"prompt" must be a text that is not empty'],
        [{ prompt: "Q", answer: ["a", 4] }, "4]", '"answer.1" must be a text that is not empty'],
        [
            { prompt: "Q", choices: ["a", "b"] },
            '{"prompt"',
            '"correct" is missing; it must be the index of the right choice, 0 to 1',
        ],
        [
            { prompt: "Q", choices: ["a", "b"], correct: 2 },
            "2}",
            '"correct" must be the index of the right choice, 0 to 1',
        ],
        [{ prompt: "Q", choices: ["a"], correct: 0 }, '["a"]', "there must be at least two choices"],
        [{ prompt: "Q", choices: "ab", correct: 0 }, '"ab"', '"choices" must be a list'],
        [
            { question: "Q", choices: ["a", "b"], answer: "C" },
            '"C"',
            '"answer" must be the index of the right choice, 0 to 1, or its letter',
        ],
        [
            { question: "Q", choices: { text: ["a", "b"], label: ["A", "B"] }, answerKey: "" },
            '""',
            '"answerKey" must be one of the labels A, B',
        ],
        [
            { question: "Q", choices: { text: ["a", "b"] }, answerKey: "A" },
            '{"text"',
            '"choices.label" is missing; it must be a list',
        ],
        [{ ctx: "c", endings: ["a", "b"], label: "" }, '""}', '"label" must be the index of the right choice, 0 to 1'],
        [
            { question: "Q", mc1_targets: { choices: ["a", "b"], labels: [1, 1] } },
            "[1,1]",
            '"mc1_targets.labels" must have a 1 for one choice and a 0 for each other',
        ],
        [{ question: "Q", passage: "p", answer: "yes" }, '"yes"', '"answer" must be true or false'],
        [
            { question: "Q", answer: { aliases: [] } },
            '{"aliases"',
            '"answer.value" is missing; it must be a text that is not empty',
        ],
        [{ text: "a", id: null }, "null", '"id" must be a text or a number'],
    ];
    test.each(cases)("%j", async (value, place, message) => {
        const column = lines(value).indexOf(place) + 1;
        expect(await failure(lines(value))).toEqual({ code: "TASK_INVALID", message: `t:1:${column}: ${message}` });
    });
    test("an id that occurs twice, also one that is the number of another line", async () => {
        const twice = await failure(lines({ id: "x", text: "a" }, { text: "b", id: "x" }));
        expect(twice.message).toBe('t:2:18: the id "x" is that of line 1 already; give each item its own');
        const number = await failure(lines({ id: 2, text: "a" }, { text: "b" }));
        expect(number.message).toBe('t:2:1: the id "2" is that of line 1 already; give each item its own');
    });
    test("kinds mixed", async () => {
        const { message } = await failure(lines({ prompt: "Q" }, { text: "a" }));
        expect(message).toBe(
            "t:2:1: this is a passage, and the items before are of the kind question; use a file for each",
        );
    });
    test("an empty file", async () => {
        expect((await failure("\n\n")).message).toBe("t:1:1: there is no item in this file");
    });
    test("several wrong lines: the first five and how many more", async () => {
        const { message } = await failure(`{"text": 1}\n{"text": "a"}\n${"[]\n".repeat(6)}`);
        const shown = message.split("\n");
        expect(shown.map((line) => line.slice(0, 6))).toEqual([
            "t:1:10",
            "t:3:1:",
            "t:4:1:",
            "t:5:1:",
            "t:6:1:",
            "... an",
        ]);
        expect(shown[5]).toBe("... and 2 more");
    });
    test("a compressed file", async () => {
        expect(await failure(gzipSync(lines({ text: "a" })))).toMatchObject({
            code: "FILE_UNREADABLE",
            message: expect.stringMatching(/^t cannot be read: it is not UTF-8 \(byte 0x8B at line 1, column 2\)/),
        });
    });
    test("a line without end", async () => {
        const { message } = await failure(`{"text": "a"}\n{"text": "${"a".repeat(1 << 21)}"}`);
        expect(message).toBe("t:2:1: this line has more than 1048576 characters");
    });
    test("too many items", async () => {
        const { message } = await failure('{"text": "a"}\n'.repeat(100_002));
        expect(message).toBe("t:100001:1: a task file has at most 100000 items; split it");
    });
});
