/** How answers are drawn and compared. */

import { computed, signal } from "@preact/signals";
import { findRivals } from "../text/rivals.js";
import { keepByRecipe } from "./by-recipe.js";
import { recipe } from "./recipes.js";

/** undefined: another one for each question. */
export const seed = signal<number | undefined>(undefined);
/** undefined: the recipe's. */
export const temperature = signal<number | undefined>(undefined);
/** Whether two members answer by themselves, too. */
export const isComparing = signal(false);

const speculating = keepByRecipe<boolean>();
export const speculation = computed(() => speculating.get() ?? recipe.value?.has_speculation ?? false);
export function setSpeculation(on: boolean): void {
    speculating.set(on);
}

const chosenRivals = keepByRecipe<readonly string[]>();
/** The members that answer beside EFT. */
export const rivals = computed<readonly string[]>(() =>
    recipe.value === undefined ? [] : (chosenRivals.get() ?? findRivals(recipe.value)),
);
export function setRival(place: number, member: string): void {
    chosenRivals.set(rivals.value.with(place, member));
}
