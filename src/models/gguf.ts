/** What GGUF files say about themselves. Only headers are read: quick and cheap, however large the models. */

import { open, stat } from "node:fs/promises";
import type { GgufInsights } from "node-llama-cpp";
import { EftError, withStack } from "../errors.js";
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
    return (await openGguf(file)).summary;
}

/**
 * What is read of a header.
 *
 * @internal
 */
export interface OpenedGguf {
    readonly summary: GgufSummary;
    /** `general.*` of its metadata. */
    readonly general: Readonly<Record<string, unknown>>;
    /** node-llama-cpp's view of it, which estimates memory. */
    readonly insights: GgufInsights;
}

/**
 * More of the header than {@link readGguf} gives.
 *
 * @internal Declarations that name node-llama-cpp's types do not compile everywhere.
 * @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, FILE_UNREADABLE
 */
export async function openGguf(named: string): Promise<OpenedGguf> {
    const file = modelPath(named);
    // Refuses what is missing, damaged, truncated or of impossible size, before anything else reads the file.
    const header = loadBinding().readHeader(file);
    const { architecture, type, blockCount } = header;
    // Imported here because it is large, and only those who look into files this way need it.
    const { GgufFileType, GgufInsights, readGgufFileInfo } = await import("node-llama-cpp");
    try {
        const info = await readGgufFileInfo(file, { sourceType: "filesystem", logWarnings: false });
        replaceBigInts(info.metadata);
        replaceLayers(info.architectureMetadata, header);
        const insights = await GgufInsights.from(info);
        const { general, tokenizer } = info.metadata as Partial<typeof info.metadata>;
        const fileType = general?.file_type === undefined ? undefined : GgufFileType[general.file_type];
        const summary = {
            file,
            type: type || "model",
            name: general?.name,
            architecture,
            quantization: fileType?.replace(/^(MOSTLY|ALL)_/, ""),
            parameters: insights.totalParameters,
            tensorBytes: insights.modelSize,
            layers: blockCount,
            embeddingSize: insights.embeddingVectorSize,
            trainContextSize: insights.trainContextSize,
            tokenizer: header.tokenizer || undefined,
            vocabularySize: header.vocabularySize || undefined,
            chatTemplate: tokenizer?.chat_template,
        };
        return { summary, general: { ...general }, insights };
    } catch (error) {
        throw new EftError("MODEL_INVALID", `The header of ${file} cannot be read: ${String(error)}`, { cause: error });
    }
}

/** Where layers differ, the most stands for all: the estimates of memory reckon with one number. */
function replaceLayers(metadata: object, { heads, keyLength, valueLength, expertsUsed }: NativeHeader): void {
    const entries = metadata as { attention?: Record<string, unknown>; expert_used_count?: unknown };
    if (Array.isArray(entries.expert_used_count)) entries.expert_used_count = expertsUsed;
    const { attention } = entries;
    if (!Array.isArray(attention?.head_count)) return;
    attention.head_count = heads;
    attention.key_length ??= keyLength;
    attention.value_length ??= valueLength;
}

/** Integers of 64 bits, which a file may have for any number, come as values that cannot be calculated with. */
function replaceBigInts(entries: object): void {
    for (const [key, value] of Object.entries(entries) as [string, unknown][]) {
        if (typeof value === "bigint") Object.assign(entries, { [key]: Number(value) });
        // Arrays are of one type.
        else if (Array.isArray(value) && typeof value[0] !== "bigint") continue;
        else if (typeof value === "object" && value !== null) replaceBigInts(value);
    }
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

/**
 * The Jinja text of the chat template that the file carries, if it does. Unlike {@link readGguf}, it does without
 * node-llama-cpp's own addon, which would take over llama.cpp's log.
 *
 * @throws EftError MODEL_*
 */
export async function readChatTemplate(file: string): Promise<string | undefined> {
    return withVocabularies([file], ([model]) => model?.info.chatTemplate);
}

/** Loads vocabularies and metadata without weights, for the duration of `use`. @throws EftError MODEL_* */
export async function withVocabularies<T>(
    files: readonly string[],
    use: (models: readonly NativeModel[]) => T | Promise<T>,
): Promise<T> {
    const engine = loadBinding().createEngine({ threads: 1, batchSize: 32, sequences: 1 });
    try {
        const models: NativeModel[] = [];
        for (const file of files) {
            const options = { path: modelPath(file), gpuLayers: 0, devices: [], vocabularyOnly: true };
            models.push(await engine.loadModel(options));
        }
        return await use(models);
    } catch (error) {
        throw withStack(error);
    } finally {
        await engine.dispose();
    }
}
