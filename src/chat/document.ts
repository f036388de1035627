/** Conversations as JSON: read with care, since files are edited by hand, and written so that nothing is lost. */

import { stat } from "node:fs/promises";
import { Ajv, type ValidateFunction } from "ajv";
import { EftError } from "../errors.js";
import { readText, writeWhole } from "../files.js";
import { show, string } from "../options.js";
import { explain } from "../recipe/schema.js";
import type { ChatDocument, ChatSession, ChatState } from "./types.js";

const TEXT = { title: "a text", type: "string" } as const;
const STEP = {
    title: "a mapping with the keys text and calls",
    type: "object",
    required: ["text", "calls"],
    properties: {
        thinking: TEXT,
        text: TEXT,
        calls: {
            title: "a list of calls",
            type: "array",
            minItems: 1,
            items: {
                title: "a mapping with the keys id, name and arguments",
                type: "object",
                required: ["id", "name", "arguments"],
                properties: { id: TEXT, name: TEXT, arguments: { title: "a mapping", type: "object" } },
                additionalProperties: false,
            },
        },
        results: { title: "a list of texts", type: "array", items: TEXT },
    },
    additionalProperties: false,
} as const;
const STATE = {
    title: "a mapping with the key turns",
    type: "object",
    required: ["turns"],
    properties: {
        system: TEXT,
        turns: {
            title: "a list of turns",
            type: "array",
            items: {
                title: "a mapping with the keys user and answer",
                type: "object",
                required: ["user", "answer"],
                properties: {
                    user: TEXT,
                    steps: { title: "a list of steps", type: "array", items: STEP },
                    answer: TEXT,
                },
                additionalProperties: false,
            },
        },
        forgotten: { title: "a whole number of at least 0", type: "integer", minimum: 0 },
        parameters: {
            title: "a mapping of numbers",
            type: "object",
            required: [],
            additionalProperties: { type: "number" },
        },
    },
    additionalProperties: false,
} as const;
const DOCUMENT = {
    ...STATE,
    title: "a mapping with the keys eftChat and turns",
    required: ["eftChat", ...STATE.required],
    properties: { eftChat: { title: "1", const: 1 }, recipe: TEXT, ...STATE.properties },
} as const;

const ajv = new Ajv({ verbose: true });
const validateState = ajv.compile<ChatState>(STATE);
const validateDocument = ajv.compile<ChatDocument>(DOCUMENT);

/** Longest file that is read. A conversation of that size would not fit into any context. */
const MAX_BYTES = 64 * 2 ** 20;

/** @param source - what messages call the conversation. @throws EftError CHAT_INVALID */
export function checkState(state: unknown, source: string): void {
    check(validateState, state, source);
    const { turns = [], forgotten = 0 } = state as ChatState;
    for (const [index, { steps = [] }] of turns.entries()) {
        const incomplete = steps.findIndex(
            ({ calls, results }, step) =>
                (results === undefined && (index < turns.length - 1 || step < steps.length - 1)) ||
                (results !== undefined && results.length !== calls.length),
        );
        if (incomplete >= 0)
            throw invalid(source, `step ${incomplete} of turn ${index} has not a result for each call`);
    }
    if (forgotten <= turns.length) return;
    throw invalid(source, `"forgotten" is ${forgotten}, and there are only ${turns.length} turns`);
}

/**
 * Reads what `JSON.stringify(chat)` wrote. The result can be given to `createChat`.
 *
 * @param source - what messages call the text, such as its file
 * @throws EftError CHAT_INVALID, OPTION_INVALID
 */
export function parseChat(text: string, source = "The conversation"): ChatState {
    let document: unknown;
    string("What parseChat reads", text);
    string("source", source);
    try {
        document = JSON.parse(text);
    } catch (error) {
        throw invalid(source, `it is not JSON: ${(error as Error).message}`);
    }
    check(validateDocument, document, source);
    const { eftChat: _, recipe: __, ...state } = document as ChatDocument;
    checkState(state, source);
    return state;
}

/** What the file of a conversation says. */
export function formatChat(chat: ChatSession): string {
    return `${JSON.stringify(toDocument(chat), undefined, 2)}\n`;
}

/** Reads a file that {@link saveChat} wrote. @throws EftError FILE_UNREADABLE, CHAT_INVALID, OPTION_INVALID */
export async function loadChat(file: string): Promise<ChatState> {
    return parseChat(await readConversation(string("file", file)), file);
}

/**
 * Writes a conversation, whole or not at all, for nobody else to read. A file that is there already is replaced only if it
 * is a conversation, and keeps its permissions.
 *
 * @throws EftError FILE_UNWRITABLE, OPTION_INVALID, CHAT_INVALID where `chat` is none
 */
export async function saveChat(file: string, chat: ChatSession): Promise<void> {
    const text = formatChat(chat);
    parseChat(text, "What saveChat was given");
    await writeConversation(string("file", file), text);
}

/** @param text - as {@link formatChat} has it. @throws EftError FILE_UNWRITABLE */
export async function writeConversation(file: string, text: string): Promise<void> {
    if ((await stat(file).catch(() => undefined)) !== undefined) {
        await loadChat(file).catch((error: unknown) => {
            const reason = "exists and is not a saved conversation; choose another name";
            throw new EftError("FILE_UNWRITABLE", `${file} ${reason}.`, { cause: error });
        });
    }
    await writeWhole(file, text, 0o600);
}

/** @throws EftError OPTION_INVALID */
function toDocument(chat: Partial<ChatSession> | null | undefined): ChatDocument {
    if (typeof chat?.toJSON === "function") return chat.toJSON();
    throw new EftError("OPTION_INVALID", `What saveChat saves must be from createChat(), not ${show(chat)}.`);
}

/** The text of a conversation's file. @throws EftError FILE_UNREADABLE */
export async function readConversation(file: string): Promise<string> {
    return readText(file, { limit: MAX_BYTES, mustBeFile: true });
}

function check<T>(validate: ValidateFunction<T>, value: unknown, source: string): void {
    if (validate(value)) return;
    throw invalid(source, (validate.errors ?? []).map((error) => explain(error, "conversation")).join("; "));
}

function invalid(source: string, reason: string): EftError {
    return new EftError(
        "CHAT_INVALID",
        `${source} is not a conversation that can be gone on with (${reason}). Correct it, or take one that was saved by ` +
            "this version.",
    );
}
