/** Promise 2: each member's log-probabilities are those of node-llama-cpp for the same file and tokens. */

import { describe, expect, test } from "@jest/globals";
import { collect, complete } from "../../src/index.js";
import { demoFile, QUESTIONS, soloRecipe, withEnsemble, type DemoModel, type Quantization } from "../helpers/demo.js";
import { largestError, openOracle } from "../helpers/oracle.js";
import { LOGPROB } from "../helpers/tolerances.js";

const MODELS: readonly DemoModel[] = ["large-base", "large-chat", "small-base", "small-chat", "small-safe"];

const PROMPTS = [
    "The capital of Peru is",
    "The",
    `[INST] ${QUESTIONS[0]} [/INST]`,
    "Ελλάδα 🇬🇷, naïve — 日本",
    // Nearly a full context.
    "Lima is the capital of Peru. ".repeat(30),
];

describe.each(MODELS)("%s", (model) => {
    test.each<Quantization>(["f16", "q8_0"])("%s", async (quantization) => {
        const file = demoFile(model, quantization);
        const oracle = await openOracle(file);
        try {
            for (const prompt of PROMPTS) {
                await withEnsemble(soloRecipe(file), { sequences: 1 }, async (ensemble) => {
                    const { parts } = await collect(
                        complete(ensemble, { prompt, raw: true, scores: true, maxTokens: 8, seed: 7 }),
                    );
                    const before = oracle.tokenize(prompt);
                    const tokens = [...before, ...parts.map(({ id }) => id)];
                    // As the engine does it: the prompt in one batch, then token by token.
                    const rows = await oracle.rows(tokens.slice(0, -1), [before.length], before.length - 1);
                    expect(parts.length).toBeGreaterThan(0);
                    expect(
                        largestError(
                            parts.map(({ scores }) => scores),
                            rows,
                        ),
                    ).toBeLessThan(LOGPROB);
                });
            }
        } finally {
            await oracle.dispose();
        }
    });
});
