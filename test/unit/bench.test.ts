/** The step benchmark runs and writes what it promises. How long anything takes is none of a test's business. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";

interface Spread {
    readonly median: number;
    readonly q1: number;
    readonly q3: number;
}

interface Round {
    readonly aloneMs: readonly number[];
    readonly step: { readonly wallMs: number; readonly decodeMs: readonly number[]; readonly fuseMs: number };
    readonly byHandMs: number;
}

interface Report {
    readonly benchmark: string;
    readonly date: string;
    readonly machine: { readonly cpu: string; readonly cores: number };
    readonly versions: { readonly node: string; readonly llamaCpp: string; readonly nodeLlamaCpp: string };
    readonly options: { readonly rounds: number; readonly tokens: number };
    readonly results: readonly {
        readonly family: string;
        readonly threads: number;
        readonly members: readonly { readonly member: string; readonly aloneMs: Spread }[];
        readonly step: Readonly<Record<"wallMs" | "decodeMs" | "fuseMs" | "restMs", Spread>>;
        readonly stepToMembers: Spread;
        readonly byHandToStep: Spread;
        readonly bound: { readonly bytes: number; readonly ms: number };
        readonly rounds: readonly Round[];
    }[];
}

const program = join(import.meta.dirname, "..", "..", "bench", "main.mjs");
const run = promisify(execFile);
let folder: string;

beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "eft-llama-bench-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("writes one report with all rounds of a family", async () => {
    const out = join(folder, "new", "step.json");
    const options = ["--family", "demo", "--threads", "1", "--rounds", "2", "--tokens", "3", "--out", out];
    const { stdout } = await run(process.execPath, [program, "step", ...options]);
    expect(stdout).toMatch(/\(b\) \/ sum of \(a\)/);

    const report = JSON.parse(await readFile(out, "utf8")) as Report;
    expect(report).toMatchObject({ benchmark: "step", options: { rounds: 2, tokens: 3 } });
    expect(Date.now() - Date.parse(report.date)).toBeGreaterThanOrEqual(0);
    expect(report.machine.cores).toBeGreaterThanOrEqual(1);
    expect(report.versions).toMatchObject({ node: process.version, llamaCpp: expect.stringMatching(/^v?[\d.]+/) });

    expect(report.results).toHaveLength(1);
    const [result] = report.results;
    expect(result).toMatchObject({ family: "demo", threads: 1 });
    expect(result?.members.map(({ member }) => member)).toEqual(["large", "chat", "small"]);
    expect(result?.rounds).toHaveLength(2);
    for (const { aloneMs, step, byHandMs } of result?.rounds ?? []) {
        expect([...aloneMs, ...step.decodeMs, step.fuseMs, byHandMs].every((ms) => ms > 0)).toBe(true);
        expect([aloneMs.length, step.decodeMs.length]).toEqual([3, 3]);
        // Its parts lie within a step.
        expect(step.wallMs).toBeGreaterThan(step.decodeMs.reduce((total, ms) => total + ms, step.fuseMs));
    }
    // With two rounds the median lies in the middle.
    const ratios = result?.rounds.map(({ step, byHandMs }) => byHandMs / step.wallMs) ?? [];
    expect(result?.byHandToStep.median).toBeCloseTo((Number(ratios[0]) + Number(ratios[1])) / 2);
    // 16-bit weights without the embeddings: 3.6 and twice 0.42 million parameters, less 2,048 rows of 256 and 64.
    expect(result?.bound.bytes).toBeGreaterThan(6.5e6);
    expect(result?.bound.bytes).toBeLessThan(8e6);
});

test("says what it has no use for", async () => {
    await expect(run(process.execPath, [program, "step", "--family", "unknown"])).rejects.toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/unknown.*demo/s),
    });
});
