/** Thoughts over the wire: in each protocol, through the clients that know it, on the way out and on the way back. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText } from "ai";
import OpenAI from "openai";
import { z } from "zod";
import { collect, complete, type CompletionOptions, type Ensemble } from "../../src/index.js";
import type { EftServer } from "../../src/server/index.js";
import { loadOnCpu, QUESTIONS } from "../helpers/demo.js";
import { writeFloat32Family } from "../helpers/float32.js";
import { post, serveDemo } from "../helpers/server.js";
import { THINKING } from "../helpers/thinking.js";

globalThis.AI_SDK_LOG_WARNINGS = false;

const family = writeFloat32Family(["small-chat"]);
// The same text for whoever asks.
const recipe = family.recipe(`${THINKING}\nsampling: { temperature: 0 }`);
const model = recipe.name;
/** Its template looks for thoughts under another key. */
const other = { ...family.recipe(`${THINKING.replaceAll("reasoning_content", "thinking")}`), name: "other" };
const [question] = QUESTIONS;
const messages = [{ role: "user" as const, content: question }];
/** No text ends by itself with these: it goes on behind its first sentence, which is the thought. Only one protocol has them. */
const long = { max_tokens: 40, logit_bias: { 1: -100, 2: -100 } };
const schema = {
    type: "object" as const,
    properties: { city: { type: "string", maxLength: 8 } },
    required: ["city"],
    additionalProperties: false,
};
/** An answer that there is behind the thoughts, however the model goes on. */
const text = { format: { type: "json_schema" as const, name: "answer", schema } };
const output_config = { format: { type: "json_schema" as const, schema } };

let server: EftServer;
let openai: OpenAI;
let anthropic: Anthropic;
let ensemble: Ensemble;
/** What complete() thinks before JSON, and the JSON. */
let expected: { readonly thinking: string; readonly text: string; readonly tokens: number };
beforeAll(async () => {
    server = await serveDemo({ recipes: [recipe, other] });
    openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
    anthropic = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
    ensemble = await loadOnCpu(recipe, { contextSize: 1024 });
    const { thinking, text: said, usage } = await completed({ jsonSchema: schema });
    expected = { thinking, text: said, tokens: usage.thinkingTokens };
    expect(thinking).not.toBe("");
    expect(usage.thinkingTokens).toBeGreaterThan(2);
});
afterAll(async () => {
    await server.close();
    await ensemble.dispose();
    family.remove();
});

const completed = (more: Partial<CompletionOptions>) => collect(complete(ensemble, { prompt: question, ...more }));

/** Thoughts and calls. */
const parameters = { ...schema, properties: { city: { type: "string", enum: ["Lima"] } } };
const tools = [{ type: "function" as const, function: { name: "look_up", parameters } }];
const forced = { tools, tool_choice: "required" as const, parallel_tool_calls: false };
const responseTools = [{ type: "function" as const, name: "look_up", parameters, strict: true }];
const forcedResponse = { tools: responseTools, tool_choice: "required" as const, parallel_tool_calls: false };
const messageTools = [{ name: "look_up", input_schema: parameters }];
const forcedMessage = {
    ...{ tools: messageTools, tool_choice: { type: "any" as const, disable_parallel_tool_use: true } },
};

/** A field that OpenAI's client does not know. */
const thoughtOf = (message: object | undefined): unknown =>
    (message as { reasoning_content?: string }).reasoning_content;

