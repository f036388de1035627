/** Long texts: the event loop goes on while they are tokenized, and equal tokenizers read them once. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { EOS, VOCABULARY } from "../helpers/vocabulary.js";
import { collect, complete, createChat, score, type Ensemble } from "../../src/index.js";
import { withVocabularies } from "../../src/models/gguf.js";
import { toMessages } from "../../src/prompts/messages.js";
import { createPromptRenderers, renderPrompts } from "../../src/prompts/prompt.js";
import { tokenizeContinuation, tokenizePlain } from "../../src/prompts/tokens.js";
import type { NativeModel } from "../../src/native/binding.js";
import { writeVariant } from "../helpers/control-vocabulary.js";
import { demoFile, demoRecipe, loadOnCpu, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { mapEntry, readGguf, type MetadataValue } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

const SENTENCE = "The capital of Peru is Lima, and that of Kenya is Nairobi. ";
const MEGABYTE = SENTENCE.repeat(17_000);
const LONG = SENTENCE.repeat(5000);
const SOLO = `
members: { solo: { model: small-chat-q8_0.gguf } }
combination: solo
prompt: { template: from solo }`;
/** The event loop turns hundreds of thousands of times meanwhile, and not once where the text is tokenized on its thread. */
const MANY_TURNS = 100;

/** How often the event loop turns until something is there. */
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

type Reading = "tokenize" | "tokenizeAll";

/** Texts that are read by a model from now on, in the order of the calls; they are read as ever. */
function watch(model: NativeModel): readonly { readonly by: Reading; readonly texts: readonly string[] }[] {
    const calls: { by: Reading; texts: readonly string[] }[] = [];
    const all: NativeModel["tokenizeAll"] = model.tokenizeAll.bind(model);
    const one: NativeModel["tokenize"] = model.tokenize.bind(model);
    Object.defineProperties(model, {
        tokenizeAll: {
            value: (...values: Parameters<typeof all>) => {
                calls.push({ by: "tokenizeAll", texts: values[0] });
                return all(...values);
            },
        },
        tokenize: {
            value: (...values: Parameters<typeof one>) => {
                // What the file makes of nothing is asked once, to know what it puts in front of every text.
                if (values[0] !== "") calls.push({ by: "tokenize", texts: [values[0]] });
                return one(...values);
            },
        },
    });
    return calls;
}

describe("the event loop turns while a long text is tokenized", () => {
    const overflow = expect.objectContaining({ code: "CONTEXT_OVERFLOW" }) as unknown;
    /** Its tokens fit, as far as can be told without reading it: all of it is read. */
    const contextSize = 2 ** 16;
    const ways: Readonly<Record<string, (ensemble: Ensemble) => Promise<unknown>>> = {
        "complete()": (ensemble) => expect(collect(complete(ensemble, { prompt: MEGABYTE }))).rejects.toEqual(overflow),
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
            expect((await members[0]?.prompt.tokenize(toMessages(LONG)))?.length).toBeGreaterThan(2 ** 16),
        "tokens of a text": async (ensemble) => {
            expect(ensemble.detokenize(await ensemble.tokenize(LONG)) === LONG).toBe(true);
        },
        "tokens of a message": async (ensemble) =>
            expect(await ensemble.countTokens(toMessages(LONG))).toBeGreaterThan(2 ** 16),
        "a continuation": async ({ members }) =>
            expect((await tokenizeContinuation(modelOf(members), LONG)).length).toBeGreaterThan(2 ** 16),
    };
    const modelOf = (members: Ensemble["members"]): NativeModel => members[0]?.model as NativeModel;

    let ensemble: Ensemble;
    beforeAll(async () => void (ensemble = await load()));
    afterAll(() => ensemble.dispose());

    function load(): Promise<Ensemble> {
        return loadOnCpu(demoRecipe(SOLO), { sequences: 1, contextSize });
    }

    test.each(Object.entries(ways))("%s", async (_name, way) => {
        expect(await countTurns(() => way(ensemble))).toBeGreaterThan(MANY_TURNS);
    });

    test("and the tokens are the same", async () => {
        await withVocabularies([demoFile("small-chat")], async ([model]) => {
            const [tokens] = await tokenizePlain(model as NativeModel, LONG);
            expect(tokens.join() === model?.tokenize(LONG, true, false).join()).toBe(true);
        });
    });

    test("many short texts give it turns, too", async () => {
        await withVocabularies([demoFile("small-chat")], async ([model]) => {
            const texts = Array.from({ length: 2000 }, (_, index) => `Text ${index}.`);
            const oneByOne = async (): Promise<void> => {
                for (const text of texts) await tokenizePlain(model as NativeModel, text);
            };
            const together = (): Promise<unknown> =>
                Promise.all(texts.map((text) => tokenizePlain(model as NativeModel, text)));
            for (const read of [oneByOne, together]) expect(await countTurns(read)).toBeGreaterThan(7);
        });
    });

    test("an abort of score() does not wait for it", async () => {
        const abort = new AbortController();
        let isRead = false;
        const scored = score(ensemble, [{ continuation: LONG }], { signal: abort.signal });
        // Behind the text in the same line.
        const read = modelOf(ensemble.members)
            .tokenizeAll(["x"], false, false)
            .then(() => (isRead = true));
        abort.abort();
        await expect(scored).rejects.toMatchObject({ code: "ABORTED" });
        expect(isRead).toBe(false);
        await read;
    });

    test("an ensemble that is disposed meanwhile ends it", async () => {
        const other = await load();
        const part = complete(other, { prompt: LONG.slice(0, 100_000) }).next();
        const outcome = expect(part).rejects.toMatchObject({ code: "DISPOSED" });
        await other.dispose();
        await outcome;
    });
});

