/** One member of an ensemble by itself. */

import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { EftError } from "../errors.js";
import { show } from "../options.js";
import { parseCombination } from "../recipe/index.js";
import type { Recipe } from "../types.js";

/** Of each ensemble, by member: a view takes memory, and comparisons ask for it again and again. */
const views = new WeakMap<Ensemble, Map<string, Ensemble>>();

/**
 * An ensemble on the same host with a single member as its target. It shares models and caches with the ensemble that it
 * comes from, and members that have no weight are not evaluated; so nothing is loaded, and prompts that one has seen
 * cost the other nothing. It need not be disposed of, and ends with the ensemble; who asks again gets the same one.
 *
 * @param member - name of a member. @throws EftError COMBINATION_UNKNOWN_NAME, OPTION_INVALID, DISPOSED
 */
export function soloView(ensemble: Ensemble, member: string): Ensemble {
    checkEnsemble("soloView", ensemble);
    const names = ensemble.members.map(({ name }) => name);
    if (!names.includes(member))
        throw new EftError(
            "COMBINATION_UNKNOWN_NAME",
            `The recipe "${ensemble.recipe.name}" has no member ${show(member)}; there are: ${names.join(", ")}.`,
        );
    const known = views.get(ensemble) ?? new Map<string, Ensemble>();
    views.set(ensemble, known);
    let view = known.get(member);
    if (view === undefined || view.disposed) {
        view = ensemble.derive(soloRecipe(ensemble.recipe, member));
        known.set(member, view);
    }
    return view;
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
