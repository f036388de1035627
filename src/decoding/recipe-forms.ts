/** What a recipe comes to at given dials: the weights of its forms, and how it speculates. */

import type { GgufSummary } from "../models/gguf.js";
import { combinationWeights } from "../recipe/index.js";
import type { Combination, Recipe, SpeculationSpec } from "../types.js";
import { createDrafterForm } from "./drafter.js";

type Weights = Readonly<Record<string, number>>;

/** The forms of a recipe at given dials. */
export interface RecipeForms {
    readonly recipe: Recipe;
    /** Where the dials stand. */
    readonly parameters: Readonly<Record<string, number>>;
    readonly weights: Weights;
    /** Of the form that the conservative filter falls back to. */
    readonly fallback?: Weights;
    readonly speculation: SpeculationInspection;
}

export interface SpeculationInspection
    extends Required<Pick<SpeculationSpec, "length" | "coupling" | "lookup">>, Pick<SpeculationSpec, "selective"> {
    /** Whether the recipe turns it on. If not, the rest says how it would be if a caller turned it on. */
    readonly enabled: boolean;
    /** Undefined where no member can draft, and where that depends on files that are missing. */
    readonly drafter?: {
        /** A form that the recipe has, or the name of the member that is chosen by default. */
        readonly text: string;
        /** Where the dials stand, by member. */
        readonly weights: Readonly<Record<string, number>>;
    };
}

/**
 * @param parameters - where the dials stand
 * @param files - headers by path; without those that are missing
 */
export function inspectSpeculation(
    recipe: Recipe,
    parameters: Readonly<Record<string, number>>,
    files: ReadonlyMap<string, Pick<GgufSummary, "tensorBytes">>,
): SpeculationInspection {
    const {
        length = "adaptive",
        coupling = "gumbel",
        lookup = false,
        selective = 0,
        drafter,
    } = recipe.speculation ?? {};
    const sizes = recipe.members.map(({ model }) => files.get(model)?.tensorBytes ?? NaN);
    const weights = createDrafterForm(recipe, sizes)(parameters)?.weights;
    const names = recipe.members.map(({ name }) => name);
    const form = drafter ?? recipe.conservative?.fallback;
    return {
        enabled: recipe.speculation !== undefined,
        ...(weights && {
            drafter: {
                text: form?.text ?? names.filter((_, member) => weights[member] !== 0).join(),
                weights: Object.fromEntries(names.map((name, member) => [name, weights[member] ?? 0])),
            },
        }),
        ...{ length, coupling, lookup },
        ...(selective > 0 && { selective }),
    };
}

/** @param files - headers by what the recipe calls the model; without those that are missing */
export function inspectForms(
    recipe: Recipe,
    parameters: Readonly<Record<string, number>>,
    files: ReadonlyMap<string, Pick<GgufSummary, "tensorBytes">>,
): RecipeForms {
    const names = recipe.members.map(({ name }) => name);
    const weigh = (form: Combination): Weights => {
        const weights = combinationWeights(form, names, parameters);
        return Object.fromEntries(names.map((name, index) => [name, weights[index] ?? 0]));
    };
    return {
        recipe,
        parameters,
        weights: weigh(recipe.combination),
        ...(recipe.conservative && { fallback: weigh(recipe.conservative.fallback) }),
        speculation: inspectSpeculation(recipe, parameters, files),
    };
}
