/** `eft-llama inspect`: what is in a GGUF or a recipe, and what it would take to run it here. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { inspectForms } from "../../decoding/recipe-forms.js";
import { inspectFiles, inspectModel } from "../../ensemble/inspect.js";
import { isRemote, loadRecipe, resolveParameters, type GgufSummary } from "../../index.js";
import { isGguf } from "../../models/gguf.js";
import { checkVocabularies } from "../../models/vocabulary.js";
import { describeMemory, describeRecipe, recipeToJson } from "./recipe.js";
import { describeBackend, showLog } from "../load.js";
import { withConfig } from "../config.js";
import { loadOptions, outputOptions, sequencesOption, settings } from "../options.js";
import { printRecipes } from "../recipe/list.js";
import { formatCount, print, printable, printJson } from "../terminal.js";

// Nothing is loaded here with its weights.
const { trust: _, ...loading } = loadOptions;
export const options = {
    set: settings("Show the weights with this parameter, e.g. --set beta=1.2; repeatable"),
    ...loading,
    sequences: { ...sequencesOption, default: 1 },
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object" },
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { source?: string };
type InspectArguments = ArgumentsCamelCase<Flags>;

export const inspectCommand: CommandModule<object, Flags> = {
    command: "inspect [source]",
    describe: "What is in a GGUF or a recipe, and what it takes to run it",
    builder: (yargs) =>
        yargs
            .positional("source", {
                type: "string",
                description:
                    "GGUF, hf: or https: reference that was downloaded, recipe file, or name of a built-in recipe; without it, these are listed",
            })
            .options(withConfig(options))
            .example("$0 inspect", "")
            .example("$0 inspect demo --set beta=1.5", "")
            .example("$0 inspect models/demo/large-base-f16.gguf --context-size 128 --json", ""),
    handler: runInspect,
};

async function runInspect(args: InspectArguments): Promise<void> {
    if (args.verbose) showLog();
    if (args.source === undefined) await printRecipes(args.json);
    else if (isRemote(args.source) || (await isGguf(args.source))) await printModel(args.source, args);
    else {
        const recipe = await loadRecipe(args.source);
        const parameters = resolveParameters(recipe, args.set ?? {});
        const found = await inspectFiles(recipe, args);
        const inspection = { ...inspectForms(recipe, parameters, found.files), ...found };
        show(args, recipeToJson(inspection), () => describeRecipe(printable(inspection)));
        // Last, so that the rest can be read however the members differ.
        if (inspection.vocabulary !== undefined) checkVocabularies(inspection.vocabulary);
    }
}

async function printModel(source: string, args: InspectArguments): Promise<void> {
    const { summary, memory, backend } = await inspectModel(source, args);
    show(args, { ...summary, memory, backend }, () => [
        ...describeModel(printable(summary)),
        "",
        ...(memory === undefined ? [] : [...describeMemory(printable(memory)), ""]),
        ...describeBackend(printable(backend)),
    ]);
}

function describeModel(summary: GgufSummary): string[] {
    const facts: [string, string | number | undefined][] = [
        ["file", summary.file],
        ["type", summary.type],
        ["name", summary.name],
        ["architecture", summary.architecture],
        ["quantization", summary.quantization],
        ["parameters", formatCount(summary.parameters)],
        ["layers", summary.layers],
        ["embedding", summary.embeddingSize],
        ["training context", summary.trainContextSize],
        ["tokenizer", summary.tokenizer],
        ["vocabulary", summary.vocabularySize],
        ["chat template", summary.chatTemplate === undefined ? "no" : "yes"],
    ];
    return facts.map(([name, value]) => `${name.padEnd(18)}${value ?? "not said"}`);
}

function show({ json }: InspectArguments, data: unknown, lines: () => readonly string[]): void {
    if (json) printJson(data);
    else print(`${lines().join("\n")}\n`);
}
