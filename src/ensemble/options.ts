/** How hosts are made and recipes loaded. */

import { availableParallelism } from "node:os";
import { CACHE_TOKENS, CACHE_TYPES, CONTEXT_SIZE } from "../models/memory-plan.js";
import { BACKENDS, type BackendName } from "../native/backend.js";
import { abortSignal, boolean, callback, integer, oneOf, type OptionTable } from "../options.js";
import type { CacheType } from "../types.js";

/** How {@link createHost} makes a host. */
export interface HostOptions {
    /** Default `auto`: the first of metal, cuda, vulkan that has a device, else the CPU. */
    readonly backend?: BackendName | undefined;
    /** Threads for members on the CPU. Default: physical cores - 1, at least 1. */
    readonly threads?: number | undefined;
    /** Sequences that can be active at once. Range 1..64. Default 4. */
    readonly sequences?: number | undefined;
    /** Most tokens that one member evaluates in one step. Range 32..8192. Default 512. */
    readonly batchSize?: number | undefined;
    /**
     * Tokens that the cache of a member holds for all sequences together. Where they run out, the youngest sequence waits and is
     * evaluated again; its text is the same. Default: `sequences` times the context size, and fewer where memory does not suffice.
     */
    readonly cacheTokens?: number | undefined;
    /** Sequences that may wait for a free one; whoever comes then gets the error `BUSY`. Range 0..1,000,000. Default 10,000. */
    readonly waiting?: number | undefined;
}

/** How a recipe is loaded on a host. */
export interface RecipeOptions {
    /**
     * Tokens each sequence can hold. Default: the recipe's, else the smallest training context, at most 4096, and fewer where
     * memory does not suffice.
     */
    readonly contextSize?: number | undefined;
    /**
     * Layers of every member to put on the GPU, where the recipe does not say it. Range 0..1000. Default: as many as
     * {@link planMemory} finds room for.
     */
    readonly gpuLayers?: number | undefined;
    /** In what form every member keeps keys and values. Default: the recipe's, else `f16`. */
    readonly cacheType?: CacheType | undefined;
    /**
     * Load models that have not been tried in a process of their own. Default false: a model that llama.cpp is not known to be
     * safe with, whatever the file holds, is tried once; see docs/models.md.
     */
    readonly trust?: boolean | undefined;
    /** Called with the file before a model is tried. */
    readonly onTrial?: ((file: string) => void) | undefined;
    /** Called with 0..1 while weights are read. */
    readonly onProgress?: ((fraction: number) => void) | undefined;
    /** Aborts loading. */
    readonly signal?: AbortSignal | undefined;
}

/** How {@link loadEnsemble} loads: a recipe on a host of its own. */
export interface LoadOptions extends HostOptions, RecipeOptions {}

/** What the options of a host may be. */
export const HOST_OPTIONS: OptionTable<HostOptions> = {
    backend: oneOf(BACKENDS),
    threads: integer(1, Math.min(512, 4 * availableParallelism())),
    sequences: integer(1, 64),
    batchSize: integer(32, 8192),
    cacheTokens: CACHE_TOKENS,
    waiting: integer(0, 1_000_000),
};

/** What the options of loading on a host may be. */
export const RECIPE_OPTIONS: OptionTable<RecipeOptions> = {
    contextSize: CONTEXT_SIZE,
    gpuLayers: integer(0, 1000),
    cacheType: oneOf(CACHE_TYPES),
    trust: boolean,
    onTrial: callback,
    onProgress: callback,
    signal: abortSignal,
};

/** What the options of loading may be. */
export const LOAD_OPTIONS: OptionTable<LoadOptions> = { ...HOST_OPTIONS, ...RECIPE_OPTIONS };

/** What of the options of loading concerns the host, and what the recipe. */
export function splitLoadOptions(options: LoadOptions): { readonly host: HostOptions; readonly recipe: RecipeOptions } {
    const { backend, threads, sequences, batchSize, cacheTokens, waiting, ...recipe } = options;
    return { host: { backend, threads, sequences, batchSize, cacheTokens, waiting }, recipe };
}
