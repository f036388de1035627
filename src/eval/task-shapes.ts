/**
 * What the line of a task file may look like. The shape is recognised by the keys that are there. Shapes of data sets are
 * those in which their publishers distribute them, so that their files can be used as they are.
 *
 * | keys of a line                                        | kind     | origin                                           |
 * | ----------------------------------------------------- | -------- | ------------------------------------------------ |
 * | `prompt`, `answer`? (a text or several)               | question | ours                                             |
 * | `prompt`, `choices`, `correct` (index from 0)         | choice   | ours                                             |
 * | `text`                                                | passage  | ours                                             |
 * | `question`, `choices`, `answer` (index, or letter)    | choice   | MMLU (2009.03300)                                |
 * | `question`, `choices` {`text`, `label`}, `answerKey`  | choice   | ARC (1803.05457), CommonsenseQA (1811.00937)     |
 * | the same with `question_stem`                         | choice   | OpenBookQA (1809.02789)                          |
 * | `question` {`stem`, `choices` [{`text`, `label`}]},   | choice   | the same three in their authors' files           |
 * |   `answerKey`                                         |          |                                                  |
 * | `ctx`, `endings`, `label`                             | choice   | HellaSwag (1905.07830)                           |
 * | `question`, `mc1_targets` {`choices`, `labels`}       | choice   | TruthfulQA (2109.07958), multiple choice         |
 * | `question`, `passage`, `answer` (true, false)         | choice   | BoolQ (1905.10044)                               |
 * | `question`, `correct_answers`                         | question | TruthfulQA, generation                           |
 * | `question`, `answer` {`value`, `aliases`}             | question | TriviaQA (1705.03551)                            |
 * | `question`, `answer` with `#### 42` in its last line  | question | GSM8K (2110.14168)                               |
 * | `question`, `answer`? (a text or several)             | question | Natural Questions, open (1906.00300); many others |
 * | `question`, `context`, `answers` {`text`}             | question | SQuAD (1606.05250)                               |
 * | `instruction`, `input`?, `output`?                    | question | Alpaca                                           |
 * | `instruction`, `context`?, `response`?                | question | Dolly                                            |
 *
 * The choices of data sets continue the prompt after a space. In our own shape they are taken as they are. All texts of
 * a question's line, apart from its id and group, are also its fields.
 */

import { suggestion } from "../recipe/problems.js";
import type { Choice, Passage, Question } from "./types.js";

/** Keys and indices that lead to a value. */
export type Path = readonly (string | number)[];

/** The object of a line. */
export interface Line {
    readonly value: Readonly<Record<string, unknown>>;
    /** @throws EftError TASK_INVALID at the place of the value at `path`, or of its nearest ancestor */
    readonly fail: (path: Path, text: string) => never;
}

/** An item without what all kinds have. */
type Body = Omit<Question, "id" | "group"> | Omit<Choice, "id" | "group"> | Omit<Passage, "id" | "group">;

interface Shape {
    /** A line that has all of them is meant to be of this shape. */
    readonly keys: readonly string[];
    readonly read: (line: Line) => Body;
}

/** The first whose keys are all there counts. */
const SHAPES: readonly Shape[] = [
    { keys: ["prompt", "choices"], read: readChoice },
    { keys: ["prompt"], read: (line) => question(line, readText(line, ["prompt"]), readAnswers(line, ["answer"])) },
    { keys: ["answerKey"], read: readLabelled },
    { keys: ["endings"], read: readHellaSwag },
    { keys: ["question", "mc1_targets"], read: readTruthful },
    { keys: ["question", "choices"], read: readMmlu },
    { keys: ["question", "passage"], read: readBoolQ },
    { keys: ["question", "correct_answers"], read: (line) => readQuestion(line, ["correct_answers"]) },
    { keys: ["question", "answers"], read: (line) => readQuestion(line, ["answers", "text"]) },
    { keys: ["question"], read: (line) => readQuestion(line, ["answer"]) },
    { keys: ["instruction"], read: readInstruction },
    { keys: ["text"], read: (line) => ({ kind: "passage", text: readText(line, ["text"]) }) },
];

/** @throws EftError TASK_INVALID */
export function readBody(line: Line): Body {
    const shape = SHAPES.find(({ keys }) => keys.every((key) => key in line.value));
    if (shape !== undefined) return shape.read(line);
    const [key] = Object.keys(line.value);
    const what = key === undefined ? "is empty" : "has no prompt, question, instruction or text";
    const hint = key === undefined ? "" : `; key "${key}": ${suggestion(key, ["prompt", "question", "text"])}`;
    return line.fail([], `this object ${what}${hint}`);
}

function readChoice(line: Line): Body {
    const choices = readTexts(line, ["choices"]);
    const correct = readIndex(line, ["correct"], choices.length);
    return choice(line, readText(line, ["prompt"]), ["choices"], choices, correct);
}

function readMmlu(line: Line): Body {
    const choices = readTexts(line, ["choices"]);
    const { answer } = line.value;
    const letter = typeof answer === "string" ? "ABCDEFGHIJKLMNOPQRSTUVWXYZ".indexOf(answer) : -1;
    const isLetter = typeof answer === "string" && answer.length === 1 && letter >= 0 && letter < choices.length;
    const correct = isLetter ? letter : readIndex(line, ["answer"], choices.length, ", or its letter");
    return choice(line, readText(line, ["question"]), ["choices"], choices.map(continuing), correct);
}

