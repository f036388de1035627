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
    readonly tensors: Tensor[];
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

/** The file as one buffer; `headerBytes` is where its tensor data begin. */
export function serializeGguf({ metadata, tensors }: Gguf): { buffer: Buffer; headerBytes: number } {
    const parts: Buffer[] = [];
    const put = (size: number, write: (buffer: Buffer) => void): void => {
        const part = Buffer.alloc(size);
        write(part);
        parts.push(part);
    };
    const putUInt32 = (value: number): void => put(4, (part) => part.writeUInt32LE(value));
    const putCount = (value: number): void => put(8, (part) => part.writeBigUInt64LE(BigInt(value)));
    const putString = (text: string): void => {
        const bytes = Buffer.from(text);
        putCount(bytes.length);
        parts.push(bytes);
    };
    const putScalar = (type: ScalarType, value: Scalar): void => {
        switch (type) {
            case "uint8":
                return put(1, (part) => part.writeUInt8(Number(value)));
            case "int8":
                return put(1, (part) => part.writeInt8(Number(value)));
            case "uint16":
                return put(2, (part) => part.writeUInt16LE(Number(value)));
            case "int16":
                return put(2, (part) => part.writeInt16LE(Number(value)));
            case "uint32":
                return putUInt32(Number(value));
            case "int32":
                return put(4, (part) => part.writeInt32LE(Number(value)));
            case "float32":
                return put(4, (part) => part.writeFloatLE(Number(value)));
            case "bool":
                return put(1, (part) => part.writeUInt8(value === true ? 1 : 0));
            case "string":
                return putString(String(value));
            case "uint64":
                return put(8, (part) => part.writeBigUInt64LE(BigInt(value)));
            case "int64":
                return put(8, (part) => part.writeBigInt64LE(BigInt(value)));
            case "float64":
                return put(8, (part) => part.writeDoubleLE(Number(value)));
        }
    };

    putUInt32(MAGIC);
    putUInt32(VERSION);
    putCount(tensors.length);
    putCount(metadata.size);
    for (const [key, entry] of metadata) {
        putString(key);
        putUInt32(SCALARS.indexOf(entry.type));
        if (entry.type === "array") {
            putUInt32(SCALARS.indexOf(entry.of));
            putCount(entry.value.length);
            for (const value of entry.value) putScalar(entry.of, value);
        } else {
            putScalar(entry.type, entry.value);
        }
    }
    let offset = 0;
    for (const { name, shape, type, data } of tensors) {
        putString(name);
        putUInt32(shape.length);
        for (const size of shape) putCount(size);
        putUInt32(type);
        putCount(offset);
        offset += align(data.length);
    }
    const header = Buffer.concat(parts);
    const headerBytes = align(header.length);
    const body = tensors.flatMap(({ data }) => [data, Buffer.alloc(align(data.length) - data.length)]);
    return { buffer: Buffer.concat([header, Buffer.alloc(headerBytes - header.length), ...body]), headerBytes };
}

export function writeGguf(file: string, gguf: Gguf): void {
    writeFileSync(file, serializeGguf(gguf).buffer);
}

/** The entry of an array of the metadata, to be changed in place. */
export function metadataArray(gguf: Gguf, key: string): Scalar[] {
    const entry = gguf.metadata.get(key);
    if (entry?.type !== "array") throw new Error(`There is no array ${key}.`);
    return entry.value;
}

/** The same model with every weight as float32: nothing is rounded on the way, whatever the size of a batch. */
export function toFloat32(gguf: Gguf): Gguf {
    return {
        metadata: new Map(gguf.metadata).set("general.file_type", { type: "uint32", value: 0 }),
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
