/** `POST /v1/messages` and `POST /v1/messages/count_tokens`, as Anthropic's clients know them. */

import type { FastifyInstance } from "fastify";
import type { FinishPart } from "../../decoding/completion.js";
import { partsOf, type Answers } from "../answers.js";
import { toBlocks } from "../blocks.js";
import { clientOf, noteOf } from "../client.js";
import { eventOf, responses } from "../document.js";
import { sendEvents, type ServerEvent } from "../events.js";
import { noSuchPath, tellFailure, type Failure } from "../failures.js";
import { noteTokens, toEftReport, wantsTokens } from "../openai/eft-report.js";
import type { EftToken } from "../openai/answer-schema.js";
import { checkLength } from "../reading.js";
import type { Services } from "../services.js";
import { toOptions, toPrompt } from "./request.js";
import {
    CountBody,
    Message,
    MessageEvent,
    MessagesBody,
    MessagesError,
    TokenCount,
    type AnswerBlock,
} from "./schema.js";

const PREFIX = { prefix: "/v1/messages" };

export async function addMessages(app: FastifyInstance, { desk, models, reading }: Services): Promise<void> {
    await app.register((scope, _options, done) => {
        scope.setErrorHandler(async (error, request, reply) => {
            const failure = tellFailure(error, request, reply);
            return reply.send(toErrorBody(failure));
        });
        scope.setNotFoundHandler(async (request, reply) => {
            const failure = noSuchPath(request);
            return reply.status(failure.status).send(toErrorBody(failure));
        });
        scope.post<{ Body: MessagesBody }>(
            "",
            {
                schema: {
                    ...{ tags: ["Anthropic"], operationId: "createMessage", summary: "Answers a conversation" },
                    body: MessagesBody,
                    response: responses(Message, { event: eventOf(MessageEvent), error: MessagesError }),
                },
                config: { names: { stop: "stop_sequences", jsonSchema: "output_config.format.schema" } },
            },
            async (request, reply) => {
                const { body } = request;
                const options = toOptions(body, noteOf(request));
                const answers = await desk.begin(
                    {
                        ...{ model: body.model, prefix: "msg_", choices: [options], solo: body.eft?.solo },
                        isOneCall: body.tool_choice?.disable_parallel_tool_use,
                    },
                    clientOf(request, reply),
                );
                const tokens: EftToken[] | undefined = wantsTokens(body.eft) ? [] : undefined;
                if (body.stream !== true) return collectMessage(answers, tokens);
                const prompt = await answers.ensemble.countTokens(options.prompt, {
                    ...{ tools: options.tools, toolChoice: options.toolChoice },
                    templateVariables: options.templateVariables,
                });
                return sendEvents(reply, streamMessage(answers, prompt, tokens), (failure) => ({
                    event: "error",
                    data: toErrorBody(failure),
                }));
            },
        );
        scope.post<{ Body: CountBody }>(
            "/count_tokens",
            {
                schema: {
                    ...{ tags: ["Anthropic"], operationId: "countMessageTokens" },
                    summary: "How many tokens the prompt of a conversation has",
                    body: CountBody,
                    response: responses(TokenCount, { error: MessagesError }),
                },
            },
            async (request, reply): Promise<TokenCount> => {
                const { prompt, ...options } = toPrompt(request.body, noteOf(request));
                const client = clientOf(request, reply);
                return models.using(request.body.model, client, async (ensemble) => {
                    checkLength(ensemble, [prompt, options.tools], "messages");
                    return { input_tokens: await reading.within(client, () => ensemble.countTokens(prompt, options)) };
                });
            },
        );
        done();
    }, PREFIX);
}

/** By status. */
const ERROR_TYPES: Readonly<Record<number, string>> = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
};

function toErrorBody({ status, error }: Failure): MessagesError {
    const type = ERROR_TYPES[status] ?? (status < 500 ? "invalid_request_error" : "api_error");
    return { type: "error", error: { type, message: error.message } };
}

