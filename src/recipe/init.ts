/** The text of a new recipe for three models: a base model, and the pair of a fine-tuned model and what it was tuned from. */

import type { Recipe, SamplingOptions, ThinkingMarks } from "../types.js";

/** A member of the recipe to be written. */
export interface DraftMember {
    /** Path as seen from the recipe's folder, or an `hf:` / `https:` reference. */
    readonly model: string;
    /** Path of an adapter on top of `model`. */
    readonly lora?: string;
    /** Comment: what the file says about itself, and why it got this part. One line. */
    readonly note: string;
}

/** What {@link draftRecipe} writes. */
export interface RecipeDraft {
    readonly name: string;
    readonly base: DraftMember;
    readonly tuned: DraftMember;
    readonly reference: DraftMember;
    /** Whether the base model is larger than the pair. */
    readonly isUpscaling: boolean;
    /** Whether a token of the tuned model costs so little beside one of the base that it should draft. */
    readonly canDraft: boolean;
    /** Whether the tuned model carries a chat template. */
    readonly hasTemplate: boolean;
    /** Who decides about control tokens. */
    readonly controlTokens: Recipe["controlTokens"];
    /** The marks around thoughts, where the chat template does not tell them. */
    readonly thinking?: ThinkingMarks;
    readonly sampling: Partial<SamplingOptions>;
    /** Comment: where the sampling comes from. One line. */
    readonly samplingNote?: string;
    /** Comment: another recipe of the same family. One line. */
    readonly familyNote?: string;
}

/** YAML that `parseRecipe` takes, with comments for whoever goes on from there. */
export function draftRecipe(draft: RecipeDraft): string {
    const { name, base, tuned, reference, isUpscaling, canDraft, familyNote } = draft;
    const member = (key: string, { model, lora, note }: DraftMember): string => {
        const adapter = lora === undefined ? "" : `, lora: ${JSON.stringify(lora)}`;
        return `  # ${note}\n  ${key}: { model: ${JSON.stringify(model)}${adapter} }`;
    };
    const description = isUpscaling
        ? "a large base model with the behaviour of a small fine-tuned one"
        : "a base model with the behaviour of a fine-tuned one";
    return `# What fine-tuning changed (tuned - reference) is added to the base model, token by token. All keys are explained in
# docs/recipes.md of eft-llama. \`eft-llama recipe check\` says whether it will load.
${comment(familyNote)}eft: 1
name: ${JSON.stringify(name)}
description: ${description}
source: Mitchell et al., arXiv 2310.12962

members:
${member("base", base)}
${member("tuned", tuned)}
${member("reference", reference)}

# beta = 0 is the tuned model alone, 1 is the paper's combination, more than 1 amplifies it.
parameters:
  beta: { default: 1, min: 0, max: 2, description: strength of the base model }
combination: tuned + beta * (base - reference)

${describeFilter(draft)}

${describePrompt(draft)}

${describeSampling(draft)}
${canDraft ? "\n# The tuned model drafts, and one pass of the two others checks a block of tokens.\nspeculation: {}\n" : ""}`;
}

function describeFilter({ controlTokens }: Pick<RecipeDraft, "controlTokens">): string {
    return controlTokens === "fallback"
        ? `# The base models may never have been trained on the control tokens of the chat template; the tuned model decides alone
# about those. A topP below 1, such as 0.95, also leaves other tokens to it that it finds improbable.
conservative: { topP: 1, fallback: tuned }
controlTokens: fallback`
        : `# Should odd words turn up: this leaves tokens that the tuned model finds improbable to that model.
# conservative: { topP: 0.95, fallback: tuned }`;
}

function describePrompt({ hasTemplate, thinking }: Pick<RecipeDraft, "hasTemplate" | "thinking">): string {
    const marks = thinking === undefined ? "" : `, thinking: ${flow(thinking)}`;
    return hasTemplate
        ? `# The chat template that the tuned model's file carries, for all members.
prompt: { template: from tuned${marks} }`
        : `# The tuned model's file carries no chat template. If it was tuned on one, write its Jinja text here.
prompt: { template: plain }`;
}

function describeSampling({ sampling, samplingNote }: Pick<RecipeDraft, "sampling" | "samplingNote">): string {
    return `${comment(samplingNote)}sampling: ${flow(sampling)}`;
}

const comment = (line: string | undefined): string => (line === undefined ? "" : `# ${line}\n`);

/** A mapping on one line. */
function flow(values: object): string {
    const entries = Object.entries(values) as [string, unknown][];
    return `{ ${entries.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")} }`;
}
