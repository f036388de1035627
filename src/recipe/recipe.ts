import { dirname, resolve } from "node:path";
import { EftError } from "../errors.js";
import type { ParameterSpec, Recipe } from "../types.js";
import { buildRecipe } from "./build.js";
import { readDocument } from "./document.js";
import { describeRange, suggestion } from "./problems.js";
import { validateRecipe } from "./schema.js";

/** Where the text of a recipe comes from. */
export interface RecipeOrigin {
    /** The file, for messages and for {@link Recipe.file}. Default: none; messages say `recipe`. */
    readonly file?: string;
    /** Folder that relative paths start from. Default: that of the file, or else the working directory. */
    readonly directory?: string;
}

/**
 * Reads and validates a recipe in YAML or JSON.
 *
 * @throws RECIPE_SYNTAX, RECIPE_INVALID, MEMBER_UNUSED or one of the COMBINATION codes: the code of the first problem,
 *   and a message with one line per problem (the first five), each with file, line, column and the remedy
 */
export function parseRecipe(text: string, { file, directory }: RecipeOrigin = {}): Recipe {
    const document = readDocument(text, file ?? "recipe");
    const folder = resolve(directory ?? (file === undefined ? "." : dirname(file)));
    const recipe = buildRecipe(validateRecipe(document), document, folder);
    return file === undefined ? recipe : { ...recipe, file: resolve(file) };
}

/**
 * A value for every parameter of the recipe: its default, or what `values` says.
 * @throws PARAMETER_UNKNOWN, PARAMETER_RANGE
 */
export function resolveParameters(
    recipe: Pick<Recipe, "name" | "parameters">,
    values: Readonly<Record<string, number>>,
): Record<string, number> {
    const names = Object.keys(recipe.parameters);
    for (const [name, value] of Object.entries(values)) {
        if (!names.includes(name))
            throw new EftError(
                "PARAMETER_UNKNOWN",
                `The recipe "${recipe.name}" has no parameter "${name}"; ${suggestion(name, names)}`,
            );
        const { min, max } = recipe.parameters[name] as ParameterSpec;
        if (!Number.isFinite(value) || value < min || value > max)
            throw new EftError(
                "PARAMETER_RANGE",
                `The parameter "${name}" of the recipe "${recipe.name}" must be ${describeRange(min, max)}, ` +
                    `not ${String(value)}.`,
            );
    }
    const defaults = names.map((name) => [name, (recipe.parameters[name] as ParameterSpec).default] as const);
    return { ...Object.fromEntries(defaults), ...values };
}
