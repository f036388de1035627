/** What a reproduction needs to know of a run, beside what the experiment says: files, templates, limits. */

import { createHash } from "node:crypto";
import path from "node:path";
import type { Ensemble } from "../ensemble/ensemble.js";
import { readGguf } from "../models/gguf.js";
import { findModel, partCount, partFiles } from "../models/model-files.js";
import { loadBinding } from "../native/load-binding.js";
import { manifest } from "../package.js";
import type { MemberSpec, Recipe } from "../types.js";
import { checksums } from "./checksums.js";
import type { AnswerSetup, Experiment, Ingredients, ModelFile, ProgramInfo, System } from "./types.js";

/** Where the files lay is of no use to a reader elsewhere; so much of it is shown as tells them apart. */
export function nameFiles(references: Iterable<string>): (reference: string) => string {
    const all = [...new Set(references)];
    const end = (reference: string, parts: number): string => reference.split(/[/\\]/).slice(-parts).join("/");
    const names = all.map((reference) => {
        if (!path.isAbsolute(reference)) return [reference, reference] as const;
        const others = all.filter((other) => other !== reference);
        let parts = 1;
        // Two spellings of one path, such as with / and \, differ in no part.
        const most = reference.split(/[/\\]/).length;
        while (parts < most && others.some((other) => end(other, parts) === end(reference, parts))) parts++;
        return [reference, end(reference, parts)] as const;
    });
    const known = new Map(names);
    return (reference) => known.get(reference) ?? reference;
}

/** All that the systems load. */
export function filesOf(systems: readonly System[]): Set<string> {
    return new Set(
        systems.flatMap(({ recipe }) =>
            recipe.members.flatMap(({ model, lora }) => [model, ...(lora === undefined ? [] : [lora.path])]),
        ),
    );
}

export function describeProgram(): ProgramInfo {
    const { version } = manifest;
    const { llamaRelease } = loadBinding();
    return { version, llamaRelease, node: process.version, platform: `${process.platform} ${process.arch}` };
}

/** @param ensemble - one of those that answer: all are loaded in the same way */
export function describeAnswering(
    ensemble: Ensemble,
    rest: Pick<AnswerSetup, "contextSize" | "sequences" | "load">,
): AnswerSetup {
    const { backend, devices, cpu } = ensemble.backend;
    const device = [...devices, ...(cpu === undefined ? [] : [cpu])].map(({ description }) => description).join(", ");
    return { ...describeProgram(), backend, device, threads: ensemble.threads, ...rest };
}

/**
 * Models, their parts and adapters, as far as they are here; loading says which are not.
 *
 * @param folder - where checksums are kept
 * @param onProgress - called with the file that is read, and the fraction of it that has been; what it throws ends all of it
 * @throws EftError FILE_UNREADABLE, FILE_UNWRITABLE
 */
export async function describeModelFiles(
    { systems }: Experiment,
    folder: string,
    onProgress: (file: string, fraction: number) => void,
): Promise<ModelFile[]> {
    const references = [...filesOf(systems)];
    const name = nameFiles(references);
    const parts = references.flatMap((reference) => partsOf(reference).map((file) => ({ reference, file })));
    const sums = await checksums(
        parts.map(({ file }) => file),
        folder,
        onProgress,
    );
    return parts.flatMap(({ reference, file }): ModelFile[] => {
        const sum = sums.get(file);
        if (sum === undefined) return [];
        return [{ name: partCount(file) > 1 ? namePart(name(reference), file) : name(reference), ...sum }];
    });
}

/** What a reference is called, with the number of a part of it. */
export function namePart(name: string, file: string): string {
    const number = /-\d+-of-\d+(?=\.gguf(?:$|\?))/i;
    const [part = ""] = number.exec(file) ?? [];
    return number.test(name) ? name.replace(number, part) : `${name}${part}`;
}

function partsOf(reference: string): string[] {
    const file = findModel(reference);
    return file === undefined ? [] : partFiles(file, partCount(file));
}

/** @throws EftError MODEL_* */
export async function describePrompts({ systems }: Experiment): Promise<Omit<Ingredients, "files">> {
    const carried = new Map<string, string>();
    const templates: Record<string, string> = {};
    const prompts: Record<string, Record<string, string>> = {};
    for (const { name, recipe } of systems) {
        if (name in prompts) continue;
        const ofMembers: [string, string][] = [];
        for (const member of recipe.members) {
            const text = await findTemplate(recipe, member, carried);
            if (text === undefined) ofMembers.push([member.name, "plain"]);
            else {
                const key = createHash("sha256").update(text).digest("hex").slice(0, 12);
                templates[key] = text;
                ofMembers.push([member.name, key]);
            }
        }
        prompts[name] = Object.fromEntries(ofMembers);
    }
    return { prompts, templates };
}

/** The Jinja text; undefined where there is none. */
async function findTemplate(
    recipe: Recipe,
    member: MemberSpec,
    carried: Map<string, string>,
): Promise<string | undefined> {
    const prompt = member.prompt ?? recipe.prompt;
    if (prompt.kind === "plain") return undefined;
    if (prompt.kind === "jinja") return prompt.template;
    const file = findModel(recipe.members.find(({ name }) => name === prompt.member)?.model ?? "");
    if (file === undefined) return undefined;
    const text = carried.get(file) ?? (await readGguf(file)).chatTemplate ?? "";
    carried.set(file, text);
    return text;
}
