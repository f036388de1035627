/** The answers of an experiment on disk: one JSON line each, appended as they come, so that nothing is lost or done twice. */

import { createHash } from "node:crypto";
import { appendFile, readFile, rm, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { decodeText, makeFolder, unreadable, unwritable, writeWhole } from "../files.js";
import type { Answer, Experiment, Item, System, Task } from "./types.js";

/** First line of the file. */
interface Header {
    readonly eval: 1;
    readonly experiment: string;
    /** Of all that answers depend on. */
    readonly fingerprint: string;
}

export interface AnswerStore {
    readonly file: string;
    get(system: System, task: Task, item: Item): Answer | undefined;
    /** All answers so far, in the order they came. */
    list(): readonly Answer[];
    add(answer: Answer): Promise<void>;
}

/**
 * Opens the answers in a folder, those of an interrupted run included. A last line that was cut off is dropped.
 *
 * @param restart - throw away what is there
 * @throws EftError RESULTS_MISMATCH if they answer something else or are damaged; FILE_UNREADABLE; FILE_UNWRITABLE, as `add()` does
 */
export async function openAnswers(folder: string, experiment: Experiment, restart: boolean): Promise<AnswerStore> {
    const file = path.join(folder, "answers.jsonl");
    await makeFolder(folder);
    if (restart)
        await rm(file, { force: true }).catch((error: unknown) => {
            throw unwritable(file, error);
        });
    const header: Header = { eval: 1, experiment: experiment.name, fingerprint: await fingerprint(experiment) };
    const bytes = await readFile(file).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
        throw unreadable(file, error);
    });
    const complete = bytes.subarray(0, bytes.lastIndexOf("\n") + 1);
    const [first, ...rest] = readLines(complete, file);
    // The first line is written whole: one that was cut off is not of ours.
    if (first === undefined && bytes.length > 0) throw damaged(file, 1);
    if (first === undefined) await writeWhole(file, `${JSON.stringify(header)}\n`);
    else if (!isHeader(first.value)) throw damaged(file, first.number);
    else if (first.value.fingerprint !== header.fingerprint) {
        throw new EftError(
            "RESULTS_MISMATCH",
            `${file} holds answers to another version of this experiment, or of other models. Choose another --out, or throw ` +
                "them away with --restart.",
        );
    }
    const read = rest.map(({ number, value }) => {
        if (isAnswer(value)) return value;
        throw damaged(file, number);
    });
    if (complete.length < bytes.length) await truncate(file, complete.length);

    const answers = new Map(read.map((answer) => [keyOf(answer), answer]));
    // Appends must not overlap.
    let written = Promise.resolve();
    return {
        file,
        get: ({ name, settings }, task, item) =>
            answers.get(keyOf({ system: name, settings, task: task.name, item: item.id })),
        list: () => [...answers.values()],
        add(answer) {
            answers.set(keyOf(answer), answer);
            written = written
                .then(() => appendFile(file, `${JSON.stringify(answer)}\n`))
                .catch((error: unknown) => {
                    throw EftError.isInstance(error) ? error : unwritable(file, error);
                });
            return written;
        },
    };
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

function isHeader(value: unknown): value is Header {
    return isRecord(value) && value["eval"] === 1 && typeof value["fingerprint"] === "string";
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
        Object.values(settings).every((each) => ["number", "string", "boolean"].includes(typeof each)) &&
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

async function fingerprint(experiment: Experiment): Promise<string> {
    const { systems, tasks, maxTokens, seed, interleaved } = experiment;
    const files = systems.flatMap(({ recipe }) =>
        recipe.members.flatMap(({ model, lora }) => [model, lora?.path ?? model]),
    );
    const models: unknown[] = [];
    for (const file of [...new Set(files)].sort()) {
        // What cannot be looked at is reported when it is loaded.
        const { size, mtimeMs } = await stat(file).catch(() => ({ size: 0, mtimeMs: 0 }));
        models.push([file, size, mtimeMs]);
    }
    const all = { systems, tasks, maxTokens, seed, interleaved, models };
    return createHash("sha256").update(JSON.stringify(all)).digest("hex");
}
