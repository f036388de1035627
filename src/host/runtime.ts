/** What is loaded and runs: one engine, the contexts that recipes share, and the scheduler of all their jobs. */

import type { BackendChoice } from "../native/backend.js";
import type { NativeContextOptions, NativeEngine, NativeModel, NativeVocabulary } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { abortError, type EftError } from "../errors.js";
import { cellsOf, mostRows, mostScoredRows } from "../models/context-memory.js";
import type { CacheType, MemberSpec } from "../types.js";
import { createCells } from "./cells.js";
import { createCostTable, type CostTable } from "./costs.js";
import { createExperience } from "./experience.js";
import { createScheduler, type Scheduler } from "./scheduler.js";
import type { HostContext, HostTarget } from "./sequences.js";
import { createTrust } from "./trust.js";

export interface RuntimeOptions {
    readonly backend: BackendChoice;
    readonly threads: number;
    /** Sequences that can be active at once. */
    readonly sequences: number;
    /** Most tokens that one context evaluates in one step. */
    readonly batchSize: number;
    /** Most sequences that wait for their first slot. */
    readonly waiting: number;
}

/** What a context is made of. */
export interface ContextOrigin {
    /** Equal for contexts of the same files, where they hold keys and values in the same form. */
    readonly kind: string;
    /** Equal for contexts of the same model. */
    readonly weights: string;
    /** The member that it was made for, as its recipe names it. */
    readonly spec: MemberSpec;
    readonly cacheType: CacheType;
    readonly model: NativeModel;
    /** Layers on the GPU; -1 means all. */
    readonly gpuLayers: number;
}

/** A context to be created. */
export interface ContextOptions extends Omit<NativeContextOptions, "cells" | "rows" | "model" | "cacheType"> {
    readonly origin: ContextOrigin;
    /** Tokens that it holds. */
    readonly capacity: number;
}

/** A context that is there. */
export interface LoadedContext {
    readonly origin: ContextOrigin;
    readonly context: HostContext;
}

export interface Runtime extends RuntimeOptions {
    readonly engine: NativeEngine;
    readonly costs: CostTable;
    readonly scheduler: Scheduler;
    readonly loaded: readonly LoadedContext[];
    /**
     * Recipes are loaded one after another, in the order of the calls.
     *
     * @throws EftError ABORTED if `signal` fires before its turn; what `load` throws
     */
    inTurn<T>(load: () => Promise<T>, signal: AbortSignal | undefined): Promise<T>;
    /** @returns the context, with one user. @throws EftError CONTEXT_FAILED, LORA_INVALID */
    addContext(options: ContextOptions): Promise<HostContext>;
    /** Contexts get one more user. */
    retain(contexts: readonly HostContext[]): void;
    /** Contexts have one user less; what nobody uses is freed. Also while a recipe is loaded, which has to retain what it relies on. */
    release(contexts: readonly HostContext[]): Promise<void>;
    /** Frees models that have been read and no context was made of. Not while a recipe is loaded. */
    releaseModels(): Promise<void>;
    /** Resolves when what earlier processes have learnt about a recipe on these contexts has been read. */
    recall(contexts: readonly HostContext[]): Promise<void>;
    createTarget(contexts: readonly HostContext[], vocabulary: NativeVocabulary, contextSize: number): HostTarget;
    /** Nothing runs for the target any more, and contexts that no other recipe uses are freed. */
    closeTarget(target: HostTarget, reason: EftError): Promise<void>;
    /** @param reason - what everything that waits fails with */
    dispose(reason: EftError): Promise<void>;
}

export function createRuntime(options: RuntimeOptions): Runtime {
    const { threads, sequences, batchSize, waiting } = options;
    const engine = loadBinding().createEngine({ threads, batchSize, sequences });
    const costs = createCostTable();
    const experience = createExperience(options, costs);
    const scheduler = createScheduler(engine, { batchSize, sequences, waiting, costs });
    let loaded: (LoadedContext & { users: number })[] = [];
    let last: Promise<void> = Promise.resolve();

    async function release(contexts: readonly HostContext[]): Promise<void> {
        for (const found of loaded) if (contexts.includes(found.context)) found.users--;
        const unused = loaded.filter(({ users }) => users === 0);
        loaded = loaded.filter(({ users }) => users > 0);
        if (unused.length === 0) return;
        const ids = unused.map(({ context }) => context.id);
        for (const id of ids) costs.forget(id);
        experience.removeContexts(ids);
        await engine.removeContexts(Int32Array.from(ids));
    }

    function inTurn<T>(load: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
        return new Promise((resolve, reject) => {
            const leave = (): void => reject(abortError("Loading was aborted.", signal));
            if (signal?.aborted) return leave();
            signal?.addEventListener("abort", leave);
            last = last.then(async () => {
                signal?.removeEventListener("abort", leave);
                if (!signal?.aborted) await load().then(resolve, reject);
            });
        });
    }

    return {
        ...options,
        ...{ engine, costs, scheduler, inTurn, release },
        get loaded() {
            return loaded;
        },
        async addContext({ origin, capacity, ...wanted }) {
            const { model, cacheType } = origin;
            const cells = cellsOf({ cacheTokens: capacity, sequences });
            const { vocabularySize } = model.info;
            const rows = mostRows({ sequences, batchSize }, vocabularySize);
            const id = await engine.addContext({ ...wanted, model, cacheType, cells, rows });
            await experience.addContext(id, origin);
            const rewinds = !model.info.isRecurrent && !model.info.isHybrid;
            // Beside other texts, taking drafts back from a state and from layers with a window (some LFM2) has led to wrong rows, one in some
            // thousand. Where llama.cpp or this code is at fault is not known.
            const verifies = rewinds || sequences === 1 || model.info.slidingWindow === 0;
            const context = {
                id,
                cells: createCells(capacity, sequences, rewinds, verifies),
                scoredRows: mostScoredRows(vocabularySize),
            };
            loaded.push({ origin, context, users: 1 });
            return context;
        },
        retain(contexts) {
            for (const found of loaded) if (contexts.includes(found.context)) found.users++;
        },
        releaseModels: () => engine.releaseModels(),
        recall: (contexts) => experience.addRecipe(contexts.map(({ id }) => id)),
        createTarget(contexts, vocabulary, contextSize) {
            const ids = Int32Array.from(contexts, ({ id }) => id);
            const id = engine.createTarget({ ...vocabulary, contexts: ids });
            return {
                ...{ id, contexts, contextSize, trust: createTrust(), closed: undefined },
                acceptance: (about, usual) => experience.acceptance([...ids], about, usual),
            };
        },
        async closeTarget(target, reason) {
            Object.assign(target, { closed: reason });
            scheduler.dropClosed();
            engine.removeTarget(target.id);
            const saved = experience.save();
            // Where llama.cpp has failed, nothing can be freed but with the host.
            await release(target.contexts).catch(() => undefined);
            await saved;
        },
        async dispose(reason) {
            scheduler.shut(reason);
            await Promise.all([engine.dispose(), experience.save()]);
        },
    };
}
