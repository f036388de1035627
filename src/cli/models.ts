/** `eft-llama models`: what has been downloaded, and how to be rid of it. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { EftError, listModels, modelFolder, removeModels, type StoredModel } from "../index.js";
import { formatBytes } from "../models/bytes.js";
import { chooseModels } from "../models/model-store.js";
import { canAsk, confirm } from "./ask.js";
import { withConfig } from "./config.js";
import { outputOptions } from "./options.js";
import { pullOptions } from "./pull.js";
import { plural } from "../plural.js";
import { escapeControls, formatTable, isQuiet, print, printable, printJson, sum } from "./terminal.js";

export const listOptions = {
    ...pullOptions,
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON array" },
} as const satisfies Record<string, Options>;

export const removeOptions = {
    ...pullOptions,
    yes: { alias: "y", type: "boolean", default: false, group: "Input:", description: "Do not ask" },
    verbose: { ...outputOptions.verbose, description: "Stack traces on standard error" },
} as const satisfies Record<string, Options>;

type ListFlags = InferredOptionTypes<typeof listOptions>;
type RemoveFlags = InferredOptionTypes<typeof removeOptions> & { names: string[] };

const listCommand: CommandModule<object, ListFlags> = {
    command: "list",
    describe: "What has been downloaded",
    builder: (yargs) => yargs.options(withConfig(listOptions)),
    handler: runList,
};

const removeCommand: CommandModule<object, RemoveFlags> = {
    command: "rm <names..>",
    describe: "Delete models that have been downloaded",
    builder: (yargs) =>
        yargs
            .positional("names", {
                type: "string",
                array: true,
                demandOption: true,
                description: "As `eft-llama models list` and recipes name them",
            })
            .options(withConfig(removeOptions))
            .example("$0 models rm hf:TheBloke/Llama-2-7B-GGUF:Q4_K_M", ""),
    handler: runRemove,
};

export const modelsCommand: CommandModule = {
    command: "models",
    describe: "List the models that were downloaded, or delete some",
    builder: (yargs) =>
        yargs.command(listCommand).command(removeCommand).demandCommand(1, "Name what to do: list, rm."),
    handler: () => {},
};

async function runList({ dir = modelFolder(), json }: ArgumentsCamelCase<ListFlags>): Promise<void> {
    const models = await listModels(dir);
    if (json) printJson(models.map(({ files, ...model }) => ({ ...model, parts: files.length, files })));
    else print(`${describeModels(printable(models), escapeControls(dir)).join("\n")}\n`);
}

function describeModels(models: readonly StoredModel[], folder: string): string[] {
    if (models.length === 0) return [`No models in ${folder}.`];
    const rows = models.map(({ name, bytes, files, time, state }) => [
        ...[name, formatBytes(bytes), `${files.length}`],
        ...[files.length === 0 ? "" : new Date(time).toISOString().slice(0, 10), state === "complete" ? "" : state],
    ]);
    const total = formatBytes(sum(models.map(({ bytes }) => bytes)));
    return [
        formatTable(["model", "size", "parts", "since", ""], rows),
        `${plural(models.length, "model")}, ${total} in ${folder}`,
    ];
}

async function runRemove({ names, dir = modelFolder(), yes }: ArgumentsCamelCase<RemoveFlags>): Promise<void> {
    if (!yes) {
        const { listed, bytes } = summarize(chooseModels(await listModels(dir), names, dir));
        if (!canAsk()) throw new EftError("OPTION_INVALID", "Nobody can be asked whether to delete that; write --yes.");
        if (!(await confirm(`Delete ${listed} (${bytes})?`))) return;
    }
    const { listed, bytes } = summarize(await removeModels(names, dir));
    if (!isQuiet()) print(`Deleted ${listed}: ${bytes}\n`);
}

function summarize(models: readonly StoredModel[]): { readonly listed: string; readonly bytes: string } {
    return {
        listed: models.map(({ name }) => escapeControls(name)).join(", "),
        bytes: formatBytes(sum(models.map((model) => model.bytes))),
    };
}
