/** Tokens that only some members have: who decides about them, what the others read, and what is refused. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { fuse } from "../helpers/reference.js";
import {
    collect,
    complete,
    createChat,
    loadEnsemble,
    parseRecipe,
    score,
    soloView,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type Recipe,
} from "../../src/index.js";
import { checkLoading, createCheck, type Finding } from "../../src/ensemble/check.js";
import { TOKEN_KIND } from "../../src/native/binding.js";
import { demoFile, loadOnCpu, mappedModels, QUESTIONS, withEnsemble, type DemoModel } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { readGguf, toFloat32, writeGguf, type Gguf } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { F32_BATCHING, LOGPROB } from "../helpers/tolerances.js";
import { addTokens, copyOutput, EOS, TOKEN_TYPE, VOCABULARY, withEos, type ExtraToken } from "../helpers/vocabulary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

const END = VOCABULARY;
const MARK = VOCABULARY + 1;
const ADDED: readonly ExtraToken[] = [
    { text: "<|im_end|>", type: TOKEN_TYPE.control, like: EOS },
    { text: "<tool>", type: TOKEN_TYPE.userDefined, like: 315 },
];

const float32 = (model: DemoModel): Gguf => toFloat32(readGguf(demoFile(model)));
/** Ends its texts with `<|im_end|>`, where the original ends them with `</s>`. */
const tuned = (model: DemoModel, tokens = ADDED): Gguf =>
    withEos(copyOutput(addTokens(float32(model), tokens), 0, EOS), END);
const unused = ADDED.map((_, index) => ({ text: `[PAD${VOCABULARY + index}]`, type: TOKEN_TYPE.unused, like: EOS }));

beforeAll(() => {
    const write = (name: string, gguf: Gguf): void => writeGguf(path.join(folder, `${name}.gguf`), gguf);
    write("large", float32("large-base"));
    write("small", float32("small-base"));
    write("chat", tuned("small-chat"));
    write("safe", tuned("small-safe"));
    // Padded for more speed, and wider than the tuned model or as wide.
    write(
        "large-padded",
        addTokens(float32("large-base"), [...unused, { text: "[PAD]", type: TOKEN_TYPE.unused, like: EOS }]),
    );
    write("small-padded", addTokens(float32("small-base"), unused));
    // Other tokens under the same ids.
    const [end, mark] = ADDED as [ExtraToken, ExtraToken];
    write("safe-disputed-mark", tuned("small-safe", [end, { ...mark, text: "<other>" }]));
    write("safe-disputed-end", tuned("small-safe", [{ ...end, text: "<|eot_id|>" }, mark]));
    // Tokens that their family keeps for fine-tunings, and that the tuned model has respelled.
    const reserved = ADDED.map(({ like }, index) => ({
        ...{ text: `<|reserved_${index}|>`, type: TOKEN_TYPE.control },
        ...(like !== undefined && { like }),
    }));
    write("large-reserved", addTokens(float32("large-base"), reserved));
    write("small-reserved", addTokens(float32("small-base"), reserved));
    write("large-wider", addTokens(float32("large-base"), [{ text: "<image>", type: TOKEN_TYPE.control, like: EOS }]));
});

function recipe(text: string): Recipe {
    return parseRecipe(`eft: 1\nname: test\n${text}`, { directory: folder });
}

const upscaling = (more = "", files = ["large", "chat", "small"]): Recipe =>
    recipe(`
members:
    large: { model: ${files[0]}.gguf }
    chat: { model: ${files[1]}.gguf }
    small: { model: ${files[2]}.gguf }
parameters: { beta: { default: 1, min: -1, max: 2 } }
combination: chat + beta * (large - small)
prompt: { template: from chat }
${more}`);

const dial = (safe = "safe", more = ""): Recipe =>
    recipe(`
members:
    large: { model: large.gguf }
    help: { model: chat.gguf }
    safe: { model: ${safe}.gguf }
    small: { model: small.gguf }
parameters: { lambda: { default: 0.5, min: 0, max: 1 } }
combination: large + (1 - lambda) * (help - small) + lambda * (safe - small)
prompt: { template: from help }
${more}`);

const run = (ensemble: Ensemble, options: CompletionOptions): Promise<CompletionResult> =>
    collect(complete(ensemble, { maxTokens: 40, ...options }));
