/** The AI SDK: a stream, a dial, an object, a tool. Run it: npx tsx examples/ai-sdk.ts (needs: npm install ai zod) */

import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { createEftModel } from "eft-llama/ai-sdk";
import { z } from "zod";

// Loaded at the first call; `createEftModel(ensemble)` takes one that you have loaded.
await using model = createEftModel("demo", { contextSize: 1024 });
const prompt = "What is the capital of Nepal?";

const stream = streamText({ model, prompt, temperature: 0, providerOptions: { eft: { speculation: true } } });
for await (const text of stream.textStream) process.stdout.write(text);
console.log();

// A dial of the recipe, for this call alone.
const { text } = await generateText({
    model,
    prompt,
    temperature: 0,
    providerOptions: { eft: { parameters: { beta: 0 } } },
});
console.log(`beta 0: ${text}`);

const schema = z.object({ city: z.string().max(12), isLarge: z.boolean() });
const { output } = await generateText({ model, prompt, seed: 1, output: Output.object({ schema }) });
console.log(`an object with ${Object.keys(output).join(" and ")}`);

const weather = tool({
    description: "The weather in a city",
    inputSchema: z.object({ city: z.enum(["Kathmandu", "Lima"]) }),
    execute: ({ city }) => Promise.resolve(`It is sunny in ${city}.`),
});
const { steps } = await generateText({
    ...{ model, prompt, seed: 1, maxOutputTokens: 150, tools: { weather }, stopWhen: isStepCount(2) },
    // What the model has to call first; the second step answers with the result.
    prepareStep: ({ stepNumber }) => ({
        toolChoice: stepNumber === 0 ? { type: "tool", toolName: "weather" } : "auto",
    }),
});
for (const step of steps) for (const result of step.toolResults) console.log(`weather: ${String(result.output)}`);
console.log(`${steps.length} steps`);
