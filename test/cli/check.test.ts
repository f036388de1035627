/** `eft-llama check`: the self-test passes on models that work, and fails on what is made to be wrong. */

import { readFileSync, writeFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, test } from "@jest/globals";
import { compareWithAlone, evaluateHere } from "../../src/check/against-alone.js";
import { firstDifference, isNearTie, largestDifference } from "../../src/check/compare.js";
import { describeVocabulary } from "../../src/check/facts.js";
import { withoutFolders } from "../../src/check/machine.js";
import { createPart } from "../../src/check/part.js";
import { TEXTS } from "../../src/check/samples.js";
import {
    checkModels,
    chooseBackend,
    type CheckedPart,
    type CheckReport,
    type Finding,
    type NativeModel,
} from "../../src/index.js";
import { demoFile, demoFolder, QUESTIONS, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { fromFloat32, GGML_TYPE, readGguf, withMetadata, writeGguf, type MetadataValue } from "../helpers/gguf.js";
import { withVocabularies } from "../../src/models/gguf.js";
import { byteLevelVocabulary } from "../helpers/vocabulary.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { run } from "./run.js";

const CPU = { backend: "cpu", threads: 1 } as const;
const { folder, remove } = temporaryFolder();
afterAll(remove);

/** What was found that is not in order, as `check: text`. */
const wrongIn = ({ models, together }: CheckReport): string[] =>
    [...models, ...(together ? [together] : [])].flatMap(({ findings }) =>
        findings.filter(({ state }) => state !== "ok").map(({ check, text }) => `${check}: ${text}`),
    );

/** The small fine-tuned model with other metadata, by name. */
function writeVariant(name: string, entries: Readonly<Record<string, MetadataValue>>): string {
    const file = path.join(folder, `${name}.gguf`);
    writeGguf(file, withMetadata(readGguf(demoFile("small-chat")), entries));
    return file;
}

const template = (text: string) => ({ "tokenizer.chat_template": { type: "string", value: text } }) as const;

describe("on the demo family", () => {
    test("one file, for people", async () => {
        const { stdout, stderr, code } = await run(["check", "--backend", "cpu", demoFile("small-chat", "q8_0")]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const lines = stdout.trimEnd().split("\n");
        expect(lines[0]).toMatch(/^eft-llama \d\S*, llama\.cpp \S+ of node-llama-cpp \S+, Node v\S+, \w+-\w+$/);
        expect(lines[2]).toBe("Backend: cpu");
        expect(lines[4]).toBe("small-chat-q8_0.gguf");
        const checks = [
            "file",
            "loading",
            "vocabulary",
            "template",
            "there and back",
            "prefix",
            "drafts",
            "speed",
            "memory",
        ];
        expect(lines.slice(5, -2).map((line) => line.slice(0, 28).trimEnd())).toEqual(
            [...checks, "tokens", "log-probabilities", "greedy text"].map((check) => `ok       ${check}`),
        );
        expect(lines.at(-1)).toMatch(/^All 12 checks passed\. It took \d+ s\.$/);
    });

    test("three files in any order are a family, an adapter among them; no path is told to programs", async () => {
        const files = ["small-chat-lora.gguf", "large-base-f16.gguf", "small-base-f16.gguf"];
        const paths = files.map((name) => path.join(demoFolder, name));
        const { stdout, code } = await run(["check", "--backend", "cpu", "--json", ...paths]);
        const report = JSON.parse(stdout) as CheckReport;
        expect({ code, wrong: wrongIn(report) }).toEqual({ code: 0, wrong: [] });
        expect(report.models.map(({ name }) => name)).toEqual([
            "large-base-f16.gguf",
            "small-base-f16.gguf + small-chat-lora.gguf",
            "small-base-f16.gguf",
        ]);
        for (const { measured } of report.models) {
            expect(measured.rows).toBeGreaterThan(12);
            expect(measured.largestDifference).toBeLessThan(1e-5);
            expect(measured.promptTokensPerSecond).toBeGreaterThan(0);
        }
        const { name, findings, measured } = report.together as CheckedPart;
        expect(name).toBe("together");
        expect(findings.map(({ check }) => check)).toEqual([
            ...["vocabularies", "recipe", "loading", "prefix", "drafts", "speed", "speculation", "memory"],
        ]);
        expect(findings[1]?.text).toBe(
            "tuned + beta * (base - reference): base is large-base-f16.gguf, tuned is small-base-f16.gguf with " +
                "small-chat-lora.gguf, reference is small-base-f16.gguf",
        );
        expect(measured.speculativeTokensPerSecond).toBeGreaterThan(0);
        for (const place of [demoFolder, homedir(), `/${userInfo().username}/`]) expect(stdout).not.toContain(place);
    });
});

describe("what is wrong is found", () => {
    test("numbers and texts that are not node-llama-cpp's", async () => {
        const found: Finding[] = [];
        const setup = {
            ...{ options: { onFinding: (finding: Finding) => void found.push(finding) }, threads: 1, files: [] },
            ...{ backend: chooseBackend("cpu"), begin: () => undefined },
        };
        await withEnsemble(soloRecipe(demoFile("small-chat")), { sequences: 1 }, async (ensemble) => {
            const prompt = await ensemble.tokenize(`[INST] ${QUESTIONS[1]} [/INST]`);
            const own = await evaluateHere(ensemble, prompt, undefined);
            // Another model of the same tokenizer stands for an evaluation that is wrong.
            await compareWithAlone(own, { model: demoFile("small-base") }, createPart("model", setup), setup);
        });
        expect(found.map(({ check, state }) => [check, state])).toEqual([
            ["tokens", "ok"],
            ["log-probabilities", "failed"],
            ["greedy text", "failed"],
        ]);
        expect(found[1]?.text).toMatch(/^at \d+ places they differ by at most [\d.]+ from node-llama-cpp's; /);
        expect(found[2]?.text).toMatch(
            /^the first difference to node-llama-cpp's is at token \d+, where one token is ahead /,
        );
    });

    test("weights that are no numbers, and a template that cannot be read", async () => {
        const file = path.join(folder, "nan.gguf");
        const model = readGguf(demoFile("small-chat"));
        const tensors = model.tensors.map((tensor) => {
            if (!tensor.name.endsWith("ffn_down.weight")) return tensor;
            const size = tensor.shape.reduce((product, each) => product * each, 1);
            return { ...tensor, type: GGML_TYPE.f32, data: fromFloat32(new Float32Array(size).fill(NaN)) };
        });
        writeGguf(file, { ...withMetadata(model, template("{% for m in messages %}{{ m.content")), tensors });
        const { stdout, code } = await run(["check", "--backend", "cpu", file]);
        expect(code).toBe(1);
        expect(stdout).toMatch(/^FAILED {3}template {11}The prompt template of .* cannot be parsed: line 1/m);
        expect(stdout).toMatch(/^FAILED {3}text {15}nan\.gguf produced logits that are not numbers/m);
        expect(stdout).toMatch(
            /^3 checks failed: template of nan\.gguf, text of nan\.gguf, evaluation of nan\.gguf\. /m,
        );
    });

    test("answers that have no end, and files of two families", async () => {
        const noEnd = writeVariant(
            "no-end",
            template("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"),
        );
        const tokens = readGguf(noEnd).metadata.get("tokenizer.ggml.tokens");
        if (tokens?.type !== "array") throw new Error("There are no tokens.");
        const other = writeVariant("other-family", {
            "tokenizer.ggml.tokens": {
                ...tokens,
                value: tokens.value.map((text, id) => (id === 700 ? "▁Andes" : text)),
            },
        });
        const report = await checkModels([noEnd, other], CPU);
        expect(wrongIn(report)).toEqual([
            expect.stringMatching(
                /^template: .*; behind an answer it writes "\\nuser: Which one is ", which ends no text/,
            ),
            expect.stringMatching(
                /^vocabularies: The members' vocabularies differ[^]* id 700: "▁Andes" \(normal\) for other-family\.gguf/,
            ),
        ]);
        expect(report.conclusion).toBe("1 check failed: vocabularies of together.");
    });

    test.each([
        ["default", /^BPE, 261 ids; .*; the file does not say how texts are cut into words/],
        ["llama-bpe", undefined],
    ])("a byte-level tokenizer with the pre-tokenizer %s", async (pre, warning) => {
        const file = path.join(folder, `${pre}.gguf`);
        writeGguf(file, byteLevelVocabulary({ ...readGguf(demoFile("small-base")), tensors: [] }, pre));
        await withVocabularies([file], ([model]) => {
            const verdict = describeVocabulary(model as NativeModel, file);
            expect(verdict).toEqual(warning ? { warning: expect.stringMatching(warning) } : expect.any(String));
        });
    });

    const whole = readFileSync(demoFile("small-chat"));
    const damaged = (reason: string) =>
        ({ check: "file", state: "failed", code: "MODEL_INVALID", text: expect.stringContaining(reason) }) as const;

    test.each([
        ["cut", whole.subarray(0, 500_000), "it is truncated"],
        ["cut-header", whole.subarray(0, 5000), "its header cannot be read"],
        ["empty", Buffer.alloc(0), "it has only 0 bytes"],
    ])("a file that is damaged: %s", async (name, bytes, reason) => {
        const file = path.join(folder, `${name}.gguf`);
        writeFileSync(file, bytes);
        const { stdout, stderr, code } = await run(["check", "--backend", "cpu", "--json", file]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 1 });
        expect(JSON.parse(stdout)).toMatchObject({ passed: false, models: [{ findings: [damaged(reason)] }] });
    });

    test("a file that is damaged, beside others that are not", async () => {
        const file = path.join(folder, "text.gguf");
        writeFileSync(file, "no model ".repeat(100));
        const report = await checkModels([demoFile("small-base"), file], CPU);
        const [intact, other] = report.models;
        expect(intact?.findings.filter(({ state }) => state === "failed")).toEqual([]);
        expect(intact?.findings.length).toBeGreaterThan(10);
        expect(other?.findings).toEqual([damaged("its header cannot be read")]);
        expect(report.together?.findings).toEqual([
            expect.objectContaining({ check: "vocabularies", state: "failed" }),
        ]);
    });
});

describe("what it is given", () => {
    it.each([
        [["check"], 2, "An argument is missing."],
        [["check", "no-such.gguf"], 1, "no-such.gguf is not on this machine; correct the path."],
        [
            ["check", path.join(demoFolder, "small-chat-lora.gguf")],
            1,
            "small-chat-lora.gguf is a LoRA adapter; name a recipe",
        ],
        [["check", demoFile("small-chat"), "--threads", "0"], 1, "--threads must be"],
    ])("%s", async (args, status, message) => {
        const { stderr, code } = await run(args);
        expect({ stderr, code }).toEqual({ stderr: expect.stringContaining(message), code: status });
    });

    it("ends when its caller says so", async () => {
        const controller = new AbortController();
        const findings: string[] = [];
        const onFinding = ({ check }: Finding): void => {
            findings.push(check);
            if (check === "there and back") controller.abort();
        };
        const check = checkModels([demoFile("small-chat")], { ...CPU, signal: controller.signal, onFinding });
        await expect(check).rejects.toMatchObject({ code: "ABORTED", name: "AbortError" });
        expect(findings.at(-1)).toBe("there and back");
    });
});

describe("comparing", () => {
    const row = (...values: number[]): Float32Array => Float32Array.from(values);

    it("looks at probable tokens, and misses no number that is none", () => {
        expect(largestDifference(row(-0.5, -1, -30), row(-0.5, -1.25, -50))).toBe(0.25);
        expect(largestDifference(row(-0.5, -30), row(-0.5, -1))).toBe(29);
        for (const other of [row(-0.5), row(-0.5, NaN)]) expect(largestDifference(row(-0.5, -1), other)).toBeNaN();
    });

    it("tells a near-tie from a difference", () => {
        const part = (id: number, scores: Float32Array) =>
            ({ type: "token", id, text: "", logprob: 0, scores }) as const;
        const plain = { seed: 1, parts: [part(0, row(-0.1, -3)), part(1, row(-0.71, -0.69))] };
        expect(firstDifference([0, 1], plain, 0)).toBeUndefined();
        expect(firstDifference([0, 0], plain, 0)).toEqual({ at: 1, margin: expect.closeTo(0.02, 5) });
        expect(isNearTie({ at: 1, margin: 0.02 })).toBe(true);
        expect(firstDifference([1, 1], plain, 0)).toEqual({ at: 0, margin: expect.closeTo(2.9, 5) });
        for (const other of [[0], [0, 1, 1]])
            expect(isNearTie(firstDifference(other, plain, 0) ?? { at: 0, margin: 0 })).toBe(false);
    });

    it("has texts whose order and number nothing else depends on", () => {
        expect(new Set(TEXTS).size).toBe(TEXTS.length);
        expect(TEXTS.join("")).not.toContain("\u2581");
    });

    it.each([
        ["/home/anna/my models/m.gguf is damaged", ["/home/anna/my models/m.gguf"], "m.gguf is damaged"],
        ["/srv/x/libggml.so needs /opt/y/libc.so", [], "libggml.so needs libc.so"],
        ["see https://example.org/a/b or and/or", [], "see https://example.org/a/b or and/or"],
        [String.raw`C:\Users\anna\m.gguf is damaged`, [], "m.gguf is damaged"],
        [path.join(homedir(), "x", "m.gguf"), [], "m.gguf"],
    ])("%s tells no folder", (text, files, short) => {
        expect(withoutFolders(text, files)).toBe(short);
    });
});
