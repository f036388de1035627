/** Turns of a conversation in the form that chat templates know. */

import type { ChatMessage } from "../prompts/messages.js";
import type { JsonValue } from "../types.js";

/** What a model has said, thought and asked for in one turn. */
export interface AssistantTurn {
    readonly text: string;
    readonly thinking: string;
    readonly calls: readonly { readonly id: string | undefined; readonly name: string; readonly input: JsonValue }[];
}

export function assistantMessage({ text, thinking, calls }: AssistantTurn): ChatMessage {
    return {
        role: "assistant",
        content: text === "" && calls.length > 0 ? null : text,
        reasoning_content: thinking === "" ? undefined : thinking,
        tool_calls:
            calls.length === 0
                ? undefined
                : calls.map(({ id, name, input }) => ({
                      ...{ id, type: "function" },
                      function: { name, arguments: input },
                  })),
    };
}

/** What a tool has given, for the call with this id. */
export function toolMessage(id: string, name: string | undefined, content: string): ChatMessage {
    return { role: "tool", content, tool_call_id: id, name };
}
