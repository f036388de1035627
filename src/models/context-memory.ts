/** What a context takes beside the texts in its cache, and a bound on all of it from the header alone. */

import type { NativeHeader } from "../native/binding.js";
import type { CacheType, MemberSpec } from "../types.js";

/** Bits of a number in the cache, scales of blocks included. */
export const CACHE_BITS = { f16: 16, q8_0: 8.5, q4_0: 4.5 } as const satisfies Record<CacheType, number>;
/** Tokens of a text that are evaluated beside running texts; a longer one is a prompt, and evaluated in pieces. */
export const MOST_APPENDED = 16;
/** Most drafts of a block. */
export const MOST_DRAFTED = 16;
/** Rows of logits that one text asks for in one step: enough to be efficient, and bounded for large vocabularies. */
export const MOST_SCORED = 128;

/** Bytes. */
export interface MemoryShare {
    /** In the memory of the machine. */
    readonly ram: number;
    /** In that of the GPU. */
    readonly gpu: number;
}

/** A context that is there already, and stays as it is. */
export interface ExistingContext {
    readonly spec: MemberSpec;
    /** Layers on the GPU; -1 means all. */
    readonly gpuLayers: number;
    /** Tokens that it holds for all sequences together. */
    readonly cacheTokens: number;
    readonly cacheType: CacheType;
}

/** How much a context holds at a time. */
export interface ContextShape {
    /** Tokens of all sequences together. */
    readonly cacheTokens: number;
    readonly sequences: number;
    readonly batchSize: number;
}

/** llama.cpp makes caches of a multiple of so many cells. */
const CELL_UNIT = 256;

/** Cells of a cache. Beside its text a sequence holds, for a while, drafts and the tokens that they follow. */
export function cellsOf({ cacheTokens, sequences }: Pick<ContextShape, "cacheTokens" | "sequences">): number {
    const cells = cacheTokens + sequences * (MOST_APPENDED + MOST_DRAFTED + 1);
    return Math.ceil(cells / CELL_UNIT) * CELL_UNIT;
}

/** Bytes of the rows that texts which are scored ask for in one step, all together, unless {@link MOST_SCORED} have more. */
const SCORED_BYTES = 2 ** 27;

/** Rows of logits that texts which are scored ask for in one step of a context, all together. */
export function mostScoredRows(vocabularySize: number): number {
    return Math.max(MOST_SCORED, Math.floor(SCORED_BYTES / rowBytes(1, vocabularySize)));
}

/**
 * Rows of logits that llama.cpp computes in one step of a context, at most: it keeps place for so many where they are computed, and
 * hands them over in the machine's memory, wherever the layers are.
 */
export function mostRows({ sequences, batchSize }: Omit<ContextShape, "cacheTokens">, vocabularySize: number): number {
    const scored = Math.min(sequences * MOST_SCORED, mostScoredRows(vocabularySize));
    return Math.min(batchSize, scored + keptRows(sequences));
}

/** Rows of logits of one member that wait for the step which verifies its drafts, at most. */
export function keptRows(sequences: number): number {
    return sequences * (MOST_DRAFTED + 1);
}

/** Bytes of rows of logits. */
export function rowBytes(rows: number, vocabularySize: number): number {
    return rows * vocabularySize * Float32Array.BYTES_PER_ELEMENT;
}

/** States of a sequence where layers are recurrent: its own, the one that it goes back to from rejected drafts, and its bookmark. */
const STATES = 3;

/** Bytes of the states of so many sequences, as if every layer were recurrent; 0 where the header tells of no such layer. */
export function stateBytes(header: NativeHeader, sequences: number): number {
    const { architecture, entries, blockCount, embeddingSize, heads, keyLength } = header;
    const sizeOf = (name: string): number => {
        const [, value] = entries.find(([key]) => key === `${architecture}.${name}`) ?? [];
        return typeof value === "number" ? value : 0;
    };
    const before = Math.max(0, sizeOf("ssm.conv_kernel") - 1);
    const inner = sizeOf("ssm.inner_size");
    const delta = sizeOf("kda.head_dim") * heads;
    // By llama.cpp's llama_hparams, n_embd_r() and n_embd_s(); an architecture has few of these.
    const convolved =
        before * (inner + 2 * sizeOf("ssm.group_count") * sizeOf("ssm.state_size") + 3 * delta) +
        embeddingSize * (Math.max(0, sizeOf("shortconv.l_cache") - 1) + sizeOf("token_shift_count"));
    const linear = architecture === "minimax-01" ? keyLength ** 2 * heads : 0;
    const state =
        inner * sizeOf("ssm.state_size") + embeddingSize * sizeOf("wkv.head_size") + delta * sizeOf("kda.head_dim") + linear;
    return STATES * sequences * blockCount * (convolved + state) * Float32Array.BYTES_PER_ELEMENT;
}

/** Bytes of what says which cells a token of a batch attends to: 16 bits each. Estimates leave it out where attention is fused. */
export function maskBytes(cells: number, batchSize: number): number {
    return 2 * cells * Math.min(batchSize, cells);
}

/**
 * Bytes that a context may take, from the header alone: more than it does as a rule, since llama.cpp seldom keeps the scores of
 * attention. It tells what has to be planned, which takes the estimates of node-llama-cpp, and those are slow to load.
 */
export function maxContextBytes(header: NativeHeader, shape: ContextShape): number {
    const { blockCount, heads, keyValueHeads, keyLength, valueLength, vocabularySize } = header;
    const cells = cellsOf(shape);
    const cached = keyValueHeads * (keyLength + valueLength) + header.indexerKeyLength;
    const attention = heads * (cells + keyLength + valueLength);
    const others = 3 * header.widestSize * Math.max(1, header.expertsUsed) + 4 * header.embeddingSize;
    const computed = Math.min(shape.batchSize, cells);
    return (
        (CACHE_BITS.f16 / 8) * blockCount * cells * cached +
        rowBytes(computed, attention + others) +
        rowBytes(2 * mostRows(shape, vocabularySize) + keptRows(shape.sequences), vocabularySize) +
        stateBytes(header, shape.sequences)
    );
}
