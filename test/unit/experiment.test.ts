/** Experiment files: grids, families, and what is said about mistakes. */

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { findExperiments, loadExperiment, type LoadExperimentOptions } from "../../src/eval/experiment.js";
import type { Experiment } from "../../src/eval/types.js";
import { EftError } from "../../src/index.js";
import { demoFile } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

let folder: string;
let remove: () => void;
beforeAll(() => {
    ({ folder, remove } = temporaryFolder());
    const questions = [1, 2, 3, 4].map((number) => ({ prompt: `Question ${number}?`, answer: "Lima", form: "Its .*" }));
    write("questions.jsonl", questions.map((question) => `${JSON.stringify(question)}\n`).join(""));
    write("broken.jsonl", '{"prompt": "a", "answer": "b"}\n{"prompt": "a", "answer": \n');
    write("family.yaml", FAMILY);
});
afterAll(() => remove());

function write(name: string, text: string): string {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
}

const MEMBERS = `members:
  large: { model: ${demoFile("large-base")} }
  chat: { model: ${demoFile("small-chat")} }
  small: { model: ${demoFile("small-base")} }
prompt: { template: from chat }
`;
const TASKS = "tasks: { facts: { file: questions.jsonl, graders: { right: contains } } }\n";
const FAMILY = `eval: 1\nname: family\n${MEMBERS}${TASKS}maxTokens: 12\n`;
const HEAD = "eval: 1\nname: test\n";

async function load(yaml: string, options: LoadExperimentOptions = {}): Promise<Experiment> {
    return (await loadExperiment(write("experiment.yaml", yaml), options)).experiment;
}

async function failure(yaml: string, options: LoadExperimentOptions = {}): Promise<{ code: string; message: string }> {
    const error: unknown = await load(yaml, options).catch((reason: unknown) => reason);
    if (!EftError.isInstance(error)) throw new Error(`Expected an EftError, not ${String(error)}`);
    return { code: error.code, message: error.message.replaceAll(`${folder}${path.sep}`, "") };
}

describe("grids", () => {
    test("a list in place of a value makes a point for each", async () => {
        const { systems } = await load(`${HEAD}${MEMBERS}${TASKS}
systems:
  EFT:
    combination: chat + beta * (large - small)
    parameters: { beta: [0, 1] }
    conservative: { topP: [off, 0.9], fallback: chat }
sampling: { temperature: [0, 1], topK: 5 }`);
        const points = [0, 1].flatMap((beta) =>
            ["off", 0.9].flatMap((conservative) => [0, 1].map((temperature) => ({ beta, conservative, temperature }))),
        );
        expect(systems.map(({ settings }) => settings)).toEqual(points);
        for (const { settings, recipe, parameters } of systems) {
            expect(recipe.sampling).toEqual({ temperature: settings["temperature"], topK: 5 });
            expect(parameters).toEqual({ beta: settings["beta"] });
            expect(recipe.conservative?.topP).toBe(settings["conservative"] === "off" ? undefined : 0.9);
        }
    });

    test("speculation can be left out at a point", async () => {
        const { systems } = await load(`${HEAD}${MEMBERS}${TASKS}
systems: { EFT: { combination: large + chat - small, speculation: { length: [off, 4, adaptive], drafter: chat } } }`);
        expect(systems.map(({ recipe }) => recipe.speculation?.length)).toEqual([undefined, 4, "adaptive"]);
    });

    test("selective fusion makes a grid, in questions", async () => {
        const { systems } = await load(`${HEAD}${MEMBERS}${TASKS}
systems: { EFT: { combination: large + chat - small, speculation: { selective: [0, 0.5], drafter: chat } } }`);
        expect(systems.map(({ settings }) => settings)).toEqual([{ selective: 0 }, { selective: 0.5 }]);
        expect(systems.map(({ recipe }) => recipe.speculation?.selective)).toEqual([0, 0.5]);
    });

    test("a system has the members that it names, and templates of others", async () => {
        const { systems } = await load(`${HEAD}${MEMBERS}${TASKS}systems: { large: { combination: large } }`);
        const [system] = systems;
        expect(system?.recipe.members.map(({ name }) => name)).toEqual(["large"]);
        expect(system?.recipe.prompt).toEqual({
            kind: "jinja",
            template: expect.stringContaining("[INST]") as unknown,
        });
    });

    const numbers = (count: number): string => Array.from({ length: count }, (_, index) => 0.001 * index).join(", ");
    const wide = (count: number): string =>
        `{ temperature: [${numbers(count)}], topP: [${numbers(count)}], minP: [${numbers(count)}] }`;
    test.each([
        [
            `{ EFT: { combination: chat, sampling: ${wide(300)} } }`,
            /:9:12: the grids .* more than 1000 points, 27000000 of/,
        ],
        [`{ EFT: { combination: chat }, b: { combination: chat, sampling: ${wide(10)} } }`, /:9:40: .* 1000 of .*"b"/],
        ["{ EFT: { combination: chat, sampling: { temperature: [] } } }", /:9:63: the list of "temperature" is empty/],
        [
            "{ EFT: { combination: chat, sampling: { topK: [1, 2, 1] } } }",
            /:9:56: the list of "topK" has a value twice/,
        ],
        [
            "{ EFT: { combination: topP * chat, parameters: { topP: [1, 2] }, sampling: { topP: [0.5, 1] } } }",
            /"topP" has two lists/,
        ],
    ])("that cannot be are refused before there are points, %#", async (systems, message) => {
        expect(await failure(`${HEAD}${MEMBERS}${TASKS}systems: ${systems}`)).toEqual({
            code: "EXPERIMENT_INVALID",
            message: expect.stringMatching(message) as unknown,
        });
    });

    test("a recipe can be a system", async () => {
        const { systems } = await load(`${HEAD}${TASKS}
systems: { demo: { recipe: demo, parameters: { beta: [0.5, 1.5] }, sampling: { temperature: 1 } } }`);
        expect(systems.map(({ parameters }) => parameters)).toEqual([{ beta: 0.5 }, { beta: 1.5 }]);
        expect(systems[0]?.recipe).toMatchObject({ name: "demo", sampling: { temperature: 1 } });
    });
});

