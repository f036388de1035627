/** What `POST /v1/chat/completions` takes, and what it answers. */

import Type, { type Static } from "typebox";
import { ErrorBody, eventOf, named, nullable } from "../document.js";
import { EftPart, EftReport, FinishReason, TokenLogprobs, Usage } from "./answer-schema.js";

const optional = Type.Optional;

/** Messages or items of a conversation, and parts of one of them. Templates take their time for each. */
export const MAX_MESSAGES = 4096;
export const MAX_PARTS = 1024;
/** A text that ends an answer. */
export const StopText = Type.String({ maxLength: 1000 });
/** Text, or parts of it. Other kinds of parts are refused by name. */
const Content = Type.Union([
    Type.String(),
    Type.Array(Type.Object({ type: Type.String(), text: optional(Type.String()) }), { maxItems: MAX_PARTS }),
]);

const Message = Type.Object({
    role: Type.Enum(["system", "developer", "user", "assistant", "tool"]),
    content: optional(Content),
    name: optional(Type.String()),
    reasoning_content: optional(Type.String()),
    tool_calls: optional(
        Type.Array(
            Type.Object({
                id: optional(Type.String()),
                type: optional(Type.String()),
                function: Type.Object({ name: Type.String(), arguments: optional(Type.String()) }),
            }),
            { maxItems: 128 },
        ),
    ),
    tool_call_id: optional(Type.String()),
});

/** What only this server has, in the field `eft`. */
export const EftFields = Type.Object(
    {
        parameters: optional(
            Type.Record(Type.String(), Type.Number(), { description: "Dials of the recipe, for this answer" }),
        ),
        conservative: optional(
            Type.Object(
                { top_p: Type.Number({ exclusiveMinimum: 0, maximum: 1 }) },
                {
                    additionalProperties: false,
                    description: "Mass of the conservative filter's set, in the place of the recipe's; 1 is off",
                },
            ),
        ),
        speculation: optional(
            Type.Union([Type.Boolean(), Type.Object({}, { additionalProperties: true })], {
                description: "Speculative decoding: false, true, or what overlays the recipe's",
            }),
        ),
        solo: optional(Type.String({ description: "A member of the recipe, which answers by itself" })),
        members: optional(Type.Boolean({ description: "Report each member's log-probability of each token" })),
        top: optional(
            Type.Integer({
                minimum: 0,
                maximum: 20,
                description: "With members or explain: of how many tokens besides, default 5",
            }),
        ),
        explain: optional(Type.Boolean({ description: "Report how far drafter and target are apart at each token" })),
        grammar: optional(Type.String({ maxLength: 65_536, description: "The text is one of this grammar, in GBNF" })),
    },
    // No other server's client sends it: what is unknown here is a mistake.
    { additionalProperties: false },
);

/** Fields that all ways of asking for an answer have in common. */
export const SamplingFields = {
    temperature: optional(Type.Number({ minimum: 0, maximum: 100 })),
    top_p: optional(Type.Number({ minimum: 0, maximum: 1 })),
    top_k: optional(Type.Integer({ minimum: -1, maximum: 2 ** 31 - 1 })),
    min_p: optional(Type.Number({ minimum: 0, maximum: 1 })),
    frequency_penalty: optional(Type.Number({ minimum: -100, maximum: 100 })),
    presence_penalty: optional(Type.Number({ minimum: -100, maximum: 100 })),
    repetition_penalty: optional(Type.Number({ exclusiveMinimum: 0, maximum: 10 })),
    seed: optional(Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER, description: "-1: a random one" })),
    stop: optional(Type.Union([StopText, Type.Array(StopText, { maxItems: 16 })])),
    logit_bias: optional(
        Type.Record(Type.String(), Type.Number({ minimum: -100, maximum: 100 }), { maxProperties: 1024 }),
    ),
    stream: optional(Type.Boolean()),
    stream_options: optional(Type.Object({ include_usage: optional(Type.Boolean()) })),
    user: optional(Type.String()),
    eft: optional(EftFields),
};

export const Tools = Type.Array(
    Type.Object({
        type: Type.String(),
        function: optional(
            Type.Object({
                name: Type.String(),
                description: optional(Type.String()),
                parameters: optional(Type.Object({}, { additionalProperties: true })),
                strict: optional(Type.Boolean()),
            }),
        ),
    }),
    { maxItems: 128 },
);

