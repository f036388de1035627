/** A host: what is loaded and runs, for one recipe or for several that share it. */

import { EftError, withStack } from "../errors.js";
import { createRuntime, type Runtime } from "../host/runtime.js";
import type { HostCounts } from "../host/statistics.js";
import { chooseBackend, type BackendChoice } from "../native/backend.js";
import { loadBinding } from "../native/load-binding.js";
import { checkInteger, checkOptions } from "../options.js";
import { checkRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import type { Ensemble } from "./ensemble.js";
import { loadOnHost } from "./load.js";
import {
    HOST_OPTIONS,
    LOAD_OPTIONS,
    RECIPE_OPTIONS,
    splitLoadOptions,
    type HostOptions,
    type LoadOptions,
    type RecipeOptions,
} from "./options.js";

/** Models, caches and the scheduler that recipes share. Created by {@link createHost}. */
export interface Host {
    readonly backend: BackendChoice;
    readonly threads: number;
    /** Sequences that can be active at once. */
    readonly sequences: number;
    /** Most tokens that one member evaluates in one step. */
    readonly batchSize: number;
    /** What it has done so far. */
    readonly counts: Readonly<HostCounts>;
    /**
     * Loads a recipe. A file that is there already is not loaded again, and members of the same file, adapter and form of the cache
     * share a cache with those of other recipes: their sequences meet in the same steps, and what one has evaluated need not be
     * evaluated for the other.
     *
     * @throws EftError MODEL_*, MEMORY_EXCEEDED, LORA_INVALID, VOCABULARY_MISMATCH, TEMPLATE_*, CONTEXT_FAILED, OPTION_INVALID, DISPOSED,
     * ABORTED when `signal` fires, or what `onProgress` throws; nothing of it stays loaded then
     */
    load(recipe: Recipe, options?: RecipeOptions): Promise<Ensemble>;
    readonly disposed: boolean;
    /** Aborts what runs, waits for it, frees everything; the ensembles cannot be used any more. May be called again. */
    dispose(): Promise<void>;
    /** The same as dispose(), for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A host without models.
 *
 * @throws EftError OPTION_INVALID, BACKEND_UNAVAILABLE, ADDON_*
 */
export function createHost(options: HostOptions = {}): Host {
    return openHost(checkOptions("createHost", options, HOST_OPTIONS)).host;
}

/**
 * Loads a recipe on a host of its own, which ends with the ensemble.
 *
 * @throws EftError MODEL_*, MEMORY_EXCEEDED, LORA_INVALID, VOCABULARY_MISMATCH, TEMPLATE_*, CONTEXT_FAILED, BACKEND_UNAVAILABLE, ADDON_*,
 * OPTION_INVALID, ABORTED when `signal` fires, or what `onProgress` throws; nothing stays loaded then
 */
export async function loadEnsemble(recipe: Recipe, given: LoadOptions = {}): Promise<Ensemble> {
    checkRecipe("loadEnsemble", recipe);
    const options = splitLoadOptions(checkOptions("loadEnsemble", given, LOAD_OPTIONS));
    const { cacheTokens } = options.host;
    const { host, runtime } = openHost(options.host);
    try {
        return await loadOnHost(recipe, options.recipe, {
            host,
            runtime,
            cacheTokens,
            onDispose: () => host.dispose(),
        });
    } catch (error) {
        await host.dispose();
        throw withStack(error);
    }
}

function openHost(options: HostOptions): { readonly host: Host; readonly runtime: Runtime } {
    const binding = loadBinding();
    const sequences = options.sequences ?? 4;
    const { cacheTokens } = options;
    const runtime = createRuntime({
        backend: chooseBackend(options.backend ?? "auto"),
        threads: options.threads ?? Math.max(1, binding.physicalCores() - 1),
        sequences,
        batchSize: checkInteger("batchSize", options.batchSize ?? 512, Math.max(32, sequences), 8192),
        waiting: options.waiting ?? 10_000,
    });
    let disposal: Promise<void> | undefined;
    const dispose = (): Promise<void> => {
        disposal ??= runtime.dispose(new EftError("DISPOSED", "The ensemble was disposed, together with its host."));
        return disposal;
    };
    const { backend, threads, batchSize } = runtime;
    const host: Host = {
        ...{ backend, threads, sequences, batchSize },
        counts: runtime.scheduler.counts,
        async load(recipe, given = {}) {
            checkRecipe("load", recipe);
            const checked = checkOptions("load", given, RECIPE_OPTIONS);
            if (disposal !== undefined)
                throw new EftError("DISPOSED", "The host has been disposed; create another one.");
            try {
                return await loadOnHost(recipe, checked, {
                    host,
                    runtime,
                    cacheTokens,
                    onDispose: () => Promise.resolve(),
                });
            } catch (error) {
                throw withStack(error);
            }
        },
        get disposed() {
            return disposal !== undefined;
        },
        dispose,
        [Symbol.asyncDispose]: dispose,
    };
    return { host, runtime };
}
