/** What a shell completes besides the commands, flags and choices that yargs knows: names of built-in recipes. */

import { hideBin } from "yargs/helpers";
import { listRecipes } from "../index.js";
import { SHELL_COMPLETIONS } from "./usage.js";

/** Takes recipes beside its flags. */
const COMMAND_OF_RECIPES = /^(pull|inspect|check|recipe (show|check)) /;

type ShellCompletion = (current: string, _: unknown, others: () => unknown, done: (words: string[]) => unknown) => void;

/**
 * A completion function of yargs with a fallback. `current` is what has been typed of a word, `others` completes as
 * yargs does. It has to answer at once, so the recipes are listed before, if a completion is what the program is run for.
 */
export async function createShellCompletion(): Promise<ShellCompletion> {
    const [request, , ...typed] = hideBin(process.argv);
    if (request !== SHELL_COMPLETIONS) return (_current, _, others) => void others();
    const recipes = (await listRecipes()).map(({ name }) => name);
    return (current, _, others, done) => {
        const isWanted = ["-r", "--recipe"].includes(typed.at(-2) ?? "") || COMMAND_OF_RECIPES.test(typed.join(" "));
        // The shell offers files where nothing is known.
        if (isWanted && !current.startsWith("-")) done(recipes.filter((name) => name.startsWith(current)));
        else others();
    };
}
