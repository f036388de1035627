/** Two tools in a conversation of three turns. Run it: npx tsx examples/tools.ts */

import { collect, createChat, loadEnsemble, loadRecipe, type JsonValue, type Tool, type ToolChoice } from "eft-llama";

const people: Record<string, number> = { Peru: 34_000_000, Nepal: 30_000_000 };
const oneOf = (key: string, values: string[]) => ({
    ...{ type: "object", properties: { [key]: { enum: values } } },
    ...{ required: [key], additionalProperties: false },
});
const tools = [
    { name: "population_of", description: "How many live there.", parameters: oneOf("country", Object.keys(people)) },
    { name: "weather_in", description: "The weather now.", parameters: oneOf("city", ["Lima", "Kathmandu"]) },
] satisfies Tool[];

/** What the tools do. */
const functions: Record<string, (values: Readonly<Record<string, JsonValue>>) => JsonValue> = {
    population_of: ({ country }) => ({ people: people[country as string] ?? null }),
    weather_in: ({ city }) => `It is sunny in ${city as string}.`,
};

await using ensemble = await loadEnsemble(await loadRecipe("demo"), { contextSize: 1024 });
const chat = createChat(ensemble, { tools, sampling: { temperature: 0 }, maxTokens: 40 });

async function ask(question: string, toolChoice: ToolChoice): Promise<void> {
    const { text: said, toolCalls } = await collect(chat.send(question, { toolChoice, maxTokens: 100 }));
    let text = said;
    if (toolCalls.length > 0) {
        const results = toolCalls.map(({ id, name, arguments: values }) => ({
            id,
            result: functions[name]?.(values) ?? null,
        }));
        toolCalls.forEach(({ name }, index) => console.log(`${name}: ${JSON.stringify(results[index]?.result)}`));
        ({ text } = await collect(chat.sendResults(results, { toolChoice: "none" })));
    }
    console.log(`${question} ${text}`);
}

// The demo's models are too small to call of their own accord: the first two turns must, with "auto" larger ones may.
await ask("How many people live in Peru?", { tool: "population_of" });
await ask("Is it sunny in Kathmandu?", { tool: "weather_in" });
await ask("What is the capital of Japan?", "none");
console.log(`${chat.turns.length} turns, ${chat.turns.flatMap(({ steps = [] }) => steps).length} with calls`);
