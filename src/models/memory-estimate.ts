/** What members of one file take, and where, by node-llama-cpp's knowledge of llama.cpp and ours of what lies beside it. */

import type { GgmlType, GgufInsights, GgufInsightsResourceRequirements } from "node-llama-cpp";
import { EftError } from "../errors.js";
import { loadBinding } from "../native/load-binding.js";
import type { CacheType, MemberSpec } from "../types.js";
import {
    CACHE_BITS,
    cellsOf,
    handedRows,
    keptRows,
    maskBytes,
    rowBytes,
    type ContextShape,
    type ExistingContext,
    type MemoryShare,
} from "./context-memory.js";


/** ggml's numbers of the types. */
const F32: GgmlType = 0;
const F16: GgmlType = 1;

/** A context that the plan counts. */
export interface Planned {
    readonly spec: MemberSpec;
    /** Where it is there already. */
    readonly loaded: ExistingContext | undefined;
}

/** Members of one file and one number of layers; they share its weights. */
export interface Group {
    readonly members: readonly Planned[];
    readonly insights: GgufInsights;
    /** Bytes of the recurrent state of a sequence. */
    readonly stateBytes: number;
    /** Layers on the GPU that recipe or options ask for; undefined: as many as fit. */
    readonly stated: number | undefined;
}

/** A group with some of its layers on the GPU. */
export interface Placed {
    readonly group: Group;
    readonly gpuLayers: number;
    readonly weights: MemoryShare;
    /** In the order of the group's members. */
    readonly parts: readonly { readonly adapter: MemoryShare; readonly context: MemoryShare }[];
    readonly total: MemoryShare;
}

/** What all contexts of a plan have in common, and what those are like that it creates. */
export interface EstimateSettings extends ContextShape {
    readonly cacheType: CacheType;
    /** Whether members may draft for others. */
    readonly drafts: boolean;
}

/** @param gpuLayers - how many of the group's layers are on the GPU: the last ones. @throws EftError MODEL_INVALID */
export function estimate(group: Group, gpuLayers: number, settings: EstimateSettings): Placed {
    const { insights, members } = group;
    const { batchSize, sequences } = settings;
    const vocabularySize = Number(insights.ggufFileInfo.architectureMetadata.vocab_size ?? 0);
    const toShare = ({ cpuRam, gpuVram }: GgufInsightsResourceRequirements): MemoryShare => {
        if (Number.isFinite(cpuRam + gpuVram)) return { ram: Math.round(cpuRam), gpu: Math.round(gpuVram) };
        throw new EftError(
            "MODEL_INVALID",
            `The header of ${members[0]?.spec.model} says sizes that nothing can be planned by; download or convert it again.`,
        );
    };
    // Not the newer forms of these two: they load the file into llama.cpp, which aborts the process if it is damaged.
    const weights = toShare(insights.estimateModelResourceRequirements({ gpuLayers, gpuSupportsMmap: false }));
    const contextWith = (cells: number, type: GgmlType, modelGpuLayers: number): MemoryShare =>
        toShare(
            insights.estimateContextResourceRequirements({
                contextSize: cells,
                sequences: 1,
                batchSize: Math.min(batchSize, cells),
                modelGpuLayers,
                flashAttention: insights.flashAttentionSupported,
                swaFullCache: true,
                kvCacheKeyType: type,
                kvCacheValueType: type,
            }),
        );
    // Types of fewer bits come in blocks, which this estimate does not know. So the cache is measured by its two other sizes.
    const split = (cells: number, layers: number): { cache: MemoryShare; buffers: MemoryShare } => {
        const context = contextWith(cells, F16, layers);
        const cache = add(contextWith(cells, F32, layers), context, -1);
        return { cache, buffers: add(context, cache, -1) };
    };
    // The estimate counts the rows of a batch once for each device: where they are computed, and behind a GPU where it hands them
    // over.
    const rows = (gpuLayers === 0 ? handedRows(settings) : 0) + (settings.drafts ? keptRows(sequences) : 0);
    // The estimate counts one state of one sequence; which layers have one, it knows better.
    const states = sequences * group.stateBytes;
    const statesOnGpu = (states * gpuLayers) / insights.totalLayers;
    const contextOf = ({ cacheTokens, cacheType }: Pick<ExistingContext, "cacheTokens" | "cacheType">): MemoryShare => {
        const cells = cellsOf({ cacheTokens, sequences });
        const { cache, buffers } = split(cells, gpuLayers);
        const bits = CACHE_BITS[cacheType] / CACHE_BITS.f16;
        const mask = insights.flashAttentionSupported ? maskBytes(cells, batchSize) : 0;
        // The rows take the place of the mask, which only layers need.
        const beyondRows = Math.max(0, mask - rowBytes(Math.min(batchSize, cells), vocabularySize));
        const onCpu = gpuLayers === 0 ? beyondRows : gpuLayers < insights.totalLayers ? mask : 0;
        return {
            ram: Math.ceil(cache.ram * bits + buffers.ram + onCpu + rowBytes(rows, vocabularySize) + states - statesOnGpu),
            gpu:
                gpuLayers === 0
                    ? 0
                    : // The buffers of one layer are those of all, because layers use them one after another.
                      Math.ceil(
                          cache.gpu * bits +
                              split(cells, insights.totalLayers).buffers.gpu +
                              beyondRows +
                              statesOnGpu,
                      ),
        };
    };
    const parts = members.map(({ spec, loaded }) => ({
        adapter: adapterShare(spec, gpuLayers / insights.totalLayers),
        context: contextOf(loaded ?? settings),
    }));
    const total = parts.reduce((sum, part) => add(add(sum, part.adapter), part.context), weights);
    return { group, gpuLayers, weights, parts, total };
}

/** @param onGpu - part of the layers, 0 .. 1; an adapter lies where its layers do */
function adapterShare({ lora }: MemberSpec, onGpu: number): MemoryShare {
    const bytes = lora === undefined ? 0 : loadBinding().readHeader(lora.path).tensorBytes;
    const gpu = Math.round(bytes * onGpu);
    return { ram: bytes - gpu, gpu };
}

export function add(a: MemoryShare, b: MemoryShare, factor = 1): MemoryShare {
    return { ram: a.ram + factor * b.ram, gpu: a.gpu + factor * b.gpu };
}
