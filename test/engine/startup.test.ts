/** What is read before the first token, counted and not timed: a vocabulary of a quarter of a million tokens takes half a second. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { existsSync, readFileSync, statSync, utimesSync } from "node:fs";
import path from "node:path";
import { checkLoading, createCheck, type Finding } from "../../src/ensemble/check.js";
import { inspectFiles } from "../../src/ensemble/inspect.js";
import { parseRecipe, readVocabularies, type Recipe } from "../../src/index.js";
import { openVocabularies } from "../../src/models/gguf.js";
import { tokenAttributes } from "../../src/models/token-attributes.js";
import { loadBinding } from "../../src/native/load-binding.js";
import { controlTokens } from "../../src/prompts/control-tokens.js";
import { demoFile, loadOnCpu, type DemoModel } from "../helpers/demo.js";
import { readGguf, withMetadata, writeGguf, type Gguf } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

const MEMBERS = { large: "large-base", chat: "small-chat", small: "small-base" } as const;
/** An entry that makes headers so large that what else is read does not matter. */
const PADDING = 4_000_000;
const INFO = 2;
const ago = (seconds: number): number => Math.floor(Date.now() / 1000) - seconds;

const { folder, remove } = temporaryFolder();
const files = Object.keys(MEMBERS).map((name) => path.join(folder, `${name}.gguf`));
let recipe: Recipe;

function padded(model: DemoModel, value = 0): Gguf {
    const text = String(value).repeat(PADDING);
    return withMetadata(readGguf(demoFile(model)), { "test.padding": { type: "string", value: text } });
}

beforeAll(() => {
    for (const [name, model] of Object.entries(MEMBERS)) {
        const file = path.join(folder, `${name}.gguf`);
        writeGguf(file, padded(model));
        utimesSync(file, ago(60), ago(60));
    }
    recipe = parseRecipe(
        `
eft: 1
name: padded
members: { large: { model: large.gguf }, chat: { model: chat.gguf }, small: { model: small.gguf } }
combination: chat + large - small
prompt: { template: from chat }
`,
        { directory: folder },
    );
});
afterAll(remove);

const COMMANDS: Readonly<Record<string, () => Promise<void>>> = {
    async loadEnsemble() {
        const ensemble = await loadOnCpu(recipe);
        await ensemble.dispose();
    },
    async "recipe check"() {
        const findings: Finding[] = [];
        await checkLoading(
            recipe,
            { backend: "cpu" },
            createCheck((finding) => findings.push(finding)),
        );
        expect(findings.filter(({ state }) => state === "failed")).toEqual([]);
        expect(findings.map(({ check }) => check)).toContain("memory");
    },
    async "inspect, of a recipe"() {
        await inspectFiles(recipe, { backend: "cpu" });
    },
    async readVocabularies() {
        await readVocabularies(recipe);
    },
};

/** Bytes that this process has read so far, but for what is mapped. */
const bytesRead = (): number => Number(/rchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);

describe.each(Object.entries(COMMANDS))("%s", (_, run) => {
    test("llama.cpp reads each vocabulary once", async () => {
        const read: string[] = [];
        loadBinding().setLog((level, text) => {
            const file = /loaded meta data with .* from (.*\.gguf)/.exec(text)?.[1];
            if (level >= INFO && file !== undefined) read.push(file);
        });
        try {
            await run();
        } finally {
            loadBinding().setLog(undefined);
        }
        expect(read.sort()).toEqual([...files].sort());
    });

    (existsSync("/proc/self/io") ? test : test.skip)("and headers that we have read are not read again", async () => {
        await run();
        const before = bytesRead();
        await run();
        const headers = (bytesRead() - before) / (files.length * PADDING);
        expect(headers).toBeLessThan(1.5);
    });
});

test("a header is read again when its file is another one", () => {
    const file = path.join(folder, "changing.gguf");
    const write = (value: number, seconds: number): void => {
        writeGguf(file, padded("small-base", value));
        utimesSync(file, ago(seconds), ago(seconds));
    };
    const read = (): unknown => String(new Map(loadBinding().readHeader(file).entries).get("test.padding"))[0];
    write(1, 60);
    expect(read()).toBe("1");
    write(2, 50);
    expect(read()).toBe("2");
    // Of the same size and time, while times do not tell yet.
    const time = ago(-60);
    for (const value of [3, 4]) {
        writeGguf(file, padded("small-base", value));
        utimesSync(file, time, time);
        expect([statSync(file).mtimeMs, read()]).toEqual([time * 1000, `${value}`]);
    }
    // Packages give all their files one time. Windows has no other that can be asked of a file by its name.
    if (process.platform === "win32") return;
    for (const value of [5, 6]) {
        write(value, 60 * 60);
        utimesSync(file, 1_000_000_000, 1_000_000_000);
        expect(read()).toBe(`${value}`);
    }
});

test("models with the same tokens share what is known about them, as long as one of them is there", async () => {
    const first = await openVocabularies(files);
    const [large, chat, small] = first.models;
    if (large === undefined || chat === undefined || small === undefined) throw new Error("Three models were opened.");
    const attributes = tokenAttributes(large);
    expect(attributes).toEqual(large.tokenAttributes());
    expect(tokenAttributes(small)).toBe(attributes);
    const tokens = controlTokens(large);
    expect(controlTokens(small)).toBe(tokens);
    await first[Symbol.asyncDispose]();
    await using again = await openVocabularies(files);
    for (const model of again.models) expect(controlTokens(model)).toEqual(tokens);
});
