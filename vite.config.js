// The page that `eft-llama serve` serves. The library itself is compiled by tsc.
import { defineConfig } from "vite";

// Tests and others set it to something else, and their page would have the paths of its sources in it, for debugging.
process.env.NODE_ENV = "production";

export default defineConfig({
    root: "src/server/page",
    // Whoever runs the build may have a configuration of their own for other things.
    css: { postcss: {} },
    build: {
        outDir: "../../../dist/server/page",
        // Names stay the same from build to build, so that nothing has to be removed while a server starts from here.
        emptyOutDir: false,
        target: ["chrome123", "firefox121", "safari17.5"],
        modulePreload: false,
        // The page's security policy lets no images be part of the text.
        assetsInlineLimit: 0,
        license: { fileName: "licenses.md" },
        rolldownOptions: {
            output: { entryFileNames: "page.js", chunkFileNames: "[name].js", assetFileNames: "page[extname]" },
        },
    },
});