describe("equal tokenizers read a text once", () => {
    const demo = readGguf(demoFile("small-chat"));
    const spaced = demo.metadata.get("tokenizer.ggml.add_space_prefix");
    const bool = (value: boolean): MetadataValue => ({ type: "bool", value });
    const TEMPLATE = "{{ bos_token }}[INST] {{ messages[0].content }} [/INST]";
    /** Changes of a file, and whether its tokens are another one's. */
    const variants: readonly (readonly [string, Readonly<Record<string, MetadataValue | undefined>>, boolean])[] = [
        ["nothing", {}, true],
        ["its name", { "general.name": { type: "string", value: "another" } }, true],
        ["its template", { "tokenizer.chat_template": { type: "string", value: "{{ messages[0].content }}" } }, true],
        ["the end of a text", { "tokenizer.ggml.eos_token_id": { type: "uint32", value: 4 } }, true],
        ["a space in front", { "tokenizer.ggml.add_space_prefix": bool(spaced?.value !== true) }, false],
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
            const calls = models.map(watch);
            for (const text of ["Which one?", LONG.slice(0, 5000)]) {
                for (const raw of [false, true]) {
                    const [one, other] = await renderPrompts(members, toMessages(text), { raw, limit: 1e6 });
                    expect(one?.text).toBe(other?.text);
                    expect(one?.tokens === other?.tokens).toBe(isShared);
                }
            }
            expect(calls.map(({ length }) => length > 0)).toEqual([true, !isShared]);
            for (const { model, prompt } of members) {
                const rendered = prompt.render(toMessages("Which one?"));
                const tokens = await prompt.tokenize(toMessages("Which one?"));
                // The template writes BOS itself.
                expect([...tokens].slice(-5)).toEqual([...model.tokenize(rendered, false, true)].slice(-5));
            }
        });
    });

    test("members of an ensemble, in all that is done with it", async () => {
        await withEnsemble(upscalingRecipe(), { sequences: 1, contextSize: 4096 }, async (ensemble) => {
            const calls = ensemble.members.map(({ model }) => watch(model));
            const prompt = LONG.slice(0, 5000);
            await collect(complete(ensemble, { prompt, maxTokens: 1 }));
            await collect(createChat(ensemble).send(prompt, { maxTokens: 1 }));
            await score(ensemble, [{ context: prompt, continuation: "Lima." }], { chat: true });
            await score(ensemble, [{ context: prompt, continuation: "Lima." }]);
            const [first, ...others] = calls.map((each) => each.map(({ by }) => by));
            expect(first?.filter((by) => by === "tokenizeAll")).toHaveLength(4);
            expect(others).toEqual([[], []]);
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
