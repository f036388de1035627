/** What `POST /v1/messages` and `POST /v1/messages/count_tokens` take. */

import Type, { type Static } from "typebox";
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
