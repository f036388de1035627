/** From the systems of an experiment file to recipes at the points of their grids. */

import path from "node:path";
import { readGguf } from "../models/gguf.js";
import { findModel, isRemote } from "../models/model-files.js";
import { EftError } from "../errors.js";
import { expandHome } from "../files.js";
import { buildRecipe } from "../recipe/build.js";
import type { SourceDocument } from "../recipe/document.js";
import { loadRecipe, resolveParameters } from "../recipe/index.js";
import { problem, suggestion } from "../recipe/problems.js";
import { resolveReference } from "../recipe/reference.js";
import { validateRecipe, type RecipeSource } from "../recipe/schema.js";
import type { Recipe } from "../types.js";
import { findDimensions, listPoints, replaceAt, type Path } from "./grid.js";
import type { ExperimentFile, SystemSource } from "./source.js";
import type { Setting, System } from "./types.js";

/** The value of a grid at which a part of a recipe is left out. */
const OFF = "off";
/** Parts of a recipe that {@link OFF} leaves out, by the path of the value that says it. */
const SWITCHES: Readonly<Record<string, Path>> = {
    "conservative.topP": ["conservative"],
    "speculation.length": ["speculation"],
};
/** Points of all grids of an experiment: each costs bootstrap samples, a row in tables and a recipe. */
const MAX_POINTS = 1000;
/** Keys of a system that names a recipe. */
const OF_RECIPES = ["recipe", "parameters", "sampling"];
const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/g;

/** Names in the system's forms that are neither members of the experiment or its family, nor parameters. */
export function findMissingMembers(system: SystemSource, files: readonly ExperimentFile[]): string[] {
    const known = [...files.flatMap(({ source }) => Object.keys(source.members ?? {})), ...parametersOf(system)];
    return namesIn(system).filter((name) => !known.includes(name));
}

/**
 * Counts the points before there are any, so that a grid of millions takes no memory.
 *
 * @param names - the systems that will be built
 * @throws EftError EXPERIMENT_INVALID for too many points, lists without values or with one twice, and two lists of one name
 */
export function checkGrids(names: readonly string[], { source, document }: ExperimentFile): void {
    let total = 0;
    for (const name of names) {
        const dimensions = findDimensions(bodyOf(name, source));
        const seen = new Set<string>();
        for (const { path: at, values } of dimensions) {
            const isCommon = at[0] === "sampling" && !(String(at[1]) in (source.systems?.[name]?.sampling ?? {}));
            const place = isCommon ? at : ["systems", name, ...at];
            const fail = (text: string): never => {
                throw problem("EXPERIMENT_INVALID", document.locate(place), `${text} in the system "${name}"`).error;
            };
            const setting = settingName(at);
            if (values.length === 0) fail(`the list of "${setting}" is empty`);
            if (new Set(values).size < values.length) fail(`the list of "${setting}" has a value twice`);
            if (seen.has(setting)) fail(`"${setting}" has two lists, which a report could not tell apart,`);
            seen.add(setting);
        }
        const points = dimensions.reduce((product, { values }) => product * values.length, 1);
        total += points;
        if (total <= MAX_POINTS) continue;
        const text =
            `the grids of this experiment have more than ${MAX_POINTS} points, ${points} of them in the system "${name}"; ` +
            "take out values, or make several experiments";
        throw problem("EXPERIMENT_INVALID", document.locate(["systems", name], "key"), text).error;
    }
}

/**
 * The points of a system's grid, which {@link checkGrids} has seen.
 *
 * @param files - the experiment, and its family if there is one: members of the former win
 * @throws EftError EXPERIMENT_INVALID, RECIPE_INVALID, COMBINATION_*, MODEL_* and TEMPLATE_MISSING for a template that
 *   comes from a member that the system does not use
 */
