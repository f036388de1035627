// GGUF files that have a well-known vocabulary and nothing else.

import path from "node:path";
import { tsImport } from "tsx/esm/api";

const helper = (name) => tsImport(`../test/helpers/${name}.ts`, import.meta.url);

/** @throws Error that says how to get the vocabulary, if it is not there */
export async function writeVocabulary(name, folder) {
    const { FAMILIES, isFetched, readVocabulary, scalar } = await helper("real-tokenizers");
    const { writeGguf } = await helper("gguf");
    if (!isFetched(name)) throw new Error("`node scripts/real-vocabularies.mjs` fetches the vocabularies.");
    const { architecture, bos, eos, rules } = FAMILIES[name];
    const { width, entries } = readVocabulary(name).describe("small", new Map());
    // What no header can do without.
    const sizes = {
        block_count: 1,
        embedding_length: 32,
        context_length: 64,
        feed_forward_length: 64,
        "attention.head_count": 1,
    };
    const metadata = {
        "general.architecture": scalar("string", architecture),
        ...Object.fromEntries(
            Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, scalar("uint32", value)]),
        ),
        [`${architecture}.attention.layer_norm_rms_epsilon`]: scalar("float32", 1e-6),
        ...entries,
        ...{
            "tokenizer.ggml.bos_token_id": scalar("uint32", bos),
            "tokenizer.ggml.eos_token_id": scalar("uint32", eos.chat),
        },
        ...Object.fromEntries(
            Object.entries(rules).map(([key, value]) => [`tokenizer.ggml.${key}`, scalar("bool", value)]),
        ),
    };
    const file = path.join(folder, `${name}.gguf`);
    writeGguf(file, { metadata: new Map(Object.entries(metadata)), tensors: [] });
    return { name, width, file };
}
