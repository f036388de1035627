/** The kit that measures a GPU, on the CPU: that it says what it promises, and that a fault would not get past it. */

import { execFile, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { compareScores, compareTexts, F16_BATCHING, F32_FORCED } from "../../bench/gpu/near-ties.mjs";
import { collect, complete, score, type CompletionResult, type Ensemble, type Score } from "../../src/index.js";
import { demoFile, QUESTIONS, repository, soloRecipe, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import * as tolerances from "../helpers/tolerances.js";

interface Report {
    readonly benchmark: string;
    readonly date: string;
    readonly backend: string;
    readonly machine: { readonly cpu: string };
    readonly parts: readonly {
        readonly letter: string;
        readonly state: string;
        readonly tables: readonly { readonly title: string; readonly rows: readonly (readonly unknown[])[] }[];
        readonly checks: readonly { readonly what: string; readonly tokens: number; readonly isGood: boolean }[];
        readonly remarks: readonly string[];
    }[];
}

const program = join(repository, "bench", "main.mjs");
const run = promisify(execFile);
const flags = (out: string, ...more: string[]): string[] => [
    program,
    "gpu",
    "--quick",
    "--backend",
    "cpu",
    "--out",
    out,
    ...more,
];

jest.setTimeout(300_000);

let folder: string;
beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "eft-llama-bench-gpu-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function readReport(prefix: string): Promise<Report> {
    return JSON.parse(await readFile(`${prefix}.json`, "utf8")) as Report;
}

test("checks what the device says, and writes it down for programs and for documents", async () => {
    const { stdout } = await run(process.execPath, flags(`${folder}/`, "--parts", "a", "--minutes", "60"));
    const report = await readReport(join(folder, "gpu"));
    expect(report).toMatchObject({ benchmark: "gpu", backend: "cpu" });
    expect(report.parts.map(({ letter, state }) => [letter, state])).toEqual([
        ["device", "complete"],
        ["a", "complete"],
    ]);
    const [, { checks, tables }] = report.parts as [unknown, Report["parts"][number]];
    expect(checks.length).toBeGreaterThan(9);
    expect(tables[0]?.rows).toHaveLength(checks.length);
    for (const { what, tokens, isGood } of checks) {
        expect({ what, isGood, hasTokens: tokens > 30 }).toEqual({ what, isGood: true, hasTokens: true });
        expect(stdout).toContain(what);
    }
    const markdown = await readFile(join(folder, "gpu.md"), "utf8");
    const [, section = ""] = markdown.split("## a. Correctness");
    expect(section).toContain(`Measured on ${report.machine.cpu}, ${report.date.slice(0, 10)}`);
    expect(section.match(/^\| the CPU .+ \| ok \|$/gm)).toHaveLength(checks.length);
    expect(stdout).toContain("There is no GPU here, or it was not asked for");
});

test("ends when its time is up, which is no failure, and says what it has not measured", async () => {
    const prefix = join(folder, "short");
    const { code, stdout } = await run(process.execPath, flags(prefix, "--parts", "a,c", "--minutes", "0.0001")).then(
        ({ stdout }) => ({ code: 0, stdout }),
        ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
    );
    expect(stdout).toMatch(/^Not measured: (at least )?\d+, for reasons given above\.$/m);
    const { parts } = await readReport(prefix);
    expect(parts.map(({ letter }) => letter)).toEqual(["device", "a", "c"]);
    // On a machine with too much to do, a part does not come to its end in the seconds that it is left.
    expect(code).toBe(parts.every(({ state }) => state === "complete") ? 0 : 1);
    for (const { state, checks, remarks } of parts.slice(1)) {
        expect(["complete", "out of time"]).toContain(state);
        expect(checks).toEqual([]);
        expect(remarks.join("\n")).toMatch(/not measured, the time was up|was ended/);
    }
});

test.each([
    ["SIGTERM", 143],
    // A connection that is gone.
    ["SIGHUP", 129],
] as const)("leaves what it has when it is ended by %s, and no models", async (signal, code) => {
    const prefix = join(folder, `ended-${signal}`);
    const models = join(folder, `models-${signal}`);
    await mkdir(models);
    const child = spawn(process.execPath, flags(prefix, "--parts", "a", "--minutes", "60"), {
        env: { ...process.env, TMPDIR: models },
    });
    const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
    let said = "";
    for await (const text of child.stdout.setEncoding("utf8")) {
        said += String(text);
        // By then the first check is in the files.
        if (said.includes("up-scaling, Q4_0") && !child.killed) child.kill(signal);
    }
    expect(await closed).toBe(code);
    const { parts } = await readReport(prefix);
    expect(parts[1]?.state).toBe("stopped");
    expect(parts[1]?.checks[0]).toMatchObject({
        what: expect.stringContaining("up-scaling, F16"),
        isGood: true,
    });
    expect(await readdir(models)).toEqual([]);
});

test("a part whose kit is gone removes the models and ends", async () => {
    const models = await mkdtemp(join(folder, "abandoned-"));
    await writeFile(join(models, "model.gguf"), "");
    const settings = { backend: "cpu", quick: true, folder: models, seconds: 3600, device: { name: "the CPU" } };
    const part = join(repository, "bench", "gpu", "part.mjs");
    const child = fork(part, ["a", JSON.stringify(settings)], { stdio: "ignore" });
    // It has begun to measure.
    await once(child, "message");
    child.disconnect();
    expect(await once(child, "exit")).toEqual([1, null]);
    expect(existsSync(models)).toBe(false);
});

test("leaks are not judged by fewer cycles than it takes, and all that was loaded is disposed of", async () => {
    const text =
        `import { withDisposables } from "./bench/disposables.mjs"; import { countLeaks } from "./bench/gpu/memory.mjs";` +
        `const said = []; const keepTwo = async (keep) => { for (const name of ["a", "b"])` +
        `await keep({ dispose: () => said.push(name) }); await keep(Promise.reject(new Error("no room"))); };` +
        `await withDisposables(keepTwo).catch(({ message }) => said.push(message));` +
        `import { importLibrary, importNative } from "./bench/families.mjs";` +
        `const kit = { library: await importLibrary(), native: await importNative(), backend: "cpu" };` +
        `await countLeaks(kit, {}, 0).catch(({ constructor, message }) => said.push(constructor.name, message));` +
        `console.log(JSON.stringify(said));`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "--expose-gc", "-e", text], {
        cwd: repository,
    });
    expect(JSON.parse(stdout)).toEqual(["b", "a", "no room", "NotHere", expect.stringMatching(/time for 0 of/)]);
});

