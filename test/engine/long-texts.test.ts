/** Long texts: the event loop goes on while they are tokenized, and equal tokenizers read them once. */

import { afterAll, describe, expect, jest, test } from "@jest/globals";
import { EOS, VOCABULARY } from "../helpers/vocabulary.js";
import { collect, complete, createChat, score, type Ensemble } from "../../src/index.js";
import { withVocabularies } from "../../src/models/gguf.js";
import { toMessages } from "../../src/prompts/messages.js";
import { createPromptRenderers, renderPrompts } from "../../src/prompts/prompt.js";
import { tokenizeContinuation, tokenizePlain } from "../../src/prompts/tokens.js";
import type { NativeModel } from "../../src/native/binding.js";
import { writeVariant } from "../helpers/control-vocabulary.js";
import { demoFile, demoRecipe, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { mapEntry, readGguf, type MetadataValue } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

/** A megabyte of words. */
const LONG = "The capital of Peru is Lima, and that of Kenya is Nairobi. ".repeat(17_000);
/** The event loop turns hundreds of thousands of times meanwhile, and not once where the text is tokenized on its thread. */
const MANY_TURNS = 100;

/** How often the event loop turns until something is there, beyond what the same takes with a short text. */
async function countTurns(work: () => Promise<unknown>): Promise<number> {
    let [turns, done] = [0, false];
    const turn = (): void => {
        turns++;
        if (!done) setImmediate(turn);
    };
    setImmediate(turn);
    await work().finally(() => (done = true));
    return turns;
}

describe("the event loop turns while a long text is tokenized", () => {
    const overflow = expect.objectContaining({ code: "CONTEXT_OVERFLOW" }) as unknown;
    /** Its tokens fit, as far as can be told without reading it: all of it is read. */
    const contextSize = 2 ** 16;
    const ways: Readonly<Record<string, (ensemble: Ensemble) => Promise<unknown>>> = {
        "complete()": (ensemble) => expect(collect(complete(ensemble, { prompt: LONG }))).rejects.toEqual(overflow),
        "complete(), raw": (ensemble) =>
            expect(collect(complete(ensemble, { prompt: LONG, raw: true }))).rejects.toEqual(overflow),
        "a conversation": (ensemble) => expect(collect(createChat(ensemble).send(LONG))).rejects.toEqual(overflow),
        "render() of a conversation": (ensemble) => createChat(ensemble).render(LONG),
        "score(), its text": (ensemble) => expect(score(ensemble, [{ continuation: LONG }])).rejects.toEqual(overflow),
        "score(), its context": (ensemble) =>
            expect(score(ensemble, [{ context: LONG, continuation: "x" }], { chat: true })).rejects.toEqual(overflow),
        "score(), its answer": (ensemble) =>
            expect(score(ensemble, [{ context: "x", continuation: LONG }], { chat: true })).rejects.toEqual(overflow),
        "a renderer": async ({ members }) =>
            expect((await members[0]?.prompt.tokenize(toMessages(LONG)))?.length).toBeGreaterThan(2 ** 17),
        "a continuation": async ({ members }) =>
            expect((await tokenizeContinuation(modelOf(members), LONG)).length).toBeGreaterThan(2 ** 17),
    };
    const modelOf = (members: Ensemble["members"]): NativeModel => members[0]?.model as NativeModel;

    test.each(Object.entries(ways))("%s", async (_name, way) => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 1, contextSize }, async (ensemble) => {
            expect(await countTurns(() => way(ensemble))).toBeGreaterThan(MANY_TURNS);
        });
    });

    test("and the tokens are the same", async () => {
        await withVocabularies([demoFile("small-chat")], async ([model]) => {
            const [tokens] = await tokenizePlain(model as NativeModel, LONG);
            expect(tokens).toEqual(model?.tokenize(LONG, true, false));
        });
    });

    test("many short texts give it turns, too", async () => {
        await withVocabularies([demoFile("small-chat")], async ([model]) => {
            const read = async (): Promise<void> => {
                for (let text = 0; text < 2000; text++) await tokenizePlain(model as NativeModel, `Text ${text}.`);
            };
            expect(await countTurns(read)).toBeGreaterThan(2);
        });
    });

    test("an abort of score() does not wait for it", async () => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 1, contextSize }, async (ensemble) => {
            const abort = new AbortController();
            const long = jest.spyOn(ensemble.members[0]?.model as NativeModel, "tokenizeAll");
            const scored = score(ensemble, [{ continuation: LONG }], { signal: abort.signal });
            const outcome = expect(scored).rejects.toMatchObject({ code: "ABORTED" });
            let isRead = false;
            void long.mock.results[0]?.value.then(() => (isRead = true));
            abort.abort();
            await outcome;
            expect({ calls: long.mock.calls.length, isRead }).toEqual({ calls: 1, isRead: false });
        });
    });

    test("an ensemble that is disposed meanwhile ends it", async () => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 1, contextSize }, async (ensemble) => {
            const part = complete(ensemble, { prompt: LONG.slice(0, 100_000) }).next();
            const outcome = expect(part).rejects.toMatchObject({ code: "DISPOSED" });
            await ensemble.dispose();
            await outcome;
        });
    });
});

