/** The recipe's combination at the current dials, in the form that the native step takes. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { Sequence } from "../ensemble/sequences.js";
import type { NativeFusion } from "../native/binding.js";
import { mapping } from "../options.js";
import { combinationWeights, resolveParameters } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import type { DrafterForm } from "./drafter.js";

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
    /** The form that drafts, at the current values; undefined where there is none. */
    readonly drafter: NativeFusion | undefined;
    /** Turns the completion's own dials. @throws EftError PARAMETER_* */
    readonly turn: (values: Readonly<Record<string, number>>) => void;
}

/** @throws EftError PARAMETER_* */
export function createDials(
    ensemble: Ensemble,
    own: Readonly<Record<string, number>>,
    drafterForm: DrafterForm = () => undefined,
): Dials {
    const { recipe } = ensemble;
    const compute = (): Pick<Dials, "fusion" | "drafter"> => {
        const parameters = resolveParameters(recipe, { ...ensemble.parameters, ...own });
        return { fusion: createFusion(recipe, parameters), drafter: drafterForm(parameters) };
    };
    let seen = ensemble.parameters;
    let forms = compute();
    const current = (): Pick<Dials, "fusion" | "drafter"> => {
        if (seen !== ensemble.parameters) {
            seen = ensemble.parameters;
            forms = compute();
        }
        return forms;
    };
    return {
        get fusion() {
            return current().fusion;
        },
        get drafter() {
            return current().drafter;
        },
        turn(values) {
            const turned = mapping<number>("What setParameters takes", values);
            resolveParameters(recipe, turned);
            own = { ...own, ...turned };
            forms = compute();
        },
    };
}

/** Whether a form reads a member. A member that nothing reads is not evaluated, which makes a dial at zero cheap. */
export function reads({ weights, fallback }: NativeFusion, member: number): boolean {
    return weights[member] !== 0 || (fallback?.[member] ?? 0) !== 0;
}

/**
 * What each member's cache lacks before the next row: the rest of its prompt and the generated tokens. A member that is
 * not read gets nothing; it catches up when it is read again.
 */
export function missingTokens(
    sequence: Sequence,
    prompts: readonly Int32Array[],
    generated: readonly number[],
    isRead: (member: number) => boolean,
): readonly Int32Array[] {
    return prompts.map((prompt, member) => {
        if (!isRead(member)) return new Int32Array(0);
        const held = sequence.held[member]?.length ?? 0;
        return held >= prompt.length
            ? Int32Array.from(generated.slice(held - prompt.length))
            : Int32Array.from([...prompt.subarray(held), ...generated]);
    });
}
