/** From made-up answers to the three forms of a report. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "@jest/globals";
import { renderHtml, renderJson, renderMarkdown, renderPlot, writeReport } from "../../src/eval/report/index.js";
import { formatCell, formatDifference, formatDuration, formatP, parseReference } from "../../src/eval/report/format.js";
import { nameFiles, namePart } from "../../src/eval/setup.js";
import { mcnemarTest } from "../../src/eval/statistics.js";
import { summarise } from "../../src/eval/summary.js";
import type { AnswerSetup, Cell, Comparison, ExperimentReport, PlotSpec, RunInfo } from "../../src/eval/types.js";
import { fabricateAnswers, fabricateExperiment, fabricateTask, type Behaviour } from "../helpers/evaluation.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { textsOf, xmlProblem } from "../helpers/xml.js";

const LAMBDAS = [0, 0.25, 0.5, 0.75, 1];
const BEHAVIOURS: readonly Behaviour[] = [
    { system: "large-base", right: { head: 0.02, mid: 0.03, tail: 0.02 }, speed: 42 },
    { system: "small-chat", right: { head: 0.9, mid: 0.3, tail: 0.1 }, speed: 130 },
    ...LAMBDAS.map((lambda) => ({
        system: "up-scaled",
        settings: { lambda },
        right: { head: 0.99, mid: 0.98, tail: 0.96 },
        refuses: 0.97 * lambda ** 2,
        speed: 30,
        acceptance: 0.8,
    })),
];
const PLOTS: readonly PlotSpec[] = [
    { title: "Right answers, and speed", kind: "bars", y: ["facts/right", "facts/speed"] },
    {
        title: "Right answers by group",
        kind: "bars",
        y: ["facts/right@head", "facts/right@tail"],
        where: { lambda: 0 },
    },
    { title: "Bars over the dial", kind: "bars", x: "lambda", y: ["facts/right", "facts/refusal"] },
    { title: "The dial", kind: "lines", x: "lambda", y: ["facts/refusal", "facts/right", "facts/speed"] },
    { title: "Helpful against harmless", kind: "frontier", x: "facts/refusal", y: ["facts/right"], along: "lambda" },
    { title: "Token by token", kind: "tokens", y: ["facts"], where: { lambda: 1 } },
];
const INFO: RunInfo = {
    date: "2026-01-02T03:04:05.000Z",
    version: "0.1.0",
    llamaRelease: "b9999",
    node: "v99.1.0",
    platform: "linux x64",
    leftOut: [],
};
/** Of another day and place than the report. */
const SETUP: AnswerSetup = {
    ...{ version: "0.0.9", llamaRelease: "b8888", node: "v98.0.0", platform: "darwin arm64" },
    ...{ backend: "cpu", device: "Some CPU", threads: 2, contextSize: 777, sequences: 5, load: { cacheType: "q8_0" } },
};

const task = fabricateTask("facts", 90);
const experiment = fabricateExperiment(BEHAVIOURS, task, { baselines: ["large-base", "small-chat"], plots: PLOTS });
const answers = fabricateAnswers(BEHAVIOURS, task, 1);
const report = summarise(experiment, answers, 130);

function findCell(of: ExperimentReport, query: Partial<Cell>): Cell {
    const wanted = Object.entries({ group: undefined, ...query });
    const found = of.cells.filter((cell) =>
        wanted.every(([key, value]) => JSON.stringify(cell[key as keyof Cell]) === JSON.stringify(value)),
    );
    expect(found).toHaveLength(1);
    return found[0] as Cell;
}

