/** Recipes: from text to validated, plain data. Nothing here needs the native addon. */

export { type AdHocModels, adHocRecipe } from "./ad-hoc.js";
export { type CombinationScope, canBePositive, combinationWeights, parseCombination } from "./combination.js";
export { type BuiltInRecipe, listRecipes, loadRecipe } from "./load.js";
export type { Location } from "./problems.js";
export { type RecipeOrigin, checkRecipe, parseRecipe, resolveParameters } from "./recipe.js";
