/** What a framework's model answers with: an ensemble that is there, or one that is loaded when it is first needed. */

import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { loadEnsemble } from "../ensemble/host.js";
import { LOAD_OPTIONS, type LoadOptions } from "../ensemble/options.js";
import { EftError } from "../errors.js";
import { checkOptions } from "../options.js";
import { checkRecipe, loadRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import { trackCalls } from "./running.js";

/** An ensemble; a recipe; the name of a built-in recipe, or the path of a recipe file. */
export type ModelSource = Ensemble | Recipe | string;

/** A {@link ModelSource} in use. */
export interface SourceInUse {
    /** Of the recipe; as it was given, where that was a name or a path. */
    readonly name: string;
    /**
     * The parts that a call gives. It runs from when the first of them is asked for, and loads the ensemble, unless it is there.
     *
     * @throws EftError DISPOSED; what the call throws, and what loading throws, which the next call tries again
     */
    answer<Part>(call: (ensemble: Ensemble) => AsyncIterable<Part>): AsyncIterableIterator<Part, void>;
    /**
     * Refuses new calls, waits for those of which somebody asks for part after part, ends the others, and frees what was loaded here; an
     * ensemble of the caller's stays as it is. May be called again.
     */
    dispose(): Promise<void>;
}

/** Where the ensemble comes from. */
interface Supply {
    readonly name: string;
    readonly load: () => Promise<Ensemble>;
    readonly free: () => Promise<void>;
}

/**
 * @param owner - the function or class that was given it, for messages
 * @param given - how it is loaded; not for an ensemble, which is
 * @param place - what has `given`, for messages
 * @throws EftError OPTION_INVALID
 */
export function useSource(owner: string, source: ModelSource, given: LoadOptions = {}, place = owner): SourceInUse {
    const options = checkOptions(place, given, LOAD_OPTIONS);
    const isLoaded = typeof source !== "string" && !("combination" in Object(source));
    if (typeof source !== "string" && !isLoaded) checkRecipe(owner, source);
    const { name, load, free } = isLoaded
        ? supplyEnsemble(owner, source, options)
        : supplyRecipe(source as Recipe | string, options);
    const calls = trackCalls();
    let disposal: Promise<void> | undefined;
    async function shut(): Promise<void> {
        await calls.end();
        await free();
    }
    async function* answer<Part>(call: (ensemble: Ensemble) => AsyncIterable<Part>): AsyncGenerator<Part, void, void> {
        yield* call(await load());
    }
    return {
        name,
        answer: (call) => calls.run(answer(call)),
        dispose: () => (disposal ??= shut()),
    };
}

function supplyRecipe(recipe: Recipe | string, options: LoadOptions): Supply {
    let loading: Promise<Ensemble> | undefined;
    async function load(): Promise<Ensemble> {
        try {
            return await loadEnsemble(typeof recipe === "string" ? await loadRecipe(recipe) : recipe, options);
        } catch (error) {
            loading = undefined;
            throw error;
        }
    }
    return {
        name: typeof recipe === "string" ? recipe : recipe.name,
        load: () => (loading ??= load()),
        // Whoever waits for it gets the error of loading.
        free: async () => (await loading?.catch(() => undefined))?.dispose(),
    };
}

function supplyEnsemble(owner: string, ensemble: unknown, options: LoadOptions): Supply {
    checkEnsemble(owner, ensemble);
    const [option] = Object.keys(options);
    if (option !== undefined)
        throw new EftError("OPTION_INVALID", `${option} is an option of loading; ${owner} was given what is loaded.`);
    return { name: ensemble.recipe.name, load: () => Promise.resolve(ensemble), free: () => Promise.resolve() };
}
