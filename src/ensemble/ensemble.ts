/** A loaded recipe: models, contexts, caches, dials. */

import { availableParallelism } from "node:os";
import { abortError, EftError, withStack } from "../errors.js";
import { BACKENDS, chooseBackend, type BackendChoice, type BackendName } from "../native/backend.js";
import { TOKEN_KIND, type NativeEngine, type NativeVocabulary } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { toEftError } from "../native/native-error.js";
import {
    callback,
    checkInteger,
    checkOptions,
    boolean,
    integer,
    mapping,
    oneOf,
    show,
    abortSignal,
    type OptionTable,
} from "../options.js";
import { checkRecipe, resolveParameters } from "../recipe/index.js";
import type { CacheType, Recipe } from "../types.js";
import { createTrust, type Trust } from "./trust.js";
import { createCostTable, type CostTable } from "./costs.js";
import { fileSizes, loadMembers, type Member } from "./members.js";
import {
    CACHE_TYPES,
    CONTEXT_SIZE,
    maxContextBytes,
    memoryRoom,
    planMemory,
    wantedContextSize,
    type MemoryPlan,
} from "./memory-plan.js";
import { locateModels } from "./model-files.js";
import { createSequencePool, type SequencePool } from "./sequences.js";
import { createStatistics, type SpeculationStatistics, type StatisticsRecorder } from "./statistics.js";
import { createStepQueue, type StepQueue } from "./steps.js";
import { readVocabularies } from "./gguf.js";
import { tryModels } from "./trial.js";
import { createTokenTexts, examineVocabularies, type TokenTexts } from "./added-tokens.js";
import { checkVocabularies, flaggedIds, type VocabularyReport } from "./vocabulary.js";

