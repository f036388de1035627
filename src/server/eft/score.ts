/** `POST /v1/eft/score`: how probable given texts are, to the target and to each member. */

import type { FastifyInstance } from "fastify";
import Type, { type Static } from "typebox";
import type { ScoreItem } from "../../scoring/items.js";
import { clientOf } from "../client.js";
import { responses, named } from "../document.js";
import { RequestError } from "../failures.js";
import { ChatBody, EftFields } from "../openai/chat-schema.js";
import { toMessage } from "../openai/request.js";
import { finite, tokenBytes } from "../openai/logprobs.js";
import { checkReport, scoreInPlaces } from "../scoring.js";
import { checkLength } from "../reading.js";
import type { Services } from "../services.js";

/** Windows go on by this part of the context at least. */
const SMALLEST_PART = 8;

const optional = Type.Optional;
const Ids = Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }));

export const ScoreBody = Type.Object({
    model: optional(Type.String()),
    items: Type.Array(
        Type.Object({
            context: optional(
                Type.Union([Type.String(), Ids], { description: "What precedes it: a text, or token ids" }),
            ),
            messages: optional(ChatBody.properties.messages),
            continuation: Type.Union([Type.String(), Ids], { description: "What is scored" }),
            with_end: optional(Type.Boolean({ description: "The token that ends an answer, too" })),
        }),
        { minItems: 1, maxItems: 1000 },
    ),
    stride: optional(
        Type.Integer({ minimum: 1, description: "Score longer texts in windows that go on by so many tokens" }),
    ),
    top_logprobs: optional(Type.Integer({ minimum: 0, maximum: 20 })),
    parameters: EftFields.properties.parameters,
    conservative: EftFields.properties.conservative,
});
type ScoreBody = Static<typeof ScoreBody>;

const ScoredToken = Type.Object({
    id: Type.Integer({ minimum: 0 }),
    token: Type.String(),
    logprob: Type.Number({ description: "-9999: impossible" }),
});
const Scores = named(
    "Scores",
    Type.Object({
        object: Type.Literal("list"),
        model: Type.String(),
        data: Type.Array(
            Type.Object({
                index: Type.Integer(),
                text: Type.String(),
                windows: Type.Integer(),
                is_greedy: Type.Boolean({ description: "Whether each token is the most probable one" }),
                tokens: Type.Array(ScoredToken),
                logprob: Type.Number({ description: "Of all together" }),
                members: Type.Record(Type.String(), Type.Array(Type.Number())),
                top: optional(Type.Array(Type.Array(ScoredToken))),
            }),
        ),
    }),
);
type Scores = Static<typeof Scores>;

export function addScore(app: FastifyInstance, { models, places }: Services): void {
    app.post<{ Body: ScoreBody }>(
        "/v1/eft/score",
        {
            schema: {
                ...{ tags: ["EFT"], operationId: "scoreTexts", summary: "Log-probabilities of given texts" },
                body: ScoreBody,
                response: responses(Scores),
            },
            config: {
                names: {
                    prompt: "items",
                    items: "items",
                    parameters: "parameters",
                    conservativeTopP: "conservative.top_p",
                },
            },
        },
        async (request, reply): Promise<Scores> => {
            const { model, items: given, stride, top_logprobs: top = 0, parameters, conservative } = request.body;
            const chat = given.some(({ messages }) => messages !== undefined);
            const items = given.map((item, index) => toItem(item, index, chat));
            checkReport(
                given.map(({ continuation }) => continuation),
                1 + top,
                "items",
            );
            const client = clientOf(request, reply);
            return models.using(model, client, async (ensemble) => {
                // Each window is evaluated as a whole.
                const least = Math.ceil(ensemble.contextSize / SMALLEST_PART);
                if (stride !== undefined && stride < least)
                    throw new RequestError(
                        400,
                        `stride must be at least ${least}, which is an eighth of the context.`,
                        {
                            param: "stride",
                        },
                    );
                // Others are found to be too long before they are tokenized.
                if (stride !== undefined)
                    for (const [index, { continuation }] of given.entries())
                        checkLength(ensemble, continuation, `items[${index}].continuation`);
                const scores = await scoreInPlaces(places, ensemble, items, {
                    ...{ asker: client, chat, stride, parameters, topLogprobs: top },
                    conservativeTopP: conservative?.top_p,
                });
                const spell = (id: number): string => tokenBytes(ensemble, id).toString("utf8");
                return {
                    object: "list",
                    model: ensemble.recipe.name,
                    data: scores.map(({ text, tokens, logprobs, members, windows, isGreedy, top: others }, index) => ({
                        ...{ index, text, windows },
                        is_greedy: isGreedy,
                        tokens: tokens.map((id, at) => ({ id, token: spell(id), logprob: finite(logprobs[at] ?? 0) })),
                        logprob: finite(logprobs.reduce((sum, logprob) => sum + logprob, 0)),
                        members: Object.fromEntries(
                            Object.entries(members).map(([name, values]) => [name, values.map(finite)]),
                        ),
                        ...(top > 0 && {
                            top: others?.map((row) =>
                                row.map(({ id, logprob }) => ({ id, token: spell(id), logprob: finite(logprob) })),
                            ),
                        }),
                    })),
                };
            });
        },
    );
}

function toItem(item: ScoreBody["items"][number], index: number, chat: boolean): ScoreItem {
    const { context, messages, continuation, with_end: withEnd } = item;
    const param = `items[${index}]`;
    if (messages !== undefined && context !== undefined)
        throw new RequestError(400, `${param} has both context and messages; give one of them.`, { param });
    if (chat && messages === undefined)
        throw new RequestError(400, `${param} has no messages, and others have; give all items messages or none.`, {
            param,
        });
    return { context: messages?.map(toMessage) ?? context, continuation, withEnd };
}
