/** Whether the files in the parts of up-scaling are what the parts call for, by what they say about themselves. */

import { realpathSync } from "node:fs";
import path from "node:path";
import { combinationWeights, resolveParameters } from "../recipe/index.js";
import type { HeaderValue } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import type { MemberSpec, Recipe } from "../types.js";
import { compareStages, findFamily, readStage, type Family, type Stage } from "./families.js";
import { summarize, type GgufSummary } from "./gguf.js";
import { findModel, modelPath } from "./model-files.js";

/** A file and what its header says. */
export interface Candidate {
    /** As it was given: a path, or an `hf:` or `https:` reference. */
    readonly source: string;
    readonly summary: GgufSummary;
    /** The entries of its header by their keys. */
    readonly entries: ReadonlyMap<string, HeaderValue>;
    /** Of a mixture; 0 in dense models. */
    readonly experts: { readonly count: number; readonly used: number };
}

/** What stands in `tuned + beta * (base - reference)`. */
export type Parts<T> = Readonly<Record<"base" | "tuned" | "reference", T>>;

/** Sizes of fine-tuned models differ a little from their bases' where tokens were added. */
const SAME_SIZE = 0.05;

const textOf = ({ entries }: Candidate, key: string): string | undefined => {
    const value = entries.get(key);
    return typeof value === "string" ? value : undefined;
};
const saidName = ({ summary }: Candidate): string | undefined => summary.name;
const saidBasename = (candidate: Candidate): string | undefined => textOf(candidate, "general.basename");
const saidFinetune = (candidate: Candidate): string | undefined => textOf(candidate, "general.finetune");
const fileName = ({ source }: Candidate): string => path.basename(source).replace(/\.gguf$/i, "");

/** The most telling first. */
const NAMES = [saidFinetune, saidName, saidBasename, fileName];

/** What is known of the family of a model by its names. */
export function familyOf(candidate: Candidate): Family | undefined {
    return findFamily([saidName, saidBasename, fileName].flatMap((nameOf) => nameOf(candidate) ?? []));
}

/** How far a model was trained, by the first of its names that says it. */
function stageOf(candidate: Candidate): Stage {
    const stages = NAMES.map((nameOf) => readStage(nameOf(candidate) ?? ""));
    return stages.find((stage) => stage !== "unsaid") ?? "unsaid";
}

const isTunedName = (name: string | undefined): boolean => compareStages(readStage(name ?? ""), "unsaid", undefined) > 0;

const hasTunedName = (candidate: Candidate): boolean =>
    [saidName, saidBasename, saidFinetune].some((nameOf) => isTunedName(nameOf(candidate)));

const sameCase = (name: string | undefined): string => (name ?? "").replaceAll(/[\s_-]+/g, " ").toLowerCase();

/** What a file says that its model was made from; whoever only quantized a model says it of that model itself. */
function parentsOf(candidate: Candidate): string[] {
    const names = [...candidate.entries].flatMap(([key, name]) =>
        /^general\.base_model\.\d+\.name$/.test(key) && typeof name === "string" ? sameCase(name) : [],
    );
    return names.filter((name) => name !== sameCase(saidName(candidate)));
}

/** Signs of fine-tuning beside the other of a pair, the most telling first. */
const SIGNS: readonly (readonly [reason: string, test: (candidate: Candidate, other: Candidate) => boolean])[] = [
    [
        "it says that it was made from the other one",
        (candidate, other) => parentsOf(candidate).includes(sameCase(saidName(other))),
    ],
    ["only it carries a chat template", ({ summary }) => summary.chatTemplate !== undefined],
    [
        "its name is that of a later stage of training",
        (candidate, other) => {
            const stages = [stageOf(candidate), stageOf(other)] as const;
            const areTuned = stages.every((stage) => compareStages(stage, "unsaid", undefined) > 0);
            return areTuned && compareStages(...stages, familyOf(candidate)) > 0;
        },
    ],
    [
        "only it says that it was fine-tuned",
        (candidate) => {
            const finetune = saidFinetune(candidate);
            return finetune !== undefined && readStage(finetune) !== "base";
        },
    ],
    ["only its name is that of a fine-tuned model", hasTunedName],
    ["only the other one has the name of a base model", (_, other) => stageOf(other) === "base"],
    ["only it says which model it was made from", (candidate) => parentsOf(candidate).length > 0],
    ["only the name of its file is that of a fine-tuned model", (candidate) => isTunedName(fileName(candidate))],
];

