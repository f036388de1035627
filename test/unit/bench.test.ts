/** Benchmarks run and write what they promise. How long anything takes is none of a test's business. */

import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { collect, complete, type CompletionResult, type Ensemble } from "../../src/index.js";
import { demoFile, repository, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { readGguf, toFloat32, writeGguf } from "../helpers/gguf.js";
import { LOGPROB } from "../helpers/tolerances.js";

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

const program = join(repository, "bench", "main.mjs");
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
        expect([...aloneMs, ...step.decodeMs, step.fuseMs, step.wallMs, byHandMs].every((ms) => ms > 0)).toBe(true);
        expect([aloneMs.length, step.decodeMs.length]).toEqual([3, 3]);
    }
    // With two rounds the median lies in the middle.
    const ratios = result?.rounds.map(({ step, byHandMs }) => byHandMs / step.wallMs) ?? [];
    expect(result?.byHandToStep.median).toBeCloseTo((Number(ratios[0]) + Number(ratios[1])) / 2);
    // 16-bit weights without the embeddings: 3.6 and twice 0.42 million parameters, less 2,048 rows of 256 and 64.
    expect(result?.bound.bytes).toBeGreaterThan(6.5e6);
    expect(result?.bound.bytes).toBeLessThan(8e6);
});

interface Contender {
    readonly name: string;
    readonly speedup: Spread;
    readonly acceptanceRate?: number;
    readonly formula?: number;
    readonly formulaWithBeside?: number;
}

interface SpeculationResult {
    readonly family: string;
    readonly members: readonly string[];
    readonly costs: { readonly draftMs: number; readonly batchMs: Readonly<Record<string, readonly number[]>> };
    readonly settings: readonly {
        readonly temperature: number;
        readonly contenders: readonly Contender[];
        readonly best: string;
        readonly adaptiveToBest: Spread;
        readonly adaptiveToPlain: Spread;
    }[];
    readonly synthetic: readonly {
        readonly acceptance: number;
        readonly contenders: readonly { readonly length: number | string; readonly acceptanceRate: number | null }[];
    }[];
    readonly sequences: readonly { readonly completions: number; readonly speedup: Spread }[];
}

test("measures labels by a schema with forced text and without", async () => {
    const out = join(folder, "structured.json");
    const options = ["--family", "demo", "--threads", "1", "--rounds", "1", "--out", out];
    const { stdout } = await run(process.execPath, [program, "structured", ...options]);
    expect(stdout).toMatch(/processor time/);
    const { results } = JSON.parse(await readFile(out, "utf8")) as {
        results: readonly { settings: readonly { tokens: number; steps: number; cpu: Spread }[] }[];
    };
    expect(results[0]?.settings).toHaveLength(4);
    for (const { tokens, steps, cpu } of results[0]?.settings ?? []) {
        expect(steps).toBeLessThanOrEqual(tokens);
        expect(cpu.median).toBeGreaterThan(0);
    }
});

test("compares speculation with plain steps and with the formula", async () => {
    const out = join(folder, "speculation.json");
    const options = ["--family", "demo", "--threads", "1", "--rounds", "1", "--tokens", "4", "--out", out];
    const { stdout } = await run(process.execPath, [program, "speculation", ...options]);
    expect(stdout).toMatch(/adaptive \/ best/);

    const { results } = JSON.parse(await readFile(out, "utf8")) as { readonly results: readonly SpeculationResult[] };
    expect(results).toHaveLength(1);
    const [result] = results;
    expect(result).toMatchObject({ family: "demo", members: ["large", "chat", "small"] });
    const times = Object.values(result?.costs.batchMs ?? {});
    expect(times.map((perMember) => perMember.length)).toEqual(new Array(10).fill(3));
    expect([...times.flat(), result?.costs.draftMs].every((ms) => Number(ms) > 0)).toBe(true);

    // Three texts, three temperatures.
    expect(result?.settings).toHaveLength(9);
    for (const { temperature, contenders, best, adaptiveToBest, adaptiveToPlain } of result?.settings ?? []) {
        const find = (name: string): Contender | undefined => contenders.find((contender) => contender.name === name);
        expect(find("plain")?.speedup.median).toBe(1);
        expect(find(best)?.formula).toBeGreaterThan(0);
        expect(find(best)?.formulaWithBeside).toBeGreaterThan(0);
        // A single round: ratios of ratios are exact.
        expect(find(best)?.speedup.median).toBeCloseTo(adaptiveToPlain.median / adaptiveToBest.median);
        if (temperature > 0) continue;
        // Greedily, all couplings and ways of drafting are the same.
        const rates = contenders.filter(({ name }) => name.startsWith("k = 4")).map((each) => each.acceptanceRate);
        expect(rates).toEqual(new Array(3).fill(rates[0]));
    }
    const fixedRates = ({ contenders }: SpeculationResult["synthetic"][number]): number[] =>
        contenders.filter(({ length }) => typeof length === "number").map((each) => Number(each.acceptanceRate));
    const synthetic = new Map(result?.synthetic.map((each) => [each.acceptance, fixedRates(each)]));
    expect(synthetic.get(0)).toEqual(new Array(5).fill(0));
    // All of them, but where the arithmetic of another batch turns a near-tie.
    expect(Math.min(...(synthetic.get(1) ?? []))).toBeGreaterThan(0.5);
    expect(result?.sequences.map(({ completions }) => completions)).toEqual([1, 4, 8]);
});

