/** The ensembles of an experiment: loaded when a system needs them, shared by the points of a grid that differ in dials alone. */

import { loadEnsemble, type Ensemble, type LoadOptions } from "../ensemble/ensemble.js";
import type { Experiment, System } from "./types.js";

export interface EnsembleShelf extends AsyncDisposable {
    /** The system's ensemble. Those asked for longest ago are disposed of when there are more than the shelf holds. */
    open(system: System): Promise<Ensemble>;
}

/** Tokens of a template around a prompt, at most. */
const TEMPLATE_TOKENS = 128;

/**
 * @param capacity - ensembles that stay loaded. The next is loaded before the last is disposed of, so that weights which
 *   both use are read once.
 * @param onLoad - called with each ensemble that was loaded
 */
export function createShelf(
    capacity: number,
    options: LoadOptions,
    onLoad: (ensemble: Ensemble) => void = () => {},
): EnsembleShelf {
    const loaded = new Map<string, Ensemble>();
    async function load({ recipe }: System): Promise<Ensemble> {
        const ensemble = await loadEnsemble(recipe, options);
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
        async [Symbol.asyncDispose]() {
            for (const ensemble of loaded.values()) await ensemble.dispose();
        },
    };
}

/** Tokens that a sequence has to hold: no text has more tokens than bytes. */
export function contextFor({ tasks, maxTokens, systems }: Experiment): number | undefined {
    const lengths = tasks.flatMap(({ items }) => items.map(byteLength));
    const needed = Math.max(0, ...lengths) + TEMPLATE_TOKENS + maxTokens;
    const limits = systems.map(({ recipe }) => recipe.contextSize).filter((size) => size !== undefined);
    return limits.length > 0 ? Math.min(needed, ...limits) : needed;
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