const ids = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);

/** The row after a prompt. */
async function firstRow(ensemble: Ensemble, options: Partial<CompletionOptions> = {}): Promise<Float32Array> {
    const { parts } = await run(ensemble, { prompt: QUESTIONS[0], maxTokens: 1, seed: 1, scores: true, ...options });
    return parts[0]?.scores ?? new Float32Array();
}

const VARIANTS: Record<string, Recipe> = {};
beforeAll(() => {
    VARIANTS["by the member that ends with one"] = upscaling();
    VARIANTS["by the fallback"] = upscaling("conservative: { topP: 0.95, fallback: chat }");
    VARIANTS["by the fallback, with control tokens"] = upscaling(
        "conservative: { topP: 1, fallback: chat }\ncontrolTokens: fallback",
    );
    VARIANTS["ids that are unused padding in the others"] = upscaling("", ["large-padded", "chat", "small-padded"]);
    VARIANTS["by the fallback, where they mean something else to the others"] = upscaling(
        "conservative: { topP: 0.95, fallback: chat }\ncontrolTokens: fallback",
        ["large-reserved", "chat", "small-reserved"],
    );
    VARIANTS["by two members"] = dial();
    VARIANTS["by two members that spell the end differently"] = dial("safe-disputed-end");
});
const NAMES = [
    "by the member that ends with one",
    "by the fallback",
    "by the fallback, with control tokens",
    "ids that are unused padding in the others",
    "by the fallback, where they mean something else to the others",
    "by two members",
    "by two members that spell the end differently",
];
const variant = (name: string): Recipe => VARIANTS[name] as Recipe;

describe.each(NAMES)("decided %s", (name) => {
    let ensemble: Ensemble;
    beforeAll(async () => (ensemble = await loadOnCpu(variant(name), { sequences: 2 })));
    afterAll(() => ensemble.dispose());

    test("the text ends with the added token", async () => {
        for (const prompt of QUESTIONS.slice(0, 3)) {
            const { text, parts, reason } = await run(ensemble, { prompt, sampling: { temperature: 0 } });
            expect(reason).toBe("stop");
            expect(parts.at(-1)?.id).toBe(END);
            expect(text).toMatch(/\.$/);
        }
    });

    test("the target is that of the reference", async () => {
        const { members, vocabulary } = ensemble;
        expect(vocabulary.size).toBe(VOCABULARY + 2);
        const kinds = Uint8Array.from({ length: vocabulary.size }, (_, id) =>
            id >= VOCABULARY ? TOKEN_KIND.added : vocabulary.controlTokens[id] === 1 ? TOKEN_KIND.control : 0,
        );
        // After an answer all but its end is improbable, and before it the end is.
        for (const prompt of [QUESTIONS[1], `${QUESTIONS[1]} [/INST] The money is the nakfa.`]) {
            // Evaluates the prompt; after that, every row comes from a single token.
            await firstRow(ensemble, { prompt });
            const rows: Float32Array[] = [];
            for (const member of members) {
                const view = soloView(ensemble, member.name);
                const lacks = vocabulary.members[rows.length]?.lacks;
                const row = await firstRow(view, { prompt });
                // By itself, a member has its own tokens where ids mean different things.
                const known = row.map((logprob, id) => (lacks?.[id] === 0 ? logprob : -Infinity));
                if (vocabulary.disputed.length === 0) expect(row).toEqual(known);
                rows.push(known);
            }
            const weightOf = (form: readonly [string, number][]): Float64Array =>
                Float64Array.from(members, (member) => form.find(([of]) => of === member.name)?.[1] ?? 0);
            const isDial = members.length === 4;
            const expected = fuse(
                rows,
                {
                    weights: isDial
                        ? weightOf([
                              ["large", 1],
                              ["help", 0.5],
                              ["safe", 0.5],
                              ["small", -1],
                          ])
                        : weightOf([
                              ["large", 1],
                              ["chat", 1],
                              ["small", -1],
                          ]),
                    fallback: isDial
                        ? weightOf([
                              ["help", 0.5],
                              ["safe", 0.5],
                          ])
                        : weightOf([["chat", 1]]),
                    conservativeTopP: variant(name).conservative?.topP ?? 1,
                    controlTokensFallback: variant(name).controlTokens === "fallback",
                },
                kinds,
            );
            const actual = await firstRow(ensemble, { prompt });
            const worst = Math.max(
                ...Array.from(expected, (value, id) =>
                    value === actual[id] ? 0 : Math.abs(value - (actual[id] ?? NaN)) - Math.abs(value) * 2 ** -21,
                ),
            );
            expect(worst).toBeLessThan(LOGPROB);
            expect(actual[END]).toBeGreaterThan(-Infinity);
        }
    });

    test.each([0, 1])("the same text with speculation, at temperature %d", async (temperature) => {
        for (const [seed, prompt] of QUESTIONS.slice(0, 3).entries()) {
            const request = { prompt, seed, sampling: { temperature } };
            const plain = await run(ensemble, { ...request, scores: true });
            for (const speculation of [{ length: 1 }, { length: 4 }, { length: 16, lookup: true }, {}]) {
                const result = await run(ensemble, { ...request, speculation });
                expectSameDraws(result, plain, temperature, F32_BATCHING);
                expect(result.reason).toBe(plain.reason);
            }
            if (temperature > 0) continue;
            const maximal = await run(ensemble, { ...request, speculation: { length: 3, coupling: "maximal" } });
            expectSameDraws(maximal, plain, 0, F32_BATCHING);
        }
    });

    test("the drafter ends its text with it where it is not asked whether others would", async () => {
        const drafter = ensemble.members[1]?.name ?? "";
        for (const [seed, prompt] of QUESTIONS.slice(0, 3).entries()) {
            const request = { prompt, seed, sampling: { temperature: 1 } };
            const alone = await run(soloView(ensemble, drafter), { ...request, scores: true });
            for (const length of [0, 3, 16]) {
                const speculation = { drafter, selective: 100, length };
                const result = await run(ensemble, { ...request, speculation });
                expectSameDraws(result, alone, 1, F32_BATCHING);
                expect(result.reason).toBe(alone.reason);
            }
        }
    });

    test("a conversation goes on after it", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        for (const question of QUESTIONS.slice(0, 2)) {
            const { reason, text } = await collect(chat.send(question));
            expect(reason).toBe("stop");
            expect(text).not.toContain("<|im_end|>");
        }
        expect(chat.messages).toHaveLength(4);
    });
});