describe("chat completions", () => {
    it("have thoughts beside the answer, whole and in a stream, with their tokens", async () => {
        const {
            thinking,
            text: said,
            usage,
        } = await completed({
            ...{ maxTokens: 40, logitBias: long.logit_bias },
        });
        const whole = await openai.chat.completions.create({ model, messages, ...long });
        const [choice] = whole.choices;
        expect([thoughtOf(choice?.message), choice?.message.content]).toEqual([thinking, said]);
        expect(thinking).toMatch(/^\w[^.]+$/);
        expect(said).not.toBe("");
        const counted = whole.usage?.completion_tokens_details?.reasoning_tokens;
        expect(counted).toBe(usage.thinkingTokens);
        const order: string[] = [];
        const streamed = { thinking: "", text: "" };
        let last: OpenAI.CompletionUsage | null | undefined;
        for await (const { choices, usage: told } of await openai.chat.completions.create({
            ...{ model, messages, ...long, stream: true, stream_options: { include_usage: true } },
        })) {
            const delta = choices[0]?.delta ?? {};
            const thought = thoughtOf(delta) as string | undefined;
            streamed.thinking += thought ?? "";
            streamed.text += delta.content ?? "";
            const kind = thought !== undefined ? "thought" : delta.content ? "text" : undefined;
            if (kind !== undefined && kind !== order.at(-1)) order.push(kind);
            last = told ?? last;
        }
        expect(streamed).toEqual({ thinking, text: said });
        expect(order).toEqual(["thought", "text"]);
        expect(last?.completion_tokens_details?.reasoning_tokens).toBe(counted);
    });

    it("have log-probabilities of thoughts, too", async () => {
        const options = { model, messages, ...long, logprobs: true } as const;
        const whole = await openai.chat.completions.create(options);
        expect(whole.choices[0]?.logprobs?.content).toHaveLength(40);
        let count = 0;
        for await (const { choices } of await openai.chat.completions.create({ ...options, stream: true }))
            count += choices[0]?.logprobs?.content?.length ?? 0;
        expect(count).toBe(40);
    });

    it("think before JSON and before calls, as the client's helpers read them", async () => {
        const format = { type: "json_schema" as const, json_schema: { name: "answer", schema, strict: true } };
        const json = openai.chat.completions.stream({ model, messages, response_format: format });
        // The helper keeps the last piece of a field that it does not know.
        const thoughts: string[] = [];
        json.on("chunk", ({ choices }) => thoughts.push((thoughtOf(choices[0]?.delta) as string | undefined) ?? ""));
        const [answer] = (await json.finalChatCompletion()).choices;
        expect([thoughts.join(""), answer?.message.content]).toEqual([expected.thinking, expected.text]);
        const whole = await openai.chat.completions.create({ model, messages, ...forced });
        const [choice] = whole.choices;
        expect(thoughtOf(choice?.message)).toMatch(/\w/);
        expect(choice?.message.content).toBeNull();
        expect(whole.usage?.completion_tokens_details?.reasoning_tokens).toBeGreaterThan(1);
        const streamed = openai.chat.completions.stream({ model, messages, ...forced });
        const [same] = (await streamed.finalChatCompletion()).choices;
        for (const each of [choice, same])
            expect(each?.message.tool_calls).toMatchObject([
                { type: "function", function: { name: "look_up", arguments: '{"city":"Lima"}' } },
            ]);
    });
});

