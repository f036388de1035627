/** `eft-llama score`, as a shell sees it. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "@jest/globals";
import { parseLines, run } from "./run.js";
import { F16_BATCHING } from "../helpers/tolerances.js";

interface ScoreLine {
    readonly context?: string;
    readonly text: string;
    readonly tokens: readonly number[];
    readonly logprobs: Readonly<Record<string, readonly number[]>>;
    readonly windows: number;
    readonly isGreedy: boolean;
}

const TEXT = "The capital of Nepal is Kathmandu.";
const PAIRS = [
    "What is the capital of Nepal?\t Its capital is Kathmandu.",
    "What is the capital of Nepal?\t Its capital is Bamako.",
    "Who wrote Hamlet?\t It was written by William Shakespeare.",
].join("\n");
const DISTRIBUTIONS = ["target", "large", "chat", "small"];
const demo = (...args: string[]): string[] => ["score", "--recipe", "demo", ...args];

async function scoreJson(args: readonly string[], input?: string): Promise<ScoreLine[]> {
    const { stdout, stderr, code } = await run([...args, "--json"], { input });
    expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    return parseLines<ScoreLine>(stdout);
}

function sum(values: readonly number[] = []): number {
    return values.reduce((total, value) => total + value, 0);
}

describe("--json", () => {
    it("has every token of the text, for the target and each member", async () => {
        const [line, ...rest] = await scoreJson(demo(TEXT));
        expect(rest).toEqual([]);
        expect(line).toEqual({
            text: TEXT,
            tokens: expect.any(Array),
            logprobs: expect.any(Object),
            windows: 1,
            isGreedy: expect.any(Boolean),
        });
        expect(Object.keys(line?.logprobs ?? {})).toEqual(DISTRIBUTIONS);
        for (const logprobs of Object.values(line?.logprobs ?? {})) {
            expect(logprobs).toHaveLength(line?.tokens.length ?? NaN);
            expect(Math.max(...logprobs)).toBeLessThanOrEqual(0);
        }
    });

    it("scores the whole input as one text, or its lines, empty ones too", async () => {
        const input = `${TEXT}\n\nHello.\n`;
        const whole = await scoreJson(demo(), input);
        expect(whole.map(({ text }) => text)).toEqual([`${TEXT}\n\nHello.`]);
        const lines = await scoreJson(demo("--lines"), input);
        expect(lines.map(({ text }) => text)).toEqual([TEXT, "", "Hello."]);
        expect(lines[1]).toMatchObject({ tokens: [], logprobs: { target: [], large: [] } });
        expect(lines[0]).toEqual((await scoreJson(demo(TEXT)))[0]);
    });

    it("scores continuations given their contexts, as turns of a chat when asked", async () => {
        const plain = await scoreJson(demo("--pairs"), PAIRS);
        const chat = await scoreJson(demo("--pairs", "--chat"), PAIRS);
        for (const lines of [plain, chat]) {
            expect(lines.map(({ context, text }) => `${context}\t${text}`).join("\n")).toBe(PAIRS);
        }
        const [right, wrong] = chat.map(({ logprobs }) => sum(logprobs.target));
        expect(right).toBeGreaterThan((wrong ?? NaN) + 5);
        // What the target answers at temperature 0 is greedy; the answer of the small model alone is not.
        expect(chat.map(({ isGreedy }) => isGreedy)).toEqual([true, false, true]);
        expect(sum(plain[0]?.logprobs.target)).toBeLessThan(right ?? NaN);
    });

    it("agrees with the log-probabilities of a completion", async () => {
        const question = "What is the capital of Nepal?";
        const completion = await run(["complete", "-r", "demo", "--json", "--members", question]);
        const tokens = parseLines<{ id: number; logprob: number; members: Record<string, number> }>(completion.stdout);
        const [line] = await scoreJson(demo("--pairs", "--chat"), PAIRS.split("\n")[0]);
        expect(line?.tokens.length).toBeGreaterThan(5);
        line?.tokens.forEach((token, index) => {
            expect(tokens[index]?.id).toBe(token);
            // One evaluates all tokens in one batch, the other one after another.
            const { logprob = NaN, members } = tokens[index] ?? {};
            expect(Math.abs((line.logprobs.target?.[index] ?? NaN) - logprob)).toBeLessThan(F16_BATCHING);
            const large = members?.["large"] ?? NaN;
            expect(Math.abs((line.logprobs.large?.[index] ?? NaN) - large)).toBeLessThan(F16_BATCHING);
        });
    });

    it("depends on the dials", async () => {
        const [line] = await scoreJson(demo("--set", "beta=0", TEXT));
        line?.logprobs.target?.forEach((value, index) => {
            expect(value).toBeCloseTo(line.logprobs.chat?.[index] ?? NaN, 4);
        });
    });
});

describe("the table", () => {
    it("has sums, perplexity and bits per byte that fit together", async () => {
        const { stdout, stderr, code } = await run(demo("--lines", "--sequences", "2"), {
            input: `${TEXT}\nÖl und Grün\n`,
        });
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const scores = await scoreJson(demo("--lines"), `${TEXT}\nÖl und Grün\n`);
        const tokens = sum(scores.map((line) => line.tokens.length));
        const bytes = Buffer.byteLength(TEXT) + Buffer.byteLength("Öl und Grün");
        expect(stdout.split("\n")[0]).toBe(`2 texts, ${tokens} tokens, ${bytes} bytes`);
        for (const name of DISTRIBUTIONS) {
            const row = stdout.split("\n").find((line) => line.startsWith(`│ ${name} `)) ?? "";
            const [logprob, perToken, perplexity, bitsPerByte] = row.split("│").slice(2, -1).map(Number);
            const expected = sum(scores.map(({ logprobs }) => sum(logprobs[name])));
            expect(logprob).toBeCloseTo(expected, 2);
            expect(perToken).toBeCloseTo(expected / tokens, 2);
            expect((perplexity ?? NaN) / Math.exp(-expected / tokens)).toBeCloseTo(1, 3);
            expect(bitsPerByte).toBeCloseTo(-expected / bytes / Math.LN2, 3);
        }
    });

    it("says in how many windows a long text was scored", async () => {
        const args = demo("--context-size", "16", TEXT.repeat(5));
        const [line] = await scoreJson(args);
        expect(line?.tokens.length).toBe(60);
        expect(line?.windows).toBe(1 + Math.ceil((60 - 16) / 8));
        for (const name of DISTRIBUTIONS) expect(line?.logprobs[name]).toHaveLength(60);
        expect((await run(args)).stdout).toMatch(
            /^1 text, 60 tokens, 170 bytes, in 7 windows that go on by 8 tokens\n/,
        );
        const [finer] = await scoreJson([...args, "--stride", "4"]);
        expect(finer?.windows).toBe(1 + (60 - 16) / 4);
        expect(finer?.logprobs.target?.slice(0, 16)).toEqual(line?.logprobs.target?.slice(0, 16));
    });

    it("has no perplexity of nothing", async () => {
        const { stdout, code } = await run(demo(""));
        expect(code).toBe(0);
        expect(stdout).toMatch(/^1 text, 0 tokens, 0 bytes\n/);
        expect(stdout).toMatch(/^│ target +│ +0 │ +- │ +- │ +- │$/m);
    });
});

describe("mistakes", () => {
    it.each([
        [demo("--lines", "--pairs", "a\tb"), 2, /exclude each other/],
        [demo("--chat", "a"), 2, /--chat needs --pairs/],
        [["score", "text"], 2, /Name the models/],
        [demo("--pairs", "no tab"), 1, /Line 1 is no pair/],
        [demo("--pairs", "one\ttwo\tthree"), 1, /Line 1 is no pair/],
        [demo("--chat", "--pairs", "--stride", "4", "a\tb"), 2, /--chat and --stride exclude each other/],
        [demo("--stride", "257", TEXT), 1, /--stride must be a whole number from 1 to 256/],
        [
            demo("--chat", "--pairs", "--context-size", "16", PAIRS.split("\n")[0] ?? ""),
            1,
            /Text 1 has 21 tokens; the context scores at most 17\. Split the text, or load with a larger --context-size/,
        ],
        [demo("--sequences", "0", TEXT), 1, /sequences must be a whole number/],
    ])("%j", async (args, expected, message) => {
        const { stdout, stderr, code } = await run(args);
        expect({ stdout, code }).toEqual({ stdout: "", code: expected });
        expect(stderr).toMatch(message);
    });

    it("names the line of the file", async () => {
        const folder = mkdtempSync(path.join(tmpdir(), "eft-cli-"));
        try {
            const file = path.join(folder, "pairs.tsv");
            writeFileSync(file, `${PAIRS}\nno tab\n`);
            const { stderr, code } = await run(demo("--pairs", "--file", file));
            expect(code).toBe(1);
            expect(stderr).toMatch(/Line 4 is no pair/);
        } finally {
            rmSync(folder, { recursive: true });
        }
    });
});
