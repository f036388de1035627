/** How much memory a recipe takes, before it is loaded. */

import type { GgufInsights, GgufInsightsResourceRequirements } from "node-llama-cpp";
import { loadBinding } from "../native/load-binding.js";
import type { MemberSpec, Recipe } from "../types.js";
import { openGguf } from "./gguf.js";
import { checkInteger } from "./options.js";

/** Context sizes beyond this must be asked for. */
const MAX_DEFAULT_CONTEXT_SIZE = 4096;
/** Largest context of all sequences together. */
export const MAX_CONTEXT_SIZE = 1 << 22;

/** Bytes. */
export interface MemoryShare {
    /** In the memory of the machine. */
    readonly ram: number;
    /** In that of the GPU. */
    readonly gpu: number;
}

/** What one member takes. */
export interface MemberMemory {
    readonly name: string;
    /** Model and adapter; a model that an earlier member has brought counts nothing. */
    readonly weights: MemoryShare;
    /** The earlier member that has brought it. */
    readonly sharesWeightsOf?: string;
    /** Cache, and buffers of the computation. */
    readonly context: MemoryShare;
}

/** What all members take, and for which context that is said. */
export interface MemoryEstimate {
    /** Tokens each sequence can hold. */
    readonly contextSize: number;
    readonly sequences: number;
    readonly members: readonly MemberMemory[];
    readonly total: MemoryShare;
}

/** Those of `LoadOptions` that memory depends on, with the same defaults. */
export interface MemoryOptions {
    /** Whether layers go to a GPU. Default false. */
    readonly gpu?: boolean;
    readonly contextSize?: number;
    readonly sequences?: number;
    readonly batchSize?: number;
    readonly gpuLayers?: number;
}

/**
 * Estimates what `loadEnsemble` would take, from the headers of the files, with node-llama-cpp's knowledge of llama.cpp.
 *
 * @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, OPTION_INVALID
 */
export async function estimateMemory(
    recipe: Pick<Recipe, "members" | "contextSize">,
    options: MemoryOptions = {},
): Promise<MemoryEstimate> {
    const { sequences = 4, batchSize = 512 } = options;
    const files = [...new Set(recipe.members.map(({ model }) => model))];
    const opened = new Map<string, GgufInsights>();
    for (const file of files) opened.set(file, (await openGguf(file)).insights);
    const trained = [...opened.values()].map(({ trainContextSize }) => trainContextSize ?? 0);
    const contextSize = wantedContextSize(recipe, options.contextSize, trained);

    const owners = new Map<string, string>();
    const members: MemberMemory[] = [];
    for (const member of recipe.members) {
        const insights = opened.get(member.model) as GgufInsights;
        const gpuLayers = countGpuLayers(member, insights, options);
        const file = `${gpuLayers} ${member.model}`;
        const owner = owners.get(file);
        owners.set(file, owner ?? member.name);
        // Not the newer forms of these two: they load the file into llama.cpp, which aborts the process if it is damaged.
        const model = insights.estimateModelResourceRequirements({ gpuLayers, gpuSupportsMmap: false });
        const context = insights.estimateContextResourceRequirements({
            contextSize,
            sequences,
            batchSize: Math.min(batchSize, contextSize * sequences),
            modelGpuLayers: gpuLayers,
            flashAttention: insights.flashAttentionSupported,
        });
        const shared = owner === undefined ? {} : { sharesWeightsOf: owner };
        const own = owner === undefined ? toShare(model) : { ram: 0, gpu: 0 };
        members.push({
            name: member.name,
            weights: add(own, adapterShare(member, gpuLayers / insights.totalLayers)),
            ...shared,
            context: toShare(context),
        });
    }
    const total = members.flatMap(({ weights, context }) => [weights, context]).reduce(add);
    return { contextSize, sequences, members, total };
}

/**
 * Tokens each sequence is to hold: the smallest of what was asked for, else of the training contexts, at most 4096.
 *
 * @param asked - for this loading; takes the place of the recipe's own
 * @param trained - the training contexts; 0 = unknown
 * @throws EftError OPTION_INVALID
 */
export function wantedContextSize(
    recipe: Pick<Recipe, "members" | "contextSize">,
    asked: number | undefined,
    trained: readonly number[],
): number {
    const wanted = [asked ?? recipe.contextSize, ...recipe.members.map(({ contextSize }) => contextSize)];
    const sizes = wanted.filter((size) => size !== undefined);
    const known = trained.filter((size) => size > 0);
    const size = sizes.length > 0 ? Math.min(...sizes) : Math.min(...known, MAX_DEFAULT_CONTEXT_SIZE);
    return checkInteger("contextSize", size, 8, MAX_CONTEXT_SIZE);
}

function countGpuLayers(member: MemberSpec, { totalLayers }: GgufInsights, options: MemoryOptions): number {
    if (options.gpu !== true) return 0;
    const layers = member.gpuLayers ?? options.gpuLayers ?? -1;
    return layers < 0 ? totalLayers : Math.min(layers, totalLayers);
}

function toShare({ cpuRam, gpuVram }: GgufInsightsResourceRequirements): MemoryShare {
    return { ram: cpuRam, gpu: gpuVram };
}

/** @param onGpu - part of the layers, 0 .. 1; an adapter lies where its layers do */
function adapterShare({ lora }: MemberSpec, onGpu: number): MemoryShare {
    const bytes = lora === undefined ? 0 : loadBinding().readHeader(lora.path).tensorBytes;
    const gpu = Math.round(bytes * onGpu);
    return { ram: bytes - gpu, gpu };
}

function add(a: MemoryShare, b: MemoryShare): MemoryShare {
    return { ram: a.ram + b.ram, gpu: a.gpu + b.gpu };
}
