/** Loads a recipe on a host: models, contexts, the comparison of vocabularies. */

import { existsSync, statSync } from "node:fs";
import { abortError, EftError } from "../errors.js";
import type { ContextOrigin, Runtime } from "../host/runtime.js";
import { maxContextBytes, memoryRoom, planMemory, wantedContextSize, type MemoryPlan } from "../models/memory-plan.js";
import { locateModels } from "../models/model-files.js";
import { tryModels } from "../models/trial.js";
import { checkVocabularies } from "../models/vocabulary.js";
import type { NativeHeader } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { toEftError } from "../native/native-error.js";
import { examineVocabularies } from "../prompts/added-tokens.js";
import { readVocabularies } from "../prompts/vocabularies.js";
import type { CacheType, MemberSpec, Recipe } from "../types.js";
import { createEnsemble, type Ensemble } from "./ensemble.js";
import type { Host } from "./host.js";
import { fileSizes, loadMembers } from "./members.js";
import type { RecipeOptions } from "./options.js";

/** Where a recipe is loaded. */
export interface Place {
    readonly host: Host;
    readonly runtime: Runtime;
    /** Tokens that a new cache is to hold, if that was said. */
    readonly cacheTokens: number | undefined;
    /** Ends together with the ensemble, such as a host of its own. */
    readonly onDispose: () => Promise<void>;
}

/** @throws EftError as {@link Host.load} */
export async function loadRecipe(recipe: Recipe, options: RecipeOptions, place: Place): Promise<Ensemble> {
    // Who is loaded later plans beside who was loaded before.
    return place.runtime.exclusively(() => prepareAndLoad(recipe, options, place));
}

async function prepareAndLoad(recipe: Recipe, options: RecipeOptions, place: Place): Promise<Ensemble> {
    const { runtime } = place;
    const { signal } = options;
    if (signal?.aborted) throw abortError("Loading was aborted.", signal);
    const local = await locateModels(recipe);
    const cacheType = options.cacheType ?? recipe.cacheType ?? "f16";
    const readHeader = createHeaderReader();
    const plan = await planIfLarge(local, options, place, readHeader);
    if (options.trust !== true) {
        await tryModels(
            local.members.map(({ model }) => model),
            { threads: runtime.threads, signal, onTrial: options.onTrial },
        );
    }
    const keys = runtime.origins.map(({ key }) => key);
    const isThere = local.members.every((member) => keys.includes(contextKey(member, cacheType)));
    if (!isThere) await refuseEarly(local, readHeader);
    return load(recipe, local, { ...options, cacheType }, { ...place, plan });
}

async function load(
    recipe: Recipe,
    local: Recipe,
    { signal, gpuLayers, cacheType, ...options }: RecipeOptions & { readonly cacheType: CacheType },
    { host, runtime, cacheTokens, plan, onDispose }: Place & { readonly plan: MemoryPlan | undefined },
): Promise<Ensemble> {
    const { engine, backend, sequences } = runtime;
    const interrupt = (): void => engine.interruptLoading();
    signal?.addEventListener("abort", interrupt);
    let fault: { readonly thrown: unknown } | undefined;
    /** Nobody could catch what it throws where it is called. */
    const onProgress = (fraction: number): void => {
        if (fault !== undefined) return;
        try {
            options.onProgress?.(fraction);
        } catch (error) {
            fault = { thrown: error };
            interrupt();
        }
    };
    const checkWanted = (): void => {
        if (fault !== undefined) throw fault.thrown;
        if (signal?.aborted) throw abortError("Loading was aborted.", signal);
    };
    try {
        checkWanted();
        const there = (spec: MemberSpec): ContextOrigin | undefined =>
            runtime.origins.find(({ key }) => key === contextKey(spec, cacheType));
        const members = await loadMembers(engine, local, backend, {
            ...{ plan, gpuLayers, there, onProgress, checkWanted },
        });
        const vocabulary = examineVocabularies(local, members);
        checkVocabularies(vocabulary);
        const trained = members.map(({ model }) => model.info.trainContextSize);
        const wanted = plan?.contextSize ?? wantedContextSize(recipe, options.contextSize, trained);
        checkWanted();
        const capacity = Math.max(wanted, plan?.cacheTokens ?? cacheTokens ?? sequences * wanted);
        const contexts = await runtime.useContexts(
            members.map(({ model, spec, gpuLayers: layers }, index) => {
                const { weights, context } = plan?.members[index] ?? {};
                const gpuBytes = (weights?.gpu ?? 0) + (context?.gpu ?? 0);
                return {
                    ...{ cacheType, capacity, atLeast: wanted },
                    offloadCache: backend.backend !== "cpu" && layers !== 0,
                    ...(spec.lora && { lora: spec.lora }),
                    origin: { key: contextKey(spec, cacheType), spec, model, gpuLayers: layers, gpuBytes },
                };
            }),
        );
        try {
            checkWanted();
            const contextSize = Math.min(wanted, ...contexts.map(({ cells }) => cells.capacity));
            const parts = { recipe, members, vocabulary, contextSize, cacheType, plan, host };
            return createEnsemble(parts, { runtime, contexts, onDispose });
        } catch (error) {
            await runtime.release(contexts);
            throw error;
        }
    } catch (error) {
        // What has been read and nobody uses.
        await runtime.release([]).catch(() => undefined);
        // An interruption shows as an error of native code, which does not know why it was interrupted.
        checkWanted();
        if (host.disposed)
            throw new EftError("DISPOSED", `The host was disposed while the recipe "${recipe.name}" was loaded.`);
        throw toEftError(error);
    } finally {
        signal?.removeEventListener("abort", interrupt);
    }
}

