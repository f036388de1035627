/** Members whose vocabularies differ: refused with the first differences, or masked and noted. */

import path from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { collect, complete, score, type EftError, type Recipe } from "../../src/index.js";
import { demoFile, demoRecipe, loadOnCpu, QUESTIONS, soloRecipe, withEnsemble } from "../helpers/demo.js";
import {
    mapEntry,
    readGguf,
    withMetadata,
    writeGguf,
    type Gguf,
    type MetadataValue,
    type Scalar,
} from "../helpers/gguf.js";
import { largestError } from "../helpers/oracle.js";
import { temporaryFolder } from "../helpers/temporary.js";

const VOCABULARY = 2048;
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
    expect(sentence).toBe(
        "The members' vocabularies differ, so their distributions cannot be combined. Use models of one family (same " +
            "tokenizer). First differences:",
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

    test("another kind of token", async () => {
        const kinds = mapEntry(small, "tokenizer.ggml.token_type", (kind, id) => (id === 700 ? 3 : kind));
        const [difference, ...others] = await refusal(
            "kind",
            withMetadata(small, { "tokenizer.ggml.token_type": kinds }),
        );
        expect(difference).toMatch(/^id 700: ".*" \(control\) for second, ".*" \(normal\) for first$/);
        expect(others).toEqual([]);
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

describe("padding", () => {
    /** More rows in the tables of tokens than there are tokens, of which the output likes every one best. */
    function padded(): Gguf {
        const grow = (key: string, value: (index: number) => Scalar): Record<string, MetadataValue> => {
            const entry = small.metadata.get(key);
            if (entry?.type !== "array") throw new Error(`There is no array ${key}.`);
            return {
                [key]: { ...entry, value: [...entry.value, ...Array.from({ length: PADDING }, (_, i) => value(i))] },
            };
        };
        return {
            ...withMetadata(small, {
                ...grow("tokenizer.ggml.tokens", (i) => `[PAD${i}]`),
                ...grow("tokenizer.ggml.scores", () => 0),
                ...grow("tokenizer.ggml.token_type", () => 5),
                "llama.vocab_size": { type: "uint32", value: VOCABULARY + PADDING },
            }),
            tensors: small.tensors.map((tensor) => {
                const [width = 0, rows = 0] = tensor.shape;
                if (rows !== VOCABULARY) return tensor;
                const row = Buffer.alloc(2 * width);
                // 4.0 as a float16.
                for (let i = 0; i < width; i++) row.writeUInt16LE(0x4400, 2 * i);
                const padding = Array.from({ length: PADDING }, () => row);
                return { ...tensor, shape: [width, rows + PADDING], data: Buffer.concat([tensor.data, ...padding]) };
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
        const plain = await run(pair(demoFile("small-base"), demoFile("small-chat")));
        const mixed = await run(pair(file, demoFile("small-chat")));
        expect(mixed.vocabulary).toMatchObject({ compatible: true, size: VOCABULARY });
        expect(mixed.vocabulary.members.map(({ width }) => width)).toEqual([VOCABULARY + PADDING, VOCABULARY]);
        expect(mixed.vocabulary.notes).toEqual([
            `second has ${VOCABULARY} ids and first ${VOCABULARY + PADDING}; ids from ${VOCABULARY} on are masked.`,
        ]);
        expect(mixed.result.text).toBe(plain.result.text);
        // The very same numbers as without padding.
        const rows = [mixed, plain].map(({ result }) => result.parts.map(({ scores }) => scores ?? []));
        expect(largestError(rows[0] ?? [], rows[1] ?? [])).toBe(0);
        expect(mixed.score?.logprobs).toEqual(plain.score?.logprobs);
        // By itself, the padding is part of the vocabulary.
        const alone = await run(soloRecipe(file));
        expect(alone.vocabulary.size).toBe(VOCABULARY + PADDING);
        expect(alone.result.parts.some(({ id }) => id >= VOCABULARY)).toBe(true);
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
                `EOS is ${stop} for other and 2 for chat; both are honoured where they apply.`,
            ]);
            const { text, parts, reason } = await collect(
                complete(ensemble, { prompt: QUESTIONS[0], sampling: { temperature: 0 } }),
            );
            expect(reason).toBe("stop");
            expect(parts.at(-1)?.id).toBe(stop);
            expect(text).toMatch(/^ [^.]+$/);
        });
    });
});
