/** The model of the AI SDK, through the AI SDK: texts, streams, objects, aborts, settings. Its words are those of complete(). */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    generateObject,
    generateText,
    isStepCount,
    Output,
    streamObject,
    streamText,
    tool,
    type LanguageModelUsage,
} from "ai";
import { z } from "zod";
import type { LanguageModelV3CallOptions, LanguageModelV3Prompt } from "@ai-sdk/provider";
import { createEftModel, type EftModel } from "../../src/ai-sdk/index.js";
import { ChatEft } from "../../src/langchain/index.js";
import { collect, complete, EftError, loadRecipe, type CompletionOptions, type Ensemble } from "../../src/index.js";
import { loadOnCpu, QUESTIONS } from "../helpers/demo.js";
import { UPSCALING, UPSCALING_MODELS, writeFloat32Family } from "../helpers/float32.js";
import { THINKING, withoutEnd } from "../helpers/thinking.js";
import { ZOD_SHAPES } from "../helpers/zod-shapes.js";

// It would tell us on the console that `generateObject` is deprecated; people use it none the less.
globalThis.AI_SDK_LOG_WARNINGS = false;

const [prompt] = QUESTIONS;
// In float32 the text is the same whatever else runs and whatever a cache holds.
const family = writeFloat32Family(UPSCALING_MODELS);
let ensemble: Ensemble;
let model: EftModel;
beforeAll(async () => {
    const others = "conservative: { topP: 1, fallback: chat }\nprompt: { template: from chat }";
    ensemble = await loadOnCpu(family.recipe(UPSCALING + others), { contextSize: 1024 });
    model = createEftModel(ensemble);
});
afterAll(async () => {
    await ensemble.dispose();
    family.remove();
});

const completed = (options: Partial<CompletionOptions>) => collect(complete(ensemble, { prompt, ...options }));

