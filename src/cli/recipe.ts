/** `eft-llama recipe`: write recipes, check them, look at them. */

import type { CommandModule } from "yargs";
import { checkCommand } from "./recipe-check.js";
import { initCommand } from "./recipe-init.js";
import { listCommand } from "./recipe-list.js";
import { showCommand } from "./recipe-show.js";

export const recipeCommand: CommandModule = {
    command: "recipe",
    describe: "Write a recipe, check it, or look at it",
    builder: (yargs) =>
        yargs
            .command(initCommand)
            .command(checkCommand)
            .command(showCommand)
            .command(listCommand)
            .demandCommand(1, "Name what to do: init, check, show, list."),
    handler: () => {},
};
