/** What frameworks' models are given to answer with. */

import { EftError } from "../errors.js";
import { reading, show } from "../options.js";

/**
 * Whether it is an ensemble, a recipe, or the name of one, as far as that can be told from its keys.
 *
 * @param owner - the function or class that was given it, for messages
 * @throws EftError OPTION_INVALID
 */
export function checkSource(owner: string, source: unknown): void {
    reading(`What ${owner} answers with`, () => {
        const given = Object(source) as object;
        if (typeof source === "string" || "combination" in given || "scheduler" in given) return;
        const remedy =
            source instanceof Promise ? "; write `await` before loadEnsemble() or loadRecipe()" : describeNested(given);
        throw new EftError(
            "OPTION_INVALID",
            `${owner} takes an ensemble, a recipe, or the name or path of a recipe, not ${show(source)}${remedy}.`,
        );
    });
}

/** Another framework's model takes it as one of several options. */
function describeNested(given: object): string {
    const { model } = given as { readonly model?: unknown };
    return typeof model === "string" ? `; give ${show(model)} by itself` : "";
}
