/** Estimates of memory, made from headers alone. */

import { describe, expect, it } from "@jest/globals";
import { estimateMemory, readVocabularies } from "../../src/index.js";
import { demoFile, soloRecipe, upscalingRecipe, withEnsemble } from "../helpers/demo.js";

const both = ({ ram, gpu }: { ram: number; gpu: number }): number => ram + gpu;

describe("estimateMemory", () => {
    it("has the defaults of loadEnsemble", async () => {
        const recipe = upscalingRecipe();
        const { contextSize, sequences } = await estimateMemory(recipe);
        await withEnsemble(recipe, {}, (ensemble) => {
            expect({ contextSize, sequences }).toEqual({
                contextSize: ensemble.contextSize,
                sequences: ensemble.sequences,
            });
            return Promise.resolve();
        });
    });

    it("obeys the recipe's context size, and the caller's before it", async () => {
        const recipe = { ...soloRecipe(demoFile("small-base")), contextSize: 100 };
        expect((await estimateMemory(recipe)).contextSize).toBe(100);
        expect((await estimateMemory(recipe, { contextSize: 50 })).contextSize).toBe(50);
        await expect(estimateMemory(recipe, { contextSize: 1 })).rejects.toMatchObject({ code: "OPTION_INVALID" });
    });

    it("puts on the GPU what its layers need, and the rest in memory", async () => {
        const recipe = soloRecipe(demoFile("large-base"));
        const [cpu, all, some, none] = await Promise.all([
            estimateMemory(recipe),
            estimateMemory(recipe, { gpu: true }),
            estimateMemory(recipe, { gpu: true, gpuLayers: 2 }),
            estimateMemory(recipe, { gpu: true, gpuLayers: 0 }),
        ]);
        expect(cpu.total.gpu).toBe(0);
        expect(none).toEqual(cpu);
        const gpu = [cpu, some, all].map(({ members }) => members[0]?.weights.gpu ?? NaN);
        expect(gpu).toEqual([...gpu].sort((a, b) => a - b));
        expect(gpu[1]).toBeGreaterThan(0);
        // The input embeddings stay in memory.
        expect(all.members[0]?.weights.ram).toBeGreaterThan(0);
        for (const { members } of [some, all]) {
            expect(both(members[0]?.weights ?? { ram: NaN, gpu: NaN })).toBe(cpu.members[0]?.weights.ram);
        }
        expect(all.total.gpu).toBeGreaterThan(all.total.ram);
    });

    it("names a file that is not there", async () => {
        await expect(estimateMemory(soloRecipe("/no/such.gguf"))).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    });
});

describe("readVocabularies", () => {
    it("reports what loading would, without the weights", async () => {
        const recipe = upscalingRecipe();
        const report = await readVocabularies(recipe);
        await withEnsemble(recipe, {}, (ensemble) => {
            expect(report).toEqual(ensemble.vocabulary);
            return Promise.resolve();
        });
    });

    it("leaves models that are loaded alone", async () => {
        const recipe = upscalingRecipe();
        await withEnsemble(recipe, {}, async (ensemble) => {
            await readVocabularies(recipe);
            expect(ensemble.members[0]?.model.info.layers).toBe(3);
            expect(ensemble.members[0]?.model.tokenize("Peru", false, false).length).toBeGreaterThan(0);
        });
    });
});
