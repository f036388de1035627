/** `POST /tokenize`, `/detokenize` and `/apply-template`: texts, tokens and prompts of a model. */

import type { FastifyInstance } from "fastify";
import Type, { type Static } from "typebox";
import { tokenText } from "../../decoding/token-text.js";
import type { Ensemble } from "../../ensemble/ensemble.js";
import { toMessages as checkMessages } from "../../prompts/messages.js";
import { renderPrompts } from "../../prompts/prompt.js";
import { clientOf } from "../client.js";
import { responses, nullable } from "../document.js";
import { RequestError } from "../failures.js";
import { ChatBody } from "../openai/chat-schema.js";
import { toMessage } from "../openai/request.js";
import { checkLength } from "../reading.js";
import type { Services } from "../services.js";

const optional = Type.Optional;
const { messages, chat_template_kwargs: variables } = ChatBody.properties;
const TokenizeBody = Type.Object({
    model: optional(Type.String()),
    prompt: optional(Type.String()),
    content: optional(Type.String({ description: "The same as prompt" })),
    messages: optional(messages),
    chat_template_kwargs: variables,
    add_special_tokens: optional(Type.Boolean({ description: "As a prompt begins, default false" })),
    add_special: optional(Type.Boolean({ description: "The same" })),
});
type TokenizeBody = Static<typeof TokenizeBody>;
const DetokenizeBody = Type.Object({
    model: optional(Type.String()),
    tokens: Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), { maxItems: 131_072 }),
});
type DetokenizeBody = Static<typeof DetokenizeBody>;
const TemplateBody = Type.Object({ model: optional(Type.String()), messages, chat_template_kwargs: variables });
type TemplateBody = Static<typeof TemplateBody>;

const Tokens = Type.Object({
    tokens: Type.Array(Type.Integer({ minimum: 0 })),
    count: Type.Integer(),
    max_model_len: Type.Integer({ description: "The context size" }),
});
type Tokens = Static<typeof Tokens>;
const TokenizerInfo = Type.Object({
    tokenizer_class: Type.Literal("eft-llama"),
    bos_token: nullable(Type.String()),
    eos_token: nullable(Type.String()),
});
type TokenizerInfo = Static<typeof TokenizerInfo>;
const Text = Type.Object({ prompt: Type.String(), content: Type.String({ description: "The same" }) });
type Text = Static<typeof Text>;
const Prompts = Type.Object({
    prompt: Type.String({ description: "Of the member whose tokenizer reads texts" }),
    members: Type.Record(Type.String(), Type.String()),
});
type Prompts = Static<typeof Prompts>;

export function addTexts(app: FastifyInstance, { models, reading }: Services): void {
    app.post<{ Body: TokenizeBody }>(
        "/tokenize",
        {
            schema: {
                ...{ tags: ["Texts"], operationId: "tokenize" },
                summary: "The tokens of a text, or of the prompt that a conversation makes",
                body: TokenizeBody,
                response: responses(Tokens),
            },
        },
        async (request, reply): Promise<Tokens> => {
            const { body } = request;
            const client = clientOf(request, reply);
            return models.using(body.model, client, async (ensemble) => {
                const tokens = [...(await reading.within(client, () => tokenize(ensemble, body)))];
                return { tokens, count: tokens.length, max_model_len: ensemble.contextSize };
            });
        },
    );
    app.get<{ Querystring: { model?: string } }>(
        "/tokenizer_info",
        {
            schema: {
                ...{ tags: ["Texts"], operationId: "tokenizerInfo", summary: "Spellings of BOS and EOS" },
                querystring: Type.Object({ model: optional(Type.String()) }),
                response: responses(TokenizerInfo),
            },
        },
        async (request, reply): Promise<TokenizerInfo> =>
            models.using(request.query.model, clientOf(request, reply), (ensemble) => {
                const { bos, eos } = specialTokens(ensemble);
                return { tokenizer_class: "eft-llama", bos_token: bos?.text ?? null, eos_token: eos?.text ?? null };
            }),
    );
    app.post<{ Body: DetokenizeBody }>(
        "/detokenize",
        {
            schema: {
                ...{ tags: ["Texts"], operationId: "detokenize", summary: "The text of tokens" },
                body: DetokenizeBody,
                response: responses(Text),
            },
        },
        async (request, reply): Promise<Text> =>
            models.using(request.body.model, clientOf(request, reply), (ensemble) => {
                const text = ensemble.detokenize(request.body.tokens);
                return { prompt: text, content: text };
            }),
    );
    app.post<{ Body: TemplateBody }>(
        "/apply-template",
        {
            schema: {
                ...{ tags: ["Texts"], operationId: "applyTemplate" },
                summary: "What each member is shown of a conversation",
                body: TemplateBody,
                response: responses(Prompts),
            },
        },
        async (request, reply): Promise<Prompts> => {
            const { body } = request;
            return models.using(body.model, clientOf(request, reply), (ensemble) => {
                checkLength(ensemble, body.messages, "messages");
                const said = checkMessages(body.messages.map(toMessage), "messages");
                const prompts = ensemble.members.map(({ name, prompt }): [string, string] => [
                    name,
                    prompt.render(said, body.chat_template_kwargs as Record<string, string> | undefined),
                ]);
                return { prompt: prompts[ensemble.texts.speaker]?.[1] ?? "", members: Object.fromEntries(prompts) };
            });
        },
    );
}

async function tokenize(ensemble: Ensemble, body: TokenizeBody): Promise<Int32Array> {
    const { members, texts } = ensemble;
    const { prompt = body.content, add_special_tokens: isPrompt = body.add_special ?? false } = body;
    if ((prompt === undefined) === (body.messages === undefined))
        throw new RequestError(400, "Give either prompt, a text, or messages.", { param: "prompt" });
    checkLength(ensemble, prompt ?? body.messages, prompt === undefined ? "messages" : "prompt");
    // Programs that measure models ask for these ids by their spellings. In a longer text they are text.
    const special = Object.values(specialTokens(ensemble)).find((token) => token?.text === prompt);
    if (special !== undefined) return Int32Array.of(special.id);
    if (prompt !== undefined && !isPrompt) return ensemble.tokenize(prompt);
    const said = checkMessages(prompt ?? (body.messages ?? []).map(toMessage), "messages");
    const variables = body.chat_template_kwargs as Record<string, string> | undefined;
    const shown = await renderPrompts(members, said, { raw: prompt !== undefined, variables, limit: Infinity });
    return shown[texts.speaker]?.tokens ?? new Int32Array(0);
}

/** What begins and ends texts, to the member whose tokenizer reads texts. */
function specialTokens(ensemble: Ensemble): Readonly<Record<"bos" | "eos", { id: number; text: string } | undefined>> {
    const member = ensemble.members[ensemble.texts.speaker];
    const named = (id = -1): { id: number; text: string } | undefined =>
        id < 0 ? undefined : { id, text: tokenText(ensemble, id) };
    return { bos: named(member?.model.info.bos), eos: named(member?.prompt.eos) };
}
