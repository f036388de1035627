/** `eft-llama eval`, as a shell sees it: the paper's experiments in a small version, one's own, and interruptions. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ExperimentReport } from "../../src/index.js";
import { demoFile } from "../helpers/demo.js";
import { writeQuestions } from "../helpers/evaluation.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { hasTerminal, program, run, runOnTerminal } from "./run.js";

let folder: string;
let remove: () => void;
beforeAll(() => {
    ({ folder, remove } = temporaryFolder());
});
afterAll(() => remove());

const CPU = ["--backend", "cpu", "--threads", "1"];

function readReports(out: string): ExperimentReport[] {
    const { experiments } = JSON.parse(readFileSync(path.join(out, "report.json"), "utf8")) as {
        experiments: ExperimentReport[];
    };
    return experiments;
}

describe("the paper's experiments", () => {
    const LIMIT = 6;
    let out: string;
    beforeAll(() => {
        out = path.join(folder, "paper");
    });

    test("run on the demo family", async () => {
        const { code, stderr, stdout } = await run([
            ...["eval", "paper", "--family", "demo", "--limit", String(LIMIT), "--out", out],
            ...CPU,
        ]);
        expect(stderr).toBe("");
        expect(code).toBe(0);
        expect(stdout).toContain("Scale of pre-training against scale of fine-tuning");
        expect(stdout).toContain(path.join(out, "report.html"));
        const reports = readReports(out);
        expect(reports.map(({ experiment }) => experiment)).toEqual([
            ...["scale", "dial", "speculation", "conservative", "amplified", "distance", "quantization"],
        ]);
        for (const { cells, plots } of reports) {
            expect(cells.length).toBeGreaterThan(0);
            expect(plots.length).toBeGreaterThan(0);
            for (const { count } of cells) expect(count).toBeLessThanOrEqual(LIMIT);
        }
    });

    test("leave a report that a browser can show by itself", () => {
        const html = readFileSync(path.join(out, "report.html"), "utf8");
        expect(html.match(/<svg/g)?.length).toBeGreaterThan(10);
        expect(html).not.toMatch(/<script|<link|src=|@import/);
        const markdown = readFileSync(path.join(out, "report.md"), "utf8");
        const images = [...markdown.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)].map(([, image = ""]) => image);
        expect(images.length).toBeGreaterThan(10);
        for (const image of images) expect(existsSync(path.join(out, image))).toBe(true);
    });

    test("are not run again", async () => {
        const before = readFileSync(path.join(out, "scale", "answers.jsonl"), "utf8");
        const { code } = await run(["eval", "paper", "--limit", String(LIMIT), "--out", out, ...CPU]);
        expect(code).toBe(0);
        expect(readFileSync(path.join(out, "scale", "answers.jsonl"), "utf8")).toBe(before);
    });

    test("run on a family of one's own, as far as it goes", async () => {
        const family = path.join(folder, "family.yaml");
        writeFileSync(path.join(folder, "facts.jsonl"), '{"prompt":"What is the capital of Peru?","answer":"Lima"}\n');
        writeFileSync(
            family,
            `eval: 1
name: mine
members:
  small: { model: ${demoFile("small-base", "q8_0")} }
  small_chat: { model: ${demoFile("small-chat", "q8_0")} }
  large: { model: ${demoFile("large-base", "q8_0")} }
prompt: { template: from small_chat }
tasks: { facts: { file: facts.jsonl, graders: { factual: contains } } }
maxTokens: 12
`,
        );
        const mine = path.join(folder, "mine");
        const { code, stdout, stderr } = await run(["eval", "paper", "--family", family, "--out", mine, ...CPU]);
        expect(stderr).toMatch(/^(?:Left out: .*\n)+$/);
        expect(code).toBe(0);
        expect(stderr).toContain('Left out: system "large-chat": there is no large_chat');
        expect(stdout).not.toContain("Left out");
        const scale = readReports(mine).find(({ experiment }) => experiment === "scale");
        const upScaled = scale?.cells.filter(
            ({ system, measure }) => system === "EFT, up-scaled" && measure === "factual",
        );
        expect(upScaled?.map(({ settings }) => settings)).toEqual([{ temperature: 0 }, { temperature: 1 }]);
        expect(upScaled?.[0]?.mean).toBe(1);
    });
});

describe("mistakes and interruptions", () => {
    const experiment = (questions: number): string => writeQuestions(folder, demoFile("small-chat"), questions);

    test("a wrong task file is reported with line and column", async () => {
        const file = experiment(1);
        const tasks = path.join(folder, "many.jsonl");
        writeFileSync(tasks, '{"prompt":"a","answer":"b"}\n{"prompt":"a","answer":3}\n');
        const { code, stderr } = await run(["eval", file, "--out", path.join(folder, "wrong")]);
        expect(code).toBe(1);
        expect(stderr).toMatch(/^eft-llama: .*many\.jsonl:2:\d+: /);
        expect(existsSync(path.join(folder, "wrong"))).toBe(false);
    });

    test("wrong usage", async () => {
        for (const args of [[], ["x.yaml", "--limit", "0"], ["x.yaml", "--judge-url", "http://127.0.0.1:1"]]) {
            expect((await run(["eval", ...args])).code).toBe(2);
        }
    });

    /** Preloaded into the program: Ctrl-C arrives in the middle of a call of `node:fs/promises`, however busy the machine is. */
    const interruptAt = (call: "appendFile" | "rename", condition: string): { NODE_OPTIONS: string } => {
        const file = path.join(folder, `interrupt-${call}.mjs`);
        writeFileSync(
            file,
            `import fs from "node:fs/promises";
import { once } from "node:events";
import { syncBuiltinESMExports } from "node:module";
const { ${call}: original } = fs;
let count = 0;
fs.${call} = async (...args) => {
    await original(...args);
    if (!(${condition})) return;
    // Waiting for a signal keeps no process alive.
    const alive = setInterval(() => {}, 1000);
    const interrupted = once(process, "SIGINT");
    process.kill(process.pid, "SIGINT");
    await interrupted;
    clearInterval(alive);
};
syncBuiltinESMExports();
`,
        );
        return { NODE_OPTIONS: `--import ${pathToFileURL(file).href}` };
    };

    test("Ctrl-C keeps the answers, and the same command goes on", async () => {
        if (!hasTerminal) return;
        const file = experiment(40);
        const out = path.join(folder, "interrupted");
        const answers = path.join(out, "mine", "answers.jsonl");
        const lines = (): string[] => (existsSync(answers) ? readFileSync(answers, "utf8").trimEnd().split("\n") : []);
        const screen = runOnTerminal(
            `"${process.execPath}" "${program}" eval ${file} --out ${out} ${CPU.join(" ")}; echo code $?`,
            interruptAt("appendFile", 'args[0].endsWith("answers.jsonl") && ++count === 15'),
        );
        expect(screen).toMatch(/mine: chat/);
        expect(screen).toContain("code 130");
        expect(screen).toContain("run it again to go on");
        const kept = lines();
        expect(kept.length).toBeGreaterThanOrEqual(16);
        expect(kept.length).toBeLessThan(41);
        expect(existsSync(path.join(out, "report.html"))).toBe(false);
        const { code } = await run(["eval", file, "--out", out, ...CPU]);
        expect(code).toBe(0);
        expect(lines().slice(0, kept.length)).toEqual(kept);
        expect(lines()).toHaveLength(41);
    });

    test.each([
        ["after the last answer", "appendFile", 'args[0].endsWith("answers.jsonl") && ++count === 3'],
        ["while the report is written", "rename", 'args[1].endsWith("report.html")'],
    ] as const)("Ctrl-C %s leaves a whole report, and that is no failure", async (_, call, condition) => {
        const file = experiment(3);
        const out = path.join(folder, `late-${call}`);
        const env = interruptAt(call, condition);
        const { code, stdout, stderr } = await run(["eval", file, "--out", out, ...CPU], { env });
        expect(stderr).toBe("");
        expect(code).toBe(0);
        expect(stdout).toContain(path.join(out, "report.html"));
        expect(readReports(out)[0]?.cells[0]?.count).toBe(3);
    });
});
