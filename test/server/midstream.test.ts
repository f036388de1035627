/** What fails in the middle of an answer: each protocol tells it as its clients know it, and the place is given back. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText, type LanguageModel } from "ai";
import OpenAI from "openai";
import type { EftServer } from "../../src/server/index.js";
import { demoFile, demoRecipe } from "../helpers/demo.js";
import { readGguf, writeGguf } from "../helpers/gguf.js";
import { post, serveDemo, untilMetric } from "../helpers/server.js";
import { temporaryFolder } from "../helpers/temporary.js";

globalThis.AI_SDK_LOG_WARNINGS = false;

const { folder, remove } = temporaryFolder();
const bad = path.join(folder, "nan.gguf");
const small = readGguf(demoFile("small-base"));
const tensors = small.tensors.map((tensor) =>
    tensor.name === "output.weight" ? { ...tensor, data: Buffer.alloc(tensor.data.length, 0xff) } : tensor,
);
writeGguf(bad, { ...small, tensors });
/** One of its members says nothing that is a number, and has no weight until somebody turns the dial. */
const recipe = demoRecipe(`
members: { good: { model: small-chat-f16.gguf }, bad: { model: ${JSON.stringify(bad)} } }
parameters: { beta: { default: 0, min: 0, max: 1 } }
combination: good + beta * bad
prompt: { template: from good }`);
const model = recipe.name;
const messages = [{ role: "user" as const, content: "Hello" }];
const WORDS = "Lima is the capital of Peru. Rome is the capital of Italy.";
/** Behind these words is nothing that a token could write. Each step writes one: those of the step that fails are lost with it. */
const DEAD_END = { grammar: String.raw`root ::= "${WORDS}" "\x00"`, speculation: false };
/** Longer than the context. */
const ENDLESS = { grammar: "root ::= [a-z ]{2000}" };

const lines: string[] = [];
let server: EftServer;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
    server = await serveDemo({ recipes: [recipe], parallel: 1, log: (line) => lines.push(line) });
    [openai, anthropic] = clientsOf(server);
});
afterAll(async () => {
    await server.close();
    remove();
});

function clientsOf({ url }: EftServer): [OpenAI, Anthropic] {
    return [
        new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }),
        new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 }),
    ];
}

interface Piece {
    /** Of the answer, where the piece has it. */
    readonly id?: string | undefined;
    readonly text?: string | undefined;
    /** Why it ended. */
    readonly end?: string | null | undefined;
}
type Read = (eft: object, clients?: [OpenAI, Anthropic]) => AsyncGenerator<Piece, void, void>;

/** Each through its client. Fields that a client does not know are sent as they are. */
const STREAMS: Readonly<Record<string, Read>> = {
    async *"chat completions"(eft, [client] = [openai, anthropic]) {
        const body = { model, messages, stream: true as const, eft };
        for await (const { id, choices } of await client.chat.completions.create(body))
            yield { id, text: choices[0]?.delta.content ?? "", end: choices[0]?.finish_reason };
    },
    async *completions(eft, [client] = [openai, anthropic]) {
        const body = { model, prompt: "Hello", max_tokens: 1000, stream: true as const, eft };
        for await (const { id, choices } of await client.completions.create(body))
            yield { id, text: choices[0]?.text, end: choices[0]?.finish_reason };
    },
    async *responses(eft, [client] = [openai, anthropic]) {
        for await (const event of await client.responses.create({ model, input: "Hello", stream: true, eft } as Body)) {
            if (event.type === "response.created") yield { id: event.response.id };
            if (event.type === "response.output_text.delta") yield { text: event.delta };
            if (event.type === "response.incomplete") yield { end: event.response.incomplete_details?.reason };
        }
    },
    async *"Anthropic's messages"(eft, [, client] = [openai, anthropic]) {
        const body = { model, messages, max_tokens: 1000, stream: true as const, eft };
        for await (const event of await client.messages.create(body)) {
            if (event.type === "message_start") yield { id: event.message.id };
            if (event.type === "content_block_delta" && event.delta.type === "text_delta")
                yield { text: event.delta.text };
            if (event.type === "message_delta") yield { end: event.delta.stop_reason };
        }
    },
};
type Body = OpenAI.Responses.ResponseCreateParamsStreaming;

