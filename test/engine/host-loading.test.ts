/** Recipes that come to a host and go while others are loaded there. */

import { copyFileSync } from "node:fs";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { collect, complete, createHost, type Ensemble, type Recipe } from "../../src/index.js";
import {
    amplifiedRecipe,
    demoFile,
    demoRecipe,
    mappedModels,
    QUESTIONS,
    soloRecipe,
    upscalingRecipe,
    type DemoModel,
} from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

const CPU = { backend: "cpu", threads: 1 } as const;

const amplified = amplifiedRecipe();

async function answer(ensemble: Ensemble): Promise<string> {
    const request = { prompt: QUESTIONS[0], maxTokens: 8, sampling: { temperature: 0 } };
    return (await collect(complete(ensemble, request))).text;
}

async function answerAlone(recipe: Recipe): Promise<string> {
    await using host = createHost(CPU);
    return await answer(await host.load(recipe));
}

test("a recipe that goes does not wait for those that come", async () => {
    await using host = createHost(CPU);
    const goes = await host.load(amplified);
    const ended: string[] = [];
    const loads = (["large-base", "large-chat", "small-safe", "small-base"] as const).map((name) =>
        host.load(soloRecipe(demoFile(name))).finally(() => ended.push(name)),
    );
    const disposal = goes.dispose().finally(() => ended.push("disposed"));
    await Promise.all([disposal, ...loads]);
    expect(ended.indexOf("disposed")).toBeLessThan(loads.length);
    expect(ended.filter((name) => name !== "disposed")).toEqual([
        "large-base",
        "large-chat",
        "small-safe",
        "small-base",
    ]);
});

test("an adapter that was deleted meanwhile keeps no other recipe from loading", async () => {
    const { folder, remove } = temporaryFolder();
    const adapter = path.join(folder, "adapter.gguf");
    copyFileSync(demoFile("small-chat").replace("-f16", "-lora"), adapter);
    await using host = createHost(CPU);
    const tuned = await host.load(
        demoRecipe(`
members: { tuned: { model: small-base-f16.gguf, lora: ${JSON.stringify(adapter)} } }
combination: tuned
prompt: { template: plain }`),
    );
    remove();
    expect(await answer(await host.load(upscalingRecipe()))).toBe(await answerAlone(upscalingRecipe()));
    await tuned.dispose();
});

test("what goes takes nothing with it that a recipe needs which comes meanwhile", async () => {
    const recipes = [upscalingRecipe(), soloRecipe(demoFile("small-chat")), { ...upscalingRecipe(), contextSize: 512 }];
    const expected: string[] = [];
    for (const recipe of recipes) expected.push(await answerAlone(recipe));
    const before = mappedModels();
    for (const moment of [0, 0.2, 0.4, 0.6, 0.8, 0.85, 0.9, 0.95, 0.999]) {
        await using host = createHost(CPU);
        // Contexts that the last of the recipes cannot use, but for their weights.
        const goes = await host.load(amplified, { contextSize: 64 });
        let disposal: Promise<void> | undefined;
        const onProgress = (fraction: number): void => {
            if (fraction >= moment) disposal ??= goes.dispose();
        };
        const loads = recipes.map((recipe) => host.load(recipe, { onProgress }));
        const ensembles = await Promise.all(loads);
        for (const [index, ensemble] of ensembles.entries()) {
            expect(await answer(ensemble)).toBe(expected[index]);
            await ensemble.dispose();
        }
        await disposal;
        expect(goes.disposed).toBe(true);
        expect(mappedModels()).toEqual(before);
    }
});

test("a recipe that waits behind others leaves the line when it is aborted", async () => {
    await using host = createHost(CPU);
    const settled: string[] = [];
    const controller = new AbortController();
    const load = (name: DemoModel, signal?: AbortSignal): Promise<unknown> =>
        host.load(soloRecipe(demoFile(name)), { ...(signal && { signal }) }).finally(() => settled.push(name));
    const loads = [load("large-base"), load("small-safe", controller.signal), load("small-chat")];
    await turn();
    const reason = new Error("not wanted");
    controller.abort(reason);
    await expect(loads[1]).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    expect(settled).toEqual(["small-safe"]);
    await expect(load("small-safe", AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
    expect(settled).toEqual(["small-safe", "small-safe"]);
    await Promise.all([loads[0], loads[2]]);
    expect(mappedModels().map((file) => file.replace(/^.*\//, ""))).not.toContain("small-safe-f16.gguf");
});

test("a recipe that fails or is aborted as it is loaded leaves nothing, whoever goes meanwhile", async () => {
    const before = mappedModels();
    for (const moment of [0, 0.3, 0.6, 0.9, 0.999]) {
        await using host = createHost(CPU);
        const goes = await host.load(soloRecipe(demoFile("small-chat")));
        const controller = new AbortController();
        let disposal: Promise<void> | undefined;
        const onProgress = (fraction: number): void => {
            if (fraction < moment) return;
            disposal ??= goes.dispose();
            controller.abort();
        };
        const aborted = host.load(upscalingRecipe(), { signal: controller.signal, onProgress });
        const failing = host.load(soloRecipe("/no/such.gguf"));
        await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
        await expect(failing).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
        await disposal;
        expect(mappedModels()).toEqual(before);
    }
});

test("a recipe whose files are there in contexts that are too small is planned like any other", async () => {
    await using host = createHost({ ...CPU, sequences: 1 });
    const names = Array.from({ length: 32 }, (_, index) => `m${index}`);
    const many = demoRecipe(`
members: { ${names.map((name) => `${name}: { model: large-base-f16.gguf }`).join(", ")} }
combination: ${names.join(" + ")}`);
    const small = await host.load(many, { contextSize: 64 });
    // Some hundred gigabytes.
    await expect(host.load(many, { contextSize: 1 << 22 })).rejects.toMatchObject({
        code: "MEMORY_EXCEEDED",
        message: expect.stringContaining("contexts of 4194304 tokens"),
    });
    const solo = soloRecipe(demoFile("large-base"));
    const [larger, shared] = [await host.load(solo, { contextSize: 65 }), await host.load(solo, { contextSize: 60 })];
    const [first, second, third] = [small, larger, shared].map(({ target }) => target.contexts[0]);
    expect([larger.contextSize, second === first]).toEqual([65, false]);
    expect([shared.contextSize, third === first]).toEqual([60, true]);
});
