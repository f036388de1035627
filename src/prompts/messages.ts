/** What is said in a conversation, and by whom. */

import { EftError } from "../errors.js";
import { readData } from "../template/data.js";

/** Levels of a message, and of the list that it stands in. */
const MAX_DEPTH = 33;
const ROLES = ["system", "user", "assistant", "tool"] as const;

/** A piece of what is said. There are only texts. */
export type TextPart = Readonly<Record<"type" | "text", string>> & { readonly type: "text" };

/**
 * One turn of a conversation. Templates get all its keys, as data: some know `tool_calls`, `tool_call_id`, `name`,
 * `reasoning_content` and others.
 */
export interface ChatMessage {
    readonly role: (typeof ROLES)[number];
    /** Parts are given as such to a template that knows them; for others they are joined with line ends. */
    readonly content: string | readonly TextPart[] | null;
    // Not JsonValue: interfaces, which are open, would not be messages then. What is no data is refused when it is read.
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    readonly [key: string]: any;
}

/**
 * A text is the user's only turn.
 *
 * @param name - what messages call it
 * @returns messages of their own, which do not change when the caller's do
 * @throws EftError OPTION_INVALID
 */
export function toMessages(prompt: unknown, name = "prompt"): readonly ChatMessage[] {
    if (typeof prompt === "string") return [{ role: "user", content: prompt }];
    const messages = readData(prompt, MAX_DEPTH)?.copy;
    if (Array.isArray(messages) && messages.every(isMessage)) return messages;
    throw new EftError(
        "OPTION_INVALID",
        `${name} must be a text or a list of messages, each with a role (${ROLES.join(", ")}) and as content a text, or ` +
            'parts such as { type: "text", text: "..." }; further keys must be plain data.',
    );
}

/** What a message says, in one text. */
export function textOf({ content }: ChatMessage): string {
    if (typeof content === "string") return content;
    return (content ?? []).map(({ text }) => text).join("\n");
}

function isMessage(message: unknown): message is ChatMessage {
    if (typeof message !== "object" || message === null) return false;
    const { role, content, tool_calls: calls } = message as Partial<ChatMessage>;
    if (!ROLES.some((known) => known === role)) return false;
    if (content === null) return role === "assistant" && Array.isArray(calls);
    return typeof content === "string" || (Array.isArray(content) && content.every(isTextPart));
}

function isTextPart(part: Partial<TextPart> | null): part is TextPart {
    return part?.type === "text" && typeof part.text === "string";
}
