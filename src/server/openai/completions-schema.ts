/** What `POST /v1/completions` takes, and what it answers. */

import Type, { type Static } from "typebox";
import { ErrorBody, eventOf, named, nullable } from "../document.js";
import { EftPart, EftReport, FinishReason, Usage } from "./answer-schema.js";
import { SamplingFields } from "./chat-schema.js";

const optional = Type.Optional;
const Ids = Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), { minItems: 1 });
/** Prompts of one request. */
export const MOST_PROMPTS = 64;

export const CompletionsBody = Type.Object({
    model: optional(Type.String()),
    prompt: Type.Union(
        [
            Type.String(),
            Type.Array(Type.String(), { minItems: 1, maxItems: MOST_PROMPTS }),
            Ids,
            Type.Array(Ids, { minItems: 1, maxItems: MOST_PROMPTS }),
        ],
        { description: "A text, token ids, or several of either" },
    ),
    max_tokens: optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, description: "Default 16" })),
    n: optional(Type.Integer({ minimum: 1, maximum: 16 })),
    best_of: optional(Type.Integer({ minimum: 1, maximum: 16, description: "Not beyond n" })),
    echo: optional(Type.Boolean({ description: "The prompt is part of the text, and of its log-probabilities" })),
    logprobs: optional(Type.Integer({ minimum: 0, maximum: 20, description: "Of the most probable tokens, too" })),
    suffix: optional(Type.String({ description: "Not supported" })),
    ...SamplingFields,
});
export type CompletionsBody = Static<typeof CompletionsBody>;

export const LegacyLogprobs = named(
    "LegacyLogprobs",
    Type.Object(
        {
            tokens: Type.Array(Type.String()),
            token_logprobs: Type.Array(nullable(Type.Number())),
            top_logprobs: Type.Array(nullable(Type.Record(Type.String(), Type.Number()))),
            text_offset: Type.Array(Type.Integer({ description: "In UTF-16 units" })),
        },
        { description: "Lists that run beside each other; null where nothing precedes the token" },
    ),
);
export type LegacyLogprobs = Static<typeof LegacyLogprobs>;

const CHOICE = {
    index: Type.Integer(),
    text: Type.String(),
    logprobs: nullable(LegacyLogprobs),
    eft: optional(EftPart),
};
const HEAD = {
    ...{ id: Type.String(), object: Type.Literal("text_completion"), created: Type.Integer() },
    ...{ model: Type.String(), system_fingerprint: Type.Null() },
};

export const Completion = named(
    "Completion",
    Type.Object({
        ...HEAD,
        choices: Type.Array(Type.Object({ ...CHOICE, finish_reason: FinishReason, eft: optional(EftReport) })),
        usage: Usage,
    }),
);
export type Completion = Static<typeof Completion>;

export const CompletionChunk = named(
    "CompletionChunk",
    Type.Object({
        ...HEAD,
        choices: Type.Array(Type.Object({ ...CHOICE, finish_reason: nullable(FinishReason) })),
        usage: optional(nullable(Usage)),
    }),
);
export type CompletionChunk = Static<typeof CompletionChunk>;
export const CompletionEvent = eventOf(Type.Union([CompletionChunk, ErrorBody]), "[DONE]");
