/**
 * Reading and writing GGUF files as a whole, so that tests can make variants of the demo family: with other metadata,
 * other weights, other types. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

import { readFileSync, writeFileSync } from "node:fs";

/** Types of metadata values, as GGUF numbers them. */
const SCALARS = [
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "float32",
    "bool",
    "string",
    "array",
    "uint64",
    "int64",
    "float64",
] as const;
export type ScalarType = Exclude<(typeof SCALARS)[number], "array">;
export type Scalar = number | bigint | boolean | string;

export type MetadataValue =
    | { readonly type: ScalarType; readonly value: Scalar }
    | { readonly type: "array"; readonly of: ScalarType; readonly value: Scalar[] };

/** ggml's numbers of the tensor types that the tests use. */
export const GGML_TYPE = { f32: 0, f16: 1, q8_0: 8 } as const;

export interface Tensor {
    readonly name: string;
    /** Fastest-changing dimension first. */
    readonly shape: readonly number[];
    readonly type: number;
    readonly data: Buffer;
}

export interface Gguf {
    readonly metadata: Map<string, MetadataValue>;
    readonly tensors: readonly Tensor[];
}

const MAGIC = 0x46554747;
const VERSION = 3;
const ALIGNMENT = 32;

export function readGguf(file: string): Gguf {
    const buffer = readFileSync(file);
    let at = 0;
    const take = (bytes: number): number => (at += bytes) - bytes;
    const readCount = (): number => Number(buffer.readBigUInt64LE(take(8)));
    const readString = (): string => {
        const length = readCount();
        return buffer.toString("utf8", take(length), at);
    };
    const readScalar = (type: ScalarType): Scalar => {
        switch (type) {
            case "uint8":
                return buffer.readUInt8(take(1));
            case "int8":
                return buffer.readInt8(take(1));
            case "uint16":
                return buffer.readUInt16LE(take(2));
            case "int16":
                return buffer.readInt16LE(take(2));
            case "uint32":
                return buffer.readUInt32LE(take(4));
            case "int32":
                return buffer.readInt32LE(take(4));
            case "float32":
                return buffer.readFloatLE(take(4));
            case "bool":
                return buffer.readUInt8(take(1)) === 1;
            case "string":
                return readString();
            case "uint64":
                return buffer.readBigUInt64LE(take(8));
            case "int64":
                return buffer.readBigInt64LE(take(8));
            case "float64":
                return buffer.readDoubleLE(take(8));
        }
    };
    const readType = (): (typeof SCALARS)[number] => {
        const type = SCALARS[buffer.readUInt32LE(take(4))];
        if (type === undefined) throw new Error(`${file} has a metadata value of an unknown type.`);
        return type;
    };
    const readValue = (): MetadataValue => {
        const type = readType();
        if (type !== "array") return { type, value: readScalar(type) };
        const of = readType() as ScalarType;
        return { type, of, value: Array.from({ length: readCount() }, () => readScalar(of)) };
    };

    if (buffer.readUInt32LE(take(4)) !== MAGIC || buffer.readUInt32LE(take(4)) !== VERSION) {
        throw new Error(`${file} is not a GGUF file of version ${VERSION}.`);
    }
    const tensorCount = readCount();
    const metadata = new Map(
        Array.from({ length: readCount() }, (): [string, MetadataValue] => [readString(), readValue()]),
    );
    const infos = Array.from({ length: tensorCount }, () => ({
        name: readString(),
        shape: Array.from({ length: buffer.readUInt32LE(take(4)) }, readCount),
        type: buffer.readUInt32LE(take(4)),
        offset: readCount(),
    }));
    const start = align(at);
    return {
        metadata,
        tensors: infos.map(({ name, shape, type, offset }) => ({
            name,
            shape,
            type,
            data: buffer.subarray(start + offset, start + offset + byteLength(type, shape)),
        })),
    };
}

/** What precedes the tensor data, padding included, and the size of the whole file. */
export function serializeHeader({ metadata, tensors }: Gguf): { header: Buffer; size: number } {
    const parts = [uint32(MAGIC), uint32(VERSION), count(tensors.length), count(metadata.size)];
    for (const [key, entry] of metadata) parts.push(string(key), encodeEntry(entry));
    let offset = 0;
    for (const { name, shape, type, data } of tensors) {
        parts.push(string(name), uint32(shape.length), ...shape.map(count), uint32(type), count(offset));
        offset += align(data.length);
    }
    const header = padded(Buffer.concat(parts));
    return { header, size: header.length + offset };
}

export function serializeGguf(gguf: Gguf): Buffer {
    return Buffer.concat([serializeHeader(gguf).header, ...gguf.tensors.map(({ data }) => padded(data))]);
}

// Entries are shared by the variants of a model, and one of them holds all its tokens.
const encoded = new WeakMap<MetadataValue, Buffer>();

function encodeEntry(entry: MetadataValue): Buffer {
    let bytes = encoded.get(entry);
    if (bytes === undefined) {
        const type = uint32(SCALARS.indexOf(entry.type));
        bytes =
            entry.type === "array"
                ? Buffer.concat([
                      type,
                      uint32(SCALARS.indexOf(entry.of)),
                      count(entry.value.length),
                      ...entry.value.map((value) => encodeScalar(entry.of, value)),
                  ])
                : Buffer.concat([type, encodeScalar(entry.type, entry.value)]);
        encoded.set(entry, bytes);
    }
    return bytes;
}

