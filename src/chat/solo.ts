/** One member of an ensemble by itself. */

import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { parseCombination } from "../recipe/index.js";
import type { Recipe } from "../types.js";

/**
 * The same loaded ensemble with a single member as its target. It shares models, caches and dials with the ensemble that it
 * is a view of, and members that have no weight are not evaluated; so nothing is loaded, and prompts that one has seen
 * cost the other nothing.
 *
 * @param member - name of a member. @throws EftError COMBINATION_UNKNOWN_NAME, OPTION_INVALID
 */
export function soloView(ensemble: Ensemble, member: string): Ensemble {
    checkEnsemble("soloView", ensemble);
    return Object.create(ensemble, { recipe: { value: soloRecipe(ensemble.recipe, member) } }) as Ensemble;
}

function soloRecipe(recipe: Recipe, member: string): Recipe {
    const members = recipe.members.map(({ name }) => name);
    const { conservative: _, speculation: __, ...rest } = recipe;
    return {
        ...rest,
        name: member,
        combination: parseCombination(member, { members, parameters: {} }),
        controlTokens: "combine",
    };
}
