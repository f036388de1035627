/** Sentences that both forms of the report say. */

import type { AnsweredWith, AnswerSetup, ExperimentReport, JudgeSummary, ProgramInfo, RunInfo } from "../types.js";
import { formatDuration } from "./format.js";

export function describeRun({ date, ...program }: RunInfo): string {
    return `Report of ${date.slice(0, 10)}: ${describeProgram(program)}.`;
}

function describeProgram({ version, llamaRelease, node, platform }: ProgramInfo): string {
    return `eft-llama ${version}, llama.cpp ${llamaRelease}, Node ${node}, ${platform}`;
}

/** Seed, limits, how long it took, what answers were given with, who judged. */
export function describeExperiment({ seed, seconds, maxTokens, interleaved, setup }: ExperimentReport): string {
    const facts = [
        `Seed ${seed}, one more for each item`,
        `at most ${maxTokens} tokens an answer`,
        interleaved ? "systems in turns, one answer at a time" : "several answers at a time",
        ...(seconds === undefined ? [] : [`took ${formatDuration(seconds)}`]),
    ];
    const judge = setup?.judge === undefined ? [] : [describeJudge(setup.judge)];
    return [`${facts.join("; ")}.`, ...describeAnswering(setup?.answered ?? []), ...judge].join(" ");
}

/** A sentence for each set-up. */
function describeAnswering(answered: readonly AnsweredWith[]): string[] {
    let before = 0;
    return answered.map(({ answers, setup }) => {
        const from = before + 1;
        before += answers;
        const which = answered.length === 1 ? "Answers" : `Answers ${from} to ${before}`;
        return `${which}: ${setup === undefined ? "it was not noted what they were given with" : describeSetup(setup)}.`;
    });
}

function describeSetup({ backend, device, threads, contextSize, sequences, load, ...program }: AnswerSetup): string {
    return [
        describeProgram(program),
        `${backend} (${device})`,
        `${threads} thread${threads === 1 ? "" : "s"}`,
        `a context of ${contextSize} tokens`,
        `${sequences} at a time`,
        ...Object.entries(load).map(([name, value]) => `${name} ${value}`),
    ].join(", ");
}

function describeJudge({ model, address, temperature }: JudgeSummary): string {
    const how =
        temperature === "own" ? "the endpoint's own temperature, since it refuses any" : `temperature ${temperature}`;
    return `Judge: ${model} at ${address}, ${how}.`;
}

/** What is not in the report though the experiment speaks of it; a sentence each. */
export function describeGaps({ setup, withoutVerdict }: ExperimentReport): string[] {
    return [
        ...(setup?.leftOut ?? []).map((sentence) => `Left out: ${sentence}.`),
        ...withoutVerdict.map(
            ({ system, task, measure, count }) =>
                `Without a verdict of the judge: ${count} answer${count === 1 ? "" : "s"} of ${system}, ${task}: ${measure}.`,
        ),
    ];
}

/** What the intervals are, and what the letters beside the numbers mean. */
export function describeMarks(marks: ReadonlyMap<string, string>): string {
    const intervals =
        "In brackets: 95 % intervals, from bootstrap samples of the items; where all items are right or all wrong, that of " +
        "Clopper and Pearson.";
    if (marks.size === 0) return intervals;
    const letters = [...marks].map(([baseline, mark]) => `${mark}: ${baseline}`).join("; ");
    return (
        `${intervals} Letters: differs from that baseline with p < 0.05 on the same items (${letters}), by the exact McNemar ` +
        "test for marks of 0 and 1, by a permutation test for others. P-values are not adjusted for their number."
    );
}