describe("the summary", () => {
    it("has a cell for each point, measure and group", () => {
        // Three measures of all seven points, acceptance of five; all items and three groups.
        expect(report.cells).toHaveLength((3 * 7 + 5) * 4);
        const cell = findCell(report, { system: "up-scaled", settings: { lambda: 0.5 }, measure: "right" });
        const marks = answers
            .filter(({ system, settings }) => system === "up-scaled" && settings["lambda"] === 0.5)
            .map(({ grades }) => grades["right"] as number);
        expect(cell).toMatchObject({ task: "facts", count: 90 });
        expect(cell.mean).toBeCloseTo(marks.reduce((sum, mark) => sum + mark, 0) / 90, 12);
        expect(findCell(report, { system: "small-chat", measure: "right", group: "tail" }).count).toBe(30);
    });

    it("weighs times by tokens", () => {
        const { mean } = findCell(report, { system: "small-chat", measure: "speed" });
        const times = answers
            .filter(({ system }) => system === "small-chat")
            .map(({ grades }) => grades["speed"] as [number, number]);
        const tokens = times.reduce((sum, [, weight]) => sum + weight, 0);
        expect(mean).toBeCloseTo(times.reduce((sum, [value, weight]) => sum + value * weight, 0) / tokens, 9);
    });

    it("compares each point with the baselines, item by item", () => {
        const { comparisons, mean } = findCell(report, {
            system: "up-scaled",
            settings: { lambda: 0.5 },
            measure: "right",
        });
        expect(comparisons.map(({ baseline }) => baseline)).toEqual(["large-base", "small-chat"]);
        const chat = findCell(report, { system: "small-chat", measure: "right" });
        expect(comparisons[1]?.difference).toBeCloseTo(mean - chat.mean, 12);
        const markOf = (system: string, item: string, lambda?: number): unknown =>
            answers.find((a) => a.system === system && a.item === item && a.settings["lambda"] === lambda)?.grades[
                "right"
            ];
        const pairs = task.items.map(({ id }) => [markOf("up-scaled", id, 0.5), markOf("small-chat", id)]);
        const gained = pairs.filter(([ours, theirs]) => ours === 1 && theirs === 0).length;
        const lost = pairs.filter(([ours, theirs]) => ours === 0 && theirs === 1).length;
        expect(comparisons[1]?.p).toBe(mcnemarTest(gained, lost));
        // A baseline is compared with the others, not with itself.
        expect(chat.comparisons.map(({ baseline }) => baseline)).toEqual(["large-base"]);
    });

    it("compares with the point of a baseline that has the same settings", () => {
        const behaviours = [0, 1].flatMap((temperature): Behaviour[] => [
            { system: "base", settings: { temperature }, right: { head: 0.5 - 0.4 * temperature }, speed: 9 },
            { system: "ours", settings: { lambda: 3, temperature }, right: { head: 0.9 }, speed: 9 },
        ]);
        const others: Behaviour = { system: "plain", right: { head: 0.9 }, speed: 9 };
        const gridded = fabricateExperiment([...behaviours, others], task, { baselines: ["base"] });
        const summary = summarise(gridded, fabricateAnswers([...behaviours, others], task, 2), 1);
        for (const temperature of [0, 1]) {
            const ours = findCell(summary, { system: "ours", settings: { lambda: 3, temperature }, measure: "right" });
            const base = findCell(summary, { system: "base", settings: { temperature }, measure: "right" });
            expect(ours.comparisons).toHaveLength(1);
            expect(ours.comparisons[0]?.difference).toBeCloseTo(ours.mean - base.mean, 12);
        }
        // Two points of the baseline would do: none is chosen.
        expect(findCell(summary, { system: "plain", measure: "right" }).comparisons).toEqual([]);
    });

    it("pairs what both have where answers are missing, and ignores those of other experiments", () => {
        const missing = answers.filter(({ system, item }) => system !== "small-chat" || Number(item.slice(5)) >= 20);
        const stranger = { ...(answers[0] as (typeof answers)[0]), system: "stranger" };
        const partial = summarise(experiment, [...missing, stranger], 1);
        const chat = findCell(partial, { system: "small-chat", measure: "right" });
        expect(chat.count).toBe(70);
        const ours = findCell(partial, { system: "up-scaled", settings: { lambda: 0 }, measure: "right" });
        expect(ours.count).toBe(90);
        const common = answers.filter(
            ({ system, settings, item }) =>
                system === "up-scaled" && settings["lambda"] === 0 && Number(item.slice(5)) >= 20,
        );
        const mean = common.reduce((sum, { grades }) => sum + (grades["right"] as number), 0) / 70;
        expect(ours.comparisons[1]?.difference).toBeCloseTo(mean - chat.mean, 12);
    });

    it("does not depend on the order of the answers, nor of settings", () => {
        const shuffled = [...answers].reverse();
        expect(summarise(experiment, shuffled, 130)).toEqual(report);
    });

    it("takes the null of a JSON file for infinite, and leaves out grades without weight", () => {
        const [first, ...rest] = answers.map((answer) => ({
            ...answer,
            grades: { right: 1, speed: [10, 2] as const },
        }));
        const infinite = JSON.parse(
            JSON.stringify({ ...first, grades: { right: 1, speed: [Infinity, 2] } }),
        ) as typeof first;
        const empty = { ...(rest[0] as (typeof rest)[0]), grades: { right: 1, speed: [10, 0] as const } };
        const summary = summarise(experiment, [infinite as (typeof rest)[0], empty, ...rest.slice(1)], 1);
        const cell = findCell(summary, { system: "large-base", measure: "speed" });
        expect(cell).toMatchObject({ mean: Infinity, count: 89 });
    });

    it("keeps a few answers with their questions, and those with tokens", () => {
        const { samples } = report;
        const items = new Set(samples.map(({ item }) => item));
        expect([...items]).toEqual(["item-0", "item-30", "item-60", "item-1"]);
        expect(samples[0]).toMatchObject({ prompt: "What is the capital of Peru 0?", expected: ["Capital of Peru 0"] });
        expect(samples.filter(({ tokens }) => tokens !== undefined)).toHaveLength(2 * LAMBDAS.length);
    });

    it("names models without the folders they lie in", () => {
        expect(report.systems[0]).toEqual({
            name: "large-base",
            combination: "large + (chat - small)",
            conservative: "top 0.95 of chat",
            controlTokens: "combine",
            unusedTokens: "mask",
            sampling: {
                ...{ temperature: 1, topK: 0, topP: 1, minP: 0, repeatPenalty: 1 },
                ...{ frequencyPenalty: 0, presencePenalty: 0, penaltyLastN: 64 },
            },
            parameters: {},
            models: {
                large: "large-base-q8_0.gguf",
                chat: "hf:someone/small-chat-GGUF:Q8_0",
                small: "small-base-q8_0.gguf + tuned.gguf, scale 1",
            },
            isBaseline: true,
        });
    });
});

