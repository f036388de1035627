/** From what the AI SDK asks for to the options of a completion. */

import type {
    LanguageModelV3CallOptions,
    LanguageModelV3Message,
    LanguageModelV3ToolResultPart,
    SharedV3Warning,
} from "@ai-sdk/provider";
import type { CompletionOptions } from "../decoding/completion.js";
import { checkEftOptions, type EftOptions as CommonOptions } from "../frameworks/answer.js";
import { assistantMessage, toolMessage } from "../frameworks/messages.js";
import type { ChatMessage } from "../prompts/messages.js";
import type { Tool, ToolChoice } from "../tools/types.js";
import type { JsonValue, TemplateVariables } from "../types.js";

/** Since version 7 of `ai`, callers say how much a model is to think. */
export type CallOptions = LanguageModelV3CallOptions & { readonly reasoning?: string };

/** What of a type JSON can say. */
type Json<T> = T extends (...given: never) => unknown
    ? never
    : T extends readonly (infer Element)[]
      ? readonly Json<Exclude<Element, undefined>>[]
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

/** What `providerOptions.eft` takes: what of a completion's options the AI SDK has no words of its own for. */
export type EftOptions = Json<CommonOptions>;

type Schema = NonNullable<CompletionOptions["jsonSchema"]>;
/** Collects what is not supported. */
type Warn = (feature: string, details?: string) => void;

/** @throws EftError OPTION_INVALID, for what `providerOptions.eft` holds */
export function toCompletionOptions(call: CallOptions): {
    readonly options: CompletionOptions;
    readonly warnings: SharedV3Warning[];
} {
    const warnings: SharedV3Warning[] = [];
    const warn: Warn = (feature, details) => {
        const isKnown = warnings.some((warning) => warning.type === "unsupported" && warning.feature === feature);
        if (!isKnown) warnings.push({ type: "unsupported", feature, ...(details !== undefined && { details }) });
    };
    const eft = checkEftOptions("providerOptions.eft", call.providerOptions?.eft ?? {});
    for (const name of Object.keys(call.providerOptions ?? {})) {
        if (name === "eft" || !/^eft/i.test(name)) continue;
        warnings.push({ type: "other", message: `providerOptions["${name}"] is not read; write providerOptions.eft.` });
    }
    const { temperature, topP, topK, presencePenalty, frequencyPenalty, responseFormat: format } = call;
    const use = toTools(call, warn);
    const isForced = use.toolChoice === "required" || typeof use.toolChoice === "object";
    const options: CompletionOptions = {
        ...eft,
        prompt: call.prompt.flatMap((message) => toChatMessages(message, warn)),
        maxTokens: call.maxOutputTokens,
        sampling: { temperature, topP, topK, presencePenalty, frequencyPenalty, ...eft.sampling },
        seed: call.seed,
        stop: call.stopSequences,
        // Where a call is forced, there is no answer besides.
        jsonSchema: format?.type === "json" && !isForced ? ((format.schema as Schema | undefined) ?? true) : undefined,
        templateVariables: { ...thinkingVariables(call.reasoning), ...eft.templateVariables },
        signal: call.abortSignal,
        ...use,
    };
    return { options, warnings };
}

/** By the names that most templates know; others take no notice. */
function thinkingVariables(reasoning = "provider-default"): TemplateVariables {
    if (reasoning === "provider-default") return {};
    return reasoning === "none" ? { enable_thinking: false } : { enable_thinking: true, reasoning_effort: reasoning };
}

function toTools(
    { tools: given = [], toolChoice }: CallOptions,
    warn: Warn,
): Pick<CompletionOptions, "tools" | "toolChoice"> {
    const tools = given.flatMap((tool): Tool[] => {
        if (tool.type === "function")
            return [
                { name: tool.name, description: tool.description, parameters: tool.inputSchema as Tool["parameters"] },
            ];
        warn(`provider-defined tool ${tool.id}`);
        return [];
    });
    if (tools.length === 0) return {};
    const choice: ToolChoice | undefined =
        toolChoice?.type === "tool" ? { tool: toolChoice.toolName } : toolChoice?.type;
    return { tools, ...(choice !== undefined && { toolChoice: choice }) };
}

function toChatMessages(message: LanguageModelV3Message, warn: Warn): ChatMessage[] {
    switch (message.role) {
        case "system":
            return [{ role: "system", content: message.content }];
        case "user": {
            const parts = message.content.flatMap((part) => {
                if (part.type === "text") return [{ type: "text" as const, text: part.text }];
                warn("files in messages", "the members read text alone");
                return [];
            });
            const [first] = parts;
            return [{ role: "user", content: parts.length === 1 ? (first?.text ?? "") : parts }];
        }
        case "assistant": {
            const textOf = (type: "text" | "reasoning"): string =>
                message.content.map((part) => (part.type === type ? part.text : "")).join("");
            const calls = message.content.flatMap((part) => {
                if (part.type === "tool-call" && part.providerExecuted !== true)
                    return [{ id: part.toolCallId, name: part.toolName, input: part.input as JsonValue }];
                if (part.type !== "text" && part.type !== "reasoning")
                    warn(`${part.type} of another provider in a message of the assistant`);
                return [];
            });
            return [assistantMessage({ text: textOf("text"), thinking: textOf("reasoning"), calls })];
        }
        case "tool":
            return message.content.flatMap((part) =>
                part.type === "tool-result"
                    ? [toolMessage(part.toolCallId, part.toolName, resultText(part.output, warn))]
                    : [],
            );
    }
}

function resultText(output: LanguageModelV3ToolResultPart["output"], warn: Warn): string {
    switch (output.type) {
        case "text":
        case "error-text":
            return output.value;
        case "json":
        case "error-json":
            return JSON.stringify(output.value);
        case "execution-denied":
            return `The call was denied${output.reason === undefined ? "" : `: ${output.reason}`}`;
        case "content":
            return output.value
                .flatMap((part) => {
                    if (part.type === "text") return [part.text];
                    warn("files in results of tools", "the members read text alone");
                    return [];
                })
                .join("\n");
    }
}
