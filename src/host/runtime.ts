/** What is loaded and runs: one engine, the contexts that recipes share, and the scheduler of all their jobs. */

import type { BackendChoice } from "../native/backend.js";
import type { NativeContextOptions, NativeEngine, NativeModel, NativeVocabulary } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import type { EftError } from "../errors.js";
import type { MemberSpec } from "../types.js";
import { createCells } from "./cells.js";
import { createCostTable, type CostTable } from "./costs.js";
import { createExperience } from "./experience.js";
import { createScheduler, type Scheduler } from "./scheduler.js";
import type { HostContext, HostTarget } from "./sequences.js";
import { MOST_APPENDED, MOST_DRAFTED } from "./step-plan.js";
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
    /** Contexts with equal keys are the same. */
    readonly key: string;
    /** The member that it was made for, as its recipe names it. */
    readonly spec: MemberSpec;
    readonly model: NativeModel;
    /** Layers on the GPU; -1 means all. */
    readonly gpuLayers: number;
    /** What it and its weights take of the GPU, by the plan; 0 without one. */
    readonly gpuBytes: number;
}

/** A context that a recipe wants. */
export interface ContextWish extends Omit<NativeContextOptions, "cells" | "model"> {
    readonly origin: ContextOrigin;
    /** Tokens that it has to hold at least. */
    readonly atLeast: number;
    /** Tokens that it holds if it has to be created. */
    readonly capacity: number;
}

export interface Runtime extends RuntimeOptions {
    readonly engine: NativeEngine;
    readonly costs: CostTable;
    readonly scheduler: Scheduler;
    /** Of the contexts that there are. */
    readonly origins: readonly ContextOrigin[];
    /** Loading and unloading happen one after another. */
    exclusively<T>(task: () => Promise<T>): Promise<T>;
    /**
     * The contexts of a recipe, created where there are none of their kind; no context is used by two members of a recipe.
     *
     * @throws EftError CONTEXT_FAILED, LORA_INVALID; those that have been created are freed then
     */
    useContexts(wishes: readonly ContextWish[]): Promise<HostContext[]>;
    /** Contexts that are in use get one more user. */
    retain(contexts: readonly HostContext[]): void;
    createTarget(contexts: readonly HostContext[], vocabulary: NativeVocabulary, contextSize: number): HostTarget;
    /** Contexts have one user less; what nobody uses is freed, models included that no context was made of. */
    release(contexts: readonly HostContext[]): Promise<void>;
    /** Nothing runs for the target any more, and contexts that no other recipe uses are freed. */
    closeTarget(target: HostTarget, reason: EftError): Promise<void>;
    /** @param reason - what everything that waits fails with */
    dispose(reason: EftError): Promise<void>;
}

interface LoadedContext {
    readonly origin: ContextOrigin;
    readonly context: HostContext;
    users: number;
}

/** What a slot's cache may hold for a while beside the text: drafts, and the tokens that they follow. */
const SLACK = MOST_APPENDED + MOST_DRAFTED + 1;

export function createRuntime(options: RuntimeOptions): Runtime {
    const { threads, sequences, batchSize, waiting } = options;
    const engine = loadBinding().createEngine({ threads, batchSize, sequences });
    const costs = createCostTable();
    const experience = createExperience(options, costs);
    const scheduler = createScheduler(engine, { batchSize, sequences, waiting, costs });
    let loaded: LoadedContext[] = [];
    let last: Promise<unknown> = Promise.resolve();

    async function release(contexts: readonly HostContext[]): Promise<void> {
        for (const found of loaded) if (contexts.includes(found.context)) found.users--;
        const unused = loaded.filter(({ users }) => users === 0);
        loaded = loaded.filter(({ users }) => users > 0);
        const ids = unused.map(({ context }) => context.id);
        for (const id of ids) costs.forget(id);
        experience.removeContexts(ids);
        await engine.removeContexts(Int32Array.from(ids));
    }

    function exclusively<T>(task: () => Promise<T>): Promise<T> {
        const result = last.then(task, task);
        last = result.catch(() => undefined);
        return result;
    }

    return {
        ...options,
        ...{ engine, costs, scheduler, exclusively, release },
        get origins() {
            return loaded.map(({ origin }) => origin);
        },
        async useContexts(wishes) {
            const used: HostContext[] = [];
            try {
                for (const { origin, atLeast, capacity, ...wish } of wishes) {
                    let found = loaded.find(
                        (each) =>
                            each.origin.key === origin.key &&
                            each.context.cells.capacity >= atLeast &&
                            !used.includes(each.context),
                    );
                    if (found === undefined) {
                        const id = await engine.addContext({
                            ...wish,
                            model: origin.model,
                            cells: capacity + sequences * SLACK,
                        });
                        await experience.addContext(id, origin, wish.cacheType);
                        found = { origin, context: { id, cells: createCells(capacity, sequences) }, users: 0 };
                        loaded.push(found);
                    }
                    found.users++;
                    used.push(found.context);
                }
                await experience.addRecipe(used.map(({ id }) => id));
                return used;
            } catch (error) {
                await release(used).catch(() => undefined);
                throw error;
            }
        },
        retain(contexts) {
            for (const found of loaded) if (contexts.includes(found.context)) found.users++;
        },
        createTarget(contexts, vocabulary, contextSize) {
            const ids = Int32Array.from(contexts, ({ id }) => id);
            const id = engine.createTarget({ ...vocabulary, contexts: ids });
            return {
                ...{ id, contexts, contextSize, trust: createTrust(), closed: undefined },
                acceptance: (about) => experience.acceptance([...ids], about),
            };
        },
        async closeTarget(target, reason) {
            Object.assign(target, { closed: reason });
            scheduler.dropClosed();
            engine.removeTarget(target.id);
            const saved = experience.save();
            // Where llama.cpp has failed, nothing can be freed but with the host.
            await exclusively(() => release(target.contexts)).catch(() => undefined);
            await saved;
        },
        async dispose(reason) {
            scheduler.shut(reason);
            await Promise.all([engine.dispose(), experience.save()]);
        },
    };
}
