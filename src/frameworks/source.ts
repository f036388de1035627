/** What a framework's model answers with: an ensemble that is there, or one that is loaded when it is first needed. */

import type { Ensemble } from "../ensemble/ensemble.js";
import { loadEnsemble } from "../ensemble/host.js";
import { LOAD_OPTIONS, type LoadOptions } from "../ensemble/options.js";
import { EftError } from "../errors.js";
import { checkOptions, reading, show } from "../options.js";
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
 * @param owner - what was given it, for messages
 * @param given - how it is loaded; not for an ensemble, which is
 * @throws EftError OPTION_INVALID
 */
export function useSource(owner: string, source: ModelSource, given: LoadOptions = {}): SourceInUse {
    const read = readSource(owner, source);
    const options = checkOptions(owner, given, LOAD_OPTIONS);
    const { name, load, free } =
        "ensemble" in read ? supplyEnsemble(read.ensemble, options) : supplyRecipe(read.recipe, options);
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

/** What it is, as far as that can be told from its keys. @throws EftError OPTION_INVALID */
function readSource(
    owner: string,
    source: unknown,
): { readonly recipe: Recipe | string } | { readonly ensemble: Ensemble } {
    return reading(`What ${owner} answers with`, () => {
        if (typeof source === "string") return { recipe: source };
        const given = Object(source) as object;
        if ("scheduler" in given && "recipe" in given) return { ensemble: given as Ensemble };
        if ("combination" in given) {
            checkRecipe(owner, given);
            return { recipe: given as Recipe };
        }
        const remedy =
            source instanceof Promise ? "; write `await` before loadEnsemble() or loadRecipe()" : describeNested(given);
        throw new EftError(
            "OPTION_INVALID",
            `${owner} takes an ensemble, a recipe, or the name or path of a recipe, not ${show(source)}${remedy}.`,
        );
    });
}

/** Another framework's model takes it as one of several options. */
function describeNested(given: object): string {
    const { model } = given as { readonly model?: unknown };
    return typeof model === "string" ? `; give ${show(model)} by itself` : "";
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

function supplyEnsemble(ensemble: Ensemble, options: LoadOptions): Supply {
    const [option] = Object.keys(options);
    if (option !== undefined)
        throw new EftError(
            "OPTION_INVALID",
            `${option} is an option of loading, and this ensemble is loaded; give it to loadEnsemble().`,
        );
    return { name: ensemble.recipe.name, load: () => Promise.resolve(ensemble), free: () => Promise.resolve() };
}
