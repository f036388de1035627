/** What ends an answer, and fine-tuned models with further control tokens, in the vocabularies of well-known families. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { collect, complete, score, type CompletionOptions, type Ensemble } from "../../src/index.js";
import { loadOnCpu } from "../helpers/demo.js";
import { FAMILIES, isFetched, REAL_FAMILIES, type RealFamilyName } from "../helpers/real-tokenizers.js";
import { writeRealFamily, type RealFamily } from "../helpers/real-vocabulary.js";

const OPTIONS = { contextSize: 1024, trust: true };
const PERU = "How many people live in Peru?";
const SAID = "Lima, of Peru";

/** The last token of a prompt, and those that end a text: the chat model's, and the base model's. */
const ENDS: Readonly<Record<RealFamilyName, readonly [prompt: string, chat: string, base: string]>> = {
    llama2: ["]", "</s>", "</s>"],
    llama3: ["\n\n", "<|eot_id|>", "<|end_of_text|>"],
    qwen3: ["\n", "<|im_end|>", "<|endoftext|>"],
    gemma3: ["\n", "<end_of_turn>", "<eos>"],
};

for (const name of REAL_FAMILIES) (isFetched(name) ? describe : describe.skip)(name, () => checkFamily(name));

function checkFamily(name: RealFamilyName): void {
    let family: RealFamily;
    let ensemble: Ensemble;
    beforeAll(async () => {
        family = await writeRealFamily(name);
        ensemble = await loadOnCpu(family.recipe(), OPTIONS);
    });
    afterAll(async () => {
        await ensemble.dispose();
        family.remove();
    });

    async function withSpeaker(chat: string, use: (speaker: Ensemble) => Promise<void>): Promise<void> {
        const speaker = await ensemble.host.load(family.recipe("sampling: { temperature: 0 }", chat), OPTIONS);
        try {
            await use(speaker);
        } finally {
            await speaker.dispose();
        }
    }

    /** What is said, ended, streamed, and drafted. @returns its ids */
    async function expectSays(speaker: Ensemble, text: string, end: number): Promise<number[]> {
        const request: CompletionOptions = { prompt: PERU, maxTokens: 30 };
        const said = await collect(complete(speaker, request));
        expect([said.reason, said.text.trim()]).toEqual(["stop", text]);
        expect(speaker.vocabulary.endOfGeneration[end]).toBe(1);
        expect(await new Response(complete(speaker, request).toReadableStream()).text()).toBe(said.text);
        const drafted = await collect(complete(speaker, { ...request, speculation: { length: 4 } }));
        const ids = said.parts.map(({ id }) => id);
        expect([drafted.reason, drafted.parts.map(({ id }) => id)]).toEqual(["stop", ids]);
        return ids;
    }

    test("an answer ends with the chat model's token, and with the base model's", async () => {
        const [prompt, ...ends] = ENDS[name];
        const { eos } = FAMILIES[name];
        for (const [index, end] of ends.entries())
            await withSpeaker(family.writeScripted(prompt, SAID + end), async (speaker) => {
                await expectSays(speaker, SAID, index === 0 ? eos.chat : eos.base);
            });
    });

    test("a fine-tuned model with control tokens that its base lacks", () =>
        withSpeaker(family.writeAdded(SAID), async (speaker) => {
            const [[start], [end]] = FAMILIES[name].added;
            expect([speaker.vocabulary.addedTokens[start], speaker.vocabulary.addedTokens[end]]).toEqual([1, 1]);
            const chat = speaker.members[1] as Ensemble["members"][number];
            expect(
                (await chat.prompt.tokenize([{ role: "user", content: PERU }])).filter((id) => id === start),
            ).toHaveLength(2);
            const continuation = (await expectSays(speaker, SAID, end)).filter((id) => id !== end);
            const [scored] = await score(speaker, [{ context: PERU, continuation }], { chat: true });
            expect([scored?.text, scored?.isGreedy]).toEqual([SAID, true]);
            for (const logprobs of [scored?.logprobs, ...Object.values(scored?.members ?? {})])
                expect(logprobs?.every((logprob) => Number.isFinite(logprob))).toBe(true);
        }));

    test("draws and scores of all members", async () => {
        for (const sampling of [{ temperature: 1 }, { temperature: 0.7, topP: 0.9, topK: 40 }]) {
            const request: CompletionOptions = { prompt: PERU, maxTokens: 24, seed: 7, sampling };
            const plain = await collect(complete(ensemble, { ...request, speculation: false }));
            const drafted = await collect(complete(ensemble, { ...request, speculation: { length: 4 } }));
            expect(drafted.parts.map(({ id }) => id)).toEqual(plain.parts.map(({ id }) => id));
        }
        const [scored] = await score(ensemble, [{ context: PERU, continuation: " 34 million 日本 🦙" }], {
            scores: true,
        });
        const total = (row: Float32Array): number => row.reduce((sum, logprob) => sum + Math.exp(logprob), 0);
        for (const row of scored?.scores ?? [])
            expect([row.length, total(row)]).toEqual([ensemble.vocabulary.size, expect.closeTo(1, 3)]);
    });
}
