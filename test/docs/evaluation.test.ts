/** docs/evaluation.md is true: its experiment can be read, its tables name what there is, its numbers are those of the report. */

import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { loadExperiment } from "../../src/eval/experiment.js";
import { MEASURES } from "../../src/eval/types.js";
import { demoFile, readText } from "../helpers/demo.js";
import { codeBlocks } from "../helpers/markdown.js";
import { temporaryFolder } from "../helpers/temporary.js";

const document = readText("docs/evaluation.md");

let folder: string;
let remove: () => void;
beforeAll(() => {
    ({ folder, remove } = temporaryFolder());
});
afterAll(() => remove());

it("has an experiment that can be read", async () => {
    const [yaml = ""] = codeBlocks(document, "yaml");
    const models = { "llama-2-13b": "large-base", "our-7b-chat": "small-chat", "llama-2-7b": "small-base" } as const;
    mkdirSync(path.join(folder, "models"));
    for (const [name, model] of Object.entries(models)) {
        copyFileSync(demoFile(model), path.join(folder, "models", `${name}.Q4_K_M.gguf`));
    }
    writeFileSync(
        path.join(folder, "questions.jsonl"),
        '{"prompt": "What is the capital of Peru?", "answer": "Lima"}\n',
    );
    const file = path.join(folder, "experiment.yaml");
    writeFileSync(file, yaml);
    const { experiment, leftOut } = await loadExperiment(file);
    expect(leftOut).toEqual([]);
    expect(experiment.systems.map(({ name }) => name)).toEqual(["large", "chat", "EFT", "EFT", "EFT"]);
});

it("names the graders that there are", () => {
    const schema = JSON.parse(readText("experiments/experiment.schema.json")) as {
        definitions: { grader: { properties: { type: { enum: string[] } } } };
    };
    for (const type of schema.definitions.grader.properties.type.enum)
        expect(document).toMatch(new RegExp(`\\b${type}\\b`));
    for (const measure of ["choice", "choicePerCharacter", "perplexity"]) {
        expect(MEASURES).toHaveProperty([measure]);
        expect(document).toContain(`\`${measure}\``);
    }
});

it("points to results with pictures that are there", () => {
    const results = readText("docs/results.md");
    const images = [...results.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)].map(([, image = ""]) => image);
    expect(images.length).toBeGreaterThan(10);
    for (const image of images) expect(readText(`docs/${image}`)).toContain("<svg");
});
