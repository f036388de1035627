/** The check of several models as one recipe. */

import { checkCanDraft, createDrafterForm } from "../decoding/drafter.js";
import type { Verdict } from "../ensemble/check.js";
import { EftError } from "../errors.js";
import { fileSizes } from "../ensemble/members.js";
import { checkVocabularies, describeAgreement } from "../models/vocabulary.js";
import { readVocabularies } from "../prompts/vocabularies.js";
import { resolveParameters } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import { exercise, measureSpeculation } from "./exercise.js";
import { withLoaded } from "./model.js";
import { createPart, type CheckSetup } from "./part.js";
import type { CheckedPart } from "./types.js";

/**
 * @param members - all models, by name
 * @param recipe - what they are together; a sentence where that is not known
 */
export async function checkTogether(
    name: string,
    members: readonly { readonly name: string; readonly model: string }[],
    recipe: Recipe | string,
    setup: CheckSetup,
): Promise<CheckedPart> {
    const part = createPart(name, setup);
    const fit = await part.run("vocabularies", async () => {
        const report = await readVocabularies(typeof recipe === "string" ? { members } : recipe);
        checkVocabularies(report);
        return {
            verdict: [describeAgreement(report), ...report.notes.map((note) => note.replace(/\.$/, ""))].join(". "),
            result: true,
        };
    });
    if (fit === undefined) return part.finish();
    const combined = await part.run("recipe", () =>
        typeof recipe === "string"
            ? { warning: recipe }
            : { verdict: `${recipe.combination.text}: ${describeMembers(recipe)}`, result: recipe },
    );
    if (combined === undefined) return part.finish();
    await withLoaded(combined, part, setup, async (ensemble) => {
        await exercise(ensemble, part, setup.options.signal);
        if (part.measured.tokensPerSecond === undefined) return;
        await part.run("speculation", () => {
            const doubt = whyNobodyDrafts(combined);
            return doubt ?? measureSpeculation(ensemble, part, setup.options.signal);
        });
    });
    return part.finish();
}

function describeMembers({ members }: Recipe): string {
    return members.map(({ name, model, lora }) => `${name} is ${model}${lora ? ` with ${lora.path}` : ""}`).join(", ");
}

function whyNobodyDrafts(recipe: Recipe): Verdict | undefined {
    const sizes = fileSizes(recipe);
    const form = createDrafterForm(
        recipe,
        recipe.members.map(({ model }) => sizes.get(model) ?? 0),
    );
    try {
        checkCanDraft(form(resolveParameters(recipe, {})), {});
        return undefined;
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        return "not measured: no member is smaller than the largest and wanted, so that nobody drafts";
    }
}
