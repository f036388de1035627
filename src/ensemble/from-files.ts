/** Recipes of up-scaling for files that are named, by what these say about themselves. */

import path from "node:path";
import { EftError } from "../errors.js";
import { readSampling } from "../models/families.js";
import { findRoles, openCandidate, type Roles } from "../models/find-roles.js";
import { findModel, isRemote } from "../models/model-files.js";
import { bytesPerToken, familyOf, type Candidate, type Parts } from "../models/roles.js";
import { checkVocabularies } from "../models/vocabulary.js";
import { loadBinding } from "../native/load-binding.js";
import { readVocabularies, recommendControlTokens } from "../prompts/vocabularies.js";
import { adHocRecipe } from "../recipe/index.js";
import { draftRecipe, type DraftMember, type RecipeDraft } from "../recipe/init.js";
import { resolveReference, writeReference } from "../recipe/reference.js";
import type { Recipe } from "../types.js";

/**
 * The recipe for three files whose parts are known; the tuned one may be a LoRA adapter for the reference.
 *
 * @throws EftError what `adHocRecipe` throws
 */
export async function recipeForFiles({ base, tuned, reference }: Parts<string>): Promise<Recipe> {
    const models = isAdapter(tuned) ? { base, lora: tuned, reference } : { base, tuned, reference };
    const controlTokens = await chooseControlTokens(adHocRecipe(models));
    return adHocRecipe({ ...models, controlTokens });
}

/** What the files call for. What is wrong with them comes out while loading, in the words of that. */
async function chooseControlTokens({ members }: Recipe): Promise<Recipe["controlTokens"]> {
    const [, own, base] = members.map(({ model }) => findModel(model));
    if (own === undefined || base === undefined) return "combine";
    try {
        return await recommendControlTokens(own, base);
    } catch (error) {
        if (EftError.isInstance(error)) return "combine";
        throw error;
    }
}

/** Whether a GGUF is a LoRA adapter; what it otherwise is, and whether it is there, comes out while loading. */
function isAdapter(file: string): boolean {
    try {
        return loadBinding().readHeader(resolveReference(file, ".")).type === "adapter";
    } catch {
        return false;
    }
}

/**
 * Which file is which part.
 *
 * @param named - files whose parts are known
 * @param files - the others
 * @param ask - which of two files is the fine-tuned one, where nothing tells; undefined if nobody can say it
 * @throws EftError OPTION_INVALID, MODEL_*, VOCABULARY_MISMATCH
 */
export async function assignRoles(
    named: Partial<Parts<string>>,
    files: readonly string[],
    ask: (pair: readonly [Candidate, Candidate]) => Promise<Candidate | undefined>,
): Promise<Roles> {
    const sources = [...Object.values(named), ...files];
    const places = sources.map((source) => (isRemote(source) ? source : path.resolve(source)));
    const twice = sources.find((_, index) => places.indexOf(places[index] as string) !== index);
    if (twice !== undefined)
        throw new EftError("OPTION_INVALID", `${twice} is named twice; name three different files.`);
    await compareModels(sources);
    const candidates = new Map<string, Candidate>();
    for (const source of sources) candidates.set(source, openCandidate(source));
    const find = (source: string): Candidate => candidates.get(source) as Candidate;
    return findRoles(
        Object.fromEntries(Object.entries(named).map(([role, source]) => [role, find(source)])),
        files.map(find),
        ask,
    );
}

/** @throws EftError MODEL_*, VOCABULARY_MISMATCH */
async function compareModels(sources: readonly string[]): Promise<void> {
    const models = sources.flatMap((name) => {
        const model = findModel(name);
        return model === undefined || loadBinding().readHeader(model).type === "adapter" ? [] : [{ name, model }];
    });
    if (models.length > 1) checkVocabularies(await readVocabularies({ members: models }));
}

/** A token of the base that costs less than this many of the tuned model's leaves nothing to be gained by drafts. */
const WORTH_DRAFTING = 1.5;

/** Where neither the file nor the family says anything. */
const USUAL_SAMPLING = { temperature: 0.7, topP: 0.95 };

/** What the tuned model's file, or else its family, says about its use. */
function adviseFor({ tuned, adapter }: Roles): Pick<RecipeDraft, "thinking" | "sampling" | "samplingNote"> {
    // What an adapter was tuned for, its base's makers do not speak of.
    const family = adapter === undefined ? familyOf(tuned) : undefined;
    const own = adapter === undefined ? readSampling(tuned.entries) : {};
    const { title, thinking } = family ?? {};
    const template = tuned.summary.chatTemplate;
    const isTold = thinking === undefined || template === undefined || template.includes(thinking.end);
    const marks = isTold ? {} : { thinking };
    if (Object.keys(own).length > 0)
        return { ...marks, sampling: own, samplingNote: "What the tuned model's file recommends." };
    if (family === undefined) return { sampling: USUAL_SAMPLING };
    return { ...marks, sampling: family.sampling, samplingNote: `As is usual with ${title}.` };
}

/** A sentence about the built-in recipe of the family that the tuned model belongs to; undefined if it is of none that is known. */
export function relatedRecipe({ base, tuned }: Pick<Roles, "base" | "tuned">): string | undefined {
    const family = familyOf(tuned);
    if (family === undefined) return undefined;
    const { title, recipe, mixtureRecipe = recipe } = family;
    return `The built-in recipe ${base.experts.count > 0 ? mixtureRecipe : recipe} is about ${title}, too.`;
}

/**
 * The text of a recipe.
 *
 * @param output - where it will be, from where paths are seen
 * @param notes - comments on the files, of one line each
 */
export async function draftForRoles(roles: Roles, output: string, notes: Parts<string>): Promise<string> {
    const { adapter, tuned: tunedModel, base: baseModel, reference: referenceModel } = roles;
    const folder = path.dirname(output);
    const related = relatedRecipe(roles);
    const isUpscaling = baseModel.summary.parameters > referenceModel.summary.parameters;
    const member = (role: keyof Parts<unknown>): DraftMember => ({
        model: writeReference(roles[role].source, folder),
        note: notes[role],
    });
    return draftRecipe({
        name: path.basename(output).replace(/\.(?:ya?ml|json)$/i, ""),
        base: member("base"),
        tuned: { ...member("tuned"), ...(adapter && { lora: writeReference(adapter.source, folder) }) },
        reference: member("reference"),
        ...adviseFor(roles),
        ...(related !== undefined && { familyNote: related }),
        isUpscaling,
        canDraft: isUpscaling && bytesPerToken(baseModel) > WORTH_DRAFTING * bytesPerToken(referenceModel),
        hasTemplate: tunedModel.summary.chatTemplate !== undefined,
        controlTokens: await recommendControlTokens(tunedModel.summary.file, referenceModel.summary.file),
    });
}
