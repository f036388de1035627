/** Conversations as JSON: read with care, since files are edited by hand, and written so that nothing is lost. */

import { readFile, stat } from "node:fs/promises";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { EftError } from "../errors.js";
import { writeWhole } from "../files.js";
import type { ChatDocument, ChatSession, ChatState } from "./types.js";

const STATE = {
    type: "object",
    required: ["turns"],
    properties: {
        system: { type: "string" },
        turns: {
            type: "array",
            items: {
                type: "object",
                required: ["user", "answer"],
                properties: { user: { type: "string" }, answer: { type: "string" } },
                additionalProperties: false,
            },
        },
        forgotten: { type: "integer", minimum: 0 },
        parameters: { type: "object", required: [], additionalProperties: { type: "number" } },
    },
    additionalProperties: false,
} as const;
const DOCUMENT = {
    ...STATE,
    required: ["eftChat", ...STATE.required],
    properties: { eftChat: { const: 1 }, recipe: { type: "string" }, ...STATE.properties },
} as const;

const ajv = new Ajv();
const validateState = ajv.compile<ChatState>(STATE);
const validateDocument = ajv.compile<ChatDocument>(DOCUMENT);

/** Longest file that is read. A conversation of that size would not fit into any context. */
const MAX_BYTES = 64 * 2 ** 20;

/** @param source - what messages call the conversation. @throws EftError CHAT_INVALID */
export function checkState(state: unknown, source: string): void {
    check(validateState, state, source);
    const { turns = [], forgotten = 0 } = state as ChatState;
    if (forgotten <= turns.length) return;
    throw invalid(source, `"forgotten" is ${forgotten}, and there are only ${turns.length} turns`);
}

/**
 * Reads what `JSON.stringify(chat)` wrote. The result can be given to `createChat`.
 *
 * @param source - what messages call the text, such as its file
 * @throws EftError CHAT_INVALID
 */
export function parseChat(text: string, source = "The conversation"): ChatState {
    let document: unknown;
    try {
        document = JSON.parse(text);
    } catch (error) {
        throw invalid(source, `it is not JSON (${(error as Error).message})`);
    }
    check(validateDocument, document, source);
    const { eftChat: _, recipe: __, ...state } = document as ChatDocument;
    checkState(state, source);
    return state;
}

/** Reads a file that {@link saveChat} wrote. @throws EftError FILE_UNREADABLE, CHAT_INVALID */
export async function loadChat(file: string): Promise<ChatState> {
    return parseChat(await readConversation(file), file);
}

/**
 * Writes a conversation, whole or not at all. A file that is there already is replaced only if it is a conversation.
 *
 * @throws EftError FILE_UNWRITABLE
 */
export async function saveChat(file: string, chat: ChatSession): Promise<void> {
    if ((await stat(file).catch(() => undefined)) !== undefined) {
        await loadChat(file).catch((error: unknown) => {
            const reason = "exists and is not a saved conversation; choose another name";
            throw new EftError("FILE_UNWRITABLE", `${file} ${reason}.`, { cause: error });
        });
    }
    await writeWhole(file, `${JSON.stringify(chat, undefined, 2)}\n`);
}

async function readConversation(file: string): Promise<string> {
    try {
        const found = await stat(file);
        if (!found.isFile()) throw new Error("it is not a file");
        if (found.size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
        return await readFile(file, "utf8");
    } catch (error) {
        throw new EftError("FILE_UNREADABLE", `${file} cannot be read: ${(error as Error).message}.`, { cause: error });
    }
}

function check<T>(validate: ValidateFunction<T>, value: unknown, source: string): void {
    if (validate(value)) return;
    const [error] = validate.errors ?? [];
    throw invalid(source, error === undefined ? "it has an unknown form" : explain(error));
}

function explain({ keyword, instancePath, params, message = "" }: ErrorObject): string {
    const place = instancePath === "" ? "it" : `"${instancePath.slice(1).replaceAll("/", ".")}"`;
    switch (keyword) {
        case "additionalProperties":
            return `${place} has no key "${params["additionalProperty"]}"`;
        case "required":
            return `${place} lacks the key "${params["missingProperty"]}"`;
        case "const":
            return `${place} must be ${params["allowedValue"]}`;
        default:
            return `${place} ${message}`;
    }
}

function invalid(source: string, reason: string): EftError {
    return new EftError(
        "CHAT_INVALID",
        `${source} is not a conversation that can be gone on with: ${reason}. Correct it, or take one that was saved by ` +
            "this version.",
    );
}
