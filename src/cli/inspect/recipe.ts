/** What `eft-llama inspect` finds out about a recipe, and how it says it. */

import { existsSync } from "node:fs";
import path from "node:path";
import {
    combinationWeights,
    findModel,
    isRemote,
    planMemory,
    readGguf,
    readVocabularies,
    resolveParameters,
    type BackendChoice,
    type Combination,
    type GgufSummary,
    type MemberSpec,
    type MemoryPlan,
    type MemoryShare,
    type Recipe,
    type VocabularyReport,
} from "../../index.js";
import { formatBytes } from "../../models/bytes.js";
import { pullCommand } from "../../models/model-files.js";
import { describeAgreement } from "../../models/vocabulary.js";
import { chooseBackend } from "../../native/backend.js";
import { describeSpeculation, inspectSpeculation, type SpeculationInspection } from "./speculation.js";
import { describeBackend, memoryOptions } from "../load.js";
import type { PlanArguments, RecipeArguments } from "../options.js";
import { colors, formatCount, formatTable } from "../terminal.js";

type Weights = Readonly<Record<string, number>>;

/** The forms of a recipe at given dials. */
export interface RecipeForms {
    readonly recipe: Recipe;
    /** Where the dials stand. */
    readonly parameters: Readonly<Record<string, number>>;
    readonly weights: Weights;
    /** Of the form that the conservative filter falls back to. */
    readonly fallback?: Weights;
    readonly speculation: SpeculationInspection;
}

interface RecipeInspection extends RecipeForms {
    /** By what the recipe calls the model; without those that are missing. */
    readonly files: ReadonlyMap<string, GgufSummary>;
    /** Models and adapters that are not on this machine. */
    readonly missing: readonly string[];
    /** The command that downloads them, where that can be. */
    readonly download?: string;
    /** These two are not there when something is missing. */
    readonly memory?: MemoryPlan;
    readonly vocabulary?: VocabularyReport;
    readonly backend: BackendChoice;
}

/** @throws EftError MODEL_INVALID, PARAMETER_*, OPTION_INVALID, BACKEND_UNAVAILABLE */
export async function inspectRecipe(
    recipe: Recipe,
    args: PlanArguments & Pick<RecipeArguments, "set"> & { readonly sequences: number },
): Promise<RecipeInspection> {
    const parameters = resolveParameters(recipe, args.set ?? {});
    // Vocabularies and backend before node-llama-cpp is imported: from then on its logger takes llama.cpp's words, which
    // our messages quote.
    const backend = chooseBackend(args.backend);
    const models = [...new Set(recipe.members.map(({ model }) => model))];
    const adapters = recipe.members.flatMap(({ lora }) => (lora === undefined ? [] : [lora.path]));
    const missing = [
        ...models.filter((model) => findModel(model) === undefined),
        ...adapters.filter((file) => !existsSync(file)),
    ];
    const local = withLocalModels(recipe);
    const vocabulary = missing.length > 0 ? undefined : await readVocabularies(local);
    const files = new Map<string, GgufSummary>();
    for (const model of models) {
        const file = findModel(model);
        if (file !== undefined) files.set(model, await readGguf(file));
    }
    const found = {
        ...inspectForms(recipe, parameters, files),
        files,
        missing,
        ...(missing.some(isRemote) && { download: await pullCommand(recipe) }),
        backend,
    };
    if (vocabulary === undefined) return found;
    const memory = await planMemory(local, memoryOptions(args, backend));
    return { ...found, vocabulary, memory };
}

/** @param files - headers by what the recipe calls the model; without those that are missing */
export function inspectForms(
    recipe: Recipe,
    parameters: Readonly<Record<string, number>>,
    files: ReadonlyMap<string, Pick<GgufSummary, "tensorBytes">>,
): RecipeForms {
    const names = recipe.members.map(({ name }) => name);
    const weigh = (form: Combination): Weights => {
        const weights = combinationWeights(form, names, parameters);
        return Object.fromEntries(names.map((name, index) => [name, weights[index] ?? 0]));
    };
    return {
        recipe,
        parameters,
        weights: weigh(recipe.combination),
        ...(recipe.conservative && { fallback: weigh(recipe.conservative.fallback) }),
        speculation: inspectSpeculation(recipe, parameters, files),
    };
}

/** The recipe with paths in the place of references to models that are on this machine. */
export function withLocalModels(recipe: Recipe): Recipe {
    return {
        ...recipe,
        members: recipe.members.map((member) => ({ ...member, model: findModel(member.model) ?? member.model })),
    };
}

/** Plain data: what is not a number becomes null, flags of tokens become counts. */
export function recipeToJson(inspection: RecipeInspection): object {
    const { recipe, files, missing, memory, vocabulary, backend } = inspection;
    return {
        ...formsToJson(inspection),
        members: recipe.members.map((member) => ({ ...member, gguf: files.get(member.model) })),
        missing,
        ...(memory && { memory }),
        ...(vocabulary && {
            vocabulary: {
                ...vocabulary,
                members: vocabulary.members.map((member) => ({ ...member, lacks: countFlags(member.lacks) })),
                controlTokens: countFlags(vocabulary.controlTokens),
                addedTokens: countFlags(vocabulary.addedTokens),
                endOfGeneration: countFlags(vocabulary.endOfGeneration),
            },
        }),
        backend,
    };
}

/** What a recipe says without its models. */
export function formsToJson({ recipe, parameters, weights, fallback, speculation }: RecipeForms): object {
    const { name, description, source, file, combination, conservative, controlTokens } = recipe;
    return {
        ...{ name, description, source, file },
        parameters: Object.entries(recipe.parameters).map(([name, spec]) => ({
            name,
            value: parameters[name],
            ...spec,
        })),
        combination: { text: combination.text, weights },
        ...(conservative && {
            conservative: { topP: conservative.topP, text: conservative.fallback.text, weights: fallback },
        }),
        controlTokens,
        speculation,
    };
}

