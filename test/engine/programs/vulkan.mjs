// Runs in a process of its own: the Vulkan backend reads its environment when its library is loaded.
// Prints one JSON object: the devices, and the text of each way to place the layers.

import { collect, complete, createHost, EftError, loadEnsemble, loadRecipe } from "../../../dist/index.js";

const recipe = await loadRecipe("demo");
const prompt = process.argv[2];

async function answer({ speculates, ...options }) {
    const ensemble = await loadEnsemble(recipe, { threads: 1, sequences: 1, ...options });
    const { text, parts } = await collect(complete(ensemble, { prompt }));
    const result = speculates && (await collect(complete(ensemble, { prompt, speculation: { length: 4 } })));
    const { backend } = ensemble;
    await ensemble.dispose();
    return {
        ...{ backend: backend.backend, devices: backend.devices.map(({ description }) => description), text, parts },
        ...(result && { speculative: { text: result.text, accepted: result.speculation.accepted } }),
    };
}

/** A recipe in caches of its own, whose files are there with one layer on the device. */
async function answerBeside() {
    const host = createHost({ backend: "vulkan", threads: 1, sequences: 1 });
    await host.load(recipe, { gpuLayers: 1 });
    const ensemble = await host.load(recipe, { gpuLayers: 3, contextSize: 1024 });
    const { text } = await collect(complete(ensemble, { prompt }));
    const layers = ensemble.members.map(({ gpuLayers }) => gpuLayers);
    await host.dispose();
    return { text, layers };
}

try {
    const runs = [{ backend: "vulkan", speculates: true }, { backend: "vulkan", gpuLayers: 1 }, { backend: "cpu" }];
    const answers = [];
    for (const options of runs) answers.push(await answer(options));
    console.log(JSON.stringify({ answers, beside: await answerBeside() }));
} catch (error) {
    if (!EftError.isInstance(error) || error.code !== "BACKEND_UNAVAILABLE") throw error;
    console.log(JSON.stringify({ unavailable: error.message }));
}