test("files of one name are told apart by their folders", () => {
    const nameOf = nameFiles(["/a/b/model.gguf", "/a/c/model.gguf", "/x/c/model.gguf", "/a/other.gguf", "hf:u/r:Q8_0"]);
    expect(
        ["/a/b/model.gguf", "/a/c/model.gguf", "/x/c/model.gguf", "/a/other.gguf", "hf:u/r:Q8_0"].map(nameOf),
    ).toEqual([...["b/model.gguf", "a/c/model.gguf", "x/c/model.gguf", "other.gguf", "hf:u/r:Q8_0"]]);
});

test("parts of a split model are told apart by model and number", () => {
    const part = "/store/Q4_K_M-00002-of-00003.gguf";
    expect(namePart("hf:a/base-GGUF:Q4_K_M", part)).toBe("hf:a/base-GGUF:Q4_K_M-00002-of-00003");
    expect(namePart("a/large-00001-of-00003.gguf", part)).toBe("a/large-00002-of-00003.gguf");
    const address = "https://host/large-00001-of-00003.GGUF?download=true";
    expect(namePart(address, part)).toBe("https://host/large-00002-of-00003.GGUF?download=true");
});

describe("numbers", () => {
    const cell = (measure: string, mean: number, low: number, high: number): Cell => ({
        ...{ system: "s", settings: {}, task: "t", measure, count: 9, mean, low, high, comparisons: [] },
    });
    const comparison = (difference: number, low: number, high: number): Comparison => ({
        ...{ baseline: "b", difference, low, high, p: 1 },
    });

    it.each<[string, Cell]>([
        ["98.0 % [96.2, 99.3]", cell("right", 0.98, 0.9617, 0.9933)],
        ["43 % [37, 48]", cell("right", 0.427, 0.3733, 0.48)],
        ["0.0 % [0.0, 1.2]", cell("right", 0, 0, 0.0122)],
        ["50.0 %", cell("right", 0.5, 0.5, 0.5)],
        ["25 [20, 33]", cell("speed", 40, 30, 50)],
        ["20.1 [18.2, 22.2]", cell("perplexity", 3, 2.9, 3.1)],
        ["0.123 [0.113, 0.133]", cell("divergence", 0.1234, 0.1134, 0.1334)],
        ["0", cell("divergence", 0, 0, 0)],
        ["infinite", cell("divergence", Infinity, Infinity, Infinity)],
    ])("are shown as %s", (text, shown) => {
        expect(formatCell(shown)).toBe(text);
    });

    it("of comparisons say what kind of difference they are", () => {
        expect(formatDifference("right", comparison(0.08, 0.01, 0.15))).toBe("+8 points [1, 15]");
        expect(formatDifference("perplexity", comparison(-0.1, -0.15, -0.05))).toBe("times 0.90 [0.86, 0.95]");
        expect(formatDifference("speed", comparison(-3, -4, -2))).toBe("-3.0 ms/token [-4.0, -2.0]");
        expect(formatP(0.0386)).toBe("0.039");
        expect(formatP(0.00004)).toBe("< 0.001");
        expect(formatP(NaN)).toBe("–");
        expect(formatDuration(59.6)).toBe("1 min 0 s");
        expect(formatDuration(3700)).toBe("1 h 1 min");
    });

    it("are referred to by task, measure and group", () => {
        expect(parseReference("facts/right@tail")).toEqual({ task: "facts", measure: "right", group: "tail" });
        expect(parseReference("facts/speed")).toEqual({ task: "facts", measure: "speed" });
    });
});

