/** Task files: one JSON object a line, each an item. What the objects may look like is said in `task-shapes.ts`. */

import { createReadStream } from "node:fs";
import { TextDecoder } from "node:util";
import { findNodeAtLocation, parse, parseTree, printParseErrorCode, type ParseError } from "jsonc-parser";
import { EftError } from "../errors.js";
import { decodeText, encodingOf, unreadable } from "../files.js";
import { problem, throwProblems, type Problem } from "../recipe/problems.js";
import { readBody, type Line, type Path } from "./task-shapes.js";
import type { Item } from "./types.js";

/** A file or a pipe that is longer need not have an end. */
const MAX_BYTES = 2 ** 30;
/** Longest line, in UTF-16 units. */
const MAX_LINE = 1 << 20;
const TOO_LONG = `this line has more than ${MAX_LINE} characters`;
const MAX_ITEMS = 100_000;
/** With the empty ones. */
const MAX_LINES = 10 * MAX_ITEMS;
/** The parser that finds columns is recursive; lines with more brackets are reported without their column. */
const MAX_BRACKETS = 1000;

const GROUP_KEYS = ["group", "subject", "category"];
const ID_KEYS = ["id", "question_id"];

interface NumberedLine {
    readonly number: number;
    readonly text: string;
}

/**
 * Reads a task file (JSONL, UTF-8): at most 1 GiB, a million lines, 100,000 items of one kind, lines of at most 1,048,576 characters; empty lines
 * are skipped. A line's `id` (or `question_id`), a text or a number, names its item, by default the number of the line. Its
 * `group` (or `subject`, or `category`), if it is a text, is the item's group.
 *
 * @throws EftError FILE_UNREADABLE; TASK_INVALID with file, line and column of the first five wrong lines
 */
export async function readItems(file: string): Promise<Item[]> {
    const items: Item[] = [];
    const problems: Problem[] = [];
    const lineOfId = new Map<string, number>();
    for await (const line of readLines(file)) {
        if (line.text.trim() === "") continue;
        const fail = (path: Path, text: string): never => {
            throw problemAt(file, line, path, text).error;
        };
        try {
            if (lineOfId.size + problems.length === MAX_ITEMS)
                fail([], `a task file has at most ${MAX_ITEMS} items; split it`);
            const item = readItem(file, line);
            const earlier = lineOfId.get(item.id);
            if (earlier !== undefined)
                fail(["id"], `the id "${item.id}" is that of line ${earlier} already; give each item its own`);
            lineOfId.set(item.id, line.number);
            const kind = items[0]?.kind ?? item.kind;
            if (item.kind !== kind)
                fail([], `this is a ${item.kind}, and the items before are of the kind ${kind}; use a file for each`);
            items.push(item);
        } catch (error) {
            if (!EftError.isInstance(error)) throw error;
            problems.push({ at: { file, line: line.number, column: 0 }, error });
            if (lineOfId.size + problems.length > MAX_ITEMS) break;
        }
    }
    throwProblems(problems);
    if (items.length === 0)
        throw problem("TASK_INVALID", { file, line: 1, column: 1 }, "there is no item in this file").error;
    return items;
}

function readItem(file: string, line: NumberedLine): Item {
    const value = parseLine(file, line);
    const fail: Line["fail"] = (path, text) => {
        throw problemAt(file, line, path, text).error;
    };
    const body = readBody({ value, fail });

    const idKey = ID_KEYS.find((key) => value[key] !== undefined);
    const id = idKey === undefined ? line.number : value[idKey];
    if ((typeof id !== "string" && typeof id !== "number") || id === "")
        return fail([idKey ?? "id"], `"${idKey}" must be a text or a number`);
    const group = GROUP_KEYS.map((key) => value[key]).find((each) => typeof each === "string" && each !== "");
    return { id: String(id), ...(typeof group === "string" && { group }), ...body };
}