describe("generateText", () => {
    test("says what complete() says, what it has cost and why it ended", async () => {
        const expected = await completed({ seed: 5 });
        const { text, usage, finishReason, warnings, providerMetadata } = await generateText({
            model,
            prompt,
            seed: 5,
        });
        expect(text).toBe(expected.text);
        expect(finishReason).toBe("stop");
        expect(warnings).toEqual([]);
        expect(usage).toMatchObject({ inputTokens: expected.promptTokens.chat, outputTokens: expected.tokens });
        expect(usage.inputTokenDetails.cacheReadTokens).toBeGreaterThan(0);
        expect(providerMetadata?.eft).toMatchObject({ seed: 5, timings: { generationMs: expect.any(Number) } });
    });

    test.each<
        [string, Omit<Parameters<typeof generateText>[0], "model" | "prompt" | "messages">, Partial<CompletionOptions>]
    >([
        ["maxOutputTokens", { maxOutputTokens: 3 }, { maxTokens: 3 }],
        ["stopSequences", { stopSequences: ["in Mex"] }, { stop: ["in Mex"] }],
        ["temperature", { temperature: 0 }, { sampling: { temperature: 0 } }],
        ["topK", { temperature: 5, topK: 2 }, { sampling: { temperature: 5, topK: 2 } }],
        ["topP", { temperature: 2, topP: 0.5 }, { sampling: { temperature: 2, topP: 0.5 } }],
        [
            "penalties",
            { presencePenalty: 9, frequencyPenalty: 9 },
            { sampling: { presencePenalty: 9, frequencyPenalty: 9 } },
        ],
        ["dials", { providerOptions: { eft: { parameters: { beta: 0 } } } }, { parameters: { beta: 0 } }],
        [
            "conservativeTopP",
            { temperature: 5, providerOptions: { eft: { conservativeTopP: 0.01 } } },
            { sampling: { temperature: 5 }, conservativeTopP: 0.01 },
        ],
        [
            "sampling",
            { providerOptions: { eft: { sampling: { temperature: 3, minP: 0.4 } } } },
            { sampling: { temperature: 3, minP: 0.4 } },
        ],
        ["speculation", { providerOptions: { eft: { speculation: { length: 3 } } } }, { speculation: { length: 3 } }],
    ])("hands on %s", async (name, settings, options) => {
        const [said, expected, plain] = await Promise.all([
            generateText({ model, prompt: "Tell me about Peru.", seed: 1, ...settings }),
            completed({ prompt: "Tell me about Peru.", seed: 1, ...options }),
            completed({ prompt: "Tell me about Peru.", seed: 1 }),
        ]);
        expect(said.text).toBe(expected.text);
        expect(said.finishReason).toBe(name === "maxOutputTokens" ? "length" : "stop");
        // Speculation alone leaves the text as it is.
        if (name === "speculation")
            expect(said.providerMetadata?.eft?.speculation).toMatchObject({ drafted: expect.any(Number) });
        else expect(said.text).not.toBe(plain.text);
    });

    test.each([
        [
            "an unknown option",
            { parametres: {} },
            /providerOptions\.eft has no option parametres; did you mean "parameters"/,
        ],
        ["an unknown dial", { parameters: { lambda: 1 } }, /lambda/],
        ["a dial that is out of range", { parameters: { beta: 99 } }, /"beta".* 0 to 2, not 99/],
        ["a wrong value", { sampling: { minP: "much" } }, /minP must be a number/],
        ["a wrong kind", { speculation: "auto" }, /speculation must be true, false or an object, not "auto"/],
        ["an option of sampling", { topP: 1 }, /has no option topP; it belongs in sampling/],
        ["an option of speculation", { lookup: true }, /has no option lookup; it belongs in speculation/],
        ["a wrong mass", { conservativeTopP: 0 }, /conservativeTopP must be a number above 0 and at most 1, not 0/],
        ["a dial by itself", { beta: 1 }, /has no option beta; .*parameters of the recipe belong in parameters\./],
    ])("refuses %s with an error of ours", async (_name, eft, message) => {
        const error: unknown = await generateText({ model, prompt, providerOptions: { eft } }).catch(
            (caught: unknown) => caught,
        );
        expect(EftError.isInstance(error)).toBe(true);
        expect((error as Error).message).toMatch(message);
    });

    test.each(["eft-llama", "eftLlama", "EFT"])("options under the name %s are warned of", async (name) => {
        const options = { model, prompt, maxOutputTokens: 1, providerOptions: { [name]: { parameters: { beta: 1 } } } };
        const { warnings } = await generateText(options);
        const message = `providerOptions["${name}"] is not read; write providerOptions.eft.`;
        expect(warnings).toEqual([{ type: "other", message }]);
    });

    test("messages are a conversation", async () => {
        const messages = [
            { role: "user" as const, content: prompt },
            { role: "assistant" as const, content: "Its capital is Lima." },
            { role: "user" as const, content: QUESTIONS[3] },
        ];
        const { text } = await generateText({ model, messages, instructions: "Be brief.", temperature: 0 });
        const expected = await completed({
            prompt: [{ role: "system", content: "Be brief." }, ...messages],
            sampling: { temperature: 0 },
        });
        expect(text).toBe(expected.text);
    });
});

describe("streamText", () => {
    test("streams what generateText says", async () => {
        const whole = await generateText({ model, prompt, seed: 5 });
        const types: string[] = [];
        let text = "";
        const result = streamText({ model, prompt, seed: 5 });
        for await (const part of result.fullStream) {
            if (part.type !== types.at(-1)) types.push(part.type);
            if (part.type === "text-delta") text += part.text;
        }
        expect(types).toEqual(["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"]);
        expect(text).toBe(whole.text);
        const known = ({ inputTokens, outputTokens }: LanguageModelUsage) => [inputTokens, outputTokens];
        expect(known(await result.usage)).toEqual(known(whole.usage));
        expect(await result.finishReason).toBe("stop");
        expect((await result.providerMetadata)?.eft).toMatchObject({ seed: 5 });
    });

    test("an error in the middle ends the stream with the error", async () => {
        const errors: unknown[] = [];
        const stream = streamText({
            model,
            prompt: "a ".repeat(5000),
            onError: ({ error }) => void errors.push(error),
        });
        for await (const _part of stream.fullStream);
        expect(errors).toEqual([expect.objectContaining({ code: "CONTEXT_OVERFLOW" })]);
    });
});

