/** The recipe's combination at the current dials, in the form that the native step takes. */

import type { Sequence } from "../ensemble/sequences.js";
import type { NativeFusion } from "../native/binding.js";
import { combinationWeights } from "../recipe/index.js";
import type { Recipe } from "../types.js";

/** @param parameters - a value for each parameter of the recipe */
export function createFusion(recipe: Recipe, parameters: Readonly<Record<string, number>>): NativeFusion {
    const names = recipe.members.map(({ name }) => name);
    const { conservative } = recipe;
    return {
        weights: combinationWeights(recipe.combination, names, parameters),
        ...(conservative && { fallback: combinationWeights(conservative.fallback, names, parameters) }),
        conservativeTopP: conservative?.topP ?? 1,
        controlTokensFallback: recipe.controlTokens === "fallback",
    };
}

/**
 * What each member's cache lacks before the next row: the rest of its prompt and the generated tokens. A member that
 * `fusion` does not read gets nothing, which saves its decoding while a dial is at zero; it catches up when it is read
 * again. Without `fusion` all members are read.
 */
export function missingTokens(
    sequence: Sequence,
    prompts: readonly Int32Array[],
    generated: readonly number[],
    fusion?: NativeFusion,
): readonly ArrayLike<number>[] {
    return prompts.map((prompt, member) => {
        const read = fusion === undefined || fusion.weights[member] !== 0 || (fusion.fallback?.[member] ?? 0) !== 0;
        if (!read) return [];
        const held = sequence.held[member]?.length ?? 0;
        return held >= prompt.length
            ? generated.slice(held - prompt.length)
            : Int32Array.from([...prompt.subarray(held), ...generated]);
    });
}
