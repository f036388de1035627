/** `POST /v1/messages` and `POST /v1/messages/count_tokens`, through Anthropic's client. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import Anthropic from "@anthropic-ai/sdk";
import type { EftServer } from "../../src/server/index.js";
import { QUESTIONS } from "../helpers/demo.js";
import { post, serveDemo, writeDemoRecipes } from "../helpers/server.js";

const [question] = QUESTIONS;
const messages = [{ role: "user" as const, content: question }];
const model = "demo";
const { recipes, remove } = writeDemoRecipes();
let server: EftServer;
let client: Anthropic;
beforeAll(async () => {
    server = await serveDemo({ recipes, apiKeys: ["secret"] });
    client = new Anthropic({ baseURL: server.url, apiKey: "secret", maxRetries: 0 });
});
afterAll(async () => {
    await server.close();
    remove();
});

type Body = Anthropic.MessageCreateParamsNonStreaming;
const ask = (more: Record<string, unknown> = {}) =>
    client.messages.create({ model, messages, max_tokens: 100, ...more } as Body);
const textOf = ({ content }: Anthropic.Message) =>
    content.map((block) => (block.type === "text" ? block.text : "")).join("");
async function chatText(said: object[], more: object = {}): Promise<string | undefined> {
    const { body } = await post<{ choices: { message: { content: string } }[] }>(
        ...([server, "/v1/chat/completions", { messages: said, ...more }, { "x-api-key": "secret" }] as const),
    );
    return body.choices[0]?.message.content;
}

const tools: Anthropic.Tool[] = [
    {
        name: "capital_of",
        description: "Looks it up",
        input_schema: {
            type: "object",
            properties: { country: { type: "string", enum: ["Peru"] } },
            required: ["country"],
            additionalProperties: false,
        },
    },
];
const forced = { tools, tool_choice: { type: "any" as const, disable_parallel_tool_use: true } };

describe("a message", () => {
    it("says what a chat completion says", async () => {
        const message = await ask({ system: "Be brief." });
        expect(textOf(message)).toBe(await chatText([{ role: "system", content: "Be brief." }, ...messages]));
        expect(message).toMatchObject({
            ...{ type: "message", role: "assistant", model, stop_reason: "end_turn", stop_sequence: null },
        });
    });

    it("counts its prompt as count_tokens does", async () => {
        const asked = { system: [{ type: "text" as const, text: "Be brief." }], tools };
        const { usage } = await ask(asked);
        const { input_tokens: counted } = await client.messages.countTokens({ model, messages, ...asked });
        expect(usage.input_tokens + (usage.cache_read_input_tokens ?? 0)).toBe(counted);
        expect(usage.output_tokens).toBeGreaterThan(1);
    });

    it("stops at a text, and says at which", async () => {
        const message = await ask({ stop_sequences: ["zzz", " capital"] });
        expect([message.stop_reason, message.stop_sequence]).toEqual(["stop_sequence", " capital"]);
        expect(textOf(message)).toBe(await chatText(messages, { stop: [" capital"] }));
    });

    it("stops at its length", async () => {
        expect((await ask({ max_tokens: 2 })).stop_reason).toBe("max_tokens");
    });

    it.each<[string, Record<string, unknown>]>([
        ["thinking", { thinking: { type: "enabled", budget_tokens: 1024 } }],
        ["no thinking", { thinking: { type: "disabled" } }],
        ["temperature, top_k, top_p", { temperature: 0, top_k: 5, top_p: 0.9 }],
        ["metadata and a tier", { metadata: { user_id: null }, service_tier: "auto" }],
        ["blocks", { messages: [{ role: "user", content: [{ type: "text", text: question }] }] }],
    ])("takes %s", async (_, more) => {
        expect(textOf(await ask(more))).toBe(await chatText(messages));
    });
});

describe("tools", () => {
    it("are called, and get their results", async () => {
        const message = await ask(forced);
        expect(message.stop_reason).toBe("tool_use");
        const [call] = message.content;
        if (call?.type !== "tool_use") throw new Error("There is no call.");
        expect([call.name, call.input]).toEqual(["capital_of", { country: "Peru" }]);
        for (const content of ["Lima", [{ type: "text" as const, text: "Lima" }]]) {
            const result = { type: "tool_result" as const, tool_use_id: call.id, content };
            const turns = [...messages, { role: "assistant" as const, content: message.content }];
            const answer = await ask({ tools, messages: [...turns, { role: "user", content: [result] }] });
            expect(answer.stop_reason).toBe("end_turn");
        }
    });

    it("can be named or forbidden", async () => {
        const named = await ask({
            tools,
            tool_choice: { type: "tool", name: "capital_of", disable_parallel_tool_use: true },
        });
        expect(named.stop_reason).toBe("tool_use");
        expect((await ask({ tools, tool_choice: { type: "none" } })).stop_reason).toBe("end_turn");
    });
});

describe("a stream", () => {
    it("has the same message", async () => {
        const whole = await ask();
        const stream = client.messages.stream({ model, messages, max_tokens: 100 });
        const texts: string[] = [];
        stream.on("text", (text) => texts.push(text));
        const streamed = await stream.finalMessage();
        expect(texts.join("")).toBe(textOf(whole));
        expect(streamed.content).toMatchObject([{ type: "text", text: textOf(whole) }]);
        expect(streamed.stop_reason).toBe("end_turn");
        expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens);
    });

    it("has its events in order", async () => {
        const stream = await client.messages.create({ model, messages, max_tokens: 100, stream: true });
        const types: string[] = [];
        for await (const { type } of stream) if (types.at(-1) !== type) types.push(type);
        expect(types).toEqual([
            ...["message_start", "content_block_start", "content_block_delta", "content_block_stop"],
            ...["message_delta", "message_stop"],
        ]);
    });

    it("has calls", async () => {
        const stream = client.messages.stream({ model, messages, max_tokens: 200, ...forced });
        expect((await stream.finalMessage()).content).toMatchObject([{ type: "tool_use", input: { country: "Peru" } }]);
    });
});

describe("what is wrong has its class", () => {
    const wrong = async (more: object, own = client) =>
        own.messages.create({ model, messages, max_tokens: 10, ...more } as Body).catch((error: unknown) => error);

    it("BadRequestError", async () => {
        for (const more of [
            { max_tokens: 0 },
            { messages: [] },
            { messages: [{ role: "user", content: [{ type: "image", source: {} }] }] },
            { tool_choice: { type: "any" } },
        ]) {
            const error = await wrong(more);
            expect(error).toBeInstanceOf(Anthropic.BadRequestError);
            expect(error).toMatchObject({
                status: 400,
                error: { type: "error", error: { type: "invalid_request_error" } },
            });
        }
    });

    it("AuthenticationError, NotFoundError", async () => {
        expect(await wrong({}, new Anthropic({ baseURL: server.url, apiKey: "nix", maxRetries: 0 }))).toBeInstanceOf(
            Anthropic.AuthenticationError,
        );
        expect(await wrong({ model: "claude" })).toBeInstanceOf(Anthropic.NotFoundError);
    });
});
