/** LoRA adapters with random weights, and models that they are merged into. */

import { fromFloat32, GGML_TYPE, readWeights, type Gguf, type Tensor } from "./gguf.js";
import { normalRow } from "./statistics.js";

interface LoraOptions {
    readonly rank: number;
    /** The update is scaled by alpha / rank. Default: the rank. */
    readonly alpha?: number;
    /** Matrices that it changes. Default: the query and value projections. */
    readonly targets?: RegExp;
    /** Standard deviation of the entries of both factors. Default 0.1. */
    readonly deviation?: number;
}

/** For each target of shape [n, m]: `lora_a` [n, rank] and `lora_b` [rank, m], as llama.cpp wants them. */
export function loraAdapter(base: Gguf, options: LoraOptions): Gguf {
    const { rank, alpha = rank, targets = /attn_[qv]\.weight$/, deviation = 0.1 } = options;
    const factor = (name: string, shape: readonly [number, number], seed: number): Tensor => ({
        name,
        shape,
        type: GGML_TYPE.f32,
        data: fromFloat32(normalRow(seed, shape[0] * shape[1], deviation)),
    });
    const { value: architecture } = base.metadata.get("general.architecture") ?? { value: "" };
    return {
        metadata: new Map([
            ["general.type", { type: "string", value: "adapter" }],
            ["general.architecture", { type: "string", value: String(architecture) }],
            ["adapter.type", { type: "string", value: "lora" }],
            ["adapter.lora.alpha", { type: "float32", value: alpha }],
        ]),
        tensors: base.tensors
            .filter(({ name }) => targets.test(name))
            .flatMap(({ name, shape: [inputs = 0, outputs = 0] }, index) => [
                factor(`${name}.lora_a`, [inputs, rank], 2 * index),
                factor(`${name}.lora_b`, [rank, outputs], 2 * index + 1),
            ]),
    };
}

/** The base with the adapter's update in its weights, W + scale * alpha / rank * B A, as float32. */
export function mergeAdapter(base: Gguf, adapter: Gguf, scale: number): Gguf {
    const { value: alpha } = adapter.metadata.get("adapter.lora.alpha") ?? { value: NaN };
    const factors = new Map(adapter.tensors.map((tensor) => [tensor.name, tensor]));
    return {
        ...base,
        tensors: base.tensors.map((tensor) => {
            const [a, b] = [factors.get(`${tensor.name}.lora_a`), factors.get(`${tensor.name}.lora_b`)];
            if (a === undefined || b === undefined) return tensor;
            const [inputs = 0, rank = 0] = a.shape;
            const [rowsA, rowsB] = [readWeights(a.type, a.data), readWeights(b.type, b.data)];
            const weights = readWeights(tensor.type, tensor.data).map((weight, at) => {
                const [output, input] = [Math.floor(at / inputs), at % inputs];
                let update = 0;
                for (let r = 0; r < rank; r++) {
                    update += (rowsB[output * rank + r] ?? NaN) * (rowsA[r * inputs + input] ?? NaN);
                }
                return weight + ((scale * Number(alpha)) / rank) * update;
            });
            return { ...tensor, type: GGML_TYPE.f32, data: fromFloat32(weights) };
        }),
    };
}
