/** Sentences that both forms of the report say. */

import type { ExperimentReport, RunInfo } from "../types.js";
import { formatDuration } from "./format.js";

export function describeRun({ date, version, llamaRelease, machine }: RunInfo): string {
    const program = `eft-llama ${version} on ${date.slice(0, 10)}; llama.cpp ${llamaRelease}`;
    if (machine === undefined) return `${program}.`;
    const { backend, device, threads } = machine;
    return `${program}, ${backend} (${device}), ${threads} thread${threads === 1 ? "" : "s"}.`;
}

export function describeExperiment({ seed, seconds }: ExperimentReport): string {
    return seconds === undefined ? `Seed ${seed}.` : `Seed ${seed}; took ${formatDuration(seconds)}.`;
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
