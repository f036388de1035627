/** Where a prompt ends is where other texts with the same beginning go on, also if a state stands for it that cannot be cut. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createChat,
    createHost,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
} from "../../src/index.js";
import { demoFile, demoRecipe, withEnsemble } from "../helpers/demo.js";
import { readGguf, toFloat32, writeGguf } from "../helpers/gguf.js";
import { randomModel } from "../helpers/random-models.js";
import { expectSameRows } from "../helpers/same-rows.js";
import { temporaryFolder } from "../helpers/temporary.js";

/** One of each kind: no attention at all, state spaces, convolutions, the delta rule. */
const KINDS = ["mamba2-dense", "granitehybrid-dense", "lfm2-dense", "qwen35-dense"];
const EOS = 2;
/** Tokens of a prompt that are evaluated again. */
const BEHIND = 16;

const { folder, remove } = temporaryFolder();
const fileOf = (shape: string): string => path.join(folder, `${shape}.gguf`);
beforeAll(() => {
    for (const shape of KINDS) writeGguf(fileOf(shape), randomModel(shape));
    writeGguf(fileOf("other"), randomModel("lfm2-dense", 2));
    writeGguf(fileOf("small-chat"), toFloat32(readGguf(demoFile("small-chat"))));
});
afterAll(remove);

/** Shows earlier answers without what was thought, as many templates do. */
const TEMPLATE =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} Lima." +
    "{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %} <a>{% endif %}";
const QUESTION = "Who lives in Lima, and what is it the capital of? ".repeat(4);
const ASKED = [{ role: "user", content: QUESTION }] as const;

const recipeOf = (shape: string) =>
    demoRecipe(`
members:
    large: { model: ${JSON.stringify(fileOf(shape))} }
    other: { model: ${JSON.stringify(fileOf("other"))}, prompt: { template: "{{ bos_token }}Answer. {{ messages[0].content }} {{ messages[-1].content }}" } }
    chat: { model: ${JSON.stringify(fileOf("small-chat"))} }
combination: 0.6 * large + chat - 0.2 * other
prompt: { template: ${JSON.stringify(TEMPLATE)} }`);

const DRAWS = { scores: true, maxTokens: 8, seed: 3, speculation: false, logitBias: { [EOS]: -Infinity } } as const;
const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(complete(ensemble, { ...DRAWS, ...options }));

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

describe.each(KINDS)("%s", (shape) => {
    const drafted = { speculation: { drafter: "chat", length: 3 } } as const;

    test.each([
        ["plainly", {}, 3, 512],
        ["with drafts", drafted, 3, 512],
        ["in one slot", drafted, 1, 512],
        ["in pieces", {}, 2, 48],
    ] as const)("turns of a conversation evaluate what is new, %s", async (_, options, sequences, batchSize) => {
        await withEnsemble(recipeOf(shape), { sequences, batchSize }, async (ensemble) => {
            const first = { prompt: ASKED };
            const next = {
                prompt: [
                    ...ASKED,
                    { role: "assistant", content: "Lima." },
                    { role: "user", content: "Why? ".repeat(20) },
                ],
            } as const;
            const asked = await run(ensemble, { ...first, ...options });
            await expectAsAlone(shape, asked, first);
            expect(asked.promptTokens.large).toBeGreaterThan(3 * BEHIND);
            for (const each of [{ ...first, seed: 4 }, first, next]) {
                const result = await run(ensemble, { ...each, ...options });
                expect(result.reusedTokens.large).toBe((asked.promptTokens.large ?? 0) - BEHIND);
                await expectAsAlone(shape, result, each);
            }
        });
    });

    test("choices that arrive together evaluate their prompt once", async () => {
        await withEnsemble(recipeOf(shape), { sequences: 3 }, async (ensemble) => {
            const asked = [1, 2, 3].map((seed) => ({ prompt: ASKED, seed }));
            const results = await Promise.all(asked.map((each) => run(ensemble, each)));
            const saved = (results[0]?.promptTokens.large ?? 0) - BEHIND;
            expect(results.map(({ reusedTokens }) => reusedTokens.large)).toEqual([0, saved, saved]);
            for (const [index, result] of results.entries())
                await expectAsAlone(shape, result, asked[index] ?? { prompt: ASKED });
        });
    });

    test("a conversation goes on, is asked again and is edited", async () => {
        await withEnsemble(recipeOf(shape), { sequences: 2 }, async (ensemble) => {
            const chat = createChat(ensemble, { ...DRAWS, speculation: drafted.speculation });
            const first = await collect(chat.send(QUESTION));
            const behind = (first.promptTokens.large ?? 0) - BEHIND;
            const answers = [await collect(chat.regenerate({ seed: 4 })), await collect(chat.send("Why? ".repeat(20)))];
            for (const { reusedTokens } of answers) expect(reusedTokens.large).toBe(behind);
            await expectAsAlone(shape, answers[0] as CompletionResult, { prompt: ASKED, seed: 4 });
            const again = await collect(chat.regenerate());
            expect(again.reusedTokens.large).toBe((again.promptTokens.large ?? 0) - BEHIND);
        });
    });

    test("revoked, left and aborted, texts are those that begin anew", async () => {
        await using host = createHost({ backend: "cpu", threads: 1, sequences: 4, cacheTokens: 200 });
        const ensemble = await host.load(recipeOf(shape), { contextSize: 200 });
        const asked = [3, 4, 5].map((seed) => ({ prompt: ASKED, seed, maxTokens: 45 }));
        for (let round = 0; round < 2; round++) {
            const leaving = new AbortController();
            const left = run(ensemble, { prompt: ASKED, ...drafted, signal: leaving.signal });
            const results = asked.map((each) => run(ensemble, { ...each, ...(round > 0 && drafted) }));
            setTimeout(() => leaving.abort(), 15 * round);
            for (const [index, result] of (await Promise.all(results)).entries())
                await expectAsAlone(shape, result, asked[index] ?? { prompt: ASKED });
            await left;
            for await (const _ of complete(ensemble, { ...DRAWS, prompt: ASKED, readAhead: 4 })) break;
        }
        expect(host.counts.revocations).toBeGreaterThan(0);
    });
});
