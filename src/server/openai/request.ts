/** From what OpenAI's clients ask for to the options of completions. */

import type { CompletionOptions } from "../../decoding/completion.js";
import type { ChatMessage } from "../../prompts/messages.js";
import type { JsonSchema } from "../../grammar/schema-source.js";
import type { Tool, ToolChoice } from "../../tools/types.js";
import type { JsonValue, SamplingOptions, Some } from "../../types.js";
import { seedsOf } from "../answers.js";
import { RequestError } from "../failures.js";
import type { ChatBody, ChatMessageBody } from "./chat-schema.js";

/** How many tokens are made ahead of a reader: a connection is slower for a moment now and then. */
export const READ_AHEAD = 16;

/** Most probable tokens that are reported with what members thought. */
const DEFAULT_TOP = 5;

/** Characters of a JSON schema. */
const MAX_SCHEMA_LENGTH = 65_536;

/** Collects what is left out, for the log. */
export type Note = (what: string) => void;

type Sampled = Pick<
    Partial<ChatBody>,
    | "temperature"
    | "top_p"
    | "top_k"
    | "min_p"
    | "frequency_penalty"
    | "presence_penalty"
    | "repetition_penalty"
    | "seed"
    | "stop"
    | "logit_bias"
    | "eft"
>;

/** What all ways of asking have in common, without the seed. */
export function toCommonOptions(body: Sampled): Omit<CompletionOptions, "prompt"> {
    const { eft = {}, stop, logit_bias: bias } = body;
    const { parameters, speculation, members, explain, grammar, conservative, top = DEFAULT_TOP } = eft;
    return {
        sampling: toSampling(body),
        stop: (typeof stop === "string" ? [stop] : stop)?.filter((text) => text !== ""),
        // Ids are the names of an object's entries, in texts.
        logitBias: bias,
        ...{ parameters, explain, grammar, speculation, conservativeTopP: conservative?.top_p },
        memberLogprobs: members,
        // What members wanted is told of the same tokens.
        topLogprobs: members === true || explain === true ? top : undefined,
        readAhead: READ_AHEAD,
    };
}

function toSampling(body: Sampled): Some<SamplingOptions> {
    const { temperature, top_p: topP, top_k: topK, min_p: minP } = body;
    return {
        temperature,
        // Nothing but the most probable token has a share of 0.
        topP: topP === 0 ? Number.MIN_VALUE : topP,
        // As other servers say that it is off.
        topK: topK === -1 ? 0 : topK,
        minP,
        frequencyPenalty: body.frequency_penalty,
        presencePenalty: body.presence_penalty,
        repeatPenalty: body.repetition_penalty,
    };
}

/** A seed for each of several answers; -1 is a random one, as elsewhere. */
export function toSeeds({ seed }: Pick<ChatBody, "seed">, count: number): readonly number[] {
    return seedsOf(seed === -1 ? undefined : seed, count);
}

/** @returns options of each answer. @throws RequestError */
export function toChatOptions(body: ChatBody, note: Note): readonly CompletionOptions[] {
    const { response_format: format, tool_choice: choice, logprobs = false, top_logprobs: top } = body;
    if (top !== undefined && top > 0 && !logprobs)
        throw new RequestError(400, "top_logprobs needs logprobs to be true.", { param: "top_logprobs" });
    const tools = toTools(body.tools ?? [], note);
    const toolChoice: ToolChoice | undefined = typeof choice === "object" ? { tool: choice.function.name } : choice;
    const isForced = typeof toolChoice === "object" || toolChoice === "required";
    const common = toCommonOptions(body);
    const shared: CompletionOptions = {
        ...common,
        prompt: body.messages.map(toMessage),
        maxTokens: body.max_completion_tokens ?? body.max_tokens,
        // Where a call is forced, there is no answer besides.
        ...(isForced || format === undefined
            ? {}
            : toJsonOptions(format.type, format.json_schema, "response_format.json_schema.schema")),
        ...(tools.length > 0 && { tools, toolChoice }),
        topLogprobs: Math.max(common.topLogprobs ?? 0, logprobs ? (top ?? 0) : 0),
        templateVariables: {
            ...(body.reasoning_effort !== undefined && toThinkingVariables(body.reasoning_effort)),
            ...(body.chat_template_kwargs as Record<string, JsonValue> | undefined),
        },
    };
    if (isForced && tools.length === 0)
        throw new RequestError(400, "tool_choice asks for a call, and there are no tools of the type function.", {
            param: "tool_choice",
        });
    return toSeeds(body, body.n ?? 1).map((seed) => ({ ...shared, seed }));
}

/** By the names that most templates know; others take no notice. */
export function toThinkingVariables(effort: string): Record<string, JsonValue> {
    return effort === "none" ? { enable_thinking: false } : { enable_thinking: true, reasoning_effort: effort };
}

/**
 * What makes an answer JSON.
 *
 * @param param - where the schema belongs. @throws RequestError
 */
export function toJsonOptions(
    type: "text" | "json_object" | "json_schema",
    format: { readonly schema?: object; readonly strict?: boolean } | undefined,
    param: string,
): Pick<CompletionOptions, "jsonSchema" | "jsonSchemaStrict"> {
    if (type === "text") return {};
    if (type === "json_object") return { jsonSchema: { type: "object" } };
    const { schema, strict = false } = format ?? {};
    if (schema === undefined) throw new RequestError(400, `${param} is missing.`, { param });
    return { jsonSchema: checkSchema(schema, param), jsonSchemaStrict: strict };
}

/** Making a grammar of a schema takes time, in which nobody else is served. @throws RequestError */
export function checkSchema(schema: object, param: string): JsonSchema {
    const { length } = JSON.stringify(schema);
    if (length <= MAX_SCHEMA_LENGTH) return schema as JsonSchema;
    throw new RequestError(
        400,
        `${param} must be a schema of at most ${MAX_SCHEMA_LENGTH} characters, not of ${length}.`,
        { param, code: "invalid_schema" },
    );
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
