/** LangChain: a chain, a dial, an object, a tool. Run it: npx tsx examples/langchain.ts (needs: npm install @langchain/core zod) */

import { ChatPromptTemplate } from "@langchain/core/prompts";
import { tool } from "@langchain/core/tools";
import { ChatEft } from "eft-llama/langchain";
import { z } from "zod";

// Loaded at the first call; `model` may also be an ensemble that you have loaded.
await using model = new ChatEft({ model: "demo", load: { contextSize: 1024 }, temperature: 0 });

const chain = ChatPromptTemplate.fromMessages([["human", "What is the capital of {country}?"]]).pipe(model);
for await (const chunk of await chain.stream({ country: "Nepal" })) process.stdout.write(chunk.text);
console.log();

// A dial of the recipe, for this call alone.
const question = "What is the capital of Nepal?";
console.log(`beta 0: ${(await model.invoke(question, { parameters: { beta: 0 } })).text}`);

const structured = model.withStructuredOutput(z.object({ city: z.string().max(12), isLarge: z.boolean() }));
console.log(`an object with ${Object.keys(await structured.invoke(question)).join(" and ")}`);

const weather = tool(({ city }) => `It is sunny in ${city}.`, {
    name: "weather",
    description: "The weather in a city",
    schema: z.object({ city: z.enum(["Kathmandu", "Lima"]) }),
});
const called = await model.bindTools([weather], { tool_choice: "weather" }).invoke(question);
for (const call of called.tool_calls ?? []) console.log(`${call.name}: ${(await weather.invoke(call)).text}`);
