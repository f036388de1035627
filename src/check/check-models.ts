/** A self-test of models: whether they are read, evaluated and combined as they should be on this machine. */

import { performance } from "node:perf_hooks";
import path from "node:path";
import { assignRoles, recipeForFiles } from "../ensemble/from-files.js";
import { RECIPE_OPTIONS, HOST_OPTIONS } from "../ensemble/options.js";
import { EftError } from "../errors.js";
import { openCandidate } from "../models/find-roles.js";
import { findModel, locateModels } from "../models/model-files.js";
import { chooseBackend } from "../native/backend.js";
import { loadBinding } from "../native/load-binding.js";
import { callback, checkOptions, listOf, string, type OptionTable } from "../options.js";
import { plural } from "../plural.js";
import { checkRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import { describeMachine, withoutFolders } from "./machine.js";
import { checkModel } from "./model.js";
import type { CheckSetup, Subject } from "./part.js";
import { checkTogether } from "./together.js";
import type { CheckedPart, CheckOptions, CheckReport } from "./types.js";

const { backend, threads } = HOST_OPTIONS;
const { gpuLayers, cacheType, trust, signal, onTrial } = RECIPE_OPTIONS;
const CHECK_OPTIONS: OptionTable<CheckOptions> = {
    ...{ backend, threads, gpuLayers, cacheType, trust, signal, onTrial },
    onStart: callback,
    onFinding: callback,
    onProgress: callback,
};
/** About as many things are said to begin for each model, and for all together. */
const [OF_A_MODEL, OF_ALL] = [14, 9];

/**
 * Loads models and tries what can be tried with them: texts to tokens and back; log-probabilities and greedy text beside those of
 * node-llama-cpp's own evaluation of the same files, in a process of its own; the same text from the same seed where prompts are found in
 * a cache and where drafts are taken back; vocabularies beside each other; speed and memory. Takes about a minute for small
 * models. What is wrong with a model is a finding, and the others are checked all the same.
 *
 * @param given - GGUF files or references, in any order; three of them (a model and its LoRA adapter count as two) are also checked as a
 * recipe of up-scaling, if the files tell which is which. Or a recipe
 * @throws EftError MODEL_NOT_FOUND, OPTION_INVALID, BACKEND_UNAVAILABLE, ADDON_*, ABORTED when `signal` fires
 */
export async function checkModels(given: Recipe | readonly string[], more: CheckOptions = {}): Promise<CheckReport> {
    const options = checkOptions("checkModels", more, CHECK_OPTIONS);
    const start = performance.now();
    const { recipe, subjects } = await chooseSubjects(given);
    const threadsUsed = options.threads ?? Math.max(1, loadBinding().physicalCores() - 1);
    const choice = chooseBackend(options.backend ?? "auto");
    const checkedWith = describeMachine(choice, threadsUsed);
    options.onStart?.(checkedWith);
    const total = subjects.length * OF_A_MODEL + (recipe === undefined ? 0 : OF_ALL);
    let begun = 0;
    const setup: CheckSetup = {
        ...{ options, backend: choice, threads: threadsUsed },
        files: subjects.flatMap(({ spec }) => [spec.model, ...(spec.lora ? [spec.lora.path] : [])]),
        begin: (doing) => options.onProgress?.(doing, Math.min(1, begun++ / total)),
    };
    const models: CheckedPart[] = [];
    for (const subject of subjects) models.push(await checkModel(subject, setup));
    const members = subjects.map(({ name, spec }) => ({ name, model: spec.model }));
    const together =
        recipe === undefined
            ? undefined
            : await checkTogether(typeof recipe === "string" ? "together" : recipe.name, members, recipe, setup);
    const parts = [...models, ...(together === undefined ? [] : [together])];
    const failed = parts.flatMap(({ name, findings }) =>
        findings.filter(({ state }) => state === "failed").map(({ check }) => `${check} of ${name}`),
    );
    return {
        passed: failed.length === 0,
        conclusion: conclude(failed, parts),
        checkedWith,
        models,
        ...(together && { together }),
        seconds: (performance.now() - start) / 1000,
    };
}

function conclude(failed: readonly string[], parts: readonly CheckedPart[]): string {
    if (failed.length > 0) return `${plural(failed.length, "check")} failed: ${failed.join(", ")}.`;
    const findings = parts.flatMap((part) => part.findings);
    const warnings = findings.filter(({ state }) => state === "warning").length;
    const all = `All ${plural(findings.length, "check")} passed`;
    return warnings === 0 ? `${all}.` : `${all}, ${warnings} of them with a warning.`;
}

/** The models to check, and what they are together: a recipe, or a sentence that says why there is none. */
interface Chosen {
    readonly recipe: Recipe | string | undefined;
    readonly subjects: readonly Subject[];
}

async function chooseSubjects(given: Recipe | readonly string[]): Promise<Chosen> {
    if (!Array.isArray(given)) {
        checkRecipe("checkModels", given);
        const recipe = await locateModels(given as Recipe);
        return { recipe: recipe.members.length > 1 ? recipe : undefined, subjects: subjectsOf(recipe) };
    }
    const sources = listOf(string)("What checkModels takes", given);
    if (sources.length === 0) throw new EftError("OPTION_INVALID", "Name one GGUF file or several, or a recipe.");
    const files = sources.map(openFile);
    const adapter = files.find(({ type }) => type === "adapter");
    const recipe = sources.length === 3 ? await combine(sources) : undefined;
    if (recipe !== undefined && typeof recipe !== "string") return { recipe, subjects: subjectsOf(recipe) };
    if (adapter !== undefined)
        throw new EftError(
            "OPTION_INVALID",
            typeof recipe === "string"
                ? recipe
                : `${adapter.source} is a LoRA adapter; name a recipe that uses it, or three files: a base model, the adapter's model, and the adapter.`,
        );
    const subjects = nameAll(files.map(({ file }) => ({ model: file })));
    const none = "not combined: that takes three files, a base model, a fine-tuned one and what that was tuned from";
    return { recipe: recipe ?? (subjects.length > 1 ? none : undefined), subjects };
}

/** A damaged file is a model like others, until its check says what is wrong with it. @throws EftError OPTION_INVALID, MODEL_NOT_FOUND */
function openFile(source: string): { readonly source: string; readonly file: string; readonly type: string } {
    try {
        const { file, type } = openCandidate(source).summary;
        return { source, file, type };
    } catch (error) {
        const isDamaged = EftError.isInstance(error) && ["MODEL_INVALID", "FILE_UNREADABLE"].includes(error.code);
        if (!isDamaged) throw error;
        return { source, file: findModel(source) ?? source, type: "model" };
    }
}

/** The recipe of up-scaling for files, or why there is none. */
async function combine(sources: readonly string[]): Promise<Recipe | string> {
    try {
        const roles = await assignRoles({}, sources, () => Promise.resolve(undefined));
        const tuned = (roles.adapter ?? roles.tuned).source;
        const recipe = await recipeForFiles({ base: roles.base.source, tuned, reference: roles.reference.source });
        const prompt = roles.tuned.summary.chatTemplate === undefined ? ({ kind: "plain" } as const) : recipe.prompt;
        return await locateModels({ ...recipe, name: "together", prompt });
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        const [why = ""] = error.message.split(" Name it with --");
        return `not combined: ${withoutFolders(why, sources)} Check a recipe that says it; \`eft-llama recipe init\` writes one.`;
    }
}

function subjectsOf({ members }: Recipe): Subject[] {
    const specs = members.map(({ model, lora }) => ({ model, ...(lora && { lora }) }));
    const keys = specs.map((spec) => JSON.stringify(spec));
    return nameAll(specs.filter((_, index) => keys.indexOf(keys[index] ?? "") === index));
}

/** Files of one name in several folders get numbers. */
function nameAll(specs: readonly Subject["spec"][]): Subject[] {
    const names = specs.map(({ model, lora }) =>
        [model, ...(lora ? [lora.path] : [])].map((file) => path.basename(file)).join(" + "),
    );
    return specs.map((spec, index) => {
        const name = names[index] ?? "";
        const before = names.slice(0, index).filter((other) => other === name).length;
        return { name: before === 0 ? name : `${name} (${before + 1})`, spec };
    });
}
