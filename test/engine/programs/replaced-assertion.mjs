// Opens a library that puts its own callback for failed assertions in the place of ours, after a first load, and then loads a
// model on which llama.cpp fails one. Arguments: the library, a sound model, the other one. Prints the code of the error.
import { loadEnsemble, parseRecipe } from "../../../dist/index.js";

const [library, sound, damaged] = process.argv.slice(2);

async function load(model) {
    const members = { m: { model } };
    const recipe = parseRecipe(
        JSON.stringify({ eft: 1, name: "one", members, combination: "m", prompt: { template: "plain" } }),
    );
    const ensemble = await loadEnsemble(recipe, { backend: "cpu", threads: 1, trust: true });
    await ensemble.dispose();
}

await load(sound);
try {
    // It is no addon, but it has been opened by then.
    process.dlopen({ exports: {} }, library);
} catch (error) {
    if (!/register/.test(String(error))) throw error;
}
await load(damaged).catch(({ code, message }) => console.log(code, message.includes("GGML_ASSERT")));
await load(sound);
console.log("loaded");
