/** `POST /v1/responses`. */

import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { CompletionOptions } from "../../decoding/completion.js";
import type { Tool } from "../../tools/types.js";
import { partsOf, type Answers } from "../answers.js";
import {
    checkSchema,
    toCommonOptions,
    toJsonOptions,
    toSeeds,
    toThinkingVariables,
    toToolUse,
    type Note,
} from "../asking.js";
import { toBlocks } from "../blocks.js";
import { clientOf, noteOf } from "../client.js";
import { eventOf, responses } from "../document.js";
import { sendEvents, type ServerEvent } from "../events.js";
import { RequestError, type Failure } from "../failures.js";
import type { Services } from "../services.js";
import type { EftToken, TokenLogprobs } from "./answer-schema.js";
import { noteTokens, toEftReport, wantsTokens } from "./eft-report.js";
import { toTokenLogprobs } from "./logprobs.js";
import { toMessages } from "./response-items.js";
import { createResponseStore, type ResponseStore } from "./response-store.js";
import {
    DeletedResponse,
    Response,
    ResponseEvent,
    ResponsesBody,
    type Item,
    type OutputItem,
} from "./responses-schema.js";
import { chooseTools, type NamedChoice } from "./tool-choice.js";
import { createUsageSum } from "./usage.js";

const LOGPROBS = "message.output_text.logprobs";

export function addResponses(app: FastifyInstance, { desk }: Services): void {
    const store = createResponseStore();
    app.post<{ Body: ResponsesBody }>(
        "/v1/responses",
        {
            schema: {
                ...{ tags: ["OpenAI"], operationId: "createResponse" },
                summary: "Answers items, which may go on from an earlier response",
                body: ResponsesBody,
                response: responses(Response, { event: eventOf(ResponseEvent) }),
            },
            config: { names: { prompt: "input", maxTokens: "max_output_tokens", jsonSchema: "text.format.schema" } },
        },
        async (request, reply) => {
            const { body, client: key } = request;
            const items = gatherItems(body, store, key);
            const choices = [toOptions(body, items, noteOf(request))];
            const isOneCall = body.parallel_tool_calls === false;
            const answers = await desk.begin(
                { model: body.model, prefix: "resp_", choices, isOneCall, solo: body.eft?.solo },
                clientOf(request, reply),
            );
            const keep = (response: Response): void => {
                if (body.store !== false)
                    store.add(answers.id, { key, items: [...items, ...response.output], response });
            };
            const counter = { next: 0 };
            const events = respond(answers, body, keep, counter);
            if (body.stream === true) return sendEvents(reply, events, (failure) => explain(failure, counter.next++));
            let last: SentEvent["data"] | undefined;
            for await (const { data } of events) last = data;
            return last?.response;
        },
    );
    app.get<{ Params: { id: string } }>(
        "/v1/responses/:id",
        {
            schema: {
                ...{ tags: ["OpenAI"], operationId: "retrieveResponse", summary: "One that was kept" },
                response: responses(Response),
            },
        },
        (request) => {
            const { id } = request.params;
            const found = store.find(id, request.client);
            if (found === undefined) throw notKept(404, id);
            return found.response;
        },
    );
    app.delete<{ Params: { id: string } }>(
        "/v1/responses/:id",
        {
            schema: {
                ...{ tags: ["OpenAI"], operationId: "deleteResponse", summary: "Forgets one" },
                response: responses(DeletedResponse),
            },
        },
        (request): DeletedResponse => {
            const { id } = request.params;
            if (!store.remove(id, request.client)) throw notKept(404, id);
            return { id, object: "response", deleted: true };
        },
    );
}

function notKept(status: number, id: string, detail: RequestError["detail"] = {}): RequestError {
    const message = `There is no response ${JSON.stringify(id.slice(0, 100))}; only the latest ones are kept.`;
    return new RequestError(status, message, detail);
}

/** All that was said before, and what is said now. @throws RequestError */
function gatherItems({ input, previous_response_id: id }: ResponsesBody, store: ResponseStore, key: string): Item[] {
    const before = id === undefined ? undefined : store.find(id, key);
    if (id !== undefined && before === undefined)
        throw notKept(400, id, { param: "previous_response_id", code: "previous_response_not_found" });
    const now: readonly Item[] =
        typeof input === "string" ? [{ type: "message", role: "user", content: input }] : input;
    const references = now.flatMap(({ type, id: name = "" }) => (type === "item_reference" ? [name] : []));
    const kept = store.findItems(new Set(references), key);
    const resolved = now.map((item, index): Item => {
        if (item.type !== "item_reference") return item;
        const found = kept.get(item.id ?? "");
        if (found !== undefined) return found;
        throw new RequestError(400, `input[${index}] refers to an item that is not kept; send it whole.`, {
            param: `input[${index}]`,
        });
    });
    return [...(before?.items ?? []), ...resolved];
}