describe("the conclusion", () => {
    /** What a report prints and returns after `body`, which gets it. */
    async function conclude(body: string): Promise<{ said: string; isGood: boolean }> {
        const out = JSON.stringify(join(folder, "conclusion"));
        const text =
            `import { createReport } from "./bench/gpu/report.mjs"; const report = await createReport({ out: ${out} });` +
            `${body}; report.conclude(); console.log(report.isGood());`;
        const { stdout } = await run(process.execPath, ["--input-type=module", "-e", text], { cwd: repository });
        return { said: stdout, isGood: stdout.endsWith("\ntrue\n") };
    }
    const part = (result: object, ...end: string[]): string =>
        `{ const part = report.begin("a", 1); part.update({ progress: "first", result: ${JSON.stringify(result)} });` +
        `part.finish(...${JSON.stringify(end)}); }`;

    test.each([
        ["a complete part", part({}, "complete"), true, undefined],
        ["a failed measurement", part({ failures: ["a"] }, "complete"), false, undefined],
        ["one in a part that was late", part({ failures: ["a"] }, "out of time"), false, "at least 1"],
        ["a crash", part({}, "failed", "a"), false, undefined],
        ["a check that failed", part({ checks: [{ what: "a", isGood: false }] }, "out of time"), false, "at least 1"],
        ["measurements without time", part({ skipped: ["a", "b"] }, "complete"), true, "2"],
        ["a part that was ended after one", part({ skipped: ["a"] }, "out of time"), false, "at least 2"],
    ])("%s", async (_name, body, isGood, skipped) => {
        const conclusion = await conclude(body);
        expect(conclusion.isGood).toBe(isGood);
        expect(/^Not measured: (.*), for/m.exec(conclusion.said)?.[1]).toBe(skipped);
        expect(conclusion.said.includes("FAILED parts: a")).toBe(/failures|"failed"|"out of time"/.test(body));
    });
});

test("says why there is no such device, and measures nothing", async () => {
    const backend = process.platform === "darwin" ? "vulkan" : "metal";
    const prefix = join(folder, "none");
    await expect(run(process.execPath, [program, "gpu", "--backend", backend, "--out", prefix])).rejects.toMatchObject({
        code: 1,
        stdout: expect.stringContaining(`FAILED: The backend ${backend} cannot be used: `),
    });
    expect((await readReport(prefix)).parts.map(({ state }) => state)).toEqual(["failed"]);
});

