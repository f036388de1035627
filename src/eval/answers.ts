/** The answers of an experiment on disk: one JSON line each, appended as they come, so that nothing is lost or done twice. */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { appendFile, rm, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { decodeText, makeFolder, readBytes, unwritable, writeWhole } from "../files.js";
import { takeLock, type Lock } from "../lock.js";
import type { Answer, AnsweredWith, AnswerSetup, Experiment, Ingredients, Item, System, Task } from "./types.js";

/** First line of the file. */
interface Header extends SetupLine, Ingredients {
    readonly eval: 1;
    readonly experiment: string;
    /** Of all in the experiment that answers depend on. Without `files`, also of size and time of the models' files. */
    readonly fingerprint: string;
}

/** Part of the first line, and a line of its own where a later call has answered with something else. */
interface SetupLine {
    /** Of the answers that follow. */
    readonly setup: AnswerSetup;
}

export interface AnswerStore {
    readonly file: string;
    /** As they were when the answers were given. */
    readonly ingredients: Ingredients;
    get(system: System, task: Task, item: Item): Answer | undefined;
    /** All answers so far, in the order they came. */
    list(): readonly Answer[];
    /** What they were given with. */
    answeredWith(): readonly AnsweredWith[];
    /** @param setup - what it was given with */
    add(answer: Answer, setup: AnswerSetup): Promise<void>;
}

const FILE = "answers.jsonl";
/** Most bytes of the file: about a million answers. */
const MAX_BYTES = 2 ** 30;

/**
 * Makes the folder, and keeps other evaluations out of it.
 *
 * @throws EftError RESULTS_BUSY, FILE_UNWRITABLE, ABORTED
 */
export async function lockAnswers(folder: string, signal: AbortSignal | undefined): Promise<Lock> {
    await makeFolder(folder);
    const file = path.join(folder, FILE);
    const lock = await takeLock(file, signal).catch((error: unknown) => {
        throw EftError.isInstance(error) ? error : unwritable(file, error);
    });
    return lock ?? Promise.reject(busy(folder));
}

export function busy(folder: string, cause?: unknown): EftError {
    const remedy = `Let it end, choose another --out, or delete ${FILE}.lock there if there is none.`;
    return new EftError("RESULTS_BUSY", `Another evaluation is at work in ${folder}. ${remedy}`, { cause });
}

/**
 * Opens the answers in a folder, those of an interrupted run included. A last line that was cut off is dropped. Nobody else may
 * write there meanwhile: see {@link lockAnswers}.
 *
 * @param now - as they are now, as far as the models are here
 * @param restart - throw away what is there
 * @throws EftError RESULTS_MISMATCH if they answer something else, or other models gave them, or they are damaged;
 *   FILE_UNREADABLE; FILE_UNWRITABLE, as `add()` does
 */
export async function openAnswers(
    folder: string,
    experiment: Experiment,
    now: Ingredients,
    restart: boolean,
): Promise<AnswerStore> {
    const file = path.join(folder, FILE);
    if (restart)
        await rm(file, { force: true }).catch((error: unknown) => {
            throw unwritable(file, error);
        });
    const bytes = existsSync(file) ? await readBytes(file, { limit: MAX_BYTES, mustBeFile: true }) : Buffer.alloc(0);
    // Before anything is loaded.
    await appendFile(file, "").catch((error: unknown) => {
        throw unwritable(file, error);
    });
    const complete = bytes.subarray(0, bytes.lastIndexOf("\n") + 1);
    const [first, ...rest] = readLines(complete, file);
    // The first line is written whole: one that was cut off is not of ours.
    if (first === undefined && bytes.length > 0) throw damaged(file, 1);
    if (first !== undefined && !isHeader(first.value)) throw damaged(file, first.number);
    const header = first?.value as Partial<Header> | undefined;
    if (header !== undefined) await compare(header, experiment, now, file);

    const answers = new Map<string, Answer>();
    const answered: Mutable<AnsweredWith>[] = [];
    const begin = (setup: AnswerSetup | undefined): void =>
        void answered.push({ answers: 0, ...(setup !== undefined && { setup }) });
    const keep = (answer: Answer): void => {
        answers.set(keyOf(answer), answer);
        const last = answered.at(-1);
        if (last !== undefined) last.answers++;
    };
    if (header !== undefined) begin(header.setup);
    for (const { number, value } of rest) {
        if (isAnswer(value)) keep(value);
        else if (isSetupLine(value)) begin(value.setup);
        else throw damaged(file, number);
    }
    if (complete.length < bytes.length) await truncate(file, complete.length);

    /** What goes before an answer. */
    const announce = async (setup: AnswerSetup, isFirst: boolean): Promise<void> => {
        if (!isFirst) return appendFile(file, toLine({ setup } satisfies SetupLine));
        const head = { eval: 1, experiment: experiment.name, fingerprint: fingerprint(experiment) } as const;
        return writeWhole(file, toLine({ ...head, ...now, setup } satisfies Header));
    };
    // Appends must not overlap.
    let written = Promise.resolve();
    return {
        file,
        ingredients: ingredientsOf(header) ?? now,
        get: ({ name, settings }, task, item) =>
            answers.get(keyOf({ system: name, settings, task: task.name, item: item.id })),
        list: () => [...answers.values()],
        answeredWith: () => answered.filter(({ answers: count }) => count > 0),
        add(answer, setup) {
            const [isFirst, last] = [answered.length === 0, answered.at(-1)];
            const isNew = JSON.stringify(last?.setup) !== JSON.stringify(setup);
            if (isNew) begin(setup);
            keep(answer);
            written = written
                .then(() => (isNew ? announce(setup, isFirst) : undefined))
                .then(() => appendFile(file, toLine(answer)))
                .catch((error: unknown) => {
                    throw EftError.isInstance(error) ? error : unwritable(file, error);
                });
            return written;
        },
    };
}

function ingredientsOf({ files, prompts, templates }: Partial<Header> = {}): Ingredients | undefined {
    return files && prompts && templates && { files, prompts, templates };
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

function toLine(value: Answer | SetupLine | Header): string {
    return `${JSON.stringify(value)}\n`;
}

/** @throws EftError RESULTS_MISMATCH where answers are to something else, or of other models */
async function compare(header: Partial<Header>, experiment: Experiment, now: Ingredients, file: string): Promise<void> {
    const remedy = "Choose another --out, or throw them away with --restart.";
    const { files } = header;
    const expected = files === undefined ? await earlierFingerprint(experiment) : fingerprint(experiment);
    if (header.fingerprint !== expected) {
        const what = `another version of this experiment${files === undefined ? ", or of other models" : ""}`;
        throw new EftError("RESULTS_MISMATCH", `${file} holds answers to ${what}. ${remedy}`);
    }
    const changed = now.files.find(({ name, sha256 }) => {
        const then = files?.filter((each) => each.name === name) ?? [];
        return then.length > 0 && !then.some((each) => each.sha256 === sha256);
    });
    if (changed === undefined) return;
    const text = `${file} holds answers that were given with another ${changed.name}: its SHA-256 was another one then.`;
    throw new EftError("RESULTS_MISMATCH", `${text} ${remedy}`);
}

/** The lines that are not empty, parsed. @throws EftError RESULTS_MISMATCH */
function readLines(bytes: Buffer, file: string): { readonly number: number; readonly value: unknown }[] {
    const lines: { number: number; value: unknown }[] = [];
    let number = 0;
    for (let start = 0; start < bytes.length;) {
        const end = bytes.indexOf("\n", start);
        const line = bytes.subarray(start, end);
        start = end + 1;
        number++;
        if (line.length === 0) continue;
        try {
            lines.push({ number, value: JSON.parse(decodeText(line, file, number)) });
        } catch (cause) {
            throw damaged(file, number, cause);
        }
    }
    return lines;
}

function damaged(file: string, number: number, cause?: unknown): EftError {
    const remedy = "Correct or delete it, choose another --out, or throw all answers away with --restart.";
    return new EftError("RESULTS_MISMATCH", `Line ${number} of ${file} is damaged. ${remedy}`, { cause });
}

function isHeader(value: unknown): boolean {
    if (!isRecord(value) || value["eval"] !== 1 || typeof value["fingerprint"] !== "string") return false;
    const { files, prompts, templates, setup } = value;
    // Earlier versions have none of these.
    if ([files, prompts, templates, setup].every((each) => each === undefined)) return true;
    const isTextTable = (each: unknown): boolean =>
        isRecord(each) && Object.values(each).every((text) => typeof text === "string");
    return (
        Array.isArray(files) &&
        files.every(isModelFile) &&
        isRecord(prompts) &&
        Object.values(prompts).every(isTextTable) &&
        isTextTable(templates) &&
        isSetupLine(value)
    );
}

function isModelFile(value: unknown): boolean {
    if (!isRecord(value)) return false;
    const { name, bytes, sha256 } = value;
    return typeof name === "string" && typeof bytes === "number" && typeof sha256 === "string";
}

const SETUP_TEXTS = ["version", "llamaRelease", "node", "platform", "backend", "device"];
const SETUP_NUMBERS = ["threads", "contextSize", "sequences"];

function isSetupLine(value: unknown): value is SetupLine {
    const setup = isRecord(value) ? value["setup"] : undefined;
    return (
        isRecord(setup) &&
        SETUP_TEXTS.every((name) => typeof setup[name] === "string") &&
        SETUP_NUMBERS.every((name) => typeof setup[name] === "number") &&
        isRecord(setup["load"]) &&
        Object.values(setup["load"]).every(isSetting)
    );
}

function isSetting(value: unknown): boolean {
    return ["number", "string", "boolean"].includes(typeof value);
}

/** Whatever is read of an answer later is of the type that it has to be. */
function isAnswer(value: unknown): value is Answer {
    if (!isRecord(value)) return false;
    const { system, settings, task, item, group, seed, text, reason, grades, tokens } = value;
    return (
        [system, task, item].every((each) => typeof each === "string") &&
        [group, text, reason].every((each) => each === undefined || typeof each === "string") &&
        typeof seed === "number" &&
        isRecord(settings) &&
        Object.values(settings).every(isSetting) &&
        isRecord(grades) &&
        Object.values(grades).every(isGrade) &&
        (tokens === undefined || (Array.isArray(tokens) && tokens.every(isTokenView)))
    );
}

/** JSON has no infinity: an infinite divergence is null. */
function isGrade(value: unknown): boolean {
    if (!Array.isArray(value)) return typeof value === "number" || value === null;
    const [mean, weight] = value as unknown[];
    return value.length === 2 && (typeof mean === "number" || mean === null) && typeof weight === "number";
}

function isTokenView(value: unknown): boolean {
    if (!isRecord(value)) return false;
    const { text, totalVariation, instead, changedBy } = value;
    const isText = (each: unknown): boolean => each === undefined || typeof each === "string";
    return typeof text === "string" && typeof totalVariation === "number" && isText(instead) && isText(changedBy);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function keyOf({ system, settings, task, item }: Pick<Answer, "system" | "settings" | "task" | "item">): string {
    return JSON.stringify([system, settings, task, item]);
}

function fingerprint({ systems, tasks, maxTokens, seed, interleaved }: Experiment, more: object = {}): string {
    const all = { systems, tasks, maxTokens, seed, interleaved, ...more };
    return createHash("sha256").update(JSON.stringify(all)).digest("hex");
}

/** With size and time of the models, which stood for what is in them. */
async function earlierFingerprint(experiment: Experiment): Promise<string> {
    const files = experiment.systems.flatMap(({ recipe }) =>
        recipe.members.flatMap(({ model, lora }) => [model, lora?.path ?? model]),
    );
    const models: unknown[] = [];
    for (const file of [...new Set(files)].sort()) {
        const { size, mtimeMs } = await stat(file).catch(() => ({ size: 0, mtimeMs: 0 }));
        models.push([file, size, mtimeMs]);
    }
    return fingerprint(experiment, { models });
}
