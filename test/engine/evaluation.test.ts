/** Experiments that really run, on the demo family. */

import { createHash } from "node:crypto";
import {
    appendFileSync,
    copyFileSync,
    existsSync,
    mkdirSync,
    readFileSync,
    rmSync,
    statSync,
    utimesSync,
    writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { text as readStream } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { loadExperiment } from "../../src/eval/experiment.js";
import { createJudge } from "../../src/eval/judge/index.js";
import { runExperiment, type RunOptions } from "../../src/eval/run.js";
import type { Answer, ExperimentReport } from "../../src/eval/types.js";
import { collect, complete } from "../../src/index.js";
import { tryLock } from "../../src/lock.js";
import { demoFile, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { F16_BATCHING } from "../helpers/tolerances.js";

const QUESTIONS = [
    { id: "peru", prompt: "What is the capital of Peru?", answer: "Lima", group: "capitals" },
    { id: "japan", prompt: "What is the capital of Japan?", answer: "Tokyo", group: "capitals" },
    { id: "france", prompt: "What money do people in France use?", answer: ["euro", "Euro"], group: "others" },
];
const CHOICES = [
    { prompt: "What is the capital of Peru?", choices: [" Its capital is Lima.", " Its capital is Oslo."], correct: 0 },
    {
        prompt: "What is the capital of Japan?",
        choices: [" Its capital is Rome.", " Its capital is Tokyo."],
        correct: 1,
    },
];
const HEAD = `eval: 1
name: test
members:
  large: { model: ${demoFile("large-base")} }
  chat: { model: ${demoFile("small-chat")} }
  small: { model: ${demoFile("small-base")} }
prompt: { template: from chat }
sampling: { temperature: 0 }
maxTokens: 16
`;
const EFT = "chat + beta * (large - small)";

let folder: string;
let remove: () => void;
beforeEach(() => {
    ({ folder, remove } = temporaryFolder());
    const lines = (items: readonly object[]): string => items.map((item) => `${JSON.stringify(item)}\n`).join("");
    writeFileSync(path.join(folder, "questions.jsonl"), lines(QUESTIONS));
    writeFileSync(path.join(folder, "choices.jsonl"), lines(CHOICES));
    writeFileSync(path.join(folder, "prose.jsonl"), lines([{ text: "The capital of Peru is Lima." }]));
});
afterEach(() => remove());

const answersFile = (): string => path.join(folder, "results", "test", "answers.jsonl");

async function run(yaml: string, options: Partial<RunOptions> = {}): Promise<ExperimentReport> {
    const file = path.join(folder, "experiment.yaml");
    writeFileSync(file, HEAD + yaml);
    const { experiment } = await loadExperiment(file);
    const load = { backend: "cpu", threads: 1, sequences: 4 } as const;
    return runExperiment(experiment, { folder: path.join(folder, "results"), load, ...options });
}

function readAnswers(): Answer[] {
    const [, ...lines] = readFileSync(answersFile(), "utf8").trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as Answer);
}

function meanOf({ cells }: ExperimentReport, system: string, measure: string, settings = {}): number | undefined {
    const matches = cells.filter(
        (cell) => cell.system === system && cell.measure === measure && cell.group === undefined,
    );
    return matches.find((cell) => Object.entries(settings).every(([name, value]) => cell.settings[name] === value))
        ?.mean;
}

describe("questions", () => {
    const EXPERIMENT = `
systems:
  EFT: { combination: "${EFT}", parameters: { beta: [0, 1] } }
  large: { combination: large }
tasks: { facts: { file: questions.jsonl, graders: { right: contains } } }
baselines: [large]
`;

    test("are answered as complete() answers them, and graded", async () => {
        const report = await run(EXPERIMENT);
        expect(meanOf(report, "EFT", "right", { beta: 1 })).toBe(1);
        expect(meanOf(report, "large", "right")).toBeLessThan(1);
        const answers = readAnswers();
        expect(answers).toHaveLength(3 * QUESTIONS.length);
        await withEnsemble(upscalingRecipe(), { sequences: 1 }, async (ensemble) => {
            for (const { id, prompt } of QUESTIONS) {
                const sampling = { temperature: 0 };
                const { text } = await collect(complete(ensemble, { prompt, sampling, maxTokens: 16 }));
                const answer = answers.find(({ item, settings }) => item === id && settings["beta"] === 1);
                expect(answer?.text).toBe(text);
            }
        });
        const groups = report.cells.filter(
            ({ system, measure, settings }) => system === "EFT" && measure === "right" && settings["beta"] === 1,
        );
        expect(groups.map(({ group, count }) => [group, count])).toEqual([
            [undefined, 3],
            ["capitals", 2],
            ["others", 1],
        ]);
        const compared = report.cells.find(({ system, settings }) => system === "EFT" && settings["beta"] === 1);
        expect(compared?.comparisons.map(({ baseline }) => baseline)).toEqual(["large"]);
    });

    test.each([
        ["before the first answer", 0, false],
        ["after some", 2, false],
        ["after some, to restart", 2, true],
    ])("are not lost where another evaluation begins in their folder: %s", async (_, done, restart) => {
        let second: Promise<ExperimentReport> | undefined;
        const begin = (): void => void (second ??= run(EXPERIMENT, { restart }));
        await run(EXPERIMENT, {
            load: { backend: "cpu", threads: 1, sequences: 1, ...(done === 0 && { onProgress: begin }) },
            onProgress: (progress) => (progress.done === done ? begin() : undefined),
        });
        const first = readFileSync(answersFile(), "utf8");
        expect(readAnswers()).toHaveLength(9);
        await second;
        expect(second).toBeDefined();
        expect(readAnswers()).toHaveLength(9);
        if (!restart) expect(readFileSync(answersFile(), "utf8")).toBe(first);
    });

    test("are left alone while another evaluation is at work", async () => {
        await run(EXPERIMENT);
        const before = readFileSync(answersFile(), "utf8");
        const lock = await tryLock(answersFile());
        try {
            await expect(run(EXPERIMENT, { restart: true })).rejects.toMatchObject({
                code: "RESULTS_BUSY",
                message: expect.stringContaining(path.dirname(answersFile())) as unknown,
            });
            expect(readFileSync(answersFile(), "utf8")).toBe(before);
        } finally {
            await lock?.release();
        }
    });

    test("are not asked again, and a line that was cut off is", async () => {
        await run(EXPERIMENT);
        const lines = readFileSync(answersFile(), "utf8").trimEnd().split("\n");
        const kept = lines.slice(0, 5);
        writeFileSync(answersFile(), `${kept.join("\n")}\n`);
        appendFileSync(answersFile(), (lines[5] ?? "").slice(0, 40));
        const seen: number[] = [];
        await run(EXPERIMENT, { onProgress: ({ done, total }) => void seen.push(done, total) });
        expect(seen.filter((_, index) => index % 2 === 0)).toEqual([5, 6, 7, 8, 9]);
        expect(readFileSync(answersFile(), "utf8").trimEnd().split("\n").slice(0, 5)).toEqual(kept);
        const again = readAnswers().map(({ system, settings, item, text }) =>
            JSON.stringify([system, settings, item, text]),
        );
        expect(again.sort()).toEqual(
            lines
                .slice(1)
                .map((line) => {
                    const { system, settings, item, text } = JSON.parse(line) as Answer;
                    return JSON.stringify([system, settings, item, text]);
                })
                .sort(),
        );
        const untouched = await run(EXPERIMENT, { onProgress: () => expect("an answer").toBe("none") });
        expect(meanOf(untouched, "EFT", "right", { beta: 1 })).toBe(1);
    });

    const HEADER = 1;
    const damages: [name: string, line: number, replace: (line: string) => string][] = [
        ["half a line", 2, (line) => `?${line.slice(1)}`],
        ...["null", "{}", "[]", "3", '"text"', '{"eval":1}'].flatMap(
            (text): [string, number, (line: string) => string][] => [
                [`the first is ${text}`, HEADER, () => text],
                [`another is ${text}`, 3, () => text],
            ],
        ),
        ...(
            [
                { system: 3 },
                { settings: null },
                { settings: { a: [] } },
                { grades: null },
                { grades: { right: "1" } },
                { grades: { right: [1, 2, 3] } },
                { text: 3 },
                { tokens: [null] },
                { tokens: {} },
                { seed: "1" },
            ] as const
        ).map((wrong): [string, number, (line: string) => string] => [
            `it has ${JSON.stringify(wrong)}`,
            4,
            (line) => JSON.stringify({ ...(JSON.parse(line) as object), ...wrong }),
        ]),
        ["a byte that is no text", 2, (line) => line.replace(/.$/, "\ufffe")],
    ];
    test("that were damaged are named, and nothing of them is lost", async () => {
        await run(EXPERIMENT);
        const whole = readFileSync(answersFile(), "utf8").split("\n");
        const rejected = async (number: number): Promise<void> => {
            const before = readFileSync(answersFile());
            await expect(run(EXPERIMENT)).rejects.toMatchObject({
                code: "RESULTS_MISMATCH",
                message: expect.stringMatching(`^Line ${number} of .*answers\\.jsonl is damaged\\.`) as unknown,
            });
            expect(readFileSync(answersFile())).toEqual(before);
        };
        for (const [name, number, replace] of damages) {
            const lines = whole.map((line, index) => (index === number - 1 ? replace(line) : line));
            const bytes = Buffer.from(lines.join("\n"));
            const odd = bytes.indexOf("\ufffe");
            if (odd >= 0) bytes[odd] = 0xff;
            writeFileSync(answersFile(), bytes);
            await rejected(number).catch((cause: unknown) => {
                throw new Error(name, { cause });
            });
        }
        // Something else of that name, and a line after an empty one.
        writeFileSync(answersFile(), "my notes");
        await rejected(1);
        writeFileSync(answersFile(), [whole[0], "", "null", ""].join("\n"));
        await rejected(3);
    });

    test("in a place that cannot be read are not written over", async () => {
        mkdirSync(answersFile(), { recursive: true });
        await expect(run(EXPERIMENT)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    });

    test("an infinite divergence is read again as it was", async () => {
        await run(EXPERIMENT);
        const lines = readFileSync(answersFile(), "utf8").trimEnd().split("\n");
        const changed = { ...(JSON.parse(lines[1] ?? "") as Answer), grades: { right: 0, divergence: [Infinity, 4] } };
        writeFileSync(answersFile(), `${[lines[0], JSON.stringify(changed), ...lines.slice(2)].join("\n")}\n`);
        const report = await run(EXPERIMENT);
        expect(meanOf(report, changed.system, "divergence", changed.settings)).toBe(Infinity);
    });

    test("to a text that is far too long say so without tokenizing it, with the name of the item", async () => {
        const long = { id: "long", prompt: "a ".repeat(500_000), answer: "Lima" };
        writeFileSync(path.join(folder, "questions.jsonl"), `${JSON.stringify(long)}\n`);
        const error = { code: "CONTEXT_OVERFLOW" };
        await expect(run(EXPERIMENT)).rejects.toMatchObject({
            ...error,
            message: expect.stringMatching(/^The item "long" of the task "facts": .* more than \d+ tokens/) as unknown,
        });
    });

    test("to a passage that is longer than the context come from windows", async () => {
        const text = "Lima is the capital of Peru. ".repeat(60);
        writeFileSync(path.join(folder, "prose.jsonl"), `${JSON.stringify({ id: "long", text })}\n`);
        const passages = "systems: { small: { combination: small } }\ntasks: { prose: { file: prose.jsonl } }\n";
        const report = await run(passages, { restart: true });
        expect(meanOf(report, "small", "perplexity")).toBeGreaterThan(1);
        const [, line = ""] = readFileSync(answersFile(), "utf8").trimEnd().split("\n");
        const { perplexity } = (JSON.parse(line) as Answer).grades;
        expect(perplexity).toEqual([expect.any(Number), expect.any(Number)]);
        // Every token counts once.
        expect((perplexity as readonly number[])[1]).toBeGreaterThan(400);
    });

    test("need a place to be written to", async () => {
        const place = path.join(folder, "questions.jsonl");
        await expect(run(EXPERIMENT, { folder: place })).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
    });

    test("say what they took only if they were given in one run", async () => {
        expect((await run(EXPERIMENT)).seconds).toBeGreaterThan(0);
        expect(await run(EXPERIMENT)).not.toHaveProperty("seconds");
    });

    test("of another experiment are refused, unless it restarts", async () => {
        await run(EXPERIMENT);
        const other = EXPERIMENT.replace("[0, 1]", "[0.5]");
        const before = readFileSync(answersFile(), "utf8");
        await expect(run(other)).rejects.toMatchObject({ code: "RESULTS_MISMATCH" });
        expect(readFileSync(answersFile(), "utf8")).toBe(before);
        await run(other, { restart: true });
        expect(readAnswers()).toHaveLength(2 * QUESTIONS.length);
    });

    test("that are all there when the signal fires make a whole report", async () => {
        const controller = new AbortController();
        const onProgress = ({ done, total }: { done: number; total: number }): void => {
            if (done === total) controller.abort();
        };
        const report = await run(EXPERIMENT, { signal: controller.signal, onProgress });
        expect(report.cells.filter(({ group }) => group === undefined).map(({ count }) => count)).toEqual(
            expect.arrayContaining([QUESTIONS.length]),
        );
        expect(readAnswers()).toHaveLength(3 * QUESTIONS.length);
    });

    test("stop when the signal fires, and what was answered is kept", async () => {
        const controller = new AbortController();
        const onProgress = ({ done }: { done: number }): void => {
            if (done === 2) controller.abort();
        };
        await expect(run(EXPERIMENT, { signal: controller.signal, onProgress })).rejects.toMatchObject({
            code: "ABORTED",
        });
        const count = readAnswers().length;
        expect(count).toBeGreaterThanOrEqual(2);
        expect(count).toBeLessThan(3 * QUESTIONS.length);
        await run(EXPERIMENT);
        expect(readAnswers()).toHaveLength(3 * QUESTIONS.length);
    });

    test("that only a judge can mark need one", async () => {
        const yaml = EXPERIMENT.replace("contains", "{ type: judge, criterion: helpfulness }");
        await expect(run(yaml)).rejects.toMatchObject({ code: "OPTION_INVALID" });
    });
});

test("a report says what it was made with; files are read once, and again when they change", async () => {
    const model = path.join(folder, "elsewhere", "small-chat-f16.gguf");
    mkdirSync(path.dirname(model));
    copyFileSync(demoFile("small-chat"), model);
    const yaml = `
systems:
  EFT: { combination: "${EFT}", parameters: { beta: [0, 1] }, sampling: { temperature: [0, 0.5] } }
  chat: { combination: chat }
tasks: { facts: { file: questions.jsonl, graders: { right: contains } } }
`.replace("chat: { combination: chat }", "chat: { recipe: copy.yaml }");
    writeFileSync(
        path.join(folder, "copy.yaml"),
        `eft: 1\nname: copy\nmembers: { chat: { model: ${model} } }\ncombination: chat\nprompt: { template: plain }\n`,
    );
    const report = await run(yaml, { leftOut: ["a sentence"] });
    const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");
    const chat = { bytes: statSync(model).size, sha256: sha256(model) };
    const demo = path.basename(path.dirname(demoFile("small-chat")));
    expect(report.setup?.files).toEqual([
        { name: "large-base-f16.gguf", ...sizeAndSum("large-base") },
        { name: `${demo}/small-chat-f16.gguf`, ...chat },
        { name: "small-base-f16.gguf", ...sizeAndSum("small-base") },
        { name: "elsewhere/small-chat-f16.gguf", ...chat },
    ]);
    function sizeAndSum(name: "large-base" | "small-base"): { bytes: number; sha256: string } {
        const file = demoFile(name);
        return { bytes: statSync(file).size, sha256: sha256(file) };
    }
    expect(report.setup).toMatchObject({
        answered: [{ answers: 15, setup: { sequences: 4, threads: 1, backend: "cpu", load: {} } }],
        leftOut: ["a sentence"],
    });
    expect(report.setup?.answered[0]?.setup?.contextSize).toBeGreaterThan(16);
    const { templates = {}, prompts = {} } = report.setup ?? {};
    const [name = ""] = Object.keys(templates);
    expect(Object.values(templates)).toEqual([expect.stringContaining("[INST]")]);
    expect(prompts).toEqual({ EFT: { large: name, chat: name, small: name }, chat: { chat: "plain" } });
    const [eft, copy] = report.systems;
    expect(eft).toMatchObject({ parameters: { beta: [0, 1] }, sampling: { temperature: [0, 0.5], topP: 1 } });
    expect(eft?.models).toMatchObject({ chat: `${demo}/small-chat-f16.gguf`, large: "large-base-f16.gguf" });
    expect(copy?.models).toEqual({ chat: "elsewhere/small-chat-f16.gguf" });
    expect(report.tasks).toEqual([
        { name: "facts", kind: "question", items: 3, graders: { right: { type: "contains" } } },
    ]);

    // What is known of a file counts as long as its size and time are the same.
    const store = path.join(folder, "results", "checksums.json");
    const known = JSON.parse(readFileSync(store, "utf8")) as Record<string, { sha256: string }>;
    expect(Object.keys(known)).toHaveLength(4);
    const other = "0".repeat(64);
    for (const entry of Object.values(known)) entry.sha256 = other;
    writeFileSync(store, JSON.stringify(known));
    const sums = ({ setup }: ExperimentReport): string[] => setup?.files.map((file) => file.sha256) ?? [];
    expect(sums(await run(yaml, { restart: true }))).toEqual([other, other, other, other]);
    utimesSync(model, 1, 1);
    expect(sums(await run(yaml, { restart: true }))).toEqual([other, other, other, chat.sha256]);
    writeFileSync(store, "null");
    const checked = new Map<string, number[]>();
    const onCheck = (file: string, fraction: number): void =>
        void checked.set(file, [...(checked.get(file) ?? []), fraction]);
    expect(sums(await run(yaml, { restart: true, onCheck }))).toEqual(report.setup?.files.map((file) => file.sha256));
    expect([...checked.keys()]).toContain(model);
    expect(checked.size).toBe(4);
    for (const fractions of checked.values()) {
        expect(fractions).toEqual(fractions.toSorted((x, y) => x - y));
        expect(fractions.at(-1)).toBe(1);
    }
});

describe("an evaluation that is gone on with", () => {
    const EXPERIMENT = `
systems: { chat: { combination: mine } }
tasks: { facts: { file: questions.jsonl, graders: { right: contains } } }
`;
    const load = { backend: "cpu", threads: 1, sequences: 1 } as const;
    let model: string;
    const withCopy = (options: Partial<RunOptions> = {}): Promise<ExperimentReport> => {
        const yaml = EXPERIMENT.replace("combination: mine", "recipe: copy.yaml");
        return run(yaml, { load, ...options });
    };
    const lines = (): string[] => readFileSync(answersFile(), "utf8").trimEnd().split("\n");
    const interrupt = async (options: Partial<RunOptions> = {}): Promise<void> => {
        const controller = new AbortController();
        const onProgress = (): void => controller.abort();
        await expect(withCopy({ ...options, onProgress, signal: controller.signal })).rejects.toMatchObject({
            code: "ABORTED",
        });
    };
    beforeEach(() => {
        model = path.join(folder, "model.gguf");
        copyFileSync(demoFile("small-chat"), model);
        writeFileSync(
            path.join(folder, "copy.yaml"),
            `eft: 1\nname: copy\nmembers: { chat: { model: ${model} } }\ncombination: chat\nprompt: { template: from chat }\n`,
        );
    });

    test("reports with what each of its answers was given", async () => {
        await interrupt();
        const before = lines();
        expect(before).toHaveLength(2);
        const report = await withCopy({ load: { ...load, threads: 2, contextSize: 256, cacheType: "q8_0" } });
        const common = { backend: "cpu", node: process.version, sequences: 1 };
        const [first, second] = [
            { ...common, threads: 1, load: {} },
            { ...common, threads: 2, contextSize: 256, load: { cacheType: "q8_0" } },
        ];
        const expected = [
            { answers: 1, setup: first },
            { answers: 2, setup: second },
        ];
        expect(report.setup?.answered).toMatchObject(expected);
        // What was there stays as it was; a line says what the answers behind it were given with.
        expect(lines().slice(0, 2)).toEqual(before);
        expect(JSON.parse(lines()[2] ?? "")).toMatchObject({ setup: second });
        expect(lines()).toHaveLength(5);
        // Whoever only reports adds nothing.
        const again = await withCopy({ load: { ...load, threads: 3 } });
        expect(again.setup?.answered).toEqual(report.setup?.answered);
        expect(lines()).toHaveLength(5);
        const damaged = lines().with(2, JSON.stringify({ setup: { ...second, threads: "2" } }));
        writeFileSync(answersFile(), `${damaged.join("\n")}\n`);
        await expect(withCopy()).rejects.toMatchObject({ code: "RESULTS_MISMATCH" });
    });

    test("does so with the same models, whatever their time, and with no others", async () => {
        await interrupt();
        utimesSync(model, 1, 1);
        await interrupt();
        expect(readAnswers()).toHaveLength(2);
        copyFileSync(demoFile("small-base"), model);
        await expect(withCopy()).rejects.toMatchObject({
            code: "RESULTS_MISMATCH",
            message: expect.stringMatching(
                /^.*answers\.jsonl holds answers that were given with another model\.gguf: /,
            ),
        });
        expect(readAnswers()).toHaveLength(2);
        copyFileSync(demoFile("small-chat"), model);
        expect((await withCopy()).setup?.answered).toMatchObject([{ answers: 3 }]);
    });

    test("and whose answers are all there is reported without its models, with what is known of them", async () => {
        const { setup } = await withCopy();
        rmSync(model);
        expect((await withCopy()).setup).toEqual(setup);
        expect(Object.keys(setup?.templates ?? {})).toHaveLength(1);
    });

    test("goes on after answers of versions that did not note what they were given with", async () => {
        await interrupt();
        const file = path.join(folder, "experiment.yaml");
        const { experiment } = await loadExperiment(file);
        const { systems, tasks, maxTokens, seed, interleaved } = experiment;
        const { size, mtimeMs } = statSync(model);
        const models = [[model, size, mtimeMs]];
        const all = JSON.stringify({ systems, tasks, maxTokens, seed, interleaved, models });
        const fingerprint = createHash("sha256").update(all).digest("hex");
        const header = JSON.stringify({ eval: 1, experiment: "test", fingerprint });
        writeFileSync(answersFile(), `${lines().with(0, header).join("\n")}\n`);
        const report = await withCopy();
        expect(report.setup?.answered).toEqual([
            { answers: 1 },
            { answers: 2, setup: expect.objectContaining({ threads: 1 }) },
        ]);
        expect(lines()[0]).toBe(header);
        utimesSync(model, 1, 1);
        await expect(withCopy()).rejects.toMatchObject({
            code: "RESULTS_MISMATCH",
            message: expect.stringContaining("or of other models") as unknown,
        });
    });

    test("can be aborted while its models are read, before anything is loaded or written", async () => {
        const controller = new AbortController();
        const onCheck = (): void => controller.abort();
        await expect(withCopy({ signal: controller.signal, onCheck })).rejects.toMatchObject({ code: "ABORTED" });
        expect(existsSync(path.join(folder, "results"))).toBe(false);
    });
});

test("an answer without a verdict of the judge takes nothing away from the others", async () => {
    let isBad = (_: string): boolean => false;
    const server = createServer((request, response) => {
        void readStream(request).then((body) => {
            const content = isBad(body) ? "I would rather not say." : "Fine.\n**Mark: 10**";
            response.end(JSON.stringify({ choices: [{ message: { content } }] }));
        });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
        const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
        const judge = await createJudge({ url, model: "j", cacheFile: path.join(folder, "judge.jsonl") });
        const yaml = `
systems: { chat: { combination: chat }, EFT: { combination: large + chat - small } }
tasks: { facts: { file: questions.jsonl, graders: { right: contains, helpful: { type: judge, criterion: helpfulness } } } }
`;
        isBad = (body) => body.includes("Japan");
        const report = await run(yaml, { judge });
        const helpful = report.cells.filter(({ measure, group }) => measure === "helpful" && group === undefined);
        expect(helpful.map(({ system, count, mean }) => [system, count, mean])).toEqual([
            ["chat", 2, 1],
            ["EFT", 2, 1],
        ]);
        expect(report.withoutVerdict).toEqual(
            ["chat", "EFT"].map((system) => ({ system, task: "facts", measure: "helpful", count: 1 })),
        );
        expect(report.samples.filter(({ withoutVerdict }) => withoutVerdict !== undefined)).toHaveLength(2);
        expect(report.setup?.judge).toEqual({ address: `${url}/chat/completions`, model: "j", temperature: 0 });
        expect(readAnswers().some((answer) => "withoutVerdict" in answer)).toBe(false);
        // It is asked again the next time.
        isBad = () => false;
        expect((await run(yaml, { judge })).withoutVerdict).toEqual([]);
        isBad = () => true;
        const none = await run(yaml.replace("helpfulness", "factuality"), { judge, restart: true });
        expect(none.cells.filter(({ measure }) => measure === "helpful")).toEqual([]);
        expect(none.withoutVerdict.map(({ count }) => count)).toEqual([3, 3]);
    } finally {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
    }
});

test("choices and passages are scored", async () => {
    const report = await run(`
systems: { EFT: { combination: large + chat - small }, small: { combination: small } }
tasks: { choices: { file: choices.jsonl }, prose: { file: prose.jsonl } }
`);
    expect(meanOf(report, "EFT", "choice")).toBe(1);
    expect(meanOf(report, "EFT", "choicePerCharacter")).toBe(1);
    const [eft, small] = ["EFT", "small"].map((system) => meanOf(report, system, "perplexity") ?? NaN);
    expect(eft).toBeGreaterThan(0);
    expect(small).toBeGreaterThan(0);
});

test("the distance of a system to itself is nothing, to others something, along the same text", async () => {
    const report = await run(`
systems:
  EFT: { combination: large + chat - small }
  same: { combination: 2 * large + chat - small - large }
  chat: { combination: chat }
tasks: { distance: { file: questions.jsonl, compareTo: EFT } }
`);
    expect(meanOf(report, "EFT", "divergence")).toBeUndefined();
    expect(Math.abs(meanOf(report, "same", "divergence") ?? NaN)).toBeLessThan(1e-5);
    expect(meanOf(report, "same", "totalVariation")).toBeLessThan(F16_BATCHING);
    expect(meanOf(report, "same", "sameToken")).toBe(1);
    expect(meanOf(report, "chat", "divergence")).toBeGreaterThan(0.01);
    expect(meanOf(report, "chat", "totalVariation")).toBeGreaterThan(0.01);
    // The reference alone has written texts; all of its tokens count, with that of the end.
    const [reference, other] = ["EFT", "chat"].map((system) =>
        readAnswers().filter((answer) => answer.system === system),
    );
    expect(reference?.every(({ text }) => text !== undefined)).toBe(true);
    expect(other?.every(({ grades, text }) => text === undefined && Array.isArray(grades["divergence"]))).toBe(true);
});

test("systems that take turns are timed, and shown token by token", async () => {
    const report = await run(`
systems: { EFT: { combination: large + chat - small, speculation: { drafter: chat, length: [off, 3] } } }
tasks: { facts: { file: questions.jsonl, graders: { right: contains } } }
interleaved: true
plots: [{ title: T, kind: tokens, y: [facts] }]
`);
    const answers = readAnswers();
    expect(answers.map(({ settings }) => settings["length"])).toEqual(["off", 3, 3, "off", "off", 3]);
    expect(answers.every(({ grades }) => Array.isArray(grades["speed"]))).toBe(true);
    expect(meanOf(report, "EFT", "acceptance", { length: "off" })).toBeUndefined();
    expect(meanOf(report, "EFT", "acceptance", { length: 3 })).toBeGreaterThan(0.3);
    expect(meanOf(report, "EFT", "blockLength", { length: 3 })).toBeGreaterThan(1);
    for (const { settings, text, tokens } of answers) {
        if (settings["length"] === "off") expect(tokens).toBeUndefined();
        else expect(tokens?.map((token) => token.text).join("")).toContain(text);
    }
});
