/** GGUF files that have the vocabulary of a well-known family and nothing else, for benchmarks too. */

import path from "node:path";
import { writeGguf } from "./gguf.js";
import { FAMILIES, readVocabulary, scalar, type RealFamilyName } from "./real-tokenizers.js";

/** @returns the file */
export function writeVocabulary(name: RealFamilyName, folder: string): string {
    const { architecture, bos, eos, rules } = FAMILIES[name];
    // What no header can do without.
    const sizes = {
        ...{ block_count: 1, embedding_length: 32, context_length: 64, feed_forward_length: 64 },
        "attention.head_count": 1,
    };
    const metadata = {
        "general.architecture": scalar("string", architecture),
        ...Object.fromEntries(
            Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, scalar("uint32", value)]),
        ),
        [`${architecture}.attention.layer_norm_rms_epsilon`]: scalar("float32", 1e-6),
        ...readVocabulary(name).describe("small", new Map()).entries,
        "tokenizer.ggml.bos_token_id": scalar("uint32", bos),
        "tokenizer.ggml.eos_token_id": scalar("uint32", eos.chat),
        ...Object.fromEntries(
            Object.entries(rules).map(([key, value]) => [`tokenizer.ggml.${key}`, scalar("bool", value)]),
        ),
    };
    const file = path.join(folder, `${name}.gguf`);
    writeGguf(file, { metadata: new Map(Object.entries(metadata)), tensors: [] });
    return file;
}
