/** `eft-llama recipe init`: a recipe for GGUF files that are here. */

import { stat } from "node:fs/promises";
import path from "node:path";
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { assignRoles, draftForRoles, relatedRecipe } from "../../ensemble/from-files.js";
import { EftError, loadRecipe, parseRecipe } from "../../index.js";
import type { Roles } from "../../models/find-roles.js";
import { checkParts, type Candidate } from "../../models/roles.js";
import { expandHome, writeWhole } from "../../files.js";
import { ask, canAsk } from "../ask.js";
import { withConfig } from "../config.js";
import { outputOptions, recipeOptions } from "../options.js";
import { escapeControls, formatCount, print, quote, remark } from "../terminal.js";

const { base, tuned, reference } = recipeOptions;
export const options = {
    base: { ...base, description: "GGUF of the base model" },
    tuned: { ...tuned, description: "GGUF of the fine-tuned model" },
    reference: { ...reference, description: "GGUF of the model that it was tuned from" },
    output: {
        alias: "o",
        type: "string",
        requiresArg: true,
        default: "recipe.yaml",
        group: "Output:",
        description: "File to write",
    },
    force: { type: "boolean", default: false, group: "Output:", description: "Write over a recipe that is there" },
    ...outputOptions,
    verbose: { ...outputOptions.verbose, description: "Stack traces on standard error" },
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { files?: string[] };

const ROLES = {
    base: "large base model",
    tuned: "fine-tuned model",
    reference: "model that it was tuned from",
} as const;
type Role = keyof typeof ROLES;

export const initCommand: CommandModule<object, Flags> = {
    command: "init [files..]",
    describe: "Write a recipe for three GGUF files",
    builder: (yargs) =>
        yargs
            .positional("files", {
                type: "string",
                array: true,
                description: "GGUF files, or hf: or https: references that were downloaded; in any order",
            })
            .options(withConfig(options))
            .example("$0 recipe init large.gguf small-chat.gguf small.gguf", "")
            .example("$0 recipe init large.gguf small.gguf adapter.gguf -o my-recipe.yaml", ""),
    handler: runInit,
};

async function runInit(args: ArgumentsCamelCase<Flags>): Promise<void> {
    const { files = [], output } = args;
    const named = await chooseNamed(args, files);
    const roles = await assignRoles(named, files, askForTuned);
    const notes = {
        base: describe(roles, "base"),
        tuned: describe(roles, "tuned"),
        reference: describe(roles, "reference"),
    };
    const text = await draftForRoles(roles, output, notes);
    parseRecipe(text, { file: output });
    await write(output, text, args.force);
    const related = relatedRecipe(roles);
    const lines = [
        `Wrote ${output}:`,
        ...(Object.keys(ROLES) as Role[]).map(
            (role) => `  ${role.padEnd(11)}${roles[role].source} (${roles.reasons[role]})`,
        ),
        `Look at it with \`eft-llama recipe show ${output}\`.`,
        ...(related === undefined ? [] : [related]),
    ];
    print(`${lines.map(escapeControls).join("\n")}\n`);
    const doubts = checkParts(roles, { base: "base", tuned: "tuned", reference: "reference" });
    remark(doubts.map((doubt) => `${escapeControls(doubt)}\n`).join(""));
}

/** What the flags say; where they and the files say nothing, what is typed at the terminal. */
async function chooseNamed(
    args: ArgumentsCamelCase<Flags>,
    files: readonly string[],
): Promise<Partial<Record<Role, string>>> {
    const roles = Object.keys(ROLES) as Role[];
    const named = roles.flatMap((role) => (args[role] === undefined ? [] : [[role, args[role]] as const]));
    if (named.length > 0 || files.length > 0) return Object.fromEntries(named);
    if (!canAsk()) throw new EftError("OPTION_INVALID", "Name the three GGUF files that the recipe is for.");
    const typed: Partial<Record<Role, string>> = {};
    for (const role of roles) {
        const source = await ask(`GGUF of the ${ROLES[role]}:`);
        if (source === "") throw new EftError("OPTION_INVALID", `Nothing was named as the ${ROLES[role]}.`);
        typed[role] = expandHome(source);
    }
    return typed;
}

async function askForTuned(pair: readonly [Candidate, Candidate]): Promise<Candidate | undefined> {
    if (!canAsk()) return undefined;
    const choices = pair.map(({ source }, index) => `  ${index + 1} ${escapeControls(source)}`).join("\n");
    const answer = await ask(`Which is the fine-tuned model?\n${choices}\n1 or 2:`);
    return pair[Number(answer) - 1];
}

function describe(roles: Roles, role: Role): string {
    const { name, parameters, quantization } = roles[role].summary;
    const facts = [...(name === undefined ? [] : [quote(name)]), `${formatCount(parameters)} parameters`];
    return `${[...facts, ...(quantization === undefined ? [] : [quantization])].join(", ")}: ${roles.reasons[role]}`;
}

/** Nothing but a recipe is written over: a mistyped name may be that of a model. @throws EftError FILE_* */
async function write(file: string, text: string, force: boolean): Promise<void> {
    const old = await stat(file).catch(() => undefined);
    if (old !== undefined) {
        // What is no file, such as a pipe, might never end.
        const recipe = old.isFile() ? await loadRecipe(path.resolve(file)).catch(() => undefined) : undefined;
        if (recipe === undefined)
            throw new EftError(
                "FILE_UNWRITABLE",
                `${file} is there already and is not a recipe; choose another name with --output.`,
            );
        if (!force)
            throw new EftError(
                "FILE_EXISTS",
                `${file} is there already; write over it with --force, or elsewhere with --output.`,
            );
    }
    await writeWhole(file, text);
}
