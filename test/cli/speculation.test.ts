/** Speculation as a shell sees it: its flags, `--stats` and `--explain` of `eft-llama complete`. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { DrafterView } from "../../src/index.js";
import { demoFile } from "../helpers/demo.js";
import { F16_BATCHING, LOGPROB } from "../helpers/tolerances.js";
import { hasTerminal, parseLines, program, run, runOnTerminal } from "./run.js";

type Named = Readonly<Record<string, number>>;

interface TokenLine {
    readonly id: number;
    readonly text: string;
    readonly logprob: number;
    readonly members?: Named;
    readonly drafter?: DrafterView;
    readonly drawnBy?: "drafter";
}

interface FinishLine {
    readonly seed: number;
    readonly tokens: number;
    readonly timings: { readonly decodeMs: Named; readonly fuseMs: number; readonly tokensPerSecond: number };
    readonly speculation?: SpeculationJson;
    readonly exactness?: string;
}

interface SpeculationJson {
    readonly steps: number;
    readonly blocks: number;
    readonly tokens: number;
    readonly drafted: number;
    readonly accepted: number;
    readonly unasked: number;
    readonly lookedUp: number;
    readonly lookupAccepted: number;
    readonly verifiedAt: readonly number[];
    readonly acceptedAt: readonly number[];
    readonly acceptanceLength: number;
    readonly draftMs: Named;
    readonly stepMs: Named;
}

const QUESTION = "What is the capital of Nepal?";
const ANSWER = "Its capital is Kathmandu.";
const MEMBERS = ["large", "chat", "small"];
const demo = (...args: string[]): string[] => ["complete", "--recipe", "demo", "--backend", "cpu", ...args];
const onTerminal = hasTerminal ? it : it.skip;

interface Completed {
    readonly text: string;
    readonly tokens: readonly TokenLine[];
    readonly finish: FinishLine;
    readonly stderr: string;
}

async function completeJson(args: readonly string[]): Promise<Completed> {
    const { stdout, stderr, code } = await run([...args, "--json"]);
    expect(code).toBe(0);
    const lines = parseLines<TokenLine | FinishLine>(stdout);
    const tokens = lines.slice(0, -1) as TokenLine[];
    return { text: tokens.map(({ text }) => text).join(""), tokens, finish: lines.at(-1) as FinishLine, stderr };
}

let folder: string;
beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "eft-cli-"));
});
afterAll(() => {
    rmSync(folder, { recursive: true });
});

/** A recipe like the demo's, with a last line and with names of one's own. */
function writeRecipe(line: string, [large, chat, small] = MEMBERS): string {
    const file = path.join(folder, "recipe.yaml");
    writeFileSync(
        file,
        `
eft: 1
name: test
members:
    ${large}: { model: ${demoFile("large-base")} }
    ${chat}: { model: ${demoFile("small-chat")} }
    ${small}: { model: ${demoFile("small-base")} }
combination: ${chat} + ${large} - ${small}
prompt: { template: from ${chat} }
sampling: { temperature: 0 }
${line}
`,
    );
    return file;
}

