/** `POST /v1/chat/completions`. */

import type { FastifyInstance } from "fastify";
import type { FinishPart, FinishReason, TokenPart, ToolCallPart } from "../../decoding/completion.js";
import type { Ensemble } from "../../ensemble/ensemble.js";
import type { Answers } from "../answers.js";
import { clientOf, noteOf } from "../client.js";
import { sendEvents, type ServerEvent } from "../events.js";
import { responses } from "../document.js";
import type { Services } from "../services.js";
import type { FinishReason as Finish } from "./answer-schema.js";
import { ChatBody, ChatCompletion, ChatEvent, type ChatChunk, type ChunkChoice } from "./chat-schema.js";
import { toEftReport, toEftToken, wantsTokens } from "./eft-report.js";
import { toTokenLogprobs } from "./logprobs.js";
import { toChatOptions } from "./request.js";
import { createUsageSum, toUsage } from "./usage.js";

export const FINISH_REASONS: Readonly<Record<FinishReason, Finish>> = {
    stop: "stop",
    "tool-calls": "tool_calls",
    length: "length",
    // The server ended it; clients know no word for that.
    abort: "length",
};

export function addChatCompletions(app: FastifyInstance, { desk }: Services): void {
    app.post<{ Body: ChatBody }>(
        "/v1/chat/completions",
        {
            schema: {
                ...{ tags: ["OpenAI"], operationId: "createChatCompletion", summary: "Answers a conversation" },
                body: ChatBody,
                response: responses(ChatCompletion, { event: ChatEvent }),
            },
        },
        async (request, reply) => {
            const { body } = request;
            const { model, eft, parallel_tool_calls: parallel } = body;
            const choices = toChatOptions(body, noteOf(request));
            const answers = await desk.begin(
                { model, prefix: "chatcmpl-", choices, isOneCall: parallel === false, solo: eft?.solo },
                clientOf(request, reply),
            );
            const view = {
                logprobs: body.logprobs ?? false,
                top: body.top_logprobs ?? 0,
                tokens: wantsTokens(eft),
            };
            if (body.stream !== true) return collectChat(answers, view);
            const events = streamChat(answers, { ...view, usage: body.stream_options?.include_usage ?? false });
            return sendEvents(reply, events, ({ error }) => ({ data: { error } }));
        },
    );
}

/** What of an answer is reported besides. */
interface View {
    /** Log-probabilities of its tokens. */
    readonly logprobs: boolean;
    /** And of how many others. */
    readonly top: number;
    /** What members and drafter thought of them. */
    readonly tokens: boolean;
}

/** The fields that all objects of one answer begin with. */
function headOf<Kind extends string>({ id, created, model }: Answers, object: Kind) {
    return { id, object, created, model, system_fingerprint: null };
}

function toToolCall({ id, name, arguments: values }: ToolCallPart) {
    return { id, type: "function" as const, function: { name, arguments: JSON.stringify(values) } };
}

async function collectChat(answers: Answers, view: View): Promise<ChatCompletion> {
    const { ensemble } = answers;
    const found = new Map<number, Collected>();
    const usage = createUsageSum();
    for await (const { index, part } of answers.parts) {
        const choice = found.get(index) ?? { text: [], thinking: [], calls: [], tokens: [], finish: undefined };
        found.set(index, choice);
        choice.text.push(part.text);
        if (part.type === "thinking") choice.thinking.push(part.thinking);
        else if (part.type === "tool-call") choice.calls.push(part);
        else if (part.type === "token") choice.tokens.push(part);
        else {
            choice.finish = part;
            usage.add(part);
        }
    }
    const choices = [...found]
        .sort(([a], [b]) => a - b)
        .map(([index, choice]): ChatCompletion["choices"][number] => {
            const { text, thinking, calls, tokens, finish } = choice;
            const content = text.join("");
            return {
                index,
                message: {
                    role: "assistant",
                    content: content === "" && calls.length > 0 ? null : content,
                    refusal: null,
                    ...(thinking.length > 0 && { reasoning_content: thinking.join("") }),
                    ...(calls.length > 0 && { tool_calls: calls.map(toToolCall) }),
                },
                logprobs: view.logprobs
                    ? { content: tokens.map((token) => toTokenLogprobs(ensemble, token, view.top)), refusal: null }
                    : null,
                finish_reason: FINISH_REASONS[finish?.reason ?? "abort"],
                ...(finish !== undefined && {
                    eft: {
                        ...toEftReport(finish),
                        ...(view.tokens && { tokens: tokens.map((token) => toEftToken(ensemble, token)) }),
                    },
                }),
            };
        });
    return { ...headOf(answers, "chat.completion"), choices, usage: toUsage(usage.read()) };
}

interface Collected {
    readonly text: string[];
    readonly thinking: string[];
    readonly calls: ToolCallPart[];
    readonly tokens: TokenPart[];
    finish: FinishPart | undefined;
}

async function* streamChat(
    answers: Answers,
    view: View & { readonly usage: boolean },
): AsyncGenerator<ServerEvent, void, void> {
    const { ensemble } = answers;
    const head = { ...headOf(answers, "chat.completion.chunk") };
    const withUsage = view.usage ? { usage: null } : {};
    const send = (data: ChatChunk): ServerEvent => ({ data });
    const chunk = (
        index: number,
        delta: ChunkChoice["delta"],
        more: Partial<ChunkChoice> = {},
        finish: Finish | null = null,
    ): ServerEvent =>
        send({ ...head, choices: [{ index, delta, logprobs: null, finish_reason: finish, ...more }], ...withUsage });
    const begun = new Set<number>();
    const calls = new Map<number, number>();
    const usage = createUsageSum();
    for await (const { index, part } of answers.parts) {
        if (!begun.has(index)) yield chunk(index, { role: "assistant", content: "", refusal: null });
        begun.add(index);
        switch (part.type) {
            case "token": {
                const more = describeToken(ensemble, part, view);
                if (part.text !== "" || more !== undefined) yield chunk(index, { content: part.text }, more);
                break;
            }
            case "thinking":
                yield chunk(index, { reasoning_content: part.thinking });
                break;
            case "tool-call": {
                const number = calls.get(index) ?? 0;
                calls.set(index, number + 1);
                yield chunk(index, { tool_calls: [{ index: number, ...toToolCall(part) }] });
                break;
            }
            case "finish":
                usage.add(part);
                if (part.text !== "") yield chunk(index, { content: part.text });
                yield chunk(index, {}, { eft: toEftReport(part) }, FINISH_REASONS[part.reason]);
        }
    }
    if (view.usage) yield send({ ...head, choices: [], usage: toUsage(usage.read()) });
    yield { data: "[DONE]" };
}

/** What a chunk says of its token besides the text; undefined: nothing. */
function describeToken(
    ensemble: Ensemble,
    token: TokenPart,
    { logprobs, top, tokens }: View,
): Partial<ChunkChoice> | undefined {
    if (!logprobs && !tokens) return undefined;
    return {
        ...(logprobs && { logprobs: { content: [toTokenLogprobs(ensemble, token, top)], refusal: null } }),
        ...(tokens && { eft: { tokens: [toEftToken(ensemble, token)] } }),
    };
}
