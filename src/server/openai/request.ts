/** From what OpenAI's clients ask for to the options of completions. */

import type { CompletionOptions } from "../../decoding/completion.js";
import type { ChatMessage } from "../../prompts/messages.js";
import type { Tool } from "../../tools/types.js";
import type { JsonValue } from "../../types.js";
import {
    checkSchema,
    toCommonOptions,
    toJsonOptions,
    toSeeds,
    toThinkingVariables,
    toToolUse,
    type Note,
} from "../asking.js";
import { RequestError } from "../failures.js";
import type { ChatBody, ChatMessageBody } from "./chat-schema.js";
import { chooseTools, type NamedChoice } from "./tool-choice.js";

/** @returns options of each answer. @throws RequestError */
export function toChatOptions(body: ChatBody, note: Note): readonly CompletionOptions[] {
    const { response_format: format, tool_choice: choice, logprobs = false, top_logprobs: top } = body;
    if (top !== undefined && top > 0 && !logprobs)
        throw new RequestError(400, "top_logprobs needs logprobs to be true.", { param: "top_logprobs" });
    const tools = toTools(body.tools ?? [], note);
    const chosen = chooseTools(tools, typeof choice === "object" ? toNamedChoice(choice) : choice, note);
    const { use, isForced } = toToolUse(chosen.tools, chosen.toolChoice);
    const common = toCommonOptions(body);
    const shared: CompletionOptions = {
        ...common,
        prompt: body.messages.map(toMessage),
        maxTokens: body.max_completion_tokens ?? body.max_tokens,
        // Where a call is forced, there is no answer besides.
        ...(isForced || format === undefined
            ? {}
            : toJsonOptions(format.type, format.json_schema, "response_format.json_schema.schema")),
        ...use,
        topLogprobs: Math.max(common.topLogprobs ?? 0, logprobs ? (top ?? 0) : 0),
        templateVariables: {
            ...(body.reasoning_effort !== undefined && toThinkingVariables(body.reasoning_effort)),
            ...(body.chat_template_kwargs as Record<string, JsonValue> | undefined),
        },
    };
    return toSeeds(body, body.n ?? 1).map((seed) => ({ ...shared, seed }));
}

type ChoiceBody = Exclude<ChatBody["tool_choice"], string | undefined>;

function toNamedChoice({ type, function: one, allowed_tools: some }: ChoiceBody): NamedChoice {
    const allowed = some && { mode: some.mode, names: some.tools.map((tool) => tool.function?.name) };
    return { type, name: one?.name, allowed };
}

function toTools(given: NonNullable<ChatBody["tools"]>, note: Note): Tool[] {
    return given.flatMap(({ type, function: tool }, index): Tool[] => {
        if (type !== "function") {
            note(`tool of the type ${type.slice(0, 40)}`);
            return [];
        }
        const param = `tools[${index}].function`;
        if (tool === undefined) throw new RequestError(400, `${param} is missing.`, { param });
        const { name, description, parameters } = tool;
        return [
            {
                ...{ name, description },
                parameters: parameters && checkSchema(parameters, `${param}.parameters`),
            },
        ];
    });
}

/** As templates know it. @throws RequestError */
export function toMessage(message: ChatMessageBody, index: number): ChatMessage {
    const { role, content, tool_calls: calls, ...rest } = message;
    const said = toContent(content, `messages[${index}].content`);
    const tool_calls = calls?.map(({ function: { name, arguments: given = "" }, ...call }, at) => ({
        ...call,
        function: { name, arguments: readArguments(given, `messages[${index}].tool_calls[${at}].function.arguments`) },
    }));
    return {
        ...rest,
        // Newer clients call the system's instructions so.
        role: role === "developer" ? "system" : role,
        content: said ?? (tool_calls === undefined ? "" : null),
        ...(tool_calls !== undefined && { tool_calls }),
    };
}

function toContent(content: ChatMessageBody["content"], param: string): ChatMessage["content"] | undefined {
    if (content === undefined || typeof content === "string") return content;
    const parts = content.map(({ type, text }) => {
        if (type === "text" && text !== undefined) return { type: "text" as const, text };
        throw new RequestError(
            400,
            `${param} has a part of the type ${JSON.stringify(type.slice(0, 40))}; models read text alone.`,
            {
                param,
            },
        );
    });
    return parts.length === 1 ? (parts[0]?.text ?? "") : parts;
}

/** Templates write arguments in forms of their own, so they are given as data. */
export function readArguments(text: string, param: string): JsonValue {
    try {
        return text === "" ? {} : (JSON.parse(text) as JsonValue);
    } catch {
        throw new RequestError(400, `${param} is not JSON.`, { param });
    }
}
