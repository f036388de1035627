/** `eft-llama eval` as a function: experiments one after another, and a report of them all. */

import path from "node:path";
import { LOAD_OPTIONS } from "../ensemble/options.js";
import {
    callback,
    checkOptions,
    boolean,
    integer,
    listOf,
    place,
    optionsOf,
    abortSignal,
    string,
    type OptionTable,
} from "../options.js";
import { findExperiments, loadExperiment, type LoadedExperiment } from "./experiment.js";
import { createJudge, JUDGE_OPTIONS, type JudgeOptions } from "./judge/index.js";
import { findDrawingProblem, writeReport } from "./report/index.js";
import { runExperiment, type RunOptions, type RunProgress } from "./run.js";
import { describeProgram } from "./setup.js";
import type { Experiment, ExperimentReport } from "./types.js";

/** What {@link evaluate} is applied to, and how. */
export interface EvaluationOptions extends Omit<RunOptions, "onProgress" | "judge" | "leftOut"> {
    /** Members and tasks for experiments that bring none: a file, or the name of a built-in family. */
    readonly family?: string | undefined;
    /** Most items of each task, evenly spread. */
    readonly limit?: number | undefined;
    /** The model that graders of the type `judge` ask; its replies are kept in `judge.jsonl` in the folder. */
    readonly judge?: Omit<JudgeOptions, "cacheFile" | "signal"> | undefined;
    /** Called after each answer. */
    readonly onProgress?: ((progress: EvaluationProgress) => void) | undefined;
}

const { cacheFile: _cacheFile, signal: _signal, ...JUDGE } = JUDGE_OPTIONS;
const EVALUATION_OPTIONS: OptionTable<EvaluationOptions> = {
    ...{ folder: place, family: string, limit: integer(1, 2 ** 31 - 1), restart: boolean, signal: abortSignal },
    ...{ onProgress: callback, onCheck: callback },
    load: optionsOf("load", LOAD_OPTIONS),
    judge: optionsOf<Omit<JudgeOptions, "cacheFile" | "signal">>("judge", JUDGE),
};

/** How far an evaluation is, over all its experiments. */
export interface EvaluationProgress extends RunProgress {
    /** Name of the experiment. */
    readonly experiment: string;
}

/** The outcome of {@link evaluate}. */
export interface Evaluation {
    readonly reports: readonly ExperimentReport[];
    /** Paths of `report.html`, `report.md`, `report.json`. */
    readonly files: readonly string[];
    /** Sentences about what a family could not provide. */
    readonly leftOut: readonly string[];
}

/** The family that a built-in set is applied to when none is named. */
const DEFAULT_FAMILY = "demo";

/**
 * Runs experiments and writes `report.html`, `report.md` and `report.json` into the folder, beside a folder for the answers of
 * each experiment. Running it again goes on after an interruption.
 *
 * @param names - experiment files, or the name of a built-in set: `paper`, the experiments of Mitchell et al. 2310.12962
 * @throws EftError EXPERIMENT_*, TASK_*, RECIPE_*, JUDGE_*, RESULTS_MISMATCH, ABORTED, and what loading and decoding throw
 */
export async function evaluate(names: readonly string[], given: EvaluationOptions): Promise<Evaluation> {
    const options = checkOptions("evaluate", given, EVALUATION_OPTIONS);
    place("folder", options.folder);
    const { limit, judge: judgeOptions, ...runOptions } = options;
    const loaded: LoadedExperiment[] = [];
    for (const name of listOf(string)("names", names)) {
        const files = await findExperiments(name);
        const isSet = files.length > 1;
        const family = options.family ?? (isSet ? DEFAULT_FAMILY : undefined);
        for (const file of files) {
            loaded.push(
                await loadExperiment(file, {
                    ...(family !== undefined && { family }),
                    ...(limit !== undefined && { limit }),
                    // A family of one's own need not have all that the paper's experiments ask for.
                    isLenient: isSet,
                }),
            );
        }
    }

    const { folder, signal } = options;
    const cacheFile = path.join(folder, "judge.jsonl");
    const judge = judgeOptions && (await createJudge({ ...judgeOptions, cacheFile, ...(signal && { signal }) }));
    const total = loaded.reduce((sum, { experiment }) => sum + countAnswers(experiment), 0);
    const reports: ExperimentReport[] = [];
    let before = 0;
    const skipped: string[] = [];
    for (const { experiment, leftOut } of loaded) {
        if (experiment.systems.length === 0 || experiment.tasks.length === 0) {
            skipped.push(...leftOut.map((sentence) => `experiment "${experiment.name}": ${sentence}`));
            continue;
        }
        const report = await runExperiment(experiment, {
            ...runOptions,
            leftOut,
            ...(judge && { judge }),
            onProgress: ({ done, ...progress }) =>
                options.onProgress?.({ ...progress, experiment: experiment.name, done: before + done, total }),
        });
        before += countAnswers(experiment);
        reports.push(report);
    }
    const isDrawn = reports.some(({ plots }) => plots.some(({ kind }) => kind !== "tokens"));
    const problem = isDrawn ? await findDrawingProblem() : undefined;
    if (problem !== undefined) skipped.push(problem);
    const info = { ...describeProgram(), date: new Date().toISOString(), leftOut: skipped };
    const files = await writeReport(options.folder, reports, info, titleOf(names));
    return {
        reports,
        files,
        leftOut: [...loaded.flatMap(({ leftOut }) => leftOut), ...(problem === undefined ? [] : [problem])],
    };
}

function countAnswers({ systems, tasks }: Experiment): number {
    return systems.length * tasks.reduce((sum, { items }) => sum + items.length, 0);
}

function titleOf(names: readonly string[]): string {
    return names.includes("paper")
        ? "Emulated fine-tuning: the paper's experiments"
        : "Emulated fine-tuning: experiments";
}
