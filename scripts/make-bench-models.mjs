// Writes GGUF models with random weights for the benchmarks: `large` has the shape of a 1.1B Llama in Q4_0, `small-base`
// and `small-chat` have 134M parameters in Q8_0 and differ by a little noise, as a base and its fine-tune do. They say
// nothing sensible, and cost what trained models of their shape cost. The same seed gives the same bytes.
//
//   node scripts/make-bench-models.mjs [folder]          (default: models/bench, 0.9 GB)
//
// Other models are named by shape, format and vocabulary, with a number where several of a kind are wanted. Their weights come
// from a pool of random numbers that is used over and over, so that a disk is what it takes time for:
//
//   node scripts/make-bench-models.mjs models/bench 7b-f16-32000 1.1b-q8_0-128256 1.1b-q8_0-128256-2

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { array, bool, encodeMetadata, float32, int32, text, uint32, writeGguf } from "./gguf.mjs";
import { projectRoot } from "./llama-source.mjs";
import { FORMATS, pooledBlocks, randomBlocks } from "./random-weights.mjs";

const VOCABULARY_SIZE = 32_000;
const CONTEXT_SIZE = 2048;
/** Standard deviation of the logits: a distribution about as flat as that of a language model in mid-sentence. */
const LOGIT_DEVIATION = 3;

/** Shapes of Llamas, by their parameters with a vocabulary of 32,000. */
const SHAPES = {
    "7b": { layers: 32, width: 4096, feedForward: 11_008, heads: 32, cacheHeads: 32 },
    "1.1b": { layers: 22, width: 2048, feedForward: 5632, heads: 32, cacheHeads: 4 },
    "134m": { layers: 12, width: 768, feedForward: 2048, heads: 12, cacheHeads: 12 },
    "123m": { layers: 5, width: 1024, feedForward: 2816, heads: 8, cacheHeads: 8 },
    "19m": { layers: 3, width: 256, feedForward: 704, heads: 4, cacheHeads: 4 },
    // Hardly more than a vocabulary.
    tiny: { layers: 1, width: 64, feedForward: 128, heads: 1, cacheHeads: 1 },
};
const SMALL = { seed: 2, type: "Q8_0", ...SHAPES["134m"], vocabularySize: VOCABULARY_SIZE };
const MODELS = [
    { name: "large", seed: 1, type: "Q4_0", ...SHAPES["1.1b"], vocabularySize: VOCABULARY_SIZE },
    { name: "small-base", ...SMALL },
    { name: "small-chat", ...SMALL, noiseSeed: 3 },
];

/** What {@link writeBenchModel} takes, for a name like `7b-f16-32000` or `1.1b-q8_0-128256-2`. */
export function namedModel(name) {
    const [, shape, type, vocabulary, number = 1] = /^([\w.]+)-(\w+)-(\d+)(?:-(\d+))?$/.exec(name) ?? [];
    const format = type?.toUpperCase();
    if (!(shape in SHAPES) || !(format in FORMATS) || !(vocabulary >= 300 && vocabulary <= 400_000)) {
        throw new Error(
            `There is no model ${name}: a shape of ${Object.keys(SHAPES).join(", ")}, a format of ` +
                `${Object.keys(FORMATS).join(", ").toLowerCase()} and a vocabulary, as in 7b-f16-32000.`,
        );
    }
    return {
        name,
        seed: Number(number),
        type: format,
        ...SHAPES[shape],
        vocabularySize: Number(vocabulary),
        isPooled: true,
    };
}

/** Tensors of a Llama, with weights scaled so that activations keep their size through all layers. */
function listTensors({ layers, width, feedForward, heads, cacheHeads, vocabularySize }) {
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
        matrix("token_embd.weight", width, vocabularySize, 1),
        ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
        norm("output_norm.weight"),
        matrix("output.weight", width, vocabularySize, LOGIT_DEVIATION * width ** -0.5),
    ];
}

function listMetadata(model) {
    const { tokens, scores, types } = vocabulary(model.vocabularySize);
    const llama = {
        context_length: uint32(CONTEXT_SIZE),
        embedding_length: uint32(model.width),
        block_count: uint32(model.layers),
        feed_forward_length: uint32(model.feedForward),
        vocab_size: uint32(model.vocabularySize),
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

/** A SentencePiece table: control tokens, bytes, then letters and all groups of two, three and more of them. */
function vocabulary(size) {
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
    const some = [...special, ...bytes, ...pieces];
    // Most vocabularies end before groups of four.
    const tokens = (some.length < size ? some.concat(join(triples, letters)) : some).slice(0, size);
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

/** Writes a file as a whole, or nothing. @param model - {@link namedModel} */
export async function writeBenchModel(file, model) {
    await writeGguf(file, encodeMetadata(listMetadata(model)), describeTensors(model));
}

/** Bytes of the weights. */
export function benchModelBytes(model) {
    return describeTensors(model).reduce((sum, { size }) => sum + size, 0);
}

function describeTensors(model) {
    const format = FORMATS[model.type];
    const blocks = model.isPooled ? pooledBlocks : randomBlocks;
    return listTensors(model).map(({ name, shape, deviation }, index) => {
        const elements = shape.reduce((product, size) => product * size, 1);
        if (deviation === undefined) {
            return { name, shape, type: F32, size: 4 * elements, read: () => [new Float32Array(elements).fill(1)] };
        }
        const seeds = { seed: model.seed * 10_007 + index + 1 };
        if (model.noiseSeed !== undefined) seeds.noiseSeed = model.noiseSeed * 10_007 + index + 1;
        return {
            ...{ name, shape, type: format.id, size: (elements / 32) * format.blockBytes },
            read: () => blocks({ format, elements, deviation, ...seeds }),
        };
    });
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const [to = path.join(projectRoot, "models", "bench"), ...names] = process.argv.slice(2);
    const models = names.length > 0 ? names.map(namedModel) : MODELS;
    const folder = path.resolve(to);
    await mkdir(folder, { recursive: true });
    for (const model of models) {
        const file = path.join(folder, `${model.name}.gguf`);
        await writeBenchModel(file, model);
        console.log(file);
    }
}
