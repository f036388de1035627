/** What the vocabularies and templates of some files mean to each other, without loading their weights. */

import { withVocabularies } from "../models/gguf.js";
import { checkHasVocabulary } from "../models/token-tables.js";
import { compareVocabularies, type VocabularyReport } from "../models/vocabulary.js";
import type { NativeModel } from "../native/binding.js";
import { string } from "../options.js";
import { checkRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import { examineVocabularies } from "./added-tokens.js";
import { usesUnfamiliarTokens } from "./template-tokens.js";

/**
 * Compares the vocabularies of a recipe's members without loading their weights. The members alone are enough, but then
 * nothing is said about tokens that some of them lack.
 *
 * @throws EftError MODEL_*
 */
export async function readVocabularies(recipe: Recipe | Pick<Recipe, "members">): Promise<VocabularyReport> {
    checkRecipe("readVocabularies", recipe);
    return withVocabularies(
        recipe.members.map(({ model }) => model),
        (models) => {
            const members = recipe.members.map(({ name, model: file }, index) => {
                const model = models[index] as NativeModel;
                checkHasVocabulary(`Member ${name} (${file})`, model);
                return { name, model };
            });
            return "combination" in recipe ? examineVocabularies(recipe, members) : compareVocabularies(members);
        },
    );
}

/**
 * Who should decide about control tokens in up-scaling: the fallback, where the tuned model uses some that its base has hardly been
 * trained on. `recipe init` writes this, and `adHocRecipe` takes it.
 *
 * @param tuned - file of the fine-tuned model; of an adapter, that of its base
 * @param reference - file of the model that it was tuned from
 * @throws EftError MODEL_*, OPTION_INVALID
 */
export async function recommendControlTokens(tuned: string, reference: string): Promise<Recipe["controlTokens"]> {
    string("tuned", tuned);
    string("reference", reference);
    const files = [tuned, reference];
    return withVocabularies(files, (models) => {
        models.forEach((model, index) => checkHasVocabulary(files[index] ?? "", model));
        const [own, base] = models as [NativeModel, NativeModel];
        return usesUnfamiliarTokens(own, base) ? "fallback" : "combine";
    });
}
