/** The answers of an experiment on disk: one JSON line each, appended as they come, so that nothing is lost or done twice. */

import { createHash } from "node:crypto";
import { appendFile, readFile, rm, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { makeFolder, unwritable, writeWhole } from "../files.js";
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
 * @throws EftError RESULTS_MISMATCH if they answer something else or are damaged; FILE_UNWRITABLE, as `add()` does
 */
export async function openAnswers(folder: string, experiment: Experiment, restart: boolean): Promise<AnswerStore> {
    const file = path.join(folder, "answers.jsonl");
    await makeFolder(folder);
    if (restart)
        await rm(file, { force: true }).catch((error: unknown) => {
            throw unwritable(file, error);
        });
    const header: Header = { eval: 1, experiment: experiment.name, fingerprint: await fingerprint(experiment) };
    const text = await readFile(file, "utf8").catch(() => "");
    const complete = text.slice(0, text.lastIndexOf("\n") + 1);
    const [first, ...lines] = complete
        .split("\n")
        .filter((line) => line !== "")
        .map((line, index) => parseLine(line, file, index + 1));
    if (first === undefined) await writeWhole(file, `${JSON.stringify(header)}\n`);
    else if ((first as Header).fingerprint !== header.fingerprint) {
        throw new EftError(
            "RESULTS_MISMATCH",
            `${file} holds answers to another version of this experiment, or of other models. Choose another --out, or throw ` +
                "them away with --restart.",
        );
    } else await truncate(file, Buffer.byteLength(complete));

    const answers = new Map((lines as Answer[]).map((answer) => [keyOf(answer), answer]));
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

function parseLine(line: string, file: string, number: number): unknown {
    try {
        return JSON.parse(line);
    } catch (cause) {
        const remedy = "Correct or delete it, choose another --out, or throw all answers away with --restart.";
        throw new EftError("RESULTS_MISMATCH", `Line ${number} of ${file} is damaged. ${remedy}`, { cause });
    }
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
