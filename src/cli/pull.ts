/** `eft-llama pull`: the models of recipes, from a hub or server to this machine. */

import path from "node:path";
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { isRemote, loadRecipe, modelFolder, planDownload, type DownloadPlan } from "../index.js";
import { formatBytes } from "../models/bytes.js";
import { withConfig } from "./config.js";
import { outputOptions } from "./options.js";
import { describeMissing, pullModels } from "./pull-models.js";
import { escapeControls, formatTable, isQuiet, print, printable } from "./terminal.js";

export const pullOptions = {
    dir: {
        type: "string",
        requiresArg: true,
        group: "Models:",
        description:
            "Folder for the models; default: EFT_LLAMA_MODELS or the configured one, else one in the user's cache",
    },
    ...outputOptions,
    verbose: { ...outputOptions.verbose, description: "Stack traces on standard error" },
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof pullOptions> & { sources: string[] };

export const pullCommand: CommandModule<object, Flags> = {
    command: "pull <sources..>",
    describe: "Download the models of a recipe",
    builder: (yargs) =>
        yargs
            .positional("sources", {
                type: "string",
                array: true,
                demandOption: true,
                description: "Recipe file, name of a built-in recipe, or an hf: or https: reference",
            })
            .options(withConfig(pullOptions))
            .example("$0 pull llama-2-13b-upscaled", "")
            .example("$0 pull recipe.yaml --dir /data/models", "")
            .example("$0 pull hf:TheBloke/Llama-2-7B-GGUF:Q4_K_M", ""),
    handler: runPull,
};

async function runPull({ sources, dir }: ArgumentsCamelCase<Flags>): Promise<void> {
    const models = await Promise.all(
        sources.map(async (source) => {
            if (isRemote(source)) return [source];
            const { members } = await loadRecipe(source);
            return members.map(({ model }) => model).filter(isRemote);
        }),
    );
    const references = models.flat();
    if (references.length === 0)
        return say([escapeControls(`Nothing to download: ${sources.join(", ")} names files only.`)]);
    const plan = await planDownload(references, dir === undefined ? {} : { folder: dir });
    say(describePlan(printable(plan)));
    await pullModels(plan, (line) => say([line]));
    if (plan.folder !== modelFolder())
        say([`Set EFT_LLAMA_MODELS=${escapeControls(plan.folder)} for the other commands, so that they look there.`]);
}

function describePlan(plan: DownloadPlan): string[] {
    const { folder, models, freeBytes } = plan;
    const rows = models.map(({ reference, bytes, present }) => [
        reference,
        bytes === undefined ? "unknown" : formatBytes(bytes),
        present ? "here" : "missing",
    ]);
    return [
        `Models in ${path.normalize(folder)}, where ${formatBytes(freeBytes)} are free:`,
        formatTable(["model", "size", ""], rows),
        models.every(({ present }) => present) ? "Everything is here." : `To be downloaded: ${describeMissing(plan)}`,
    ];
}

function say(lines: readonly string[]): void {
    if (!isQuiet()) print(`${lines.join("\n")}\n`);
}
