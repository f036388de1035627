/** Models that keep a state instead of keys and values, in all layers or in some: what it costs to go back, no text shows. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { collect, complete, createHost, parseRecipe, type CompletionOptions, type Ensemble } from "../../src/index.js";
import { demoFile, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { writeGguf } from "../helpers/gguf.js";
import { largestError, openOracle } from "../helpers/oracle.js";
import { randomModel } from "../helpers/random-models.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { LOGPROB } from "../helpers/tolerances.js";

const SHAPES = [
    ...["mamba-dense", "mamba2-dense", "granitehybrid-dense", "lfm2-dense", "lfm2moe-moe", "qwen35-dense"],
    ...["qwen35moe-moe", "qwen3next-moe", "falcon-h1-dense", "nemotron_h-dense", "jamba-dense", "plamo2-dense"],
    ...["kimi-linear-moe"],
];

const { folder, remove } = temporaryFolder();
const fileOf = (shape: string): string => path.join(folder, `${shape}.gguf`);
beforeAll(() => {
    for (const shape of SHAPES) writeGguf(fileOf(shape), randomModel(shape));
});
afterAll(remove);

const PROMPTS = ["The capital of Peru is", "Lima is the capital of Peru. ".repeat(10)];

describe.each(SHAPES)("%s", (shape) => {
    test("its log-probabilities are node-llama-cpp's", async () => {
        const file = fileOf(shape);
        const oracle = await openOracle(file);
        try {
            for (const prompt of PROMPTS) {
                await withEnsemble(soloRecipe(file), { sequences: 1 }, async (ensemble) => {
                    const { parts } = await collect(
                        complete(ensemble, { prompt, raw: true, scores: true, maxTokens: 8, seed: 7 }),
                    );
                    const before = oracle.tokenize(prompt);
                    const tokens = [...before, ...parts.map(({ id }) => id)];
                    const rows = await oracle.rows(tokens.slice(0, -1), [before.length], before.length - 1);
                    expect(parts.length).toBeGreaterThan(0);
                    const own = parts.map(({ scores }) => scores);
                    expect(largestError(own, rows)).toBeLessThan(LOGPROB);
                });
            }
        } finally {
            await oracle.dispose();
        }
    });
});
