/** Members that give other meanings to ids of control tokens: derivatives of Llama 3 and of Qwen, with their vocabularies. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createChat,
    score,
    soloView,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
} from "../../src/index.js";
import { controlsOf } from "../helpers/control-vocabulary.js";
import { loadOnCpu } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { readPublicTemplates } from "../helpers/public-templates.js";
import { isFetched } from "../helpers/real-tokenizers.js";
import { writeRealFamily, type RealFamily } from "../helpers/real-vocabulary.js";
import { F32_BATCHING } from "../helpers/tolerances.js";

const OPTIONS = { contextSize: 1024, trust: true };
const PERU = "How many people live in Peru?";
const FALLBACK = "conservative: { topP: 1, fallback: chat }";
const TEMPLATE = "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja";
const [BEGIN, END, USER, ASSISTANT] = [
    "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<\uff5cUser\uff5c>",
    "<\uff5cAssistant\uff5c>",
];

/** As DeepSeek-R1's distillates spell ids of the families that they were made from. */
const RESPELLED = {
    llama3: {
        own: new Map([
            ...([
                [128_000, BEGIN],
                [128_001, END],
                [128_011, USER],
                [128_012, ASSISTANT],
            ] as const),
            ...([
                [128_013, "<think>"],
                [128_014, "</think>"],
                [128_015, "<\uff5c\u2581pad\u2581\uff5c>"],
            ] as const),
        ]),
        ends: { bos: 128_000, eos: 128_001 },
        think: 128_013,
        thought: 128_014,
        /** Of the base models, whose ids they are. */
        theirs: ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_6|>"],
        /** What the large model reads for `<think>`. */
        readsThink: ["<th", "ink", ">"],
    },
    qwen3: {
        own: new Map([
            ...([
                [151_643, END],
                [151_644, USER],
                [151_645, ASSISTANT],
                [151_646, BEGIN],
            ] as const),
            ...([
                [151_647, "<|EOT|>"],
                [151_648, "<think>"],
                [151_649, "</think>"],
            ] as const),
            ...([
                [151_667, "[PAD151667]"],
                [151_668, "[PAD151668]"],
            ] as const),
        ]),
        ends: { bos: 151_646, eos: 151_643 },
        think: 151_648,
        thought: 151_649,
        theirs: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        // It has a token of its own for that, at another id.
        readsThink: ["<think>"],
    },
} as const;
type Name = keyof typeof RESPELLED;

let template: string;
beforeAll(async () => void (template = (await readPublicTemplates()).get(TEMPLATE) ?? ""));

for (const name of Object.keys(RESPELLED) as Name[])
    (isFetched(name) ? describe : describe.skip)(name, () => checkBridge(name));