type HeaderReader = (file: string) => NativeHeader;

/** Reads each file once: a vocabulary takes some time to pass over. */
function createHeaderReader(): HeaderReader {
    const known = new Map<string, NativeHeader>();
    return (file) => {
        const header = known.get(file) ?? loadBinding().readHeader(file);
        known.set(file, header);
        return header;
    };
}

/** What tells contexts apart. Layers on the GPU do not: a file that is there is used where it is. */
function contextKey({ model, lora }: MemberSpec, cacheType: CacheType): string {
    const files = [model, ...(lora ? [lora.path] : [])].map((file) => {
        try {
            const { dev, ino, size, mtimeMs } = statSync(file);
            return [dev, ino, size, mtimeMs];
        } catch {
            // What is wrong with it is said by whoever reads it.
            return [file];
        }
    });
    return JSON.stringify([files, lora?.scale, cacheType]);
}

/**
 * Looks into vocabularies before weights are read, but only where a text may not come to its end: it takes as long as loading
 * small models does.
 *
 * @throws EftError VOCABULARY_MISMATCH, MODEL_*
 */
async function refuseEarly(recipe: Recipe, readHeader: HeaderReader): Promise<void> {
    const headers = recipe.members.map(({ model }) => readHeader(model));
    const smallest = Math.min(...headers.map(({ vocabularySize }) => vocabularySize));
    if (headers.some(({ eos }) => eos >= smallest)) checkVocabularies(await readVocabularies(recipe));
}

/**
 * Plans what may not fit, by what it will take and not by what the files are: a small one may claim any size. What is small by its
 * header needs no plan, and then node-llama-cpp, which takes longer to import than small models take to load, stays out.
 *
 * @throws EftError MEMORY_EXCEEDED, MODEL_*, OPTION_INVALID
 */
async function planIfLarge(
    recipe: Recipe,
    { contextSize, gpuLayers, cacheType = recipe.cacheType ?? "f16" }: RecipeOptions,
    { runtime: { backend, sequences, batchSize, origins }, cacheTokens }: Place,
    readHeader: HeaderReader,
): Promise<MemoryPlan | undefined> {
    // A file may have been deleted since.
    const there = origins.filter(({ spec }) => existsSync(spec.model));
    const taken = new Set<number>();
    // Per member of the recipe: the place of its context among those that are there.
    const places = recipe.members.map((member) => {
        const key = contextKey(member, cacheType);
        const place = there.findIndex((origin, index) => origin.key === key && !taken.has(index));
        taken.add(place);
        return place;
    });
    const fresh = recipe.members.filter((_, index) => places[index] === -1);
    if (fresh.length === 0) return undefined;

    const loaded = there.map(({ spec, gpuLayers: layers }, index) => ({
        ...{ ...spec, name: `${spec.name} (loaded ${index + 1})` },
        ...(layers >= 0 && { gpuLayers: layers }),
    }));
    const all = { ...recipe, members: [...loaded, ...fresh] };
    const room = memoryRoom(backend);
    const weights = [...fileSizes(all, readHeader).values()].reduce((sum, size) => sum + size);
    const cells = cacheTokens ?? sequences * wantedContextSize(recipe, contextSize, []);
    const contexts = all.members.reduce(
        (sum, { model }) => sum + maxContextBytes(readHeader(model), { contextSize: cells, sequences: 1, batchSize }),
        0,
    );
    if (weights + contexts < (room.gpu || room.ram) / 8) return undefined;
    // What is free on the GPU is free beside what is there.
    const gpu = origins.reduce((sum, { gpuBytes }) => sum + gpuBytes, room.gpu);
    const options = { sequences, batchSize, cacheTokens, gpuLayers, cacheType, room: { ...room, gpu } };
    const plan = await planMemory(all, { contextSize, ...options });
    if (plan.problem !== undefined) throw new EftError("MEMORY_EXCEEDED", plan.problem);
    const freshMembers = plan.members.slice(loaded.length);
    const members = places.flatMap((place) => plan.members[place] ?? freshMembers.shift() ?? []);
    return { ...plan, members };
}
