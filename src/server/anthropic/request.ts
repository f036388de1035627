/** From what Anthropic's clients ask for to the options of a completion. */

import type { CompletionOptions } from "../../decoding/completion.js";
import { assistantMessage, toolMessage } from "../../frameworks/messages.js";
import type { ChatMessage } from "../../prompts/messages.js";
import type { Tool, ToolChoice } from "../../tools/types.js";
import type { JsonValue } from "../../types.js";
import { RequestError } from "../failures.js";
import { checkSchema, toCommonOptions, toJsonOptions, toThinkingVariables, toToolUse, type Note } from "../asking.js";
import type { CountBody, MessageBody, MessagesBody } from "./schema.js";

/** What a prompt is made of. @throws RequestError */
export function toPrompt(
    { messages, system, tools: given = [], tool_choice: choice, thinking }: CountBody,
    note: Note,
): Pick<CompletionOptions, "tools" | "toolChoice" | "templateVariables"> & { readonly prompt: readonly ChatMessage[] } {
    const tools = given.flatMap(({ type = "custom", name, description, input_schema: schema }, index): Tool[] => {
        if (type === "custom") {
            const parameters = schema && checkSchema(schema, `tools[${index}].input_schema`);
            return [{ name, description, parameters }];
        }
        note(`tool of the type ${type.slice(0, 40)}`);
        return [];
    });
    const { use } = toToolUse(tools, toToolChoice(choice));
    const names = namesOf(messages);
    const said = messages.flatMap((message, index) => toMessages(message, `messages[${index}]`, names, note));
    const first = system === undefined ? "" : readTexts(system, "system");
    return {
        prompt: first === "" ? said : [{ role: "system", content: first }, ...said],
        ...use,
        ...(thinking !== undefined && {
            templateVariables: toThinkingVariables(thinking.type === "disabled" ? "none" : "high"),
        }),
    };
}

/** @throws RequestError */
export function toOptions(
    body: MessagesBody,
    note: Note,
): CompletionOptions & { readonly prompt: readonly ChatMessage[] } {
    const prompt = toPrompt(body, note);
    const format = body.output_config?.format;
    const isForced = body.tool_choice?.type === "any" || body.tool_choice?.type === "tool";
    return {
        ...toCommonOptions({ ...body, stop: body.stop_sequences }),
        ...prompt,
        maxTokens: body.max_tokens,
        ...(format?.type === "json_schema" &&
            !isForced &&
            toJsonOptions("json_schema", format, "output_config.format.schema")),
    };
}

function toToolChoice(choice: CountBody["tool_choice"]): ToolChoice | undefined {
    if (choice === undefined) return undefined;
    if (choice.type === "tool") return { tool: choice.name ?? "" };
    return choice.type === "any" ? "required" : choice.type;
}

function toMessages(
    { role, content }: MessageBody,
    param: string,
    names: ReadonlyMap<string, string>,
    note: Note,
): ChatMessage[] {
    if (typeof content === "string") return [{ role, content }];
    if (role !== "assistant") {
        const results = content
            .filter(({ type }) => type === "tool_result")
            .map(({ tool_use_id: id = "", content: given = "" }) =>
                toolMessage(id, names.get(id), readTexts(given, `${param}.content`)),
            );
        const texts = content.filter(({ type }) => type !== "tool_result");
        if (texts.length === 0) return results;
        return [...results, { role, content: readTexts(texts, `${param}.content`) }];
    }
    const pick = (type: string, field: "text" | "thinking"): string =>
        content.map((block) => (block.type === type ? (block[field] ?? "") : "")).join("");
    for (const { type } of content)
        if (!["text", "thinking", "tool_use"].includes(type)) note(`block of the type ${type.slice(0, 40)}`);
    const calls = content
        .filter(({ type }) => type === "tool_use")
        .map(({ id, name = "", input = {} }) => ({ id, name, input: input as JsonValue }));
    return [assistantMessage({ text: pick("text", "text"), thinking: pick("thinking", "thinking"), calls })];
}

/** Of tools, by the ids of their calls. */
function namesOf(messages: readonly MessageBody[]): ReadonlyMap<string, string> {
    const blocks = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content));
    return new Map(
        blocks.flatMap(({ type, id, name }) => (type === "tool_use" && id !== undefined ? [[id, name ?? ""]] : [])),
    );
}

function readTexts(
    content: string | readonly { readonly type: string; readonly text?: string }[],
    param: string,
): string {
    if (typeof content === "string") return content;
    return content
        .map(({ type, text }) => {
            if (type === "text" && text !== undefined) return text;
            throw new RequestError(
                400,
                `${param} has a block of the type ${JSON.stringify(type.slice(0, 40))}; models read text alone.`,
                { param },
            );
        })
        .join("\n");
}
