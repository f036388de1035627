/** `eft-llama recipe check`: all that can be known about a recipe without loading its models, and what a sample says. */

import { existsSync } from "node:fs";
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import {
    EftError,
    findModel,
    loadRecipe,
    missingModels,
    planMemory,
    readVocabularies,
    type EftErrorCode,
    type MemoryOptions,
    type Recipe,
} from "../../index.js";
import { formatBytes } from "../../models/bytes.js";
import { withVocabularies } from "../../models/gguf.js";
import { readHeaders } from "../../ensemble/headers.js";
import { locateModels, notAt } from "../../models/model-files.js";
import { createPromptRenderers } from "../../prompts/prompt.js";
import { checkRecipeParts, isUpscaling } from "../../models/roles.js";
import { describeForeignTokens } from "../../prompts/template-tokens.js";
import { checkVocabularies, describeAgreement } from "../../models/vocabulary.js";
import { chooseBackend } from "../../native/backend.js";
import type { NativeModel } from "../../native/binding.js";
import { compareOnSample } from "../../scoring/sample.js";
import { withConfig } from "../config.js";
import { loadWithProgress, memoryOptions } from "../load.js";
import { loadOptions, outputOptions, sequencesOption } from "../options.js";
import { colors, formatMessage, plural, print, printJson, sum } from "../terminal.js";

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

/** What a check found out: a sentence, and whether it is bad news that do not keep the recipe from running. */
type Finding = string | { readonly warning: string };

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

/** One line of the report. The shape is documented in docs/cli.md. */
interface Line {
    readonly check: string;
    readonly state: "ok" | "warning" | "failed";
    readonly text: string;
    /** Of the error, where the check failed. */
    readonly code?: EftErrorCode;
}

async function runCheck(args: CheckArguments): Promise<void> {
    const findings: Line[] = [];
    const report = (line: Line): void => {
        findings.push(line);
        if (!args.json) tell(line);
    };
    const recipe = await loadRecipe(args.recipe).catch((error: unknown) => {
        if (!args.json) throw error;
        report(toLine("recipe", error));
    });
    if (recipe !== undefined) {
        await checkAll(recipe, args, createCheck(report));
    }
    if (args.sample) {
        const mayLoad = recipe !== undefined && findings.every(({ state }) => state !== "failed");
        if (mayLoad) await createCheck(report)("sample", () => checkSample(recipe, args));
        else report({ check: "sample", state: "warning", text: "not taken: the recipe will not load" });
    }
    const loads = findings.every(({ state }) => state !== "failed");
    if (!loads) process.exitCode = 1;
    if (args.json) printJson({ recipe: recipe?.name ?? args.recipe, loads, findings });
}

/** All that needs no weights. */
async function checkAll(recipe: Recipe, args: CheckArguments, check: Check): Promise<void> {
    await check("recipe", () => `${plural(recipe.members.length, "member")}, ${recipe.combination.text}`);
    const local = await check("files", () => checkFiles(recipe));
    // Whatever else is asked is asked of files.
    if (local === undefined) return;
    // First, because node-llama-cpp, which reads headers, takes over llama.cpp's log, which our messages quote.
    const backend = await check("backend", () => ({ result: chooseBackend(args.backend) }));
    const isReadable = await check("headers", async () => ({ finding: await describeHeaders(local), result: true }));
    if (isReadable === undefined) return;
    await check("vocabularies", () => compareAll(local));
    await check("templates", () => checkTemplates(local));
    await check("roles", () => checkRoles(local));
    if (backend !== undefined) await check("memory", () => checkMemory(local, memoryOptions(args, backend)));
}

/** A finding, if there is anything to say, and what other checks need of this one. */
type Outcome<T> = Finding | undefined | { readonly finding?: Finding; readonly result: T };

type Check = <T>(name: string, body: () => Outcome<T> | Promise<Outcome<T>>) => Promise<T | undefined>;

/** A function that runs a check, reports what it found, and returns its result; undefined if there is none. */
function createCheck(report: (line: Line) => void): Check {
    return async (name, body) => {
        try {
            const outcome = await body();
            const isMore = typeof outcome === "object" && "result" in outcome;
            const finding = isMore ? outcome.finding : outcome;
            if (typeof finding === "string") report({ check: name, state: "ok", text: finding });
            else if (finding !== undefined) report({ check: name, state: "warning", text: finding.warning });
            return isMore ? outcome.result : undefined;
        } catch (error) {
            report(toLine(name, error));
            return undefined;
        }
    };
}

