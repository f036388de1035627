/** Loads a recipe on a host: models, contexts, the comparison of vocabularies. */

import { statSync } from "node:fs";
import { abortError, EftError } from "../errors.js";
import type { LoadedContext, Runtime } from "../host/runtime.js";
import type { HostContext } from "../host/sequences.js";
import { maxContextBytes, type ExistingContext } from "../models/context-memory.js";
import { memoryRoom, planBeside, wantedContextSize, type MemoryPlan } from "../models/memory-plan.js";
import { locateModels, partCount, partFiles } from "../models/model-files.js";
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
import { fileSizes, loadMembers, type Member } from "./members.js";
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
export async function loadOnHost(recipe: Recipe, options: RecipeOptions, place: Place): Promise<Ensemble> {
    // Who is loaded later plans beside who was loaded before.
    return place.runtime.inTurn(() => prepareAndLoad(recipe, options, place), options.signal);
}

/** A member of the recipe, and what the host has of it already. */
interface Part {
    readonly spec: MemberSpec;
    readonly kind: string;
    readonly weights: string;
    /** The context that it will use. */
    readonly found: LoadedContext | undefined;
    /** One with its model, at least. */
    readonly lender: LoadedContext | undefined;
}

async function prepareAndLoad(recipe: Recipe, options: RecipeOptions, place: Place): Promise<Ensemble> {
    const { runtime } = place;
    const local = await locateModels(recipe);
    const cacheType = options.cacheType ?? recipe.cacheType ?? "f16";
    const readHeader = createHeaderReader();
    const trained = local.members.map(({ model }) => {
        const weights = fileIdentity(model);
        const lender = runtime.loaded.find(({ origin }) => origin.weights === weights);
        return lender?.origin.model.info.trainContextSize ?? trainContextSize(readHeader(model));
    });
    const wanted = wantedContextSize(recipe, options.contextSize, trained);
    const parts = findParts(local, runtime.loaded, { cacheType, atLeast: wanted });
    const borrowed = runtime.loaded.filter((each) => parts.some(({ found, lender }) => [found, lender].includes(each)));
    // What the recipe relies on stays, whoever else is disposed of meanwhile.
    const contexts = borrowed.map(({ context }) => context);
    runtime.retain(contexts);
    try {
        const plan = await planIfLarge(local, { ...options, cacheType }, { ...place, parts, wanted, readHeader });
        if (options.trust !== true) {
            await tryModels(
                local.members.map(({ model }) => model),
                { threads: runtime.threads, signal: options.signal, onTrial: options.onTrial },
            );
        }
        if (parts.some(({ found }) => found === undefined)) await refuseEarly(local, readHeader);
        return await load(recipe, local, { ...options, cacheType }, { ...place, parts, wanted, plan });
    } finally {
        // Where llama.cpp has failed, nothing can be freed but with the host.
        await runtime.release(contexts).catch(() => undefined);
        await runtime.releaseModels().catch(() => undefined);
    }
}

/** A context is used if it is of the kind that a member needs and holds enough, and by one member alone. */
function findParts(
    { members }: Recipe,
    loaded: readonly LoadedContext[],
    { cacheType, atLeast }: { readonly cacheType: CacheType; readonly atLeast: number },
): Part[] {
    const taken = new Set<LoadedContext>();
    return members.map((spec) => {
        const [kind, weights] = [contextKind(spec, cacheType), fileIdentity(spec.model)];
        const found = loaded.find(
            (each) => each.origin.kind === kind && each.context.cells.capacity >= atLeast && !taken.has(each),
        );
        if (found !== undefined) taken.add(found);
        const lender = found ?? loaded.find(({ origin }) => origin.weights === weights);
        return { spec, kind, weights, found, lender };
    });
}