describe("--speculation", () => {
    it.each([["4"], ["confidence"], ["auto"], ["0"]])("%s writes the same text", async (length) => {
        const { text, tokens, finish } = await completeJson(demo("--speculation", length, QUESTION));
        expect(text).toBe(ANSWER);
        // The first token comes with the prompt.
        expect(finish.speculation?.tokens).toBe(tokens.length - 1);
        const { drafted, blocks, draftMs } = finish.speculation ?? {};
        if (length === "0") expect({ drafted, blocks }).toEqual({ drafted: 0, blocks: 0 });
        if (length === "4" || length === "confidence") expect(drafted).toBeGreaterThan(0);
        expect(Object.keys(draftMs ?? {})).toEqual(MEMBERS);
        expect([draftMs?.large, draftMs?.small]).toEqual([0, 0]);
    });

    it("is off unless a flag or the recipe asks for it", async () => {
        expect((await completeJson(demo(QUESTION))).finish).not.toHaveProperty("speculation");
        for (const flags of [["--drafter", "chat"], ["--coupling", "gumbel"], ["--lookup"]]) {
            expect((await completeJson(demo(...flags, QUESTION))).finish).toHaveProperty("speculation");
        }
        const recipe = ["complete", "-r", writeRecipe("speculation: { length: 3 }"), QUESTION];
        const { speculation } = (await completeJson(recipe)).finish;
        expect(speculation?.verifiedAt).toHaveLength(3);
        const off = await completeJson([...recipe, "--speculation", "off"]);
        expect(off.finish).not.toHaveProperty("speculation");
        expect(off.text).toBe(ANSWER);
    });

    it("is what the recipe says where the flags say nothing", async () => {
        const recipe = ["complete", "-r", writeRecipe("speculation: { length: 3 }"), QUESTION];
        const { text, finish } = await completeJson([...recipe, "--drafter", "0.5 * large + 0.5 * chat"]);
        expect(text).toBe(ANSWER);
        const { drafted = 0, verifiedAt, draftMs } = finish.speculation ?? {};
        expect(drafted).toBeGreaterThan(0);
        expect(verifiedAt).toHaveLength(3);
        expect([draftMs?.large, draftMs?.chat]).toEqual([expect.any(Number), expect.any(Number)]);
        expect(Math.min(draftMs?.large ?? 0, draftMs?.chat ?? 0)).toBeGreaterThan(0);
        expect(draftMs?.small).toBe(0);
    });

    it("asks the target where --selective says so, and tells that the text is approximate", async () => {
        const ask = async (nats: string): Promise<Completed> =>
            completeJson(demo("--selective", nats, "--stats", QUESTION));
        const [all, some, none] = [await ask("0"), await ask("0.3"), await ask("100")];
        expect(all.finish).not.toHaveProperty("exactness");
        expect([all.text, some.text]).toEqual([ANSWER, ANSWER]);
        for (const { finish, tokens, stderr } of [some, none]) {
            expect(finish.exactness).toBe("approximate");
            const unasked = tokens.slice(1).filter(({ drawnBy }) => drawnBy === "drafter").length;
            expect(finish.speculation?.unasked).toBe(unasked);
            expect(stderr).toContain("exactness          approximate: the drafter's tokens are taken where it is sure");
            expect(stderr).toMatch(new RegExp(`asked +the target, for ${tokens.length - 1 - unasked} of \\d+ tokens`));
        }
        expect(none.tokens.every(({ drawnBy }) => drawnBy === "drafter")).toBe(true);
    });

    it.each([
        [
            ["--selective", "1", "--speculation", "off"],
            "--selective needs speculation, which --speculation off turns off.",
        ],
        [["--selective", "-1"], "--selective must be a number from 0 to 100, not -1."],
        [["--selective", "1", "--coupling", "maximal"], '"coupling: maximal" draws from the target exactly'],
    ])("%j is refused", async (flags, message) => {
        const { code, stderr } = await run(demo(...flags, QUESTION));
        expect(code).toBeGreaterThan(0);
        expect(stderr).toContain(message);
    });

    it("writes another text with the other coupling, and the same one twice", async () => {
        const draw = async (...flags: string[]): Promise<string> =>
            (await run(demo("--temperature", "5", "--max-tokens", "30", "--seed", "3", ...flags, QUESTION))).stdout;
        const other = await draw("--speculation", "4", "--coupling", "maximal");
        expect(other).not.toBe(await draw());
        expect(await draw("--speculation", "4", "--coupling", "maximal")).toBe(other);
    });

    it("looks up what comes again", async () => {
        const raw = "The capital of Nepal is Kathmandu. The capital of Nepal is";
        const { text, finish, stderr } = await completeJson(
            demo("--raw", "--speculation", "4", "--lookup", "--stats", raw),
        );
        expect(text).toBe(" Kathmandu.");
        const { lookedUp = 0, lookupAccepted = 0 } = finish.speculation ?? {};
        expect(lookupAccepted).toBeGreaterThan(2);
        expect(stderr).toMatch(new RegExp(`^by lookup +${lookedUp}, accepted ${lookupAccepted}$`, "m"));
    });
});

