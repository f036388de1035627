/** Where the layers of each member go, and whether the whole fits: decided from the headers, before anything is loaded. */

import { realpathSync } from "node:fs";
import { totalmem } from "node:os";
import path from "node:path";
import type { GgufInsights } from "node-llama-cpp";
import type { BackendChoice } from "../native/backend.js";
import { loadBinding } from "../native/load-binding.js";
import type { CacheType, MemberSpec, Recipe } from "../types.js";
import { formatBytes } from "./bytes.js";
import { stateBytes, type ExistingContext, type MemoryShare } from "./context-memory.js";
import { readInsights } from "./insights.js";
import {
    add,
    estimate,
    type EstimateSettings,
    type Group,
    type Placed,
    type Planned,
} from "./memory-estimate.js";
import { modelPath } from "./model-files.js";
import { checkOptions, integer, listOf, mapping, oneOf, type OptionTable } from "../options.js";
import { checkRecipe } from "../recipe/index.js";

/** The values of {@link CacheType}. */
export const CACHE_TYPES = ["f16", "q8_0", "q4_0"] as const satisfies readonly CacheType[];
/** Context sizes beyond this must be asked for, and below the other nothing that was not asked for shrinks. */
const [MAX_DEFAULT_CONTEXT_SIZE, MIN_DEFAULT_CONTEXT_SIZE] = [4096, 512];
/** What the context of a sequence may be, in tokens. */
export const CONTEXT_SIZE = integer(8, 1 << 22);
/** What the cache of a member may be, in tokens. */
export const CACHE_TOKENS = integer(8, 1 << 28);
/** What is left free on a GPU, for its driver, other programs and the error of the estimate: a part, at most 1 GiB. */
const [GPU_RESERVE, MAX_GPU_RESERVE] = [0.06, 2 ** 30];

/** What there is. */
export interface MemoryRoom extends MemoryShare {
    /** Whether the GPU's memory is a part of the machine's. */
    readonly unified: boolean;
}

/** What one member takes, and where. */
export interface MemberMemory {
    readonly name: string;
    /** Transformer blocks, and one more for the output. */
    readonly layers: number;
    /** How many of them are on the GPU: the last ones. */
    readonly gpuLayers: number;
    /** Model and adapter; a model that an earlier member has brought counts nothing. */
    readonly weights: MemoryShare;
    /** The earlier member that has brought it. */
    readonly sharesWeightsOf?: string;
    /** Cache, buffers of the computation, and rows of logits. */
    readonly context: MemoryShare;
}

/** What a host has loaded already. */
export interface ExistingContexts {
    /** Per member of the recipe: the context that it will use; undefined where it gets one of its own. */
    readonly ofMembers: readonly (ExistingContext | undefined)[];
    /** Those that the recipe does not use. */
    readonly others: readonly ExistingContext[];
}

/** One plan for all members. All sizes are estimates. */
export interface MemoryPlan {
    /** Tokens each sequence can hold. */
    readonly contextSize: number;
    readonly sequences: number;
    /** Tokens that the cache of each member holds for all sequences together. */
    readonly cacheTokens: number;
    readonly cacheType: CacheType;
    /** In the order of the recipe. */
    readonly members: readonly MemberMemory[];
    readonly total: MemoryShare;
    readonly room: MemoryRoom;
    /** What had to give way, in sentences. */
    readonly remarks: readonly string[];
    /** Why it cannot be loaded, with numbers and what to do, if it cannot. */
    readonly problem?: string;
}

/** Those of `LoadOptions` that memory depends on, with the same defaults. */
export interface MemoryOptions {
    readonly contextSize?: number | undefined;
    readonly sequences?: number | undefined;
    readonly batchSize?: number | undefined;
    readonly cacheTokens?: number | undefined;
    readonly gpuLayers?: number | undefined;
    readonly cacheType?: CacheType | undefined;
    /** Default: that of this machine without a GPU. */
    readonly room?: MemoryRoom | undefined;
}

const MEMORY_OPTIONS: OptionTable<MemoryOptions> = {
    contextSize: CONTEXT_SIZE,
    sequences: integer(1, 64),
    batchSize: integer(32, 8192),
    cacheTokens: CACHE_TOKENS,
    gpuLayers: integer(0, 1000),
    cacheType: oneOf(CACHE_TYPES),
    room: mapping as (name: string, value: unknown) => MemoryRoom,
};

/**
 * The memory that models on this backend can have: all of the machine's or its container's, and what is free on the GPU.
 *
 * @throws EftError OPTION_INVALID
 */
export function memoryRoom(choice: BackendChoice): MemoryRoom {
    mapping("What memoryRoom takes", choice);
    const { backend, devices } = choice;
    listOf(mapping)("devices", devices);
    return {
        ram: Math.min(totalmem(), process.constrainedMemory() || Infinity),
        gpu: devices.reduce((sum, { memoryFree }) => sum + memoryFree, 0),
        unified: backend === "metal" || devices.some(({ type }) => type === "igpu"),
    };
}

