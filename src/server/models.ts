/** The models of a server: recipes on one host, loaded before they are asked for or when they are. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { Host } from "../ensemble/host.js";
import type { RecipeOptions } from "../ensemble/options.js";
import { abortError, EftError } from "../errors.js";
import type { Recipe } from "../types.js";
import { createPlaces, type Asker } from "./places.js";

/** A model in use: it stays loaded until it is released. */
export interface ModelInUse {
    readonly ensemble: Ensemble;
    /** May be called again. */
    readonly release: () => void;
}

export interface ServedModels {
    readonly recipes: readonly Recipe[];
    isLoaded(id: string): boolean;
    /** Requests that wait for one to be loaded. */
    readonly waiting: number;
    /**
     * @param id - undefined: the first one
     * @throws EftError RECIPE_NOT_FOUND for an id that is none, BUSY where as many of that key wait as may, ABORTED, and what
     * {@link Host.load} throws
     */
    use(id: string | undefined, asker: Asker): Promise<ModelInUse>;
    /** Uses it while `body` runs. @throws as `use()`, and what `body` throws */
    using<T>(id: string | undefined, asker: Asker, body: (ensemble: Ensemble) => T | Promise<T>): Promise<T>;
}

interface Entry {
    readonly recipe: Recipe;
    ensemble: Ensemble | undefined;
    users: number;
    /** Counts uses: the smallest was used the longest time ago. */
    lastUse: number;
}

/**
 * @param most - recipes that are loaded at once
 * @param queue - how many of each key may wait for one that is not
 */
export function createModels(
    host: Host,
    recipes: readonly Recipe[],
    { most, queue, ...options }: RecipeOptions & { readonly most: number; readonly queue: number },
): ServedModels {
    const entries = new Map<string, Entry>(
        recipes.map((recipe) => [recipe.name, { recipe, ensemble: undefined, users: 0, lastUse: 0 }]),
    );
    let uses = 0;
    /** Who loads: one after another, so that what two share is loaded once and who has to make room is certain. */
    const turns = createPlaces(1, queue);
    /** Tells who waits for a model that nobody uses; undefined: nobody waits. */
    let tell: (() => void) | undefined;

    function hold(entry: Entry, ensemble: Ensemble): ModelInUse {
        entry.users++;
        let isUsed = true;
        const release = (): void => {
            if (!isUsed) return;
            isUsed = false;
            entry.users--;
            tell?.();
        };
        return { ensemble, release };
    }

    async function load(entry: Entry, signal: AbortSignal): Promise<ModelInUse> {
        if (entry.ensemble !== undefined) return hold(entry, entry.ensemble);
        for (;;) {
            const loaded = [...entries.values()].filter(({ ensemble }) => ensemble !== undefined);
            if (loaded.length < most) break;
            const [oldest] = loaded.filter(({ users }) => users === 0).sort((a, b) => a.lastUse - b.lastUse);
            if (oldest === undefined) {
                await waitForRoom(signal);
                continue;
            }
            const { ensemble } = oldest;
            oldest.ensemble = undefined;
            await ensemble?.dispose();
        }
        entry.ensemble = await host.load(entry.recipe, options);
        return hold(entry, entry.ensemble);
    }

    async function waitForRoom(signal: AbortSignal): Promise<void> {
        await new Promise<void>((resolve) => {
            tell = resolve;
            signal.addEventListener("abort", () => resolve(), { once: true });
            // It may have gone between its turn and this.
            if (signal.aborted) resolve();
        });
        tell = undefined;
        if (signal.aborted) throw abortError("The request was aborted while it waited for a model.", signal);
    }

    async function use(id: string | undefined, asker: Asker): Promise<ModelInUse> {
        const entry = id === undefined ? entries.values().next().value : entries.get(id);
        if (entry === undefined)
            throw new EftError(
                "RECIPE_NOT_FOUND",
                `There is no model ${JSON.stringify(id?.slice(0, 100))}; there are: ${[...entries.keys()].join(", ")}.`,
            );
        entry.lastUse = ++uses;
        // Where somebody waits for room, who comes later must not keep a loaded model from ever making it.
        if (entry.ensemble !== undefined && tell === undefined) return hold(entry, entry.ensemble);
        return turns.within(asker, () => load(entry, asker.signal));
    }

    return {
        recipes,
        isLoaded: (id) => entries.get(id)?.ensemble !== undefined,
        get waiting() {
            return turns.taken + turns.waiting;
        },
        use,
        async using(id, asker, body) {
            const { ensemble, release } = await use(id, asker);
            try {
                return await body(ensemble);
            } finally {
                release();
            }
        },
    };
}