/** @throws what is no EftError */
function toLine(check: string, error: unknown): Line {
    if (!EftError.isInstance(error)) throw error;
    return { check, state: "failed", text: error.message, code: error.code };
}

function tell({ check, state, text }: Line): void {
    const paint = { ok: colors.green, warning: colors.yellow, failed: colors.red }[state];
    const word = state === "failed" ? "FAILED" : state;
    print(`${paint(word.padEnd(9))}${check.padEnd(14)}${formatMessage(text)}\n`);
}

async function checkFiles(recipe: Recipe): Promise<{ finding: Finding; result: Recipe }> {
    // Says which command downloads them.
    if (missingModels(recipe).length > 0) await locateModels(recipe);
    const adapters = recipe.members.flatMap(({ lora }) => lora?.path ?? []);
    const files = [...new Set([...recipe.members.map(({ model }) => model), ...adapters])];
    const missing = files.filter((file) =>
        adapters.includes(file) ? !existsSync(file) : findModel(file) === undefined,
    );
    if (missing.length === 0)
        return { finding: `${plural(files.length, "file")}, all here`, result: await locateModels(recipe) };
    const denied = missing.map((file) => notAt("A file", file)).find(({ code }) => code === "FILE_UNREADABLE");
    if (denied !== undefined) throw denied;
    throw new EftError("MODEL_NOT_FOUND", `There is no ${missing.join(", and no ")}; correct the paths.`);
}

async function describeHeaders(recipe: Recipe): Promise<Finding> {
    const summaries = await readHeaders(recipe);
    return `${plural(summaries.length, "model")}, weights of ${formatBytes(sum(summaries.map(({ tensorBytes }) => tensorBytes)))}`;
}

async function compareAll(recipe: Recipe): Promise<Finding> {
    const report = await readVocabularies(recipe);
    checkVocabularies(report);
    return describeAgreement(report);
}

async function checkTemplates({ members, prompt }: Recipe): Promise<Finding> {
    const templates = members.map((member) => member.prompt ?? prompt);
    if (templates.every(({ kind }) => kind === "plain")) return "none: members see the text as it is";
    const files = members.map(({ model }) => model);
    return withVocabularies(files, (models) => {
        const named = members.map(({ name }, index) => ({ name, model: models[index] as NativeModel }));
        const renderers = createPromptRenderers(
            named.map((member, index) => ({ ...member, template: templates[index] ?? prompt })),
        );
        for (const renderer of renderers) renderer.tokenize([{ role: "user", content: "Hello" }]);
        const foreign = describeForeignTokens({ members, prompt }, named);
        const finding = "a question is rendered for every member";
        return foreign.length === 0 ? finding : { warning: [finding, ...foreign].join("; ") };
    });
}

/** Of up-scaling alone: in other combinations, members may be anything. */
async function checkRoles(recipe: Recipe): Promise<Finding | undefined> {
    const doubts = await checkRecipeParts(recipe);
    if (doubts === undefined)
        return isUpscaling(recipe)
            ? "not compared: no template `from` a member and no fallback says which member is the fine-tuned one"
            : undefined;
    return doubts.length > 0 ? { warning: doubts.join("\n") } : "sizes and names fit what each member does";
}

async function checkSample(recipe: Recipe, args: CheckArguments): Promise<Finding> {
    await using ensemble = await loadWithProgress(recipe, args, { sequences: args.sequences });
    const finding = await compareOnSample(ensemble);
    if (finding === undefined) return { warning: "not taken: the recipe is not known as one of up-scaling" };
    const { summary, doubts } = finding;
    return doubts.length > 0 ? { warning: [summary, ...doubts].join("\n") } : summary;
}

async function checkMemory(recipe: Recipe, options: MemoryOptions): Promise<Finding> {
    const { cacheTokens, total, room, remarks, problem } = await planMemory(recipe, options);
    if (problem !== undefined) throw new EftError("MEMORY_EXCEEDED", problem);
    const gpu = room.gpu > 0 ? `, and ${formatBytes(total.gpu)} of ${formatBytes(room.gpu)} on the GPU` : "";
    const need = `about ${formatBytes(total.ram)} of ${formatBytes(room.ram)}${gpu} for a cache of ${cacheTokens} tokens`;
    return remarks.length > 0 ? { warning: [need, ...remarks].join("; ") } : need;
}