/** @param file - where `source` is on this machine. @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, FILE_UNREADABLE */
export function readCandidate(source: string, file: string): Candidate {
    const place = modelPath(file);
    const header = loadBinding().readHeader(place);
    const { expertCount, expertsUsed } = header;
    return {
        ...{ source, summary: summarize(place, header), entries: new Map(header.entries) },
        experts: { count: expertCount, used: expertsUsed },
    };
}

/**
 * Whether one could be the fine-tuned model of the other: as many parameters, whatever they are quantized to, in as many experts. Where one of
 * two of the same shape has an output of its own and the other shares it with the embeddings, those of the layers count.
 */
export function isLike(a: Candidate, b: Candidate): boolean {
    const differ = (x: number, y: number): boolean => Math.abs(Math.log(x / y)) >= SAME_SIZE;
    if (a.experts.count !== b.experts.count) return false;
    if (!differ(a.summary.parameters, b.summary.parameters)) return true;
    if (a.summary.layers !== b.summary.layers || a.summary.embeddingSize !== b.summary.embeddingSize) return false;
    return !differ(layerParameters(a), layerParameters(b));
}

function layerParameters({ summary }: Candidate): number {
    const layers = loadBinding()
        .readTensors(summary.file)
        .filter(({ name }) => name.startsWith("blk."));
    return layers.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

/** Bytes of weights that are read for a token: of experts, those that it is sent to; of embeddings that are no output, none. */
export function bytesPerToken({ summary, experts }: Candidate): number {
    const tensors = loadBinding().readTensors(summary.file);
    const hasOutput = tensors.some(({ name }) => name === "output.weight");
    const share = (name: string): number => {
        if (hasOutput && name === "token_embd.weight") return 0;
        return experts.count > 0 && /_exps\b/.test(name) ? experts.used / experts.count : 1;
    };
    return tensors.reduce((sum, { name, bytes }) => sum + share(name) * bytes, 0);
}

/** The one of two that looks fine-tuned beside the other, and why; undefined where nothing tells. */
export function findTunedOf(pair: readonly [Candidate, Candidate]): readonly [Candidate, string] | undefined {
    const [a, b] = pair;
    for (const [reason, test] of SIGNS) {
        const [first, second] = [test(a, b), test(b, a)];
        if (first !== second) return [first ? a : b, reason];
    }
    return undefined;
}

/**
 * Sentences: what speaks against the parts that files were given, and which ones would fit.
 *
 * @param names - of the parts, for messages
 */
export function checkParts(parts: Parts<Candidate>, names: Parts<string>): string[] {
    const doubts = findDoubts(parts, names);
    if (doubts.length === 0) return [];
    const files = [parts.base, parts.tuned, parts.reference];
    const fitting = files.flatMap((base) =>
        files.flatMap((tuned) => {
            const reference = files.find((file) => file !== base && file !== tuned);
            if (base === tuned || reference === undefined || isLike(base, reference)) return [];
            const other = { base, tuned, reference };
            return findDoubts(other, names).length === 0 ? [other] : [];
        }),
    );
    const [only, another] = fitting;
    if (only === undefined || another !== undefined) return doubts;
    const list = (["base", "tuned", "reference"] as const).map((part) => `${names[part]} ${only[part].source}`);
    return [...doubts, `What the files say fits ${list.join(", ")}.`];
}

function findDoubts({ base, tuned, reference }: Parts<Candidate>, names: Parts<string>): string[] {
    const doubts: string[] = [];
    // An adapter stands on the reference itself.
    if (tuned.summary.file !== reference.summary.file) {
        if (!isLike(tuned, reference))
            doubts.push(
                `${names.tuned} (${tuned.source}) has ${tuned.summary.parameters} parameters and ${names.reference} ` +
                    `(${reference.source}) ${reference.summary.parameters}: a model has the size of what it was tuned from.`,
            );
        const [found, reason] = findTunedOf([tuned, reference]) ?? [];
        if (found === reference && isLike(tuned, reference))
            doubts.push(
                `${names.reference} (${reference.source}) looks like the fine-tuned model, not ${names.tuned} ` +
                    `(${tuned.source}): ${reason}.`,
            );
    }
    if (hasTunedName(base) && !hasTunedName(reference))
        doubts.push(
            `${names.base} (${base.source}) has the name of a fine-tuned model, and ${names.reference} (${reference.source}) has not.`,
        );
    return doubts;
}

/** Whether a recipe has the form of up-scaling: two of three members are added, and one is taken away. */
export function isUpscaling(recipe: Recipe): boolean {
    const { added, removed } = byWeight(recipe);
    return recipe.members.length === 3 && added.length === 2 && removed.length === 1;
}

function byWeight(recipe: Recipe): Readonly<Record<"added" | "removed", readonly MemberSpec[]>> {
    const { members, combination } = recipe;
    const names = members.map(({ name }) => name);
    const weights = combinationWeights(combination, names, resolveParameters(recipe, {}));
    return {
        added: members.filter((_, index) => (weights[index] ?? 0) > 0),
        removed: members.filter((_, index) => (weights[index] ?? 0) < 0),
    };
}

/**
 * The members of a recipe that are the parts of up-scaling; undefined for other combinations, and where the recipe does not say which
 * member is the fine-tuned one: by its chat template, or as the fallback.
 */
export function findParts(recipe: Recipe): Parts<MemberSpec> | undefined {
    if (!isUpscaling(recipe)) return undefined;
    const { members, conservative, prompt } = recipe;
    const names = members.map(({ name }) => name);
    const { added, removed } = byWeight(recipe);
    const [reference] = removed;
    const fallback = conservative && combinationWeights(conservative.fallback, names, resolveParameters(recipe, {}));
    const isTuned = ({ name }: MemberSpec): boolean =>
        prompt.kind === "from" ? prompt.member === name : (fallback?.[names.indexOf(name)] ?? 0) > 0;
    const [tuned, another] = added.filter(isTuned);
    const base = added.find((member) => member !== tuned);
    return another === undefined && base && tuned && reference ? { base, tuned, reference } : undefined;
}

/**
 * What speaks against the parts that the members of a recipe have; undefined if it is no recipe of up-scaling with models that are here.
 * Reads headers only.
 *
 * @throws EftError MODEL_INVALID
 */
export function checkRecipeParts(recipe: Recipe): string[] | undefined {
    const parts = findParts(recipe);
    if (parts === undefined) return undefined;
    const { base, tuned, reference } = parts;
    const read = ({ model }: MemberSpec): Candidate | undefined => {
        const file = findModel(model);
        return file === undefined ? undefined : readCandidate(path.basename(model), file);
    };
    const [large, own, pair] = [read(base), read(tuned), read(reference)];
    if (large === undefined || own === undefined || pair === undefined) return undefined;
    const same = [tuned, base].find((member) => isOneModel(member, reference));
    if (same !== undefined)
        return [`${same.name} and ${reference.name} are one model: what one adds the other takes away.`];
    if (reference.lora !== undefined && tuned.lora === undefined)
        return [`${reference.name} has a LoRA adapter, and ${tuned.name} has none: they may be exchanged.`];
    const names = { base: base.name, tuned: tuned.name, reference: reference.name };
    return checkParts({ base: large, tuned: own, reference: pair }, names);
}

/** Whether two members see the same text with the same model. */
function isOneModel(a: MemberSpec, b: MemberSpec): boolean {
    const [first, second] = [a, b].map(({ model, lora, prompt }) =>
        JSON.stringify([realpathSync(findModel(model) ?? model), lora, prompt]),
    );
    return first === second;
}
