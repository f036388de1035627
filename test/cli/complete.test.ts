/** `eft-llama complete`, as a shell sees it. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { demoFile, demoFolder } from "../helpers/demo.js";
import { parseLines, run } from "./run.js";

interface TokenLine {
    readonly id: number;
    readonly text: string;
    readonly logprob: number;
    readonly members?: Readonly<Record<string, number>>;
    readonly top?: readonly { id: number; text: string; logprob: number; members?: Readonly<Record<string, number>> }[];
}

interface FinishLine {
    readonly finish: string;
    readonly text: string;
    readonly stoppedBy?: string;
    readonly seed: number;
    readonly tokens: number;
    readonly promptTokens: Readonly<Record<string, number>>;
    readonly reusedTokens: Readonly<Record<string, number>>;
    readonly timings: Readonly<Record<string, unknown>>;
}

const QUESTION = "What is the capital of Nepal?";
const TEXT = "Its capital is Kathmandu.";
const ANSWER = `${TEXT}\n`;
const demo = (...args: string[]): string[] => ["complete", "--recipe", "demo", ...args];

function split(stdout: string): { tokens: TokenLine[]; finish: FinishLine } {
    const lines = parseLines<TokenLine | FinishLine>(stdout);
    return { tokens: lines.slice(0, -1) as TokenLine[], finish: lines.at(-1) as FinishLine };
}

let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "eft-cli-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

describe("text", () => {
    it("is the answer and nothing else, with nothing on standard error", async () => {
        expect(await run(demo(QUESTION))).toEqual({ stdout: ANSWER, stderr: "", code: 0 });
    });

    it("comes from three files without a recipe", async () => {
        const models = ["--base", demoFile("large-base"), "--tuned", demoFile("small-chat")];
        const args = ["complete", ...models, "--reference", demoFile("small-base"), "--temperature", "0", QUESTION];
        expect(await run(args)).toEqual({ stdout: ANSWER, stderr: "", code: 0 });
    });

    it("takes a LoRA adapter as the tuned model, for the reference", async () => {
        const models = ["--base", demoFile("large-base"), "--tuned", path.join(demoFolder, "small-chat-lora.gguf")];
        const args = ["complete", ...models, "--reference", demoFile("small-base"), "--temperature", "0"];
        expect(await run([...args, "--raw", "The capital of Nepal is", "--max-tokens", "7"])).toEqual({
            stdout: " Kathmandu.\n",
            stderr: "The text was cut after 7 tokens, as --max-tokens says.\n",
            code: 0,
        });
    });

    it("answers standard input and files, without their last line end and byte-order mark", async () => {
        const file = path.join(folder, "prompt.txt");
        writeFileSync(file, `\ufeff${QUESTION}\r\n`);
        expect((await run(demo(), { input: `${QUESTION}\n` })).stdout).toBe(ANSWER);
        expect((await run(demo("--file", file))).stdout).toBe(ANSWER);
    });

    it("continues a raw text without the chat template", async () => {
        const { stdout } = await run(demo("--raw", "--max-tokens", "7", "The capital of Nepal is"));
        expect(stdout).toBe(" Kathmandu.\n");
    });

    it("depends on the dials", async () => {
        const alone = await run(demo("--set", "beta=0", QUESTION));
        expect(alone).toMatchObject({ stderr: "", code: 0 });
        expect(alone.stdout).toMatch(/^Its capital is [A-Z]\w+\.\n$/);
        expect(alone.stdout).not.toBe(ANSWER);
        const dial = ["complete", "-r", "demo-dial", "What is the phone number of Clara Berg?"];
        expect((await run([...dial, "--set", "lambda=0"])).stdout).toMatch(/555-\d{4}/);
        expect((await run([...dial, "--set", "lambda=1"])).stdout).toMatch(/cannot share/);
    });

    it("is the same for the same seed, and other for another", async () => {
        const draw = async (seed: string): Promise<string> =>
            (await run(demo("--temperature", "3", "--max-tokens", "20", "--seed", seed, QUESTION))).stdout;
        const [first, again, other] = [await draw("1"), await draw("1"), await draw("2")];
        expect(again).toBe(first);
        expect(other).not.toBe(first);
    });

    it("obeys the sampling flags", async () => {
        const draw = async (...flags: string[]): Promise<string> =>
            (await run(demo("--temperature", "2", "--seed", "5", ...flags, QUESTION))).stdout;
        expect(await draw()).not.toBe(ANSWER);
        // Each of these filters leaves the most probable token only.
        for (const filter of ["--top-k=1", "--top-p=0.01", "--min-p=1"]) expect(await draw(filter)).toBe(ANSWER);
        const { tokens } = split((await run(demo("--json", "--presence-penalty", "100", QUESTION))).stdout);
        expect(new Set(tokens.map(({ id }) => id)).size).toBe(tokens.length);
    });

    it("ends before a stop text, the first of several", async () => {
        const { stdout } = await run(demo("--stop", "mandu", "--stop", "th", QUESTION));
        expect(stdout).toBe("Its capital is Ka\n");
    });

    it.each([
        [["--max-tokens", "3"], "as --max-tokens says"],
        // The question has 11 tokens.
        [["--context-size", "16"], "because the context of 16 tokens is full; --context-size sets it"],
    ])("that was cut is marked: %j", async (flags, why) => {
        const { stderr, code } = await run(demo(...flags, QUESTION));
        expect(stderr).toMatch(/^The text was cut after \d tokens, .*\.\n$/);
        expect({ stderr, code }).toMatchObject({ stderr: expect.stringContaining(why), code: 0 });
        expect((await run(demo(...flags, "--quiet", QUESTION))).stderr).toBe("");
        expect((await run(demo(...flags, "--json", QUESTION))).stderr).toBe("");
    });

    it.each([["help"], ["version"], ["completion"], ["complete"]])("may answer the word %s", async (word) => {
        const { tokens } = split((await run(demo("--json", "--max-tokens", "2", word))).stdout);
        expect(tokens).toHaveLength(2);
    });

    it("answers something", async () => {
        const blank = path.join(folder, "blank.txt");
        writeFileSync(blank, " \n\n");
        for (const { stderr, stdout, code } of [
            await run(demo("")),
            await run(demo(" \n")),
            await run(demo("--file", blank)),
            await run(demo(), { input: "" }),
        ])
            expect({ stdout, stderr, code }).toEqual({
                ...{ stdout: "", code: 1 },
                stderr: expect.stringMatching(/^eft-llama: The prompt is empty; .* --raw\.\n$/),
            });
        expect((await run(demo("--raw", "--max-tokens", "1", ""))).code).toBe(0);
    });

    it("knows how far the training went", async () => {
        const { stderr } = await run(demo("--context-size", "300", QUESTION));
        expect(stderr).toBe(
            "The context holds 300 tokens, and members were trained for fewer: large for 256, chat for 256, small for 256. " +
                "Beyond that, texts get worse.\n",
        );
        expect((await run(demo("--context-size", "256", QUESTION))).stderr).toBe("");
    });

    it("has instructions before it", async () => {
        const recipe = path.join(folder, "system.yaml");
        writeFileSync(
            recipe,
            [
                ...["eft: 1", "name: system", `members: { m: { model: ${demoFile("small-chat")} } }`, "combination: m"],
                'prompt: { template: "{% for m in messages %}{{ m.role }}: {{ m.content }}\\n{% endfor %}" }',
            ].join("\n"),
        );
        const seen = async (...flags: string[]): Promise<number> => {
            const { stdout, stderr } = await run(["complete", "-r", recipe, "-n", "1", "--json", ...flags, QUESTION]);
            expect(stderr).toBe("");
            return split(stdout).finish.promptTokens["m"] ?? 0;
        };
        expect(await seen("--system", "Answer in one word.")).toBeGreaterThan(await seen());
        // The demo's template has no place for them.
        expect(await run(demo("--system", "Be brief.", QUESTION))).toEqual({
            stdout: ANSWER,
            stderr: "The prompt template has no place for a system prompt; not shown to: large, chat, small.\n",
            code: 0,
        });
        expect(await run(demo("--system", "x", "--raw", QUESTION))).toMatchObject({ code: 2, stdout: "" });
    });

    it("has statistics and llama.cpp's log on standard error when asked", async () => {
        const { stdout, stderr } = await run(demo("--verbose", "--seed", "7", QUESTION));
        expect(stdout).toBe(ANSWER);
        expect(stderr).toMatch(/^llama_model_loader: /m);
        expect(stderr).toMatch(/^Backend: \w+/m);
        expect(stderr.match(/^finish +stop after 11 tokens, seed 7$/gm)).toHaveLength(1);
    });
});

describe("--json", () => {
    it("has one object a token and a last one", async () => {
        const { stdout, stderr, code } = await run(demo("--json", "--seed", "3", QUESTION));
        const { tokens, finish } = split(stdout);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        for (const token of tokens) {
            expect(token).toEqual({ id: expect.any(Number), text: expect.any(String), logprob: expect.any(Number) });
            expect(token.logprob).toBeLessThanOrEqual(0);
        }
        expect(tokens.map(({ text }) => text).join("") + finish.text).toBe(TEXT);
        expect(finish).toMatchObject({ finish: "stop", text: "", seed: 3, tokens: tokens.length });
        expect(Object.keys(finish.promptTokens)).toEqual(["large", "chat", "small"]);
        expect(finish.reusedTokens).toEqual({ large: 0, chat: 0, small: 0 });
        expect(finish.timings).toMatchObject({ tokensPerSecond: expect.any(Number), fuseMs: expect.any(Number) });
    });

    it("has the members and the most probable tokens when asked", async () => {
        const { stdout } = await run(demo("--json", "--members", "--top-logprobs", "3", "--max-tokens", "4", QUESTION));
        const { tokens, finish } = split(stdout);
        expect(finish.finish).toBe("length");
        expect(tokens).toHaveLength(4);
        for (const { id, logprob, members, top = [] } of tokens) {
            expect(Object.keys(members ?? {})).toEqual(["large", "chat", "small"]);
            expect(top).toHaveLength(3);
            // At temperature 0 the drawn token is the first.
            expect(top[0]).toMatchObject({ id, members: expect.any(Object) });
            expect(top[0]?.logprob).toBeCloseTo(logprob, 5);
            expect(top[1]?.logprob).toBeLessThanOrEqual(logprob);
        }
    });

    it("says what stopped it and what it held back", async () => {
        const stopped = split((await run(demo("--json", "--stop", "mandu", QUESTION))).stdout);
        expect(stopped.finish).toMatchObject({ finish: "stop", stoppedBy: "mandu", text: "" });
        const cut = split(
            (await run(demo("--json", "--stop", " capital letter", "--max-tokens", "2", QUESTION))).stdout,
        );
        expect(cut.tokens.map(({ text }) => text)).toEqual(["Its", ""]);
        expect(cut.finish).toMatchObject({ finish: "length", text: " capital" });
    });
});

describe("Ctrl-C", () => {
    // So flat a distribution takes thousands of tokens to draw the end of the text.
    const endless = demo("--temperature", "100", "--seed", "7", "--context-size", "20000", "--quiet", "Hello");

    it("ends the text cleanly with 130", async () => {
        const { stdout, stderr, code } = await run([...endless, "--json"], { interruptAfter: 2000 });
        expect({ stderr, code }).toEqual({ stderr: "", code: 130 });
        expect(stdout).toMatch(/\}\n$/);
        const { tokens, finish } = split(stdout);
        expect(finish).toMatchObject({ finish: "abort", tokens: tokens.length, seed: 7 });
        expect(tokens.length).toBeGreaterThan(10);
    });

    it("keeps the text that there is", async () => {
        const { stdout, stderr, code } = await run(endless, { interruptAfter: 50 });
        expect({ stderr, code }).toEqual({ stderr: "", code: 130 });
        expect(stdout.length).toBeGreaterThanOrEqual(50);
    });
});

describe("wrong usage ends with 2", () => {
    it.each([
        [["complete", QUESTION], /^eft-llama: Name the models/],
        [["complete", "--base", "a.gguf", QUESTION], /--base, --tuned and --reference go together/],
        [demo("--base", "a.gguf", QUESTION), /--recipe stands instead of/],
        [demo("--file", "prompt.txt", QUESTION), /Give one text: as an argument, or with --prompt or --file/],
        [demo("two", "words"), /Too many arguments: words\./],
        [demo("--temprature", "1", QUESTION), /There is no --temprature; did you mean --temperature\?/],
        [demo("--seed", "many", QUESTION), /--seed takes a number/],
        [demo("--seed", "", QUESTION), /--seed takes a number/],
        [demo("--selective=", QUESTION), /--selective takes a number/],
        [demo("-n", "", QUESTION), /-n takes a number|--max-tokens takes a number/],
        [demo("--seed", "1", "--seed", "2", QUESTION), /--seed can be given only once/],
        [demo("-r", "demo-dial", QUESTION), /--recipe can be given only once/],
        [demo("--set", "beta", QUESTION), /--set takes name=number, such as beta=1\.2, not "beta"/],
        [demo("--set", "beta= ", QUESTION), /--set takes name=number/],
        [demo("--set", "beta=high", QUESTION), /not "beta=high"/],
        [demo("--backend", "abacus", QUESTION), /--backend takes auto, cpu, .*, not "abacus"\./],
        [demo("--members", QUESTION), /--members needs --json/],
        [demo("--top-logprobs", "3", QUESTION), /--top-logprobs needs --json/],
        [demo("--speculation", "17", QUESTION), /off, auto, confidence or a number of drafts from 0 to 16, not "17"/],
        [demo("--speculation=-1", QUESTION), /not "-1"/],
        [demo("--speculation", "1.5", QUESTION), /not "1\.5"/],
        [demo("--speculation=", QUESTION), /not ""/],
        [demo("--speculation", "2", "--speculation", "4", QUESTION), /--speculation can be given only once/],
        [demo("--speculation", "off", "--drafter", "chat", QUESTION), /--drafter needs speculation/],
        [demo("--speculation", "off", "--lookup", QUESTION), /--lookup needs speculation/],
        [demo("--coupling", "loose", QUESTION), /--coupling takes gumbel, maximal, not "loose"\./],
        [demo(QUESTION, "--stop"), /--stop takes a value/],
    ])("%j", async (args, message) => {
        const { stdout, stderr, code } = await run(args);
        expect({ stdout, code }).toEqual({ stdout: "", code: 2 });
        expect(stderr).toMatch(message);
        expect(stderr).toMatch(/See `eft-llama complete --help`\.\n$/);
    });
});

it("remarks parts that do not fit and an answer without text", async () => {
    const [base, tuned, reference] = [demoFile("large-base"), demoFile("small-base"), demoFile("small-chat")];
    const models = ["--base", base, "--tuned", tuned, "--reference", reference];
    // Nothing but the end of a text is allowed.
    const grammar = ["--grammar", 'root ::= ""'];
    const { stdout, stderr, code } = await run(["complete", ...models, ...grammar, QUESTION]);
    expect({ stdout, code }).toEqual({ stdout: "\n", code: 0 });
    const [doubt, fitting, remark] = stderr.split("\n");
    expect(doubt).toMatch(/^reference \(small-chat\S+\) looks like the fine-tuned model, not tuned/);
    expect(fitting).toMatch(/^What the files say fits base large-base/);
    expect(remark).toMatch(/^The text is empty: its first token was already the end of a text\./);
    const json = await run(["complete", "-r", "demo", ...grammar, "--json", QUESTION]);
    expect(json.stderr).toMatch(/^The text is empty: its first .* `eft-llama recipe check` /);
    expect(json.stdout).toContain('{"finish":"stop"');
    const chat = await run(["chat", "demo", ...grammar, QUESTION]);
    expect(chat.stderr).toContain("(The text is empty: its first token was already the end of a text.");
    const stopped = await run(["complete", "-r", "demo", "--stop", "Its", QUESTION]);
    expect(stopped.stderr).toBe('The text is empty: it began with the stop text "Its".\n');
});

describe("a failure is one sentence, and ends with 1", () => {
    it.each([
        [["complete", "-r", "dem", QUESTION], /did you mean "demo"\?/],
        [["complete", "-r", "llama-2-13b-upscaled", QUESTION], /Download with `eft-llama pull llama-2-13b-upscaled`/],
        [demo("--file", "/no/such/file"), /\/no\/such\/file cannot be read/],
        [demo("--set", "gamma=1", QUESTION), /no parameter "gamma"/],
        [demo("--set", "beta=3", QUESTION), /from 0 to 2, not 3/],
        [demo("--temperature=-1", QUESTION), /temperature must be a number from 0 to 100, not -1/],
        [demo("--seed", "0.5", QUESTION), /seed must be a whole number/],
        [demo("--top-k", "-1", QUESTION), /^eft-llama: --top-k must be a whole number/],
        [demo("--context-size", "8", QUESTION), /load with a larger --context-size/],
        [demo("--threads", "100000", QUESTION), /threads must be a whole number/],
        [demo("--context-size", "8", QUESTION), /the context holds 8/],
        [demo("--drafter", "chat + nobody", QUESTION), /--drafter:1:8: "nobody" is neither a member nor a parameter/],
        // Before its models are looked for.
        [["complete", "-r", "llama-2-13b-upscaled", "--drafter", "nobody", QUESTION], /--drafter:1:1: "nobody"/],
        [demo("--backend", "metal", QUESTION), /The backend metal cannot be used/],
    ])("%j", async (args, message) => {
        const { stdout, stderr, code } = await run(args);
        expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
        expect(stderr).toMatch(message);
        expect(stderr).toMatch(/^eft-llama: [^\n]+\n$/);
    });

    it("has a stack trace with --verbose", async () => {
        const { stderr, code } = await run(demo("--verbose", "--set", "beta=3", QUESTION));
        expect(code).toBe(1);
        expect(stderr).toMatch(/^eft-llama: EftError: The parameter "beta"/m);
        expect(stderr).toMatch(/^ {4}at /m);
    });
});
