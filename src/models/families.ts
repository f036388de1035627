/** What is known of families of models: which words in their names tell how far they were trained, and how to sample from them. */

import type { HeaderValue } from "../native/binding.js";
import type { SamplingOptions, ThinkingMarks } from "../types.js";

/** How far a model was trained. `unsaid`: its name does not say it, so that it is a base model in one family and tuned in another. */
export type Stage = "base" | "unsaid" | "sft" | "dpo" | "rlvr" | "instruct" | "think";

/** Words in names. The first that is found counts: what is called Instruct-SFT is on its way to Instruct. */
const STAGE_WORDS: readonly (readonly [stage: Stage, words: RegExp])[] = [
    ["sft", /(?<![a-z\d])sft(?![a-z])/i],
    ["dpo", /(?<![a-z\d])dpo(?![a-z])/i],
    ["rlvr", /(?<![a-z\d])rlvr(?![a-z])/i],
    ["think", /(?<![a-z\d])(?:think|thinking|reason|reasoner|reasoning|r1)(?![a-z])/i],
    ["instruct", /(?<![a-z\d])(?:chat|instruct|it|rlhf|assistant)(?![a-z])/i],
    ["base", /(?<![a-z\d])(?:base|pt|pretrained)(?![a-z])/i],
];

/** What comes after what; those of one number may have been made in any order. */
const ORDER: Readonly<Record<Stage, number>> = { base: 0, unsaid: 1, sft: 2, dpo: 2, rlvr: 2, instruct: 2, think: 3 };
/** The same where every stage is published, and the last one has no word of its own but Instruct or Think. */
const ORDER_OF_ALL: Readonly<Record<Stage, number>> = { ...ORDER, dpo: 3, rlvr: 4, instruct: 5, think: 5 };

/** Models of one maker and generation, and what is known about their use. */
export interface Family {
    readonly title: string;
    /** Found in names with `-` for blanks. */
    readonly names: RegExp;
    /** The built-in recipe of it. */
    readonly recipe: string;
    /** The one with a mixture of experts as the base, if it is another. */
    readonly mixtureRecipe?: string;
    /** Usual for the fine-tuned model: what its makers recommend, where they do. */
    readonly sampling: Partial<SamplingOptions>;
    /** The marks around thoughts, where templates do not tell them. */
    readonly thinking?: ThinkingMarks;
    /** Whether all stages of training are published. */
    readonly hasAllStages?: true;
}

const QWEN_3 = { recipe: "qwen-3-upscaled", mixtureRecipe: "qwen-3-moe-upscaled" } as const;
const REASONING = { temperature: 0.6, topP: 0.95 } as const;

/** The first that fits counts. */
export const FAMILIES: readonly Family[] = [
    { title: "DeepSeek R1 Distill", names: /r1-distill/i, recipe: "thinklogit", sampling: REASONING },
    {
        ...{ title: "Qwen 3.5", names: /qwen-?3\.[56]/i, recipe: "qwen-3.5-upscaled" },
        sampling: { ...REASONING, topK: 20 },
    },
    {
        ...{ title: "Qwen 3", names: /qwen-?3(?![\d.]).*instruct/i, ...QWEN_3 },
        sampling: { temperature: 0.7, topP: 0.8, topK: 20 },
    },
    { title: "Qwen 3", names: /qwen-?3(?![\d.])/i, ...QWEN_3, sampling: { ...REASONING, topK: 20 } },
    {
        ...{ title: "Qwen 2.5", names: /qwen-?2\.5/i, recipe: "qwen-2.5-upscaled" },
        sampling: { temperature: 0.7, topP: 0.8, topK: 20, repeatPenalty: 1.05 },
    },
    {
        ...{ title: "Gemma 3", names: /gemma-?3(?![n\d])/i, recipe: "gemma-3-upscaled" },
        sampling: { temperature: 1, topP: 0.95, topK: 64 },
    },
    {
        ...{ title: "OLMo 3", names: /olmo-?3(?!\d).*think/i, recipe: "olmo-3-think-upscaled", sampling: REASONING },
        ...{ thinking: { begin: "<think>", end: "</think>" }, hasAllStages: true },
    },
    {
        ...{ title: "OLMo 3", names: /olmo-?3(?!\d)/i, recipe: "olmo-3-think-upscaled", sampling: REASONING },
        hasAllStages: true,
    },
    { title: "OLMo 2", names: /olmo-?2(?!\d)/i, recipe: "olmo-2-stages", sampling: REASONING, hasAllStages: true },
    {
        ...{ title: "SmolLM2", names: /smollm-?2(?!\d)/i, recipe: "smollm2-upscaled" },
        sampling: { temperature: 0.2, topP: 0.9 },
    },
    { title: "Apertus", names: /apertus/i, recipe: "apertus-upscaled", sampling: { temperature: 0.8, topP: 0.9 } },
    {
        ...{ title: "Ministral 3", names: /ministral-3-\d+b/i, recipe: "ministral-3-upscaled" },
        sampling: { temperature: 0.15 },
    },
    {
        ...{ title: "Llama 3", names: /llama-?3\.[123]/i, recipe: "llama-3.1-upscaled" },
        sampling: { temperature: 0.6, topP: 0.9 },
    },
    { title: "Llama 3", names: /llama-?3(?!\d)/i, recipe: "llama-3-upscaled", sampling: { temperature: 0.6, topP: 0.9 } },
];

/** @param names - of a model: what its file says, and the file's own; the most telling first */
export function findFamily(names: readonly string[]): Family | undefined {
    const texts = names.map((name) => name.replaceAll(/[\s_]+/g, "-"));
    return FAMILIES.find((family) => texts.some((text) => family.names.test(text)));
}

/** How far a name says that a model was trained. */
export function readStage(name: string): Stage {
    return STAGE_WORDS.find(([, words]) => words.test(name))?.[0] ?? "unsaid";
}

/** Whether the model of one stage was made after that of another: positive if so, negative for the opposite, 0 if that tells nothing. */
export function compareStages(a: Stage, b: Stage, family: Family | undefined): number {
    const order = family?.hasAllStages ? ORDER_OF_ALL : ORDER;
    return order[a] - order[b];
}

/** What files say about sampling: under which keys, and what is a value of them. */
const SAMPLING_KEYS: readonly (readonly [key: string, option: keyof SamplingOptions, fits: (value: number) => boolean])[] = [
    ["general.sampling.temp", "temperature", (value) => value >= 0 && value <= 100],
    ["general.sampling.top_k", "topK", (value) => Number.isInteger(value) && value >= 0],
    ["general.sampling.top_p", "topP", (value) => value > 0 && value <= 1],
    ["general.sampling.min_p", "minP", (value) => value >= 0 && value <= 1],
    ["general.sampling.penalty_repeat", "repeatPenalty", (value) => value > 0 && value <= 10],
];

/** The sampling that a file recommends: nothing where it does not, or says what cannot be. @param entries - of its header */
export function readSampling(entries: ReadonlyMap<string, HeaderValue>): Partial<SamplingOptions> {
    const found = SAMPLING_KEYS.flatMap(([key, option, fits]) => {
        const value = entries.get(key);
        // Files have single precision: 0.6 is 0.6000000238 there.
        const rounded = typeof value === "number" ? Number(value.toPrecision(6)) : NaN;
        return fits(rounded) ? [[option, rounded] as const] : [];
    });
    return Object.fromEntries(found);
}
