/** Items of the Responses protocol, as messages that templates know. */

import { assistantMessage, toolMessage } from "../../frameworks/messages.js";
import type { ChatMessage } from "../../prompts/messages.js";
import type { JsonValue } from "../../types.js";
import type { Note } from "../asking.js";
import { RequestError } from "../failures.js";
import { readArguments } from "./request.js";
import type { Item } from "./responses-schema.js";

/** What the assistant has said in one turn, which comes as several items. */
interface Turn {
    text: string;
    thinking: string;
    readonly calls: { readonly id: string | undefined; readonly name: string; readonly input: JsonValue }[];
}

/** @throws RequestError */
export function toMessages(items: readonly Item[], note: Note): ChatMessage[] {
    const messages: ChatMessage[] = [];
    const names = new Map(
        items.flatMap(({ type, call_id: id = "", name = "" }) => (type === "function_call" ? [[id, name]] : [])),
    );
    let turn: Turn | undefined;
    const endTurn = (): void => {
        if (turn !== undefined) messages.push(assistantMessage(turn));
        turn = undefined;
    };
    for (const [index, item] of items.entries()) {
        const { type = "message", role, content = "" } = item;
        const isAssistant = role === "assistant" || type === "function_call" || type === "reasoning";
        if (!isAssistant) endTurn();
        turn ??= isAssistant ? { text: "", thinking: "", calls: [] } : undefined;
        const param = `input[${index}]`;
        if (type === "message" && turn !== undefined) turn.text += readTexts(content, `${param}.content`);
        else if (type === "message") {
            if (role === undefined)
                throw new RequestError(400, `${param}.role is missing.`, { param: `${param}.role` });
            const said = readTexts(content, `${param}.content`);
            messages.push({ role: role === "developer" ? "system" : role, content: said });
        } else if (type === "function_call" && turn !== undefined) {
            if (item.name === undefined)
                throw new RequestError(400, `${param}.name is missing.`, { param: `${param}.name` });
            const input = readArguments(item.arguments ?? "", `${param}.arguments`);
            turn.calls.push({ id: item.call_id, name: item.name, input });
        } else if (type === "reasoning" && turn !== undefined) {
            turn.thinking +=
                readTexts(content, `${param}.content`) || readTexts(item.summary ?? [], `${param}.summary`);
        } else if (type === "function_call_output") {
            const id = item.call_id ?? "";
            messages.push(toolMessage(id, names.get(id), readTexts(item.output ?? "", `${param}.output`)));
        } else {
            note(`item of the type ${type.slice(0, 40)}`);
        }
    }
    endTurn();
    return messages;
}

const TEXTS = new Set(["input_text", "output_text", "text", "reasoning_text", "summary_text", "refusal"]);

function readTexts(content: NonNullable<Item["content"]>, param: string): string {
    if (typeof content === "string") return content;
    return content
        .map(({ type, text = "" }) => {
            if (TEXTS.has(type)) return text;
            throw new RequestError(
                400,
                `${param} has a part of the type ${JSON.stringify(type.slice(0, 40))}; models read text alone.`,
                { param },
            );
        })
        .join("\n");
}
