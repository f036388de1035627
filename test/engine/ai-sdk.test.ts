/** The model of the AI SDK, through the AI SDK: texts, streams, objects, aborts, settings. Its words are those of complete(). */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { generateObject, generateText, Output, streamObject, streamText, type LanguageModelUsage } from "ai";
import type { LanguageModelV3Prompt } from "@ai-sdk/provider";
import { createEftModel, type EftModel } from "../../src/ai-sdk/index.js";
import { collect, complete, EftError, type CompletionOptions, type Ensemble } from "../../src/index.js";
import { flaggedIds } from "../../src/models/vocabulary.js";
import { loadOnCpu, QUESTIONS, upscalingRecipe } from "../helpers/demo.js";
import { ZOD_SHAPES } from "../helpers/zod-shapes.js";

// It would tell us on the console that `generateObject` is deprecated; people use it none the less.
globalThis.AI_SDK_LOG_WARNINGS = false;

const [prompt] = QUESTIONS;
let ensemble: Ensemble;
let model: EftModel;
beforeAll(async () => {
    ensemble = await loadOnCpu(upscalingRecipe());
    model = createEftModel(ensemble);
});
afterAll(() => ensemble.dispose());

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
        ["a wrong kind", { speculation: "yes" }, /speculation must be an object/],
    ])("refuses %s with an error of ours", async (_name, eft, message) => {
        const error: unknown = await generateText({ model, prompt, providerOptions: { eft } }).catch(
            (caught: unknown) => caught,
        );
        expect(EftError.isInstance(error)).toBe(true);
        expect((error as Error).message).toMatch(message);
    });

    test("messages are a conversation", async () => {
        const messages = [
            { role: "user" as const, content: prompt },
            { role: "assistant" as const, content: " Its capital is Lima." },
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
            providerOptions: { eft: { logitBias: neverEnding(ensemble) } },
        });
        controller.abort();
        await expect(running).rejects.toMatchObject({ name: "AbortError" });
    });

    test("in the middle of a stream ends it, and the next call is as ever", async () => {
        const controller = new AbortController();
        let [text, isAborted] = ["", false];
        const stream = streamText({
            ...{ model, prompt, abortSignal: controller.signal },
            providerOptions: { eft: { logitBias: neverEnding(ensemble) } },
            onAbort: () => void (isAborted = true),
        });
        for await (const part of stream.fullStream) {
            if (part.type !== "text-delta") continue;
            text += part.text;
            if (text.length > 40) controller.abort();
        }
        expect(isAborted).toBe(true);
        expect(text.length).toBeLessThan(200);
        expect((await generateText({ model, prompt, temperature: 0 })).text).toBe(" Its capital is Lima.");
    });

    test("whoever leaves a stream stops the generation", async () => {
        const { stream } = await model.doStream({
            prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
            providerOptions: { eft: { logitBias: neverEnding(ensemble) } },
        });
        const reader = stream.getReader();
        while ((await reader.read()).value?.type !== "text-delta");
        await reader.cancel();
        // All sequences are free again: none of these waits for one that goes on.
        await Promise.all(QUESTIONS.map((each) => generateText({ model, prompt: each, maxOutputTokens: 2 })));
    });
});

/** Biases that forbid the end of a text. */
function neverEnding({ vocabulary }: Ensemble): Record<string, number> {
    return Object.fromEntries(Array.from(flaggedIds(vocabulary.endOfGeneration), (id) => [id, -10_000]));
}

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
            schema: { properties: { a: { multipleOf: 0.3, contentEncoding: "x" } } },
        };
        const call: LanguageModelV3Prompt = [{ role: "user", content: [{ type: "text", text: prompt }] }];
        await expect(model.doGenerate({ prompt: call, responseFormat })).rejects.toMatchObject({
            code: "GRAMMAR_INVALID",
            message: expect.stringContaining("#/properties/a"),
        });
    });
});

describe("where it comes from", () => {
    test("a name is loaded at the first call, once, and disposed of with the model", async () => {
        const own = createEftModel("demo", { backend: "cpu", threads: 1 });
        expect([own.modelId, own.provider, own.specificationVersion]).toEqual(["demo", "eft-llama", "v3"]);
        const texts = await Promise.all([1, 2].map(() => generateText({ model: own, prompt, temperature: 0 })));
        expect(texts.map(({ text }) => text)).toEqual([" Its capital is Lima.", " Its capital is Lima."]);
        await own.dispose();
        await own[Symbol.asyncDispose]();
        await expect(generateText({ model: own, prompt })).rejects.toMatchObject({ code: "DISPOSED" });
    });

    test("an ensemble of the caller's stays", async () => {
        const { name } = ensemble.recipe;
        const own = createEftModel(ensemble);
        expect(own.modelId).toBe(name);
        await own.dispose();
        expect(ensemble.disposed).toBe(false);
    });

    test("what cannot be loaded fails at each call", async () => {
        const own = createEftModel("./no-such-recipe.yaml");
        for (const _time of [1, 2])
            await expect(generateText({ model: own, prompt })).rejects.toMatchObject({ code: "RECIPE_NOT_FOUND" });
        await own.dispose();
    });

    test.each<[string, () => unknown, RegExp]>([
        ["neither", () => createEftModel({} as never), /createEftModel takes an ensemble, not/],
        ["a promise", () => createEftModel(Promise.resolve() as never), /write `await` before loadEnsemble/],
        ["half a recipe", () => createEftModel({ combination: {} } as never), /createEftModel takes a recipe/],
        ["a wrong option", () => createEftModel("demo", { thread: 1 } as never), /did you mean "threads"/],
        [
            "an option that is too late",
            () => createEftModel(ensemble, { threads: 1 }),
            /threads is an option of loading/,
        ],
    ])("refuses %s", (_name, create, message) => {
        expect(create).toThrow(message);
    });
});
