/** Parts of answers: what several ways of asking have in common, and what only this server reports. */

import Type, { type Static } from "typebox";
import { named, nullable } from "../document.js";

const optional = Type.Optional;
const Id = Type.Integer({ minimum: 0 });
const Count = Type.Integer({ minimum: 0 });
const Known = nullable(Type.Number({ description: "null: impossible, or of a member that was not read" }));
const ByMember = Type.Record(Type.String(), Known);

const Logprob = {
    token: Type.String(),
    logprob: Type.Number({ description: "-9999: impossible" }),
    bytes: Type.Array(Type.Integer({ minimum: 0, maximum: 255 })),
};
export const TokenLogprobs = named(
    "TokenLogprobs",
    Type.Object({ ...Logprob, top_logprobs: Type.Array(Type.Object(Logprob)) }),
);
export type TokenLogprobs = Static<typeof TokenLogprobs>;

export const Usage = named(
    "Usage",
    Type.Object({
        prompt_tokens: Count,
        completion_tokens: Count,
        total_tokens: Count,
        prompt_tokens_details: Type.Object({ cached_tokens: Count }),
        completion_tokens_details: Type.Object({
            reasoning_tokens: Count,
            accepted_prediction_tokens: Count,
            rejected_prediction_tokens: Count,
        }),
    }),
);
export type Usage = Static<typeof Usage>;

export const FinishReason = Type.Enum(["stop", "length", "tool_calls"]);
export type FinishReason = Static<typeof FinishReason>;

const REPORT = {
    seed: Type.Integer({ minimum: 0, description: "With which the text comes again" }),
    stopped_by: optional(Type.String({ description: "The stop text that ended it" })),
    timings: Type.Object({
        first_token_ms: Type.Number(),
        generation_ms: Type.Number(),
        tokens_per_second: Type.Number(),
        decode_ms: Type.Record(Type.String(), Type.Number(), { description: "By member" }),
        fuse_ms: Type.Number(),
    }),
    speculation: optional(
        Type.Object({
            drafted: Count,
            accepted: Count,
            acceptance_rate: optional(Type.Number({ description: "Of drafts that were verified" })),
            acceptance_length: optional(Type.Number({ description: "Tokens of a verified block" })),
            unasked: optional(
                Type.Integer({
                    minimum: 0,
                    description: "With selective fusion: tokens that the drafter drew by itself",
                }),
            ),
        }),
    ),
    exactness: optional(
        Type.Enum(["approximate"], {
            description: "With selective fusion: the text is not drawn from the target alone",
        }),
    ),
    unenforced: optional(
        Type.Array(Type.Object({ place: Type.String(), keyword: Type.String(), reason: Type.String() }), {
            description: "Keywords of the schema that did not constrain the text",
        }),
    ),
};
const Candidate = { id: Id, token: Type.String(), logprob: Known, members: optional(ByMember) };
export const EftToken = named(
    "EftToken",
    Type.Object({
        ...Candidate,
        top: optional(Type.Array(Type.Object(Candidate))),
        drafter: optional(
            Type.Object({
                id: Id,
                token: Type.String({ description: "What it would have drawn" }),
                distance: Type.Number({ description: "Total variation, 0..1" }),
                shifts: optional(ByMember),
                changed_by: optional(Type.String({ description: "The member that changed the decision" })),
            }),
        ),
        drawn_by: optional(
            Type.Enum(["drafter"], {
                description:
                    "With selective fusion, where the target was not asked: log-probabilities are the drafter's",
            }),
        ),
    }),
);
export type EftToken = Static<typeof EftToken>;

/** Of an answer, with those of its tokens where they have not been told before. */
export const EftReport = named("EftReport", Type.Object({ ...REPORT, tokens: optional(Type.Array(EftToken)) }));
export type EftReport = Static<typeof EftReport>;

/** Of a part of a stream. */
export const EftPart = Type.Union([EftReport, Type.Object({ tokens: Type.Array(EftToken) })], {
    description: "Of the token that came with it; at the end, of the answer",
});