test("an inflated model computes the same function", async () => {
    const [original, inflated] = [join(folder, "original.gguf"), join(folder, "inflated.gguf")];
    writeGguf(original, toFloat32(readGguf(demoFile("small-chat"))));
    const inflate = join(repository, "scripts", "inflate-model.mjs");
    await run(process.execPath, [inflate, demoFile("small-chat"), inflated, "--feed-forward", "960"]);

    const complete40 = (ensemble: Ensemble): Promise<CompletionResult> =>
        collect(complete(ensemble, { prompt: "Norway is a country in", maxTokens: 40, sampling: { temperature: 0 } }));
    const before = await withEnsemble(soloRecipe(original), {}, complete40);
    const after = await withEnsemble(soloRecipe(inflated), {}, complete40);
    expect(after.parts.map(({ id }) => id)).toEqual(before.parts.map(({ id }) => id));
    after.parts.forEach(({ logprob }, position) => {
        expect(Math.abs(logprob - Number(before.parts[position]?.logprob))).toBeLessThanOrEqual(LOGPROB);
    });
    // Its feed-forward layers have become five times as wide: 3 layers of 3 matrices of 64 columns.
    expect((await stat(inflated)).size - (await stat(original)).size).toBe(3 * 3 * 64 * (960 - 192) * 4);
});

describe("--out", () => {
    const commands = ["step", "gpu"] as const;
    const attempt = (command: (typeof commands)[number], ...out: string[]): unknown => {
        const { stdout, stderr } = spawnSync(process.execPath, [program, command, ...out], { encoding: "utf8" });
        return { stdout, stderr };
    };

    test.each(
        commands.flatMap((command) =>
            (
                [
                    [
                        ["--out", "/proc/nope/x"],
                        /^--out \/proc\/nope\/x: \/proc\/nope cannot be written: ENOENT: .*\. Name/,
                    ],
                    [["--out", `${program}/x`], /^--out .*: .*main\.mjs cannot be written: it is not a folder\. Name/],
                    [["--out", "x".repeat(300)], /^--out x+: .*x(\.json)? cannot be written: ENAMETOOLONG: .*\. Name/],
                    [["--out="], /^--out takes a name/],
                    [["--out", "a", "--out", "b"], /^--out is given more than once/],
                    [["--out"], /Not enough arguments following: out/],
                ] as const
            ).map(([out, reason]) => [command, out, reason] as const),
        ),
    )("of %s is refused before anything is measured: %j", (command, out, reason) => {
        expect(attempt(command, ...out)).toMatchObject({ stdout: "", stderr: expect.stringMatching(reason) });
    });

    test("may not be a folder where one file is written, and what it cannot replace stays", async () => {
        expect(attempt("step", "--out", folder)).toMatchObject({
            stdout: "",
            stderr: `--out ${folder}: ${folder} cannot be written: it is a folder. Name another place.\n`,
        });
        const taken = join(folder, "taken");
        await mkdir(`${taken}.md`, { recursive: true });
        await writeFile(`${taken}.json`, "of yesterday");
        expect(attempt("gpu", "--out", `${taken}.json`)).toMatchObject({
            stdout: "",
            stderr: `--out ${taken}.json: ${taken}.md cannot be written: it is a folder. Name another place.\n`,
        });
        expect(await readFile(`${taken}.json`, "utf8")).toBe("of yesterday");
    });
});

test("ends quietly when nobody reads on, as `head` does", async () => {
    const args = ["step", "--family", "demo", "--threads", "1", "--rounds", "1", "--tokens", "2"];
    const child = spawn(process.execPath, [program, ...args]);
    child.stdout.destroy();
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    expect({ end: await once(child, "close"), said }).toEqual({ end: [0, null], said: "" });
});

test("says what it has no use for", async () => {
    await expect(run(process.execPath, [program, "step", "--family", "unknown"])).rejects.toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/unknown.*demo/s),
    });
});
