import eslint from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import globals from "globals";
import tseslint from "typescript-eslint";

const underscore = { argsIgnorePattern: "^_", varsIgnorePattern: "^_" };

export default defineConfig(
    globalIgnores(["build/", "coverage/", "dist/", "docs/api/"]),
    eslint.configs.recommended,
    {
        languageOptions: { globals: globals.node },
        rules: { "no-unused-vars": ["error", underscore] },
    },
    {
        files: ["**/*.ts", "**/*.tsx"],
        extends: [tseslint.configs.recommendedTypeChecked],
        languageOptions: { parserOptions: { projectService: true } },
        rules: {
            "@typescript-eslint/consistent-type-imports": "error",
            "@typescript-eslint/no-import-type-side-effects": "error",
            "@typescript-eslint/no-unnecessary-condition": [
                "error",
                { allowConstantLoopConditions: "only-allowed-literals" },
            ],
            "@typescript-eslint/no-unused-vars": ["error", underscore],
            "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
            "@typescript-eslint/switch-exhaustiveness-check": "error",
        },
    },
);
