/** `eft-llama recipe`: write recipes, check them, look at them. */

import type { CommandModule } from "yargs";
import { checkCommand } from "./check.js";
import { initCommand } from "./init.js";
import { listCommand } from "./list.js";
import { showCommand } from "./show.js";

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
