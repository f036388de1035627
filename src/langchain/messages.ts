/** From LangChain's messages and tools to ours. */

import { AIMessage, ChatMessage as RoleMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import type { BindToolsInput, ToolChoice as LangChainToolChoice } from "@langchain/core/language_models/chat_models";
import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import { EftError } from "../errors.js";
import { assistantMessage, toolMessage } from "../frameworks/messages.js";
import { show } from "../options.js";
import type { ChatMessage } from "../prompts/messages.js";
import type { Tool, ToolChoice } from "../tools/types.js";
import type { JsonValue } from "../types.js";

const ROLES: Readonly<Record<string, "user" | "system" | "assistant">> = {
    ...{ human: "user", user: "user", system: "system", developer: "system", ai: "assistant", assistant: "assistant" },
};

/** What `tool_calls` of the message say too. */
const CALL_BLOCKS = new Set(["tool_call", "tool_call_chunk", "tool_use", "input_json_delta", "function_call"]);

/** @throws EftError OPTION_INVALID for what the members cannot read */
export function toChatMessage(message: BaseMessage): ChatMessage {
    const { text, thinking } = read(message);
    if (ToolMessage.isInstance(message)) return toolMessage(message.tool_call_id, message.name, text);
    const type = RoleMessage.isInstance(message) ? message.role : message.type;
    const role = ROLES[type];
    if (role === undefined) throw invalid(`A message of the kind ${show(type)} has no place in a prompt.`);
    if (role !== "assistant") return { role, content: text, name: message.name };
    const calls = AIMessage.isInstance(message) ? (message.tool_calls ?? []) : [];
    return assistantMessage({
        ...{ text, thinking },
        calls: calls.map(({ id, name, args }) => ({ id, name, input: args as JsonValue })),
    });
}

function read({ content, additional_kwargs: more }: BaseMessage): { readonly text: string; readonly thinking: string } {
    const given: unknown = more.reasoning_content;
    const thoughts = typeof given === "string" ? [given] : [];
    if (typeof content === "string") return { text: content, thinking: thoughts.join("") };
    const texts: string[] = [];
    for (const block of content as readonly (string | Readonly<Record<string, unknown>>)[]) {
        if (typeof block === "string") texts.push(block);
        else if (typeof block.text === "string" && /^(output_)?text$/.test(String(block.type))) texts.push(block.text);
        else if (typeof block.reasoning === "string") thoughts.push(block.reasoning);
        else if (!CALL_BLOCKS.has(String(block.type)))
            throw invalid(`A message has content of the type ${show(block.type)}; the members read text alone.`);
    }
    return { text: texts.join("\n"), thinking: thoughts.join("") };
}

/** @throws EftError OPTION_INVALID */
export function toTools(tools: readonly BindToolsInput[]): Tool[] {
    return tools.map((tool) => {
        const { function: given } = convertToOpenAITool(tool) as Partial<ReturnType<typeof convertToOpenAITool>>;
        if (given === undefined) throw invalid("tools takes LangChain's tools, and functions in OpenAI's form.");
        const { name, description, parameters } = given;
        return { name, description, parameters: parameters };
    });
}

/** @throws EftError OPTION_INVALID */
export function toToolChoice(choice: LangChainToolChoice): ToolChoice {
    if (choice === "any" || choice === "required") return "required";
    if (choice === "auto" || choice === "none") return choice;
    const tool: unknown =
        typeof choice === "string" ? choice : (choice as { function?: { name?: unknown } }).function?.name;
    if (typeof tool === "string") return { tool };
    throw invalid('tool_choice must be "auto", "none", "any" or the name of a tool.');
}

function invalid(message: string): EftError {
    return new EftError("OPTION_INVALID", message);
}
