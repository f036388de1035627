// Writes GGUF models with random weights for the benchmarks: `large` has the shape of a 1.1B Llama in Q4_0, `small-base`
// and `small-chat` have 134M parameters in Q8_0 and differ by a little noise, as a base and its fine-tune do. They say
// nothing sensible, and cost what trained models of their shape cost. The same seed gives the same bytes.
//
//   node scripts/make-bench-models.mjs [folder]          (default: models/bench, 0.9 GB)

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { array, bool, encodeMetadata, float32, int32, text, uint32, writeGguf } from "./gguf.mjs";
import { projectRoot } from "./llama-source.mjs";
import { FORMATS, randomBlocks } from "./random-weights.mjs";

const VOCABULARY_SIZE = 32_000;
const CONTEXT_SIZE = 2048;
/** Standard deviation of the logits: a distribution about as flat as that of a language model in mid-sentence. */
const LOGIT_DEVIATION = 3;

const MODELS = [
    { name: "large", seed: 1, type: "Q4_0", layers: 22, width: 2048, feedForward: 5632, heads: 32, cacheHeads: 4 },
    { name: "small-base", seed: 2, type: "Q8_0", layers: 12, width: 768, feedForward: 2048, heads: 12, cacheHeads: 12 },
    { name: "small-chat", tunedFrom: "small-base" },
];

/** Tensors of a Llama, with weights scaled so that activations keep their size through all layers. */
function listTensors({ layers, width, feedForward, heads, cacheHeads }) {
    const cacheWidth = (width / heads) * cacheHeads;
    const residual = 1 / Math.sqrt(2 * layers);
    const matrix = (name, columns, rows, deviation) => ({ name, shape: [columns, rows], deviation });
    const norm = (name) => ({ name, shape: [width] });
    const layer = (i) => [
        norm(`blk.${i}.attn_norm.weight`),
        matrix(`blk.${i}.attn_q.weight`, width, width, width ** -0.5),
        matrix(`blk.${i}.attn_k.weight`, width, cacheWidth, width ** -0.5),
        matrix(`blk.${i}.attn_v.weight`, width, cacheWidth, width ** -0.5),
        matrix(`blk.${i}.attn_output.weight`, width, width, residual * width ** -0.5),
        norm(`blk.${i}.ffn_norm.weight`),
        matrix(`blk.${i}.ffn_gate.weight`, width, feedForward, width ** -0.5),
        matrix(`blk.${i}.ffn_up.weight`, width, feedForward, width ** -0.5),
        matrix(`blk.${i}.ffn_down.weight`, feedForward, width, residual * feedForward ** -0.5),
    ];
    return [
        matrix("token_embd.weight", width, VOCABULARY_SIZE, 1),
        ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
        norm("output_norm.weight"),
        matrix("output.weight", width, VOCABULARY_SIZE, LOGIT_DEVIATION * width ** -0.5),
    ];
}

function listMetadata(model) {
    const { tokens, scores, types } = vocabulary();
    const llama = {
        context_length: uint32(CONTEXT_SIZE),
        embedding_length: uint32(model.width),
        block_count: uint32(model.layers),
        feed_forward_length: uint32(model.feedForward),
        vocab_size: uint32(VOCABULARY_SIZE),
        "rope.dimension_count": uint32(model.width / model.heads),
        "attention.head_count": uint32(model.heads),
        "attention.head_count_kv": uint32(model.cacheHeads),
        "attention.layer_norm_rms_epsilon": float32(1e-5),
    };
    return {
        "general.architecture": text("llama"),
        "general.type": text("model"),
        "general.name": text(`random ${model.name}`),
        "general.file_type": uint32(FORMATS[model.type].fileType),
        "general.quantization_version": uint32(2),
        ...Object.fromEntries(Object.entries(llama).map(([key, value]) => [`llama.${key}`, value])),
        "tokenizer.ggml.model": text("llama"),
        "tokenizer.ggml.tokens": array(tokens.map(text)),
        "tokenizer.ggml.scores": array(scores.map(float32)),
        "tokenizer.ggml.token_type": array(types.map(int32)),
        "tokenizer.ggml.bos_token_id": uint32(1),
        "tokenizer.ggml.eos_token_id": uint32(2),
        "tokenizer.ggml.unknown_token_id": uint32(0),
        "tokenizer.ggml.add_bos_token": bool(true),
    };
}

/** A SentencePiece table: control tokens, bytes, then letters and all groups of two and three of them. */
function vocabulary() {
    const letters = [..."abcdefghijklmnopqrstuvwxyz"];
    const join = (heads, tails) => heads.flatMap((head) => tails.map((tail) => head + tail));
    const pairs = join(letters, letters);
    const triples = join(pairs, letters);
    // SentencePiece writes a space as U+2581, and spaces belong to the word after them.
    const starts = (pieces) => join(["\u2581"], pieces);
    const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
    const special = ["<unk>", "<s>", "</s>"];
    const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
    const pieces = [
        "\u2581",
        ...printable,
        ...starts(letters),
        ...pairs,
        ...starts(pairs),
        ...starts(triples),
        ...triples,
    ];
    const tokens = [...special, ...bytes, ...pieces].slice(0, VOCABULARY_SIZE);
    const isPiece = (i) => i >= special.length + bytes.length;
    const [UNKNOWN, NORMAL, CONTROL, BYTE] = [2, 1, 3, 6];
    return {
        tokens,
        // The tokenizer joins the pair of the highest score first.
        scores: tokens.map((_, i) => (isPiece(i) ? -i : 0)),
        types: tokens.map((_, i) => (isPiece(i) ? NORMAL : i >= special.length ? BYTE : i === 0 ? UNKNOWN : CONTROL)),
    };
}

const F32 = 0;

function writeModel(file, model) {
    const format = FORMATS[model.type];
    const tensors = listTensors(model).map(({ name, shape, deviation }, index) => {
        const elements = shape.reduce((product, size) => product * size, 1);
        if (deviation === undefined) {
            return { name, shape, type: F32, size: 4 * elements, read: () => [new Float32Array(elements).fill(1)] };
        }
        const seeds = { seed: model.seed * 10_007 + index + 1 };
        if (model.noiseSeed !== undefined) seeds.noiseSeed = model.noiseSeed * 10_007 + index + 1;
        return {
            ...{ name, shape, type: format.id, size: (elements / 32) * format.blockBytes },
            read: () => randomBlocks({ format, elements, deviation, ...seeds }),
        };
    });
    return writeGguf(file, encodeMetadata(listMetadata(model)), tensors);
}

const folder = path.resolve(process.argv[2] ?? path.join(projectRoot, "models", "bench"));
await mkdir(folder, { recursive: true });
for (const { name, tunedFrom, ...shape } of MODELS) {
    const base = MODELS.find((model) => model.name === tunedFrom);
    const file = path.join(folder, `${name}.gguf`);
    await writeModel(file, base === undefined ? { name, ...shape } : { ...base, name, noiseSeed: 3 });
    console.log(file);
}
