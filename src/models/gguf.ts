/** What GGUF files say about themselves. Only headers are read: quick and cheap, however large the models. */

import { open, stat } from "node:fs/promises";
import { withStack } from "../errors.js";
import type { NativeHeader, NativeModel } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { string } from "../options.js";
import { modelPath } from "./model-files.js";

/** The header of a GGUF. Optional entries are missing where the file does not say it. */
export interface GgufSummary {
    readonly file: string;
    /** `model`, or `adapter` for a LoRA adapter. */
    readonly type: string;
    readonly name?: string;
    /** e.g. `llama`. */
    readonly architecture: string;
    /** The format of most tensors, e.g. `F16` or `Q4_K_M`. */
    readonly quantization?: string;
    readonly parameters: number;
    /** Bytes of all tensors, in all parts of a split file. */
    readonly tensorBytes: number;
    /** Transformer blocks. */
    readonly layers: number;
    readonly embeddingSize?: number;
    /** Tokens. */
    readonly trainContextSize?: number;
    /** In GGUF's words: `llama` is SentencePiece, `gpt2` byte-pair encoding. */
    readonly tokenizer?: string;
    /** Ids in the table, padding included. */
    readonly vocabularySize?: number;
    /** The Jinja text. */
    readonly chatTemplate?: string;
}

/**
 * @param file - path of a model or adapter; of a split model, that of any part
 * @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, FILE_UNREADABLE, OPTION_INVALID
 */
export async function readGguf(file: string): Promise<GgufSummary> {
    string("What readGguf reads", file);
    const place = modelPath(file);
    return Promise.resolve(summarize(place, loadBinding().readHeader(place)));
}

/** @param header - that of the file */
export function summarize(file: string, header: NativeHeader): GgufSummary {
    const { architecture, embeddingSize } = header;
    const entries = new Map(header.entries);
    const textOf = (key: string): string | undefined => {
        const value = entries.get(key);
        return typeof value === "string" ? value : undefined;
    };
    const name = textOf("general.name");
    const chatTemplate = textOf("tokenizer.chat_template");
    const trainContextSize = entries.get(`${architecture}.context_length`);
    return {
        file,
        type: header.type || "model",
        ...(name !== undefined && { name }),
        architecture,
        ...(header.quantization && { quantization: header.quantization }),
        parameters: header.parameters,
        tensorBytes: header.tensorBytes,
        layers: header.blockCount,
        ...(embeddingSize > 0 && { embeddingSize }),
        ...(typeof trainContextSize === "number" && { trainContextSize }),
        ...(header.tokenizer && { tokenizer: header.tokenizer }),
        ...(header.vocabularySize > 0 && { vocabularySize: header.vocabularySize }),
        ...(chatTemplate !== undefined && { chatTemplate }),
    };
}

/** Whether a file is a GGUF: by its name, or else by its first bytes: stores of other programs name their files otherwise. */
export async function isGguf(source: string): Promise<boolean> {
    if (/\.gguf$/i.test(source)) return true;
    try {
        // A pipe can be read once, and a recipe may come from one.
        if (!(await stat(source)).isFile()) return false;
        await using file = await open(source);
        const { buffer } = await file.read(Buffer.alloc(4), 0, 4);
        return buffer.toString() === "GGUF";
    } catch {
        return false;
    }
}

/** Vocabularies that are loaded without weights. */
export interface Vocabularies extends AsyncDisposable {
    /** In the order of the files. */
    readonly models: readonly NativeModel[];
}

/**
 * Loads vocabularies and metadata without weights. As long as they are open, opening them again takes no time.
 *
 * @throws EftError MODEL_*
 */
export async function openVocabularies(files: readonly string[]): Promise<Vocabularies> {
    const engine = loadBinding().createEngine({ threads: 1, batchSize: 32, sequences: 1 });
    const loaded = await Promise.allSettled(
        files.map((file) =>
            engine.loadModel({ path: modelPath(file), gpuLayers: 0, devices: [], vocabularyOnly: true }),
        ),
    );
    const failed = loaded.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") {
        await engine.dispose();
        throw withStack(failed.reason);
    }
    return {
        models: loaded.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])),
        [Symbol.asyncDispose]: () => engine.dispose(),
    };
}

/** Opens vocabularies for the duration of `use`. @throws EftError MODEL_* */
export async function withVocabularies<T>(
    files: readonly string[],
    use: (models: readonly NativeModel[]) => T | Promise<T>,
): Promise<T> {
    await using vocabularies = await openVocabularies(files);
    try {
        return await use(vocabularies.models);
    } catch (error) {
        throw withStack(error);
    }
}
