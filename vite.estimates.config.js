// What estimates the memory of models: GgufInsights of node-llama-cpp, taken out of that package into dist/models/estimates.js. The
// package as a whole brings half a gigabyte of libraries, llama.cpp's source and a second binding to it, of which this needs nothing.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The package exports no such file.
const gguf = path.join(path.dirname(fileURLToPath(import.meta.resolve("node-llama-cpp"))), "gguf");
const entry = "virtual:estimates";

/** Files that other uses of the class need: what opens the other binding, and what finds settings for it. */
const UNUSED = {
    "getLlamaWithoutBackend.js": "export const getLlamaWithoutBackend = undefined;",
    "GgufInsightsConfigurationResolver.js": "export const GgufInsightsConfigurationResolver = { _create() {} };",
};

export default defineConfig({
    publicDir: false,
    plugins: [
        {
            name: "estimates",
            enforce: "pre",
            resolveId: (id) => (id === entry ? entry : undefined),
            load: (id) =>
                id === entry
                    ? `export { GgufInsights } from ${JSON.stringify(path.join(gguf, "insights", "GgufInsights.js"))};`
                    : UNUSED[path.basename(id)],
        },
    ],
    ssr: { noExternal: true },
    build: {
        ssr: true,
        outDir: "dist/models",
        emptyOutDir: false,
        minify: false,
        target: "node20",
        license: { fileName: "estimates.licenses.md" },
        rolldownOptions: {
            input: { estimates: entry },
            treeshake: { moduleSideEffects: false },
            output: { entryFileNames: "[name].js" },
        },
    },
});