describe("an abort", () => {
    test("before a call, and while it runs, rejects with the signal's reason", async () => {
        await expect(generateText({ model, prompt, abortSignal: AbortSignal.abort() })).rejects.toMatchObject({
            name: "AbortError",
        });
        const controller = new AbortController();
        const running = generateText({
            ...{ model, prompt, abortSignal: controller.signal },
            providerOptions: { eft: { logitBias: withoutEnd(ensemble) } },
        });
        controller.abort();
        await expect(running).rejects.toMatchObject({ name: "AbortError" });
    });

    test("in the middle of a stream ends it, and the next call is as ever", async () => {
        const controller = new AbortController();
        let [text, isAborted] = ["", false];
        const stream = streamText({
            ...{ model, prompt, abortSignal: controller.signal },
            providerOptions: { eft: { logitBias: withoutEnd(ensemble) } },
            onAbort: () => void (isAborted = true),
        });
        for await (const part of stream.fullStream) {
            if (part.type !== "text-delta") continue;
            text += part.text;
            if (text.length > 40) controller.abort();
        }
        expect(isAborted).toBe(true);
        expect(text.length).toBeLessThan(200);
        const next = await generateText({ model, prompt, temperature: 0 });
        expect(next.text).toBe((await completed({ sampling: { temperature: 0 } })).text);
    });

    test("whoever leaves a stream stops the generation", async () => {
        const { stream } = await model.doStream({
            prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
            providerOptions: { eft: { logitBias: withoutEnd(ensemble) } },
        });
        const reader = stream.getReader();
        while ((await reader.read()).value?.type !== "text-delta");
        await reader.cancel();
        // All sequences are free again: none of these waits for one that goes on.
        await Promise.all(QUESTIONS.map((each) => generateText({ model, prompt: each, maxOutputTokens: 2 })));
    });
});

