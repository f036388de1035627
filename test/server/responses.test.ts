/** `POST /v1/responses`, through OpenAI's client. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import OpenAI from "openai";
import { createResponseStore } from "../../src/server/openai/response-store.js";
import type { EftServer } from "../../src/server/index.js";
import { QUESTIONS } from "../helpers/demo.js";
import { post, serveDemo, writeDemoRecipes } from "../helpers/server.js";

const [question, other] = QUESTIONS;
const model = "demo";
const { recipes, remove } = writeDemoRecipes();
let server: EftServer;
let client: OpenAI;
let stranger: OpenAI;
beforeAll(async () => {
    server = await serveDemo({ recipes, apiKeys: ["a", "b"] });
    const [first, second] = ["a", "b"].map(
        (apiKey) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 }),
    );
    if (first === undefined || second === undefined) throw new Error("There are two keys.");
    [client, stranger] = [first, second];
});
afterAll(async () => {
    await server.close();
    remove();
});

const chatText = async (messages: OpenAI.ChatCompletionMessageParam[]) =>
    (await client.chat.completions.create({ model, messages })).choices[0]?.message.content;

const tools = [
    {
        type: "function" as const,
        name: "capital_of",
        strict: true,
        parameters: {
            type: "object",
            properties: { country: { type: "string", enum: ["Peru"] } },
            required: ["country"],
            additionalProperties: false,
        },
    },
];
const FORCED = { tools, tool_choice: "required", parallel_tool_calls: false } as const;

describe("a response", () => {
    it("says what a chat completion says", async () => {
        const response = await client.responses.create({ model, input: question, instructions: "Be brief." });
        expect(response.output_text).toBe(
            await chatText([
                { role: "system", content: "Be brief." },
                { role: "user", content: question },
            ]),
        );
        expect(response).toMatchObject({
            ...{ object: "response", status: "completed", model, error: null, instructions: "Be brief." },
            output: [{ type: "message", role: "assistant", status: "completed" }],
            usage: { total_tokens: (response.usage?.input_tokens ?? 0) + (response.usage?.output_tokens ?? 0) },
        });
    });

    it("that is cut off is incomplete", async () => {
        const { status, incomplete_details } = await client.responses.create({
            ...{ model, input: question, max_output_tokens: 2 },
        });
        expect([status, incomplete_details]).toEqual(["incomplete", { reason: "max_output_tokens" }]);
    });

    it("goes on from an earlier one, or from what is sent again, null fields included", async () => {
        const first = await client.responses.create({ model, input: question });
        const expected = await chatText([
            { role: "user", content: question },
            { role: "assistant", content: first.output_text },
            { role: "user", content: other },
        ]);
        const next = await client.responses.create({ model, input: other, previous_response_id: first.id });
        expect(next.output_text).toBe(expected);
        expect(next.previous_response_id).toBe(first.id);
        const said = { role: "user" as const, content: other };
        for (const items of [first.output, [{ type: "item_reference", id: first.output[0]?.id }]]) {
            const input = [{ role: "user", content: question, status: null }, ...items, said];
            const again = await client.responses.create({ model, input: input as OpenAI.Responses.ResponseInput });
            expect(again.output_text).toBe(expected);
        }
        const thoughts = { type: "reasoning", id: "rs_1", summary: [], content: null, encrypted_content: null };
        const { status } = await post(server, "/v1/responses", { input: [thoughts, said] }, { "x-api-key": "a" });
        expect(status).toBe(200);
    });

    it("is kept for whoever asked, and for nobody else", async () => {
        const { id, output } = await client.responses.create({ model, input: question });
        expect((await client.responses.retrieve(id)).output).toEqual(output);
        await expect(stranger.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
        await expect(stranger.responses.delete(id)).rejects.toThrow(OpenAI.NotFoundError);
        const going = { model, input: other, previous_response_id: id };
        await expect(stranger.responses.create(going)).rejects.toMatchObject({
            ...{ status: 400, param: "previous_response_id", code: "previous_response_not_found" },
        });
        const input = [{ type: "item_reference" as const, id: output[0]?.id ?? "" }];
        await expect(stranger.responses.create({ model, input })).rejects.toMatchObject({
            status: 400,
            param: "input[0]",
        });
        await client.responses.delete(id);
        await expect(client.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
        const { id: unkept } = await client.responses.create({ model, input: question, store: false });
        await expect(client.responses.retrieve(unkept)).rejects.toThrow(OpenAI.NotFoundError);
    });

    it("has log-probabilities where they are asked for", async () => {
        const response = await client.responses.create({
            ...{ model, input: question, include: ["message.output_text.logprobs"], top_logprobs: 2 },
        });
        const [item] = response.output;
        const [part] = item?.type === "message" ? item.content : [];
        const logprobs = part?.type === "output_text" ? (part.logprobs ?? []) : [];
        expect(logprobs.length).toBeGreaterThan(3);
        for (const { top_logprobs } of logprobs) expect(top_logprobs).toHaveLength(2);
    });

    it("is JSON of a schema", async () => {
        const schema = { type: "object", properties: { a: { type: "boolean" } }, required: ["a"] };
        for (const format of [{ type: "json_schema" as const, name: "x", schema }, { type: "json_object" as const }]) {
            const { output_text: text } = await client.responses.create({ model, input: question, text: { format } });
            expect(JSON.parse(text)).toBeInstanceOf(Object);
        }
    });
});

describe("tools", () => {
    it("are called, and get their results", async () => {
        const first = await client.responses.create({ model, input: question, ...FORCED });
        const [call] = first.output;
        if (call?.type !== "function_call") throw new Error("There is no call.");
        expect([call.name, JSON.parse(call.arguments)]).toEqual(["capital_of", { country: "Peru" }]);
        expect(first.status).toBe("completed");
        const result = { type: "function_call_output" as const, call_id: call.call_id, output: "Lima" };
        const kept = await client.responses.create({ model, input: [result], previous_response_id: first.id, tools });
        const sent = await client.responses.create({
            ...{ model, tools, input: [{ role: "user", content: question }, call, result] },
        });
        expect(kept.output_text).toBe(sent.output_text);
        expect(kept.status).toBe("completed");
    });

    it("are called among those that are allowed", async () => {
        const { output } = await client.responses.create({
            ...{ model, input: question, parallel_tool_calls: false },
            tools: [...tools, ...tools.map((tool) => ({ ...tool, name: "money_of" }))],
            tool_choice: { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "money_of" }] },
        });
        expect(output.map((item) => item.type === "function_call" && item.name)).toEqual(["money_of"]);
    });

    it("of other kinds are left out", async () => {
        const { status } = await client.responses.create({ model, input: question, tools: [{ type: "web_search" }] });
        expect(status).toBe("completed");
    });
});

describe("a stream", () => {
    async function eventsOf(more: object) {
        const stream = await client.responses.create({ model, input: question, stream: true, ...more });
        const events: OpenAI.Responses.ResponseStreamEvent[] = [];
        for await (const event of stream) events.push(event);
        expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
        return events;
    }

    it("has its events in order, and the same text", async () => {
        const events = await eventsOf({});
        const types = events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
        expect(types).toEqual([
            ...["response.created", "response.in_progress", "response.output_item.added"],
            ...["response.content_part.added", "response.output_text.delta", "response.output_text.done"],
            ...["response.content_part.done", "response.output_item.done", "response.completed"],
        ]);
        const text = events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
        expect(text).toBe((await client.responses.create({ model, input: question })).output_text);
        const last = events.at(-1);
        expect(last?.type === "response.completed" && last.response.usage?.output_tokens).toBeGreaterThan(3);
    });

    it("has calls", async () => {
        const types = (await eventsOf(FORCED)).map(({ type }) => type);
        expect(types).toEqual([
            ...["response.created", "response.in_progress", "response.output_item.added"],
            ...["response.function_call_arguments.delta", "response.function_call_arguments.done"],
            ...["response.output_item.done", "response.completed"],
        ]);
    });

    it("is read by the client's own helper", async () => {
        const final = await client.responses.stream({ model, input: question }).finalResponse();
        expect(final.output_text).toBe(await chatText([{ role: "user", content: question }]));
    });
});

describe("what is wrong", () => {
    it.each<[string, object, string]>([
        ["no input", {}, "input"],
        ["an item without role", { input: [{ content: "a" }] }, "input[0].role"],
        ["an image", { input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content"],
        [
            "arguments that are not JSON",
            { input: [{ type: "function_call", name: "f", arguments: "{" }] },
            "input[0].arguments",
        ],
        ["a call without name", { input: [{ type: "function_call" }] }, "input[0].name"],
        ["no schema", { input: "a", text: { format: { type: "json_schema" } } }, "text.format.schema"],
        ["a choice without tools", { input: "a", tool_choice: "required" }, "tool_choice"],
        ["a choice of none", { input: "a", tool_choice: { type: "function" } }, "tool_choice"],
    ])("is told with its field: %s", async (_, body, param) => {
        const { status, body: told } = await post(server, "/v1/responses", body, { "x-api-key": "a" });
        expect([status, told.error.param]).toEqual([400, param]);
    });
});

it("items that are referred to are looked for once, however many there are", () => {
    const store = createResponseStore();
    let looks = 0;
    const items = Array.from({ length: 100 }, (_, index) => ({
        type: "message",
        get id() {
            looks++;
            return `msg_${index}`;
        },
    }));
    store.add("resp_1", { key: "mine", items, response: {} });
    store.add("resp_2", { key: "another's", items: [{ type: "message", id: "msg_other" }], response: {} });
    looks = 0;
    const wanted = new Set([...Array.from({ length: 100 }, (_, index) => `msg_${index}`), "msg_other"]);
    const found = store.findItems(wanted, "mine");
    expect([found.size, found.has("msg_other"), looks]).toEqual([100, false, 100]);
});
