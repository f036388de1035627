import { readdir } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { EftError } from "../errors.js";
import { decodeText, expandHome, readStart, reasonOf } from "../files.js";
import { string } from "../options.js";
import { packageFile } from "../package.js";
import type { Recipe } from "../types.js";
import { MAX_CHARACTERS } from "./document.js";
import { suggestion } from "./problems.js";
import { parseRecipe } from "./recipe.js";

/** A recipe that comes with the package. */
export interface BuiltInRecipe {
    /** What `loadRecipe` takes. */
    readonly name: string;
    readonly description: string;
    /** Absolute path of its file, for a look or a copy. */
    readonly file: string;
}

const EXTENSION = ".yaml";
/** A UTF-16 unit takes at most three bytes in UTF-8. */
const MAX_BYTES = 3 * MAX_CHARACTERS;
/** How a model file begins: four letters, then the version of the format in four bytes of either order. */
const GGUF = /^GGUF[^]{0,3}\0/;
/** An address, or a reference whose case is wrong. */
const LIKE_REFERENCE = /^(?:hf|https?):/i;
/** As other programs name what is on a hub: `user/repository`, perhaps with a quantization; `recipes/mine.yaml` is none. */
const LIKE_REPOSITORY = /^\w[\w.-]*\/[\w.-]+(:[\w.-]+)?$(?<!\.(?:ya?ml|json))/i;
const IS_MODEL =
    "is a model, not a recipe. Name three models with --base, --tuned and --reference, or have a recipe written for " +
    "them by `eft-llama recipe init`.";

/**
 * Reads a recipe from a file, or one of those that come with the package.
 *
 * @param source - path of a YAML or JSON file, or the name of a built-in recipe; a built-in name that should mean a
 *   file is written as a path: `./demo`
 * @throws RECIPE_NOT_FOUND, FILE_UNREADABLE where the file is not in UTF-8 (or UTF-16 with a byte-order mark), OPTION_INVALID,
 *   and what `parseRecipe` throws
 */
export async function loadRecipe(source: string): Promise<Recipe> {
    string("What loadRecipe reads", source);
    const names = await builtInNames();
    const file = names.includes(source) ? builtInFile(source) : expandHome(source);
    const bytes = await readRecipe(file, names);
    if (GGUF.test(bytes.toString("latin1", 0, 8))) throw new EftError("RECIPE_INVALID", `${file} ${IS_MODEL}`);
    // What is too long is refused as such, wherever it was cut.
    const text = bytes.length > MAX_BYTES ? bytes.toString() : decodeText(bytes, file);
    return parseRecipe(text, { file });
}

/** The recipes that come with the package, sorted by name. */
export async function listRecipes(): Promise<BuiltInRecipe[]> {
    const names = await builtInNames();
    return Promise.all(
        names.map(async (name) => {
            const { description = "" } = await loadRecipe(name);
            return { name, description, file: builtInFile(name) };
        }),
    );
}

async function builtInNames(): Promise<string[]> {
    const files = await readdir(packageFile("recipes"));
    return files
        .filter((file) => file.endsWith(EXTENSION))
        .map((file) => basename(file, EXTENSION))
        .sort();
}

function builtInFile(name: string): string {
    return packageFile(`recipes/${name}${EXTENSION}`);
}

async function readRecipe(file: string, builtIn: readonly string[]): Promise<Buffer> {
    try {
        return await readStart(file, MAX_BYTES);
    } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException;
        const name = basename(file).replace(/\.(?:ya?ml|json)$/, "");
        const [repository, tag] = LIKE_REPOSITORY.exec(file) ?? [];
        const example = `; this one hf:${repository}${tag === undefined ? ":Q4_K_M, or another of its quantizations" : ""}`;
        const help =
            repository !== undefined || LIKE_REFERENCE.test(file)
                ? "recipes are files, and models are written hf:user/repository or https://host/path/model.gguf" +
                  `${repository === undefined ? "" : example}.`
                : suggestion(name, builtIn);
        const why =
            code === "ENOENT"
                ? `There is neither a file ${resolve(file)} nor a built-in recipe "${file}"; ${help}`
                : code === "EISDIR"
                  ? `${resolve(file)} is a folder; name a recipe file in it.`
                  : `${resolve(file)} cannot be read: ${reasonOf(cause)}.`;
        throw new EftError("RECIPE_NOT_FOUND", why, { cause });
    }
}
