/** Messages of the library, as the program says them. */

import { expect, it } from "@jest/globals";
import { nameFlags } from "../../src/cli/usage.js";
import { EftError } from "../../src/index.js";

it.each([
    ["topK must be a whole number.", "--top-k must be a whole number."],
    ["seed must be a whole number.", "--seed must be a whole number."],
    ...["contextSize", "gpuLayers", "cacheType", "cacheTokens"].map((option) => {
        const flag = `--${option.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`;
        return [`${option} must be another one.`, `${flag} must be another one.`] as const;
    }),
    [
        "The text has 9 tokens; set contextSize, or lower maxTokens.",
        "The text has 9 tokens; set --context-size, or lower --max-tokens.",
    ],
    ["templateVariables cannot be set.", "--template-variable cannot be set."],
    ["aB.gguf is named twice.", "aB.gguf is named twice."],
    ["topK.gguf, ./topK, topK/a and my-topK are files.", "topK.gguf, ./topK, topK/a and my-topK are files."],
    [
        'The member "topK" has no tinyLlama, "a \\" topP" and "minP".',
        'The member "topK" has no tinyLlama, "a \\" topP" and "minP".',
    ],
])("%j", (message, expected) => {
    expect(nameFlags(new EftError("OPTION_INVALID", message))).toBe(expected);
});
