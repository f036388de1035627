/** How `eft-llama inspect` and `eft-llama recipe show` say what is known about a recipe. */

import path from "node:path";
import type { GgufSummary, MemberSpec, MemoryPlan, MemoryShare, VocabularyReport } from "../../index.js";
import type { RecipeForms } from "../../decoding/recipe-forms.js";
import type { RecipeFiles } from "../../ensemble/inspect.js";
import { formatBytes } from "../../models/bytes.js";
import { describeAgreement } from "../../models/vocabulary.js";
import { describeSpeculation } from "./speculation.js";
import { describeBackend } from "../load.js";
import { colors, formatCount, formatTable, wrap } from "../terminal.js";

type RecipeInspection = RecipeForms & RecipeFiles;

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
        ...(conservative === undefined ? [] : [`Fallback: ${conservative.fallback.text}`]),
        ...(conservative === undefined || conservative.topP === 1
            ? []
            : [`  decides alone about tokens outside its top-p ${conservative.topP}`]),
        ...(controlTokens === "combine" ? [] : ["  decides alone about control tokens"]),
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
            ? `Vocabulary: ${describeAgreement(report)}; control tokens: ${countFlags(controlTokens)}`
            : `Vocabulary: ${colors.red("the members differ and cannot be combined")}`,
        `  ids: ${members.map(({ name, width }) => `${name} ${width}`).join(", ")}`,
        ...notes.map((note) => `  ${wrap(note, 2)}`),
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