function readLabelled(line: Line): Body {
    const { value } = line;
    const isNested = isObject(value["question"]);
    const head = isNested ? ["question", "stem"] : ["question_stem" in value ? "question_stem" : "question"];
    const at = isNested ? ["question", "choices"] : ["choices"];
    const list = isNested ? readList(line, at) : [];
    const texts = isNested ? list.map((_, i) => readText(line, [...at, i, "text"])) : readTexts(line, [...at, "text"]);
    const labels = isNested
        ? list.map((_, i) => readText(line, [...at, i, "label"]))
        : readTexts(line, [...at, "label"]);
    const correct = labels.indexOf(String(value["answerKey"]));
    if (correct < 0 || correct >= texts.length)
        line.fail(["answerKey"], `"answerKey" must be one of the labels ${labels.join(", ")}`);
    return choice(line, readText(line, head), at, texts.map(continuing), correct);
}

function readHellaSwag(line: Line): Body {
    const endings = readTexts(line, ["endings"]);
    const { label } = line.value;
    const isDigit = typeof label === "string" && /^\d$/.test(label) && Number(label) < endings.length;
    const correct = isDigit ? Number(label) : readIndex(line, ["label"], endings.length);
    return choice(line, readText(line, ["ctx"]), ["endings"], endings.map(continuing), correct);
}

function readTruthful(line: Line): Body {
    const choices = readTexts(line, ["mc1_targets", "choices"]);
    const labels = readList(line, ["mc1_targets", "labels"]);
    const correct = labels.indexOf(1);
    if (labels.length !== choices.length || correct < 0 || labels.lastIndexOf(1) !== correct)
        line.fail(
            ["mc1_targets", "labels"],
            '"mc1_targets.labels" must have a 1 for one choice and a 0 for each other',
        );
    return choice(line, readText(line, ["question"]), ["mc1_targets"], choices.map(continuing), correct);
}

function readBoolQ(line: Line): Body {
    const { answer } = line.value;
    if (typeof answer !== "boolean") return line.fail(["answer"], '"answer" must be true or false');
    const prompt = `${readText(line, ["passage"])}\n\nQuestion: ${readText(line, ["question"])}?`;
    return choice(line, prompt, [], [" no", " yes"], Number(answer));
}

function readQuestion(line: Line, answers: Path): Body {
    const text = readText(line, ["question"]);
    const prompt = "context" in line.value ? `${readText(line, ["context"])}\n\n${text}` : text;
    return question(line, prompt, readAnswers(line, answers));
}

function readInstruction(line: Line): Body {
    const { value } = line;
    const parts = ["instruction", "input", "context"].filter((key) => key in value && value[key] !== "");
    const prompt = parts.map((key) => readText(line, [key])).join("\n\n");
    return question(line, prompt, readAnswers(line, ["output" in value ? "output" : "response"]));
}

/** No answers where there is no such key. */
function readAnswers(line: Line, path: Path): string[] {
    const value = find(line.value, path);
    if (value === undefined && !(String(path[0]) in line.value)) return [];
    if (Array.isArray(value)) return readTexts(line, path);
    // TriviaQA
    if (isObject(value)) {
        const aliases = "aliases" in value ? readTexts(line, [...path, "aliases"]) : [];
        return [...new Set([readText(line, [...path, "value"]), ...aliases])];
    }
    const text = readText(line, path);
    // GSM8K: the steps of the solution, and its number.
    const number = /\n#### *(\S+)\s*$/.exec(text)?.[1];
    return number === undefined ? [text] : [...new Set([number, number.replaceAll(",", "")])];
}

function question({ value }: Line, prompt: string, answers: readonly string[]): Body {
    const fields = Object.entries(value).filter(
        (entry): entry is [string, string] => typeof entry[1] === "string" && entry[0] !== "id" && entry[0] !== "group",
    );
    return { kind: "question", prompt, answers, fields: Object.fromEntries(fields) };
}

function choice(line: Line, prompt: string, at: Path, choices: readonly string[], correct: number): Body {
    if (choices.length < 2) line.fail(at, "there must be at least two choices");
    return { kind: "choice", prompt, choices, correct };
}

function continuing(text: string): string {
    return /^\s/.test(text) ? text : ` ${text}`;
}

function readText(line: Line, path: Path): string {
    const value = find(line.value, path);
    return typeof value === "string" && value.trim() !== "" ? value : miss(line, path, "a text that is not empty");
}

function readTexts(line: Line, path: Path): string[] {
    return readList(line, path).map((_, index) => readText(line, [...path, index]));
}

function readList(line: Line, path: Path): readonly unknown[] {
    const value = find(line.value, path);
    return Array.isArray(value) ? value : miss(line, path, "a list");
}

function readIndex(line: Line, path: Path, length: number, otherwise = ""): number {
    const value = find(line.value, path);
    const isIndex = typeof value === "number" && Number.isInteger(value) && value >= 0 && value < length;
    return isIndex ? value : miss(line, path, `the index of the right choice, 0 to ${length - 1}${otherwise}`);
}

function miss(line: Line, path: Path, expected: string): never {
    const verb = find(line.value, path) === undefined ? "is missing; it must be" : "must be";
    return line.fail(path, `"${path.join(".")}" ${verb} ${expected}`);
}

function find(value: unknown, path: Path): unknown {
    return path.reduce(
        (parent: unknown, key) => (isParent(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined),
        value,
    );
}

function isParent(value: unknown): value is Record<string | number, unknown> {
    return typeof value === "object" && value !== null;
}

function isObject(value: unknown): value is Record<string, unknown> {
    return isParent(value) && !Array.isArray(value);
}
