/** LangChain's chat model, through LangChain: texts, streams, objects, aborts, settings. Its words are those of complete(). */

import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AIMessage, HumanMessage, SystemMessage, ToolMessage, type AIMessageChunk } from "@langchain/core/messages";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { concat } from "@langchain/core/utils/stream";
import { tool } from "@langchain/core/tools";
import { z } from "zod";
import { collect, complete, EftError, type CompletionOptions, type Ensemble } from "../../src/index.js";
import { ChatEft, type ChatEftCallOptions } from "../../src/langchain/index.js";
import { loadOnCpu, QUESTIONS } from "../helpers/demo.js";
import { UPSCALING, UPSCALING_MODELS, writeFloat32Family } from "../helpers/float32.js";
import { THINKING, withoutEnd } from "../helpers/thinking.js";
import { ZOD_SHAPES } from "../helpers/zod-shapes.js";

const [prompt] = QUESTIONS;
// In float32 the text is the same whatever else runs and whatever a cache holds.
const family = writeFloat32Family(UPSCALING_MODELS);
let ensemble: Ensemble;
let model: ChatEft;
beforeAll(async () => {
    const others = "conservative: { topP: 1, fallback: chat }\nprompt: { template: from chat }";
    ensemble = await loadOnCpu(family.recipe(UPSCALING + others), { contextSize: 1024 });
    model = new ChatEft({ model: ensemble });
});
afterAll(async () => {
    await ensemble.dispose();
    family.remove();
});

const completed = (options: Partial<CompletionOptions>) => collect(complete(ensemble, { prompt, ...options }));

async function streamed(options: Partial<ChatEftCallOptions>): Promise<AIMessageChunk> {
    let whole: AIMessageChunk | undefined;
    for await (const chunk of await model.stream(prompt, options)) whole = whole ? concat(whole, chunk) : chunk;
    return whole as AIMessageChunk;
}

