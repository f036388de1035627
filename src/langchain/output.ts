/** From the parts of an answer to LangChain's messages. */

import { AIMessage, AIMessageChunk, type AIMessageFields } from "@langchain/core/messages";
import type { FinishPart } from "../decoding/completion.js";
import type { Said } from "../frameworks/answer.js";

/** @param name - of the model */
export function toMessage(said: readonly Said[], end: FinishPart, name: string): AIMessage {
    const texts = said.flatMap((part) => (part.type === "tool-call" ? [] : [part]));
    const thinks = texts.some(({ type }) => type === "thinking");
    return new AIMessage({
        content: thinks ? texts.map(toBlock) : texts.map(({ text }) => text).join(""),
        tool_calls: said.flatMap((part) =>
            part.type === "tool-call"
                ? [{ id: part.id, name: part.name, args: part.arguments, type: "tool_call" as const }]
                : [],
        ),
        ...toEnding(end, name),
    });
}

/** Makes the parts of one answer chunks, which LangChain concatenates. */
export function createChunks(name: string): (part: Said | FinishPart) => AIMessageChunk {
    /** Of the block that is being written; without thoughts there are no blocks. */
    let index = -1;
    let open: "text" | "thinking" | undefined;
    let calls = 0;
    return (part) => {
        if (part.type === "finish") return new AIMessageChunk({ content: "", ...toEnding(part, name) });
        if (part.type === "tool-call") {
            const args = JSON.stringify(part.arguments);
            const call = { id: part.id, name: part.name, args, index: calls++, type: "tool_call_chunk" as const };
            return new AIMessageChunk({ content: "", tool_call_chunks: [call] });
        }
        if (part.type !== open && (index >= 0 || part.type === "thinking")) index++;
        open = part.type;
        return new AIMessageChunk({ content: index < 0 ? part.text : [{ ...toBlock(part), index }] });
    };
}

function toBlock({ type, text }: Exclude<Said, { type: "tool-call" }>) {
    return type === "text" ? { type, text } : { type: "reasoning", reasoning: text };
}

function toEnding(
    { reason, seed, stoppedBy, timings, speculation, exactness, usage }: FinishPart,
    name: string,
): Pick<AIMessageFields, "response_metadata" | "usage_metadata"> {
    return {
        response_metadata: {
            ...{ model_provider: "eft-llama", model: name, model_name: name, finish_reason: reason, seed, timings },
            ...(stoppedBy !== undefined && { stoppedBy }),
            ...(exactness && { exactness }),
            ...(speculation && { speculation }),
        },
        usage_metadata: {
            input_tokens: usage.promptTokens,
            output_tokens: usage.completionTokens,
            total_tokens: usage.totalTokens,
            input_token_details: { cache_read: usage.reusedTokens },
            output_token_details: { reasoning: usage.thinkingTokens },
        },
    };
}
