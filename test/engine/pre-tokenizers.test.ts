/** Promise 7 for prompts: llama.cpp's pre-tokenizers recurse once for each character of a match, whatever stack there is. */

import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { withLlamaSource } from "../../scripts/llama-source.mjs";
import { demoFile } from "../helpers/demo.js";
import { readGguf, writeGguf } from "../helpers/gguf.js";
import { runProgram } from "../helpers/program.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { byteLevelVocabulary } from "../helpers/vocabulary.js";

/**
 * Every class of characters that a pattern may repeat; `word ` because one of them goes on over single spaces, `/` because
 * some go on over slashes and line ends.
 */
const UNITS = ["a", "A", " ", "1", ".", "\n", "日", "क्ष", "\u3000\n", "word ", "a1", "aa bb, ", "/\n", "/\r\n"];
const LENGTH = 5000;
/** They read words in other forms than this vocabulary has them. Of these, only that they return or throw. */
const OTHER_WORDS = ["gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"];

const gguf = { ...readGguf(demoFile("small-base")), tensors: [] };

/** All that the pinned release of llama.cpp knows. */
async function preTokenizers(): Promise<string[]> {
    const source = path.join("src", "llama-vocab.cpp");
    return withLlamaSource([source], (folder: string) => {
        const text = readFileSync(path.join(folder, source), "utf8");
        return [...new Set([...text.matchAll(/tokenizer_pre == "([^"]*)"/g)].map(([, name = ""]) => name))];
    });
}

test("long words, lines and runs of spaces, with every pre-tokenizer", async () => {
    const names = await preTokenizers();
    expect(names.length).toBeGreaterThan(80);
    const lines = await tokenizeAll(names, UNITS, LENGTH);
    expect(lines).toHaveLength(names.length * UNITS.length);
    const isRefused = ({ file, unit }: Line): boolean => path.basename(file) === "superbpe.gguf" && unit === "1";
    expect(lines.filter(isRefused)).toMatchObject([{ outcome: "OPTION_INVALID" }]);
    const unexpected = lines.filter((line) => line.outcome !== "same" && !isRefused(line));
    expect(unexpected.filter(({ file }) => !OTHER_WORDS.includes(path.basename(file, ".gguf")))).toEqual([]);
}, 120_000);

test("a line longer than any that can be taken is refused", async () => {
    const [refused] = await tokenizeAll(["tekken"], ["ab"], 1_000_001);
    expect(refused?.outcome).toBe("OPTION_INVALID");
    const [lines] = await tokenizeAll(["tekken"], [`${"ab".repeat(20_000)}\n  \u3000`], 1_000_001);
    expect(lines?.outcome).toBe("same");
});

test("a number is refused only where it takes too long", async () => {
    const outcomes = async (digits: number): Promise<unknown[]> =>
        (await tokenizeAll(["superbpe", "llama-bpe"], ["1"], digits)).map(({ outcome }) => outcome);
    expect(await outcomes(1000)).toEqual(["same", "same"]);
    expect((await outcomes(1001)).sort()).toEqual(["OPTION_INVALID", "same"]);
});

interface Line {
    readonly file: string;
    readonly unit: string;
    readonly outcome?: string;
}

async function tokenizeAll(names: readonly string[], units: readonly string[], length: number): Promise<Line[]> {
    const { folder, remove } = temporaryFolder();
    try {
        for (const name of names) writeGguf(path.join(folder, `${name}.gguf`), byteLevelVocabulary(gguf, name));
        const args = [folder, JSON.stringify(units), String(length)];
        const { exit, stdout, stderr } = await runProgram("tokenize-long.mjs", { args, seconds: 110 });
        const lines = stdout
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as Line);
        // What it was at shows when the process does not survive.
        expect({ exit, stderr, last: lines.at(-1) }).toMatchObject({ exit: 0, last: { outcome: expect.anything() } });
        return lines.filter(({ outcome }) => outcome !== undefined);
    } finally {
        remove();
    }
}
