/** Damaged variants of a GGUF file, the same ones every time. */

import {
    mapEntry,
    serializeHeader,
    withMetadata,
    type Gguf,
    type MetadataValue,
    type Scalar,
    type Tensor,
} from "./gguf.js";
import { uniforms } from "./statistics.js";

export interface DamagedFile {
    readonly name: string;
    /** The beginning of the file. */
    readonly header: Buffer;
    /** Bytes of the whole file; what follows the header is zero. */
    readonly size: number;
}

const HUGE = [0xff, 0x7f, 0x80, 0x00] as const;

/** `count` files: truncated, with flipped bits, with numbers overwritten, mostly where the header is densest. */
export function damageBytes(gguf: Gguf, seed: number, count: number): DamagedFile[] {
    const { header: whole, size } = serializeHeader(gguf);
    const uniform = uniforms(seed);
    const integer = (limit: number): number => Math.floor(uniform() * limit);
    // The table of tokens in the middle is most of the header; the interesting parts are before and behind it.
    const place = (): number => {
        const [front, back] = [1024, 4096];
        const where = uniform();
        if (where < 0.5) return integer(Math.min(front, whole.length));
        return where < 0.9 ? Math.max(0, whole.length - back) + integer(back) : integer(whole.length);
    };
    return Array.from({ length: count }, (_, index) => {
        const header = Buffer.from(whole);
        const name = (what: string): string => `${String(seed)}-${String(index).padStart(3, "0")}-${what}`;
        const kind = integer(4);
        if (kind === 0) {
            const end = uniform() < 0.7 ? place() : integer(size);
            return { name: name("truncated"), header: header.subarray(0, end), size: end };
        }
        if (kind === 1) {
            for (let flips = 1 + integer(4); flips > 0; flips--) {
                const at = place();
                header[at] = (header[at] ?? 0) ^ (1 << integer(8));
            }
            return { name: name("flipped"), header, size };
        }
        const width = kind === 2 ? 4 : 8;
        const at = Math.min(place(), whole.length - width);
        header.fill(HUGE[integer(HUGE.length)] ?? 0, at, at + width);
        return { name: name(`overwritten-${at}`), header, size };
    });
}

/** Bytes of 32 elements by ggml's tensor type: F32, F16, BF16, Q8_0, I8, I16, I32, I64, F64. */
const BYTES_PER_32 = { 0: 128, 1: 64, 30: 64, 8: 34, 24: 32, 25: 64, 26: 128, 27: 256, 28: 256 };

/** Every number of the metadata with values that make no sense, and every entry missing or of another type. */
export function damageMetadata(gguf: Gguf): DamagedFile[] {
    const variants: [string, MetadataValue | undefined][] = [];
    for (const [key, entry] of gguf.metadata) {
        variants.push([key, undefined], [key, { type: "string", value: "0" }]);
        if (entry.type === "uint32") {
            for (const value of [0, 1, 3, 1000, 2 ** 31 - 1, 2 ** 32 - 1]) variants.push([key, { ...entry, value }]);
        }
        if (entry.type === "float32") {
            for (const value of [0, -1, NaN, Infinity]) variants.push([key, { ...entry, value }]);
        }
        if (entry.type === "array") {
            variants.push([key, { ...entry, value: [] }], [key, { ...entry, value: entry.value.slice(0, 7) }]);
        }
    }
    return variants.map(([key, value], index) => {
        const what = value === undefined ? "missing" : value.type === "array" ? "short" : String(value.value);
        return toFile(`meta-${String(index).padStart(3, "0")}-${key}-${what}`, withMetadata(gguf, { [key]: value }));
    });
}

/** Entries that Llama models usually lack, with values that make no sense. */
export function addMetadata(gguf: Gguf): DamagedFile[] {
    const integers = [0, 1, 33, 2 ** 31 - 1, 2 ** 32 - 1];
    const floats = [0, -1, NaN, Infinity];
    const add = (key: string, value: MetadataValue): DamagedFile =>
        toFile(`added-${key}-${String(value.value)}`, withMetadata(gguf, { [key]: value }));
    return [
        ...EXTRA_INTEGERS.flatMap((key) => integers.map((value) => add(`llama.${key}`, { type: "uint32", value }))),
        ...EXTRA_FLOATS.flatMap((key) => floats.map((value) => add(`llama.${key}`, { type: "float32", value }))),
    ];
}

const EXTRA_INTEGERS = [
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "attention.temperature_length",
    "expert_count",
    "expert_used_count",
    "expert_group_count",
    "leading_dense_block_count",
    "nextn_predict_layers",
    "pooling_type",
    "rope.dimension_count_swa",
    "rope.scaling.original_context_length",
];
const EXTRA_FLOATS = [
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.scale",
    "attn_logit_softcapping",
    "embedding_scale",
    "final_logit_softcapping",
    "logit_scale",
    "residual_scale",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
    "rope.scaling.yarn_log_multiplier",
];

