/** What is kept for each recipe by itself. */

import { signal } from "@preact/signals";
import { recipe } from "./recipes.js";

export interface ByRecipe<T> {
    /** Of the recipe that is asked; undefined: nothing is kept. */
    get(): T | undefined;
    set(value: T): void;
}

export function keepByRecipe<T>(): ByRecipe<T> {
    const kept = signal<ReadonlyMap<string, T>>(new Map());
    return {
        get: () => kept.value.get(recipe.value?.id ?? ""),
        set(value) {
            kept.value = new Map(kept.value).set(recipe.value?.id ?? "", value);
        },
    };
}