describe("an added token inside a text", () => {
    let ensemble: Ensemble;
    beforeAll(async () => (ensemble = await loadOnCpu(upscaling(), { sequences: 1 })));
    afterAll(() => ensemble.dispose());

    /** Makes the mark come first, and not again. */
    const first = {
        logitBias: { [MARK]: 60 },
        sampling: { temperature: 0, presencePenalty: 100, penaltyLastN: 8 },
        maxTokens: 8,
    };

    test("is read as its text by the members that lack it, as in a prompt", async () => {
        const written = await run(ensemble, { prompt: QUESTIONS[0], ...first, scores: true, memberLogprobs: true });
        expect(written.parts[0]).toMatchObject({ id: MARK, members: { large: -Infinity, small: -Infinity } });
        expect(written.text).toMatch(/^<tool>/);
        // The same text as the end of a prompt.
        const prompted = ensemble.members[1]?.model.info.chatTemplate ?? "";
        const same = recipe(`
members: { large: { model: large.gguf }, chat: { model: chat.gguf }, small: { model: small.gguf } }
combination: chat + large - small
prompt: { template: ${JSON.stringify(`${prompted}<tool>`)} }`);
        const row = await withEnsemble(same, { sequences: 1 }, (other) => firstRow(other));
        const difference = row.map((logprob, id) => Math.abs(logprob - (written.parts[1]?.scores?.[id] ?? NaN)));
        expect(Math.max(...difference.filter((value) => !Number.isNaN(value)))).toBeLessThan(F32_BATCHING);
        const tokens = ensemble.members.map(({ model }) => model.tokenize("<tool>", false, true).length);
        expect(tokens[1]).toBe(1);
        expect(Math.min(tokens[0] ?? 0, tokens[2] ?? 0)).toBeGreaterThan(1);
        // Whoever has it says it, and the one who has most of them reads for all.
        expect(ensemble.detokenize([...ids(written), END])).toBe(written.text);
        expect([...(await ensemble.tokenize("<tool>"))]).toEqual([MARK]);
    });

    test.each([1, 3, 8, "adaptive"] as const)("leaves the text as it is, in blocks of %s", async (length) => {
        const plain = await run(ensemble, { prompt: QUESTIONS[1], ...first, scores: true });
        expect(ids(plain)[0]).toBe(MARK);
        const result = await run(ensemble, { prompt: QUESTIONS[1], ...first, speculation: { length, lookup: true } });
        expectSameDraws(result, plain, 0, F32_BATCHING);
    });

    test("counts as many tokens of the context as the members read", async () => {
        const read = ensemble.members[0]?.model.tokenize("<tool>", false, true).length ?? 0;
        await withEnsemble(upscaling(), { sequences: 1, contextSize: 64 }, async (small) => {
            const options = { prompt: QUESTIONS[0], logitBias: { [MARK]: 1000 }, maxTokens: 1000 };
            const { reason, tokens, promptTokens } = await run(small, options);
            expect(reason).toBe("length");
            // The last one need not be read any more.
            expect(tokens).toBe(Math.ceil((64 - (promptTokens["large"] ?? 0)) / read));
            for (const length of [1, 4]) {
                expect(await run(small, { ...options, speculation: { length } })).toMatchObject({ reason, tokens });
            }
        });
    });

    test("is scored as it is written", async () => {
        const options = { ...first, maxTokens: 6, memberLogprobs: true };
        // No template, which would write a space in front.
        const { parts, text } = await run(ensemble, { prompt: QUESTIONS[0], raw: true, ...options });
        const [scored] = await score(ensemble, [{ context: QUESTIONS[0], continuation: text, withEnd: true }]);
        expect(scored?.tokens).toEqual([...parts.map(({ id }) => id), END]);
        parts.forEach(({ logprob }, index) => {
            expect(Math.abs((scored?.logprobs[index] ?? NaN) - logprob)).toBeLessThan(F32_BATCHING);
        });
        expect(scored?.members["large"]?.[0]).toBe(-Infinity);
        expect(scored?.logprobs.at(-1)).toBeCloseTo(scored?.members["chat"]?.at(-1) ?? NaN, 5);
        // The same in token ids, and with the mark in the context.
        const tokens = scored?.tokens ?? [];
        const context = [1, ...(await ensemble.tokenize(QUESTIONS[0]))];
        const items = [0, 1, 2].map((from) => ({
            context: [...context, ...tokens.slice(0, from)],
            continuation: tokens.slice(from),
        }));
        for (const [from, same] of (await score(ensemble, items)).entries()) {
            expect(same.text).toBe(ensemble.detokenize(tokens.slice(from)));
            for (const [index, logprob] of (scored?.logprobs ?? []).slice(from).entries())
                expect(Math.abs((same.logprobs[index] ?? NaN) - logprob)).toBeLessThan(F32_BATCHING);
        }
        // And as a prompt, which those who lack the mark read in more tokens.
        const prompt = [...context, MARK];
        const next = await run(ensemble, { prompt, raw: true, scores: true, seed: 1, maxTokens: 1 });
        expect(next.promptTokens).toMatchObject({ chat: prompt.length });
        expect(next.promptTokens["large"]).toBeGreaterThan(prompt.length);
        const second = tokens[1] ?? NaN;
        const difference = (next.parts[0]?.scores?.[second] ?? NaN) - (scored?.logprobs[1] ?? NaN);
        expect(Math.abs(difference)).toBeLessThan(F32_BATCHING);
    });

    test("obeys a grammar, which may name it and ends with the end of the text", async () => {
        for (const [grammar, text] of [
            ['root ::= "Lima"', "Lima"],
            [`root ::= <[${MARK}]> "x"`, "<tool>x"],
        ] as const) {
            for (const speculation of [false, { length: 3 }]) {
                const result = await run(ensemble, { prompt: QUESTIONS[0], grammar, speculation });
                expect(result).toMatchObject({ text, reason: "stop" });
            }
        }
        const unknown = { prompt: "", grammar: `root ::= <[${VOCABULARY + 2}]>` };
        expect(() => complete(ensemble, unknown)).toThrow(expect.objectContaining({ code: "GRAMMAR_INVALID" }));
    });

    test("is not possible where nobody decides about it", async () => {
        const row = await firstRow(ensemble, { parameters: { beta: 0 } });
        expect(row[END]).toBeGreaterThan(-Infinity);
        // A combination that does not want the tuned model.
        const without = recipe(`
members: { large: { model: large.gguf }, chat: { model: chat.gguf }, small: { model: small.gguf } }
parameters: { alpha: { default: 0, min: 0, max: 1 } }
combination: large + alpha * (chat - small)
prompt: { template: from chat }`);
        await withEnsemble(without, {}, async (proxy) => {
            expect((await firstRow(proxy))[END]).toBe(-Infinity);
            expect((await firstRow(proxy, { parameters: { alpha: 1 } }))[END]).toBeGreaterThan(-Infinity);
        });
    });
});