export async function buildSystems(name: string, files: readonly ExperimentFile[]): Promise<System[]> {
    const [{ source, document, folder }] = files as readonly [ExperimentFile];
    const system = source.systems?.[name] ?? {};
    if ((system.recipe === undefined) === (system.combination === undefined)) {
        const text = `the system "${name}" needs either a combination or a recipe`;
        throw problem("EXPERIMENT_INVALID", document.locate(["systems", name], "key"), text).error;
    }
    const foreign = Object.keys(system).find((key) => !OF_RECIPES.includes(key));
    if (system.recipe !== undefined && foreign !== undefined) {
        const text = `the system "${name}" names a recipe, so that "${foreign}" has to be said there`;
        throw problem("EXPERIMENT_INVALID", document.locate(["systems", name, foreign], "key"), text).error;
    }
    checkMembers(name, system, files);
    const body = bodyOf(name, source);
    const dimensions = findDimensions(body);
    const systems: System[] = [];
    for (const point of listPoints(dimensions)) {
        const settings: Record<string, Setting> = {};
        let chosen: SystemSource = body;
        for (const [index, value] of point.entries()) {
            const at = dimensions[index]?.path ?? [];
            settings[settingName(at)] = value;
            const isOff = value === OFF && at.join(".") in SWITCHES;
            chosen = replaceAt(
                chosen,
                isOff ? (SWITCHES[at.join(".")] ?? at) : at,
                isOff ? undefined : value,
            ) as typeof body;
        }
        const parameters = (chosen.parameters ?? {}) as Readonly<Record<string, number>>;
        const recipe =
            chosen.recipe === undefined
                ? await composeRecipe(name, chosen, files)
                : overlay(await loadRecipe(findRecipe(chosen.recipe, folder)), chosen);
        systems.push({ name, settings, recipe, parameters: resolveParameters(recipe, parameters) });
    }
    return systems;
}

/** The system with the sampling options that go for all. */
function bodyOf(name: string, { systems, sampling }: ExperimentFile["source"]): SystemSource {
    const system = systems?.[name] ?? {};
    return { ...system, sampling: { ...sampling, ...system.sampling } };
}

/** Reading the recipe would miss them too, but it would suggest only the members that the system uses. */
function checkMembers(name: string, system: SystemSource, files: readonly ExperimentFile[]): void {
    const [missing] = findMissingMembers(system, files);
    const [{ document }] = files as readonly [ExperimentFile];
    const form = formsOf(system).find(({ text }) => missing !== undefined && text.includes(missing));
    if (missing === undefined || form === undefined) return;
    const all = [...files.flatMap(({ source }) => Object.keys(source.members ?? {})), ...parametersOf(system)];
    const at = document.locateInText(["systems", name, ...form.path], form.text.indexOf(missing));
    const text = `"${missing}" is neither a member nor a parameter; ${suggestion(missing, all)}`;
    throw problem("COMBINATION_UNKNOWN_NAME", at, text).error;
}

/** `temperature`, `lambda`, ...: the last part of the path, but for the filter, whose `topP` is not that of sampling. */
function settingName(at: Path): string {
    return at[0] === "conservative" ? "conservative" : (at.at(-1) ?? "");
}

/** A path that exists, or the name of a built-in recipe. */
function findRecipe(reference: string, folder: string): string {
    return /[./\\]/.test(reference) ? path.resolve(folder, expandHome(reference)) : reference;
}

/** What an experiment may change in a recipe that it names, beside the values of its parameters. */
function overlay(recipe: Recipe, { sampling }: SystemSource): Recipe {
    return { ...recipe, sampling: { ...recipe.sampling, ...sampling } };
}

/** Writes the recipe that the system stands for, and reads it as any other recipe; errors point into the experiment. */
async function composeRecipe(name: string, system: SystemSource, files: readonly ExperimentFile[]): Promise<Recipe> {
    const [experiment] = files as readonly [ExperimentFile];
    const named = namesIn(system);
    const members: Record<string, unknown> = {};
    for (const { source, folder } of files.toReversed()) {
        for (const [member, spec] of Object.entries(source.members ?? {})) {
            if (named.includes(member)) members[member] = inFolder(spec, folder);
        }
    }
    const { parameters = {}, combination, conservative, controlTokens, sampling, speculation } = system;
    const prompt = system.prompt ?? files.map(({ source }) => source.prompt).find((each) => each !== undefined);
    const value = {
        ...{ eft: 1, name: "system", members, combination },
        parameters: Object.fromEntries(Object.entries(parameters).map(([key, number]) => [key, { default: number }])),
        ...(conservative && { conservative }),
        ...(controlTokens && { controlTokens }),
        ...(prompt && { prompt: await resolvePrompt(prompt, members, files) }),
        ...{ sampling },
        ...(speculation && { speculation }),
    };
    if (Object.keys(members).length === 0) {
        const all = files.flatMap(({ source }) => Object.keys(source.members ?? {}));
        const text = `the combination names no member; ${suggestion(named[0] ?? "", all)}`;
        throw problem("EXPERIMENT_INVALID", experiment.document.locate(["systems", name, "combination"]), text).error;
    }
    const document = locateIn(value, name, files);
    const recipe = buildRecipe(validateRecipe(document), document, experiment.folder);
    return { ...recipe, name };
}

