/** Experiment files as they are written, and how they are read. */

import path from "node:path";
import { EftError } from "../errors.js";
import { decodeText, readStart, reasonOf } from "../files.js";
import { MAX_CHARACTERS, readDocument, type DocumentKind, type SourceDocument } from "../recipe/document.js";
import { createValidator, type RecipeSource } from "../recipe/schema.js";
import type { GraderSpec, PlotSpec } from "./types.js";

/** What `experiments/experiment.schema.json` admits: an experiment, or a family if it has no systems. */
export interface ExperimentSource {
    readonly eval: 1;
    readonly name: string;
    readonly title?: string;
    readonly description?: string;
    readonly members?: RecipeSource["members"];
    readonly prompt?: RecipeSource["prompt"];
    readonly tasks?: Readonly<Record<string, TaskSource>>;
    readonly systems?: Readonly<Record<string, SystemSource>>;
    readonly sampling?: Gridded;
    readonly baselines?: readonly string[];
    readonly maxTokens?: number;
    readonly seed?: number;
    readonly interleaved?: boolean;
    readonly plots?: readonly PlotSpec[];
}

/** A mapping in which a list stands for the values of a grid. What it maps is checked as the part of a recipe. */
export type Gridded = Readonly<Record<string, unknown>>;

export interface SystemSource {
    readonly recipe?: string;
    readonly combination?: string;
    readonly conservative?: Gridded;
    readonly controlTokens?: string;
    readonly parameters?: Readonly<Record<string, number | readonly number[]>>;
    readonly prompt?: RecipeSource["prompt"];
    readonly sampling?: Gridded;
    readonly speculation?: Gridded;
}

export interface TaskSource {
    readonly file?: string;
    readonly from?: string;
    readonly limit?: number;
    readonly graders?: Readonly<Record<string, GraderSpec["type"] | GraderSpec>>;
    readonly compareTo?: string;
}

/** A file that was read and fits the schema. */
export interface ExperimentFile {
    readonly source: ExperimentSource;
    readonly document: SourceDocument;
    /** Relative paths in it start here. */
    readonly folder: string;
}

const KIND: DocumentKind = { noun: "experiment", syntax: "EXPERIMENT_SYNTAX", invalid: "EXPERIMENT_INVALID" };

const validate = createValidator<ExperimentSource>("experiments/experiment.schema.json");

/** @throws EftError EXPERIMENT_NOT_FOUND, FILE_UNREADABLE, EXPERIMENT_SYNTAX, EXPERIMENT_INVALID with file, line and column */
export async function readExperimentFile(file: string): Promise<ExperimentFile> {
    const document = readDocument(await readText(file), file, KIND);
    return { source: validate(document), document, folder: path.dirname(path.resolve(file)) };
}

async function readText(file: string): Promise<string> {
    try {
        const bytes = await readStart(file, 3 * MAX_CHARACTERS);
        if (bytes.length <= 3 * MAX_CHARACTERS) return decodeText(bytes, file);
    } catch (cause) {
        if (EftError.isInstance(cause)) throw cause;
        const { code } = cause as NodeJS.ErrnoException;
        const why = code === "ENOENT" ? "does not exist" : `cannot be read: ${reasonOf(cause)}`;
        throw new EftError("EXPERIMENT_NOT_FOUND", `The experiment file ${path.resolve(file)} ${why}.`, { cause });
    }
    throw new EftError("EXPERIMENT_INVALID", `${file} is too large to be an experiment file; name a YAML file.`);
}
