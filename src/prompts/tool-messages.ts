/** Tools, calls and results in the form that a template can show. */

import type { JsonValue } from "../types.js";
import type { ResolvedTool } from "../tools/types.js";
import type { CallSyntax, CallTraits } from "./call-syntax.js";
import { textOf, type ChatMessage } from "./messages.js";
import { quoteText, type PairSyntax } from "./pair-syntax.js";

/** What may be called in an answer, and how. */
export interface ToolUse {
    readonly tools: readonly ResolvedTool[];
    /** Of the answer. */
    readonly syntax: CallSyntax;
}

interface WrittenCall {
    readonly id: string;
    readonly name: string;
    readonly values: JsonValue;
}

/** The variable `tools`, as templates expect it. */
export function toolsVariable(tools: readonly ResolvedTool[]): JsonValue {
    return tools.map(({ name, description, parameters }) => ({
        type: "function",
        function: { name, ...(description !== undefined && { description }), parameters: parameters as JsonValue },
    }));
}

/** Messages for a template that shows calls and results. */
export function withCalls(given: readonly ChatMessage[], { wantsText, isSingle }: CallTraits): readonly ChatMessage[] {
    const messages = isSingle ? oneByOne(given) : given;
    return messages.map((message) => {
        const calls = callsOf(message);
        if (calls === undefined) return message;
        return {
            ...message,
            content: message.content ?? "",
            tool_calls: calls.map(({ id, name, values }) => ({
                ...{ id, type: "function" },
                function: {
                    name,
                    arguments: wantsText && typeof values !== "string" ? JSON.stringify(values) : values,
                },
            })),
        };
    });
}

/** Calls that were made at once as if they had been made one after another, each with its result behind it. */
function oneByOne(messages: readonly ChatMessage[]): readonly ChatMessage[] {
    const shown: ChatMessage[] = [];
    for (let at = 0; at < messages.length; at++) {
        const message = messages[at] as ChatMessage;
        const calls = callsOf(message) ?? [];
        if (calls.length < 2) {
            shown.push(message);
            continue;
        }
        let end = at + 1;
        while (messages[end]?.role === "tool") end++;
        const results = messages.slice(at + 1, end);
        at += results.length;
        for (const [index, call] of (message["tool_calls"] as readonly JsonValue[]).entries()) {
            // What was thought and said comes before the first.
            const own = index === 0 ? message : { role: message.role, content: "" };
            const place = results.findIndex(({ tool_call_id: id }) => id === undefined || id === calls[index]?.id);
            shown.push({ ...own, tool_calls: [call] }, ...(place < 0 ? [] : results.splice(place, 1)));
        }
        shown.push(...results);
    }
    return shown;
}

/**
 * Messages for a template that knows no tools: the system prompt tells of them, or the first question where there is no place for
 * a system prompt; an answer contains its calls, and results come from the user.
 */
export function withoutCalls(
    messages: readonly ChatMessage[],
    use: ToolUse | undefined,
    syntax: CallSyntax,
    hasSystem: boolean,
): readonly ChatMessage[] {
    const folded: ChatMessage[] = [];
    let previous: ChatMessage["role"] | undefined;
    for (const message of messages) {
        const { role } = message;
        const calls = callsOf(message);
        if (role === "tool") {
            const text = `<tool_response>\n${textOf(message)}\n</tool_response>`;
            const last = previous === "tool" ? folded.pop() : undefined;
            folded.push({ role: "user", content: last === undefined ? text : `${textOf(last)}\n${text}` });
        } else if (calls === undefined) {
            folded.push(message);
        } else {
            const { tool_calls: _, ...rest } = message;
            const parts = [textOf(message), writeCalls(calls, syntax)].filter((text) => text !== "");
            folded.push({ ...rest, role, content: parts.join("\n") });
        }
        previous = role;
    }
    if (use === undefined || use.tools.length === 0) return folded;
    const instructions = describeTools(use);
    const at = folded.findIndex(({ role }) => role === (hasSystem ? "system" : "user"));
    const found = folded[at];
    if (found === undefined) return [{ role: hasSystem ? "system" : "user", content: instructions }, ...folded];
    const texts = hasSystem ? [textOf(found), instructions] : [instructions, textOf(found)];
    return folded.with(at, { ...found, content: texts.join("\n\n") });
}

/** Calls as an assistant with this syntax writes them. */
export function writeCalls(calls: readonly WrittenCall[], { open, call, between, close, pairs }: CallSyntax): string {
    const texts = calls.map(({ id, name, values }) => {
        const slots = { id, name, arguments: pairs ? writePairs(values, pairs) : writeValue(values) };
        return call.map((piece) => (typeof piece === "object" ? piece.text : slots[piece])).join("");
    });
    if (between !== undefined) return `${open}${texts.join(between)}${close}`;
    return texts.map((text) => `${open}${text}${close}`).join("\n");
}

function writePairs(values: JsonValue, syntax: PairSyntax): string {
    const { before, between, text, other } = syntax;
    if (typeof values !== "object" || values === null) return writeValue(values);
    return Object.entries(values)
        .map(([name, value]) => {
            const { middle, end } = typeof value === "string" ? text : other;
            const written = typeof value === "string" ? quoteText(value, syntax) : writeValue(value);
            return `${before}${name}${middle}${written}${end}`;
        })
        .join(between);
}

function writeValue(value: JsonValue): string {
    return typeof value === "string" ? value : writeJson(value);
}

function describeTools({ tools, syntax }: ToolUse): string {
    const lines = tools.map(({ name, description, parameters }) =>
        writeJson({ name, ...(description !== undefined && { description }), parameters: parameters as JsonValue }),
    );
    const example = writeCalls(
        [{ id: "000000000", name: "NAME", values: syntax.pairs ? { ARGUMENT: "VALUE" } : "ARGUMENTS" }],
        syntax,
    );
    return [
        "You can call these tools:",
        ...lines,
        "To call one, write its name and a JSON object with its arguments in this way:",
        example,
        "Then wait: what the tool gives comes between <tool_response> and </tool_response>.",
    ].join("\n");
}

/** JSON as templates write it, with a space behind commas and colons. */
function writeJson(value: JsonValue): string {
    if (Array.isArray(value)) return `[${value.map((each: JsonValue) => writeJson(each)).join(", ")}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const entries = Object.entries(value).filter(([, each]) => each !== undefined);
    return `{${entries.map(([key, each]) => `${JSON.stringify(key)}: ${writeJson(each)}`).join(", ")}}`;
}

/** The calls of an assistant's message, in OpenAI's form, whose arguments may be JSON in a text. */
function callsOf({ role, tool_calls: given }: ChatMessage): readonly WrittenCall[] | undefined {
    if (role !== "assistant" || !Array.isArray(given) || given.length === 0) return undefined;
    const calls = (given as readonly JsonValue[]).map((each) => {
        const { id, function: called } = (each ?? {}) as Record<string, JsonValue>;
        const { name, arguments: values = {} } = (called ?? {}) as Record<string, JsonValue>;
        return {
            id: typeof id === "string" ? id : "",
            name: typeof name === "string" ? name : "",
            values: read(values),
        };
    });
    return calls.every(({ name }) => name !== "") ? calls : undefined;
}

function read(values: JsonValue): JsonValue {
    if (typeof values !== "string") return values;
    try {
        const value = JSON.parse(values) as JsonValue;
        return typeof value === "object" && value !== null ? value : values;
    } catch {
        return values;
    }
}