function encodeScalar(type: ScalarType, value: Scalar): Buffer {
    if (type === "string") return string(String(value));
    const bytes = Buffer.alloc(8);
    switch (type) {
        case "uint8":
            return bytes.subarray(0, bytes.writeUInt8(Number(value)));
        case "int8":
            return bytes.subarray(0, bytes.writeInt8(Number(value)));
        case "uint16":
            return bytes.subarray(0, bytes.writeUInt16LE(Number(value)));
        case "int16":
            return bytes.subarray(0, bytes.writeInt16LE(Number(value)));
        case "uint32":
            return bytes.subarray(0, bytes.writeUInt32LE(Number(value)));
        case "int32":
            return bytes.subarray(0, bytes.writeInt32LE(Number(value)));
        case "float32":
            return bytes.subarray(0, bytes.writeFloatLE(Number(value)));
        case "bool":
            return bytes.subarray(0, bytes.writeUInt8(value === true ? 1 : 0));
        case "uint64":
            return bytes.subarray(0, bytes.writeBigUInt64LE(BigInt(value)));
        case "int64":
            return bytes.subarray(0, bytes.writeBigInt64LE(BigInt(value)));
        case "float64":
            return bytes.subarray(0, bytes.writeDoubleLE(Number(value)));
    }
}

const uint32 = (value: number): Buffer => encodeScalar("uint32", value);
const count = (value: number): Buffer => encodeScalar("uint64", value);

function string(text: string): Buffer {
    const bytes = Buffer.from(text);
    return Buffer.concat([count(bytes.length), bytes]);
}

function padded(bytes: Buffer): Buffer {
    return Buffer.concat([bytes], align(bytes.length));
}

export function writeGguf(file: string, gguf: Gguf): void {
    writeFileSync(file, serializeGguf(gguf));
}

/** A copy with other metadata; undefined removes an entry. */
export function withMetadata(gguf: Gguf, changes: Readonly<Record<string, MetadataValue | undefined>>): Gguf {
    const metadata = new Map(gguf.metadata);
    for (const [key, value] of Object.entries(changes)) {
        if (value === undefined) metadata.delete(key);
        else metadata.set(key, value);
    }
    return { ...gguf, metadata };
}

/** The elements of an entry, to be changed in place before the file is written for the first time. */
export function metadataArray(gguf: Gguf, key: string): Scalar[] {
    const entry = gguf.metadata.get(key);
    if (entry?.type !== "array") throw new Error(`There is no array ${key}.`);
    return entry.value;
}

/** The entry, which has to be an array, with other elements. */
export function mapEntry(gguf: Gguf, key: string, replace: (value: Scalar, index: number) => Scalar): MetadataValue {
    const entry = gguf.metadata.get(key);
    if (entry?.type !== "array") throw new Error(`There is no array ${key}.`);
    return { ...entry, value: entry.value.map(replace) };
}

/** The same model with every weight as float32: nothing is rounded on the way, whatever the size of a batch. */
export function toFloat32(gguf: Gguf): Gguf {
    return {
        ...withMetadata(gguf, { "general.file_type": { type: "uint32", value: 0 } }),
        tensors: gguf.tensors.map(({ name, shape, type, data }) => ({
            name,
            shape,
            type: GGML_TYPE.f32,
            data: type === GGML_TYPE.f32 ? data : fromFloat32(readWeights(type, data)),
        })),
    };
}

/** Weights of a float32 or float16 tensor. */
export function readWeights(type: number, data: Buffer): Float32Array {
    if (type === GGML_TYPE.f32) return new Float32Array(new Uint8Array(data).buffer);
    if (type === GGML_TYPE.f16) return new Float32Array(new Uint16Array(new Uint8Array(data).buffer)).map(halfToFloat);
    throw new Error("Only float32 and float16 can be read.");
}

export function fromFloat32(weights: Float32Array): Buffer {
    return Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
}

function halfToFloat(bits: number): number {
    const sign = (bits & 0x8000) === 0 ? 1 : -1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function align(size: number): number {
    return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
}

function byteLength(type: number, shape: readonly number[]): number {
    const elements = shape.reduce((product, size) => product * size, 1);
    const bytesOf: Record<number, number> = {
        [GGML_TYPE.f32]: 4 * elements,
        [GGML_TYPE.f16]: 2 * elements,
        [GGML_TYPE.q8_0]: (34 * elements) / 32,
    };
    const bytes = bytesOf[type];
    if (bytes === undefined) throw new Error(`Tensor type ${type} is not one of those the tests use.`);
    return bytes;
}

/**
 * A model in parts, as llama.cpp's `llama-gguf-split` makes them.
 *
 * @param sizes - tensors of each part but the last, which has the rest
 */
export function splitGguf({ metadata, tensors }: Gguf, sizes: readonly number[]): Gguf[] {
    const ends = [
        ...sizes.map((_, index) => sizes.slice(0, index + 1).reduce((sum, size) => sum + size)),
        tensors.length,
    ];
    return ends.map((end, number) => ({
        metadata: new Map<string, MetadataValue>([
            ...(number === 0 ? metadata : []),
            ["split.no", { type: "uint16", value: number }],
            ["split.count", { type: "uint16", value: ends.length }],
            ["split.tensors.count", { type: "int32", value: tensors.length }],
        ]),
        tensors: tensors.slice(ends[number - 1] ?? 0, end),
    }));
}
