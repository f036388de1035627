/** From the recipe's member declarations to loaded models and prompt renderers. */

import { existsSync } from "node:fs";
import { EftError } from "../errors.js";
import type { BackendChoice } from "../native/backend.js";
import type { NativeEngine, NativeHeader, NativeModel } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import type { ContextOrigin } from "../host/runtime.js";
import type { MemberSpec, Recipe } from "../types.js";
import type { MemoryPlan } from "../models/memory-plan.js";
import { notAt } from "../models/model-files.js";
import { createPromptRenderers, type PromptRenderer } from "../prompts/prompt.js";
import { checkHasVocabulary } from "../models/token-tables.js";

/** One loaded language model that takes part. */
export interface Member {
    readonly name: string;
    readonly spec: MemberSpec;
    /** Shared with other members of the same file. */
    readonly model: NativeModel;
    /** Layers on the GPU; -1 means all. */
    readonly gpuLayers: number;
    readonly prompt: PromptRenderer;
}

/** Those that were trained for fewer tokens than a context holds: beyond that, models get worse without a word. */
export function trainedForFewer(members: readonly Member[], contextSize: number): Member[] {
    return members.filter(({ model: { info } }) => info.trainContextSize > 0 && info.trainContextSize < contextSize);
}

/**
 * Loads every file once: side by side, or one after another where they share a device.
 *
 * @param recipe - with paths instead of references
 * @param options.plan - how many layers go to a GPU, where the file is not there already; without it: what recipe or options say, else all
 * @throws EftError MODEL_*, TEMPLATE_*, ABORTED, and what `checkWanted` throws
 */
export async function loadMembers(
    engine: NativeEngine,
    recipe: Recipe,
    backend: BackendChoice,
    options: {
        readonly plan: MemoryPlan | undefined;
        /** Per member: its model, where that is there already. */
        readonly lent: readonly (Pick<ContextOrigin, "model" | "gpuLayers"> | undefined)[];
        readonly gpuLayers: number | undefined;
        readonly onProgress: (fraction: number) => void;
        /** Throws when loading is to end. */
        readonly checkWanted: () => void;
    },
): Promise<Member[]> {
    const { members: specs } = recipe;
    const sizes = fileSizes({ members: specs.filter((_, index) => options.lent[index] === undefined) });
    const total = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    const fractions = new Map<string, number>();
    const report = (file: string, fraction: number): void => {
        fractions.set(file, Math.max(fraction, fractions.get(file) ?? 0));
        const done = [...sizes].reduce((sum, [each, bytes]) => sum + (fractions.get(each) ?? 0) * bytes, 0);
        options.onProgress(done / total);
    };
    const layersOf = (spec: MemberSpec, index: number): number => {
        const layers = options.plan?.members[index]?.gpuLayers ?? spec.gpuLayers ?? options.gpuLayers ?? -1;
        return backend.backend === "cpu" ? 0 : layers;
    };
    const read = async (spec: MemberSpec, index: number): Promise<NativeModel> => {
        const model = await engine.loadModel({
            path: spec.model,
            gpuLayers: layersOf(spec, index),
            devices: backend.devices.map(({ name }) => name),
            onProgress: (fraction) => report(spec.model, fraction),
        });
        report(spec.model, 1);
        return model;
    };

    // A device takes one model after another.
    const isOneByOne = backend.devices.length > 0;
    const early = specs.map((spec, index) =>
        isOneByOne || options.lent[index] !== undefined ? undefined : read(spec, index),
    );
    const allEarly = Promise.allSettled(early.filter((each) => each !== undefined));
    const loaded: { spec: MemberSpec; model: NativeModel; gpuLayers: number }[] = [];
    try {
        for (const [index, spec] of specs.entries()) {
            const lent = options.lent[index];
            if (lent !== undefined) {
                loaded.push({ spec, model: lent.model, gpuLayers: lent.gpuLayers });
                continue;
            }
            const model = await (early[index] ?? read(spec, index));
            checkKind(spec, model);
            options.checkWanted();
            loaded.push({ spec, model, gpuLayers: layersOf(spec, index) });
        }
    } catch (error) {
        engine.interruptLoading();
        throw error;
    } finally {
        await allEarly;
    }

    const prompts = createPromptRenderers(
        loaded.map(({ spec, model }) => ({ name: spec.name, model, template: spec.prompt ?? recipe.prompt })),
    );
    return loaded.map((member, index) => ({
        ...member,
        name: member.spec.name,
        prompt: prompts[index] as PromptRenderer,
    }));
}

/**
 * Bytes of each model's files.
 *
 * @param readHeader - in the place of the binding's
 * @throws EftError MODEL_NOT_FOUND, MODEL_INVALID, FILE_UNREADABLE; for adapters also LORA_INVALID
 */
export function fileSizes(
    { members }: Pick<Recipe, "members">,
    readHeader: (file: string) => NativeHeader = (file) => loadBinding().readHeader(file),
): ReadonlyMap<string, number> {
    for (const { lora } of members) {
        if (lora === undefined) continue;
        if (!existsSync(lora.path)) throw notAt("The LoRA adapter", lora.path);
        loadBinding().checkAdapter(lora.path);
    }
    return new Map(members.map(({ model }) => [model, readHeader(model).fileBytes]));
}

/** @throws EftError MODEL_UNSUPPORTED when a model cannot take part, whatever the others are */
export function checkKind({ name, model: file }: MemberSpec, model: NativeModel): void {
    const { info } = model;
    const refuse = (reason: string): never => {
        throw new EftError("MODEL_UNSUPPORTED", `Member ${name} (${file}) cannot take part: ${reason}.`);
    };
    if (info.hasEncoder || !info.hasDecoder)
        refuse("it has an encoder; only decoder-only language models can be fused");
    if (info.isDiffusion) refuse("it is a diffusion model and does not generate one token after another");
    // Evaluated in other batches, its logits differ by more than rounding: texts would depend on who else is there.
    if (info.description.startsWith("deepseek4 "))
        refuse("the logits of DeepSeek 4 in llama.cpp depend on how a text is divided among steps");
    checkHasVocabulary(`Member ${name} (${file})`, model);
    // It runs for ever where a vocabulary is damaged.
    if (info.vocabularyType === "RWKV") refuse("its tokenizer is one of recurrent models");
}
