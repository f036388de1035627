/** What is loaded and runs: one engine, the contexts that recipes share, and the scheduler of all their jobs. */

import type { BackendChoice } from "../native/backend.js";
import type { NativeContextOptions, NativeEngine, NativeVocabulary } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import type { EftError } from "../errors.js";
import { createCells } from "./cells.js";
import { createCostTable, type CostTable } from "./costs.js";
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

/** A context that a recipe wants. */
export interface ContextWish extends Omit<NativeContextOptions, "cells"> {
    /** Contexts with equal keys are the same. */
    readonly key: string;
    /** Tokens that it has to hold at least. */
    readonly atLeast: number;
    /** Tokens that it holds if it has to be created. */
    readonly capacity: number;
}

export interface Runtime extends RuntimeOptions {
    readonly engine: NativeEngine;
    readonly costs: CostTable;
    readonly scheduler: Scheduler;
    /** Keys of the contexts that there are. */
    readonly keys: readonly string[];
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

interface Resident {
    readonly key: string;
    readonly context: HostContext;
    users: number;
}

/** What a slot's cache may hold for a while beside the text: drafts, and the tokens that they follow. */
const SLACK = MOST_APPENDED + MOST_DRAFTED + 1;

export function createRuntime(options: RuntimeOptions): Runtime {
    const { threads, sequences, batchSize, waiting } = options;
    const engine = loadBinding().createEngine({ threads, batchSize, sequences });
    const costs = createCostTable();
    const scheduler = createScheduler(engine, { batchSize, sequences, waiting, costs });
    let residents: Resident[] = [];
    let last: Promise<unknown> = Promise.resolve();

    async function release(contexts: readonly HostContext[]): Promise<void> {
        for (const resident of residents) if (contexts.includes(resident.context)) resident.users--;
        const unused = residents.filter(({ users }) => users === 0);
        residents = residents.filter(({ users }) => users > 0);
        await engine.removeContexts(Int32Array.from(unused, ({ context }) => context.id));
    }

    function exclusively<T>(task: () => Promise<T>): Promise<T> {
        const result = last.then(task, task);
        last = result.catch(() => undefined);
        return result;
    }

    return {
        ...options,
        ...{ engine, costs, scheduler, exclusively, release },
        get keys() {
            return residents.map(({ key }) => key);
        },
        async useContexts(wishes) {
            const used: HostContext[] = [];
            try {
                for (const { key, atLeast, capacity, ...wish } of wishes) {
                    let resident = residents.find(
                        (each) =>
                            each.key === key && each.context.cells.capacity >= atLeast && !used.includes(each.context),
                    );
                    if (resident === undefined) {
                        const id = await engine.addContext({ ...wish, cells: capacity + sequences * SLACK });
                        resident = { key, context: { id, cells: createCells(capacity, sequences) }, users: 0 };
                        residents.push(resident);
                    }
                    resident.users++;
                    used.push(resident.context);
                }
                return used;
            } catch (error) {
                await release(used).catch(() => undefined);
                throw error;
            }
        },
        retain(contexts) {
            for (const resident of residents) if (contexts.includes(resident.context)) resident.users++;
        },
        createTarget(contexts, vocabulary, contextSize) {
            const ids = Int32Array.from(contexts, ({ id }) => id);
            const id = engine.createTarget({ ...vocabulary, contexts: ids });
            return { ...{ id, contexts, contextSize }, trust: createTrust(), closed: undefined };
        },
        async closeTarget(target, reason) {
            Object.assign(target, { closed: reason });
            scheduler.dropClosed();
            engine.removeTarget(target.id);
            // Where llama.cpp has failed, nothing can be freed but with the host.
            await exclusively(() => release(target.contexts)).catch(() => undefined);
        },
        async dispose(reason) {
            scheduler.shut(reason);
            await engine.dispose();
        },
    };
}
