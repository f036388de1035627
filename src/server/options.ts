/** How a server is started. */

import type { HostOptions, RecipeOptions } from "../ensemble/options.js";
import { HOST_OPTIONS, RECIPE_OPTIONS } from "../ensemble/options.js";
import { boolean, callback, integer, listOf, place, show, type OptionTable } from "../options.js";
import { EftError } from "../errors.js";
import { checkRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";

/** How {@link startServer} serves. Sizes and times are limits on what one client can take. */
export interface ServerOptions
    extends
        Pick<HostOptions, "backend" | "threads" | "batchSize" | "cacheTokens">,
        Pick<RecipeOptions, "contextSize" | "gpuLayers" | "cacheType" | "trust"> {
    /** What is served; a recipe's name is the id of its model. */
    readonly recipes: readonly Recipe[];
    /** Where it listens: a name or an address. Default `127.0.0.1`, which nobody else reaches. */
    readonly host?: string | undefined;
    /** 0..65535; 0 takes a free one. Default 8080. */
    readonly port?: number | undefined;
    /** Each request has to bring one of them; printable ASCII. Default: none is asked for. */
    readonly apiKeys?: readonly string[] | undefined;
    /** Web pages of these origins, such as `https://app.example`, may send requests; `*` is all. Default: none but the server's own. */
    readonly origins?: readonly string[] | undefined;
    /** Answers that are written at once. Range 1..64. Default 4. */
    readonly parallel?: number | undefined;
    /**
     * Answers that may wait for their turn, of each API key; whoever comes then is told to try again. As many may wait for a recipe to
     * be loaded, or for a text to be made into tokens. Range 0..100,000. Default 256.
     */
    readonly queue?: number | undefined;
    /** Load a recipe when it is first asked for. Default false: all before the server listens. */
    readonly lazy?: boolean | undefined;
    /** Recipes that are loaded at once; who was not used for the longest time makes room. Default: all. */
    readonly loaded?: number | undefined;
    /** Bytes of a request's body. Range 1 KiB..1 GiB. Default 4 MiB. */
    readonly bodyBytes?: number | undefined;
    /** Milliseconds that a request may take to arrive. Default 60,000. */
    readonly requestMs?: number | undefined;
    /**
     * Milliseconds, altogether, for which an answer waits for a client that takes less than 16 KiB a second of it; then the client is
     * given up. Default 30,000.
     */
    readonly stallMs?: number | undefined;
    /** Milliseconds that running answers get when the server ends. Default 10,000. */
    readonly closeMs?: number | undefined;
    /** Write prompts and answers to the log, too. Default false. */
    readonly logTexts?: boolean | undefined;
    /** Gets each line of the log, which is JSON. Default: nowhere. */
    readonly log?: ((line: string) => void) | undefined;
}

const TEXTS = listOf(place);
const RECIPES = listOf<Recipe>((name, value) => {
    checkRecipe(name, value);
    return value as Recipe;
});
function originOf(text: string): string | undefined {
    return URL.canParse(text) ? new URL(text).origin : undefined;
}
const MILLISECONDS = integer(1, 2 ** 31 - 1);
const { backend, threads, batchSize, cacheTokens } = HOST_OPTIONS;
const { contextSize, gpuLayers, cacheType, trust } = RECIPE_OPTIONS;

export const SERVER_OPTIONS: OptionTable<ServerOptions> = {
    ...{ backend, threads, batchSize, cacheTokens },
    ...{ contextSize, gpuLayers, cacheType, trust },
    recipes: (name, value) => {
        const recipes = RECIPES(name, value);
        const names = recipes.map((each) => each.name);
        const twice = names.find((each, index) => names.indexOf(each) !== index);
        if (recipes.length === 0) throw new EftError("OPTION_INVALID", `${name} must name at least one recipe.`);
        if (twice === undefined) return recipes;
        throw new EftError(
            "OPTION_INVALID",
            `Two recipes are called ${JSON.stringify(twice)}, which is the id of a model; rename one of them.`,
        );
    },
    host: place,
    port: integer(0, 65_535),
    apiKeys: (name, value) => {
        const keys = TEXTS(name, value);
        // As a file in another encoding than UTF-8 would make them.
        if (keys.every((key) => /^[!-~]([ -~]*[!-~])?$/.test(key))) return keys;
        throw new EftError(
            "OPTION_INVALID",
            "An API key has characters that headers cannot carry; keys are of letters, digits and signs of ASCII, and files of them UTF-8.",
        );
    },
    origins: (name, value) => {
        const origins = TEXTS(name, value);
        const wrong = origins.find((each) => each !== "*" && originOf(each) !== each);
        if (wrong === undefined) return origins;
        throw new EftError(
            "OPTION_INVALID",
            `${name} must be origins as browsers write them, such as https://app.example, or * for all, not ${show(wrong)}.`,
        );
    },
    parallel: integer(1, 64),
    queue: integer(0, 100_000),
    lazy: boolean,
    loaded: integer(1, 1000),
    bodyBytes: integer(1024, 2 ** 30),
    requestMs: MILLISECONDS,
    stallMs: MILLISECONDS,
    closeMs: integer(0, 2 ** 30),
    logTexts: boolean,
    log: callback,
};