test.each([
    [["--parts", "a,x"], "x"],
    [["--minutes", "0"], "--minutes"],
    [["--backend", "abacus"], "abacus"],
])("refuses %j", async (more, reason) => {
    await expect(
        run(process.execPath, [program, "gpu", "--out", join(folder, "refused"), ...more]),
    ).rejects.toMatchObject({
        stderr: expect.stringContaining(reason),
    });
});

describe("the rule of near-ties", () => {
    const ask = (ensemble: Ensemble): Promise<CompletionResult> =>
        collect(complete(ensemble, { prompt: QUESTIONS[1], scores: true, seed: 3, sampling: { temperature: 0 } }));
    const solo = (ensemble: Ensemble): Promise<Score[]> =>
        score(ensemble, [{ context: "Lima is", continuation: " the capital of Peru." }]);
    let right: CompletionResult, other: CompletionResult;
    let scores: Score[], otherScores: Score[];
    beforeAll(async () => {
        right = await withEnsemble(upscalingRecipe(), {}, ask);
        other = await withEnsemble(soloRecipe(demoFile("small-chat")), {}, ask);
        scores = await withEnsemble(soloRecipe(demoFile("small-chat")), {}, solo);
        otherScores = await withEnsemble(soloRecipe(demoFile("small-base")), {}, solo);
    });
    /** A result whose log-probabilities are off by so much at every token. */
    const shifted = (by: number): CompletionResult => ({
        ...right,
        parts: right.parts.map((part) => ({
            ...part,
            scores: part.scores?.map((value) => value + by) ?? new Float32Array(0),
        })),
    });
    const options = { tolerance: 0.18 };

    test("has the tests' tolerances", () => {
        expect([F16_BATCHING, F32_FORCED]).toEqual([tolerances.F16_BATCHING, tolerances.F32_FORCED]);
    });

    test("passes what is the same, and what differs by less than is explained", () => {
        expect(compareTexts([[right, right]], options)).toMatchObject({
            isGood: true,
            largest: 0,
            tokens: right.parts.length,
        });
        expect(compareTexts([[right, shifted(0.1)]], options)).toMatchObject({
            isGood: true,
            largest: expect.closeTo(0.1),
        });
        expect(compareScores([[scores[0] as Score, scores[0] as Score]], options)).toMatchObject({
            isGood: true,
            largest: 0,
        });
    });

    test("measures the margin of a first difference and passes a near-tie alone", () => {
        const at = 2;
        const swap = (distance: number): CompletionResult => {
            const reference = right.parts[at]?.scores as Float32Array;
            const id = right.parts[at]?.id as number;
            const rival = (id + 1) % reference.length;
            const row = Float32Array.from(reference);
            row[rival] = (row[id] ?? NaN) - distance;
            return {
                ...right,
                parts: right.parts.map((part, index) => (index === at ? { ...part, scores: row } : part)),
            };
        };
        const drewRival = (result: CompletionResult): CompletionResult => ({
            ...result,
            parts: result.parts.map((part, index) => (index === at ? { ...part, id: (part.id + 1) % 2048 } : part)),
        });
        const near = compareTexts([[swap(0.2), drewRival(swap(0.2))]], options);
        expect(near).toMatchObject({
            isGood: true,
            margin: expect.closeTo(0.2),
            first: "text 1, token 3",
            tokens: 3,
        });
        expect(compareTexts([[swap(0.5), drewRival(swap(0.5))]], options)).toMatchObject({ isGood: false });
    });

    test.each<[string, () => { isGood: boolean }]>([
        ["no text at all", () => compareTexts([], options)],
        ["another model's text", () => compareTexts([[right, other]], options)],
        [
            "a text that ends early",
            () => compareTexts([[right, { ...right, parts: right.parts.slice(0, 2) }]], options),
        ],
        ["a text that goes on", () => compareTexts([[{ ...right, parts: right.parts.slice(0, 2) }, right]], options)],
        ["log-probabilities that are off", () => compareTexts([[right, shifted(0.3)]], options)],
        ["log-probabilities that are no numbers", () => compareTexts([[right, shifted(NaN)]], options)],
        ["no scores", () => compareScores([], options)],
        ["another model's scores", () => compareScores([[scores[0] as Score, otherScores[0] as Score]], options)],
        [
            "a score that is no number",
            () => compareScores([[scores[0] as Score, { ...(scores[0] as Score), logprobs: [NaN] }]], options),
        ],
    ])("fails %s", (_name, compare) => {
        expect(compare().isGood).toBe(false);
    });
});
