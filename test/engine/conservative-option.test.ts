/** The conservative filter of a recipe, at another mass for one completion. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { collect, complete, score, type Ensemble } from "../../src/index.js";
import { loadOnCpu, upscalingRecipe } from "../helpers/demo.js";

const conservative = (topP: number): string => `conservative: { topP: ${topP}, fallback: chat }`;

async function row(ensemble: Ensemble, conservativeTopP?: number): Promise<Float32Array> {
    const options = { prompt: "The", raw: true, maxTokens: 1, scores: true, conservativeTopP };
    const { parts } = await collect(complete(ensemble, options));
    return parts[0]?.scores ?? new Float32Array();
}

describe("conservativeTopP", () => {
    let half: Ensemble;
    let most: Ensemble;
    let none: Ensemble;
    beforeAll(async () => {
        half = await loadOnCpu(upscalingRecipe("f16", conservative(0.5)));
        most = await loadOnCpu(upscalingRecipe("f16", conservative(0.95)));
        none = await loadOnCpu(upscalingRecipe());
    });
    afterAll(async () => {
        for (const ensemble of [half, most, none]) await ensemble.dispose();
    });

    test("overlays the recipe's, for one completion", async () => {
        const expected = await row(most);
        expect(await row(half)).not.toEqual(expected);
        expect(await row(half, 0.95)).toEqual(expected);
        expect(await row(half)).not.toEqual(expected);
    });

    test("goes for scores, too", async () => {
        const items = [{ continuation: "The capital of Nepal is" }];
        const scored = async (ensemble: Ensemble, conservativeTopP?: number) =>
            (await score(ensemble, items, { conservativeTopP }))[0]?.logprobs;
        const expected = await scored(most);
        expect(await scored(half)).not.toEqual(expected);
        expect(await scored(half, 0.95)).toEqual(expected);
        await expect(scored(none, 0.5)).rejects.toThrow(/conservative/);
    });

    test("is refused where there is nothing to fall back to, and out of range", () => {
        const ask = (ensemble: Ensemble, conservativeTopP: number) => () =>
            complete(ensemble, { prompt: "x", conservativeTopP });
        expect(ask(none, 0.5)).toThrow(/nothing to fall back to|no conservative filter/);
        for (const wrong of [0, -1, 1.5, NaN]) expect(ask(half, wrong)).toThrow(/conservativeTopP must be/);
    });
});
