/** The recipes that are served, and the one that is asked. */

import { computed, signal } from "@preact/signals";
import { fetchRecipes } from "../api/client.js";
import { ApiFailure } from "../api/failure.js";
import type { RecipeInfo } from "../api/types.js";
import { tellFailure } from "../text/failures.js";
import { needsKey } from "./key.js";

export const recipes = signal<readonly RecipeInfo[]>([]);
const chosen = signal<string | undefined>(undefined);
/** Why there are none, in a sentence. */
export const recipesProblem = signal<string | undefined>(undefined);

export const recipe = computed(() => recipes.value.find(({ id }) => id === chosen.value) ?? recipes.value[0]);

export function chooseRecipe(id: string): void {
    chosen.value = id;
}

export async function loadRecipes(): Promise<void> {
    try {
        recipes.value = await fetchRecipes();
        recipesProblem.value = undefined;
        needsKey.value = false;
    } catch (error) {
        if (error instanceof ApiFailure && error.kind === "key") needsKey.value = true;
        else recipesProblem.value = tellFailure(error);
    }
}
