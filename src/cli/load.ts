/** From the flags of a command to a loaded ensemble. */

import path from "node:path";
import {
    adHocRecipe,
    EftError,
    findModel,
    loadEnsemble,
    loadRecipe,
    memoryRoom,
    recommendControlTokens,
    resolveParameters,
    type BackendChoice,
    type Ensemble,
    type LoadOptions,
    type MemoryOptions,
    type Recipe,
} from "../index.js";
import { loadBinding } from "../native/load-binding.js";
import { checkRecipeParts } from "../models/roles.js";
import { resolveReference } from "../recipe/reference.js";
import { defaultRecipe } from "./config.js";
import type { LoadArguments, RecipeArguments } from "./options.js";
import { offerDownload } from "./pull-models.js";
import { escapeControls, formatMessage, printError, remark, startProgress } from "./terminal.js";

/** ggml's number of the most talkative log level. */
const DEBUG = 1;

/**
 * Loads the recipe that the flags name, as they say, with a progress bar on a terminal.
 *
 * @param options - what the command itself decides
 * @param check - throws if the recipe cannot do what the command wants, before anything is loaded
 * @throws EftError what `loadRecipe`, `adHocRecipe` and `loadEnsemble` throw; PARAMETER_* before anything is loaded
 */
export async function openEnsemble(
    args: LoadArguments & RecipeArguments,
    options: Pick<LoadOptions, "sequences">,
    check: (recipe: Recipe) => void = () => {},
): Promise<Ensemble> {
    const recipe = await chooseRecipe(args);
    resolveParameters(recipe, args.set ?? {});
    check(recipe);
    await offerDownload(recipe);
    const ensemble = await loadWithProgress(recipe, args, options);
    ensemble.setParameters(args.set ?? {});
    warnOfContext(ensemble);
    // Of what was just typed; about recipes, `recipe check` says it.
    if (args.base !== undefined) await warnOfRoles(recipe);
    if (args.verbose) {
        const { threads, contextSize, sequences, target } = ensemble;
        const cacheTokens = Math.min(...target.contexts.map(({ cells }) => cells.capacity));
        const lines = [
            ...describeBackend(ensemble.backend),
            `Threads: ${threads}`,
            `Context: ${contextSize} tokens; ${sequences} sequences share a cache of ${cacheTokens}`,
            ...(ensemble.plan?.remarks ?? []),
        ];
        printError(`${lines.map(escapeControls).join("\n")}\n`);
    }
    return ensemble;
}

/** Beyond what they were trained for, models get worse without a word. */
function warnOfContext({ members, contextSize }: Ensemble): void {
    const short = members.filter(({ model }) => model.info.trainContextSize < contextSize);
    const trained = short.map(({ name, model }) => `${name} for ${model.info.trainContextSize}`);
    if (trained.length > 0)
        remark(
            `The context holds ${contextSize} tokens, and members were trained for fewer: ${trained.join(", ")}. ` +
                "Beyond that, texts get worse.\n",
        );
}

/** After loading, because node-llama-cpp, which reads headers, takes over llama.cpp's log, which messages quote. */
async function warnOfRoles(recipe: Recipe): Promise<void> {
    const doubts = (await checkRecipeParts(recipe)) ?? [];
    remark(doubts.map((doubt) => `${escapeControls(doubt)}\n`).join(""));
}

/** @throws EftError what `loadEnsemble` throws */
export async function loadWithProgress(recipe: Recipe, args: LoadArguments, options: LoadOptions): Promise<Ensemble> {
    if (args.verbose) showLog();
    // A bar and a log would share lines.
    const progress = args.verbose ? { update: () => {}, stop: () => {} } : startProgress("Loading");
    try {
        return await loadEnsemble(recipe, {
            backend: args.backend,
            threads: args.threads,
            contextSize: args.contextSize,
            gpuLayers: args.gpuLayers,
            cacheType: args.cacheType,
            cacheTokens: args.cacheTokens,
            trust: args.trust,
            onTrial: (file) => progress.update(0, `Trying ${path.basename(file)} once`),
            onProgress: (fraction) => progress.update(fraction),
            ...options,
        });
    } finally {
        progress.stop();
    }
}

/** What a plan of the memory depends on. */
export function memoryOptions(
    { contextSize, cacheTokens, gpuLayers, cacheType, sequences }: Omit<MemoryOptions, "room">,
    backend: BackendChoice,
): MemoryOptions {
    return { contextSize, cacheTokens, gpuLayers, cacheType, sequences, room: memoryRoom(backend) };
}

/** llama.cpp's log goes to standard error from now on. */
export function showLog(): void {
    loadBinding().setLog((level, text) => {
        if (level > DEBUG) printError(formatMessage(text));
    });
}

/** Lines: what was chosen, and why each other was not. */
export function describeBackend({ backend, devices, cpu, rejected }: BackendChoice): string[] {
    const names = [...devices, ...(cpu === undefined ? [] : [cpu])].map(({ description }) => description);
    return [
        `Backend: ${backend} (${names.join(", ")})`,
        ...rejected.map(({ backend: other, reason }) => `  not ${other}: ${reason}`),
    ];
}

async function chooseRecipe({ recipe, base = "", tuned = "", reference = "" }: RecipeArguments): Promise<Recipe> {
    if (recipe !== undefined) return loadRecipe(recipe);
    const byDefault = base === "" ? defaultRecipe() : undefined;
    if (byDefault !== undefined) return loadRecipe(byDefault);
    const models = isAdapter(tuned) ? { base, lora: tuned, reference } : { base, tuned, reference };
    const controlTokens = await chooseControlTokens(adHocRecipe(models));
    return adHocRecipe({ ...models, controlTokens });
}

/** What the files call for. What is wrong with them comes out while loading, in the words of that. */
async function chooseControlTokens({ members }: Recipe): Promise<Recipe["controlTokens"]> {
    const [, own, base] = members.map(({ model }) => findModel(model));
    if (own === undefined || base === undefined) return "combine";
    try {
        return await recommendControlTokens(own, base);
    } catch (error) {
        if (EftError.isInstance(error)) return "combine";
        throw error;
    }
}

/** Whether a GGUF is a LoRA adapter; what it otherwise is, and whether it is there, comes out while loading. */
function isAdapter(file: string): boolean {
    try {
        return loadBinding().readHeader(resolveReference(file, ".")).type === "adapter";
    } catch {
        return false;
    }
}
