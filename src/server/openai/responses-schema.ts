/** What `POST /v1/responses` takes, and what it answers. */

import Type, { type Static, type TSchema } from "typebox";
import { named, nullable } from "../document.js";
import { EftReport, TokenLogprobs } from "./answer-schema.js";
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

const Status = Type.Enum(["in_progress", "completed", "incomplete"]);
const TextPart = Type.Object({
    type: Type.Literal("output_text"),
    text: Type.String(),
    annotations: Type.Array(Anything, { maxItems: 0 }),
    logprobs: Type.Array(TokenLogprobs),
});
const ReasoningPart = Type.Object({ type: Type.Literal("reasoning_text"), text: Type.String() });
const SummaryPart = Type.Object({ type: Type.Literal("summary_text"), text: Type.String() });
const OutputPart = Type.Union([TextPart, ReasoningPart]);

export const OutputItem = named(
    "OutputItem",
    Type.Union([
        Type.Object({
            type: Type.Literal("message"),
            id: Type.String(),
            status: Status,
            role: Type.Literal("assistant"),
            content: Type.Array(TextPart),
        }),
        Type.Object({
            type: Type.Literal("reasoning"),
            id: Type.String(),
            status: Status,
            summary: Type.Array(SummaryPart, { description: "The thoughts, where one was asked for" }),
            content: optional(Type.Array(ReasoningPart)),
        }),
        Type.Object({
            type: Type.Literal("function_call"),
            id: Type.String(),
            call_id: Type.String(),
            name: Type.String(),
            arguments: Type.String({ description: "JSON" }),
            status: Status,
        }),
    ]),
);
export type OutputItem = Static<typeof OutputItem>;

const Count = Type.Integer({ minimum: 0 });
/** Fields of the request, as they came. */
const asAsked = { additionalProperties: true, description: "As it was asked for" };

export const Response = named(
    "Response",
    Type.Object({
        id: Type.String(),
        object: Type.Literal("response"),
        created_at: Type.Integer(),
        completed_at: optional(Type.Integer()),
        status: Status,
        model: Type.String(),
        output: Type.Array(OutputItem),
        error: Type.Null(),
        incomplete_details: nullable(Type.Object({ reason: Type.Literal("max_output_tokens") })),
        usage: nullable(
            Type.Object({
                input_tokens: Count,
                input_tokens_details: Type.Object({ cached_tokens: Count }),
                output_tokens: Count,
                output_tokens_details: Type.Object({ reasoning_tokens: Count }),
                total_tokens: Count,
            }),
        ),
        instructions: nullable(Type.String()),
        previous_response_id: nullable(Type.String()),
        metadata: Type.Object({}, asAsked),
        parallel_tool_calls: Type.Boolean(),
        tools: Type.Array(Type.Object({}, asAsked)),
        tool_choice: Type.Union([Type.String(), Type.Object({}, asAsked)]),
        text: Type.Object({}, asAsked),
        reasoning: nullable(Type.Object({}, asAsked)),
        temperature: nullable(Type.Number()),
        top_p: nullable(Type.Number()),
        truncation: Type.Literal("disabled"),
        max_output_tokens: nullable(Type.Integer()),
        store: Type.Boolean(),
        eft: optional(EftReport),
    }),
);
export type Response = Static<typeof Response>;

export const DeletedResponse = Type.Object({
    id: Type.String(),
    object: Type.Literal("response"),
    deleted: Type.Literal(true),
});
export type DeletedResponse = Static<typeof DeletedResponse>;

const event = <Name extends string, Fields extends Record<string, TSchema>>(type: Name, fields: Fields) =>
    Type.Object({ type: Type.Literal(type), sequence_number: Count, ...fields });
const ofItem = { output_index: Count, item_id: Type.String() };
const ofPart = { ...ofItem, content_index: Count };
const ofSummary = { ...ofItem, summary_index: Count };
const whole = { output_index: Count, item: OutputItem };
const logprobs = Type.Array(TokenLogprobs);

export const ResponseEvent = named(
    "ResponseEvent",
    Type.Union([
        event("response.created", { response: Response }),
        event("response.in_progress", { response: Response }),
        event("response.output_item.added", whole),
        event("response.content_part.added", { ...ofPart, part: OutputPart }),
        event("response.output_text.delta", { ...ofPart, delta: Type.String(), logprobs }),
        event("response.output_text.done", { ...ofPart, text: Type.String(), logprobs }),
        event("response.reasoning_text.delta", { ...ofPart, delta: Type.String() }),
        event("response.reasoning_text.done", { ...ofPart, text: Type.String() }),
        event("response.reasoning_summary_part.added", { ...ofSummary, part: SummaryPart }),
        event("response.reasoning_summary_text.delta", { ...ofSummary, delta: Type.String() }),
        event("response.reasoning_summary_text.done", { ...ofSummary, text: Type.String() }),
        event("response.reasoning_summary_part.done", { ...ofSummary, part: SummaryPart }),
        event("response.content_part.done", { ...ofPart, part: OutputPart }),
        event("response.function_call_arguments.delta", { ...ofItem, delta: Type.String() }),
        event("response.function_call_arguments.done", { ...ofItem, arguments: Type.String(), name: Type.String() }),
        event("response.output_item.done", whole),
        event("response.completed", { response: Response }),
        event("response.incomplete", { response: Response }),
        event("error", {
            message: Type.String(),
            param: nullable(Type.String()),
            code: nullable(Type.String()),
            error: Type.Object({}, { additionalProperties: true, description: "As elsewhere" }),
        }),
    ]),
);
