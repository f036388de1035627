/**
 * Models whose layers attend to a window, or that choose experts for each token. No text shows what has left a window, until it is
 * begun again before that; nor who shared a batch.
 */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createHost,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type Recipe,
} from "../../src/index.js";
import { demoFile, demoRecipe, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { readGguf, toFloat32, writeGguf } from "../helpers/gguf.js";
import { largestError, openOracle } from "../helpers/oracle.js";
import { randomModel } from "../helpers/random-models.js";
import { expectSameRows } from "../helpers/same-rows.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { LOGPROB } from "../helpers/tolerances.js";

/** Of Gemma 3 and gpt-oss, in all layers and in every other one. */
const WITH_WINDOW = ["gemma3-dense", "gpt-oss-moe"];
/** Tokens. */
const WINDOW = 32;
/** Of Qwen 3 and Mixtral. */
const WITH_EXPERTS = ["qwen3moe-moe", "llama-moe"];
const EOS = 2;
const VOCABULARY = 2048;

const { folder, remove } = temporaryFolder();
const fileOf = (name: string): string => path.join(folder, `${name}.gguf`);
beforeAll(() => {
    for (const shape of [...WITH_WINDOW, ...WITH_EXPERTS]) writeGguf(fileOf(shape), randomModel(shape));
    writeGguf(fileOf("small-chat"), toFloat32(readGguf(demoFile("small-chat"))));
});
afterAll(remove);

/** A text that comes nowhere in another of another seed. */
const longText = (seed: number, length: number): number[] =>
    Array.from({ length }, (_, at) => 300 + ((seed * 7919 + at * at * 31 + at * 17) % (VOCABULARY - 300)));

/** Ends around the edge of the window, far behind it, and before it. */
const PROMPTS = [
    longText(1, WINDOW - 2),
    longText(2, 4 * WINDOW),
    [...longText(1, 20), ...longText(3, 2 * WINDOW)],
    longText(4, 5),
];

const recipeOf = (shape: string): Recipe =>
    demoRecipe(`
members:
    large: { model: ${JSON.stringify(fileOf(shape))} }
    chat: { model: ${JSON.stringify(fileOf("small-chat"))} }
combination: large + 0.5 * chat
prompt: { template: plain }`);

const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(
        complete(ensemble, {
            ...{ raw: true, scores: true, maxTokens: 16, seed: 3, speculation: false },
            ...{ logitBias: { [EOS]: -Infinity }, ...options },
        }),
    );

const ranAlone = new Map<string, CompletionResult>();

/** As if it were from the beginning, with nobody else there. */
async function expectAsAlone(shape: string, actual: CompletionResult, options: CompletionOptions): Promise<void> {
    const key = JSON.stringify([shape, options]);
    const alone =
        ranAlone.get(key) ??
        (await withEnsemble(recipeOf(shape), { sequences: 1 }, (ensemble) => run(ensemble, options)));
    ranAlone.set(key, alone);
    expectSameRows(actual, alone);
}

describe.each([...WITH_WINDOW, ...WITH_EXPERTS])("%s", (shape) => {
    test("its log-probabilities are node-llama-cpp's, several windows long too", async () => {
        const oracle = await openOracle(fileOf(shape));
        try {
            const prompt = longText(1, 4 * WINDOW);
            await withEnsemble(soloRecipe(fileOf(shape)), { sequences: 1 }, async (ensemble) => {
                const { parts } = await run(ensemble, { prompt, maxTokens: 12 });
                const tokens = [...prompt, ...parts.map(({ id }) => id)].slice(0, -1);
                const rows = await oracle.rows(tokens, [prompt.length], prompt.length - 1);
                const own = parts.map(({ scores }) => scores);
                expect(largestError(own, rows)).toBeLessThan(LOGPROB);
            });
        } finally {
            await oracle.dispose();
        }
    });

    test("drafted, side by side and one after another", async () => {
        let [drafted, accepted] = [0, 0];
        for (const [drafter, length] of [
            ["chat", 3],
            ["large", 2],
            ["large + 0.5 * chat", 16],
        ] as const) {
            await withEnsemble(recipeOf(shape), { sequences: 4 }, async (ensemble) => {
                const results = await Promise.all(
                    PROMPTS.map((prompt) => run(ensemble, { prompt, speculation: { drafter, length } })),
                );
                for (const [index, result] of results.entries()) {
                    await expectAsAlone(shape, result, { prompt: PROMPTS[index] ?? [] });
                    drafted += result.speculation?.drafted ?? 0;
                    accepted += result.speculation?.accepted ?? 0;
                }
            });
        }
        expect(accepted).toBeGreaterThan(0);
        expect(drafted).toBeGreaterThan(accepted);
    });
});

describe.each(WITH_WINDOW)("%s", (shape) => {
    test.each([1, 3])(
        "begun again anywhere, in whatever cells others have left, with %d sequences",
        async (sequences) => {
            const [short, first, second] = [longText(5, 10), longText(1, 4 * WINDOW), longText(2, 4 * WINDOW)];
            const texts = [short, first, [...short.slice(0, 4), ...second], first.slice(0, WINDOW), second];
            const cut = (text: number[], length: number) => [...text.slice(0, length), 400, 401, 402];
            const rounds = [...texts, ...texts.map((text) => cut(text, 20))];
            const behindEach = [first, second].flatMap((text) => [text, cut(text, 2 * WINDOW + 3), text, cut(text, 5)]);
            await withEnsemble(recipeOf(shape), { sequences }, async (ensemble) => {
                let reused = 0;
                for (const prompt of [...rounds, ...behindEach]) {
                    const actual = await run(ensemble, { prompt, maxTokens: 12 });
                    reused += actual.reusedTokens.large ?? 0;
                    await expectAsAlone(shape, actual, { prompt, maxTokens: 12 });
                }
                expect(reused).toBeGreaterThan(WINDOW);
            });
        },
    );

    test("revoked, aborted and begun again", async () => {
        await using host = createHost({ backend: "cpu", threads: 1, sequences: 4, cacheTokens: 200 });
        const ensemble = await host.load(recipeOf(shape), { contextSize: 200 });
        const speculation = { drafter: "chat", length: 3 } as const;
        const prompts = [longText(1, WINDOW), longText(2, 45), longText(3, WINDOW - 3), longText(4, 5)];
        for (let round = 0; round < 2; round++) {
            const leaving = new AbortController();
            const left = run(ensemble, { prompt: longText(6, 40), speculation, signal: leaving.signal });
            const results = prompts.map((prompt) => run(ensemble, { prompt, maxTokens: 45, speculation }));
            setTimeout(() => leaving.abort(), 15 * round);
            for (const [index, result] of (await Promise.all(results)).entries())
                await expectAsAlone(shape, result, { prompt: prompts[index] ?? [], maxTokens: 45 });
            await left;
        }
        expect(host.counts.revocations).toBeGreaterThan(0);
    });
});
