/** What the cells of shared caches are promised to is what llama.cpp holds there, whoever comes and goes. */

import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createHost,
    soloView,
    type CompletionOptions,
    type Ensemble,
    type Host,
    type HostOptions,
} from "../../src/index.js";
import { mappedModels, soloRecipe } from "../helpers/demo.js";

const EOS = 2;
const endless = { raw: true, logitBias: { [EOS]: -Infinity }, sampling: { temperature: 0 } };

async function withHost(options: HostOptions, body: (host: Host) => Promise<void>): Promise<void> {
    await using host = createHost({ backend: "cpu", threads: 1, ...options });
    await body(host);
}

const run = async (ensemble: Ensemble, options: CompletionOptions): Promise<string> =>
    (await collect(complete(ensemble, { ...endless, ...options }))).text;

const SOLO = soloRecipe("small-chat-f16.gguf");
const SIZE = { contextSize: 440 };
/** So many tokens that no other of these texts begins with. */
const long = (word: string): string => word.repeat(400);

test("prompts that do not fit together are evaluated one after the other", async () => {
    const options = { sequences: 2, batchSize: 2048, cacheTokens: 440 };
    const prompts = ["x", "y"].map((word) => ({ prompt: long(word), maxTokens: 4 }));
    const alone: string[] = [];
    await withHost({ ...options, cacheTokens: 2048 }, async (host) => {
        const ensemble = await host.load(SOLO, SIZE);
        for (const prompt of prompts) alone.push(await run(ensemble, prompt));
    });
    await withHost(options, async (host) => {
        const ensemble = await host.load(SOLO, SIZE);
        expect(await Promise.all(prompts.map((prompt) => run(ensemble, prompt)))).toEqual(alone);
    });
});

test("what a job adds for a recipe that is disposed meanwhile is forgotten", async () => {
    await withHost({ sequences: 3, cacheTokens: 480 }, async (host) => {
        const [stays, goes] = [await host.load(SOLO, SIZE), await host.load(SOLO, SIZE)];
        const running = run(stays, { prompt: "Lima", maxTokens: 30 });
        const dropped = run(goes, { prompt: long("y"), maxTokens: 4 });
        // The step that evaluates both is under way, and goes on for the other.
        while (host.counts.steps === 0) await turn();
        expect(host.counts.entries).toBe(2);
        const disposal = goes.dispose();
        await expect(dropped).rejects.toMatchObject({ code: "DISPOSED" });
        await Promise.all([running, disposal]);
        expect(await run(stays, { prompt: long("z"), maxTokens: 4 })).not.toBe("");
    });
});

test("what a slot holds in the contexts of another recipe than its user's can go", async () => {
    await withHost({ sequences: 2, cacheTokens: 440 }, async (host) => {
        const chat = await host.load(SOLO, SIZE);
        const base = await host.load(soloRecipe("small-base-f16.gguf"), SIZE);
        // Fills the cache of one context, and leaves it in a slot that the other recipe gets.
        await run(base, { prompt: long("y"), maxTokens: 1 });
        await run(chat, { prompt: "Peru is a country.", maxTokens: 1 });
        const finished: string[] = [];
        const ask = (name: string, ensemble: Ensemble, options: CompletionOptions): Promise<unknown> =>
            run(ensemble, options).then(() => finished.push(name));
        await Promise.all([
            ask("chat", chat, { prompt: "Lima is", maxTokens: 200 }),
            ask("base", base, { prompt: long("z"), maxTokens: 1 }),
        ]);
        expect(finished).toEqual(["base", "chat"]);
    });
});

test("nobody is sent away while there are free slots", async () => {
    await withHost({ sequences: 2, waiting: 0 }, async (host) => {
        const ensemble = await host.load(SOLO, SIZE);
        const [first, second, third] = ["x", "y", "z"].map((prompt) => run(ensemble, { prompt, maxTokens: 4 }));
        await expect(third).rejects.toMatchObject({ code: "BUSY" });
        await Promise.all([first, second]);
    });
});

test("views of members end with their ensemble", async () => {
    const before = mappedModels();
    await withHost({ sequences: 2 }, async (host) => {
        const ensemble = await host.load(SOLO, SIZE);
        const view = soloView(ensemble, "solo");
        expect(soloView(ensemble, "solo")).toBe(view);
        expect(await run(view, { prompt: "x", maxTokens: 2 })).not.toBe("");
        await ensemble.dispose();
        expect([view.disposed, mappedModels()]).toEqual([true, before]);
        expect(() => soloView(ensemble, "solo")).toThrow(expect.objectContaining({ code: "DISPOSED" }));
    });
});
