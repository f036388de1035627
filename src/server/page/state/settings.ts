/** How answers are drawn and compared. */

import { computed, signal } from "@preact/signals";
import { findRivals } from "../text/rivals.js";
import { recipe } from "./recipes.js";

/** undefined: another one for each question. */
export const seed = signal<number | undefined>(undefined);
/** undefined: the recipe's. */
export const temperature = signal<number | undefined>(undefined);
/** Whether two members answer by themselves, too. */
export const isComparing = signal(false);

const speculating = signal<Readonly<Record<string, boolean>>>({});
export const speculation = computed(
    () => speculating.value[recipe.value?.id ?? ""] ?? recipe.value?.has_speculation ?? false,
);
export function setSpeculation(on: boolean): void {
    speculating.value = { ...speculating.value, [recipe.value?.id ?? ""]: on };
}

const chosenRivals = signal<Readonly<Record<string, readonly string[]>>>({});
/** The members that answer beside EFT. */
export const rivals = computed<readonly string[]>(() => {
    if (recipe.value === undefined) return [];
    return chosenRivals.value[recipe.value.id] ?? findRivals(recipe.value);
});
export function setRival(place: number, member: string): void {
    const id = recipe.value?.id ?? "";
    chosenRivals.value = { ...chosenRivals.value, [id]: rivals.value.map((old, at) => (at === place ? member : old)) };
}
