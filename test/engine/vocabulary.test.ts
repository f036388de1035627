/** Members whose vocabularies differ: refused with the first differences, or masked and noted. */

import path from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { collect, complete, readVocabularies, score, type EftError, type Recipe } from "../../src/index.js";
import { demoFile, demoRecipe, loadOnCpu, QUESTIONS, soloRecipe, withEnsemble } from "../helpers/demo.js";
import {
    fromFloat32,
    mapEntry,
    readGguf,
    readWeights,
    toFloat32,
    withMetadata,
    writeGguf,
    type Gguf,
    type MetadataValue,
    type Scalar,
} from "../helpers/gguf.js";
import { largestError } from "../helpers/oracle.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { addTokens, EOS, TOKEN_TYPE, VOCABULARY, withEos, withTokenTypes } from "../helpers/vocabulary.js";

const PADDING = 40;
const small = readGguf(demoFile("small-base"));
const { folder, remove } = temporaryFolder();
afterAll(remove);

function write(name: string, gguf: Gguf): string {
    const file = path.join(folder, `${name}.gguf`);
    writeGguf(file, gguf);
    return file;
}

const pair = (first: string, second: string): Recipe =>
    demoRecipe(`
members: { first: { model: ${JSON.stringify(first)} }, second: { model: ${JSON.stringify(second)} } }
combination: first + second
prompt: { template: from first }`);

async function refusal(name: string, gguf: Gguf): Promise<string[]> {
    const error = await loadOnCpu(pair(demoFile("small-chat"), write(name, gguf))).then(
        () => undefined,
        (reason: unknown) => reason as EftError,
    );
    expect(error).toMatchObject({ name: "EftError", code: "VOCABULARY_MISMATCH" });
    const [sentence, ...differences] = error?.message.split("\n") ?? [];
    expect(sentence).toMatch(
        /^The members' vocabularies differ in ordinary tokens, so their distributions cannot be combined: second shares [\d.]+ % of ids and [\d.]+ % of the tokens of a sample text with first\. Use models of one family \(same tokenizer\); .* First differences:$/,
    );
    return differences.map((line) => line.trim());
}

const tokens = (replace: (value: Scalar, id: number) => Scalar): Record<string, MetadataValue> => ({
    "tokenizer.ggml.tokens": mapEntry(small, "tokenizer.ggml.tokens", replace),
});

describe("refused", () => {
    test("another text of a token", async () => {
        const renamed = withMetadata(
            small,
            tokens((text, id) => (id === 312 ? `${String(text)}!` : text)),
        );
        expect(await refusal("text", renamed)).toEqual([
            'id 312: "The!" (normal) for second, "The" (normal) for first',
        ]);
    });

    test("two tokens that have changed places", async () => {
        const [a = "", b = ""] = [400, 401].map((id) => String(mapEntryValue(id)));
        const swapped = withMetadata(
            small,
            tokens((text, id) => (id === 400 ? b : id === 401 ? a : text)),
        );
        expect(await refusal("swapped", swapped)).toHaveLength(2);
    });

    test("quite another vocabulary, of which ten differences are enough", async () => {
        const other = withMetadata(
            small,
            tokens((text, id) => (id < 300 ? text : `${String(text)}${id}`)),
        );
        const differences = await refusal("other", other);
        expect(differences).toHaveLength(10);
        expect(differences[0]).toMatch(/^id 300: /);
    });

    test("another kind of tokenizer", async () => {
        const merges: MetadataValue = { type: "array", of: "string", value: ["L i"] };
        const string = (value: string): MetadataValue => ({ type: "string", value });
        const other = withMetadata(small, {
            "tokenizer.ggml.model": string("gpt2"),
            "tokenizer.ggml.pre": string("default"),
            "tokenizer.ggml.merges": merges,
        });
        expect(await refusal("bpe", other)).toEqual(["a BPE tokenizer for second, a SPM tokenizer for first"]);
    });
});

function mapEntryValue(id: number): Scalar | undefined {
    const entry = small.metadata.get("tokenizer.ggml.tokens");
    return entry?.type === "array" ? entry.value[id] : undefined;
}

