// What the programs share: the demo's recipe, and a long generation.
import { adHocRecipe, complete, loadEnsemble } from "../../../dist/index.js";
import { fileURLToPath } from "node:url";

export const demoFile = (name) => fileURLToPath(new URL(`../../../models/demo/${name}.gguf`, import.meta.url));

export const recipe = adHocRecipe({
    base: demoFile("large-base-f16"),
    tuned: demoFile("small-chat-f16"),
    reference: demoFile("small-base-f16"),
});

export const load = (options) => loadEnsemble(recipe, { backend: "cpu", threads: 1, ...options });

/** Generates as much as the context holds, which takes some hundred steps. */
export const generateLong = (ensemble) =>
    complete(ensemble, { prompt: "What is the capital of Peru?", logitBias: { 2: -Infinity } });

/** Resolves with the first token; the rest goes on by itself, and how it ends does not matter. */
export async function startGenerating(ensemble) {
    const completion = generateLong(ensemble);
    await completion.next();
    void (async () => {
        for await (const part of completion) void part;
    })().catch(() => undefined);
}