describe("families", () => {
    const SYSTEMS = "systems: { EFT: { combination: large + chat - small }, safe: { combination: safe } }\n";

    test("provide members, tasks, prompt and length", async () => {
        const { experiment, leftOut } = await loadExperiment(write("experiment.yaml", HEAD + SYSTEMS), {
            family: path.join(folder, "family.yaml"),
            isLenient: true,
        });
        expect(experiment.systems.map(({ name }) => name)).toEqual(["EFT"]);
        expect(experiment.tasks.map(({ name, items }) => [name, items.length])).toEqual([["facts", 4]]);
        expect(experiment.maxTokens).toBe(12);
        expect(leftOut).toEqual(['system "safe": there is no safe']);
    });

    test("are named where their graders are wrong", async () => {
        const family = write("wrong.yaml", FAMILY.replace("contains", "contians"));
        const systems = "systems: { EFT: { combination: large + chat - small } }\n";
        expect((await failure(HEAD + systems, { family })).message).toMatch(
            /^wrong\.yaml:8:42: .*did you mean "contains"/,
        );
        const tasks = "tasks: { facts: { graders: { a: contians } } }\n";
        expect((await failure(HEAD + systems + tasks, { family })).message).toMatch(/^experiment\.yaml:4:19: /);
    });

    test("bring files of their own folder", async () => {
        write("elsewhere/three.jsonl", '{"prompt":"a","answer":"b"}\n');
        const family = write("elsewhere/family.yaml", FAMILY.replace("questions.jsonl", "three.jsonl"));
        const systems = "systems: { EFT: { combination: large + chat - small } }\n";
        const { tasks } = await load(HEAD + systems, { family });
        expect(tasks.map(({ name, items }) => [name, items.length])).toEqual([["facts", 1]]);
    });

    test("what an experiment says of a task overlays it", async () => {
        const tasks = "tasks: { facts: { limit: 2 }, distance: { from: facts, compareTo: EFT } }\n";
        const systems = "systems: { EFT: { combination: large + chat - small } }\n";
        const family = path.join(folder, "family.yaml");
        const { tasks: loaded } = await load(HEAD + systems + tasks, { family });
        expect(loaded[0]?.items.map(({ id }) => id)).toEqual(["1", "3"]);
        expect(loaded[0]?.graders).toEqual({ right: { type: "contains" } });
        expect(loaded[1]).toMatchObject({ compareTo: "EFT", graders: {} });
    });

    test("the paper's experiments run on the demo family as they are", async () => {
        const files = await findExperiments("paper");
        expect(files).toHaveLength(7);
        for (const file of files) {
            const { experiment, leftOut } = await loadExperiment(file, { family: "demo" });
            expect(leftOut).toEqual([]);
            expect(experiment.systems.length).toBeGreaterThan(1);
            expect(experiment.plots.length).toBeGreaterThan(0);
        }
    });
});

