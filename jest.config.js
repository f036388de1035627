import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

// Whoever runs the tests may have a configuration file of their own.
process.env.XDG_CONFIG_HOME = fileURLToPath(new URL("build/no-config", import.meta.url));
delete process.env.EFT_LLAMA_CONFIG;
// Conversations that tests hold are none of theirs to go on with.
process.env.XDG_STATE_HOME = fileURLToPath(new URL("build/state", import.meta.url));
// Which models have been tried may be known from run to run. What speculation has learnt may not, and not from test to test either:
// where a file is in the place of its folder, nothing is kept.
process.env.XDG_CACHE_HOME = fileURLToPath(new URL("build/cache", import.meta.url));
const learnt = path.join(process.env.XDG_CACHE_HOME, "eft-llama", "costs");
rmSync(learnt, { recursive: true, force: true });
mkdirSync(path.dirname(learnt), { recursive: true });
writeFileSync(learnt, "");

/** @type {import("jest").Config} */
export default {
    roots: ["<rootDir>/src", "<rootDir>/test"],
    testMatch: ["**/*.test.ts"],
    extensionsToTreatAsEsm: [".ts"],
    moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": "$1" },
    transform: {
        "\\.ts$": [
            "@swc/jest",
            {
                jsc: { target: "es2022", parser: { syntax: "typescript" } },
                module: { type: "es6" },
                sourceMaps: "inline",
            },
        ],
    },
    // llama.cpp's threads spin at their barriers: two test files that decode at once take the cores from each other. Where there
    // are two cores, one thread decodes, and nothing spins.
    maxWorkers: availableParallelism() > 2 ? 1 : 2,
    testTimeout: 120_000,
};
