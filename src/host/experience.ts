/**
 * What is learnt about the contexts and recipes of a host, kept in the user's folder of caches: later processes know from the first
 * token what batches cost and how often drafts are accepted. Numbers and hashes alone, nothing of any text.
 */

import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import path from "node:path";
import type { BackendChoice } from "../native/backend.js";
import { loadBinding } from "../native/load-binding.js";
import { partCount, partFiles } from "../models/model-files.js";
import {
    beginText,
    createLongAcceptance,
    THRESHOLDS,
    USUAL_ACCEPTANCE,
    type Acceptance,
    type KnownAcceptance,
} from "./acceptance.js";
import { createCacheFiles } from "./cache-files.js";
import { LIFETIME, type Job, type KnownCost, type KnownCosts, type SeededCostTable } from "./costs.js";
import type { ContextOrigin } from "./runtime.js";
import { MOST_DRAFTED } from "../models/context-memory.js";

export interface Experience {
    /** A context was created. Resolves when what is known of it has been read. Never fails, as the others. */
    addContext(id: number, origin: ContextOrigin): Promise<void>;
    /** A recipe is about to use contexts that have been added. Resolves when what is known of it has been read. */
    addRecipe(contexts: readonly number[]): Promise<void>;
    /**
     * The acceptance to begin a text with; what the text shows is known to later ones.
     *
     * @param contexts - of a recipe that has been added
     * @param about - what acceptance depends on beside the recipe's files
     * @param usual - what is expected where nothing is known
     */
    acceptance(contexts: readonly number[], about: unknown, usual?: number): Acceptance;
    /** Contexts that are about to be gone, and recipes with them. Saved before, or lost. */
    removeContexts(ids: readonly number[]): void;
    /** Keeps what is new of recipes that have speculated. It has read all of it when it returns its promise. */
    save(): Promise<void>;
}

/** Changes with what is in the files, so that no version has to understand another's. */
const FORMAT = 1;
const MOST_FILES = 200;
/** Sizes of batches that are kept of a context and kind of job, the smallest ones; ways of drafting that are kept of a recipe. */
const [MOST_SIZES, MOST_KINDS] = [64, 16];
/** While texts go on to be asked for. */
const MIN_MS_BETWEEN_SAVES = 60_000;
/** Milliseconds of a batch that can be believed. */
const [LEAST_MS, MOST_MS] = [1e-4, 1e6];
const MOST_TOKENS = 2 ** 20;
/** A drafter that was never right is not known to be always wrong. */
const LEAST_RATE = 0.01;
/** A position in a block that is never reached again becomes an average one, by this part with each process. */
const FORGOTTEN = 0.1;

/** A recipe's files in this order, whatever it makes of them. */
interface RecipeExperience {
    readonly name: string | undefined;
    readonly contexts: readonly number[];
    /** By what they are about, the one that was used last at the end. */
    readonly acceptances: Map<string, Acceptance>;
    hasSpeculated: boolean;
}

export function createExperience(
    { backend, threads }: { readonly backend: BackendChoice; readonly threads: number },
    costs: SeededCostTable,
): Experience {
    const files = createCacheFiles("costs", MOST_FILES);
    const binding = loadBinding();
    const machine = [
        ...[FORMAT, binding.compiledFor, binding.llamaRelease, process.arch, binding.physicalCores()],
        ...[threads, backend.backend, backend.cpu?.description, backend.devices.map(({ description }) => description)],
    ];
    /** Names of files, by context. */
    const names = new Map<number, string>();
    const recipes = new Map<string, RecipeExperience>();
    let savedAt = performance.now();
    let saved: Promise<unknown> = Promise.resolve();

    async function save(): Promise<void> {
        savedAt = performance.now();
        const values = new Map<string, unknown>();
        for (const recipe of [...recipes.values()].filter(({ hasSpeculated }) => hasSpeculated)) {
            for (const id of recipe.contexts) {
                const name = names.get(id);
                const known = costs.read(id);
                if (name !== undefined && known.step.length > 0) values.set(name, writeCosts(known));
            }
            if (recipe.name !== undefined) values.set(recipe.name, writeRecipe(recipe, costs.readOverheads()));
        }
        // One after another, so that what is newer stays.
        const write = (): Promise<unknown> => Promise.all([...values].map((each) => files.write(...each)));
        await (saved = saved.then(write));
    }

    return {
        async addContext(id, origin) {
            const identity = identify(origin);
            if (identity === undefined) return;
            const name = hash([machine, identity, origin.gpuLayers, origin.cacheType]);
            names.set(id, name);
            const known = readCosts(await files.read(name));
            if (known !== undefined) costs.seed(id, known);
        },
        async addRecipe(contexts) {
            const key = contexts.join();
            if (recipes.has(key)) return;
            const own = contexts.map((id) => names.get(id));
            const name = own.includes(undefined) ? undefined : hash(own);
            const known = name === undefined ? undefined : readRecipe(await files.read(name));
            const acceptances = (known?.acceptances ?? []).map(
                ([about, each]) => [about, createLongAcceptance(each)] as const,
            );
            recipes.set(key, { name, contexts, acceptances: new Map(acceptances), hasSpeculated: false });
            if (known !== undefined) costs.seedOverheads(known.overheads);
        },
        acceptance(contexts, about, usual = USUAL_ACCEPTANCE) {
            const recipe = recipes.get(contexts.join());
            if (recipe === undefined) return beginText(createLongAcceptance(usual));
            // What earlier texts have shown.
            if (performance.now() - savedAt > MIN_MS_BETWEEN_SAVES) void save();
            const { acceptances } = recipe;
            const key = hash(about);
            const known = acceptances.get(key) ?? createLongAcceptance(usual);
            acceptances.delete(key);
            acceptances.set(key, known);
            for (const oldest of [...acceptances.keys()].slice(0, -MOST_KINDS)) acceptances.delete(oldest);
            recipe.hasSpeculated = true;
            return beginText(known);
        },
        removeContexts(ids) {
            for (const id of ids) names.delete(id);
            for (const [key, { contexts }] of recipes) if (contexts.some((id) => ids.includes(id))) recipes.delete(key);
        },
        save,
    };
}

