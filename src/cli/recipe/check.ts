/** `eft-llama recipe check`: all that can be known about a recipe without loading its models, and what a sample says. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { checkLoading, createCheck, toFinding, type Finding, type Verdict } from "../../ensemble/check.js";
import { loadRecipe, type Recipe } from "../../index.js";
import { compareOnSample } from "../../scoring/sample.js";
import { withConfig } from "../config.js";
import { printFinding } from "../findings.js";
import { loadWithProgress } from "../load.js";
import { loadOptions, outputOptions, sequencesOption } from "../options.js";
import { printJson } from "../terminal.js";

export const options = {
    ...loadOptions,
    sequences: { ...sequencesOption, default: 1 },
    sample: {
        type: "boolean",
        default: false,
        group: "Loading:",
        description: "Load the models, too, and compare how probable short texts and answers are to them",
    },
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object" },
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { recipe: string };
type CheckArguments = ArgumentsCamelCase<Flags>;

export const checkCommand: CommandModule<object, Flags> = {
    command: "check <recipe>",
    describe: "Whether a recipe will load; ends with 1 if not",
    builder: (yargs) =>
        yargs
            .positional("recipe", {
                type: "string",
                demandOption: true,
                description: "Recipe file, or name of a built-in recipe",
            })
            .options(withConfig(options))
            .example("$0 recipe check recipe.yaml", "")
            .example("$0 recipe check recipe.yaml --json", ""),
    handler: runCheck,
};

async function runCheck(args: CheckArguments): Promise<void> {
    const findings: Finding[] = [];
    const report = (finding: Finding): void => {
        findings.push(finding);
        if (!args.json) printFinding(finding, 14);
    };
    const recipe = await loadRecipe(args.recipe).catch((error: unknown) => {
        if (!args.json) throw error;
        report(toFinding("recipe", error));
    });
    if (recipe !== undefined) await checkLoading(recipe, args, createCheck(report));
    if (args.sample) {
        const mayLoad = recipe !== undefined && findings.every(({ state }) => state !== "failed");
        if (mayLoad) await createCheck(report)("sample", () => checkSample(recipe, args));
        else report({ check: "sample", state: "warning", text: "not taken: the recipe will not load" });
    }
    const loads = findings.every(({ state }) => state !== "failed");
    if (!loads) process.exitCode = 1;
    if (args.json) printJson({ recipe: recipe?.name ?? args.recipe, loads, findings });
}

async function checkSample(recipe: Recipe, args: CheckArguments): Promise<Verdict> {
    await using ensemble = await loadWithProgress(recipe, args, { sequences: args.sequences });
    const finding = await compareOnSample(ensemble);
    if (finding === undefined) return { warning: "not taken: the recipe is not known as one of up-scaling" };
    const { summary, doubts } = finding;
    return doubts.length > 0 ? { warning: [summary, ...doubts].join("\n") } : summary;
}
