/** Variants of the demo family's vocabulary: tokens that are added, or of another kind. */

import {
    fromFloat32,
    mapEntry,
    readWeights,
    withMetadata,
    type Gguf,
    type MetadataValue,
    type Scalar,
} from "./gguf.js";

/** Ids of the demo family. */
export const VOCABULARY = 2048;
export const EOS = 2;

/** GGUF's numbers of the kinds of tokens. */
export const TOKEN_TYPE = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const;

export interface ExtraToken {
    readonly text: string;
    readonly type: number;
    /** The token whose rows in the embedding and the output it gets: it is drawn where that one is. Default: 0, which never is. */
    readonly like?: number;
}

/** The model with tokens behind its last one. Its weights must be float32. */
export function addTokens(gguf: Gguf, tokens: readonly ExtraToken[]): Gguf {
    const grow = (key: string, values: readonly Scalar[]): Record<string, MetadataValue> => {
        const entry = gguf.metadata.get(key);
        if (entry?.type !== "array") throw new Error(`There is no array ${key}.`);
        return { [key]: { ...entry, value: [...entry.value, ...values] } };
    };
    return {
        ...withMetadata(gguf, {
            ...grow(
                "tokenizer.ggml.tokens",
                tokens.map(({ text }) => text),
            ),
            ...grow(
                "tokenizer.ggml.scores",
                tokens.map(() => -1000),
            ),
            ...grow(
                "tokenizer.ggml.token_type",
                tokens.map(({ type }) => type),
            ),
            "llama.vocab_size": { type: "uint32", value: VOCABULARY + tokens.length },
        }),
        tensors: gguf.tensors.map((tensor) => {
            const [width = 0, rows = 0] = tensor.shape;
            if (rows !== VOCABULARY) return tensor;
            const weights = readWeights(tensor.type, tensor.data);
            const extra = tokens.map(({ like = 0 }) => fromFloat32(weights.slice(like * width, (like + 1) * width)));
            return { ...tensor, shape: [width, rows + tokens.length], data: Buffer.concat([tensor.data, ...extra]) };
        }),
    };
}

/** The model with the output row of one token in the place of another's, which is then as probable. Float32 weights. */
export function copyOutput(gguf: Gguf, from: number, to: number): Gguf {
    return {
        ...gguf,
        tensors: gguf.tensors.map((tensor) => {
            if (tensor.name !== "output.weight") return tensor;
            const [width = 0] = tensor.shape;
            const weights = readWeights(tensor.type, tensor.data);
            weights.copyWithin(to * width, from * width, (from + 1) * width);
            return { ...tensor, data: fromFloat32(weights) };
        }),
    };
}

/** The model with other kinds of tokens. */
export function withTokenTypes(gguf: Gguf, types: Readonly<Record<number, number>>): Gguf {
    return withMetadata(gguf, {
        "tokenizer.ggml.token_type": mapEntry(gguf, "tokenizer.ggml.token_type", (type, id) => types[id] ?? type),
    });
}

/** The model with another end token. */
export function withEos(gguf: Gguf, eos: number): Gguf {
    return withMetadata(gguf, { "tokenizer.ggml.eos_token_id": { type: "uint32", value: eos } });
}

/**
 * The vocabulary of every byte and a few words, for models whose tokenizer is of GPT-2's kind.
 *
 * @param pre - how texts are split into words: a name that llama.cpp knows
 */
export function byteLevelVocabulary(gguf: Gguf, pre: string): Gguf {
    // GPT-2 writes bytes that cannot be seen as the characters from U+0100 on.
    let invisible = 256;
    const isVisible = (byte: number): boolean =>
        byte > 32 && byte !== 127 && (byte < 127 || byte > 160) && byte !== 173;
    const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isVisible(byte) ? byte : invisible++));
    const tokens = ["<s>", "</s>", ...bytes, "aa", "\u0120a", "\u2581"];
    const strings = (value: string[]): MetadataValue => ({ type: "array", of: "string", value });
    const others = [...gguf.metadata.keys()].filter((key) => key.startsWith("tokenizer."));
    return withMetadata(gguf, {
        ...Object.fromEntries(others.map((key) => [key, undefined])),
        "tokenizer.ggml.model": { type: "string", value: "gpt2" },
        "tokenizer.ggml.pre": { type: "string", value: pre },
        "tokenizer.ggml.tokens": strings(tokens),
        "tokenizer.ggml.token_type": { type: "array", of: "int32", value: tokens.map((_, id) => (id < 2 ? 3 : 1)) },
        "tokenizer.ggml.merges": strings(["a a", "\u0120 a"]),
        "tokenizer.ggml.bos_token_id": { type: "uint32", value: 0 },
        "tokenizer.ggml.eos_token_id": { type: "uint32", value: 1 },
    });
}