describe("told", () => {
    const agreementOf = async (name: string, gguf: Gguf): Promise<unknown> =>
        (await readVocabularies(pair(demoFile("small-chat"), write(name, gguf)))).members[1]?.agreement;

    test("that the same tokens have other ids", async () => {
        const words = 300;
        const moved = withMetadata(
            small,
            tokens((text, id) => (id < words ? text : (mapEntryValue(id + 1 < VOCABULARY ? id + 1 : words) ?? text))),
        );
        const { elsewhere, ids } = (await agreementOf("moved", moved)) as { elsewhere: number; ids: number };
        expect([ids, elsewhere]).toEqual([words / VOCABULARY, 1 - words / VOCABULARY]);
        await expect(loadOnCpu(pair(demoFile("small-chat"), write("moved", moved)))).rejects.toThrow(
            /\(and has 85\.3 % of its tokens at other ids, which are not mapped\)/,
        );
    });

    test("what share of a sample text tokenizers cut alike, though their tables agree", async () => {
        const cut = withMetadata(small, {
            "tokenizer.ggml.scores": mapEntry(small, "tokenizer.ggml.scores", (score, id) => (id % 2 ? -1e4 : score)),
        });
        expect(await agreementOf("same", small)).toEqual({ ids: 1, elsewhere: 0, text: 1 });
        const { text, ids } = (await agreementOf("cut", cut)) as { text: number; ids: number };
        expect(ids).toBe(1);
        expect(text).toBeGreaterThan(0.3);
        expect(text).toBeLessThan(1);
        await withEnsemble(pair(demoFile("small-chat"), write("cut", cut)), {}, ({ vocabulary }) => {
            expect(vocabulary.notes).toEqual([
                expect.stringMatching(
                    /^second and first cut texts differently: [\d.]+ % of the tokens of a sample are the same\.$/,
                ),
            ]);
            return Promise.resolve();
        });
    });
});

describe("padding", () => {
    /** More rows in the tables of tokens than there are tokens, of which the output likes every one best. */
    function padded(): Gguf {
        const padding = Array.from({ length: PADDING }, (_, i) => ({ text: `[PAD${i}]`, type: TOKEN_TYPE.unused }));
        const gguf = addTokens(toFloat32(small), padding);
        return {
            ...gguf,
            tensors: gguf.tensors.map((tensor) => {
                const [width = 0, rows = 0] = tensor.shape;
                if (rows !== VOCABULARY + PADDING) return tensor;
                const weights = readWeights(tensor.type, tensor.data).fill(4, VOCABULARY * width);
                return { ...tensor, data: fromFloat32(weights) };
            }),
        };
    }

    test("is masked: neither drawn nor counted", async () => {
        const file = write("padded", padded());
        const run = (recipe: Recipe) =>
            withEnsemble(recipe, { sequences: 1 }, async (ensemble) => ({
                vocabulary: ensemble.vocabulary,
                result: await collect(
                    complete(ensemble, { prompt: "The capital", raw: true, scores: true, seed: 3, maxTokens: 12 }),
                ),
                score: (await score(ensemble, [{ continuation: "The capital is Lima." }]))[0],
            }));
        const plain = await run(pair(write("plain", toFloat32(small)), demoFile("small-chat")));
        const mixed = await run(pair(file, demoFile("small-chat")));
        expect(mixed.vocabulary).toMatchObject({ compatible: true, size: VOCABULARY });
        expect(mixed.vocabulary.members.map(({ width }) => width)).toEqual([VOCABULARY + PADDING, VOCABULARY]);
        expect(mixed.vocabulary.notes).toEqual([
            `second has ${VOCABULARY} ids and first ${VOCABULARY + PADDING}.`,
            `${PADDING} unused ids are masked.`,
        ]);
        expect(mixed.result.text).toBe(plain.result.text);
        // The very same numbers as without padding.
        const rows = [mixed, plain].map(({ result }) => result.parts.map(({ scores }) => scores ?? []));
        expect(largestError(rows[0] ?? [], rows[1] ?? [])).toBe(0);
        expect(mixed.score?.logprobs).toEqual(plain.score?.logprobs);
        // By itself too.
        const alone = await run(soloRecipe(file));
        expect(alone.vocabulary.size).toBe(VOCABULARY);
        expect(alone.result.parts.every(({ id }) => id < VOCABULARY)).toBe(true);
        // Unless it is said to be none.
        const kept = await run(soloRecipe(file, "unusedTokens: keep"));
        expect(kept.vocabulary).toMatchObject({ size: VOCABULARY + PADDING, notes: [] });
        expect(kept.result.parts.some(({ id }) => id >= VOCABULARY)).toBe(true);
    });
});

