/** Models of any architecture with the vocabulary of the demo family and random weights: what they say means nothing, and differs. */

import { listArchitectures } from "./architectures.js";
import { demoFile } from "./demo.js";
import { fromFloat32, GGML_TYPE, readGguf, withMetadata, type Gguf, type Tensor } from "./gguf.js";

/** Numbers that models of this size are trained to, about: logits differ by some units. */
const EMBEDDING_DEVIATION = 0.15;
/** Of all that are listed. */
const EMBEDDING_SIZE = 256;

let architectures: ReturnType<typeof listArchitectures> | undefined;

/**
 * @param name - one of {@link listArchitectures}
 * @param seed - other models have other weights
 */
export function randomModel(name: string, seed = 1): Gguf {
    architectures ??= listArchitectures();
    const build = architectures.get(name);
    if (build === undefined) throw new Error(`There is no list of the tensors of ${name}.`);
    const model = build();
    const { metadata } = readGguf(demoFile("small-chat"));
    const tokens = metadata.get("tokenizer.ggml.tokens");
    const vocabularySize = tokens?.type === "array" ? tokens.value.length : 0;
    const architecture = String(model.metadata.get("general.architecture")?.value);
    const { metadata: entries } = withMetadata(model, {
        [`${architecture}.vocab_size`]: { type: "uint32", value: vocabularySize },
        [`${architecture}.context_length`]: { type: "uint32", value: 1024 },
    });
    for (const key of [...entries.keys()]) if (key.startsWith("tokenizer.")) entries.delete(key);
    for (const [key, value] of metadata) if (key.startsWith("tokenizer.")) entries.set(key, value);
    const tensors = [...model.tensors, ...model.tensors.flatMap(missingBeside(architecture))].map(
        ({ name, shape: listed }, index): Tensor => {
            const isTable = /^(token_embd|output)\.weight$/.test(name);
            const shape = isTable ? [listed[0] ?? 0, vocabularySize] : listed;
            const weights = randomWeights(name, shape, 1000 * seed + index);
            return { name, shape, type: GGML_TYPE.f32, data: fromFloat32(weights) };
        },
    );
    return { metadata: entries, tensors };
}

/** Tensors that llama.cpp loads a model without, and then cannot do without; the list has only those that it asks for. */
function missingBeside(architecture: string): (tensor: Tensor) => Pick<Tensor, "name" | "shape">[] {
    return ({ name, shape: [, channels = 0] }) => {
        const [, layer] = /^(blk\.\d+\.)ssm_conv1d\.weight$/.exec(name) ?? [];
        if (layer === undefined) return [];
        if (/^(granitehybrid|falcon-h1|nemotron_h)/.test(architecture))
            return [{ name: `${layer}ssm_conv1d.bias`, shape: [channels] }];
        if (!/^qwen3(5|next)/.test(architecture)) return [];
        return [
            { name: `${layer}attn_qkv.weight`, shape: [EMBEDDING_SIZE, channels] },
            { name: `${layer}attn_gate.weight`, shape: [EMBEDDING_SIZE, EMBEDDING_SIZE] },
        ];
    };
}

function randomWeights(name: string, shape: readonly number[], seed: number): Float32Array {
    const size = shape.reduce((product, each) => product * each, 1);
    if (/norm(\.weight)?$|ssm_d$/.test(name)) return new Float32Array(size).fill(1);
    // Rates at which states decay.
    if (/ssm_a$/.test(name)) return uniformRow(seed, size, 0.2).map((value) => -Math.exp(value - 1));
    const deviation = /^(token_embd|output)\./.test(name) ? EMBEDDING_DEVIATION : 1 / Math.sqrt(shape[0] ?? 1);
    return uniformRow(seed, size, shape.length === 1 ? 0.1 : deviation);
}

/** Millions of numbers, so they come from the simplest of generators. */
function uniformRow(seed: number, length: number, deviation: number): Float32Array {
    let state = (seed * 2654435761 + 1) >>> 0;
    const [row, range] = [new Float32Array(length), deviation * Math.sqrt(12)];
    // Float32Array.from with a function takes several times as long.
    for (let index = 0; index < length; index++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        row[index] = range * (state / 2 ** 32 - 0.5);
    }
    return row;
}