describe("mistakes", () => {
    const SYSTEMS = "systems: { EFT: { combination: large + chat - small } }\n";
    const GOOD = HEAD + MEMBERS + TASKS + SYSTEMS;

    test("no such file", async () => {
        await expect(loadExperiment(path.join(folder, "none.yaml"))).rejects.toMatchObject({
            code: "EXPERIMENT_NOT_FOUND",
        });
        expect(await failure(GOOD, { family: "dmo" })).toEqual({
            code: "EXPERIMENT_NOT_FOUND",
            message: 'There is no family "dmo"; did you mean "demo"?',
        });
    });

    test.each([
        ["syntax", `${GOOD}plots: [`, "EXPERIMENT_SYNTAX", /^experiment\.yaml:\d+:\d+: /],
        [
            "a misspelled key",
            `${GOOD}sistems: {}`,
            "EXPERIMENT_INVALID",
            /:10:1: an experiment has no key "sistems"; did you mean "systems"/,
        ],
        ["a family is no experiment", FAMILY, "EXPERIMENT_INVALID", /lacks the key "systems"; a family has none/],
        [
            "neither combination nor recipe",
            `${HEAD}${MEMBERS}${TASKS}systems: { EFT: {} }`,
            "EXPERIMENT_INVALID",
            /:9:12: the system "EFT" needs either/,
        ],
        [
            "a recipe and a combination",
            `${HEAD}${TASKS}systems: { demo: { recipe: demo, combination: large } }`,
            "EXPERIMENT_INVALID",
            /needs either a combination or a recipe/,
        ],
        [
            "a recipe that is changed in what it says itself",
            `${HEAD}${TASKS}systems: { demo: { recipe: demo, speculation: {} } }`,
            "EXPERIMENT_INVALID",
            /:4:34: the system "demo" names a recipe, so that "speculation" has to be said there/,
        ],
        [
            "selective fusion that is to be compared row by row",
            `${HEAD}${MEMBERS}tasks: { facts: { file: questions.jsonl, compareTo: all } }
systems:
  all: { combination: large + chat }
  some: { combination: large + chat, speculation: { drafter: chat, selective: [0, 0.5] } }`,
            "EXPERIMENT_INVALID",
            /:8:10: the system "some" has selective fusion, .* the task "facts" scores given ones/,
        ],
        [
            "an unknown member",
            `${HEAD}${MEMBERS}${TASKS}systems: { EFT: { combination: large + chta } }`,
            "COMBINATION_UNKNOWN_NAME",
            /:9:40: "chta" is neither a member nor a parameter; did you mean "chat"/,
        ],
        [
            "sampling out of range",
            `${GOOD}sampling: { temperature: [0, -1] }`,
            "EXPERIMENT_INVALID",
            /:10:26: "sampling.temperature" must be a number from 0/,
        ],
        [
            "a parameter that nobody uses",
            `${HEAD}${MEMBERS}${TASKS}systems: { EFT: { combination: large, parameters: { beta: 1 } } }`,
            "RECIPE_INVALID",
            /:9:53: the parameter "beta" is in no combination/,
        ],
        [
            "a baseline that is no system",
            `${GOOD}baselines: [EFTT]`,
            "EXPERIMENT_INVALID",
            /:10:1: there is no system "EFTT"; did you mean "EFT"/,
        ],
        [
            "a plot of nothing",
            `${GOOD}plots: [{ title: T, kind: bars, y: [facts/rigth] }]`,
            "EXPERIMENT_INVALID",
            /there is no "facts\/rigth" to plot; did you mean "facts\/right"/,
        ],
        [
            "a task without graders",
            `${HEAD}${MEMBERS}${SYSTEMS}tasks: { facts: { file: questions.jsonl } }`,
            "EXPERIMENT_INVALID",
            /has no graders; add/,
        ],
        [
            "a grader that refers to nothing",
            `${HEAD}${MEMBERS}${SYSTEMS}tasks: { facts: { file: questions.jsonl, graders: { a: { type: not, of: b } } } }`,
            "EXPERIMENT_INVALID",
            /the grader "a" names "b", which is no grader/,
        ],
        [
            "a grader that there is not",
            `${HEAD}${MEMBERS}${SYSTEMS}tasks: { facts: { file: questions.jsonl, graders: { a: contians } } }`,
            "EXPERIMENT_INVALID",
            /^experiment\.yaml:9:42: .*the grader "a" is of the type "contians", which there is not; did you mean "contains"/,
        ],
        [
            "a grader that there is not, in full",
            `${HEAD}${MEMBERS}${SYSTEMS}tasks: { facts: { file: questions.jsonl, graders: { a: { type: contians } } } }`,
            "EXPERIMENT_INVALID",
            /:9:64: "tasks.facts.graders.a.type" must be one of exact, .*, not the text "contians"; did you mean "contains"/,
        ],
        [
            "a judge that compares with nobody",
            `${GOOD.replace("right: contains", "right: { type: judge, criterion: factuality, against: EFFT }")}`,
            "EXPERIMENT_INVALID",
            /the grader "right" of the task "facts" compares with the system "EFFT", which there is not; did you mean "EFT"/,
        ],
        [
            "a wrong task file",
            `${HEAD}${MEMBERS}${SYSTEMS}tasks: { facts: { file: broken.jsonl, graders: { a: exact } } }`,
            "TASK_INVALID",
            /^broken\.jsonl:2:\d+: /,
        ],
        [
            "a task that nobody has",
            `${HEAD}${MEMBERS}${SYSTEMS}tasks: { facts: {} }`,
            "EXPERIMENT_INVALID",
            /it names no file, and the family has no task "facts"/,
        ],
        [
            "a comparison to nothing",
            `${HEAD}${MEMBERS}${SYSTEMS}tasks: { facts: { file: questions.jsonl, compareTo: gold } }`,
            "EXPERIMENT_INVALID",
            /there is no system "gold"/,
        ],
    ])("%s", async (_name, yaml, code, message) => {
        const error = await failure(yaml);
        expect(error).toEqual({ code, message: expect.stringMatching(message) as unknown });
    });
});
