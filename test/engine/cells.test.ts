/** What the cells of shared caches are promised to is what llama.cpp holds there, whoever comes and goes. */

import { expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createHost,
    type CompletionOptions,
    type Ensemble,
    type Host,
    type HostOptions,
} from "../../src/index.js";
import { soloRecipe } from "../helpers/demo.js";

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
