/** Where the dials stand, for each recipe. */

import { computed } from "@preact/signals";
import type { ParameterSpec } from "../api/types.js";
import { keepByRecipe } from "./by-recipe.js";
import { recipe } from "./recipes.js";

export type Values = Readonly<Record<string, number>>;

const turned = keepByRecipe<Values>();

/** Of the recipe that is asked. */
export const values = computed<Values>(() => {
    const dials = Object.entries(recipe.value?.parameters ?? {});
    return { ...Object.fromEntries(dials.map(([name, spec]) => [name, spec.default])), ...turned.get() };
});

/** Keeps within the limits; takes no notice of what is no number. */
export function turnDial(name: string, value: number): void {
    const spec = recipe.value?.parameters[name];
    if (spec === undefined || !Number.isFinite(value)) return;
    const within = Math.min(Math.max(value, spec.min ?? -Infinity), spec.max ?? Infinity);
    turned.set({ ...turned.get(), [name]: within });
}

/** What a slider covers: a parameter need not have limits. */
export function rangeOf({ default: initial, min, max }: ParameterSpec): { min: number; max: number; step: number } {
    const [low, high] = [min ?? initial - 2, max ?? initial + 2];
    return { min: low, max: high, step: (high - low) / 100 };
}

export function sameValues(a: Values, b: Values): boolean {
    return Object.entries(a).every(([name, value]) => b[name] === value);
}