/** Vocabularies of other kinds, and with entries that make no sense. */
export function damageVocabulary(gguf: Gguf): DamagedFile[] {
    const change = (name: string, changes: Record<string, MetadataValue | undefined>): DamagedFile =>
        toFile(
            `vocabulary-${name}`,
            withMetadata(
                gguf,
                Object.fromEntries(Object.entries(changes).map(([key, value]) => [`tokenizer.ggml.${key}`, value])),
            ),
        );
    const each = (key: string, replace: (value: Scalar, index: number) => Scalar): Record<string, MetadataValue> => ({
        [key]: mapEntry(gguf, `tokenizer.ggml.${key}`, replace),
    });
    const merges = (...pairs: string[]): MetadataValue => ({ type: "array", of: "string", value: pairs });
    return [
        ...["gpt2", "bert", "t5", "rwkv", "plamo2", "none", "no_vocab", "unheard of", ""].map((model) =>
            change(`model-${model}`, { model: { type: "string", value: model } }),
        ),
        ...["llama-bpe", "default", "unheard of"].map((pre) =>
            change(`gpt2-${pre}`, {
                model: { type: "string", value: "gpt2" },
                pre: { type: "string", value: pre },
                merges: merges("L i", "a", "", "m a", "no\u0000 thing"),
            }),
        ),
        change(
            "all-the-same",
            each("tokens", () => "same"),
        ),
        change(
            "all-empty",
            each("tokens", () => ""),
        ),
        change(
            "no-bytes",
            each("tokens", (text, id) => (id >= 5 && id < 261 ? `nothing${id}` : text)),
        ),
        change(
            "no-byte-types",
            each("token_type", () => 1),
        ),
        change(
            "all-control",
            each("token_type", () => 3),
        ),
        change(
            "all-unused",
            each("token_type", () => 5),
        ),
        change(
            "types-out-of-range",
            each("token_type", (_, id) => (id % 2 === 0 ? 99 : -1)),
        ),
        change(
            "scores-nan",
            each("scores", () => NaN),
        ),
        change(
            "scores-infinite",
            each("scores", (_, id) => (id % 2 === 0 ? Infinity : -Infinity)),
        ),
        change(
            "long-tokens",
            each("tokens", (text, id) => (id === 300 ? "x".repeat(100_000) : text)),
        ),
        change("wrong-element-types", {
            token_type: { type: "array", of: "float64", value: new Array<number>(2048).fill(1) },
        }),
        ...["eot", "eom", "seperator", "padding", "unknown", "prefix", "fim_pre"].map((name) =>
            change(`${name}-out-of-range`, { [`${name}_token_id`]: { type: "uint32", value: 2 ** 32 - 1 } }),
        ),
    ];
}

/** The model under the name of other architectures, which read other entries and want other tensors. */
export function renameArchitecture(gguf: Gguf, architectures: readonly string[]): DamagedFile[] {
    return architectures.map((architecture) => {
        const renamed = [...gguf.metadata].map(
            ([key, value]) => [key.replace(/^llama\./, `${architecture}.`), value] as const,
        );
        const metadata = new Map(renamed).set("general.architecture", { type: "string", value: architecture });
        return toFile(`architecture-${architecture}-`, { ...gguf, metadata });
    });
}

const MATRICES_AND_A_NORM = [
    "token_embd.weight",
    "output.weight",
    "output_norm.weight",
    "blk.0.attn_q.weight",
    "blk.0.attn_v.weight",
];

/** Tensors that are missing, of another shape, of another type. */
export function damageTensors(gguf: Gguf, names: readonly string[] = MATRICES_AND_A_NORM): DamagedFile[] {
    const change = (name: string, what: string, replace: (tensor: Tensor) => Tensor[]): DamagedFile =>
        toFile(`tensor-${name}-${what}`, {
            ...gguf,
            tensors: gguf.tensors.flatMap((tensor) => (tensor.name === name ? replace(tensor) : [tensor])),
        });
    return names.flatMap((name) => [
        change(name, "missing", () => []),
        change(name, "twice", (tensor) => [tensor, tensor]),
        change(name, "transposed", (tensor) => [{ ...tensor, shape: [...tensor.shape].reverse() }]),
        change(name, "halved", (tensor) => [
            { ...tensor, shape: [(tensor.shape[0] ?? 2) / 2, ...tensor.shape.slice(1)] },
        ]),
        change(name, "zero", (tensor) => [{ ...tensor, shape: [0, ...tensor.shape.slice(1)] }]),
        change(name, "huge", (tensor) => [{ ...tensor, shape: [2 ** 40, ...tensor.shape.slice(1)] }]),
        change(name, "five-dimensional", (tensor) => [{ ...tensor, shape: [...tensor.shape, 1, 1, 1] }]),
        change(name, "without-dimensions", (tensor) => [{ ...tensor, shape: [] }]),
        change(name, "unknown-type", (tensor) => [{ ...tensor, type: 1000 }]),
        // Consistent in itself: the right number of bytes for the type.
        ...Object.entries(BYTES_PER_32).map(([type, bytes]) =>
            change(name, `type-${type}`, (tensor) => {
                const elements = tensor.shape.reduce((product, size) => product * size, 1);
                return [{ ...tensor, type: Number(type), data: Buffer.alloc((bytes * elements) / 32) }];
            }),
        ),
    ]);
}

function toFile(name: string, gguf: Gguf): DamagedFile {
    return { name, ...serializeHeader(gguf) };
}