describe("responses", () => {
    const asked = { model, input: question };
    const eventsOf = async (more: object) => {
        const types: string[] = [];
        const indices: number[] = [];
        for await (const event of await openai.responses.create({ ...asked, ...more, stream: true })) {
            if (event.type !== types.at(-1)) types.push(event.type);
            if (event.type === "response.output_item.added") indices.push(event.output_index);
        }
        return { types, indices };
    };
    const around = (part: string, name: string): string[] => [
        ...["response.output_item.added", `response.${part}.added`, `response.${name}.delta`, `response.${name}.done`],
        ...[`response.${part}.done`, "response.output_item.done"],
    ];
    const began = ["response.created", "response.in_progress"];

    it.each<[string, object, object, string[]]>([
        [
            "as content",
            {},
            { summary: [], content: [{ type: "reasoning_text", text: expect.any(String) }] },
            around("content_part", "reasoning_text"),
        ],
        [
            "as a summary, where one is asked for",
            { reasoning: { summary: "auto" } },
            { summary: [{ type: "summary_text", text: expect.any(String) }] },
            around("reasoning_summary_part", "reasoning_summary_text"),
        ],
    ])("have thoughts as an item, %s", async (_, more, fields, events) => {
        const whole = await openai.responses.create({ ...asked, text, ...more });
        expect(whole.output).toMatchObject([
            { type: "reasoning", id: expect.stringMatching(/^rs_/), status: "completed", ...fields },
            { type: "message", content: [{ type: "output_text", text: expected.text }] },
        ]);
        expect(JSON.stringify(whole.output[0])).toContain(JSON.stringify(expected.thinking));
        expect(whole.usage?.output_tokens_details.reasoning_tokens).toBe(expected.tokens);
        const { types, indices } = await eventsOf({ text, ...more });
        expect(types).toEqual([...began, ...events, ...around("content_part", "output_text"), "response.completed"]);
        expect(indices).toEqual([0, 1]);
        // The helper puts the events together, and would throw where they do not fit each other.
        const final = await openai.responses.stream({ ...asked, text, ...more }).finalResponse();
        expect(final.output_text).toBe(expected.text);
        expect(final.output[0]).toEqual({ ...whole.output[0], id: final.output[0]?.id });
    });

    it("think before calls", async () => {
        const whole = await openai.responses.create({ ...asked, ...forcedResponse });
        const call = { type: "function_call", name: "look_up", arguments: '{"city":"Lima"}', status: "completed" };
        expect(whole.output).toMatchObject([{ type: "reasoning" }, call]);
        const final = await openai.responses.stream({ ...asked, ...forcedResponse }).finalResponse();
        expect(final.output).toMatchObject([{ type: "reasoning" }, call]);
        expect((await eventsOf(forcedResponse)).indices).toEqual([0, 1]);
    });
});

describe("Anthropic's messages", () => {
    const asked = { model, messages, max_tokens: 200 };

    it("have thoughts as a block, whole and in a stream, with their tokens", async () => {
        const whole = await anthropic.messages.create({ ...asked, output_config });
        const thought = { type: "thinking", thinking: expected.thinking, signature: "" };
        expect(whole.content).toMatchObject([thought, { type: "text", text: expected.text }]);
        expect(whole.usage.output_tokens_details?.thinking_tokens).toBe(expected.tokens);
        const stream = anthropic.messages.stream({ ...asked, output_config });
        const thoughts: string[] = [];
        const signatures: string[] = [];
        stream.on("thinking", (piece) => thoughts.push(piece));
        stream.on("signature", (signature) => signatures.push(signature));
        const final = await stream.finalMessage();
        expect(final.content).toMatchObject([thought, { type: "text", text: expected.text }]);
        expect(final.usage.output_tokens_details?.thinking_tokens).toBe(expected.tokens);
        expect([thoughts.join(""), signatures]).toEqual([expected.thinking, [""]]);
    });

    it("number their blocks", async () => {
        const told: string[] = [];
        const stream = await anthropic.messages.create({ ...asked, output_config, stream: true });
        for await (const event of stream) {
            const index = "index" in event ? ` ${event.index}` : "";
            const kind =
                event.type === "content_block_start"
                    ? ` ${event.content_block.type}`
                    : event.type === "content_block_delta"
                      ? ` ${event.delta.type}`
                      : "";
            const line = `${event.type}${index}${kind}`;
            if (line !== told.at(-1)) told.push(line);
        }
        expect(told).toEqual([
            ...["message_start", "content_block_start 0 thinking", "content_block_delta 0 thinking_delta"],
            ...["content_block_delta 0 signature_delta", "content_block_stop 0", "content_block_start 1 text"],
            ...["content_block_delta 1 text_delta", "content_block_stop 1", "message_delta", "message_stop"],
        ]);
    });

    it("think before calls", async () => {
        const call = { type: "tool_use", name: "look_up", input: { city: "Lima" } };
        const whole = await anthropic.messages.create({ ...asked, ...forcedMessage });
        const final = await anthropic.messages.stream({ ...asked, ...forcedMessage }).finalMessage();
        for (const { content, stop_reason } of [whole, final]) {
            expect(content).toMatchObject([{ type: "thinking" }, call]);
            expect(stop_reason).toBe("tool_use");
        }
    });
});

