/** `eft-llama recipe list`: the recipes that come with the package. */

import type { CommandModule } from "yargs";
import { listRecipes } from "../../index.js";
import { formatTable, print, printJson } from "../terminal.js";

export const listCommand: CommandModule<object, { json: boolean }> = {
    command: "list",
    describe: "The built-in recipes",
    builder: (yargs) =>
        yargs.option("json", { type: "boolean", default: false, group: "Output:", description: "One JSON array" }),
    handler: ({ json }) => printRecipes(json),
};

/** Writes a table, or one line of JSON. */
export async function printRecipes(json: boolean): Promise<void> {
    const recipes = await listRecipes();
    const rows = recipes.map(({ name, description }) => [name, description]);
    if (json) printJson(recipes);
    else print(`${formatTable(["built-in recipe", "what it is"], rows)}\n`);
}