/**
 * Plans what {@link loadEnsemble} does. Layers that recipe or options ask for are placed first. Then come the others as far as
 * the GPU has room: small models first, because they run most often, and of the first one that does not fit, as many
 * layers as do. If the whole would not fit, the cache that sequences share gets smaller, if nobody asked for its size, down to
 * the context of one sequence; then a context size that nobody asked for is halved, down to 512 tokens.
 * Sizes come from node-llama-cpp's knowledge of llama.cpp.
 *
 * @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, OPTION_INVALID; not if the recipe does not fit: then there is a `problem`
 */
export async function planMemory(
    recipe: Pick<Recipe, "members" | "contextSize" | "cacheType">,
    given: MemoryOptions = {},
): Promise<MemoryPlan> {
    checkRecipe("planMemory", recipe);
    return planBeside(recipe, checkOptions("planMemory", given, MEMORY_OPTIONS), { ofMembers: [], others: [] });
}

/**
 * The plan for a recipe on a host that has loaded others. Its members are those of the recipe; what is there already is part of
 * `total`.
 *
 * @param options.room - on the GPU: what is free beside what is there
 * @throws EftError as {@link planMemory}
 */
export async function planBeside(
    recipe: Pick<Recipe, "members" | "contextSize" | "cacheType">,
    options: MemoryOptions,
    loaded: ExistingContexts,
): Promise<MemoryPlan> {
    const planned = [
        ...loaded.others.map((each): Planned => ({ spec: each.spec, loaded: each })),
        ...recipe.members.map((spec, index): Planned => ({ spec, loaded: loaded.ofMembers[index] })),
    ];
    const insights = new Map<string, GgufInsights>();
    for (const { spec } of planned)
        if (!insights.has(spec.model)) insights.set(spec.model, await readInsights(modelPath(spec.model)));
    const trained = recipe.members.map(({ model }) => insights.get(model)?.trainContextSize ?? 0);
    const members = planned.slice(loaded.others.length);
    const settings = {
        drafts: planned.length > 1,
        sequences: options.sequences ?? 4,
        batchSize: options.batchSize ?? 512,
        cacheType: options.cacheType ?? recipe.cacheType ?? "f16",
        room: options.room ?? memoryRoom({ backend: "cpu", devices: [], cpu: undefined, rejected: [] }),
    };
    const groups = groupMembers(planned, insights, options.gpuLayers, settings.room);
    const wanted = wantedContextSize(recipe, options.contextSize, trained);
    const isAskedFor = [options, recipe, ...recipe.members].some(({ contextSize }) => contextSize !== undefined);
    const remarks = recipe.members.flatMap(({ name, model }) => {
        const { trainContextSize = Infinity } = insights.get(model) as GgufInsights;
        return wanted <= trainContextSize
            ? []
            : [`A sequence holds ${wanted} tokens, and ${name} was trained for ${trainContextSize}.`];
    });
    const { cacheTokens: asked } = options;
    for (let contextSize = wanted; ; contextSize = Math.ceil(contextSize / 2)) {
        const most = asked ?? settings.sequences * contextSize;
        const isLast = isAskedFor || contextSize / 2 < MIN_DEFAULT_CONTEXT_SIZE;
        for (let share = asked === undefined ? settings.sequences : 1; share >= 1; --share) {
            const cacheTokens = asked === undefined ? share * contextSize : Math.max(contextSize, asked);
            const plan = placeAll(members, groups, { ...settings, contextSize, cacheTokens });
            if (plan.problem !== undefined && !(isLast && share === 1)) continue;
            if (contextSize < wanted && plan.problem === undefined)
                remarks.push(`A sequence holds ${contextSize} tokens instead of ${wanted}, so that the whole fits.`);
            if (cacheTokens < most && plan.problem === undefined)
                remarks.push(`All sequences together hold ${cacheTokens} tokens instead of ${most}, so that the whole fits.`);
            return { ...plan, remarks: [...remarks, ...plan.remarks] };
        }
    }
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
    return CONTEXT_SIZE("contextSize", size);
}

function groupMembers(
    planned: readonly Planned[],
    insights: ReadonlyMap<string, GgufInsights>,
    gpuLayers: number | undefined,
    room: MemoryRoom,
): Group[] {
    const groups = new Map<string, Group & { readonly members: Planned[] }>();
    // A file that is there is used where it is.
    const layersOf = new Map<string, number>();
    const placeOf = ({ model }: MemberSpec): string => realpathSync(modelPath(model));
    for (const { spec, loaded } of planned) if (loaded !== undefined) layersOf.set(placeOf(spec), loaded.gpuLayers);
    for (const member of planned) {
        const { spec } = member;
        const file = insights.get(spec.model) as GgufInsights;
        // Links are other names of one file, which is loaded once.
        const place = placeOf(spec);
        const asked = room.gpu === 0 ? 0 : (layersOf.get(place) ?? spec.gpuLayers ?? gpuLayers);
        const stated = asked === undefined ? undefined : Math.min(asked < 0 ? Infinity : asked, file.totalLayers);
        const key = `${stated} ${place}`;
        const group = groups.get(key);
        if (group !== undefined) {
            group.members.push(member);
            continue;
        }
        const states = stateBytes(loadBinding().readHeader(modelPath(spec.model)), 1);
        groups.set(key, { members: [member], insights: file, stateBytes: states, stated });
    }
    return [...groups.values()];
}

