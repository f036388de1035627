/** The ensembles of an experiment: loaded when a system needs them, shared by the points of a grid that differ in dials alone. */

import type { Ensemble } from "../ensemble/ensemble.js";
import { createHost } from "../ensemble/host.js";
import { splitLoadOptions, type LoadOptions } from "../ensemble/options.js";
import { readGguf } from "../models/gguf.js";
import { findModel } from "../models/model-files.js";
import type { Experiment, System } from "./types.js";

export interface EnsemblePool extends AsyncDisposable {
    /** The system's ensemble. Those asked for longest ago are disposed of when there are more than the pool holds. */
    open(system: System): Promise<Ensemble>;
}

/** Tokens that any model is asked for without a look at what it is trained for. */
const ORDINARY_CONTEXT = 4096;
/** Tokens of a template around a prompt, at most. */
const TEMPLATE_TOKENS = 128;

/**
 * A host for all systems of an experiment.
 *
 * @param capacity - ensembles that stay loaded. The next is loaded before the last is disposed of, so that what both use is
 *   loaded once.
 * @param onLoad - called with each ensemble that was loaded
 */
export function createEnsemblePool(
    capacity: number,
    options: LoadOptions,
    onLoad: (ensemble: Ensemble) => void = () => {},
): EnsemblePool {
    const { host: hostOptions, recipe: recipeOptions } = splitLoadOptions(options);
    const host = createHost(hostOptions);
    const loaded = new Map<string, Ensemble>();
    async function load({ recipe }: System): Promise<Ensemble> {
        const ensemble = await host.load(recipe, recipeOptions);
        onLoad(ensemble);
        return ensemble;
    }
    return {
        async open(system) {
            const key = keyOf(system);
            const ensemble = loaded.get(key) ?? (await load(system));
            loaded.delete(key);
            loaded.set(key, ensemble);
            const [[oldest, last] = []] = loaded;
            if (loaded.size > capacity && oldest !== undefined) {
                loaded.delete(oldest);
                await last?.dispose();
            }
            return ensemble;
        },
        [Symbol.asyncDispose]: () => host.dispose(),
    };
}

/**
 * Tokens that a sequence has to hold: no text has more tokens than bytes. Beyond an ordinary context it is not more than the
 * models are trained for, so that a text that is far too long is told by its beginning, and not tokenized.
 */
export async function contextFor({ tasks, maxTokens, systems }: Experiment): Promise<number> {
    const longest = tasks
        .flatMap(({ items }) => items.map(byteLength))
        .reduce((most, length) => Math.max(most, length), 0);
    const needed = longest + TEMPLATE_TOKENS + maxTokens;
    const limits = systems.flatMap(({ recipe }) => recipe.contextSize ?? []);
    if (needed > ORDINARY_CONTEXT && limits.length === 0) limits.push(...(await trainedContexts(systems)));
    return Math.min(needed, ...limits);
}

/** Of all models that are here; loading says which are not. */
async function trainedContexts(systems: readonly System[]): Promise<number[]> {
    const references = new Set(systems.flatMap(({ recipe }) => recipe.members.map(({ model }) => model)));
    const files = [...references].flatMap((reference) => findModel(reference) ?? []);
    const sizes = await Promise.all(files.map(async (file) => (await readGguf(file)).trainContextSize));
    return sizes.flatMap((size) => size || []);
}

function byteLength(item: Experiment["tasks"][number]["items"][number]): number {
    if (item.kind === "passage") return Buffer.byteLength(item.text);
    const longest = item.kind === "choice" ? Math.max(...item.choices.map((choice) => Buffer.byteLength(choice))) : 0;
    return Buffer.byteLength(item.prompt) + longest;
}

/** All but what a completion brings along. */
function keyOf({ recipe }: System): string {
    const { name: _, parameters, sampling: _sampling, speculation: _speculation, ...rest } = recipe;
    return JSON.stringify({ ...rest, parameters: Object.keys(parameters) });
}
