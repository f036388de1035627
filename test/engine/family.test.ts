/**
 * The engine against the training code: models/demo/results.json was computed in PyTorch, with other weights (32 bits), another
 * loop and other graders. Near-ties may fall the other way.
 */

import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { loadExperiment } from "../../src/eval/experiment.js";
import { runExperiment } from "../../src/eval/run.js";
import type { ExperimentReport } from "../../src/eval/types.js";
import { readText } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

interface Result {
    readonly system: string;
    readonly temperature: number;
    readonly questions: Readonly<Record<string, number>>;
    readonly fact: Readonly<Record<string, number>>;
    readonly right: Readonly<Record<string, number>>;
}

/** Of 100 questions of a group, answers that 16 bits instead of 32 may change. */
const NEAR_TIES = 2;

const { systems } = JSON.parse(readText("models/demo/results.json")) as { systems: Result[] };

let report: ExperimentReport;
let remove: () => void;
beforeAll(async () => {
    const temporary = temporaryFolder();
    remove = temporary.remove;
    const file = path.join(temporary.folder, "experiment.yaml");
    writeFileSync(
        file,
        `eval: 1
name: family
systems:
  small-chat: { combination: small_chat }
  up-scaled: { combination: large + small_chat - small }
  up-scaled, conservative:
    combination: large + small_chat - small
    conservative: { topP: 0.95, fallback: small_chat }
sampling: { temperature: 0 }
tasks: { facts: {} }
`,
    );
    const { experiment } = await loadExperiment(file, { family: "demo" });
    const load = { backend: "cpu", threads: 1, sequences: 8 } as const;
    report = await runExperiment(experiment, { folder: temporary.folder, load });
});
afterAll(() => remove());

describe.each(["small-chat", "up-scaled", "up-scaled, conservative"])(
    "%s answers as in the training code",
    (system) => {
        const expected = systems.find((result) => result.system === system && result.temperature === 0);

        test.each(["head", "mid", "tail"])("%s", (group) => {
            for (const [measure, counts] of [
                ["factual", expected?.fact],
                ["both", expected?.right],
            ] as const) {
                const cell = report.cells.find(
                    (each) => each.system === system && each.measure === measure && each.group === group,
                );
                expect(cell?.count).toBe(expected?.questions[group]);
                const right = (cell?.mean ?? NaN) * (cell?.count ?? NaN);
                expect(Math.abs(right - (counts?.[group] ?? NaN))).toBeLessThanOrEqual(NEAR_TIES);
            }
        });
    },
);

test("up-scaling answers far more questions than either of its parts", () => {
    const both = (system: string): number | undefined =>
        report.cells.find((cell) => cell.system === system && cell.measure === "both" && cell.group === undefined)
            ?.mean;
    expect(both("up-scaled")).toBeGreaterThan(0.9);
    expect(both("small-chat")).toBeLessThan(0.5);
});
