/** Small models of every architecture that llama.cpp knows, without weights; scripts/list-architectures.mjs has listed them. */

import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { repository } from "./demo.js";
import { GGML_TYPE, type Gguf, type MetadataValue, type Scalar, type ScalarType } from "./gguf.js";

interface Listed {
    /** The architecture, and `-dense` or `-moe`. */
    readonly name: string;
    readonly metadata: readonly (readonly [string, ScalarType, Scalar] | readonly [string, [ScalarType], Scalar[]])[];
    /** Name, type (0 or 1), shape. */
    readonly tensors: readonly (readonly [string, number, ...number[]])[];
}

/** Names of all that llama.cpp can be made to load, with their models. */
export function listArchitectures(): ReadonlyMap<string, () => Gguf> {
    const file = path.join(repository, "test", "fixtures", "architectures.json.gz");
    const listed = JSON.parse(gunzipSync(readFileSync(file)).toString()) as Listed[];
    return new Map(listed.map((model) => [model.name, () => build(model)]));
}

function build({ metadata, tensors }: Listed): Gguf {
    const entries = metadata.map(([key, type, value]): [string, MetadataValue] => [
        key,
        typeof type === "string" ? { type, value: value } : { type: "array", of: type[0], value: value },
    ]);
    const size = Number(entries.find(([key]) => key.endsWith(".vocab_size"))?.[1].value);
    return {
        metadata: new Map([...entries, ...vocabulary(size)]),
        tensors: tensors.map(([name, type, ...shape]) => ({
            name,
            type,
            shape,
            data: zeros(type, shape),
        })),
    };
}

/** Which path a computation takes does not depend on weights, and files of zeros take no room on the disk. */
function zeros(type: number, shape: readonly number[]): Buffer {
    return Buffer.alloc((type === GGML_TYPE.f32 ? 4 : 2) * shape.reduce((product, size) => product * size, 1));
}

/** SentencePiece's: an unknown, a beginning and an end, all bytes, the letters, and words that nobody says. */
function vocabulary(size: number): [string, MetadataValue][] {
    const byte = (id: number): string => `<0x${(id - 3).toString(16).toUpperCase().padStart(2, "0")}>`;
    const letters = ["\u2581", ..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];
    const texts = Array.from({ length: size }, (_, id) =>
        id < 3 ? (["<unk>", "<s>", "</s>"][id] ?? "") : id < 259 ? byte(id) : (letters[id - 259] ?? `word${id}`),
    );
    const array = (of: ScalarType, value: Scalar[]): MetadataValue => ({ type: "array", of, value });
    const number = (value: number): MetadataValue => ({ type: "uint32", value });
    const kind = (id: number): number => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
    return [
        ["tokenizer.ggml.model", { type: "string", value: "llama" }],
        ["tokenizer.ggml.tokens", array("string", texts)],
        [
            "tokenizer.ggml.scores",
            array(
                "float32",
                texts.map((_, id) => -id),
            ),
        ],
        [
            "tokenizer.ggml.token_type",
            array(
                "int32",
                texts.map((_, id) => kind(id)),
            ),
        ],
        ["tokenizer.ggml.bos_token_id", number(1)],
        ["tokenizer.ggml.eos_token_id", number(2)],
        ["tokenizer.ggml.unknown_token_id", number(0)],
    ];
}
