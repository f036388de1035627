import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

// Whoever runs the tests may have a configuration file of their own.
process.env.XDG_CONFIG_HOME = fileURLToPath(new URL("build/no-config", import.meta.url));
delete process.env.EFT_LLAMA_CONFIG;
// Conversations that tests hold are none of theirs to go on with.
process.env.XDG_STATE_HOME = fileURLToPath(new URL("build/state", import.meta.url));

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