describe("reports", () => {
    const notes = (of: Recipe): Promise<readonly string[]> =>
        withEnsemble(of, {}, ({ vocabulary }) => Promise.resolve(vocabulary.notes));

    test("say who decides, and what reads the template's tokens as text", async () => {
        expect(await notes(upscaling())).toEqual([
            `chat has ${VOCABULARY + 2} ids and large ${VOCABULARY}.`,
            `EOS is ${END} for chat and ${EOS} for large; a text ends with either.`,
            `Only chat has <|im_end|> (id ${END}), <tool> (id ${MARK}): chat alone decides about them; the others read the ` +
                "text instead.",
            "large and small read <|im_end|> of the template as plain text.",
        ]);
    });

    test("warn of ids that mean different things, before loading", async () => {
        const findings: Finding[] = [];
        const bridge = variant("by the fallback, where they mean something else to the others");
        await checkLoading(
            bridge,
            { backend: "cpu" },
            createCheck((finding) => findings.push(finding)),
        );
        const text =
            `SPM, ${VOCABULARY} ids mean the same to all members, 2 more are tokens of some alone. Ids that mean different things ` +
            `to the members: ${END}, ${MARK}; they are tokens of chat alone. Id ${END} is "<|reserved_0|>" (control) for large and small ` +
            `and "<|im_end|>" (control) for chat.`;
        expect(findings).toContainEqual({ check: "vocabularies", state: "warning", text });
        await expect(loadOnCpu(upscaling("", ["large-reserved", "chat", "small-reserved"]))).rejects.toMatchObject({
            code: "VOCABULARY_MISMATCH",
            message: expect.stringMatching(
                /^2 ids mean different things .* Add "conservative: \{ topP: 1, fallback/,
            ) as unknown,
        });
    });

    test("say what is masked", async () => {
        expect(await notes(upscaling("", ["large-padded", "chat", "small-padded"]))).toContain(
            "One unused id is masked.",
        );
        expect(await notes(dial("safe-disputed-mark"))).toContain(
            `Ids that mean different things to the members that have them are masked: ${MARK}.`,
        );
        // A base that has more tokens than the tuned model.
        const wider = recipe(`
members: { large: { model: large-wider.gguf }, small: { model: small.gguf } }
combination: large + 0.5 * small
prompt: { template: plain }`);
        expect(await notes(wider)).toContain(`Only large has <image> (id ${END}): masked.`);
    });
});

describe("refused before weights are read", () => {
    test.each([
        [
            "a fallback that lacks the end",
            () => upscaling("conservative: { topP: 0.9, fallback: small }"),
            /^chat ends a text with <\|im_end\|> .* large and small lack .* Choose a fallback whose members all have it\.$/,
        ],
        [
            "a fallback of which one member lacks the end",
            () => upscaling("conservative: { topP: 0.9, fallback: 0.5 * chat + 0.5 * small }"),
            /Choose a fallback whose members all have it/,
        ],
    ])("%s", async (_name, make, message) => {
        let progress = 0;
        const loading = loadEnsemble(make(), { backend: "cpu", onProgress: () => progress++ });
        await expect(loading).rejects.toMatchObject({
            code: "VOCABULARY_MISMATCH",
            message: expect.stringMatching(message) as unknown,
        });
        expect(progress).toBe(0);
        expect(mappedModels()).toEqual([]);
    });
});