/** @throws RequestError */
function toOptions(body: ResponsesBody, items: readonly Item[], note: Note): CompletionOptions {
    const { instructions, include = [], tool_choice: choice, reasoning } = body;
    const messages = toMessages(items, note);
    const tools = (body.tools ?? []).flatMap(({ type, name, description, parameters }, index): Tool[] => {
        if (type === "function" && name !== undefined) {
            const schema = parameters && checkSchema(parameters, `tools[${index}].parameters`);
            return [{ name, description, parameters: schema }];
        }
        note(`tool of the type ${type.slice(0, 40)}`);
        return [];
    });
    const chosen = chooseTools(tools, typeof choice === "object" ? toNamedChoice(choice) : choice, note);
    const { use, isForced } = toToolUse(chosen.tools, chosen.toolChoice);
    const format = body.text?.format;
    const common = toCommonOptions(body);
    return {
        ...common,
        prompt: instructions === undefined ? messages : [{ role: "system", content: instructions }, ...messages],
        maxTokens: body.max_output_tokens,
        seed: toSeeds(body, 1)[0],
        ...(isForced || format === undefined ? {} : toJsonOptions(format.type, format, "text.format.schema")),
        ...use,
        topLogprobs: Math.max(common.topLogprobs ?? 0, include.includes(LOGPROBS) ? (body.top_logprobs ?? 0) : 0),
        ...(reasoning?.effort !== undefined && { templateVariables: toThinkingVariables(reasoning.effort) }),
    };
}

type ChoiceBody = Exclude<ResponsesBody["tool_choice"], string | undefined>;

function toNamedChoice({ type, name, mode = "auto", tools }: ChoiceBody): NamedChoice {
    return { type, name, allowed: tools && { mode, names: tools.map((tool) => tool.name) } };
}

interface SentEvent extends ServerEvent {
    readonly data: {
        readonly type: string;
        readonly sequence_number: number;
        /** Those of a whole response have it. */
        readonly response?: Response;
    };
}

/**
 * The events of a response; the last one has all of it.
 *
 * @param keep - told of it
 * @param counter - of events
 */