/**
 * What tells files apart wherever they lie: a model that was moved, or that another machine with the same home folder has in another
 * place, is the same. Times in seconds, since archives and file systems keep no more. Whoever writes another file of the same name
 * and size within a second gets a wrong first guess, and nothing worse.
 */
function identify({ spec: { model, lora } }: ContextOrigin): unknown {
    try {
        const files = [...partFiles(model, partCount(model)), ...(lora ? [lora.path] : [])].map((file) => {
            const { size, mtimeMs } = statSync(file);
            return [path.basename(file), size, Math.floor(mtimeMs / 1000)];
        });
        return [files, lora?.scale];
    } catch {
        // It was deleted after it was read.
        return undefined;
    }
}

const HASH = /^[\da-f]{32}$/;

function hash(value: unknown): string {
    return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 32);
}

/** As many digits as mean something. */
function round(value: number): number {
    return Number(value.toPrecision(4));
}

function writeCosts(known: KnownCosts): Record<Job, unknown> {
    const write = (sizes: readonly KnownCost[]): unknown =>
        sizes.slice(0, MOST_SIZES).map(({ tokens, ms, age }) => [tokens, round(ms), age]);
    return { draft: write(known.draft), step: write(known.step) };
}

function writeRecipe({ acceptances }: RecipeExperience, overheads: Record<Job, number>): unknown {
    return {
        overheads: [round(overheads.draft), round(overheads.step)],
        acceptance: [...acceptances].map(([about, each]) => {
            const { rates, stops } = each.read();
            return [
                about,
                rates.map((rate) => round(Math.max(LEAST_RATE, rate))),
                stops.map(({ goesOn, gain }) => [round(goesOn), round(gain)]),
            ];
        }),
    };
}

/** Undefined where anything is not as it is written: it may be damaged, or somebody else's. */
function readCosts(value: unknown): KnownCosts | undefined {
    const { draft, step } = toObject(value);
    const [drafts, steps] = [readSizes(draft), readSizes(step)];
    return drafts && steps && { draft: drafts, step: steps };
}

function readSizes(value: unknown): KnownCost[] | undefined {
    return listOf(value, MOST_SIZES, (each) => {
        const [tokens, ms, age] = numbersOf(each, [1, LEAST_MS, 0], [MOST_TOKENS, MOST_MS, LIFETIME]) ?? [];
        if (tokens === undefined || ms === undefined || age === undefined) return undefined;
        return Number.isInteger(tokens) && Number.isInteger(age) ? { tokens, ms, age } : undefined;
    });
}

interface KnownRecipe {
    readonly overheads: Record<Job, number>;
    readonly acceptances: readonly (readonly [string, KnownAcceptance])[];
}

function readRecipe(value: unknown): KnownRecipe | undefined {
    const { overheads, acceptance } = toObject(value);
    const [draft, step] = numbersOf(overheads, [0, 0], [MOST_MS, MOST_MS]) ?? [];
    const acceptances = listOf(acceptance, MOST_KINDS, readAcceptance);
    if (draft === undefined || step === undefined || acceptances === undefined) return undefined;
    return { overheads: { draft, step }, acceptances };
}

function readAcceptance(value: unknown): readonly [string, KnownAcceptance] | undefined {
    if (!Array.isArray(value)) return undefined;
    const [about, ...rest] = value as unknown[];
    const rates = listOf(rest[0], MOST_DRAFTED + 1, (rate) => numbersOf([rate], [LEAST_RATE], [1])?.[0]);
    const stops = listOf(rest[1], THRESHOLDS.length, (stop) => {
        const [goesOn, gain] = numbersOf(stop, [0, 0], [1, 1e6]) ?? [];
        return goesOn === undefined || gain === undefined ? undefined : { goesOn, gain };
    });
    const pooled = rates?.at(-1);
    if (typeof about !== "string" || !HASH.test(about) || pooled === undefined) return undefined;
    if (stops?.length !== THRESHOLDS.length) return undefined;
    return [about, { rates: (rates ?? []).map((rate) => rate + FORGOTTEN * (pooled - rate)), stops }];
}

function toObject(value: unknown): Record<string, unknown> {
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function listOf<T>(value: unknown, most: number, read: (each: unknown) => T | undefined): T[] | undefined {
    if (!Array.isArray(value) || value.length > most) return undefined;
    const list = value.map(read);
    return list.includes(undefined) ? undefined : (list as T[]);
}

/** Numbers within their bounds, as many as there are bounds. */
function numbersOf(value: unknown, least: readonly number[], most: readonly number[]): number[] | undefined {
    const isRight =
        Array.isArray(value) &&
        value.length === least.length &&
        value.every(
            (each, index) => typeof each === "number" && each >= (least[index] ?? NaN) && each <= (most[index] ?? NaN),
        );
    return isRight ? (value as number[]) : undefined;
}