describe("thoughts that are sent back reach the template", () => {
    const said = { role: "assistant" as const, content: "It is a country." };
    const next = { role: "user" as const, content: "And Chad?" };
    const reasoning_content = "Peru lies in South America";
    /** What complete() says of the prompt with the thoughts, and how long that prompt is. */
    let known: { readonly thinking: string; readonly prompt: number };
    let without: number;
    beforeAll(async () => {
        const turns = [...messages, { ...said, reasoning_content }, next];
        const { thinking, usage } = await completed({ prompt: turns });
        known = { thinking, prompt: usage.promptTokens };
        without = (await completed({ prompt: [...messages, said, next] })).usage.promptTokens;
        expect(known.prompt).toBeGreaterThan(without);
    });

    it("in chat completions", async () => {
        const turns = [...messages, { ...said, reasoning_content }, next];
        const { choices, usage } = await openai.chat.completions.create({ model, messages: turns });
        expect([thoughtOf(choices[0]?.message), usage?.prompt_tokens]).toEqual([known.thinking, known.prompt]);
    });

    it("under the key that it looks for", async () => {
        for (const name of [model, other.name]) {
            const turns = [...messages, { ...said, reasoning_content }, next];
            const { body } = await post<{ prompt: string }>(server, "/apply-template", {
                model: name,
                messages: turns,
            });
            expect(body.prompt).toContain(`<think>${reasoning_content}.${said.content}`);
        }
    });

    it.each(["content", "summary"])("in responses: %s", async (key) => {
        const part = { type: key === "content" ? "reasoning_text" : "summary_text", text: reasoning_content };
        const thoughts = { type: "reasoning", id: "rs_1", summary: [], [key]: [part] };
        const input = [...messages, thoughts, said, next] as OpenAI.Responses.ResponseInput;
        const { usage } = await openai.responses.create({ model, input });
        expect(usage?.input_tokens).toBe(known.prompt);
    });

    it("in responses that go on from earlier ones", async () => {
        const { id, output, usage } = await openai.responses.create({ model, input: question, text });
        const [thoughts] = output;
        const going = { model, input: "And?", previous_response_id: id };
        const kept = await openai.responses.create(going);
        const items = [{ role: "user" as const, content: question }, ...output.slice(1), { ...next, content: "And?" }];
        const bare = await openai.responses.create({ model, input: items as OpenAI.Responses.ResponseInput });
        expect(thoughts?.type).toBe("reasoning");
        expect(kept.usage?.input_tokens).toBeGreaterThan(bare.usage?.input_tokens ?? Infinity);
        // What was said is evaluated again, if at all, only where the template writes it otherwise than the model.
        expect(kept.usage?.input_tokens_details.cached_tokens).toBeGreaterThanOrEqual(usage?.input_tokens ?? Infinity);
    });

    it("in Anthropic's messages, which are counted alike", async () => {
        const blocks = [
            { type: "thinking" as const, thinking: reasoning_content, signature: "" },
            { type: "text" as const, text: said.content },
        ];
        const turns = [...messages, { role: "assistant" as const, content: blocks }, next];
        const { usage } = await anthropic.messages.create({ model, max_tokens: 20, messages: turns });
        expect(usage.input_tokens + (usage.cache_read_input_tokens ?? 0)).toBe(known.prompt);
        expect(await anthropic.messages.countTokens({ model, messages: turns })).toEqual({
            input_tokens: known.prompt,
        });
    });

    it("together with a call and its result", async () => {
        const first = await openai.chat.completions.create({ model, messages, ...forced });
        const message = first.choices[0]?.message as OpenAI.ChatCompletionMessage;
        const [call] = message.tool_calls ?? [];
        const result = { role: "tool" as const, tool_call_id: call?.id ?? "", content: "Lima" };
        const ask = (told: OpenAI.ChatCompletionMessageParam) =>
            openai.chat.completions.create({ model, messages: [...messages, told, result], tools });
        const { usage } = await ask(message);
        const bare = await ask({ role: "assistant", tool_calls: message.tool_calls ?? [] });
        expect(usage?.prompt_tokens).toBeGreaterThan(bare.usage?.prompt_tokens ?? Infinity);
        const response = await openai.responses.create({ model, input: question, ...forcedResponse });
        const made = response.output.find((item) => item.type === "function_call");
        const given = { type: "function_call_output" as const, call_id: made?.call_id ?? "", output: "Lima" };
        const going = { model, tools: responseTools, input: [given], previous_response_id: response.id };
        expect((await openai.responses.create(going)).usage?.input_tokens).toBe(usage?.prompt_tokens);
        const asked = await anthropic.messages.create({ model, messages, max_tokens: 200, ...forcedMessage });
        const used = asked.content.find(({ type }) => type === "tool_use");
        const block = {
            ...{ type: "tool_result" as const, content: "Lima" },
            tool_use_id: used?.type === "tool_use" ? used.id : "",
        };
        const turns = [
            ...messages,
            { role: "assistant" as const, content: asked.content },
            { role: "user" as const, content: [block] },
        ];
        const counted = await anthropic.messages.countTokens({ model, tools: messageTools, messages: turns });
        expect(counted.input_tokens).toBe(usage?.prompt_tokens);
    });
});