async function* respond(
    answers: Answers,
    body: ResponsesBody,
    keep: (response: Response) => void,
    counter: { next: number },
): AsyncGenerator<SentEvent, void, void> {
    const { ensemble, id, model, created } = answers;
    const send = (type: string, fields: object): SentEvent => ({
        event: type,
        data: { type, sequence_number: counter.next++, ...fields },
    });
    const withLogprobs = body.include?.includes(LOGPROBS) ?? false;
    const output: OutputItem[] = [];
    const state = (status: Response["status"], more: Partial<Response> = {}): Response => ({
        ...{ id, object: "response", created_at: created, status, model, output: [...output] },
        ...{ error: null, incomplete_details: null, instructions: body.instructions ?? null, usage: null },
        ...{ metadata: body.metadata ?? {}, parallel_tool_calls: body.parallel_tool_calls ?? true },
        ...{ previous_response_id: body.previous_response_id ?? null, tools: body.tools ?? [] },
        ...{ tool_choice: body.tool_choice ?? "auto", text: body.text ?? { format: { type: "text" } } },
        ...{ temperature: body.temperature ?? null, top_p: body.top_p ?? null, truncation: "disabled" },
        ...{
            max_output_tokens: body.max_output_tokens ?? null,
            reasoning: body.reasoning ?? null,
            store: body.store ?? true,
        },
        ...more,
    });
    yield send("response.created", { response: state("in_progress") });
    yield send("response.in_progress", { response: state("in_progress") });
    /** Of the item that is being written. */
    let item = "";
    let logprobs: TokenLogprobs[] = [];
    const tokens: EftToken[] | undefined = wantsTokens(body.eft) ? [] : undefined;
    for await (const block of toBlocks(noteTokens(ensemble, partsOf(answers, 0), tokens))) {
        if (block.type === "finish") {
            const { finish } = block;
            const isWhole = finish.reason === "stop" || finish.reason === "tool-calls";
            const sum = createUsageSum();
            sum.add(finish);
            const { prompt, cached, completion, thinking } = sum.read();
            const response = state(isWhole ? "completed" : "incomplete", {
                ...(!isWhole && { incomplete_details: { reason: "max_output_tokens" } }),
                usage: {
                    input_tokens: prompt,
                    input_tokens_details: { cached_tokens: cached },
                    output_tokens: completion,
                    output_tokens_details: { reasoning_tokens: thinking },
                    total_tokens: prompt + completion,
                },
                completed_at: Math.floor(Date.now() / 1000),
                eft: { ...toEftReport(finish), tokens },
            });
            keep(response);
            yield send(isWhole ? "response.completed" : "response.incomplete", { response });
            continue;
        }
        const at = { output_index: block.index };
        if (block.type === "call") {
            const { call } = block;
            const written = JSON.stringify(call.arguments);
            const made: OutputItem = {
                type: "function_call",
                id: newId("fc"),
                call_id: call.id,
                name: call.name,
                arguments: written,
                status: "completed",
            };
            output.push(made);
            const began: OutputItem = { ...made, arguments: "", status: "in_progress" };
            yield send("response.output_item.added", { ...at, item: began });
            yield send("response.function_call_arguments.delta", { ...at, item_id: made.id, delta: written });
            yield send("response.function_call_arguments.done", {
                ...at,
                item_id: made.id,
                arguments: written,
                name: made.name,
            });
            yield send("response.output_item.done", { ...at, item: made });
            continue;
        }
        const isText = block.kind === "text";
        const kind = !isText && body.reasoning?.summary !== undefined ? "summary" : block.kind;
        const form = FORMS[kind];
        const partOf = (text: string, known: TokenLogprobs[]) => ({
            ...{ type: form.part, text },
            ...(isText && { annotations: [], logprobs: known }),
        });
        const whole = (status: "in_progress" | "completed", ...texts: readonly string[]): OutputItem => {
            const head = { id: item, status };
            switch (kind) {
                case "text": {
                    const content = texts.map((text) => ({
                        type: "output_text" as const,
                        text,
                        annotations: [],
                        logprobs,
                    }));
                    return { type: "message", ...head, role: "assistant", content };
                }
                case "thinking": {
                    const content = texts.map((text) => ({ type: "reasoning_text" as const, text }));
                    return { type: "reasoning", ...head, summary: [], content };
                }
                case "summary":
                    return {
                        type: "reasoning",
                        ...head,
                        summary: texts.map((text) => ({ type: "summary_text" as const, text })),
                    };
            }
        };
        const place = (): object => ({ ...at, item_id: item, [form.index]: 0 });
        switch (block.type) {
            case "open":
                item = newId(form.prefix);
                logprobs = [];
                yield send("response.output_item.added", { ...at, item: whole("in_progress") });
                yield send(`response.${form.around}.added`, { ...place(), part: partOf("", []) });
                break;
            case "delta": {
                const known =
                    withLogprobs && block.token !== undefined
                        ? [toTokenLogprobs(ensemble, block.token, body.top_logprobs ?? 0)]
                        : [];
                logprobs.push(...known);
                const delta = { delta: block.text, ...(isText && { logprobs: known }) };
                yield send(`response.${form.event}.delta`, { ...place(), ...delta });
                break;
            }
            case "close": {
                const part = partOf(block.text, logprobs);
                const done = whole("completed", block.text);
                output.push(done);
                yield send(`response.${form.event}.done`, {
                    ...place(),
                    text: block.text,
                    ...(isText && { logprobs }),
                });
                yield send(`response.${form.around}.done`, { ...place(), part });
                yield send("response.output_item.done", { ...at, item: done });
            }
        }
    }
}

/** How what has pieces is told. Thoughts are the item's content, or, where a summary is asked for, that: some clients read no other. */
const FORMS = {
    text: {
        ...{ prefix: "msg", index: "content_index" },
        ...{ part: "output_text", event: "output_text", around: "content_part" },
    },
    thinking: {
        ...{ prefix: "rs", index: "content_index" },
        ...{ part: "reasoning_text", event: "reasoning_text", around: "content_part" },
    },
    summary: {
        ...{ prefix: "rs", index: "summary_index" },
        ...{ part: "summary_text", event: "reasoning_summary_text", around: "reasoning_summary_part" },
    },
} as const;

function newId(prefix: string): string {
    return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}

function explain({ error }: Failure, number: number): ServerEvent {
    // Clients read the one form or the other.
    return { event: "error", data: { ...error, type: "error", sequence_number: number, error } };
}