async function load(
    recipe: Recipe,
    local: Recipe,
    { signal, gpuLayers, cacheType, ...options }: RecipeOptions & { readonly cacheType: CacheType },
    place: Place & { readonly parts: readonly Part[]; readonly wanted: number; readonly plan: MemoryPlan | undefined },
): Promise<Ensemble> {
    const { host, runtime, cacheTokens, parts, plan, onDispose } = place;
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
    const contexts: HostContext[] = [];
    try {
        checkWanted();
        const members = await loadMembers(engine, local, backend, {
            lent: parts.map(({ lender }) => lender?.origin),
            ...{ plan, gpuLayers, onProgress, checkWanted },
        });
        const vocabulary = examineVocabularies(local, members);
        checkVocabularies(vocabulary);
        checkWanted();
        const contextSize = plan?.contextSize ?? place.wanted;
        const capacity = Math.max(contextSize, plan?.cacheTokens ?? cacheTokens ?? sequences * contextSize);
        for (const [index, { spec, kind, weights, found }] of parts.entries()) {
            if (found !== undefined) {
                runtime.retain([found.context]);
                contexts.push(found.context);
                continue;
            }
            const { model, gpuLayers: layers } = members[index] as Member;
            const context = await runtime.addContext({
                capacity,
                offloadCache: backend.backend !== "cpu" && layers !== 0,
                ...(spec.lora && { lora: spec.lora }),
                origin: { kind, weights, spec, cacheType, model, gpuLayers: layers },
            });
            contexts.push(context);
        }
        await runtime.recall(contexts);
        checkWanted();
        const loaded = { recipe, members, vocabulary, contextSize, cacheType, plan, host };
        return createEnsemble(loaded, { runtime, contexts, onDispose });
    } catch (error) {
        await runtime.release(contexts).catch(() => undefined);
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

function trainContextSize({ architecture, entries }: NativeHeader): number {
    const [, size] = entries.find(([key]) => key === `${architecture}.context_length`) ?? [];
    return typeof size === "number" ? size : 0;
}

/** What tells contexts apart. Layers on the GPU do not: a file that is there is used where it is. */
function contextKind({ model, lora }: MemberSpec, cacheType: CacheType): string {
    return JSON.stringify([fileIdentity(model), lora && [fileIdentity(lora.path), lora.scale], cacheType]);
}

/** Another text once the file, or a part of it, is another. */
function fileIdentity(model: string): string {
    const files = partFiles(model, partCount(model)).map((file) => {
        try {
            const { dev, ino, size, mtimeMs } = statSync(file);
            return [dev, ino, size, mtimeMs];
        } catch {
            // What is wrong with it is said by whoever reads it.
            return [file];
        }
    });
    return JSON.stringify(files);
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
 * header needs no plan, and then what estimates memory stays out.
 *
 * @throws EftError MEMORY_EXCEEDED, MODEL_*, OPTION_INVALID
 */
async function planIfLarge(
    recipe: Recipe,
    { contextSize, gpuLayers, cacheType }: RecipeOptions & { readonly cacheType: CacheType },
    place: Place & { readonly parts: readonly Part[]; readonly wanted: number; readonly readHeader: HeaderReader },
): Promise<MemoryPlan | undefined> {
    const { runtime, cacheTokens, parts, wanted, readHeader } = place;
    const { backend, sequences, batchSize, loaded } = runtime;
    if (parts.every(({ found }) => found !== undefined)) return undefined;

    const describe = ({ origin, context }: LoadedContext): ExistingContext => ({
        ...origin,
        cacheTokens: context.cells.capacity,
    });
    const others = loaded
        .filter((each) => parts.every(({ found }) => found !== each))
        // A file may have been deleted or replaced since: then nobody can say what it takes.
        .filter(({ origin }) => contextKind(origin.spec, origin.cacheType) === origin.kind)
        .map((each, index) => {
            const { spec, ...rest } = describe(each);
            return { ...rest, spec: { ...spec, name: `${spec.name} (loaded ${index + 1})` } };
        });
    const ofMembers = parts.map(({ found }) => found && describe(found));

    const room = memoryRoom(backend);
    const weights = [
        ...fileSizes({ members: [...others.map(({ spec }) => spec), ...recipe.members] }, readHeader).values(),
    ];
    const bytesOf = (model: string, cells: number): number =>
        maxContextBytes(readHeader(model), { cacheTokens: cells, sequences, batchSize });
    const fresh = Math.max(wanted, cacheTokens ?? sequences * wanted);
    const contexts = [
        ...others.map(({ spec, cacheTokens: cells }) => bytesOf(spec.model, cells)),
        ...parts.map(({ spec, found }) => bytesOf(spec.model, found?.context.cells.capacity ?? fresh)),
    ];
    const bytes = [...weights, ...contexts].reduce((sum, each) => sum + each);
    if (bytes < (room.gpu || room.ram) / 8) return undefined;
    const options = { contextSize, sequences, batchSize, cacheTokens, gpuLayers, cacheType };
    const plan = await planBeside(recipe, { ...options, room }, { ofMembers, others });
    if (plan.problem !== undefined) throw new EftError("MEMORY_EXCEEDED", plan.problem);
    return plan;
}
