/** What all protocols ask for in the same words, or nearly: from their fields to the options of completions. */

import { randomInt } from "node:crypto";
import type { CompletionOptions } from "../decoding/completion.js";
import type { JsonSchema } from "../grammar/schema-source.js";
import type { Tool, ToolChoice } from "../tools/types.js";
import type { JsonValue, SamplingOptions, Some } from "../types.js";
import { RequestError } from "./failures.js";
import type { ChatBody } from "./openai/chat-schema.js";

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
    const first = seed === undefined || seed === -1 ? randomInt(2 ** 32) : seed;
    const untilLast = Number.MAX_SAFE_INTEGER - first;
    return Array.from({ length: count }, (_, index) => (index > untilLast ? index - untilLast - 1 : first + index));
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

/** What may be called, where there is something, and whether it has to be. @throws RequestError */
export function toToolUse(
    tools: readonly Tool[],
    toolChoice: ToolChoice | undefined,
): { readonly use: Pick<CompletionOptions, "tools" | "toolChoice">; readonly isForced: boolean } {
    const isForced = typeof toolChoice === "object" || toolChoice === "required";
    if (isForced && tools.length === 0)
        throw new RequestError(
            400,
            "tool_choice asks for a call, and there are no tools of a kind that can be called.",
            {
                param: "tool_choice",
            },
        );
    return { use: tools.length === 0 ? {} : { tools, toolChoice }, isForced };
}