describe("objects", () => {
    test.each(Object.entries(ZOD_SHAPES))("of %s: generateObject and streamObject", async (_name, schema) => {
        const call = {
            model,
            schema,
            prompt,
            seed: 2,
            maxOutputTokens: 400,
            providerOptions: { eft: { sampling: { temperature: 0.7 } } },
        };
        const { object } = await generateObject(call);
        expect(schema.safeParse(object).error).toBeUndefined();
        const stream = streamObject(call);
        let last: unknown;
        for await (const partial of stream.partialObjectStream) last = partial;
        expect(await stream.object).toEqual(object);
        expect(schema.safeParse(last).data).toEqual(object);
    });

    test("by Output, whole and in a stream", async () => {
        const schema = ZOD_SHAPES["an array of objects"]!;
        const call = { model, prompt, seed: 2, output: Output.object({ schema }) };
        const { output, text } = await generateText(call);
        expect(output).toEqual(JSON.parse(text));
        expect(await streamText(call).output).toEqual(output);
        const choice = Output.choice({ options: ["sunny", "rainy"] });
        expect((await generateText({ model, prompt, output: choice })).output).toMatch(/^(sunny|rainy)$/);
    });

    test("without a schema: any JSON", async () => {
        const { content } = await model.doGenerate({
            prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
            ...{ responseFormat: { type: "json" }, seed: 1, stopSequences: [","] },
        });
        expect(content).toEqual([{ type: "text", text: expect.stringMatching(/^ ?["{[\dtfn-]/) }]);
    });

    test("a schema that cannot be enforced is refused by its place", async () => {
        const responseFormat = {
            type: "json" as const,
            schema: { properties: { a: { type: "string" as const, pattern: "(a)\\1" } } },
        };
        const call: LanguageModelV3Prompt = [{ role: "user", content: [{ type: "text", text: prompt }] }];
        await expect(model.doGenerate({ prompt: call, responseFormat })).rejects.toMatchObject({
            code: "GRAMMAR_INVALID",
            message: expect.stringContaining("#/properties/a"),
        });
    });
});

describe("tools", () => {
    const cities = { Peru: "Lima", Japan: "Tokyo", Kenya: "Nairobi" } as const;
    const country = z.enum(["Peru", "Japan", "Kenya"]);
    const [isCountry, isDigit] = [expect.stringMatching(/^(Peru|Japan|Kenya)$/), expect.any(Number)];
    const tools = {
        capital: tool({
            description: "Its capital",
            inputSchema: z.object({ country }),
            execute: (input) => Promise.resolve(`It is ${cities[input.country]}.`),
        }),
        border: tool({
            inputSchema: z.object({ of: country, length: z.int().min(1).max(9) }),
            execute: () => Promise.resolve({ kilometres: 7 }),
        }),
    };

    test("a forced call is of the schema, whole and in a stream", async () => {
        const call = { model, prompt, tools, seed: 1, toolChoice: "required" as const };
        const whole = await generateText(call);
        expect(whole.finishReason).toBe("tool-calls");
        expect(whole.toolCalls.length).toBeGreaterThan(0);
        expect(whole.toolResults.length).toBe(whole.toolCalls.length);
        for (const { toolName, input, invalid } of whole.toolCalls) {
            expect(invalid).toBeUndefined();
            expect(input).toEqual(toolName === "capital" ? { country: isCountry } : { of: isCountry, length: isDigit });
        }
        const types = new Set<string>();
        const stream = streamText(call);
        for await (const { type } of stream.fullStream) types.add(type);
        expect([...types]).toEqual(
            expect.arrayContaining([
                "tool-input-start",
                "tool-input-delta",
                "tool-input-end",
                "tool-call",
                "tool-result",
            ]),
        );
        const known = (calls: readonly { toolName: string; input: unknown }[]) =>
            calls.map(({ toolName, input }) => [toolName, input]);
        expect(known(await stream.toolCalls)).toEqual(known(whole.toolCalls));
    });

    test("one tool is called if it is named, and none if there is to be none", async () => {
        const call = { model, prompt, tools, seed: 1 };
        const { toolCalls } = await generateText({ ...call, toolChoice: { type: "tool", toolName: "border" } });
        expect(toolCalls.map(({ toolName }) => toolName)).toEqual(["border"]);
        const none = await generateText({ ...call, toolChoice: "none" });
        expect(none.toolCalls).toEqual([]);
        expect(none.text).not.toBe("");
    });

    test("a loop of steps calls, reads the results and answers", async () => {
        const { steps, text, totalUsage } = await generateText({
            ...{ model, prompt, tools, seed: 1, stopWhen: isStepCount(3), maxOutputTokens: 120 },
            prepareStep: ({ stepNumber }) => ({
                toolChoice: stepNumber === 0 ? { type: "tool", toolName: "capital" } : "auto",
            }),
        });
        expect(steps.map(({ finishReason }) => finishReason)).toEqual([
            "tool-calls",
            expect.stringMatching(/stop|length/),
        ]);
        const [asked, answered] = steps;
        const [call] = asked?.toolCalls ?? [];
        expect(asked?.toolResults[0]?.output).toBe(`It is ${cities[(call?.input as { country: "Peru" }).country]}.`);
        expect(text).toBe(answered?.text);
        // The second prompt has the first, the call and its result in it.
        expect(answered?.usage.inputTokens).toBeGreaterThan(asked?.usage.inputTokens ?? Infinity);
        expect(totalUsage.inputTokens).toBe((asked?.usage.inputTokens ?? 0) + (answered?.usage.inputTokens ?? 0));
    });

    test("an answer of a schema may be asked for as well", async () => {
        const output = Output.object({ schema: z.object({ done: z.boolean() }) });
        const { steps } = await generateText({
            ...{ model, prompt, tools, output, seed: 1, stopWhen: isStepCount(2) },
            prepareStep: ({ stepNumber }) => ({
                toolChoice: stepNumber === 0 ? { type: "tool", toolName: "capital" } : "none",
            }),
        });
        expect(steps[0]?.toolCalls.length).toBeGreaterThan(0);
        expect(JSON.parse(steps[1]?.text ?? "")).toEqual({ done: expect.any(Boolean) });
    });
});

describe("thinking", () => {
    test("is reasoning, with its tokens counted apart", async () => {
        const thinker = await loadOnCpu(family.recipe(THINKING));
        const own = createEftModel(thinker);
        const providerOptions = { eft: { logitBias: withoutEnd(thinker) } };
        const call = { model: own, prompt: "Tell me about Peru.", seed: 3, maxOutputTokens: 40, providerOptions };
        const whole = await generateText(call);
        expect(whole.reasoningText).toMatch(/^\w[^.]+$/);
        expect(whole.text).not.toContain(whole.reasoningText);
        const { textTokens = 0, reasoningTokens = 0 } = whole.usage.outputTokenDetails;
        expect(reasoningTokens).toBeGreaterThan(2);
        expect(textTokens).toBeGreaterThan(0);
        expect(textTokens + reasoningTokens).toBe(whole.usage.outputTokens);
        const options = { prompt: "Tell me about Peru.", seed: 3, maxTokens: 40, ...providerOptions.eft };
        const { usage } = await collect(complete(thinker, options));
        expect([reasoningTokens, whole.usage.inputTokens]).toEqual([usage.thinkingTokens, usage.promptTokens]);
        const stream = streamText(call);
        const types: string[] = [];
        for await (const { type } of stream.fullStream) if (/^reasoning|^text/.test(type)) types.push(type);
        expect([...new Set(types)].slice(0, 3)).toEqual(["reasoning-start", "reasoning-delta", "reasoning-end"]);
        expect(await stream.reasoningText).toBe(whole.reasoningText);
        expect(await stream.text).toBe(whole.text);
        const schema = z.object({ city: z.string().max(8) });
        const both = await generateText({ model: own, prompt, seed: 3, output: Output.object({ schema }) });
        expect(both.reasoningText).not.toBe("");
        expect(schema.safeParse(both.output).data).toEqual(both.output);
        await thinker.dispose();
    });
});

describe("where it comes from", () => {
    test("a name is loaded at the first call, once, and disposed of with the model", async () => {
        const own = createEftModel("demo", { backend: "cpu", threads: 1 });
        expect([own.modelId, own.provider, own.specificationVersion]).toEqual(["demo", "eft-llama", "v3"]);
        const texts = await Promise.all([1, 2].map(() => generateText({ model: own, prompt, temperature: 0 })));
        expect(texts.map(({ text }) => text)).toEqual(["Its capital is Lima.", "Its capital is Lima."]);
        await own.dispose();
        await own[Symbol.asyncDispose]();
        await expect(generateText({ model: own, prompt })).rejects.toMatchObject({ code: "DISPOSED" });
    });

    test("disposing refuses new calls and waits for those that run, and may be done again", async () => {
        const own = createEftModel("demo", { backend: "cpu", threads: 1 });
        const call = {
            prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
        } as LanguageModelV3CallOptions;
        const whole = own.doGenerate({ ...call, temperature: 0 });
        const { stream } = await own.doStream({ ...call, temperature: 0 });
        const reader = stream.getReader();
        let text = "";
        const read = async (): Promise<boolean> => {
            const { value, done } = await reader.read();
            if (value?.type === "text-delta") text += value.delta;
            return done;
        };
        while (text === "") await read();
        const rest = (async () => {
            while (!(await read()));
        })();
        let isOver = false;
        const disposal = own.dispose().then(() => (isOver = true));
        await expect(own.doGenerate(call)).rejects.toMatchObject({ code: "DISPOSED" });
        expect(isOver).toBe(false);
        expect((await whole).content).toEqual([{ type: "text", text: "Its capital is Lima." }]);
        await rest;
        expect(text).toBe("Its capital is Lima.");
        await Promise.all([disposal, own.dispose(), own[Symbol.asyncDispose]()]);
    });

    const endless = { prompt, providerOptions: { eft: { grammar: "root ::= [a-z ]{300}" } } };

    test.each(["a recipe", "an ensemble"])("disposing of a model of %s ends streams that nobody reads", async (of) => {
        const create = () =>
            of === "a recipe" ? createEftModel("demo", { backend: "cpu", threads: 1 }) : createEftModel(ensemble);
        const own = create();
        const stopped = streamText({ model: own, ...endless });
        for await (const piece of stopped.textStream) if (piece !== "") break;
        {
            await using other = create();
            for await (const piece of streamText({ model: other, ...endless }).textStream) if (piece !== "") break;
        }
        for (const how of ["aborted", "cancelled", "left alone"]) {
            const controller = new AbortController();
            const { stream } = await own.doStream({
                prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
                abortSignal: controller.signal,
                providerOptions: endless.providerOptions,
            });
            const reader = stream.getReader();
            while ((await reader.read()).value?.type !== "text-delta");
            if (how === "aborted") controller.abort();
            if (how === "cancelled") await reader.cancel();
        }
        await own.dispose();
        expect((await generateText({ model, prompt, maxOutputTokens: 1 })).text).not.toBe("");
    });

    test("who disposes of a model in the middle of a stream, and reads on, is told so", async () => {
        const own = createEftModel(ensemble);
        const errors: unknown[] = [];
        const { textStream } = streamText({ model: own, ...endless, onError: ({ error }) => void errors.push(error) });
        let text = "";
        for await (const piece of textStream) {
            text += piece;
            await own.dispose();
        }
        expect(text.length).toBeLessThan(300);
        expect(errors).toEqual([expect.objectContaining({ code: "DISPOSED" })]);
    });

    test("an ensemble of the caller's stays", async () => {
        const { name } = ensemble.recipe;
        const own = createEftModel(ensemble);
        expect(own.modelId).toBe(name);
        await own.dispose();
        expect(ensemble.disposed).toBe(false);
        await expect(generateText({ model: own, prompt })).rejects.toMatchObject({ code: "DISPOSED" });
        expect((await generateText({ model, prompt, maxOutputTokens: 1 })).text).not.toBe("");
    });

    test("what cannot be loaded fails at each call", async () => {
        const own = createEftModel("./no-such-recipe.yaml");
        for (const _time of [1, 2])
            await expect(generateText({ model: own, prompt })).rejects.toMatchObject({ code: "RECIPE_NOT_FOUND" });
        await own.dispose();
    });

    test.each<[string, () => unknown, RegExp]>([
        [
            "neither",
            () => createEftModel({} as never),
            /^createEftModel takes an ensemble, a recipe, or the name or path of a recipe, not an object\.$/,
        ],
        ["options", () => createEftModel({ model: "demo" } as never), /not an object; give "demo" by itself\.$/],
        ["a promise", () => createEftModel(loadRecipe("demo") as never), /write `await` before .*loadRecipe\(\)\.$/],
        ["a promise", () => new ChatEft({ model: loadRecipe("demo") as never }), /^model of ChatEft .*`await` before/],
        [
            "half an ensemble",
            () => createEftModel({ scheduler: {} } as never),
            /^createEftModel takes an ensemble, a recipe, or the name or path of a recipe, not an object\.$/,
        ],
        ["half a recipe", () => createEftModel({ combination: {} } as never), /createEftModel takes a recipe/],
        ["a wrong option", () => createEftModel("demo", { thread: 1 } as never), /did you mean "threads"/],
        [
            "an abbreviated option",
            () => createEftModel("demo", { ctx: 1 } as never),
            /^createEftModel has no option ctx; did you mean "contextSize"\?$/,
        ],
        [
            "an option that is too late",
            () => createEftModel(ensemble, { threads: 1 }),
            /^threads is an option of loading, and this ensemble is loaded; give it to loadEnsemble\(\)\.$/,
        ],
        [
            "an option that is too late",
            () => new ChatEft({ model: ensemble, load: { threads: 1 } }),
            /^threads is an option of loading, and this ensemble is loaded/,
        ],
    ])("refuses %s", (_name, create, message) => {
        expect(create).toThrow(message);
    });
});
