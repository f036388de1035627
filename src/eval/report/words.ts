/** Sentences that both forms of the report say. */

import type { ExperimentReport, JudgeSummary, RunInfo } from "../types.js";
import { formatDuration } from "./format.js";

export function describeRun({ date, version, llamaRelease, node, platform, machine }: RunInfo): string {
    const program = `eft-llama ${version} on ${date.slice(0, 10)}; llama.cpp ${llamaRelease}, Node ${node}, ${platform}`;
    if (machine === undefined) return `${program}.`;
    const { backend, device, threads } = machine;
    return `${program}, ${backend} (${device}), ${threads} thread${threads === 1 ? "" : "s"}.`;
}

/** Seed, limits, how it was loaded, how long it took, who judged. */
export function describeExperiment({ seed, seconds, maxTokens, interleaved, setup }: ExperimentReport): string {
    const facts = [
        `Seed ${seed}, one more for each item`,
        `at most ${maxTokens} tokens an answer`,
        ...(setup === undefined ? [] : [`a context of ${setup.contextSize} tokens`]),
        interleaved
            ? "systems in turns, one answer at a time"
            : `${setup === undefined ? "several" : setup.sequences} answers at a time`,
        ...Object.entries(setup?.load ?? {}).map(([name, value]) => `${name} ${value}`),
        ...(seconds === undefined ? [] : [`took ${formatDuration(seconds)}`]),
    ];
    return [`${facts.join("; ")}.`, ...(setup?.judge === undefined ? [] : [describeJudge(setup.judge)])].join(" ");
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