/** A document of the recipe whose places are those of what it was made of. */
function locateIn(value: unknown, name: string, files: readonly ExperimentFile[]): SourceDocument {
    const [experiment] = files as readonly [ExperimentFile];
    const findOwner = (key: "members" | "prompt", entry?: string): ExperimentFile =>
        files.find(({ source }) => source[key] !== undefined && (entry === undefined || entry in source[key])) ??
        experiment;
    function translate([key = "", entry, ...rest]: Path): [SourceDocument, Path] {
        const { document, source } = experiment;
        const at = [key, ...(entry === undefined ? [] : [entry]), ...rest];
        const own = ["systems", name, ...at];
        const system = source.systems?.[name];
        if (key === "members") return [findOwner("members", entry).document, at];
        if (key === "prompt" && system?.prompt === undefined) return [findOwner("prompt").document, at];
        // Parameters are written as numbers, so that what is said about their parts is said about the number.
        if (key === "parameters") return [document, own.slice(0, 4)];
        if (key === "sampling" && !(entry !== undefined && entry in (system?.sampling ?? {}))) return [document, at];
        return [document, own];
    }
    return {
        kind: { ...experiment.document.kind, noun: "system" },
        value,
        locate(at, part) {
            const [document, translated] = translate(at);
            return document.locate(translated, part);
        },
        locateInText(at, offset) {
            const [document, translated] = translate(at);
            return document.locateInText(translated, offset);
        },
    };
}

/** The member with paths that no longer depend on where the file lies. */
function inFolder(spec: RecipeSource["members"][string], folder: string): unknown {
    const { model, lora } = spec;
    const resolve = (reference: unknown): unknown =>
        typeof reference === "string" ? resolveReference(reference, folder) : reference;
    return {
        ...spec,
        model: resolve(model),
        ...(typeof lora === "string" && { lora: resolve(lora) }),
        ...(typeof lora === "object" && { lora: { ...lora, path: resolve(lora.path) } }),
    };
}

/** `from <member>` stays where the system uses that member; else it becomes the template in that member's file. */
async function resolvePrompt(
    prompt: RecipeSource["prompt"] & object,
    used: Readonly<Record<string, unknown>>,
    files: readonly ExperimentFile[],
): Promise<RecipeSource["prompt"]> {
    const [, member = ""] = /^from\s+(\S+)$/.exec(prompt.template) ?? [];
    const owner = files.find(({ source }) => member in (source.members ?? {}));
    const spec = owner?.source.members?.[member];
    if (spec === undefined || owner === undefined || member in used) return prompt;
    const reference = resolveReference(spec.model, owner.folder);
    const file = findModel(reference);
    if (file === undefined) {
        const remedy = isRemote(reference) ? `download it with \`eft-llama pull ${reference}\`` : "correct the path";
        const text = `The prompt template is to come from "${member}", whose model ${reference} is not here; ${remedy}.`;
        throw new EftError("MODEL_NOT_FOUND", text);
    }
    const { chatTemplate } = await readGguf(file);
    if (chatTemplate === undefined) {
        throw new EftError(
            "TEMPLATE_MISSING",
            `The prompt template is to come from "${member}", and ${file} carries none; name another member, or write the ` +
                "template into the experiment.",
        );
    }
    return { ...prompt, template: chatTemplate };
}

/** The texts in which members are named, and where they stand. */
function formsOf({ combination, conservative, speculation }: SystemSource): { path: Path; text: string }[] {
    const forms = [
        { path: ["combination"], text: combination },
        { path: ["conservative", "fallback"], text: conservative?.["fallback"] },
        { path: ["speculation", "drafter"], text: speculation?.["drafter"] },
    ];
    return forms.flatMap(({ path: at, text }) => (typeof text === "string" ? [{ path: at, text }] : []));
}

function namesIn(system: SystemSource): string[] {
    return [...new Set(formsOf(system).flatMap(({ text }) => [...text.matchAll(IDENTIFIER)].map(([name]) => name)))];
}

function parametersOf({ parameters = {} }: SystemSource): string[] {
    return Object.keys(parameters);
}