/** Of tools that are named, whether one must be called. */
export const Mode = Type.Enum(["auto", "required"]);

export const ChatBody = Type.Object({
    model: optional(Type.String()),
    messages: Type.Array(Message, { minItems: 1, maxItems: MAX_MESSAGES }),
    max_tokens: optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
    max_completion_tokens: optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
    n: optional(Type.Integer({ minimum: 1, maximum: 16 })),
    logprobs: optional(Type.Boolean()),
    top_logprobs: optional(Type.Integer({ minimum: 0, maximum: 20 })),
    response_format: optional(
        Type.Object({
            type: Type.Enum(["text", "json_object", "json_schema"]),
            json_schema: optional(
                Type.Object({
                    name: optional(Type.String()),
                    description: optional(Type.String()),
                    schema: optional(Type.Object({}, { additionalProperties: true })),
                    strict: optional(Type.Boolean()),
                }),
            ),
        }),
    ),
    tools: optional(Tools),
    tool_choice: optional(
        Type.Union([
            Type.Enum(["auto", "none", "required"]),
            Type.Object({
                type: Type.String(),
                function: optional(Type.Object({ name: Type.String() })),
                allowed_tools: optional(
                    Type.Object({
                        mode: Mode,
                        tools: Type.Array(
                            Type.Object({
                                type: Type.String(),
                                function: optional(Type.Object({ name: Type.String() })),
                            }),
                            { maxItems: 128 },
                        ),
                    }),
                ),
            }),
        ]),
    ),
    parallel_tool_calls: optional(Type.Boolean()),
    reasoning_effort: optional(Type.String()),
    chat_template_kwargs: optional(Type.Object({}, { additionalProperties: true })),
    store: optional(Type.Boolean()),
    metadata: optional(Type.Object({}, { additionalProperties: true })),
    ...SamplingFields,
});

export type ChatBody = Static<typeof ChatBody>;
export type ChatMessageBody = Static<typeof Message>;

/** The fields that all objects of one answer begin with. */
const HEAD = { id: Type.String(), created: Type.Integer(), model: Type.String(), system_fingerprint: Type.Null() };
const Logprobs = nullable(Type.Object({ content: Type.Array(TokenLogprobs), refusal: Type.Null() }));
const ToolCall = {
    id: Type.String(),
    type: Type.Literal("function"),
    function: Type.Object({ name: Type.String(), arguments: Type.String({ description: "JSON" }) }),
};

export const ChatCompletion = named(
    "ChatCompletion",
    Type.Object({
        ...HEAD,
        object: Type.Literal("chat.completion"),
        choices: Type.Array(
            Type.Object({
                index: Type.Integer(),
                message: Type.Object({
                    role: Type.Literal("assistant"),
                    content: nullable(Type.String()),
                    refusal: Type.Null(),
                    reasoning_content: optional(Type.String()),
                    tool_calls: optional(Type.Array(Type.Object(ToolCall))),
                }),
                logprobs: Logprobs,
                finish_reason: FinishReason,
                eft: optional(EftReport),
            }),
        ),
        usage: Usage,
    }),
);
export type ChatCompletion = Static<typeof ChatCompletion>;

const ChunkChoice = Type.Object({
    index: Type.Integer(),
    delta: Type.Object({
        role: optional(Type.Literal("assistant")),
        content: optional(Type.String()),
        refusal: optional(Type.Null()),
        reasoning_content: optional(Type.String()),
        tool_calls: optional(Type.Array(Type.Object({ index: Type.Integer(), ...ToolCall }))),
    }),
    logprobs: Logprobs,
    finish_reason: nullable(FinishReason),
    eft: optional(EftPart),
});
export type ChunkChoice = Static<typeof ChunkChoice>;

export const ChatChunk = named(
    "ChatChunk",
    Type.Object({
        ...HEAD,
        object: Type.Literal("chat.completion.chunk"),
        choices: Type.Array(ChunkChoice),
        usage: optional(nullable(Usage)),
    }),
);
export type ChatChunk = Static<typeof ChatChunk>;
export const ChatEvent = eventOf(Type.Union([ChatChunk, ErrorBody]), "[DONE]");
