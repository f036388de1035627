/** From the recipe's member declarations to loaded models and prompt renderers. */

import { existsSync } from "node:fs";
import { totalmem } from "node:os";
import path from "node:path";
import { EftError } from "../errors.js";
import type { BackendChoice } from "../native/backend.js";
import type { NativeEngine, NativeModel } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import type { MemberSpec, PromptTemplate, Recipe } from "../types.js";
import { locateModels } from "./model-files.js";
import { createPromptRenderer, type PromptRenderer } from "./prompt.js";

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

/**
 * Loads every file once, one after another.
 *
 * @throws EftError MODEL_*, MEMORY_EXCEEDED before anything is loaded, TEMPLATE_*, ABORTED
 */
export async function loadMembers(
    engine: NativeEngine,
    recipe: Recipe,
    backend: BackendChoice,
    options: { readonly gpuLayers?: number; readonly onProgress?: (fraction: number) => void },
): Promise<Member[]> {
    const { members: specs } = await locateModels(recipe);
    for (const { lora } of specs) if (lora !== undefined) checkExists(lora.path, "LoRA adapter");
    const sizes = new Map(specs.map(({ model }) => [model, loadBinding().readHeader(model).fileBytes]));
    const total = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    checkMemory(sizes, backend);
    const done = new Set<string>();
    const report = (file: string, fraction: number): void => {
        const before = [...done].reduce((sum, each) => sum + (sizes.get(each) ?? 0), 0);
        options.onProgress?.((before + fraction * (sizes.get(file) ?? 0)) / total);
    };

    const loaded: { spec: MemberSpec; model: NativeModel; gpuLayers: number }[] = [];
    for (const spec of specs) {
        const gpuLayers = backend.backend === "cpu" ? 0 : (spec.gpuLayers ?? options.gpuLayers ?? -1);
        const model = await engine.loadModel({
            path: spec.model,
            gpuLayers,
            devices: backend.devices.map(({ name }) => name),
            onProgress: (fraction) => {
                if (!done.has(spec.model)) report(spec.model, fraction);
            },
        });
        checkKind(spec, model);
        done.add(spec.model);
        report(spec.model, 0);
        loaded.push({ spec, model, gpuLayers });
    }

    const models = new Map(loaded.map(({ spec, model }) => [spec.name, model]));
    return loaded.map(({ spec, model, gpuLayers }) => ({
        name: spec.name,
        spec,
        model,
        gpuLayers,
        prompt: createPromptRenderer(spec.name, resolveTemplate(spec.prompt ?? recipe.prompt, models), model),
    }));
}

/**
 * Weights that do not fit are read from the disk again at every token, or end the process on a GPU.
 *
 * @param sizes - bytes of each file
 */
function checkMemory(sizes: ReadonlyMap<string, number>, { devices }: BackendChoice): void {
    const needed = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    // Inside a container, the limit of the container counts.
    const main = Math.min(totalmem(), process.constrainedMemory() || Infinity);
    const onGpu = devices.reduce((sum, { memoryTotal }) => sum + memoryTotal, 0);
    if (needed <= main + onGpu) return;
    const files = [...sizes].map(([file, bytes]) => `${path.basename(file)} ${formatGiB(bytes)}`).join(", ");
    const gpu = onGpu > 0 ? ` and ${formatGiB(onGpu)} on the GPU` : "";
    throw new EftError(
        "MEMORY_EXCEEDED",
        `The weights need ${formatGiB(needed)} (${files}), and there are ${formatGiB(main)} of memory${gpu}. Choose files in ` +
            "fewer bits, or smaller models.",
    );
}

/** `7.9 GiB`. */
export function formatGiB(bytes: number): string {
    return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function checkExists(file: string, what: string): void {
    if (!existsSync(file)) throw new EftError("MODEL_NOT_FOUND", `The ${what} is not at ${file}; correct the path.`);
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
    if (info.isRecurrent || info.isHybrid) refuse("its recurrent state cannot be rewound, which sequences need");
    if (info.vocabularySize < 1 || info.vocabularyType === "none") refuse("it has no vocabulary");
    // It runs for ever where a vocabulary is damaged.
    if (info.vocabularyType === "RWKV") refuse("its tokenizer is one of recurrent models");
}

/** Templates that members carry as text. @throws EftError TEMPLATE_MISSING */
export function resolveTemplate(
    template: PromptTemplate,
    models: ReadonlyMap<string, NativeModel>,
): Exclude<PromptTemplate, { kind: "from" }> {
    if (template.kind !== "from") return template;
    const text = models.get(template.member)?.info.chatTemplate;
    if (text === undefined) {
        throw new EftError(
            "TEMPLATE_MISSING",
            `The prompt is to use the chat template of member ${template.member}, but its GGUF carries none. Write a ` +
                'template into the recipe (`prompt: { template: "..." }`), or use `template: plain`.',
        );
    }
    return { kind: "jinja", template: text };
}