type Settings = EstimateSettings & Pick<MemoryPlan, "contextSize" | "room">;

function placeAll(
    members: readonly Planned[],
    groups: readonly Group[],
    settings: Settings,
): MemoryPlan {
    const place = (group: Group, layers: number): Placed => estimate(group, layers, settings);
    const remarks: string[] = [];
    // What is there takes of the GPU what it is estimated to take, so that what is free beside it is what is left.
    const there = groups
        .map((group) => ({ ...group, members: group.members.filter(({ loaded }) => loaded !== undefined) }))
        .filter(({ members: own }) => own.length > 0);
    const taken = sumOf(there.map((group) => place(group, group.stated ?? 0))).gpu;
    const room = { ...settings.room, gpu: settings.room.gpu + taken };

    const placed = groups.flatMap((group) => (group.stated === undefined ? [] : [place(group, group.stated)]));
    let spare = room.gpu - Math.min(room.gpu * GPU_RESERVE, MAX_GPU_RESERVE) - sumOf(placed).gpu;
    const others = groups.filter(({ stated }) => stated === undefined);
    for (const group of others.sort((a, b) => a.insights.modelSize - b.insights.modelSize)) {
        let layers = group.insights.totalLayers;
        while (layers > 0 && place(group, layers).total.gpu > spare) --layers;
        const chosen = place(group, layers);
        if (layers < group.insights.totalLayers) {
            const names = group.members.map(({ spec }) => spec.name).join(", ");
            const more = place(group, layers + 1).total.gpu - chosen.total.gpu;
            const left = Math.max(0, spare - chosen.total.gpu);
            remarks.push(
                `${names}: ${layers} of ${group.insights.totalLayers} layers on the GPU; one more takes ` +
                    `${formatBytes(more)}, and ${formatBytes(left)} are left of ${formatBytes(room.gpu)}.`,
            );
        }
        spare -= chosen.total.gpu;
        placed.push(chosen);
    }

    const total = sumOf(placed);
    const plan = {
        contextSize: settings.contextSize,
        sequences: settings.sequences,
        cacheTokens: settings.cacheTokens,
        cacheType: settings.cacheType,
        members: members.map((member) => describeMember(member, placed)),
        total,
        room,
        remarks,
    };
    const problem = findProblem(plan, placed);
    return problem === undefined ? plan : { ...plan, problem };
}

function describeMember(member: Planned, placed: readonly Placed[]): MemberMemory {
    const { group, gpuLayers, weights, parts } = placed.find(({ group }) => group.members.includes(member)) as Placed;
    const owner = group.members[0] as Planned;
    const { adapter, context } = parts[group.members.indexOf(member)] as Placed["parts"][number];
    return {
        name: member.spec.name,
        layers: group.insights.totalLayers,
        gpuLayers,
        weights: member === owner ? add(weights, adapter) : adapter,
        ...(member === owner ? {} : { sharesWeightsOf: owner.spec.name }),
        context,
    };
}

/** Weights that do not fit are read from the disk again at every token, or end the process on a GPU. */
function findProblem(
    { total, room, cacheTokens, cacheType }: Omit<MemoryPlan, "problem">,
    placed: readonly Placed[],
): string | undefined {
    if (total.gpu > room.gpu) {
        const layers = placed.map(({ group, gpuLayers }) => `${group.members[0]?.spec.name} ${gpuLayers}`).join(", ");
        return (
            `The layers that are asked for on the GPU (${layers}) need ${formatBytes(total.gpu)}, and ${formatBytes(room.gpu)} ` +
            "are free there. Ask for fewer (--gpu-layers, or gpuLayers in the recipe), or leave it to the plan."
        );
    }
    const needed = total.ram + (room.unified ? total.gpu : 0);
    if (needed <= room.ram) return undefined;
    const files = placed.map(({ group, weights }) => {
        const bytes = weights.ram + (room.unified ? weights.gpu : 0);
        return `${path.basename(group.members[0]?.spec.model ?? "")} ${formatBytes(bytes)}`;
    });
    const contexts = `contexts of ${cacheTokens} tokens ${formatBytes(
        needed - sumOfWeights(placed, room.unified),
    )}`;
    const relief = ["files in fewer bits", "smaller models", "a smaller context size"];
    if (cacheType === "f16") relief.push("a cache in fewer bits (--cache-type q8_0)");
    return (
        `The recipe needs ${formatBytes(needed)} of memory (${[...files, contexts].join(", ")}), and there are ` +
        `${formatBytes(room.ram)}. What helps: ${relief.join(", ")}.`
    );
}

function sumOfWeights(placed: readonly Placed[], unified: boolean): number {
    return placed.reduce((sum, { weights }) => sum + weights.ram + (unified ? weights.gpu : 0), 0);
}

function sumOf(placed: readonly Placed[]): MemoryShare {
    return placed.reduce((sum, { total }) => add(sum, total), { ram: 0, gpu: 0 });
}

