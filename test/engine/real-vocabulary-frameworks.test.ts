/** The AI SDK and LangChain with the vocabularies and templates of well-known families: what is forced has the right form. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { HumanMessage, ToolMessage, type AIMessageChunk } from "@langchain/core/messages";
import { concat } from "@langchain/core/utils/stream";
import { generateObject, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import { createEftModel } from "../../src/ai-sdk/index.js";
import type { Ensemble } from "../../src/index.js";
import { ChatEft } from "../../src/langchain/index.js";
import { loadOnCpu } from "../helpers/demo.js";
import { isFetched, TOOL_FAMILIES, type ToolFamilyName } from "../helpers/real-tokenizers.js";
import { writeRealFamily, type RealFamily } from "../helpers/real-vocabulary.js";

globalThis.AI_SDK_LOG_WARNINGS = false;

const PERU = "How many people live in Peru?";
// A trial of what the test itself has written would take time alone.
const OPTIONS = { contextSize: 2048, trust: true };

for (const name of TOOL_FAMILIES) (isFetched(name) ? describe : describe.skip)(name, () => checkFamily(name));

function checkFamily(name: ToolFamilyName): void {
    let family: RealFamily;
    let ensemble: Ensemble;
    beforeAll(async () => {
        family = await writeRealFamily(name);
        ensemble = await loadOnCpu(family.recipe(), OPTIONS);
    });
    afterAll(async () => {
        await ensemble.dispose();
        family.remove();
    });

    const country = z.enum(["Peru", "Japan"]);
    const result = "It is \u{1f306} Lima.";
    const capital = {
        description: "Its capital",
        inputSchema: z.object({ country }),
        execute: () => Promise.resolve(result),
    };
    const isCall = { country: expect.stringMatching(/^(Peru|Japan)$/) };

    test("AI SDK: steps with a tool, whole and in a stream", async () => {
        const call = {
            ...{
                model: createEftModel(ensemble),
                prompt: PERU,
                tools: { capital: tool(capital) },
                seed: 1,
                maxOutputTokens: 60,
            },
            stopWhen: isStepCount(2),
            prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
                toolChoice:
                    stepNumber === 0 ? { type: "tool" as const, toolName: "capital" as const } : ("none" as const),
            }),
        };
        const { steps, text } = await generateText(call);
        expect(steps.map(({ toolCalls }) => toolCalls.length > 0)).toEqual([true, false]);
        for (const { input, invalid } of steps[0]?.toolCalls ?? [])
            expect([input, invalid]).toEqual([isCall, undefined]);
        for (const { output } of steps[0]?.toolResults ?? []) expect(output).toBe(result);
        expect(text).toBe(steps[1]?.text);
        const stream = streamText(call);
        expect(await stream.text).toBe(text);
        const inputs = (await stream.steps).flatMap(({ toolCalls }) => toolCalls.map(({ input }) => input));
        expect(inputs).toEqual(steps[0]?.toolCalls.map(({ input }) => input));
    });

    test("AI SDK: objects", async () => {
        const schema = z.object({
            country,
            note: z.string().max(9),
            years: z.array(z.int().min(0).max(99)).max(3),
        });
        const { object } = await generateObject({ model: createEftModel(ensemble), schema, prompt: PERU, seed: 4 });
        expect(schema.safeParse(object).data).toEqual(object);
    });

    test("LangChain: a tool and its result, whole and in chunks", async () => {
        const model = new ChatEft({ model: ensemble, seed: 1, maxTokens: 60 });
        const bound = model.bindTools([
            { name: "capital", description: "Its capital", schema: capital.inputSchema } as never,
        ]);
        const asked = await bound.invoke(PERU, { tool_choice: "capital" });
        expect([asked.text, asked.tool_calls?.map(({ args }) => args)]).toEqual(["", [isCall]]);
        let chunks: AIMessageChunk | undefined;
        for await (const chunk of await bound.stream(PERU, { tool_choice: "capital" }))
            chunks = chunks ? concat(chunks, chunk) : chunk;
        expect(chunks?.tool_calls?.map(({ args }) => args)).toEqual(asked.tool_calls?.map(({ args }) => args));
        const id = asked.tool_calls?.[0]?.id ?? "";
        const messages = [new HumanMessage(PERU), asked, new ToolMessage({ content: result, tool_call_id: id })];
        const answered = await bound.invoke(messages, { tool_choice: "none" });
        expect(answered.tool_calls).toEqual([]);
        const shown = await ensemble.countTokens([
            { role: "user", content: PERU },
            {
                ...{ role: "assistant", content: "" },
                tool_calls: [
                    { id, type: "function", function: { name: "capital", arguments: asked.tool_calls?.[0]?.args } },
                ],
            },
            { role: "tool", content: result, tool_call_id: id },
        ]);
        expect(answered.usage_metadata?.input_tokens).toBe(shown);
    });

    test("LangChain: structured output", async () => {
        const schema = z.object({ country, note: z.string().max(9) });
        const model = new ChatEft({ model: ensemble, seed: 2 });
        for (const method of ["jsonSchema", "functionCalling"] as const) {
            const object = await model.withStructuredOutput(schema, { method, name: "answer" }).invoke(PERU);
            expect(schema.safeParse(object).data).toEqual(object);
        }
    });

    test.each([
        [
            "AI SDK",
            async (speaker: Ensemble) => {
                const said = await generateText({ model: createEftModel(speaker), prompt: PERU, maxOutputTokens: 20 });
                return [said.reasoningText, said.text];
            },
        ],
        [
            "LangChain",
            async (speaker: Ensemble) => {
                const message = await new ChatEft({ model: speaker, maxTokens: 20 }).invoke(PERU);
                const thought = message.contentBlocks.find(({ type }) => type === "reasoning");
                return [thought?.["reasoning"], message.text];
            },
        ],
    ] as const)("%s: thoughts, where the template has them", async (_name, ask) => {
        const [end, text] =
            name === "qwen3" ? ["\n", "<think>Hmm</think>\n\nLima<|im_end|>"] : ["\n\n", "Lima<|eot_id|>"];
        const recipe = family.recipe("sampling: { temperature: 0 }", family.writeScripted(end, text));
        const speaker = await ensemble.host.load(recipe, OPTIONS);
        const [thought, said] = await ask(speaker);
        expect([thought, String(said).trim()]).toEqual([name === "qwen3" ? "Hmm" : undefined, "Lima"]);
        await speaker.dispose();
    });
}
