// Writing GGUF files: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { open, rename } from "node:fs/promises";

const ALIGNMENT = 32;

const number = (size, write) => (value) => {
    const bytes = Buffer.alloc(size);
    bytes[write](value);
    return bytes;
};
const [u32, i32, f32, u64] = [
    number(4, "writeUInt32LE"),
    number(4, "writeInt32LE"),
    number(4, "writeFloatLE"),
    (value) => number(8, "writeBigUInt64LE")(BigInt(value)),
];
const string = (value) => {
    const bytes = Buffer.from(value);
    return Buffer.concat([u64(bytes.length), bytes]);
};

/** Values of metadata. */
export const uint32 = (value) => ({ type: 4, bytes: u32(value) });
export const int32 = (value) => ({ type: 5, bytes: i32(value) });
export const float32 = (value) => ({ type: 6, bytes: f32(value) });
export const bool = (value) => ({ type: 7, bytes: Buffer.of(value ? 1 : 0) });
export const text = (value) => ({ type: 8, bytes: string(value) });
export const array = (values) => ({
    type: 9,
    bytes: Buffer.concat([u32(values[0].type), u64(values.length), ...values.map(({ bytes }) => bytes)]),
});

/** @param values - from keys to values; returns the metadata as {@link writeGguf} takes it */
export function encodeMetadata(values) {
    const entries = Object.entries(values);
    return {
        count: entries.length,
        bytes: Buffer.concat(entries.map(([key, { type, bytes }]) => Buffer.concat([string(key), u32(type), bytes]))),
    };
}

/**
 * Writes a file as a whole, or nothing.
 *
 * @param metadata - encoded entries: their `count` and `bytes`
 * @param tensors - `name`, `shape` (fastest-changing dimension first), `type` (ggml's number), `size` in bytes, and
 *   `read()`, which gives that many bytes in pieces when it is their turn
 */
export async function writeGguf(file, metadata, tensors) {
    const target = await open(`${file}.part`, "w");
    try {
        await target.writeFile(header(metadata, tensors));
        for (const { size, read } of tensors) {
            for await (const bytes of await read()) await target.writeFile(bytes);
            await target.writeFile(padding(size));
        }
    } finally {
        await target.close();
    }
    await rename(`${file}.part`, file);
}

function header({ count, bytes }, tensors) {
    let offset = 0;
    const infos = tensors.map(({ name, shape, type, size }) => {
        const info = [string(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)];
        offset += size + padding(size).length;
        return Buffer.concat(info);
    });
    const all = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(count), bytes, ...infos]);
    return Buffer.concat([all, padding(all.length)]);
}

function padding(size) {
    return Buffer.alloc(Math.ceil(size / ALIGNMENT) * ALIGNMENT - size);
}