/** @throws EftError TASK_INVALID at the column of the syntax error */
function parseLine(file: string, line: NumberedLine): Line["value"] {
    const { number, text } = line;
    const hint = 'a task file has one JSON object a line, such as {"prompt": "...", "answer": "..."}';
    if (!text.trimStart().startsWith("{")) throw problemAt(file, line, [], hint).error;
    try {
        // It begins with a brace: what it gives is an object.
        return JSON.parse(text) as Line["value"];
    } catch (cause) {
        const errors: ParseError[] = [];
        if (isShallow(text)) parse(text, errors, { disallowComments: true });
        const [first] = errors;
        const at = { file, line: number, column: (first?.offset ?? 0) + 1 };
        const remedy = first === undefined ? undefined : REMEDIES[printParseErrorCode(first.error)];
        throw problem("TASK_INVALID", at, `this is not JSON: ${remedy ?? (cause as Error).message}`).error;
    }
}

const REMEDIES: Readonly<Record<string, string>> = {
    InvalidSymbol: "a text needs double quotes around it",
    PropertyNameExpected: "a key in double quotes has to stand here, or a comma before the } is one too many",
    ValueExpected: "a value has to stand here, or a comma before the ] is one too many",
    ColonExpected: "a colon is missing after the key",
    CommaExpected: "a comma is missing before this",
    CloseBraceExpected: "the } is missing; an object must not go on in the next line",
    CloseBracketExpected: "the ] is missing; a list must not go on in the next line",
    EndOfFileExpected: "the object ends before this; write the next one in a line of its own",
    InvalidCommentToken: "there are no comments in JSON",
    UnexpectedEndOfString: 'the " that ends this text is missing; write line breaks in texts as \\n',
    InvalidUnicode: "\\u needs four hexadecimal digits",
    InvalidEscapeCharacter:
        'of backslashes there are \\n \\t \\r \\b \\f \\u \\/ \\" \\\\ alone; write \\\\ for a backslash',
    InvalidCharacter: "this text has a tab or another control character in it; write \\t or \\u and its number",
};

/** At the value of `path`, at its nearest ancestor where it does not exist, at the beginning for an empty path. */
function problemAt(file: string, { number, text }: NumberedLine, path: Path, message: string): Problem {
    const root = path.length > 0 && isShallow(text) ? parseTree(text) : undefined;
    let node = root;
    for (let length = 1; root !== undefined && length <= path.length; length++)
        node = findNodeAtLocation(root, [...path.slice(0, length)]) ?? node;
    return problem("TASK_INVALID", { file, line: number, column: (node?.offset ?? 0) + 1 }, message);
}

function isShallow(text: string): boolean {
    return (text.match(/[[{]/g) ?? []).length <= MAX_BRACKETS;
}

async function* readLines(file: string): AsyncGenerator<NumberedLine> {
    let number = 0;
    let rest = Buffer.alloc(0);
    const toLine = (bytes: Buffer): NumberedLine => {
        const text = decodeText(bytes, file, ++number);
        if (number > MAX_LINES)
            throw problem(
                "TASK_INVALID",
                { file, line: number, column: 1 },
                `a task file has at most ${MAX_LINES} lines`,
            ).error;
        if (text.length <= MAX_LINE) return { number, text };
        throw problem("TASK_INVALID", { file, line: number, column: 1 }, TOO_LONG).error;
    };
    for await (const chunk of utf8ChunksOf(file)) {
        rest = Buffer.concat([rest, chunk]);
        for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
            yield toLine(rest.subarray(0, end));
            rest = rest.subarray(end + 1);
        }
        // A UTF-16 unit takes at most three bytes.
        if (rest.length > 3 * MAX_LINE)
            throw problem("TASK_INVALID", { file, line: number + 1, column: 1 }, TOO_LONG).error;
    }
    yield toLine(rest);
}

/** @throws EftError FILE_UNREADABLE */
async function* utf8ChunksOf(file: string): AsyncGenerator<Buffer> {
    let decoder: TextDecoder | undefined;
    let size = 0;
    try {
        for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
            const encoding = encodingOf(chunk);
            if (size === 0 && encoding !== "utf-8") decoder = new TextDecoder(encoding, { fatal: true });
            if ((size += chunk.length) > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES / 2 ** 20} MiB`);
            yield decoder === undefined ? chunk : Buffer.from(decoder.decode(chunk, { stream: true }));
        }
        // Throws where the file ends in the middle of a character.
        decoder?.decode();
    } catch (cause) {
        throw unreadable(file, cause);
    }
}