function countFlags(flags: Uint8Array): number {
    return flags.reduce((count, flag) => count + flag, 0);
}

/** Lines for people. */
export function describeRecipe(inspection: RecipeInspection): string[] {
    const { missing, download, memory, vocabulary, backend } = inspection;
    return [
        ...describeForms(inspection, missing.length > 0),
        "",
        ...describeMembers(inspection),
        ...(missing.length > 0 ? ["", "Not on this machine:", ...missing.map((file) => `  ${file}`)] : []),
        ...(download === undefined ? [] : [`Download with \`${download}\`.`]),
        "",
        ...(vocabulary === undefined ? [] : [...describeVocabulary(vocabulary), ""]),
        ...(memory === undefined ? [] : [...describeMemory(memory), ""]),
        ...describeBackend(backend),
    ];
}

/** Names, the combination with its dials, and speculation. */
export function describeForms({ recipe, parameters, speculation }: RecipeForms, isMissing: boolean): string[] {
    const { combination, conservative, controlTokens } = recipe;
    return [
        `${colors.bold(recipe.name)}${recipe.description === undefined ? "" : `: ${recipe.description}`}`,
        ...(recipe.file === undefined ? [] : [recipe.file]),
        ...(recipe.source === undefined ? [] : [recipe.source]),
        "",
        `Combination: ${colors.bold(combination.text)}`,
        ...Object.entries(recipe.parameters).map(([name, { min, max, description }]) =>
            `  ${name} = ${parameters[name]}, from ${min} to ${max}: ${description ?? ""}`.replace(/: $/, ""),
        ),
        ...(conservative === undefined
            ? []
            : [`Outside the top-p ${conservative.topP} set of ${conservative.fallback.text}: that form alone`]),
        ...(controlTokens === "combine" ? [] : ["  control tokens: that form alone decides about them"]),
        ...describeSpeculation(recipe, speculation, isMissing),
    ];
}

function describeMembers({ recipe, weights, fallback, files }: RecipeInspection): string[] {
    const forms = fallback === undefined ? ["weight"] : ["weight", "fallback"];
    const members = recipe.members.map((member) => [
        member.name,
        formatWeight(weights[member.name] ?? 0),
        ...(fallback === undefined ? [] : [formatWeight(fallback[member.name] ?? 0)]),
        nameFile(member),
    ]);
    const found = recipe.members.flatMap(({ name, model }) => {
        const gguf = files.get(model);
        return gguf === undefined ? [] : [[name, ...describeFile(gguf)]];
    });
    const facts = ["member", "architecture", "format", "parameters", "layers", "trained for", "template"];
    return [
        formatTable(["member", ...forms, "model"], members),
        ...(found.length === 0 ? [] : [formatTable(facts, found)]),
    ];
}

function describeFile(gguf: GgufSummary): string[] {
    return [
        gguf.architecture,
        gguf.quantization ?? "-",
        formatCount(gguf.parameters),
        `${gguf.layers}`,
        gguf.trainContextSize === undefined ? "-" : `${gguf.trainContextSize} tokens`,
        gguf.chatTemplate === undefined ? "no" : "yes",
    ];
}

export function formatWeight(weight: number): string {
    return `${weight > 0 ? "+" : ""}${Number(weight.toPrecision(4))}`;
}

function nameFile({ model, lora }: MemberSpec): string {
    const name = path.isAbsolute(model) ? path.basename(model) : model;
    return lora === undefined
        ? name
        : `${name}\n+ ${path.basename(lora.path)}${lora.scale === 1 ? "" : ` x ${lora.scale}`}`;
}

function describeVocabulary(report: VocabularyReport): string[] {
    const { compatible, members, notes, controlTokens } = report;
    return [
        compatible
            ? `Vocabulary: ${describeAgreement(report)}, ${countFlags(controlTokens)} of them are control tokens`
            : `Vocabulary: ${colors.red("the members differ and cannot be combined")}`,
        `  ids: ${members.map(({ name, width }) => `${name} ${width}`).join(", ")}`,
        ...notes.map((note) => `  ${note}`),
    ];
}

/** A table of members, what gave way, and whether the whole fits. */
export function describeMemory({ members, total, room, remarks, problem, ...context }: MemoryPlan): string[] {
    const gpu = room.gpu > 0;
    const cells = (share: MemoryShare): string[] => [formatBytes(share.ram), ...(gpu ? [formatBytes(share.gpu)] : [])];
    const rows = members.map(({ name, gpuLayers, layers, weights, context, sharesWeightsOf }) => [
        name,
        ...(gpu ? [`${gpuLayers} of ${layers}`] : []),
        ...(sharesWeightsOf === undefined ? cells(weights) : [`as ${sharesWeightsOf}`, ...(gpu ? [""] : [])]),
        ...cells(context),
    ]);
    const bits = context.cacheType === "f16" ? "" : `, kept as ${context.cacheType}`;
    return [
        `Memory, estimated for a cache of ${context.cacheTokens} tokens${bits}: ${formatBytes(total.ram)} of ` +
            formatBytes(room.ram) +
            (gpu ? `, and ${formatBytes(total.gpu)} of ${formatBytes(room.gpu)} that are free on the GPU` : ""),
        formatTable(
            [
                "member",
                ...(gpu ? ["on the GPU"] : []),
                "weights",
                ...(gpu ? ["weights, GPU"] : []),
                "context",
                ...(gpu ? ["context, GPU"] : []),
            ],
            rows,
        ),
        ...remarks,
        ...(problem === undefined ? [] : [`${colors.red("It does not fit.")} ${problem}`]),
    ];
}