describe("the AI SDK", () => {
    const compatible = () =>
        createOpenAICompatible({
            name: "eft",
            baseURL: `${server.url}/v1`,
            supportsStructuredOutputs: true,
            includeUsage: true,
        })(model);
    const responses = () => createOpenAI({ baseURL: `${server.url}/v1`, apiKey: "none" })(model);
    const output = Output.object({ schema: z.object({ city: z.string().max(8) }) });
    // The provider for OpenAI sends what is about thinking only where it is told that the model thinks.
    const providerOptions = { openai: { forceReasoning: true, reasoningSummary: "auto" } };

    it.each([
        ["compatible", compatible],
        ["responses", responses],
    ])("has thoughts as reasoning: %s", async (_, create) => {
        const call = { model: create(), prompt: question, output, providerOptions };
        const whole = await generateText(call);
        expect(whole.reasoningText).toMatch(/\w/);
        expect(whole.usage.outputTokenDetails.reasoningTokens).toBeGreaterThan(1);
        const stream = streamText(call);
        const types: string[] = [];
        for await (const { type } of stream.fullStream)
            if (/^reasoning|^text/.test(type) && type !== types.at(-1)) types.push(type);
        expect(types).toEqual([
            ...["reasoning-start", "reasoning-delta", "reasoning-end"],
            ...["text-start", "text-delta", "text-end"],
        ]);
        expect(await stream.reasoningText).toBe(whole.reasoningText);
        // Its own messages, thoughts included, are what it sends next.
        const turns = [{ role: "user" as const, content: question }, ...whole.responseMessages];
        const next = { ...call, prompt: [...turns, { role: "user" as const, content: "And?" }] };
        const { usage } = await generateText(next);
        const bare = whole.responseMessages.map((message) => ({
            ...message,
            content:
                typeof message.content === "string"
                    ? message.content
                    : message.content.filter(({ type }) => type !== "reasoning"),
        })) as typeof whole.responseMessages;
        const without = await generateText({
            ...call,
            prompt: [turns[0] as (typeof turns)[0], ...bare, { role: "user", content: "And?" }],
        });
        expect(usage.inputTokens).toBeGreaterThan(without.usage.inputTokens ?? 0);
    });
});