describe("--stats", () => {
    /** The report as an object: what stands after each label, and the rows of the table. */
    function readReport(text: string): { facts: Record<string, string>; table: string[][] } {
        const lines = text.split("\n");
        const facts = lines.flatMap((line) => [...line.matchAll(/^([a-z].{18})(.*)$/g)]);
        const table = lines.filter((line) => line.startsWith("│"));
        return {
            facts: Object.fromEntries(facts.map(([, label = "", value = ""]) => [label.trim(), value])),
            table: table.map((line) =>
                line
                    .split("│")
                    .slice(1, -1)
                    .map((cell) => cell.trim()),
            ),
        };
    }

    it("says what --json says", async () => {
        const { finish, stderr } = await completeJson(demo("--speculation", "4", "--seed", "9", "--stats", QUESTION));
        const { facts, table } = readReport(stderr);
        const { steps, blocks, drafted, accepted, verifiedAt, acceptedAt, acceptanceLength, draftMs, stepMs } =
            finish.speculation as SpeculationJson;
        const verified = verifiedAt.reduce((sum, count) => sum + count, 0);
        expect(facts).toMatchObject({
            finish: `stop after ${finish.tokens} tokens, seed 9`,
            prompt: "large 11, chat 11, small 11 tokens",
            speed: `${finish.timings.tokensPerSecond.toFixed(1)} tokens per second`,
            steps: `${steps}, ${blocks} of them with drafts`,
            drafted: `${drafted}, accepted ${accepted}: ${((100 * accepted) / verified).toFixed(1)} % of the ${verified} verified`,
            "acceptance length": `${acceptanceLength.toFixed(2)} tokens per block`,
            "speed-up": expect.stringMatching(/^predicted (unknown|\d+\.\d\d x), measured (unknown|\d+\.\d\d x)$/),
        });
        const rates = verifiedAt.map((count, position) => ((100 * (acceptedAt[position] ?? NaN)) / count).toFixed(0));
        expect(facts["by position"]).toMatch(new RegExp(`^[▁-█]{${rates.length}} ${rates.join(" ")} %$`));
        expect(table.map(([label]) => label)).toEqual(["", ...MEMBERS, "fuse and draw", "together"]);
        expect(table[0]?.slice(1)).toEqual(["drafting, ms", "verifying, ms"]);
        MEMBERS.forEach((name, row) => {
            expect(table[row + 1]?.slice(1)).toEqual([draftMs[name]?.toFixed(1), stepMs[name]?.toFixed(1)]);
        });
        expect(Math.max(...stderr.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    });

    it("has times without speculation too", async () => {
        const { finish, stderr } = await completeJson(demo("--stats", QUESTION));
        const { facts, table } = readReport(stderr);
        expect(Object.keys(facts)).toEqual(["finish", "prompt", "first token", "speed"]);
        const times = [...MEMBERS.map((name) => finish.timings.decodeMs[name]), finish.timings.fuseMs];
        expect(table.slice(1, -1).map(([, cell]) => cell)).toEqual(times.map((ms) => ms?.toFixed(1)));
    });

    it("is not printed twice with --verbose", async () => {
        const { stdout, stderr } = await run(demo("--stats", "--verbose", QUESTION));
        expect(stdout).toBe(`${ANSWER}\n`);
        expect(stderr.match(/^finish /gm)).toHaveLength(1);
    });

    onTerminal("has colours where standard error is a terminal, wherever the text goes", () => {
        const command = [process.execPath, program, ...demo("--stats", "Hi")].map((word) => `'${word}'`).join(" ");
        const [text, report] = [path.join(folder, "text"), path.join(folder, "report")];
        expect(runOnTerminal(`${command} >${text}`)).toContain("\x1b[1m");
        expect(runOnTerminal(`${command} 2>${report}`)).not.toContain("\x1b");
        expect(readFileSync(report, "utf8")).toMatch(/^finish [^\x1b]*┘\n$/m); // eslint-disable-line no-control-regex
        expect(runOnTerminal(`${command} >${text}`, { NO_COLOR: "1" })).not.toContain("\x1b[1m");
    });
});

describe("--explain", () => {
    /** The rows of the table, without its head. */
    const readTable = (text: string): string[][] =>
        text
            .split("\n")
            .filter((line) => line.startsWith("│"))
            .slice(1)
            .map((line) =>
                line
                    .split("│")
                    .slice(1, -1)
                    .map((cell) => cell.trim()),
            );

    it("has the drafter at each token with --json, the same with speculation and without", async () => {
        const plain = await completeJson(demo("--explain", QUESTION));
        const speculative = await completeJson(demo("--explain", "--speculation", "4", QUESTION));
        expect(plain.finish.speculation?.drafted).toBe(0);
        expect(speculative.finish.speculation?.drafted).toBeGreaterThan(0);
        const decisions = ({ tokens }: Completed) =>
            tokens.map(({ id, drafter }) => [id, drafter?.id, drafter?.changedBy]);
        expect(decisions(speculative)).toEqual(decisions(plain));
        plain.tokens.forEach(({ drafter: { totalVariation = NaN } = {} }, index) => {
            const { totalVariation: other = NaN } = speculative.tokens[index]?.drafter ?? {};
            expect(Math.abs(other - totalVariation)).toBeLessThan(F16_BATCHING);
        });
        // Small models do not know the name, the large one does.
        const others = plain.tokens.filter(({ id, drafter }) => drafter?.id !== id);
        expect(others.length).toBeGreaterThan(0);
        for (const { drafter } of others) {
            expect(drafter?.changedBy).toBe("large");
            const shifts = Object.values(drafter?.shifts ?? {});
            expect(drafter?.shifts?.large).toBe(Math.max(...shifts));
        }
    });

    it("prints the text, and a table of what --json says", async () => {
        const { stdout, stderr, code } = await run(demo("--explain", QUESTION));
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const { tokens } = await completeJson(demo("--explain", QUESTION));
        const others = tokens.filter(({ id, drafter }) => drafter?.id !== id).length;
        expect(stdout.startsWith(`${ANSWER}\n\n`)).toBe(true);
        expect(stdout).toContain(`something else at ${others} of ${tokens.length} tokens.`);
        expect(readTable(stdout)).toEqual(
            tokens.map(({ id, text, logprob, drafter }, index) => {
                const { changedBy = "", shifts = {}, totalVariation = NaN } = drafter ?? {};
                return [
                    // A control token has no text in the answer, and the first one no space.
                    JSON.stringify(index === 0 ? ` ${text}` : text || "</s>"),
                    `${(100 * Math.exp(logprob)).toFixed(1)} %`,
                    drafter?.id === id ? "" : JSON.stringify(drafter?.text),
                    totalVariation.toFixed(3),
                    changedBy && `+${shifts[changedBy]?.toFixed(2)} ${changedBy}`,
                ];
            }),
        );
    });

    it("compares with the drafter that is named", async () => {
        // The drafter is the target itself.
        const same = await completeJson(demo("--explain", "--drafter", "chat + beta * (large - small)", QUESTION));
        for (const { id, drafter } of same.tokens) {
            expect(drafter?.id).toBe(id);
            expect(drafter?.totalVariation).toBeLessThan(LOGPROB);
        }
        const alone = await completeJson(demo("--explain", "--speculation", "0", "--drafter", "small", QUESTION));
        expect(alone.text).toBe(ANSWER);
        expect(alone.finish.speculation?.drafted).toBe(0);
        expect(Math.max(...alone.tokens.map(({ drafter }) => drafter?.totalVariation ?? NaN))).toBeGreaterThan(0.9);
    });

    it("fits 80 columns and has no control characters in its table", async () => {
        const names = ["large", "chat", "small"].map((name) => `${name}_model_with_a_name_that_is_long`);
        const recipe = ["complete", "-r", writeRecipe("", names), "--backend", "cpu", "--explain"];
        const known = await run([...recipe, QUESTION]);
        expect(known.stdout).toMatch(/│ \+\d+\.\d\d large_… │$/m);
        // So flat a distribution draws control characters too.
        const flat = await run(demo("--explain", "--temperature", "100", "--seed", "1", "--max-tokens", "150", "Hi"));
        const table = flat.stdout.slice(flat.stdout.indexOf("┌"));
        expect(table).toContain('"\\u00');
        expect(table.replaceAll("\n", "")).toMatch(/^\P{Cc}*$/u);
        for (const { stdout } of [known, flat]) {
            const lines = stdout.slice(stdout.indexOf("\nThe drafter")).split("\n");
            expect(Math.max(...lines.map((line) => line.length))).toBe(80);
        }
    });

    it("has nothing to explain where nothing was said, and needs somebody to compare with", async () => {
        const { stdout, code } = await run(demo("--explain", "--max-tokens", "0", QUESTION));
        expect({ stdout, code }).toEqual({ stdout: "\n", code: 0 });
        const alone = await run(demo("--explain", "--set", "beta=0", "--drafter", "0 * chat + beta * large", QUESTION));
        expect(alone.code).toBe(1);
        expect(alone.stderr).toMatch(/^eft-llama: No member can draft/);
    });

    onTerminal("colours the text, unless NO_COLOR is set", () => {
        const command = [process.execPath, program, ...demo("--explain", QUESTION)]
            .map((word) => `'${word}'`)
            .join(" ");
        // Without the progress bar; 80 columns are the least that it is made for.
        const show = (env: Record<string, string> = {}): string =>
            runOnTerminal(`stty columns 80; ${command} 2>/dev/null`, env).replaceAll("\r\n", "\n");
        const [colored, plain] = [show(), show({ NO_COLOR: "1" })];
        const [text = ""] = colored.split("\n");
        // Hot and underlined: the beginning of the name. Neither: what every member would have said.
        expect(text).toContain("\x1b[4m K\x1b[24m");
        expect(text).toMatch(/^Its capital is\x1b\[30m\x1b\[4[136]m\x1b\[4m K/); // eslint-disable-line no-control-regex
        expect(colored).toMatch(/Distance .*from 0\.1 .*from 0\.75 .*drafter says something else/);
        const legend = /Distance .*\n/;
        expect(stripVTControlCharacters(colored).replace(legend, "")).toBe(plain);
        expect(plain).not.toContain("\x1b");
        expect(plain).not.toMatch(legend);
        const lines = stripVTControlCharacters(colored).split("\n");
        expect(Math.max(...lines.map((line) => line.length))).toBe(80);
    });
});
