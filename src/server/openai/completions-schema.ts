/** What `POST /v1/completions` takes. */

import Type, { type Static } from "typebox";
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
