/** The AI SDK's providers for OpenAI and for whoever is compatible, against the server. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, Output, streamText, tool, type LanguageModel } from "ai";
import OpenAI from "openai";
import { z } from "zod";
import type { EftServer } from "../../src/server/index.js";
import { QUESTIONS } from "../helpers/demo.js";
import { serveDemo, untilLeft, untilMetric, writeDemoRecipes } from "../helpers/server.js";

globalThis.AI_SDK_LOG_WARNINGS = false;

const [prompt] = QUESTIONS;
const { recipes, remove } = writeDemoRecipes();
let server: EftServer;
let models: Record<string, LanguageModel>;
let text: string | null | undefined;
beforeAll(async () => {
    server = await serveDemo({ recipes });
    const baseURL = `${server.url}/v1`;
    const openai = createOpenAI({ baseURL, apiKey: "none" });
    const compatible = createOpenAICompatible({
        name: "eft",
        baseURL,
        supportsStructuredOutputs: true,
        includeUsage: true,
    });
    models = { responses: openai("demo"), chat: openai.chat("demo"), compatible: compatible("demo") };
    const client = new OpenAI({ baseURL, apiKey: "none" });
    const messages = [{ role: "user" as const, content: prompt }];
    text = (await client.chat.completions.create({ model: "demo", messages })).choices[0]?.message.content;
});
afterAll(async () => {
    await server.close();
    remove();
});

/** Clients that have left, by path. */
const left: Record<string, number> = {};

describe.each(["responses", "chat", "compatible"])("%s", (kind) => {
    const model = (): LanguageModel => {
        const found = models[kind];
        if (found === undefined) throw new Error(`There is no ${kind}.`);
        return found;
    };

    it("writes a text, and says what it has cost", async () => {
        const result = await generateText({ model: model(), prompt });
        expect(result.text).toBe(text);
        expect(result.finishReason).toBe("stop");
        expect(result.usage.inputTokens).toBeGreaterThan(5);
        expect(result.usage.outputTokens).toBeGreaterThan(3);
    });

    it("streams it", async () => {
        const result = streamText({ model: model(), prompt });
        const pieces: string[] = [];
        for await (const piece of result.textStream) pieces.push(piece);
        expect(pieces.length).toBeGreaterThan(2);
        expect(pieces.join("")).toBe(text);
        expect((await result.usage).outputTokens).toBeGreaterThan(3);
    });

    it("gives an object of a schema", async () => {
        const schema = z.object({ city: z.enum(["Lima", "Rome"]), large: z.boolean() });
        const { output } = await generateText({ model: model(), prompt, output: Output.object({ schema }) });
        expect(schema.parse(output)).toEqual(output);
    });

    it("calls a tool, and goes on with its result", async () => {
        const asked: string[] = [];
        const capital_of = tool({
            description: "Looks it up",
            inputSchema: z.object({ country: z.enum(["Peru"]) }),
            execute: async ({ country }) => {
                asked.push(country);
                return Promise.resolve("Lima");
            },
        });
        const { steps } = await generateText({
            ...{ model: model(), prompt, tools: { capital_of }, stopWhen: isStepCount(2) },
            providerOptions: { openai: { parallelToolCalls: false }, eft: { parallel_tool_calls: false } },
            prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
        });
        expect(asked[0]).toBe("Peru");
        expect(steps).toHaveLength(2);
        expect(steps[1]?.finishReason).toBe("stop");
    });

    it("is aborted", async () => {
        const leaving = new AbortController();
        // Its end is far away.
        const long = Output.object({ schema: z.object({ list: z.array(z.enum(["yes", "no"])).min(100) }) });
        const options = { model: model(), prompt, output: long, abortSignal: leaving.signal };
        const result = streamText({ ...options, onError: () => undefined });
        for await (const _ of result.textStream) leaving.abort();
        const path = kind === "responses" ? "/v1/responses" : "/v1/chat/completions";
        await untilLeft(server, path, (left[path] = (left[path] ?? 0) + 1));
        await untilMetric(server, "answers_running", 0);
    });

    it("hears what is wrong", async () => {
        await expect(
            generateText({ model: model(), prompt: "word ".repeat(2000), maxRetries: 0 }),
        ).rejects.toMatchObject({
            statusCode: 400,
            message: expect.stringContaining("at most 1023 fit"),
        });
    });
});