/** What is read before an error, and the error. */
async function readToError(
    pieces: AsyncGenerator<Piece, void, void>,
    onId: (id: string) => Promise<unknown> = () => Promise.resolve(),
): Promise<{ readonly text: string; readonly error: unknown }> {
    let text = "";
    let isKnown = false;
    try {
        for await (const piece of pieces) {
            text += piece.text ?? "";
            if (!isKnown && piece.id !== undefined) await onId(piece.id);
            isKnown ||= piece.id !== undefined;
        }
    } catch (error) {
        return { text, error };
    }
    throw new Error(`Nothing has failed: ${text}`);
}

/** The only place is free, and usable. */
async function expectPlace(): Promise<void> {
    await untilMetric(server, "answers_running", 0);
    expect((await post(server, "/v1/chat/completions", { messages, max_tokens: 2 })).status).toBe(200);
}

interface Line {
    readonly msg: string;
    readonly reqId: string;
    readonly status?: number;
    readonly error?: string;
    readonly err?: { readonly code: string; readonly stack: string };
}

/** What the log says of the last failure: the line about it, and that of its request. */
async function lastFailure(): Promise<readonly [Line | undefined, Line | undefined]> {
    const read = (): Line[] => lines.map((line) => JSON.parse(line) as Line);
    const failed = read().findLast(({ msg }) => msg === "failed in the middle of an answer");
    const find = (): Line | undefined => read().find(({ msg, reqId }) => msg === "request" && reqId === failed?.reqId);
    // It comes when the connection has taken everything.
    while (find() === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    return [failed, find()];
}

describe.each(Object.keys(STREAMS))("a stream of %s", (name) => {
    const read = STREAMS[name] as Read;
    const errorClass = name.startsWith("Anthropic") ? Anthropic.APIError : OpenAI.APIError;
    const told = (type: string, message: unknown, code: string): object =>
        name.startsWith("Anthropic")
            ? { type, error: { type: "error", error: { type, message } } }
            : { type, code, error: { message, type, code, param: null } };

    it("that comes to a dead end says so behind its text", async () => {
        const { text, error } = await readToError(read(DEAD_END));
        expect(text).toBe(WORDS);
        expect(error).toBeInstanceOf(errorClass);
        const message = expect.stringContaining("The grammar has come to a dead end after");
        expect(error).toMatchObject(told("invalid_request_error", message, "no_token_left"));
        await expectPlace();
        const [failed, request] = await lastFailure();
        expect(failed?.err?.code).toBe("NO_TOKEN_LEFT");
        expect(request).toMatchObject({ status: 200, error: "no_token_left" });
    });

    it("whose dial is turned to what cannot be read has failed by the server's own fault", async () => {
        const { error } = await readToError(read(ENDLESS), async (id) => {
            const { status } = await post(server, "/v1/eft/control", { id, parameters: { beta: 1 } });
            expect(status).toBe(200);
        });
        expect(error).toBeInstanceOf(errorClass);
        const [type, message] = [
            name.startsWith("Anthropic") ? "api_error" : "server_error",
            expect.stringMatching(/^A member produced logits that are not numbers\. The server's log says more\.$/),
        ];
        expect(error).toMatchObject(told(type, message, "non_finite_logits"));
        await expectPlace();
        const [failed, request] = await lastFailure();
        // Where files are is the log's alone.
        expect(failed?.err?.stack).toContain("nan.gguf");
        expect(request).toMatchObject({ status: 200, error: "non_finite_logits" });
    });

    it("that the server's end cuts off has a reason", async () => {
        const ending = await serveDemo({ recipes: [recipe], closeMs: 0 });
        let closing: Promise<void> | undefined;
        const ends: unknown[] = [];
        for await (const { id, end } of read(ENDLESS, clientsOf(ending))) {
            if (id !== undefined) closing ??= ending.close();
            if (end !== undefined && end !== null) ends.push(end);
        }
        const reason = { responses: "max_output_tokens", "Anthropic's messages": "max_tokens" }[name] ?? "length";
        expect(ends).toEqual([reason]);
        await closing;
    });
});

describe("helpers of clients hear it, too", () => {
    it("OpenAI's", async () => {
        const chat = openai.chat.completions.stream({ model, messages, eft: DEAD_END } as never);
        await expect(chat.finalChatCompletion()).rejects.toMatchObject({ code: "no_token_left" });
        const response = openai.responses.stream({ model, input: "Hello", eft: DEAD_END } as never);
        await expect(response.finalResponse()).rejects.toMatchObject({ code: "no_token_left" });
        await expectPlace();
    });

    it("Anthropic's", async () => {
        const stream = anthropic.messages.stream({ model, messages, max_tokens: 100, eft: DEAD_END } as never);
        await expect(stream.finalMessage()).rejects.toMatchObject({ type: "invalid_request_error" });
        await expectPlace();
    });

    it.each(["compatible", "chat", "responses"])("the AI SDK's: %s", async (kind) => {
        const settings = {
            baseURL: `${server.url}/v1`,
            apiKey: "none",
            fetch: (url: string | URL | Request, init: RequestInit = {}) =>
                fetch(url, {
                    ...init,
                    body: JSON.stringify({ ...(JSON.parse(init.body as string) as object), eft: DEAD_END }),
                }),
        };
        const models: Readonly<Record<string, () => LanguageModel>> = {
            compatible: () => createOpenAICompatible({ name: "eft", ...settings })(model),
            chat: () => createOpenAI(settings).chat(model),
            responses: () => createOpenAI(settings)(model),
        };
        const errors: unknown[] = [];
        const result = streamText({
            ...{ model: models[kind]?.() as LanguageModel, prompt: "Hello", maxRetries: 0 },
            onError: ({ error }) => void errors.push(error),
        });
        let text = "";
        for await (const part of result.textStream) text += part;
        expect(text).toBe(WORDS);
        expect(JSON.stringify(errors) + String(errors[0])).toContain("dead end");
        await expectPlace();
    });
});

describe("an answer in one piece", () => {
    it.each<[string, object]>([
        ["/v1/chat/completions", { messages }],
        ["/v1/completions", { prompt: "Hello", max_tokens: 100 }],
        ["/v1/responses", { input: "Hello" }],
        ["/v1/messages", { messages, max_tokens: 100 }],
    ])("has the status of what has failed in its middle: %s", async (url, body) => {
        const { status } = await post(server, url, { ...body, eft: DEAD_END });
        expect(status).toBe(400);
        await expectPlace();
    });

    it("fails where one of its choices does, in a stream too, which has told of those that are whole", async () => {
        const either = String.raw`root ::= "a" | "b" "\x00"`;
        const body = { messages, n: 16, seed: 1, temperature: 100, eft: { grammar: either } };
        const { status, body: told } = await post(server, "/v1/chat/completions", body);
        expect([status, told.error.code]).toEqual([400, "no_token_left"]);
        await expectPlace();
        const ends: unknown[] = [];
        const reading = async (): Promise<void> => {
            const asked = { model, stream: true, ...body } as unknown as OpenAI.ChatCompletionCreateParamsStreaming;
            for await (const { choices } of await openai.chat.completions.create(asked))
                ends.push(...choices.flatMap(({ finish_reason: reason }) => reason ?? []));
        };
        await expect(reading()).rejects.toMatchObject({ code: "no_token_left" });
        expect(ends.length).toBeLessThan(16);
        await expectPlace();
    });

    it("is not kept where it has failed", async () => {
        let id = "";
        const { error } = await readToError((STREAMS["responses"] as Read)(DEAD_END), async (given) => {
            id = given;
            return Promise.resolve();
        });
        expect(error).toBeInstanceOf(OpenAI.APIError);
        await expect(openai.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
    });
});

it("a client that leaves before its turn is no failure of the server", async () => {
    const told: string[] = [];
    const busy = await serveDemo({ recipes: [recipe], parallel: 1, log: (line) => told.push(line) });
    const [client] = clientsOf(busy);
    const holder = await client.chat.completions.create({
        model,
        messages,
        stream: true,
        ...({ eft: ENDLESS } as object),
    });
    const leaving = new AbortController();
    const waiting = client.chat.completions.create({ model, messages }, { signal: leaving.signal });
    await untilMetric(busy, "answers_waiting", 1);
    leaving.abort();
    await expect(waiting).rejects.toThrow("aborted");
    await untilMetric(busy, "answers_waiting", 0);
    holder.controller.abort();
    await busy.close();
    expect(told.map((line) => (JSON.parse(line) as Line).msg)).not.toContain("failed");
});