describe("equal tokenizers read a text once", () => {
    const demo = readGguf(demoFile("small-chat"));
    const bool = (value: boolean): MetadataValue => ({ type: "bool", value });
    const TEMPLATE = "{{ bos_token }}[INST] {{ messages[0].content }} [/INST]";
    /** Changes of a file, and whether its tokens are another one's. */
    const variants: readonly (readonly [string, Readonly<Record<string, MetadataValue | undefined>>, boolean])[] = [
        ["nothing", {}, true],
        ["its name", { "general.name": { type: "string", value: "another" } }, true],
        ["its template", { "tokenizer.chat_template": { type: "string", value: "{{ messages[0].content }}" } }, true],
        ["the end of a text", { "tokenizer.ggml.eos_token_id": { type: "uint32", value: 4 } }, true],
        ["a space in front", { "tokenizer.ggml.add_space_prefix": bool(false) }, false],
        ["no BOS", { "tokenizer.ggml.add_bos_token": bool(false) }, false],
        ["another BOS", { "tokenizer.ggml.bos_token_id": { type: "uint32", value: EOS } }, false],
        [
            "scores of tokens",
            {
                "tokenizer.ggml.scores": mapEntry(demo, "tokenizer.ggml.scores", (score, id) =>
                    id === VOCABULARY - 1 ? -1e6 : score,
                ),
            },
            false,
        ],
        [
            "the text of a token",
            { "tokenizer.ggml.tokens": mapEntry(demo, "tokenizer.ggml.tokens", (t, id) => (id === 1000 ? "qqq" : t)) },
            false,
        ],
    ];

    test.each(variants)("files that differ in %s", async (name, changes, isShared) => {
        const files = [demoFile("small-chat"), writeVariant(folder, name, changes)];
        await withVocabularies(files, async (models) => {
            const template = { kind: "from", member: "m0" } as const;
            const named = models.map((model, index) => ({ name: `m${index}`, model, template }));
            const renderers = createPromptRenderers(named);
            const members = renderers.map((prompt, index) => ({ model: models[index] as NativeModel, prompt }));
            const read = models.map((model) => [jest.spyOn(model, "tokenize"), jest.spyOn(model, "tokenizeAll")]);
            for (const text of ["Which one?", LONG.slice(0, 5000)]) {
                for (const raw of [false, true]) {
                    const [one, other] = await renderPrompts(members, toMessages(text), { raw, limit: 1e6 });
                    expect(one?.text).toBe(other?.text);
                    expect(one?.tokens === other?.tokens).toBe(isShared);
                }
            }
            // What the file itself makes of nothing is asked once, to know what it puts in front of every text.
            const counts = read.map((calls) =>
                calls.flatMap(({ mock }) => [...mock.calls]).filter(([text]) => text.length > 0),
            );
            expect(counts.map(({ length }) => length > 0)).toEqual([true, !isShared]);
            jest.restoreAllMocks();
            for (const { model, prompt } of members)
                expect([...(await prompt.tokenize(toMessages("Which one?")))]).toEqual([
                    ...(await alone(model, prompt.render(toMessages("Which one?")))),
                ]);
        });

        /** As llama.cpp cuts the whole text; the demo's template writes BOS itself. */
        function alone(model: NativeModel, rendered: string): Promise<Int32Array> {
            return Promise.resolve(model.tokenize(rendered, false, true));
        }
    });

    test("members of an ensemble, in all that is done with it", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 1, contextSize: 4096 }, async (ensemble) => {
            const read = ensemble.members.map(({ model }) => jest.spyOn(model, "tokenizeAll"));
            const prompt = LONG.slice(0, 5000);
            await collect(complete(ensemble, { prompt, maxTokens: 1 }));
            await collect(createChat(ensemble).send(prompt, { maxTokens: 1 }));
            await score(ensemble, [{ context: prompt, continuation: "Lima." }], { chat: true });
            await score(ensemble, [{ context: prompt, continuation: "Lima." }]);
            expect(read.map(({ mock }) => mock.calls.length)).toEqual([4, 0, 0]);
            jest.restoreAllMocks();
        });
    });

    test("each template by itself", async () => {
        const recipe = demoRecipe(`
members:
    a: { model: small-chat-f16.gguf, prompt: { template: ${JSON.stringify(TEMPLATE)} } }
    b: { model: small-base-f16.gguf, prompt: { template: plain } }
    c: { model: small-safe-f16.gguf, prompt: { template: ${JSON.stringify(TEMPLATE)} } }
combination: a + b + c`);
        await withEnsemble(recipe, { sequences: 1, contextSize: 4096 }, async ({ members }) => {
            const prompts = await renderPrompts(members, toMessages(LONG.slice(0, 5000)), { limit: 4096 });
            const [a, b, c] = prompts.map(({ tokens }) => tokens);
            expect(a).toBe(c);
            expect(a).not.toEqual(b);
        });
    });
});