describe("unused ids among the others", () => {
    const [A, B, C] = [300, 700, 1500] as const;
    const { unused, control } = TOKEN_TYPE;
    const solo = (name: string, types: Readonly<Record<number, number>>, eos: number = EOS): Recipe =>
        soloRecipe(write(name, withEos(withTokenTypes(small, types), eos)));

    test.each<[string, Readonly<Record<number, number>>, Readonly<Record<number, number>>, number[]]>([
        ["in all members", { [A]: unused, [B]: unused }, { [A]: unused, [B]: unused }, [A, B]],
        ["in the first", { [A]: unused, [C]: unused }, {}, [A, C]],
        ["in the second", {}, { [B]: unused }, [B]],
        ["in one, and a control token in the other", { [A]: unused }, { [A]: control }, [A]],
    ])("%s are neither drawn nor counted", async (_name, one, other, masked) => {
        const recipe = pair(write("one", withTokenTypes(small, one)), write("other", withTokenTypes(small, other)));
        await withEnsemble(recipe, { sequences: 1 }, async (ensemble) => {
            const options = { prompt: "The capital", raw: true, seed: 3, scores: true, memberLogprobs: true } as const;
            const bias = Object.fromEntries(masked.map((id) => [id, 1000]));
            const { parts } = await collect(complete(ensemble, { ...options, logitBias: bias, maxTokens: 6 }));
            const speculative = await collect(
                complete(ensemble, { ...options, logitBias: bias, maxTokens: 6, speculation: { drafter: "first" } }),
            );
            expect(speculative.parts.map(({ id }) => id)).toEqual(parts.map(({ id }) => id));
            for (const { id, scores = [] } of parts) {
                expect(masked).not.toContain(id);
                for (const each of masked) expect(scores[each]).toBe(-Infinity);
                const mass = Array.from(scores, Math.exp).reduce((sum, value) => sum + value);
                expect(Math.abs(mass - 1)).toBeLessThan(1e-4);
            }
            const [text] = await score(ensemble, [{ continuation: "The capital is Lima." }], { scores: true });
            for (const row of text?.scores ?? []) for (const id of masked) expect(row[id]).toBe(-Infinity);
        });
    });

    test("are tokens where the recipe keeps them, and must then match", async () => {
        const file = write("kept", withTokenTypes(small, { [A]: unused }));
        const keep = (second: string): Recipe => ({ ...pair(file, second), unusedTokens: "keep" });
        await withEnsemble(keep(file), { sequences: 1 }, async (ensemble) => {
            const { parts } = await collect(
                complete(ensemble, { prompt: "The", raw: true, logitBias: { [A]: 1000 }, maxTokens: 2 }),
            );
            expect(parts.map(({ id }) => id)).toEqual([A, A]);
        });
        await expect(loadOnCpu(keep(demoFile("small-base")))).rejects.toMatchObject({ code: "VOCABULARY_MISMATCH" });
    });

    test("but for one that is EOS", async () => {
        await withEnsemble(solo("eos-unused", { [A]: unused, [B]: unused }, A), {}, async (ensemble) => {
            const options = { prompt: "The", raw: true, logitBias: { [A]: 1000, [B]: 2000 } } as const;
            const { parts, reason } = await collect(complete(ensemble, options));
            expect([reason, ...parts.map(({ id }) => id)]).toEqual(["stop", A]);
            expect(ensemble.vocabulary.notes).toEqual(["One unused id is masked."]);
        });
    });

    test("cannot be named by a grammar", async () => {
        await withEnsemble(solo("named", { [A]: unused }), {}, (ensemble) => {
            const completion = (id: number) => () => complete(ensemble, { prompt: "", grammar: `root ::= <[${id}]>` });
            expect(completion(A)).toThrow(expect.objectContaining({ code: "GRAMMAR_INVALID" }));
            expect(completion(B)).not.toThrow();
            return Promise.resolve();
        });
    });
});

describe("special tokens", () => {
    test("that differ are noted, and each member's end ends the text", async () => {
        // Ends at the full stop, which would otherwise be followed by </s>.
        const stop = 1989;
        const file = write(
            "eos",
            withMetadata(small, { "tokenizer.ggml.eos_token_id": { type: "uint32", value: stop } }),
        );
        const recipe = demoRecipe(`
members: { chat: { model: small-chat-f16.gguf }, other: { model: ${JSON.stringify(file)} } }
parameters: { w: { default: 0 } }
combination: chat + w * other
prompt: { template: from chat }`);
        await withEnsemble(recipe, {}, async (ensemble) => {
            expect(ensemble.vocabulary.notes).toEqual([
                `EOS is ${stop} for other and 2 for chat; a text ends with either.`,
            ]);
            const { text, parts, reason } = await collect(
                complete(ensemble, { prompt: QUESTIONS[0], sampling: { temperature: 0 } }),
            );
            expect(reason).toBe("stop");
            expect(parts.at(-1)?.id).toBe(stop);
            expect(text).toMatch(/^[^. ][^.]+$/);
        });
    });
});
