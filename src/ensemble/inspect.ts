/** What can be known about models and recipes without loading weights. */

import { existsSync } from "node:fs";
import { EftError } from "../errors.js";
import { readGguf, type GgufSummary } from "../models/gguf.js";
import { memoryRoom, planMemory, type MemoryPlan } from "../models/memory-plan.js";
import { findModel, isRemote, commandToPull } from "../models/model-files.js";
import type { VocabularyReport } from "../models/vocabulary.js";
import { chooseBackend, type BackendChoice } from "../native/backend.js";
import { readVocabularies } from "../prompts/vocabularies.js";
import type { Recipe } from "../types.js";
import type { LoadOptions } from "./options.js";

/** Of the options of loading, those that memory depends on. */
export type PlacementOptions = Pick<
    LoadOptions,
    "backend" | "contextSize" | "cacheTokens" | "gpuLayers" | "cacheType" | "sequences"
>;

/** What there is in a file, and what it takes to load it. */
export interface ModelInspection {
    readonly summary: GgufSummary;
    /** Undefined for an adapter. */
    readonly memory: MemoryPlan | undefined;
    readonly backend: BackendChoice;
}

/**
 * @param source - a path, or an `hf:` or `https:` reference
 * @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, FILE_UNREADABLE, OPTION_INVALID, BACKEND_UNAVAILABLE
 */
export async function inspectModel(source: string, options: PlacementOptions): Promise<ModelInspection> {
    const found = findModel(source);
    if (isRemote(source) && found === undefined)
        throw new EftError(
            "MODEL_NOT_FOUND",
            `${source} has not been downloaded. Download with \`eft-llama pull ${source}\`.`,
        );
    const backend = chooseBackend(options.backend ?? "auto");
    const summary = await readGguf(found ?? source);
    const memory =
        summary.type === "adapter"
            ? undefined
            : await planPlacement({ members: [{ name: "model", model: summary.file }] }, options, backend);
    return { summary, memory, backend };
}

/** What a recipe names, and what it takes to load it. */
export interface RecipeFiles {
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

/** @throws EftError MODEL_INVALID, OPTION_INVALID, BACKEND_UNAVAILABLE */
export async function inspectFiles(recipe: Recipe, options: PlacementOptions): Promise<RecipeFiles> {
    const backend = chooseBackend(options.backend ?? "auto");
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
        files,
        missing,
        ...(missing.some(isRemote) && { download: await commandToPull(recipe) }),
        backend,
    };
    if (vocabulary === undefined) return found;
    return { ...found, vocabulary, memory: await planPlacement(local, options, backend) };
}

/** The recipe with paths in the place of references to models that are on this machine. */
function withLocalModels(recipe: Recipe): Recipe {
    return {
        ...recipe,
        members: recipe.members.map((member) => ({ ...member, model: findModel(member.model) ?? member.model })),
    };
}

/** The memory plan for a backend. */
export function planPlacement(
    recipe: Parameters<typeof planMemory>[0],
    { contextSize, cacheTokens, gpuLayers, cacheType, sequences }: PlacementOptions,
    backend: BackendChoice,
): Promise<MemoryPlan> {
    return planMemory(recipe, { contextSize, cacheTokens, gpuLayers, cacheType, sequences, room: memoryRoom(backend) });
}
