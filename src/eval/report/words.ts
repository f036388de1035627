/** Sentences that both forms of the report say. */

import type { RunInfo } from "../types.js";

export function describeRun({ date, version, llamaRelease, backend, device, threads }: RunInfo): string {
    const where = device === "" ? backend : `${backend} (${device})`;
    const cores = threads === 0 ? "" : `, ${threads} thread${threads === 1 ? "" : "s"}`;
    return `eft-llama ${version} on ${date.slice(0, 10)}; llama.cpp ${llamaRelease}, ${where}${cores}.`;
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
