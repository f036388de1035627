// Writes a GGUF model that computes the same function and takes longer: its feed-forward layers are made wider by copies of
// their own rows, whose results are multiplied by zero, and its weights become float32, which loses nothing. A model that
// is too small to be typical of anything gets as slow as wanted, and still says what it has been trained to say.
//
//   node scripts/inflate-model.mjs in.gguf out.gguf --feed-forward 12288
//
// Speculation pays where decoding is limited by reading the weights, so that a batch of a few tokens takes little longer
// than a single one. Batches of the demo family's large model at 80 to 200 MB, as multiples of one token, on one thread of
// a Zen 5 core:
//
//     tokens                  2     3     4     5     6     9    13    17
//     wider, float32        1.5   1.8   1.6   1.7   1.8   2.4   3.2   4.9
//     wider, float16        1.5   1.7   2.1   2.5   2.9   4.4   6.3   8.8
//     wider, Q8_0           1.2   1.6   1.8   2.4   2.7   3.9   5.6   7.1
//     more layers, float32  1.5   1.9   1.9   2.1   2.4   3.3   4.7   7.2
//     more layers, float16  1.8   2.1   2.5   2.9   3.4   4.9   7.3  10.6
//
// Smaller weights are read faster than one thread can multiply them, and more layers bring more attention, which no batch
// makes cheaper. That is why the layers are made wider and not more, and the weights float32.

import { open } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readGgufFileInfo } from "node-llama-cpp";
import { writeGguf } from "./gguf.mjs";

/** ggml's numbers of the types that can be read. */
const [F32, F16] = [0, 1];
/** `general.file_type` of a model whose weights are float32. */
const ALL_F32 = 0;
/** Magic number, version and the counts of tensors and of entries of metadata. */
const PREAMBLE_BYTES = 24;

/**
 * @param from - a model of an architecture like Llama's, in float16 or float32
 * @param feedForward - width of the feed-forward layers; their own one makes a float32 copy
 */
export async function inflateModel(from, to, feedForward) {
    const info = await readGgufFileInfo(from);
    const { architecture } = info.metadata.general;
    const source = await open(from);
    try {
        const metadata = await readMetadata(source, info, {
            "general.file_type": ALL_F32,
            [`${architecture}.feed_forward_length`]: feedForward,
        });
        const tensors = info.fullTensorInfo.map((tensor) => describeTensor(source, tensor, feedForward));
        await writeGguf(to, metadata, tensors);
    } finally {
        await source.close();
    }
}

/** The entries as they are, but for some numbers of 32 bits. */
async function readMetadata(source, { metadataSize }, changes) {
    const { buffer } = await source.read(Buffer.alloc(metadataSize), 0, metadataSize, 0);
    for (const [key, value] of Object.entries(changes)) {
        // After the key comes its type, in 32 bits as well.
        buffer.writeUInt32LE(value, buffer.indexOf(key) + key.length + 4);
    }
    return { count: Number(buffer.readBigUInt64LE(16)), bytes: buffer.subarray(PREAMBLE_BYTES) };
}

function describeTensor(source, { name, dimensions, ggmlType, fileOffset }, feedForward) {
    const [columns, rows = 1] = dimensions.map(Number);
    const isWide = /\.ffn_(gate|up)\.weight$/.test(name);
    const isLong = /\.ffn_down\.weight$/.test(name);
    const [newColumns, newRows] = [isLong ? feedForward : columns, isWide ? feedForward : rows];
    return {
        ...{ name, shape: dimensions.length === 1 ? [columns] : [newColumns, newRows] },
        ...{ type: F32, size: 4 * newColumns * newRows },
        async read() {
            const weights = await readWeights(source, ggmlType, columns * rows, Number(fileOffset));
            // What is not set is zero.
            const result = new Float32Array(newColumns * newRows);
            for (let row = 0; row < newRows; row++) {
                const from = (row % rows) * columns;
                result.set(weights.subarray(from, from + columns), row * newColumns);
            }
            return [result];
        },
    };
}

async function readWeights(source, type, count, position) {
    if (type !== F32 && type !== F16) throw new Error("Only models in float16 or float32 can be inflated.");
    const weights = type === F32 ? new Float32Array(count) : new Uint16Array(count);
    await source.read(new Uint8Array(weights.buffer), 0, weights.byteLength, position);
    return type === F32 ? weights : Float32Array.from(weights, halfToFloat);
}

/** An IEEE half-precision number; weights are finite. */
function halfToFloat(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const { positionals, values } = parseArgs({
        allowPositionals: true,
        options: { "feed-forward": { type: "string" } },
    });
    const [from, to] = positionals;
    const feedForward = Number(values["feed-forward"]);
    if (to === undefined || !(feedForward > 0)) {
        console.error("node scripts/inflate-model.mjs in.gguf out.gguf --feed-forward 12288");
        process.exit(2);
    }
    await inflateModel(from, to, feedForward);
}