/** Tokens that a cache held are counted beside the others. */
function toUsage({ usage }: FinishPart): Message["usage"] {
    return {
        input_tokens: usage.promptTokens - usage.reusedTokens,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: usage.reusedTokens,
        output_tokens: usage.completionTokens,
        output_tokens_details: { thinking_tokens: usage.thinkingTokens },
    };
}

function toStop({ reason, stoppedBy }: FinishPart): Pick<Message, "stop_reason" | "stop_sequence"> {
    const reasons = { "tool-calls": "tool_use", length: "max_tokens", abort: "max_tokens" } as const;
    const stopped = stoppedBy === undefined ? "end_turn" : "stop_sequence";
    return { stop_reason: reason === "stop" ? stopped : reasons[reason], stop_sequence: stoppedBy ?? null };
}

function headOf({ id, model }: Answers) {
    return { id, type: "message" as const, role: "assistant" as const, model };
}

/** The last part of an answer. */
type End = Pick<Message, "stop_reason" | "stop_sequence" | "usage" | "eft">;

/** @param tokens - where what was thought of them is collected; undefined: it is not asked for */
async function collectMessage(answers: Answers, tokens: EftToken[] | undefined): Promise<Partial<Message>> {
    const content: AnswerBlock[] = [];
    let end: End | undefined;
    for await (const block of toBlocks(noteTokens(answers.ensemble, partsOf(answers, 0), tokens))) {
        if (block.type === "close")
            content.push(
                block.kind === "text"
                    ? { type: "text", text: block.text, citations: null }
                    : { type: "thinking", thinking: block.text, signature: "" },
            );
        if (block.type === "call")
            content.push({ type: "tool_use", id: block.call.id, name: block.call.name, input: block.call.arguments });
        if (block.type === "finish")
            end = {
                ...toStop(block.finish),
                usage: toUsage(block.finish),
                eft: { ...toEftReport(block.finish), tokens },
            };
    }
    return { ...headOf(answers), content, ...end };
}

/** @param prompt - tokens of the prompt; how many of them a cache held is known at the end */
async function* streamMessage(
    answers: Answers,
    prompt: number,
    tokens: EftToken[] | undefined,
): AsyncGenerator<ServerEvent, void, void> {
    const send = (type: string, fields: object = {}): ServerEvent => ({ event: type, data: { type, ...fields } });
    const usage = {
        input_tokens: prompt,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 0,
        output_tokens: 0,
        output_tokens_details: { thinking_tokens: 0 },
    };
    const message = { ...headOf(answers), content: [], stop_reason: null, stop_sequence: null, usage };
    yield send("message_start", { message });
    for await (const block of toBlocks(noteTokens(answers.ensemble, partsOf(answers, 0), tokens))) {
        switch (block.type) {
            case "open": {
                const empty =
                    block.kind === "text"
                        ? { type: "text", text: "" }
                        : { type: "thinking", thinking: "", signature: "" };
                yield send("content_block_start", { index: block.index, content_block: empty });
                break;
            }
            case "delta": {
                const { index, kind, text } = block;
                const delta =
                    kind === "text" ? { type: "text_delta", text } : { type: "thinking_delta", thinking: text };
                yield send("content_block_delta", { index, delta });
                break;
            }
            case "close":
                if (block.kind === "thinking")
                    yield send("content_block_delta", {
                        ...{ index: block.index, delta: { type: "signature_delta", signature: "" } },
                    });
                yield send("content_block_stop", { index: block.index });
                break;
            case "call": {
                const { index, call } = block;
                const { id, name } = call;
                yield send("content_block_start", { index, content_block: { type: "tool_use", id, name, input: {} } });
                const delta = { type: "input_json_delta", partial_json: JSON.stringify(call.arguments) };
                yield send("content_block_delta", { index, delta });
                yield send("content_block_stop", { index });
                break;
            }
            case "finish": {
                const { finish } = block;
                yield send("message_delta", {
                    ...{ delta: toStop(finish), usage: toUsage(finish), eft: { ...toEftReport(finish), tokens } },
                });
                yield send("message_stop");
            }
        }
    }
}