describe("a message", () => {
    test("says what complete() says, what it has cost and why it ended, whole and in chunks", async () => {
        const { text, tokens, promptTokens } = await completed({ seed: 5 });
        for (const message of [await model.invoke(prompt, { seed: 5 }), await streamed({ seed: 5 })]) {
            expect(message.content).toBe(text);
            expect(message.response_metadata).toMatchObject({ model: "float32", finish_reason: "stop", seed: 5 });
            expect(message.usage_metadata).toMatchObject({
                ...{ input_tokens: promptTokens.chat, output_tokens: tokens },
                ...{ total_tokens: (promptTokens.chat ?? 0) + tokens, output_token_details: { reasoning: 0 } },
            });
            expect(message.usage_metadata?.input_token_details?.cache_read).toBeGreaterThan(0);
        }
    });

    test.each<[string, Partial<ChatEftCallOptions>, Partial<CompletionOptions>]>([
        ["maxTokens", { maxTokens: 3 }, { maxTokens: 3 }],
        ["stop", { stop: ["in Mex"] }, { stop: ["in Mex"] }],
        ["temperature", { temperature: 0 }, { sampling: { temperature: 0 } }],
        ["sampling", { sampling: { temperature: 3, minP: 0.4 } }, { sampling: { temperature: 3, minP: 0.4 } }],
        ["parameters", { parameters: { beta: 0 } }, { parameters: { beta: 0 } }],
        [
            "conservativeTopP",
            { sampling: { temperature: 5 }, conservativeTopP: 0.01 },
            { sampling: { temperature: 5 }, conservativeTopP: 0.01 },
        ],
        ["a grammar", { grammar: 'root ::= " yes" | " no"' }, { grammar: 'root ::= " yes" | " no"' }],
    ])("is told %s by a call, and by the constructor", async (_name, settings, options) => {
        const common = { prompt: "Tell me about Peru.", seed: 1 };
        const [expected, plain] = await Promise.all([completed({ ...common, ...options }), completed(common)]);
        expect(expected.text).not.toBe(plain.text);
        const told = new ChatEft({ model: ensemble, seed: 1, ...settings });
        const messages = await Promise.all([
            model.invoke(common.prompt, { seed: 1, ...settings }),
            told.invoke(common.prompt),
        ]);
        expect(messages.map(({ text }) => text)).toEqual([expected.text, expected.text]);
    });

    test("a call has the last word", async () => {
        const own = new ChatEft({
            ...{ model: ensemble, seed: 9, sampling: { temperature: 50, topK: 3 }, maxTokens: 1, stop: [" "] },
            ...{ parameters: { beta: 2 }, grammar: 'root ::= "x"', speculation: true },
        });
        const call = { seed: 1, maxTokens: 30, stop: ["##"], parameters: { beta: 0 }, grammar: "root ::= [^#]*" };
        const message = await own.invoke(prompt, { ...call, temperature: 2, speculation: false });
        const { temperature, topK } = { temperature: 2, topK: 3 };
        expect(message.text).toBe((await completed({ ...call, sampling: { temperature, topK } })).text);
        expect(message.response_metadata.speculation).toBeUndefined();
    });

    test("speculation leaves the text as it is, and reports what it has done", async () => {
        const { text, response_metadata: metadata } = await model.invoke(prompt, {
            seed: 5,
            speculation: { length: 3 },
        });
        expect(text).toBe((await completed({ seed: 5 })).text);
        expect(metadata.speculation).toMatchObject({ drafted: expect.any(Number) });
    });

    test("a field that is none is refused, and LangChain's own are not", () => {
        expect(() => new ChatEft({ model: ensemble, temprature: 1 } as never)).toThrow(
            expect.objectContaining({
                code: "OPTION_INVALID",
                message: 'ChatEft has no option temprature; did you mean "temperature"?',
            }),
        );
        const misplaced = (field: object): unknown => new ChatEft({ model: ensemble, ...field });
        expect(() => misplaced({ topK: 1 })).toThrow("ChatEft has no option topK; it belongs in sampling");
        expect(() => misplaced({ lookup: true })).toThrow("ChatEft has no option lookup; it belongs in speculation");
        expect(() => misplaced({ threads: 1 })).toThrow("ChatEft has no option threads; it belongs in load");
        expect(() => misplaced({ speculation: "auto" })).toThrow('speculation must be true, false or an object, not "');
        expect(() => misplaced({ conservative: 1 })).toThrow('did you mean "conservativeTopP"?');
        expect(() => misplaced({ beta: 1 })).toThrow("parameters of the recipe belong in parameters.");
        const own = new ChatEft({ model: ensemble, tags: ["mine"], maxRetries: 0, callbacks: [], verbose: false });
        expect(own.tags).toEqual(["mine"]);
    });

    test.each<[string, ChatEftCallOptions, RegExp]>([
        ["an unknown dial", { parameters: { lambda: 1 } }, /lambda/],
        ["a dial that is out of range", { parameters: { beta: 99 } }, /"beta".* 0 to 2, not 99/],
        ["a wrong value", { sampling: { minP: 7 } }, /minP must be a number/],
        ["a wrong seed", { seed: -1 }, /seed must be a whole number/],
        ["a tool of another kind", { tools: [{ type: "web_search" }] }, /tools takes/],
        ["a choice that is none", { tool_choice: { type: "any" } }, /tool_choice must be/],
        ["a slip", { parameter: { beta: 1 } } as object, /A call of ChatEft has no option parameter; .*"parameters"/],
        ["another spelling", { max_tokens: 1 } as object, /did you mean "maxTokens"/],
        ["an option of sampling", { topP: 0.5 } as object, /belongs in sampling: \{ sampling: \{ topP: \.\.\. \} \}/],
        [
            "an option of speculation",
            { drafter: "chat" } as object,
            /belongs in speculation: \{ speculation: \{ drafter/,
        ],
        ["a wrong mass", { conservativeTopP: 2 }, /conservativeTopP must be a number above 0 and at most 1, not 2/],
        ["another spelling of such", { top_p: 0.5 } as object, /did you mean "topP" in sampling\?/],
    ])("refuses %s with an error of ours", async (_name, options, message) => {
        const error: unknown = await model.invoke(prompt, options).catch((caught: unknown) => caught);
        expect(EftError.isInstance(error)).toBe(true);
        expect((error as Error).message).toMatch(message);
    });

    test("options of LangChain and of others pass", async () => {
        const own = {
            ...{
                callbacks: [],
                tags: ["a"],
                metadata: { b: 1 },
                runName: "c",
                configurable: { d: 1 },
                timeout: 60_000,
            },
            ...{
                recursionLimit: 5,
                maxConcurrency: 1,
                maxRetries: 0,
                stop: ["never"],
                strict: true,
                store: {},
                user: "e",
            },
            ...{ context: {}, parallel_tool_calls: false, response_format: {}, stream: true, functions: [], n: 1 },
        };
        const message = await model.invoke(prompt, { ...own, maxTokens: 1 });
        expect(message.usage_metadata).toMatchObject({ output_tokens: 1 });
    });

    test("messages are a conversation", async () => {
        const said = [
            { role: "system" as const, content: "Be brief." },
            { role: "user" as const, content: prompt },
            { role: "assistant" as const, content: "Its capital is Lima." },
            { role: "user" as const, content: QUESTIONS[3] },
        ];
        const expected = await completed({ prompt: said, sampling: { temperature: 0 } });
        const own = new ChatEft({ model: ensemble, temperature: 0 });
        const { text } = await own.invoke([
            new SystemMessage("Be brief."),
            new HumanMessage(prompt),
            new AIMessage("Its capital is Lima."),
            new HumanMessage({ content: [{ type: "text", text: QUESTIONS[3] }] }),
        ]);
        expect(text).toBe(expected.text);
    });

    test("chains, batches and events", async () => {
        const own = new ChatEft({ model: ensemble, temperature: 0 });
        const ask = ChatPromptTemplate.fromMessages([["human", "What is the capital of {country}?"]]).pipe(own);
        expect((await ask.invoke({ country: "Peru" })).text).toBe("Its capital is Lima.");
        const messages = await own.batch(["What is the capital of Peru?", "What is the capital of Japan?"]);
        expect(messages.map(({ text }) => text)).toEqual(["Its capital is Lima.", "Its capital is Tokyo."]);
        const events = own.streamEvents(prompt);
        expect(await events.text).toBe("Its capital is Lima.");
        expect((await events).usage_metadata?.output_tokens).toBeGreaterThan(3);
        const tokens: string[] = [];
        await own.invoke(prompt, { callbacks: [{ handleLLMNewToken: (token: string) => void tokens.push(token) }] });
        expect(tokens.join("")).toBe("");
        for await (const _chunk of await own.stream(prompt, {
            callbacks: [{ handleLLMNewToken: (token: string) => void tokens.push(token) }],
        }));
        expect(tokens.join("")).toBe("Its capital is Lima.");
    });
});

describe("an abort", () => {
    const endless = { grammar: "root ::= [a-z ]{2000}" };

    test("before a call, and while it runs, rejects with the signal's reason", async () => {
        await expect(model.invoke(prompt, { signal: AbortSignal.abort() })).rejects.toMatchObject({
            name: "AbortError",
        });
        const controller = new AbortController();
        const running = model.invoke(prompt, { ...endless, signal: controller.signal });
        controller.abort();
        await expect(running).rejects.toMatchObject({ name: "AbortError" });
    });

    test("in the middle of a stream rejects, and the next call is as ever", async () => {
        const controller = new AbortController();
        let text = "";
        const read = async () => {
            for await (const chunk of await model.stream(prompt, { ...endless, signal: controller.signal })) {
                text += chunk.text;
                if (text.length > 40) controller.abort();
            }
        };
        await expect(read()).rejects.toThrow();
        expect(text.length).toBeLessThan(200);
        expect((await model.invoke(prompt, { temperature: 0 })).text).toBe("Its capital is Lima.");
    });

    test("whoever leaves a stream stops the generation", async () => {
        for await (const chunk of await model.stream(prompt, endless)) if (chunk.text !== "") break;
        await model.batch(QUESTIONS.map(String), { maxTokens: 2 });
    });
});

describe("withStructuredOutput", () => {
    test.each(Object.entries(ZOD_SHAPES))("%s", async (_name, schema) => {
        const call = { seed: 2, maxTokens: 400, temperature: 0.7 };
        const shape = schema as z.ZodType<Record<string, unknown>>;
        const object = await model.withStructuredOutput(shape).invoke(prompt, call);
        expect(schema.safeParse(object).data).toEqual(object);
    });

    test("with the message it was in, with a JSON schema, and as any JSON", async () => {
        const schema = z.object({ city: z.string().max(8) });
        const structured = model.withStructuredOutput(schema, { includeRaw: true });
        const { raw, parsed } = await structured.invoke(prompt, { seed: 3, parameters: { beta: 0 } });
        expect(raw.response_metadata).toMatchObject({ seed: 3 });
        expect(JSON.parse(raw.text)).toEqual(parsed);
        const typed: { city: string } = parsed;
        expect(typed.city.length).toBeLessThan(9);
        const plain = model.withStructuredOutput({ properties: { n: { type: "boolean" } }, required: ["n"] });
        expect(await plain.invoke(prompt)).toEqual({ n: expect.any(Boolean) });
        const any = model.withStructuredOutput(schema, { method: "jsonMode", includeRaw: true });
        expect((await any.invoke(prompt, { stop: [","], seed: 1 })).raw.text).toMatch(/^ ?["{[\dtfn-]/);
    });

    test("lists, by zod and by a JSON schema, and as text alone", async () => {
        const cities = z
            .array(z.object({ city: z.enum(["Lima", "Quito"]) }))
            .min(1)
            .max(2);
        const list = await model.withStructuredOutput(cities).invoke(prompt, { seed: 1 });
        expect(cities.parse(list)).toEqual(list);
        const { raw, parsed } = await model.withStructuredOutput(cities, { includeRaw: true }).invoke(prompt);
        expect(JSON.parse(raw.text)).toEqual(parsed);
        const plain = model.withStructuredOutput({
            type: "array",
            items: { type: "boolean" },
            minItems: 2,
            maxItems: 2,
        });
        expect(await plain.invoke(prompt)).toEqual([expect.any(Boolean), expect.any(Boolean)]);
        const call = model.withStructuredOutput(cities, { method: "functionCalling" });
        await expect(call.invoke(prompt)).rejects.toMatchObject({
            code: "OPTION_INVALID",
            message: expect.stringMatching(/extract.*schema of an object.*"array"/),
        });
    });

    test.each(["jsonSchema", "functionCalling"] as const)("an answer that is cut is an error by %s", async (method) => {
        const schema = z.object({ city: z.string().max(8) });
        const cut = { maxTokens: 2, seed: 1 };
        for (const shape of [schema, z.toJSONSchema(schema)]) {
            const structured = model.withStructuredOutput(shape as typeof schema, { method });
            await expect(structured.invoke(prompt, cut)).rejects.toMatchObject({
                lc_error_code: "OUTPUT_PARSING_FAILURE",
            });
        }
        const both = model.withStructuredOutput(schema, { method, includeRaw: true });
        expect(await both.invoke(prompt, cut)).toMatchObject({ parsed: null, raw: expect.anything() });
    });

    test("a method that is none is refused", () => {
        expect(() => model.withStructuredOutput({}, { method: "nonsense" })).toThrow(
            "method of withStructuredOutput must be one of jsonSchema, functionCalling, jsonMode",
        );
    });

    test("a schema that cannot be enforced is refused by its place", async () => {
        const wrong = model.withStructuredOutput({ properties: { a: { type: "string", pattern: "(a)\\1" } } });
        await expect(wrong.invoke(prompt)).rejects.toMatchObject({
            code: "GRAMMAR_INVALID",
            message: expect.stringContaining("#/properties/a"),
        });
    });
});

describe("tools", () => {
    const country = z.enum(["Peru", "Japan", "Kenya"]);
    const capital = tool((input: { country: string }) => `Asked for ${input.country}.`, {
        ...{ name: "capital", description: "Its capital", schema: z.object({ country }) },
    });
    const border = {
        type: "function",
        function: {
            name: "border",
            parameters: {
                type: "object",
                properties: { of: { enum: ["Peru", "Kenya"] }, length: { type: "integer", minimum: 1, maximum: 9 } },
                required: ["of", "length"],
            },
        },
    };

    test("a forced call is of the schema, whole and in chunks", async () => {
        const bound = model.bindTools([capital, border], { tool_choice: "any", seed: 1 });
        const { tool_calls: calls = [], response_metadata: metadata, content } = await bound.invoke(prompt);
        expect([content, metadata.finish_reason]).toEqual(["", "tool-calls"]);
        expect(calls.length).toBeGreaterThan(0);
        for (const { name, args, id, type } of calls) {
            expect([id, type]).toEqual([expect.stringMatching(/^\w{9}$/), "tool_call"]);
            if (name === "capital") expect(country.safeParse(args.country).success).toBe(true);
            else expect(args).toEqual({ of: expect.stringMatching(/^(Peru|Kenya)$/), length: expect.any(Number) });
        }
        let chunks: AIMessageChunk | undefined;
        for await (const chunk of await bound.stream(prompt)) chunks = chunks ? concat(chunks, chunk) : chunk;
        const known = (message: AIMessage) => message.tool_calls?.map(({ name, args }) => [name, args]);
        expect(known(chunks as AIMessageChunk)).toEqual(calls.map(({ name, args }) => [name, args]));
    });

    test("one tool is called if it is named, none if there is to be none, and its result is read", async () => {
        const tools = [capital, border];
        const question = new HumanMessage(prompt);
        const asked = await model.invoke([question], { tools, tool_choice: "capital", seed: 1 });
        expect(asked.tool_calls?.map(({ name }) => name)).toEqual(["capital"]);
        const [call] = asked.tool_calls ?? [];
        const result = (await capital.invoke(call as never)) as ToolMessage;
        expect(ToolMessage.isInstance(result)).toBe(true);
        const answered = await model.invoke([question, asked, result], { tools, tool_choice: "none", maxTokens: 20 });
        expect(answered.tool_calls).toEqual([]);
        expect(answered.text).not.toBe("");
        const expected = await completed({
            prompt: [
                { role: "user", content: prompt },
                {
                    ...{ role: "assistant", content: null },
                    tool_calls: [
                        {
                            id: call?.id,
                            type: "function",
                            function: { name: "capital", arguments: call?.args as never },
                        },
                    ],
                },
                { role: "tool", content: result.text, tool_call_id: call?.id, name: "capital" },
            ],
            ...{ seed: 1, maxTokens: 1 },
        });
        expect(answered.usage_metadata?.input_tokens).toBe(expected.promptTokens.chat);
    });

    test("structured output by a call", async () => {
        const schema = z.object({ city: z.enum(["Lima", "Tokyo"]) });
        const structured = model.withStructuredOutput(schema, { method: "functionCalling", name: "answer" });
        expect(await structured.invoke(prompt)).toEqual({ city: expect.stringMatching(/^(Lima|Tokyo)$/) });
    });
});

test("thoughts are blocks of their own, with their tokens counted, whole and in chunks, and go back as such", async () => {
    const thinker = await loadOnCpu(family.recipe(THINKING));
    const own = new ChatEft({ model: thinker, seed: 3, maxTokens: 40, logitBias: withoutEnd(thinker) });
    const question = "Tell me about Peru.";
    const message = await own.invoke(question);
    const [thought, said] = message.contentBlocks;
    expect(message.contentBlocks).toEqual([
        { type: "reasoning", reasoning: expect.stringMatching(/^\w[^.]+$/) },
        { type: "text", text: message.text },
    ]);
    expect(message.text).not.toBe("");
    const { output_token_details: details, output_tokens: output = 0 } = message.usage_metadata ?? {};
    expect(details?.reasoning).toBeGreaterThan(2);
    expect(details?.reasoning).toBeLessThan(output);
    const options = { prompt: question, seed: 3, maxTokens: 40, logitBias: withoutEnd(thinker) };
    const { usage: counted } = await collect(complete(thinker, options));
    expect([details?.reasoning, output]).toEqual([counted.thinkingTokens, counted.completionTokens]);
    let chunks: AIMessageChunk | undefined;
    for await (const chunk of await own.stream(question)) chunks = chunks ? concat(chunks, chunk) : chunk;
    expect(chunks?.contentBlocks).toEqual([
        expect.objectContaining({ ...thought }),
        expect.objectContaining({ ...said }),
    ]);
    const { usage_metadata: usage } = await own.invoke([
        new HumanMessage(question),
        message,
        new HumanMessage("More."),
    ]);
    const expected = await collect(
        complete(thinker, {
            prompt: [
                { role: "user", content: question },
                {
                    role: "assistant",
                    content: message.text,
                    reasoning_content: (thought as { reasoning: string }).reasoning,
                },
                { role: "user", content: "More." },
            ],
            maxTokens: 1,
        }),
    );
    expect(usage?.input_tokens).toBe(expected.promptTokens.chat);
    await thinker.dispose();
});

test("a name is loaded at the first call, once, and disposed of with the model", async () => {
    const own = new ChatEft({ model: "demo", load: { backend: "cpu", threads: 1 }, temperature: 0 });
    const messages = await Promise.all([own.invoke(prompt), own.invoke(prompt)]);
    expect(messages.map(({ text }) => text)).toEqual(["Its capital is Lima.", "Its capital is Lima."]);
    await own.dispose();
    await own[Symbol.asyncDispose]();
    await expect(own.invoke(prompt)).rejects.toMatchObject({ code: "DISPOSED" });
    expect(() => new ChatEft({ model: {} as never })).toThrow(/ChatEft takes an ensemble/);
    expect(() => new ChatEft({ model: "demo", load: { ctx: 1 } as never })).toThrow(
        'load of ChatEft has no option ctx; did you mean "contextSize"?',
    );
});

test("disposing refuses new calls and waits for those that run", async () => {
    const own = new ChatEft({ model: "demo", load: { backend: "cpu", threads: 1 }, temperature: 0 });
    const whole = own.invoke(prompt);
    const chunks = (await own.stream(prompt))[Symbol.asyncIterator]();
    let text = ((await chunks.next()).value as AIMessageChunk).text;
    const rest = (async () => {
        for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) text += chunk.text;
    })();
    const disposal = own.dispose();
    await expect(own.invoke(prompt)).rejects.toMatchObject({ code: "DISPOSED" });
    expect((await whole).text).toBe("Its capital is Lima.");
    await rest;
    expect(text).toBe("Its capital is Lima.");
    await Promise.all([disposal, own.dispose()]);
});

type Callback = Readonly<Record<string, unknown>>;

test.each<[string, (own: ChatEft, callbacks: Callback[]) => Promise<string>, string, Callback]>([
    ["a token in invoke", invoked, "handleLLMNewToken", { lc_prefer_streaming: true }],
    ["an event in invoke", invoked, "handleChatModelStreamEvent", { lc_prefer_chat_model_stream_events: true }],
    ["a token in a stream", readToItsEnd, "handleLLMNewToken", {}],
])("disposing waits for callbacks that are told of %s, and have much to do", async (_name, call, told, wish) => {
    const own = new ChatEft({ model: ensemble, temperature: 0, readAhead: 0 });
    let disposal: Promise<void> | undefined;
    async function work(): Promise<void> {
        disposal ??= own.dispose();
        for (let turn = 0; turn < 20; turn++) await setImmediate();
    }
    const text = await call(own, [{ [told]: work, awaitHandlers: true, ...wish }]);
    expect(text).toBe("Its capital is Lima.");
    expect(disposal).toBeDefined();
    await disposal;
});

async function invoked(own: ChatEft, callbacks: Callback[]): Promise<string> {
    return (await own.invoke(prompt, { callbacks })).text;
}

async function readToItsEnd(own: ChatEft, callbacks: Callback[]): Promise<string> {
    let text = "";
    for await (const chunk of await own.stream(prompt, { callbacks })) text += chunk.text;
    return text;
}

test.each(["a recipe", "an ensemble"])("disposing of a model of %s ends streams that nobody reads", async (of) => {
    const endless = { grammar: "root ::= [a-z ]{300}" };
    const create = () =>
        of === "a recipe"
            ? new ChatEft({ model: "demo", load: { backend: "cpu", threads: 1 }, ...endless })
            : new ChatEft({ model: ensemble, ...endless });
    const own = create();
    for await (const chunk of await own.stream(prompt)) if (chunk.text !== "") break;
    const left = await own.stream(prompt);
    await left.next();
    {
        await using other = create();
        const stream = await other.stream(prompt);
        await stream.next();
    }
    await own.dispose();
    await expect(
        (async () => {
            for await (const _chunk of left);
        })(),
    ).rejects.toMatchObject({ code: "DISPOSED" });
    expect((await model.invoke(prompt, { maxTokens: 1 })).text).not.toBe("");
});

test("tells tracers what it is", () => {
    const own = new ChatEft({ model: ensemble, temperature: 0.5, maxTokens: 7 });
    expect(own.getLsParams({ stop: ["x"] })).toEqual({
        ...{ ls_provider: "eft-llama", ls_model_name: "float32", ls_model_type: "chat" },
        ...{ ls_temperature: 0.5, ls_max_tokens: 7, ls_stop: ["x"] },
    });
    expect(own._identifyingParams()).toMatchObject({ model: "float32", sampling: { temperature: 0.5 }, maxTokens: 7 });
    expect(JSON.stringify(own.toJSON())).toContain("ChatEft");
});
