/** What `POST /v1/responses` takes. */

import Type, { type Static } from "typebox";
import { MAX_MESSAGES, MAX_PARTS, Mode, SamplingFields } from "./chat-schema.js";

const optional = Type.Optional;
const Anything = Type.Object({}, { additionalProperties: true });

const Part = Type.Object({ type: Type.String(), text: optional(Type.String()) });
const Texts = Type.Union([Type.String(), Type.Array(Part, { maxItems: MAX_PARTS })]);

/** A message, a call, what it gave, or thoughts. Other kinds are left out. */
export const Item = Type.Object({
    type: optional(Type.String()),
    id: optional(Type.String()),
    role: optional(Type.Enum(["system", "developer", "user", "assistant"])),
    content: optional(Texts),
    summary: optional(Type.Array(Part)),
    call_id: optional(Type.String()),
    name: optional(Type.String()),
    arguments: optional(Type.String()),
    output: optional(Texts),
});

const { temperature, top_p, top_k, min_p, frequency_penalty, presence_penalty, repetition_penalty, seed } =
    SamplingFields;

export const ResponsesBody = Type.Object({
    model: optional(Type.String()),
    input: Type.Union([Type.String(), Type.Array(Item, { maxItems: MAX_MESSAGES })]),
    instructions: optional(Type.String()),
    previous_response_id: optional(Type.String()),
    store: optional(Type.Boolean()),
    max_output_tokens: optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
    tools: optional(
        Type.Array(
            Type.Object({
                type: Type.String(),
                name: optional(Type.String()),
                description: optional(Type.String()),
                parameters: optional(Anything),
                strict: optional(Type.Boolean()),
            }),
            { maxItems: 128 },
        ),
    ),
    tool_choice: optional(
        Type.Union([
            Type.Enum(["auto", "none", "required"]),
            Type.Object({
                type: Type.String(),
                name: optional(Type.String()),
                mode: optional(Mode),
                tools: optional(
                    Type.Array(Type.Object({ type: Type.String(), name: optional(Type.String()) }), { maxItems: 128 }),
                ),
            }),
        ]),
    ),
    parallel_tool_calls: optional(Type.Boolean()),
    text: optional(
        Type.Object({
            format: optional(
                Type.Object({
                    type: Type.Enum(["text", "json_object", "json_schema"]),
                    name: optional(Type.String()),
                    schema: optional(Anything),
                    strict: optional(Type.Boolean()),
                }),
            ),
        }),
    ),
    reasoning: optional(Type.Object({ effort: optional(Type.String()), summary: optional(Type.String()) })),
    include: optional(Type.Array(Type.String())),
    top_logprobs: optional(Type.Integer({ minimum: 0, maximum: 20 })),
    stream: optional(Type.Boolean()),
    stream_options: optional(Anything),
    truncation: optional(Type.String()),
    metadata: optional(Anything),
    user: optional(Type.String()),
    ...{ temperature, top_p, top_k, min_p, frequency_penalty, presence_penalty, repetition_penalty, seed },
    eft: SamplingFields.eft,
});

export type ResponsesBody = Static<typeof ResponsesBody>;
export type Item = Static<typeof Item>;
