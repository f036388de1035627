/** From the flags of a command to a loaded ensemble. */

import path from "node:path";
import {
    loadEnsemble,
    loadRecipe,
    resolveParameters,
    type BackendChoice,
    type Ensemble,
    type LoadOptions,
    type Recipe,
} from "../index.js";
import { loadBinding } from "../native/load-binding.js";
import { recipeForFiles } from "../ensemble/from-files.js";
import { trainedForFewer } from "../ensemble/members.js";
import { checkRecipeParts } from "../models/roles.js";
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
    if (args.base !== undefined) warnOfRoles(recipe);
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

function warnOfContext({ members, contextSize }: Ensemble): void {
    const trained = trainedForFewer(members, contextSize).map(
        ({ name, model }) => `${name} for ${model.info.trainContextSize}`,
    );
    if (trained.length > 0)
        remark(
            `The context holds ${contextSize} tokens, and members were trained for fewer: ${trained.join(", ")}. ` +
                "Beyond that, texts get worse.\n",
        );
}

/** What is wrong with the files themselves has come out while they were loaded. */
function warnOfRoles(recipe: Recipe): void {
    const doubts = checkRecipeParts(recipe) ?? [];
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
    return recipeForFiles({ base, tuned, reference });
}
