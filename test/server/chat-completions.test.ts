/** `POST /v1/chat/completions` and `GET /v1/models`, through OpenAI's client. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import OpenAI from "openai";
import { collect, complete, type CompletionOptions, type Ensemble } from "../../src/index.js";
import type { EftServer } from "../../src/server/index.js";
import { loadOnCpu, QUESTIONS } from "../helpers/demo.js";
import { serveDemo, untilLeft, untilMetric, writeDemoRecipes } from "../helpers/server.js";

const [question] = QUESTIONS;
const messages = [{ role: "user" as const, content: question }];
const MODEL = "demo";
const { recipes, remove } = writeDemoRecipes();
let server: EftServer;
let client: OpenAI;
let ensemble: Ensemble;
beforeAll(async () => {
    server = await serveDemo({ recipes });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
    ensemble = await loadOnCpu(recipes[0], { contextSize: 1024 });
});
afterAll(async () => {
    await server.close();
    await ensemble.dispose();
    remove();
});

type Body = OpenAI.ChatCompletionCreateParamsNonStreaming;
const ask = (more: Record<string, unknown> = {}) =>
    client.chat.completions.create({ model: MODEL, messages, ...more } as Body);
const completed = (more: Partial<CompletionOptions> = {}) => collect(complete(ensemble, { prompt: question, ...more }));

describe("models", () => {
    it("are listed and described", async () => {
        const { data } = await client.models.list();
        expect(data.map(({ id }) => id)).toEqual(["demo", "demo-dial"]);
        expect(await client.models.retrieve("demo-dial")).toEqual(data[1]);
        await expect(client.models.retrieve("nix")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
    });
});

describe("an answer", () => {
    it("is that of complete(), with its usage", async () => {
        const expected = await completed({ seed: 3 });
        const answer = await ask({ seed: 3 });
        expect(answer).toMatchObject({
            object: "chat.completion",
            model: MODEL,
            id: expect.stringMatching(/^chatcmpl-/),
        });
        expect(answer.choices).toMatchObject([
            { index: 0, message: { role: "assistant", content: expected.text }, finish_reason: "stop", logprobs: null },
        ]);
        expect(answer.usage).toMatchObject({
            prompt_tokens: expected.usage.promptTokens,
            completion_tokens: expected.usage.completionTokens,
            total_tokens: expected.usage.promptTokens + expected.usage.completionTokens,
        });
    });

    it("has several choices, each of the next seed", async () => {
        const texts = await Promise.all(
            [7, 8].map(async (seed) => (await completed({ seed, sampling: { temperature: 1.5 } })).text),
        );
        expect(texts[0]).not.toBe(texts[1]);
        const { choices } = await ask({ seed: 7, n: 2, temperature: 1.5 });
        expect(choices.map(({ message }) => message.content)).toEqual(texts);
    });

    it("takes the largest seed as it is, and goes on with the smallest", async () => {
        const { choices } = await ask({ seed: Number.MAX_SAFE_INTEGER, n: 3, max_tokens: 1 });
        expect(choices).toMatchObject([Number.MAX_SAFE_INTEGER, 0, 1].map((seed) => ({ eft: { seed } })));
    });

    it.each<[string, Record<string, unknown>, Partial<CompletionOptions>]>([
        ["temperature and seed", { temperature: 1.5, seed: 11 }, { sampling: { temperature: 1.5 }, seed: 11 }],
        ["stop", { stop: " is" }, { stop: [" is"] }],
        ["a stop that is empty", { stop: "" }, {}],
        ["several stops, empty ones left out", { stop: ["", "zzz", " is"] }, { stop: ["zzz", " is"] }],
        ["max_tokens", { max_tokens: 2 }, { maxTokens: 2 }],
        ["max_completion_tokens", { max_completion_tokens: 3, max_tokens: 9 }, { maxTokens: 3 }],
        ["logit_bias", { logit_bias: { 356: -100, 1164: 5 } }, { logitBias: { 356: -100, 1164: 5 } }],
        [
            "penalties",
            { frequency_penalty: 2, presence_penalty: 1, repetition_penalty: 1.3 },
            { sampling: { frequencyPenalty: 2, presencePenalty: 1, repeatPenalty: 1.3 } },
        ],
        [
            "top_p, top_k, min_p",
            { temperature: 2, seed: 5, top_p: 0.5, top_k: 10, min_p: 0.1 },
            { sampling: { temperature: 2, topP: 0.5, topK: 10, minP: 0.1 }, seed: 5 },
        ],
        ["what is null", { temperature: null, stop: null, seed: null, tools: null, logit_bias: null, n: null }, {}],
        ["what is unknown", { some_field: { of: "tomorrow" }, tools: [{ type: "web_search" }] }, {}],
        ["parts of a message", { messages: [{ role: "user", content: [{ type: "text", text: question }] }] }, {}],
    ])("heeds %s", async (_, body, options) => {
        const expected = await completed(options);
        const [choice] = (await ask(body)).choices;
        expect(choice?.message.content).toBe(expected.text);
        expect(choice?.finish_reason).toBe(expected.reason);
    });

    it("has the library's log-probabilities, with bytes", async () => {
        const { parts } = await completed({ topLogprobs: 3 });
        const [choice] = (await ask({ logprobs: true, top_logprobs: 3 })).choices;
        const told = choice?.logprobs?.content ?? [];
        expect(told.map(({ logprob }) => logprob)).toEqual(parts.map(({ logprob }) => logprob));
        expect(told.map((token) => token.top_logprobs.map(({ logprob }) => logprob))).toEqual(
            parts.map(({ top }) => top?.map(({ logprob }) => logprob)),
        );
        const bytes = Buffer.from(told.slice(0, -1).flatMap((token) => token.bytes ?? []));
        expect(bytes.toString("utf8").trimStart()).toBe(choice?.message.content);
        for (const { token, bytes: own } of told) expect(Buffer.from(own ?? []).toString("utf8")).toBe(token);
    });
});

describe("a stream", () => {
    it("begins with the role, ends with a reason, usage and [DONE], and has the same text", async () => {
        const whole = await ask({ seed: 1 });
        const stream = await client.chat.completions.create({
            ...{ model: MODEL, messages, seed: 1, stream: true, stream_options: { include_usage: true } },
        });
        const chunks = [];
        for await (const chunk of stream) chunks.push(chunk);
        expect(chunks[0]?.choices[0]?.delta).toMatchObject({ role: "assistant", content: "" });
        expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(
            whole.choices[0]?.message.content,
        );
        const [end, usage] = chunks.slice(-2);
        expect(end?.choices[0]).toMatchObject({ delta: {}, finish_reason: "stop" });
        expect(usage).toMatchObject({ choices: [], usage: { completion_tokens: whole.usage?.completion_tokens } });
        expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
        expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    });

    it("has nothing but events", async () => {
        const response = await fetch(`${server.url}/v1/chat/completions`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ model: MODEL, messages, stream: true }),
        });
        expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
        const lines = (await response.text()).split("\n\n");
        expect(lines.slice(-2)).toEqual(["data: [DONE]", ""]);
        for (const line of lines.slice(0, -2)) {
            const chunk = JSON.parse(line.replace(/^data: /, "")) as object;
            expect(chunk).not.toHaveProperty("usage");
        }
    });

    it("has choices beside each other, and log-probabilities", async () => {
        const options = { seed: 7, n: 2, temperature: 1.5, logprobs: true, top_logprobs: 1 } as const;
        const whole = await ask(options);
        const texts = ["", ""];
        const logprobs: number[][] = [[], []];
        for await (const { choices } of await client.chat.completions.create({
            ...{ model: MODEL, messages, stream: true, ...options },
        }))
            for (const { index, delta, logprobs: told } of choices) {
                texts[index] += delta.content ?? "";
                logprobs[index]?.push(...(told?.content ?? []).map(({ logprob }) => logprob));
            }
        expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
        expect(logprobs.map(({ length }) => length)).toEqual(
            whole.choices.map((choice) => choice.logprobs?.content?.length),
        );
    });

    it("that its client leaves gives its place back", async () => {
        const one = await serveDemo({ parallel: 1, recipes: [recipes[0]] });
        try {
            const own = new OpenAI({ baseURL: `${one.url}/v1`, apiKey: "none", maxRetries: 0 });
            const endless = { model: MODEL, messages, logit_bias: { 1: -100, 2: -100 }, max_tokens: 1000 };
            const stream = await own.chat.completions.create({ ...endless, stream: true });
            for await (const _ of stream) break;
            // Its turn comes, which it could not while the other one had it.
            expect((await own.chat.completions.create({ model: MODEL, messages })).choices).toHaveLength(1);
            const leaving = new AbortController();
            const answer = own.chat.completions.create(endless, { signal: leaving.signal });
            await untilMetric(one, "answers_running", 1);
            leaving.abort();
            await expect(answer).rejects.toThrow("aborted");
            await untilLeft(one, "/v1/chat/completions", 2);
            await untilMetric(one, "answers_running", 0);
        } finally {
            await one.close();
        }
    });
});

describe("JSON", () => {
    const schema = {
        type: "object",
        properties: { city: { type: "string", maxLength: 10 }, large: { type: "boolean" } },
        required: ["city", "large"],
        additionalProperties: false,
    };

    it("is any object", async () => {
        const [choice] = (await ask({ response_format: { type: "json_object" } })).choices;
        expect(JSON.parse(choice?.message.content ?? "")).toBeInstanceOf(Object);
    });

    it.each([true, false, null])("is of a schema, strict %p", async (strict) => {
        const json_schema = { name: "answer", schema, strict };
        const [choice] = (await ask({ response_format: { type: "json_schema", json_schema } })).choices;
        expect(JSON.parse(choice?.message.content ?? "")).toEqual({
            city: expect.any(String),
            large: expect.any(Boolean),
        });
    });

    it("of a schema that cannot be enforced is refused where it is strict", async () => {
        const unusual = { type: "array", items: { type: "integer", maximum: 9 }, uniqueItems: true, maxItems: 3 };
        const format = (strict: boolean) => ({
            response_format: { type: "json_schema" as const, json_schema: { name: "answer", schema: unusual, strict } },
        });
        await expect(ask(format(true))).rejects.toMatchObject({ status: 400, code: "invalid_schema" });
        const [choice] = (await ask(format(false))).choices;
        expect(JSON.parse(choice?.message.content ?? "")).toBeInstanceOf(Array);
        expect(choice).toHaveProperty("eft.unenforced");
    });
});

describe("tools", () => {
    const tools = ["capital_of", "money_of"].map((name) => ({
        type: "function" as const,
        function: {
            name,
            description: "Looks it up",
            parameters: {
                type: "object",
                properties: { country: { type: "string", enum: ["Peru", "Chad"] } },
                required: ["country"],
                additionalProperties: false,
            },
        },
    }));
    const named = { type: "function" as const, function: { name: "money_of" } };

    it.each<[string, OpenAI.ChatCompletionToolChoiceOption, RegExp]>([
        ["required", "required", /^(capital|money)_of$/],
        ["named", named, /^money_of$/],
        [
            "one of those that are allowed",
            { type: "allowed_tools", allowed_tools: { mode: "required", tools: [named] } },
            /^money_of$/,
        ],
    ])("are called: %s", async (_, tool_choice, name) => {
        const [choice] = (await ask({ tools, tool_choice, parallel_tool_calls: false })).choices;
        expect(choice?.finish_reason).toBe("tool_calls");
        expect(choice?.message.content).toBeNull();
        const [call] = choice?.message.tool_calls ?? [];
        if (call?.type !== "function") throw new Error("There is no call.");
        expect(call.function.name).toMatch(name);
        expect(["Peru", "Chad"]).toContain((JSON.parse(call.function.arguments) as { country: string }).country);
    });

    it.each<OpenAI.ChatCompletionToolChoiceOption>([
        ...(["auto", "none"] as const),
        { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [named] } },
        { type: "custom", custom: { name: "capital_of" } },
    ])("need not be called: %j", async (tool_choice) => {
        const [choice] = (await ask({ tools, tool_choice })).choices;
        expect(choice?.finish_reason).toBe("stop");
        expect(choice?.message).not.toHaveProperty("tool_calls");
    });

    it("are called once where calls are not parallel, in a stream too, and get their results", async () => {
        const options = { tools, tool_choice: "required" as const, parallel_tool_calls: false, seed: 2 };
        const [choice] = (await ask(options)).choices;
        expect(choice?.message.tool_calls).toHaveLength(1);
        const streamed = client.chat.completions.stream({ model: MODEL, messages, ...options });
        const calls = (await streamed.finalChatCompletion()).choices[0]?.message.tool_calls;
        expect(calls?.map((call) => call.type === "function" && call.function.arguments)).toEqual(
            choice?.message.tool_calls?.map((call) => call.type === "function" && call.function.arguments),
        );
        if (choice === undefined) throw new Error("There is no choice.");
        const results = (choice.message.tool_calls ?? []).map(({ id }) => ({
            ...{ role: "tool" as const, tool_call_id: id, content: "Lima" },
        }));
        const answer = await ask({ messages: [...messages, choice.message, ...results], tools });
        expect(answer.choices[0]?.finish_reason).toBe("stop");
    });
});
