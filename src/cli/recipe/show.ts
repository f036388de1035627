/** `eft-llama recipe show`: what a recipe comes to at given dials, without looking into its models. */

import path from "node:path";
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import {
    DEFAULT_SAMPLING,
    findModel,
    loadRecipe,
    resolveParameters,
    type MemberSpec,
    type PromptTemplate,
    type Recipe,
} from "../../index.js";
import { loadBinding } from "../../native/load-binding.js";
import { inspectForms, type RecipeForms } from "../../decoding/recipe-forms.js";
import { describeForms, formatWeight, formsToJson } from "../inspect/recipe.js";
import { withConfig } from "../config.js";
import { settings } from "../options.js";
import { formatTable, print, printable, printJson } from "../terminal.js";

export const options = {
    set: settings("Show the weights with this parameter, e.g. --set beta=1.2; repeatable"),
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object" },
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { recipe: string };

export const showCommand: CommandModule<object, Flags> = {
    command: "show <recipe>",
    describe: "What a recipe comes to at given dials",
    builder: (yargs) =>
        yargs
            .positional("recipe", {
                type: "string",
                demandOption: true,
                description: "Recipe file, or name of a built-in recipe",
            })
            .options(withConfig(options))
            .example("$0 recipe show demo --set beta=1.5", ""),
    handler: runShow,
};

async function runShow({ recipe: source, set = {}, json }: ArgumentsCamelCase<Flags>): Promise<void> {
    const recipe = await loadRecipe(source);
    const places = recipe.members.map(({ model }) => findModel(model));
    // Which member drafts by default depends on sizes.
    const sizes = recipe.members.flatMap(({ model }, index) => {
        const file = places[index];
        return file === undefined ? [] : [[model, loadBinding().readHeader(file)] as const];
    });
    const forms = inspectForms(recipe, resolveParameters(recipe, set), new Map(sizes));
    const sampling = { ...DEFAULT_SAMPLING, ...recipe.sampling };
    if (json)
        return printJson({
            ...formsToJson(forms),
            sampling,
            members: recipe.members.map((member, index) => ({
                ...member,
                prompt: member.prompt ?? recipe.prompt,
                file: places[index] ?? null,
            })),
        });
    const clean = printable(forms);
    const lines = [
        ...describeForms(clean, places.includes(undefined)),
        "",
        describeMembers(clean, printable(places)),
        `Sampling: ${Object.entries(sampling)
            .map(([name, value]) => `${name} ${value}`)
            .join(", ")}`,
    ];
    print(`${lines.join("\n")}\n`);
}

function describeMembers({ recipe, weights, fallback }: RecipeForms, places: readonly (string | undefined)[]): string {
    const rows = recipe.members.map((member, index) => [
        member.name,
        formatWeight(weights[member.name] ?? 0),
        ...(fallback === undefined ? [] : [formatWeight(fallback[member.name] ?? 0)]),
        describePrompt(member.prompt ?? recipe.prompt),
        describeModel(member, recipe, places[index]),
    ]);
    return formatTable(["member", "weight", ...(fallback === undefined ? [] : ["fallback"]), "prompt", "model"], rows);
}

function describePrompt(prompt: PromptTemplate): string {
    if (prompt.kind === "plain") return "plain";
    const names = Object.keys(prompt.variables ?? {});
    const source = prompt.kind === "from" ? `from ${prompt.member}` : "written out";
    if (prompt.thinking !== undefined) names.push("thinking");
    return names.length === 0 ? source : `${source}\nwith ${names.join(", ")}`;
}

function describeModel({ model, lora }: MemberSpec, { file = "." }: Recipe, place: string | undefined): string {
    const near = (target: string): string => {
        const relative = path.relative(path.dirname(file), target);
        return relative.length < target.length ? relative : target;
    };
    const where = path.isAbsolute(model) ? near(model) : model;
    return [
        `${where}${place === undefined ? (path.isAbsolute(model) ? " (missing)" : " (not downloaded)") : ""}`,
        ...(lora === undefined ? [] : [`+ ${near(lora.path)}${lora.scale === 1 ? "" : ` x ${lora.scale}`}`]),
    ].join("\n");
}