describe.each(PLOTS.filter(({ kind }) => kind !== "tokens"))("the plot $title", (spec) => {
    let svg = "";
    beforeAll(async () => {
        svg = await renderPlot(spec, report);
    });

    it("is well-formed, needs nothing else and is the same each time", async () => {
        expect(xmlProblem(svg)).toBeUndefined();
        expect(svg).toMatch(/^<svg /);
        expect(svg).not.toMatch(/<script|<image|href|\bid=|url\(|NaN|undefined/);
        expect(await renderPlot(spec, report)).toBe(svg);
    });

    it("shows its title, its measures and its systems", () => {
        const texts = textsOf(svg);
        expect(texts).toContain(spec.title);
        expect(texts.some((text) => text.includes("facts"))).toBe(true);
        expect(texts.some((text) => text.startsWith("small-chat"))).toBe(true);
    });
});

describe("plots", () => {
    it("say the numbers of the cells", async () => {
        const texts = textsOf(await renderPlot({ title: "Bars", kind: "bars", y: ["facts/right"] }, report));
        for (const { name, settings } of experiment.systems) {
            const shown = formatCell(findCell(report, { system: name, settings, measure: "right" })).replace(
                / %.*/,
                "",
            );
            expect(texts).toContain(shown);
        }
    });

    it("show only the systems and settings that are asked for", async () => {
        const spec: PlotSpec = { title: "Few", kind: "bars", y: ["facts/right"] };
        const where = textsOf(await renderPlot({ ...spec, where: { lambda: 0.5 } }, report));
        expect(where.filter((text) => /up-scaled|small-chat/.test(text))).toEqual(["small-chat", "up-scaled"]);
        const some = textsOf(await renderPlot({ ...spec, systems: ["small-chat"] }, report));
        expect(some.filter((text) => /up-scaled|small-chat|large-base/.test(text))).toEqual(["small-chat"]);
    });

    it("are drawn without any data", async () => {
        for (const spec of PLOTS.filter(({ kind }) => kind !== "tokens")) {
            expect(xmlProblem(await renderPlot(spec, { ...report, cells: [] }))).toBeUndefined();
        }
    });
});

describe("the report", () => {
    const { folder, remove } = temporaryFolder();
    afterAll(remove);

    it("has the numbers of the cells in its tables", async () => {
        const page = await renderHtml([report], INFO, "A report");
        const { markdown } = await renderMarkdown([report], INFO, "A report", "images");
        for (const cell of report.cells) {
            expect(page).toContain(`>${formatCell(cell)}<sup>`);
            expect(markdown).toContain(formatCell(cell).replace("[", "\\[").replace("]", "\\]"));
        }
        expect(page).toContain("up-scaled, lambda 0.25");
        expect(page).toContain("a: large-base; b: small-chat");
        // Far better than both baselines at 0; a refusal at 1 is no right answer.
        const row = (lambda: number): string => page.split(`<th scope="row">up-scaled, lambda ${lambda}</th>`)[1] ?? "";
        expect(row(0).split("<td")[1]).toMatch(/<sup>a b<\/sup>/);
        expect(row(1).split("<td")[1]).not.toMatch(/<sup>a b<\/sup>/);
    });

    it("is the same each time", async () => {
        expect(await renderHtml([report], INFO, "A")).toBe(await renderHtml([report], INFO, "A"));
        expect(renderJson([report], INFO, "A")).toBe(renderJson([report], INFO, "A"));
    });

    it("is one well-formed page without scripts and references", async () => {
        const page = await renderHtml([report, { ...report, experiment: "again" }], INFO, "A report");
        expect(xmlProblem(page.replace("<!doctype html>", ""))).toBeUndefined();
        expect(page).not.toMatch(/<script|<link|<img|src=|href="(?!#)/);
        expect(page).toContain('<a href="#again">');
    });

    it("shows tokens with their distance, and what the drafter would have drawn", async () => {
        const [sample] = report.samples.filter(
            ({ tokens, settings }) => tokens !== undefined && settings["lambda"] === 1,
        );
        const changed = sample?.tokens?.find(({ instead }) => instead !== undefined);
        const page = await renderHtml([report], INFO, "A report");
        const distance = changed?.totalVariation.toFixed(2);
        expect(page).toContain(`total variation ${distance}; the drafter would have drawn “ Quito”; changed by large`);
        const { markdown } = await renderMarkdown([report], INFO, "A report", "images");
        expect(markdown).toContain(`**${changed?.text.trim()}**`);
        expect(markdown).toContain(`|  Quito | large | ${distance} |`);
    });

    it("says what a reproduction needs, in all its forms", async () => {
        const made: ExperimentReport = {
            ...report,
            withoutVerdict: [{ system: "up-scaled", task: "facts", measure: "helpful", count: 3 }],
            setup: {
                answered: [
                    { answers: 7 },
                    { answers: 12, setup: SETUP },
                    { answers: 2, setup: { ...SETUP, backend: "vulkan", device: "Some GPU", threads: 1 } },
                ],
                files: [{ name: "large-base-q8_0.gguf", bytes: 123456, sha256: "ab".repeat(32) }],
                prompts: { "up-scaled": { large: "0123456789ab", chat: "plain" } },
                templates: { "0123456789ab": "{{ bos_token }}[INST] {{ x }} [/INST]" },
                judge: { address: "http://judge/v1/chat/completions", model: "judge-7", temperature: "own" },
                leftOut: ['system "large-chat": there is no large'],
            },
        };
        const info = { ...INFO, leftOut: ['experiment "dial": there is no small'] };
        const facts = [
            ...["eft-llama 0.1.0", "llama.cpp b9999", "Node v99.1.0", "linux x64", "Seed 1", "at most 40 tokens"],
            ...[
                "Answers 1 to 7: it was not noted",
                "Answers 8 to 19: eft-llama 0.0.9, llama.cpp b8888, Node v98.0.0, darwin arm64, cpu (Some CPU), 2 threads, ",
                "a context of 777 tokens, 5 at a time, cacheType q8_0.",
                "Answers 20 to 21: ",
                "vulkan (Some GPU), 1 thread, ",
                "penaltyLastN: 64",
                "minP: 0",
                "ab".repeat(32),
                "123456",
            ],
            ...["large-base-q8", "tuned.gguf, scale 1", "large: 0123456789ab", "90 of the kind question", "contains"],
            ...[
                "judge-7 at http://judge/v1/chat/completions",
                "own temperature",
                "there is no large",
                "there is no small",
            ],
            ...["Without a verdict of the judge: 3 answers of up-scaled, facts: helpful."],
        ];
        const page = (await renderHtml([made], info, "A report")).replaceAll("&quot;", '"');
        const { markdown } = await renderMarkdown([made], info, "A report", "images");
        for (const form of [page.replaceAll("&#39;", "'"), markdown.replaceAll("\\", "")]) {
            for (const fact of facts) expect(form).toContain(fact);
            expect(form).toContain("{{ bos_token }}[INST] {{ x }} [/INST]");
        }
        const json = JSON.parse(renderJson([made], info, "A report")) as {
            info: RunInfo;
            experiments: ExperimentReport[];
        };
        expect(json.experiments).toEqual([made]);
        expect(json.info).toEqual(info);
        expect(json.experiments[0]?.systems.find(({ name }) => name === "up-scaled")?.sampling).toMatchObject({
            temperature: 1,
        });
    });

    it("keeps hostile texts from becoming markup", async () => {
        const evil = `</td><script>alert("1")</script><img src=x onerror='a()'>|*_[x](javascript:a)\0`;
        const [sample] = report.samples.filter(({ tokens }) => tokens !== undefined);
        const tokens = [{ text: evil, totalVariation: 0.5, instead: evil, changedBy: evil }];
        const hostile: ExperimentReport = {
            ...{ ...report, title: evil, description: evil },
            samples: [
                { ...(sample as (typeof report.samples)[0]), prompt: evil, text: evil, expected: [evil], tokens },
            ],
            systems: [
                {
                    ...{
                        name: evil,
                        combination: evil,
                        conservative: evil,
                        models: { [evil]: evil },
                        isBaseline: true,
                    },
                    ...{
                        controlTokens: "combine",
                        unusedTokens: "mask",
                        sampling: { [evil]: evil },
                        parameters: { [evil]: [evil, 1] },
                    },
                    speculation: { drafter: evil },
                },
            ],
            tasks: [{ name: evil, kind: "question", items: 1, graders: { [evil]: { type: "regex", pattern: evil } } }],
            withoutVerdict: [{ system: evil, task: evil, measure: evil, count: 1 }],
            setup: {
                answered: [{ answers: 1, setup: { ...SETUP, device: evil, load: { cacheType: evil } } }],
                leftOut: [evil],
                files: [{ name: evil, bytes: 1, sha256: "0" }],
                prompts: { [evil]: { [evil]: evil } },
                templates: { "0123": `\`\`\`\`\n${evil}\n\`\`\`` },
                judge: { address: evil, model: evil, temperature: "own" },
            },
            cells: report.cells.map((cell) => ({ ...cell, system: `${cell.system} ${evil}` })),
            plots: PLOTS.map((spec) => ({ ...spec, title: evil, ...(spec.kind === "tokens" ? { where: {} } : {}) })),
        };
        const page = await renderHtml([hostile], { ...INFO, leftOut: [evil], node: evil }, evil);
        expect(page.replaceAll(/"[^"]*"/g, '""')).not.toMatch(/<script|<img|<[^>]* onerror/);
        expect(page).toContain("&lt;script&gt;");
        expect(xmlProblem(page.replace("<!doctype html>", ""))).toBeUndefined();
        const { markdown } = await renderMarkdown([hostile], { ...INFO, leftOut: [evil] }, evil, "images");
        // Nothing but what the report itself is made of, whether a reader knows backslashes or not, and code.
        const [code = ""] = /^`{5}\n.*?^`{5}$/ms.exec(markdown) ?? [];
        expect(code).toContain("<script>");
        expect(markdown.replace(code, "").replaceAll(/<\/?(?:details|summary|sup)>/g, "")).not.toContain("<");
        expect(markdown).not.toContain("\0");
        expect(markdown.replace(code, "")).not.toMatch(/(?<!\\)\[x(?<!\\)\]/);
    });

    it("is written whole, three files and the plots, over an older one", async () => {
        const out = path.join(folder, "new", "results");
        const files = await writeReport(out, [report], INFO, "A report");
        expect(files).toEqual(["report.html", "report.md", "report.json"].map((name) => path.join(out, name)));
        writeFileSync(files[0] as string, "an older report");
        await writeReport(out, [report], INFO, "A report");
        expect(readFileSync(files[0] as string, "utf8")).toBe(await renderHtml([report], INFO, "A report"));
        expect(readdirSync(out).sort()).toEqual(["images", "report.html", "report.json", "report.md"]);
        const markdown = readFileSync(files[1] as string, "utf8");
        const images = [...markdown.matchAll(/!\[.*\]\((images\/.*)\)/g)].map(([, image = ""]) => image);
        expect(images).toHaveLength(5);
        expect(images.every((image) => existsSync(path.join(out, image)))).toBe(true);
        const json = JSON.parse(readFileSync(files[2] as string, "utf8")) as { experiments: ExperimentReport[] };
        expect(json.experiments).toEqual([report]);
    });

    it("says which file cannot be written", async () => {
        const file = path.join(folder, "file");
        writeFileSync(file, "");
        await expect(writeReport(file, [report], INFO, "A report")).rejects.toMatchObject({
            code: "FILE_UNWRITABLE",
            message: expect.stringContaining(file) as unknown,
        });
    });
});