/** How {@link loadEnsemble} loads. */
export interface LoadOptions {
    /** Default `auto`: the first of metal, cuda, vulkan that has a device, else the CPU. */
    readonly backend?: BackendName | undefined;
    /** Threads for members on the CPU. Default: physical cores - 1, at least 1. */
    readonly threads?: number | undefined;
    /**
     * Tokens each sequence can hold. Default: the recipe's, else the smallest training context, at most 4096, and fewer where
     * memory does not suffice.
     */
    readonly contextSize?: number | undefined;
    /** Sequences that can be active at once; each reserves `contextSize` tokens of cache in every member. Default 4. */
    readonly sequences?: number | undefined;
    /** Most tokens that one member evaluates in one step. Range 32..8192. Default 512. */
    readonly batchSize?: number | undefined;
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

/** What the options of loading may be. */
export const LOAD_OPTIONS: OptionTable<LoadOptions> = {
    backend: oneOf(BACKENDS),
    threads: integer(1, Math.min(512, 4 * availableParallelism())),
    contextSize: CONTEXT_SIZE,
    sequences: integer(1, 64),
    batchSize: integer(32, 8192),
    gpuLayers: integer(0, 1000),
    cacheType: oneOf(CACHE_TYPES),
    trust: boolean,
    onTrial: callback,
    onProgress: callback,
    signal: abortSignal,
};

/** A loaded recipe. Created by {@link loadEnsemble}; used through `complete()` and `score()`. */
export interface Ensemble {
    readonly recipe: Recipe;
    /** In the order of the recipe; all arrays over members follow it. */
    readonly members: readonly Member[];
    readonly vocabulary: VocabularyReport;
    readonly backend: BackendChoice;
    readonly threads: number;
    /** Tokens each sequence of each member can hold. */
    readonly contextSize: number;
    /** Sequences that can be active at once. */
    readonly sequences: number;
    /** Most tokens that one member evaluates in one step. */
    readonly batchSize: number;
    /** In what form every member keeps keys and values. */
    readonly cacheType: CacheType;
    /** What was planned before loading; undefined where the models are so small that nothing had to be. */
    readonly plan: MemoryPlan | undefined;
    /** Current values of the recipe's parameters, used by every call that does not bring its own. */
    readonly parameters: Readonly<Record<string, number>>;
    /** Turns dials; takes effect at the next token. @throws EftError PARAMETER_UNKNOWN, PARAMETER_RANGE, OPTION_INVALID */
    setParameters(values: Readonly<Record<string, number>>): void;
    /** What speculation has done so far, in all completions that have ended. */
    readonly statistics: SpeculationStatistics;
    /** @internal Measured while the ensemble works. */
    readonly costs: CostTable;
    /** @internal Where completions report what they have done. */
    readonly speculation: StatisticsRecorder;
    /** @internal How far forecasts of drafts can be believed, by the same reports. */
    readonly trust: Trust;
    /** @internal How the members spell tokens, those included that some of them lack. */
    readonly texts: TokenTexts;
    /** @internal The caches. @throws EftError DISPOSED after dispose() */
    readonly pool: SequencePool;
    /** @internal Continuous batching. @throws EftError DISPOSED after dispose() */
    readonly steps: StepQueue;
    readonly disposed: boolean;
    /** Aborts what runs, waits for it, frees everything. May be called again. */
    dispose(): Promise<void>;
    /** The same as dispose(), for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Loads the members of a recipe and checks that they can be combined.
 *
 * @throws EftError MODEL_*, MEMORY_EXCEEDED, LORA_INVALID, VOCABULARY_MISMATCH, TEMPLATE_*, CONTEXT_FAILED, BACKEND_UNAVAILABLE, ADDON_*,
 * OPTION_INVALID, ABORTED when `signal` fires, or what `onProgress` throws; nothing stays loaded then
 */
export async function loadEnsemble(recipe: Recipe, options: LoadOptions = {}): Promise<Ensemble> {
    checkRecipe("loadEnsemble", recipe);
    return load(recipe, checkOptions("loadEnsemble", options, LOAD_OPTIONS));
}

async function load(recipe: Recipe, options: LoadOptions): Promise<Ensemble> {
    const { signal } = options;
    const binding = loadBinding();
    const threads = options.threads ?? Math.max(1, binding.physicalCores() - 1);
    const sequences = options.sequences ?? 4;
    const batchSize = checkInteger("batchSize", options.batchSize ?? 512, Math.max(32, sequences), 8192);
    const cacheType = options.cacheType ?? recipe.cacheType ?? "f16";
    const backend = chooseBackend(options.backend ?? "auto");
    const local = await locateModels(recipe);
    const plan = await planIfLarge(local, backend, { ...options, sequences, batchSize });
    if (options.trust !== true) {
        await tryModels(
            local.members.map(({ model }) => model),
            { threads, signal, onTrial: options.onTrial },
        );
    }
    await refuseEarly(local);

    const engine = binding.createEngine({ threads, batchSize, sequences });
    const interrupt = (): void => engine.interrupt();
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
        const { gpuLayers } = options;
        const members = await loadMembers(engine, local, backend, { plan, gpuLayers, onProgress, checkWanted });
        const vocabulary = examineVocabularies(local, members);
        checkVocabularies(vocabulary);
        const trained = members.map(({ model }) => model.info.trainContextSize);
        const contextSize = plan?.contextSize ?? wantedContextSize(recipe, options.contextSize, trained);
        for (const member of members) {
            checkWanted();
            await engine.addMember({
                model: member.model,
                ...(member.spec.lora === undefined ? {} : { lora: member.spec.lora }),
                contextSize,
                cacheType,
                offloadCache: backend.backend !== "cpu" && member.gpuLayers !== 0,
            });
        }
        engine.setVocabulary(toNativeVocabulary(vocabulary));
        checkWanted();
        return createEnsemble(engine, {
            recipe,
            members,
            vocabulary,
            backend,
            threads,
            contextSize,
            sequences,
            batchSize,
            cacheType,
            plan,
        });
    } catch (error) {
        await engine.dispose();
        // An interruption shows as an error of native code, which does not know why it was interrupted.
        checkWanted();
        throw withStack(toEftError(error));
    } finally {
        signal?.removeEventListener("abort", interrupt);
    }
}

/** @param owner - the function that was given it, for the message. @throws EftError OPTION_INVALID */
export function checkEnsemble(owner: string, ensemble: unknown): asserts ensemble is Ensemble {
    // A view of an ensemble inherits all of this.
    if (typeof ensemble === "object" && ensemble !== null && "recipe" in ensemble && "steps" in ensemble) return;
    const remedy = ensemble instanceof Promise ? "; write `await` before loadEnsemble()" : "";
    throw new EftError("OPTION_INVALID", `${owner} takes an ensemble, not ${show(ensemble)}${remedy}.`);
}

type LoadedParts = Pick<
    Ensemble,
    | ("recipe" | "members" | "vocabulary" | "backend" | "threads" | "contextSize" | "sequences" | "batchSize")
    | ("cacheType" | "plan")
>;

function createEnsemble(engine: NativeEngine, parts: LoadedParts): Ensemble {
    const { batchSize, sequences } = parts;
    const members = parts.members.length;
    const pool = createSequencePool(engine, members, sequences);
    const costs = createCostTable(members);
    const trust = createTrust();
    const steps = createStepQueue(engine, { members, batchSize, sequences, costs, trust });
    const speculation = createStatistics(members);
    let parameters = resolveParameters(parts.recipe, {});
    let disposal: Promise<void> | undefined;

    const disposedError = (): EftError =>
        new EftError("DISPOSED", `The ensemble "${parts.recipe.name}" has been disposed; load it again.`);
    function alive<T>(part: T): T {
        if (disposal === undefined) return part;
        throw disposedError();
    }
    function dispose(): Promise<void> {
        if (disposal === undefined) {
            pool.close(disposedError());
            disposal = engine.dispose();
        }
        return disposal;
    }

    return {
        ...parts,
        texts: createTokenTexts(parts.members, parts.vocabulary),
        costs,
        speculation,
        trust,
        get statistics() {
            return speculation.read();
        },
        get parameters() {
            return parameters;
        },
        setParameters(values) {
            const own = mapping<number>("What setParameters takes", values);
            parameters = alive(resolveParameters(parts.recipe, { ...parameters, ...own }));
        },
        get pool() {
            return alive(pool);
        },
        get steps() {
            return alive(steps);
        },
        get disposed() {
            return disposal !== undefined;
        },
        dispose,
        [Symbol.asyncDispose]: dispose,
    };
}

function toNativeVocabulary({ size, members, controlTokens, addedTokens, endOfGeneration }: VocabularyReport) {
    const { combined, control, added } = TOKEN_KIND;
    return {
        kinds: Uint8Array.from({ length: size }, (_, token) =>
            addedTokens[token] === 1 ? added : controlTokens[token] === 1 ? control : combined,
        ),
        endOfGeneration,
        lacking: members.map(({ lacks }) => flaggedIds(lacks)),
    } satisfies NativeVocabulary;
}

/**
 * Looks into vocabularies before weights are read, but only where a text may not come to its end: it takes as long as loading
 * small models does.
 *
 * @throws EftError VOCABULARY_MISMATCH, MODEL_*
 */
async function refuseEarly(recipe: Recipe): Promise<void> {
    const headers = recipe.members.map(({ model }) => loadBinding().readHeader(model));
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
    backend: BackendChoice,
    { sequences, batchSize, ...options }: LoadOptions & Pick<Ensemble, "sequences" | "batchSize">,
): Promise<MemoryPlan | undefined> {
    const room = memoryRoom(backend);
    const weights = [...fileSizes(recipe).values()].reduce((sum, size) => sum + size);
    const largest = { contextSize: wantedContextSize(recipe, options.contextSize, []), sequences, batchSize };
    const contexts = recipe.members.reduce(
        (sum, { model }) => sum + maxContextBytes(loadBinding().readHeader(model), largest),
        0,
    );
    if (weights + contexts < (room.gpu || room.ram) / 8) return undefined;
    const { contextSize, gpuLayers, cacheType } = options;
    const plan = await planMemory(recipe, { contextSize, sequences, batchSize, gpuLayers, cacheType, room });
    if (plan.problem !== undefined) throw new EftError("MEMORY_EXCEEDED", plan.problem);
    return plan;
}
