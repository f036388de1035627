/** The recipe's combination at the current dials, in the form that the native step takes. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { Sequence } from "../ensemble/sequences.js";
import type { NativeFusion } from "../native/binding.js";
import { combinationWeights, resolveParameters } from "../recipe/index.js";
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

/** Dials of one completion: the ensemble's, overlaid with its own. */
export interface Dials {
    /** At the current values. Computed again when a dial has been turned, and not for every token. */
    readonly fusion: NativeFusion;
    /** Turns the completion's own dials. @throws EftError PARAMETER_* */
    readonly turn: (values: Readonly<Record<string, number>>) => void;
}

/** @throws EftError PARAMETER_* */
export function createDials(ensemble: Ensemble, own: Readonly<Record<string, number>>): Dials {
    const { recipe } = ensemble;
    const compute = (): NativeFusion =>
        createFusion(recipe, resolveParameters(recipe, { ...ensemble.parameters, ...own }));
    let seen = ensemble.parameters;
    let fusion = compute();
    return {
        get fusion() {
            if (seen !== ensemble.parameters) {
                seen = ensemble.parameters;
                fusion = compute();
            }
            return fusion;
        },
        turn(values) {
            resolveParameters(recipe, values);
            own = { ...own, ...values };
            fusion = compute();
        },
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
): readonly Int32Array[] {
    return prompts.map((prompt, member) => {
        const read = fusion === undefined || fusion.weights[member] !== 0 || (fusion.fallback?.[member] ?? 0) !== 0;
        if (!read) return new Int32Array(0);
        const held = sequence.held[member]?.length ?? 0;
        return held >= prompt.length
            ? Int32Array.from(generated.slice(held - prompt.length))
            : Int32Array.from([...prompt.subarray(held), ...generated]);
    });
}
