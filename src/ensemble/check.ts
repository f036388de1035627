/** Whether a recipe will load: all that can be known of it without loading weights. */

import { existsSync } from "node:fs";
import { EftError, type EftErrorCode } from "../errors.js";
import { formatBytes } from "../models/bytes.js";
import { openVocabularies, withVocabularies, type Vocabularies } from "../models/gguf.js";
import { findModel, locateModels, missingModels, notAt } from "../models/model-files.js";
import { checkRecipeParts, isUpscaling } from "../models/roles.js";
import { checkVocabularies, describeAgreement, describeDisputes } from "../models/vocabulary.js";
import { chooseBackend, type BackendChoice } from "../native/backend.js";
import type { NativeModel } from "../native/binding.js";
import { plural } from "../plural.js";
import { createPromptRenderers } from "../prompts/prompt.js";
import { describeForeignTokens } from "../prompts/template-tokens.js";
import { readVocabularies } from "../prompts/vocabularies.js";
import type { Recipe } from "../types.js";
import { readHeaders } from "./headers.js";
import { planPlacement, type PlacementOptions } from "./inspect.js";

/** What a check found out. The shape is documented in docs/cli.md. */
export interface Finding {
    readonly check: string;
    readonly state: "ok" | "warning" | "failed";
    readonly text: string;
    /** Of the error, where the check failed. */
    readonly code?: EftErrorCode;
}

/** What a check says: a sentence, and whether it is bad news that do not keep the recipe from running. */
export type Verdict = string | { readonly warning: string };

/** A verdict, if there is anything to say, and what other checks need of this one. */
type Outcome<T> = Verdict | undefined | { readonly verdict?: Verdict; readonly result: T };

export type RunCheck = <T>(name: string, body: () => Outcome<T> | Promise<Outcome<T>>) => Promise<T | undefined>;

/** A function that runs a check, reports what it found, and returns its result; undefined if there is none. */
export function createCheck(report: (finding: Finding) => void): RunCheck {
    return async (name, body) => {
        try {
            const outcome = await body();
            const isMore = typeof outcome === "object" && "result" in outcome;
            const verdict = isMore ? outcome.verdict : outcome;
            if (typeof verdict === "string") report({ check: name, state: "ok", text: verdict });
            else if (verdict !== undefined) report({ check: name, state: "warning", text: verdict.warning });
            return isMore ? outcome.result : undefined;
        } catch (error) {
            report(toFinding(name, error));
            return undefined;
        }
    };
}

/** @throws what is no EftError */
export function toFinding(check: string, error: unknown): Finding {
    if (!EftError.isInstance(error)) throw error;
    return { check, state: "failed", text: error.message, code: error.code };
}

/**
 * All that needs no weights. What is asked of files that are missing or cannot be read is left out.
 *
 * @param check - from {@link createCheck}
 */
export async function checkLoading(recipe: Recipe, options: PlacementOptions, check: RunCheck): Promise<void> {
    await check("recipe", () => `${plural(recipe.members.length, "member")}, ${recipe.combination.text}`);
    const local = await check("files", () => checkFiles(recipe));
    // Whatever else is asked is asked of files.
    if (local === undefined) return;
    const backend = await check("backend", () => ({ result: chooseBackend(options.backend ?? "auto") }));
    const vocabularies = await check("headers", () => describeHeaders(local));
    if (vocabularies === undefined) return;
    // What follows opens them again.
    await using _ = vocabularies;
    await check("vocabularies", () => compareAll(local));
    await check("templates", () => checkTemplates(local));
    await check("roles", () => checkRoles(local));
    if (backend !== undefined) await check("memory", () => checkMemory(local, options, backend));
}

async function checkFiles(recipe: Recipe): Promise<{ verdict: Verdict; result: Recipe }> {
    // Says which command downloads them.
    if (missingModels(recipe).length > 0) await locateModels(recipe);
    const adapters = recipe.members.flatMap(({ lora }) => lora?.path ?? []);
    const files = [...new Set([...recipe.members.map(({ model }) => model), ...adapters])];
    const missing = files.filter((file) =>
        adapters.includes(file) ? !existsSync(file) : findModel(file) === undefined,
    );
    if (missing.length === 0)
        return { verdict: `${plural(files.length, "file")}, all here`, result: await locateModels(recipe) };
    const denied = missing.map((file) => notAt("A file", file)).find(({ code }) => code === "FILE_UNREADABLE");
    if (denied !== undefined) throw denied;
    throw new EftError("MODEL_NOT_FOUND", `There is no ${missing.join(", and no ")}; correct the paths.`);
}

async function describeHeaders(recipe: Recipe): Promise<{ verdict: Verdict; result: Vocabularies }> {
    const vocabularies = await openVocabularies(recipe.members.map(({ model }) => model));
    try {
        const summaries = await readHeaders(recipe);
        const bytes = summaries.reduce((total, { tensorBytes }) => total + tensorBytes, 0);
        const verdict = `${plural(summaries.length, "model")}, weights of ${formatBytes(bytes)}`;
        return { verdict, result: vocabularies };
    } catch (error) {
        await vocabularies[Symbol.asyncDispose]();
        throw error;
    }
}

async function compareAll(recipe: Recipe): Promise<Verdict> {
    const report = await readVocabularies(recipe);
    checkVocabularies(report);
    const verdict = describeAgreement(report);
    const disputes = describeDisputes(report);
    return disputes.length === 0 ? verdict : { warning: [verdict, ...disputes].join(". ") };
}

async function checkTemplates({ members, prompt }: Recipe): Promise<Verdict> {
    const templates = members.map((member) => member.prompt ?? prompt);
    if (templates.every(({ kind }) => kind === "plain")) return "none: members see the text as it is";
    const files = members.map(({ model }) => model);
    return withVocabularies(files, async (models) => {
        const named = members.map(({ name }, index) => ({ name, model: models[index] as NativeModel }));
        const renderers = createPromptRenderers(
            named.map((member, index) => ({ ...member, template: templates[index] ?? prompt })),
        );
        for (const renderer of renderers) await renderer.tokenize([{ role: "user", content: "Hello" }]);
        const foreign = describeForeignTokens({ members, prompt }, named);
        const verdict = "a question is rendered for every member";
        return foreign.length === 0 ? verdict : { warning: [verdict, ...foreign].join("; ") };
    });
}

/** Of up-scaling alone: in other combinations, members may be anything. */
function checkRoles(recipe: Recipe): Verdict | undefined {
    const doubts = checkRecipeParts(recipe);
    if (doubts === undefined)
        return isUpscaling(recipe)
            ? "not compared: no template `from` a member and no fallback says which member is the fine-tuned one"
            : undefined;
    return doubts.length > 0 ? { warning: doubts.join("\n") } : "sizes and names fit what each member does";
}

async function checkMemory(recipe: Recipe, options: PlacementOptions, backend: BackendChoice): Promise<Verdict> {
    const { cacheTokens, total, room, remarks, problem } = await planPlacement(recipe, options, backend);
    if (problem !== undefined) throw new EftError("MEMORY_EXCEEDED", problem);
    const gpu = room.gpu > 0 ? `, and ${formatBytes(total.gpu)} of ${formatBytes(room.gpu)} on the GPU` : "";
    const need = `about ${formatBytes(total.ram)} of ${formatBytes(room.ram)}${gpu} for a cache of ${cacheTokens} tokens`;
    return remarks.length > 0 ? { warning: [need, ...remarks].join("; ") } : need;
}
