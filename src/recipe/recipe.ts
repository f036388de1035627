import { dirname, resolve } from "node:path";
import { EftError } from "../errors.js";
import type { MemberSpec, ParameterSpec, Recipe } from "../types.js";
import { checkOptions, mapping, show, string, type OptionTable } from "../options.js";
import { buildRecipe } from "./build.js";
import { readDocument } from "./document.js";
import { describeRange, suggestion } from "./problems.js";
import { validateRecipe } from "./schema.js";

/** Where the text of a recipe comes from. */
export interface RecipeOrigin {
    /** The file, for messages and for {@link Recipe.file}. Default: none; messages say `recipe`. */
    readonly file?: string | undefined;
    /** Folder that relative paths start from. Default: that of the file, or else the working directory. */
    readonly directory?: string | undefined;
}

const ORIGIN: OptionTable<RecipeOrigin> = { file: string, directory: string };

/**
 * Reads and validates a recipe in YAML or JSON.
 *
 * @throws RECIPE_SYNTAX, RECIPE_INVALID, MEMBER_UNUSED or one of the COMBINATION codes: the code of the first problem,
 *   and a message with one line per problem (the first five), each with file, line, column and the remedy
 */
export function parseRecipe(text: string, origin: RecipeOrigin = {}): Recipe {
    string("What parseRecipe reads", text);
    const { file, directory } = checkOptions("parseRecipe", origin, ORIGIN);
    const document = readDocument(text, file ?? "recipe");
    const folder = resolve(directory ?? (file === undefined ? "." : dirname(file)));
    const recipe = buildRecipe(validateRecipe(document), document, folder);
    return file === undefined ? recipe : { ...recipe, file: resolve(file) };
}

/**
 * Whether something is a recipe, as far as is seen at once.
 *
 * @param owner - the function that was given it, for the message
 * @throws EftError OPTION_INVALID
 */
export function checkRecipe(owner: string, value: unknown): void {
    const { members } = (value ?? {}) as Partial<Recipe>;
    const isMember = (member: Partial<MemberSpec> | null | undefined): boolean =>
        typeof member?.name === "string" && typeof member.model === "string";
    if (Array.isArray(members) && members.length > 0 && Array.from(members).every(isMember)) return;
    throw new EftError(
        "OPTION_INVALID",
        `${owner} takes a recipe, as loadRecipe(), parseRecipe() and adHocRecipe() return it, not ${show(value)}.`,
    );
}

/**
 * A value for every parameter of the recipe: its default, or what `values` says.
 * @throws PARAMETER_UNKNOWN, PARAMETER_RANGE, OPTION_INVALID
 */
export function resolveParameters(
    recipe: Pick<Recipe, "name" | "parameters">,
    values: Readonly<Record<string, number>>,
): Record<string, number> {
    const names = Object.keys(mapping("The parameters of the recipe", (recipe as Partial<Recipe> | null)?.parameters));
    const given = mapping<number>("The values of parameters", values);
    for (const [name, value] of Object.entries(given)) {
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
                    `not ${show(value)}.`,
            );
    }
    const defaults = names.map((name) => [name, (recipe.parameters[name] as ParameterSpec).default] as const);
    return { ...Object.fromEntries(defaults), ...given };
}
