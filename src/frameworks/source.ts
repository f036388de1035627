/** What a framework's model answers with: an ensemble that is there, or one that is loaded when it is first needed. */

import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { loadEnsemble } from "../ensemble/host.js";
import { LOAD_OPTIONS, type LoadOptions } from "../ensemble/options.js";
import { EftError } from "../errors.js";
import { checkOptions } from "../options.js";
import { checkRecipe, loadRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";

/** An ensemble; a recipe; the name of a built-in recipe, or the path of a recipe file. */
export type ModelSource = Ensemble | Recipe | string;

/** A {@link ModelSource} in use. */
export interface SourceInUse {
    /** Of the recipe; as it was given, where that was a name or a path. */
    readonly name: string;
    /** Loads it, unless it is there. @throws EftError DISPOSED, and what loading throws; the next call tries again then */
    ensemble(): Promise<Ensemble>;
    /** Frees what was loaded here; an ensemble of the caller's stays as it is. May be called again. */
    dispose(): Promise<void>;
}

/**
 * @param owner - the function or class that was given it, for messages
 * @param given - how it is loaded; not for an ensemble, which is
 * @throws EftError OPTION_INVALID
 */
export function useSource(owner: string, source: ModelSource, given: LoadOptions = {}): SourceInUse {
    const options = checkOptions(owner, given, LOAD_OPTIONS);
    if (typeof source !== "string" && !("combination" in Object(source))) return useEnsemble(owner, source, options);
    if (typeof source !== "string") checkRecipe(owner, source);
    const recipe = source as Recipe | string;
    let loading: Promise<Ensemble> | undefined;
    let disposal: Promise<void> | undefined;
    async function load(): Promise<Ensemble> {
        try {
            return await loadEnsemble(typeof recipe === "string" ? await loadRecipe(recipe) : recipe, options);
        } catch (error) {
            loading = undefined;
            throw error;
        }
    }
    async function unload(): Promise<void> {
        // Whoever waits for it gets the error.
        const ensemble = await loading?.catch(() => undefined);
        await ensemble?.dispose();
    }
    return {
        name: typeof recipe === "string" ? recipe : recipe.name,
        async ensemble() {
            if (disposal !== undefined) throw new EftError("DISPOSED", "The model has been disposed; create it again.");
            return await (loading ??= load());
        },
        dispose: () => (disposal ??= unload()),
    };
}

function useEnsemble(owner: string, ensemble: unknown, options: LoadOptions): SourceInUse {
    checkEnsemble(owner, ensemble);
    const [option] = Object.keys(options);
    if (option !== undefined)
        throw new EftError("OPTION_INVALID", `${option} is an option of loading; ${owner} was given what is loaded.`);
    return { name: ensemble.recipe.name, ensemble: () => Promise.resolve(ensemble), dispose: () => Promise.resolve() };
}
