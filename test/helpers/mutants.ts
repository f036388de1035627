/** Models of all architectures, damaged by rule at random places; the same ones for the same seed. */

import { serializeHeader, splitGguf, type Gguf, type MetadataValue, type Scalar, type Tensor } from "./gguf.js";
import type { DamagedFile } from "./damage.js";
import { uniforms } from "./statistics.js";

/** Bytes of 32 elements, by ggml's numbers of types: F32, F16, Q4_0, Q8_0, Q8_1, Q4_K, IQ2_XXS, I8, I16, I32, I64, F64, BF16. */
const BYTES_PER_32: Readonly<Record<number, number>> = {
    ...{ 0: 128, 1: 64, 2: 18, 8: 34, 9: 36, 12: 18, 16: 8.25, 24: 32, 25: 64, 26: 128, 27: 256, 28: 256, 30: 64 },
};
const INTEGERS = [0, 1, 2, 3, 7, 33, 100, 1000, 100_000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const FLOATS = [0, -1, 1e-30, 1e30, NaN, Infinity];
const TOKENIZERS = ["gpt2", "bert", "t5", "rwkv", "plamo2", "gemma4", "none", "no_vocab", "test", "hybriddna", "?"];

/** @returns one file, or the parts of a split model, whose names begin with `name` */
export function mutate(name: string, gguf: Gguf, seed: number): DamagedFile[] {
    const uniform = uniforms(seed);
    const below = (limit: number): number => Math.floor(uniform() * limit);
    const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
    const metadata = new Map(gguf.metadata);
    const tensors = [...gguf.tensors];

    const changeEntry = (): void => {
        const [key, entry] = pick([...metadata].filter(([key]) => key !== "general.architecture"));
        const kind = below(8);
        if (kind === 0) metadata.delete(key);
        else if (kind === 1) metadata.set(key, { type: "string", value: "0" });
        else if (kind === 2) metadata.set(key, { type: "uint64", value: pick(INTEGERS) });
        else if (kind === 3) metadata.set(key, { type: "array", of: "uint32", value: INTEGERS.slice(0, below(5)) });
        else metadata.set(key, damaged(entry));
    };
    const damaged = (entry: MetadataValue): MetadataValue => {
        if (entry.type !== "array") return { ...entry, value: damagedScalar(entry.type, entry.value) };
        if (entry.value.length === 0 || below(3) === 0) return { ...entry, value: entry.value.slice(0, below(8)) };
        const values = [...entry.value];
        for (let changes = 1 + below(3); changes > 0; changes--) {
            const at = below(values.length);
            values[at] = damagedScalar(entry.of, values[at] as Scalar);
        }
        return { ...entry, value: values };
    };
    const damagedScalar = (type: string, value: Scalar): Scalar => {
        if (type === "string") return pick(["", "?", "x".repeat(10_000), ...TOKENIZERS]);
        if (type === "bool") return value !== true;
        if (type.startsWith("float")) return pick(FLOATS);
        return type === "int32" ? pick([...INTEGERS.slice(0, 10), -1, -100]) : pick(INTEGERS);
    };
    const changeTensor = (): void => {
        const at = below(tensors.length);
        const tensor = tensors[at] as Tensor;
        const replace = (changes: Partial<Tensor>): void => {
            const changed = { ...tensor, ...changes };
            const elements = changed.shape.reduce((product, size) => product * size, 1);
            const bytes = Math.ceil((elements / 32) * (BYTES_PER_32[changed.type] ?? 128));
            tensors[at] = { ...changed, data: Buffer.alloc(bytes < 2 ** 26 ? bytes : 64) };
        };
        const kind = below(8);
        if (kind === 0) tensors.splice(at, 1);
        else if (kind === 1) replace({ shape: [...tensor.shape].reverse() });
        else if (kind === 2) replace({ shape: [...tensor.shape, 2] });
        else if (kind === 3) replace({ shape: tensor.shape.slice(0, 1) });
        else if (kind === 4) replace({ shape: tensor.shape.map((size, d) => (d === 0 ? Math.ceil(size / 2) : size)) });
        else replace({ type: Number(pick(Object.keys(BYTES_PER_32))) });
    };
    const changeVocabulary = (): void => {
        metadata.set("tokenizer.ggml.model", { type: "string", value: pick(TOKENIZERS) });
        if (below(3) === 0) metadata.delete(pick([...metadata.keys()].filter((key) => key.startsWith("tokenizer."))));
    };

    for (let changes = 1 + below(2); changes > 0; changes--) {
        const kind = uniform();
        if (kind < 0.5) changeEntry();
        else if (kind < 0.9) changeTensor();
        else changeVocabulary();
    }
    const changed: Gguf = { metadata, tensors };
    const parts =
        uniform() < 0.1 && tensors.length > 2 ? splitGguf(changed, [1 + below(tensors.length - 1)]) : [changed];
    return parts.map((part, index) => ({
        name: parts.length === 1 ? `${name}.gguf` : `${name}-0000${index + 1}-of-0000${parts.length}.gguf`,
        ...serializeHeader(part),
    }));
}