function checkBridge(name: Name): void {
    const { own, ends, think, thought, theirs, readsThink } = RESPELLED[name];
    const { eos: end } = ends;
    let family: RealFamily;
    let reasoner: string;
    let ensemble: Ensemble;
    beforeAll(async () => {
        family = await writeRealFamily(name);
        reasoner = family.writeRespelled(own, template, ends);
        ensemble = await loadOnCpu(family.recipe(FALLBACK, reasoner), OPTIONS);
    });
    afterAll(async () => {
        await ensemble.dispose();
        family.remove();
    });

    const run = (on: Ensemble, options: Partial<CompletionOptions> = {}): Promise<CompletionResult> =>
        collect(complete(on, { prompt: PERU, maxTokens: 24, ...options }));
    const idsOf = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);

    test("what differs is told", () => {
        const { vocabulary } = ensemble;
        const disputed = vocabulary.disputed.map(({ token }) => token);
        expect(disputed).toEqual([...own].filter(([, text]) => !text.startsWith("[PAD")).map(([id]) => id));
        expect(vocabulary.disputed.every(({ owners }) => owners.join() === "1")).toBe(true);
        const [large, chat] = vocabulary.members;
        expect(large?.agreement).toEqual({ ids: 1, elsewhere: 0, text: 1 });
        expect(chat?.agreement.text).toBe(1);
        expect(chat?.agreement.ids).toBeGreaterThan(0.9999);
        expect(chat?.agreement.ids).toBeLessThan(1);
        const notes = vocabulary.notes.join("\n");
        expect(notes).toMatch(
            /^Ids that mean different things to the members: .*; they are tokens of chat alone\. Id /m,
        );
        expect(notes).toMatch(
            /Only chat has .* and \d+ more: chat alone decides about them; the others read the text instead\./,
        );
        expect(notes).toContain(
            `large and small read ${USER} and ${ASSISTANT} and ${END} of the template as plain text.`,
        );
    });

    test("the fallback alone decides about them", async () => {
        const options = { scores: true, maxTokens: 1, seed: 1 };
        const [fused, alone] = await Promise.all([run(ensemble, options), run(soloView(ensemble, "chat"), options)]);
        const [row, own] = [fused, alone].map(({ parts }) => parts[0]?.scores ?? new Float32Array());
        for (const { token } of ensemble.vocabulary.disputed) expect(row?.[token]).toBeCloseTo(own?.[token] ?? NaN, 4);
        expect(row?.reduce((sum, logprob) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 3);
    });

    test("a token in the middle of a text is read as its text, in blocks too", async () => {
        const first = { logitBias: { [think]: 300 }, sampling: { temperature: 0, presencePenalty: 100 }, scores: true };
        const plain = await run(ensemble, { ...first, maxTokens: 8, memberLogprobs: true });
        expect(plain.parts[0]).toMatchObject({
            id: think,
            members: { large: -Infinity, small: -Infinity },
        });
        const { model } = ensemble.members[0] as Ensemble["members"][number];
        expect(ensemble.texts.feed(0, think).map((id) => model.tokenTexts(id, id + 1)[0])).toEqual(readsThink);
        expect(ensemble.texts.feed(1, think)).toEqual([think]);
        for (const length of [1, 4, "adaptive"] as const)
            expectSameDraws(
                await run(ensemble, { ...first, maxTokens: 8, speculation: { length, lookup: true } }),
                plain,
                0,
                F32_BATCHING,
            );
        const [scored] = await score(
            ensemble,
            [{ context: PERU, continuation: [think, ...idsOf(plain).slice(1, 4)] }],
            { chat: true },
        );
        expect(Math.abs((scored?.logprobs[1] ?? NaN) - (plain.parts[1]?.logprob ?? NaN))).toBeLessThan(F32_BATCHING);
    });

    test("the same text with speculation", async () => {
        const request = { seed: 1, logitBias: { [thought]: 2, [end]: 2 } };
        const plain = await run(ensemble, { ...request, scores: true });
        for (const speculation of [{ length: 3 }, { length: 8, lookup: true }])
            expectSameDraws(await run(ensemble, { ...request, speculation }), plain, 1, F32_BATCHING);
    });

    test("thoughts, an answer, and the end of it", async () => {
        const said = { after: "\n", text: `of course</think>34 million${END}` };
        const speaker = await ensemble.host.load(
            family.recipe(
                `${FALLBACK}\nsampling: { temperature: 0 }`,
                family.writeRespelled(own, template, ends, said),
            ),
            OPTIONS,
        );
        try {
            for (const speculation of [false, { length: 4 }] as const) {
                const result = await run(speaker, { speculation });
                expect([result.reason, idsOf(result).at(-1), result.thinking.trim()]).toEqual([
                    "stop",
                    end,
                    "of course",
                ]);
                expect(result.text).toBe("34 million");
                expect(idsOf(result)).toContain(thought);
            }
            const chat = createChat(speaker);
            for (const question of [PERU, "And in Chad?"])
                expect(await collect(chat.send(question))).toMatchObject({ reason: "stop", text: "34 million" });
            const [scored] = await score(speaker, [{ context: PERU, continuation: "x", withEnd: true }], {
                chat: true,
            });
            expect(scored?.tokens.at(-1)).toBe(end);
            const schema = { type: "integer" } as const;
            const json = await run(speaker, { jsonSchema: schema, logitBias: { [thought]: 200 }, maxTokens: 40 });
            expect(idsOf(json)).toContain(thought);
        } finally {
            await speaker.dispose();
        }
    });

    test("each member by itself has its own tokens", () => {
        for (const [index, { name: member }] of ensemble.members.entries()) {
            const { vocabulary } = soloView(ensemble, member);
            const lacks = vocabulary.members[index]?.lacks;
            const { special } = vocabulary.members[index] ?? {};
            for (const { token } of ensemble.vocabulary.disputed) expect(lacks?.[token]).toBe(0);
            expect(vocabulary.endOfGeneration[special?.eos ?? -1]).toBe(1);
        }
    });

    test("no text of a message becomes a control token of any member", async () => {
        const spelled = [...own.values(), ...theirs].join(" ");
        const harmless = spelled.replaceAll(/[<>|\uff5c]/g, "_");
        for (const { model, prompt } of ensemble.members) {
            const [hostile, plain] = await Promise.all(
                [spelled, harmless].map(async (content) =>
                    controlsOf(await prompt.tokenize([{ role: "user", content }]), model),
                ),
            );
            expect(hostile).toEqual(plain);
        }
        // Each begins with a token of its own, and with no other.
        const [large, chat] = ensemble.members.map(async ({ model, prompt }) => {
            const tokens = await prompt.tokenize([{ role: "user", content: PERU }]);
            return model.detokenize(tokens, true).toString("utf8");
        });
        expect(await chat).toBe(`${BEGIN}${USER}${PERU}${ASSISTANT}<think>\n`);
        expect(await large).toBe(`${name === "llama3" ? theirs[0] : ""}${USER}${PERU}${ASSISTANT}<think>\n`);
    });

    test("refused where nobody is said to decide", async () => {
        const loading = loadOnCpu(family.recipe("", reasoner), OPTIONS);
        await expect(loading).rejects.toMatchObject({
            code: "VOCABULARY_MISMATCH",
            message: expect.stringMatching(
                /^\d ids mean different things to the members, .* Add "conservative: \{ topP: 1, fallback: <member> \}"/,
            ) as unknown,
        });
    });
}
