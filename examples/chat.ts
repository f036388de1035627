/** A conversation with a dial, regenerated, forked and saved. Run it: npx tsx examples/chat.ts */

import { collect, createChat, loadEnsemble, loadRecipe, parseChat } from "eft-llama";

await using ensemble = await loadEnsemble(await loadRecipe("demo-dial"));
const chat = createChat(ensemble, { parameters: { lambda: 0 }, sampling: { temperature: 0 } });

async function ask(question: string): Promise<void> {
    const { text, promptTokens, reusedTokens } = await collect(chat.send(question));
    const evaluated = (promptTokens["large"] ?? 0) - (reusedTokens["large"] ?? 0);
    console.log(`${question} ${text}  (${evaluated} of ${promptTokens["large"]} tokens were new to "large")`);
}

await ask("What is the capital of Peru?");
await ask("What is the phone number of Clara Berg?");

// The same question at another setting of the dial; the old answer is replaced.
chat.setParameters({ lambda: 1 });
const { text } = await collect(chat.regenerate());
console.log(`lambda 1: ${text}`);

// A fork shares its first turn with the conversation it comes from, and goes its own way.
const fork = chat.fork(1);
await collect(fork.send("What is the capital of Japan?"));
console.log(fork.turns.flatMap(({ user, answer }) => [user, answer]).join(" | "));

const saved = JSON.stringify(fork);
console.log(`${createChat(ensemble, parseChat(saved)).turns.length} turns were read back`);
