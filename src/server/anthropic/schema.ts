/** What `POST /v1/messages` and `POST /v1/messages/count_tokens` take, and what they answer. */

import Type, { type Static, type TSchema } from "typebox";
import { named, nullable } from "../document.js";
import { EftReport } from "../openai/answer-schema.js";
import { MAX_MESSAGES, MAX_PARTS, SamplingFields, StopText } from "../openai/chat-schema.js";

const optional = Type.Optional;
const Anything = Type.Object({}, { additionalProperties: true });
const Texts = Type.Union([
    Type.String(),
    Type.Array(Type.Object({ type: Type.String(), text: optional(Type.String()) }), { maxItems: MAX_PARTS }),
]);

/** Text, thoughts, a call, or what one gave. */
const Block = Type.Object({
    type: Type.String(),
    text: optional(Type.String()),
    thinking: optional(Type.String()),
    id: optional(Type.String()),
    name: optional(Type.String()),
    input: optional(Type.Unknown()),
    tool_use_id: optional(Type.String()),
    content: optional(Texts),
    is_error: optional(Type.Boolean()),
});

/** What the number of tokens depends on. */
const CONVERSATION = {
    model: optional(Type.String()),
    messages: Type.Array(
        Type.Object({
            role: Type.Enum(["user", "assistant", "system"]),
            content: Type.Union([Type.String(), Type.Array(Block, { maxItems: MAX_PARTS })]),
        }),
        { minItems: 1, maxItems: MAX_MESSAGES },
    ),
    system: optional(Texts),
    tools: optional(
        Type.Array(
            Type.Object({
                type: optional(Type.String()),
                name: Type.String(),
                description: optional(Type.String()),
                input_schema: optional(Anything),
            }),
            { maxItems: 128 },
        ),
    ),
    tool_choice: optional(
        Type.Object({
            type: Type.Enum(["auto", "any", "tool", "none"]),
            name: optional(Type.String()),
            disable_parallel_tool_use: optional(Type.Boolean()),
        }),
    ),
    thinking: optional(Type.Object({ type: Type.String(), budget_tokens: optional(Type.Integer()) })),
};

export const CountBody = Type.Object(CONVERSATION);
export type CountBody = Static<typeof CountBody>;

const { temperature, top_p, top_k, stream, eft } = SamplingFields;

export const MessagesBody = Type.Object({
    ...CONVERSATION,
    max_tokens: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }),
    stop_sequences: optional(Type.Array(StopText, { maxItems: 16 })),
    output_config: optional(
        Type.Object({
            effort: optional(Type.String()),
            format: optional(Type.Object({ type: Type.String(), schema: optional(Anything) })),
        }),
    ),
    metadata: optional(Anything),
    service_tier: optional(Type.String()),
    ...{ temperature, top_p, top_k, stream, eft },
});
export type MessagesBody = Static<typeof MessagesBody>;
export type MessageBody = MessagesBody["messages"][number];

/** What a request is answered with that fails, as Anthropic has it. */
export const MessagesError = named(
    "MessagesError",
    Type.Object({
        type: Type.Literal("error"),
        error: Type.Object({
            type: Type.String({ description: "The kind of error, such as invalid_request_error" }),
            message: Type.String(),
        }),
    }),
);
export type MessagesError = Static<typeof MessagesError>;

export const TokenCount = Type.Object({ input_tokens: Type.Integer({ minimum: 0 }) });
export type TokenCount = Static<typeof TokenCount>;

const Count = Type.Integer({ minimum: 0 });
const Usage = Type.Object({
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    output_tokens: Count,
    output_tokens_details: Type.Object({ thinking_tokens: Count }),
});
const ThinkingBlock = Type.Object({
    type: Type.Literal("thinking"),
    thinking: Type.String(),
    signature: Type.Literal(""),
});
const ToolUse = { type: Type.Literal("tool_use"), id: Type.String(), name: Type.String(), input: Anything };
const AnswerBlock = Type.Union([
    Type.Object({ type: Type.Literal("text"), text: Type.String(), citations: Type.Null() }),
    ThinkingBlock,
    Type.Object(ToolUse),
]);
export type AnswerBlock = Static<typeof AnswerBlock>;

const HEAD = {
    id: Type.String(),
    type: Type.Literal("message"),
    role: Type.Literal("assistant"),
    model: Type.String(),
};
const STOP = {
    stop_reason: Type.Enum(["end_turn", "max_tokens", "stop_sequence", "tool_use"]),
    stop_sequence: nullable(Type.String()),
};
export const Message = named(
    "Message",
    Type.Object({ ...HEAD, content: Type.Array(AnswerBlock), ...STOP, usage: Usage, eft: EftReport }),
);
export type Message = Static<typeof Message>;

const event = (type: string, fields: Readonly<Record<string, TSchema>> = {}): TSchema =>
    Type.Object({ type: Type.Literal(type), ...fields });
const begun = Type.Object({
    ...{ ...HEAD, content: Type.Array(AnswerBlock, { maxItems: 0 }), usage: Usage },
    ...{ stop_reason: Type.Null(), stop_sequence: Type.Null() },
});
const delta = (type: string, field: string): TSchema => event(type, { [field]: Type.String() });

/** By the name that its type is. */
export const MessageEvent = named(
    "MessageEvent",
    Type.Union([
        event("message_start", { message: begun }),
        event("content_block_start", {
            index: Count,
            content_block: Type.Union([event("text", { text: Type.String() }), ThinkingBlock, Type.Object(ToolUse)]),
        }),
        event("content_block_delta", {
            index: Count,
            delta: Type.Union([
                delta("text_delta", "text"),
                delta("thinking_delta", "thinking"),
                delta("signature_delta", "signature"),
                delta("input_json_delta", "partial_json"),
            ]),
        }),
        event("content_block_stop", { index: Count }),
        event("message_delta", { delta: Type.Object(STOP), usage: Usage, eft: EftReport }),
        event("message_stop"),
        MessagesError,
    ]),
);
