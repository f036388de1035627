/** What speculation has learnt is kept for later processes, and whatever happens to it there hurts nobody. */

import { execFileSync } from "node:child_process";
import {
    cpSync,
    existsSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    rmSync,
    statSync,
    symlinkSync,
    utimesSync,
    writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import {
    collect,
    complete,
    createHost,
    type CompletionResult,
    type Ensemble,
    type LoadOptions,
    type Recipe,
    type SpeculationOptions,
} from "../../src/index.js";
import { demoFile, loadOnCpu, QUESTIONS, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { runProgram } from "../helpers/program.js";
import { temporaryFolder } from "../helpers/temporary.js";

const EOS = 2;
const OPTIONS: LoadOptions = { sequences: 1, contextSize: 128 };
const upscaling = upscalingRecipe();

const { folder, remove } = temporaryFolder();
const before = process.env.XDG_CACHE_HOME;
afterAll(() => {
    process.env.XDG_CACHE_HOME = before;
    remove();
});

/** Of costs and acceptance. */
let kept: string;
let tests = 0;
beforeEach(() => {
    process.env.XDG_CACHE_HOME = path.join(folder, String(tests++));
    kept = path.join(process.env.XDG_CACHE_HOME, "eft-llama", "costs");
});

const listKept = (): string[] => (existsSync(kept) ? readdirSync(kept).sort() : []);
const fileOf = (name: string): string => path.join(kept, name);

function run(ensemble: Ensemble, maxTokens: number, speculation: SpeculationOptions | boolean) {
    const request = { prompt: QUESTIONS[0], seed: 1, logitBias: { [EOS]: -Infinity } };
    return collect(complete(ensemble, { ...request, maxTokens, speculation }));
}

/** As many tokens as measure plain steps and blocks of four drafts. */
async function learnIn(ensemble: Ensemble): Promise<void> {
    for (const length of [0, 4]) await run(ensemble, 24, { length });
}

const learn = (recipe: Recipe = upscaling, options = OPTIONS) => withEnsemble(recipe, options, learnIn);

/** Fewer tokens than it takes to measure what a plain step costs. */
const shortText = (recipe: Recipe = upscaling, options = OPTIONS): Promise<CompletionResult> =>
    withEnsemble(recipe, options, (ensemble) => run(ensemble, 4, true));

/** Whether costs were known before anything was measured. */
const isKnown = ({ speculation }: CompletionResult): boolean => speculation?.predictedSpeedup !== undefined;

type Sizes = readonly (readonly [tokens: number, ms: number, age: number])[];
interface KeptFile {
    readonly draft?: Sizes;
    readonly step?: Sizes;
    readonly overheads?: readonly number[];
    readonly acceptance?: readonly (readonly [string, readonly number[], readonly unknown[]])[];
}

/** Changes what is kept of contexts, and of the recipe. */
function rewrite(change: (value: KeptFile) => unknown): void {
    for (const name of listKept()) {
        const value = JSON.parse(readFileSync(fileOf(name), "utf8")) as KeptFile;
        writeFileSync(fileOf(name), JSON.stringify(change(value)));
    }
}

const CHEAP_BATCHES: KeptFile = { draft: [[1, 50, 0]], step: Array.from({ length: 17 }, (_, i) => [i + 1, 50, 0]) };
const DEAR_BATCHES: KeptFile = {
    draft: [[1, 9, 0]],
    step: Array.from({ length: 17 }, (_, i) => [i + 1, 5 + 50 * i, 0]),
};

describe("what was measured is known to whoever loads the same files later", () => {
    test("before their first block", async () => {
        expect(isKnown(await shortText())).toBe(false);
        expect(listKept()).toHaveLength(1);
        await learn();
        // Three contexts and the recipe.
        expect(listKept()).toHaveLength(4);
        expect(isKnown(await shortText())).toBe(true);
        expect(isKnown(await shortText())).toBe(true);
    });

    test("and decides how long the first block is", async () => {
        await learn();
        const drafted = async (change: KeptFile): Promise<number> => {
            rewrite((value) => ({ ...value, ...(value.step ? change : {}) }));
            return (await shortText()).speculation?.drafted ?? NaN;
        };
        expect(await drafted(CHEAP_BATCHES)).toBeGreaterThan(0);
        expect(await drafted(DEAR_BATCHES)).toBe(0);
    });

    test("acceptance too", async () => {
        await learn();
        const drafted = async (rate: number): Promise<number> => {
            rewrite(({ acceptance, ...value }) =>
                acceptance === undefined
                    ? CHEAP_BATCHES
                    : { ...value, acceptance: acceptance.map(([about, , stops]) => [about, [rate], stops]) },
            );
            return (await shortText()).speculation?.drafted ?? NaN;
        };
        expect(await drafted(0.9)).toBeGreaterThan(0);
        expect(await drafted(0.01)).toBe(0);
    });

    test("of each recipe on a host, and what is unknown is not written over by less", async () => {
        await learn();
        const all = listKept();
        {
            await using host = createHost({ backend: "cpu", threads: 1, sequences: 1 });
            const [first, second] = [await host.load(upscaling, { contextSize: 128 }), await host.load(upscaling)];
            await run(first, 4, true);
            await first.dispose();
            await run(second, 4, true);
        }
        expect(listKept()).toEqual(all);
        expect(isKnown(await shortText())).toBe(true);
    });

    test("wherever the files are, unless they or the way they are used are others", async () => {
        const place = path.join(folder, "moved");
        mkdirSync(place);
        for (const name of ["large-base", "small-chat", "small-base"] as const)
            cpSync(demoFile(name), path.join(place, `${name}-f16.gguf`), { preserveTimestamps: true });
        const moved: Recipe = {
            ...upscaling,
            members: upscaling.members.map((member) => ({
                ...member,
                model: path.join(place, path.basename(member.model)),
            })),
        };
        await learn();
        expect(isKnown(await shortText(moved))).toBe(true);
        expect(isKnown(await shortText(moved, { ...OPTIONS, cacheType: "q8_0" }))).toBe(false);
        expect(isKnown(await shortText(moved, { ...OPTIONS, threads: 2 }))).toBe(false);
        utimesSync(path.join(place, "large-base-f16.gguf"), 1, 1);
        expect(isKnown(await shortText(moved))).toBe(false);
    });

    test("now and then while an ensemble goes on, when the next text begins", async () => {
        await withEnsemble(upscaling, OPTIONS, async (ensemble) => {
            await learnIn(ensemble);
            expect(listKept()).toEqual([]);
            const later = performance.now() + 61_000;
            const clock = jest.spyOn(performance, "now").mockReturnValue(later);
            try {
                await run(ensemble, 1, true);
            } finally {
                clock.mockRestore();
            }
            while (listKept().filter((name) => name.endsWith(".json")).length < 4)
                await new Promise((resolve) => setImmediate(resolve));
        });
    });

    test("in several processes that write at once", async () => {
        const programs = await Promise.all([1, 2].map(() => runProgram("speculate.mjs", { args: ["3"] })));
        for (const { exit, stdout, stderr } of programs) {
            expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
            expect(stdout.trim().split("\n").slice(1)).toEqual(["known", "known"]);
        }
        expect(listKept()).toHaveLength(4);
        for (const name of listKept()) JSON.parse(readFileSync(fileOf(name), "utf8"));
        const { stdout } = await runProgram("speculate.mjs");
        expect(stdout).toBe("known\n");
    });
});

describe("what is kept", () => {
    test("is nothing where nothing was speculated", async () => {
        await withEnsemble(upscaling, OPTIONS, (ensemble) => run(ensemble, 12, false));
        expect(listKept()).toEqual([]);
    });

    test("is numbers under hashed names, and little", async () => {
        await learn();
        for (const name of listKept()) {
            expect(name).toMatch(/^[\da-f]{32}\.json$/);
            expect(statSync(fileOf(name)).size).toBeLessThan(4096);
            const texts = readFileSync(fileOf(name), "utf8").match(/"[^"]*"/g) ?? [];
            for (const text of texts) expect(text).toMatch(/^"(draft|step|overheads|acceptance|[\da-f]{32})"$/);
        }
    });

    test("is bounded in number, and what is not ours stays", async () => {
        mkdirSync(kept, { recursive: true });
        const old = (index: number, end: string): string => index.toString(16).padStart(32, "0") + end;
        for (let i = 0; i < 260; i++) {
            const file = fileOf(old(i, i % 2 === 0 ? ".json" : ".json.123e4567-e89b-12d3-a456-426614174000"));
            writeFileSync(file, "{}");
            utimesSync(file, 1000 + i, 1000 + i);
        }
        writeFileSync(fileOf("notes.txt"), "mine");
        await learn();
        const names = listKept();
        expect(names).toContain("notes.txt");
        expect(names).toHaveLength(201);
        expect(names).toContain(old(258, ".json"));
        expect(names).not.toContain(old(0, ".json"));
        expect(isKnown(await shortText())).toBe(true);
    });
});

const many = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe("what is there and cannot be used is as if it were not there:", () => {
    test.each<[string, (value: KeptFile) => unknown]>([
        ["other JSON", () => null],
        ["a list", () => []],
        ["nothing in it", () => ({})],
        ["sizes that are none", (value) => ({ ...value, step: { 1: 10 } })],
        ["sizes of texts", (value) => ({ ...value, step: [["1", "10", "0"]], overheads: ["1", "2"] })],
        ["times below zero", (value) => ({ ...value, step: [[1, -10, 0]], overheads: [-1, 0] })],
        ["no time at all", (value) => ({ ...value, step: [[1, 0, 0]], overheads: [null, null] })],
        ["endless times", (value) => ({ ...value, step: [[1, 1e300, 0]], overheads: [1e300, 0] })],
        ["a size of no whole number", (value) => ({ ...value, step: [[1.5, 10, 0]] })],
        ["a size beyond all", (value) => ({ ...value, step: [[2 ** 53, 10, 0]] })],
        ["an age before all time", (value) => ({ ...value, step: [[1, 10, -1e9]] })],
        ["an age beyond all", (value) => ({ ...value, step: [[1, 10, 1e9]] })],
        ["too many sizes", (value) => ({ ...value, step: many(1000, [1, 10, 0]) })],
        ["half a size", (value) => ({ ...value, step: [[1]] })],
    ])("%s", async (_name, change) => {
        await learn();
        rewrite(change);
        const { tokens, speculation } = await shortText();
        expect([tokens, speculation?.predictedSpeedup]).toEqual([4, undefined]);
        await learn();
        expect(isKnown(await shortText())).toBe(true);
    });

    test.each<[string, (value: NonNullable<KeptFile["acceptance"]>) => unknown]>([
        ["none", () => undefined],
        ["rates beyond 1", (all) => all.map(([about, , stops]) => [about, [1e9], stops])],
        ["rates below 0", (all) => all.map(([about, , stops]) => [about, [-1], stops])],
        ["no rates", (all) => all.map(([about, , stops]) => [about, [], stops])],
        ["too many rates", (all) => all.map(([about, , stops]) => [about, many(1000, 0.5), stops])],
        ["no stops", (all) => all.map(([about, rates]) => [about, rates, []])],
        ["gains beyond all", (all) => all.map(([about, rates]) => [about, rates, many(4, [1, 1e300])])],
        ["a name that is none", (all) => all.map(([, rates, stops]) => [{}, rates, stops])],
        ["a name of JavaScript's own", (all) => all.map(([, rates, stops]) => ["__proto__", rates, stops])],
        ["too many ways of drafting", (all) => many(1000, all[0])],
    ])("acceptance with %s", async (_name, change) => {
        await learn();
        // Drafting takes so long that nobody would draft, if that were believed.
        rewrite(({ acceptance, ...value }) =>
            acceptance ? { ...value, overheads: [1e5, 0], acceptance: change(acceptance) } : CHEAP_BATCHES,
        );
        const { tokens, speculation } = await shortText();
        expect([tokens, (speculation?.drafted ?? 0) > 0]).toEqual([4, true]);
    });

    test("but for what is as it should be", async () => {
        await learn();
        rewrite(({ step, ...value }) => (step ? CHEAP_BATCHES : { ...value, overheads: [1e5, 0] }));
        expect((await shortText()).speculation?.drafted).toBe(0);
    });

    const isUnix = process.platform !== "win32";
    test.each<[string, (file: string) => void]>([
        ["no text", (file) => writeFileSync(file, Buffer.from([0xff, 0, 0xc0, 0x80]))],
        ["an empty file", (file) => writeFileSync(file, "")],
        ["half a file", (file) => writeFileSync(file, readFileSync(file, "utf8").slice(0, 20))],
        ["a file without an end in sight", (file) => writeFileSync(file, `[${"[1],".repeat(1e6)}1]`)],
        ["brackets within brackets", (file) => writeFileSync(file, "[".repeat(16000))],
        ["a folder", (file) => mkdirSync(path.join(file, "in it"), { recursive: true })],
        ...(isUnix
            ? ([
                  ["a device", (file) => symlinkSync("/dev/zero", file)],
                  ["a pipe that nobody writes to", (file) => void execFileSync("mkfifo", [file])],
                  ["a link to itself", (file) => symlinkSync(file, file)],
              ] satisfies [string, (file: string) => void][])
            : []),
    ])("%s", async (name, spoil) => {
        await learn();
        for (const file of listKept().map(fileOf)) {
            if (/folder|device|pipe|link/.test(name)) rmSync(file);
            spoil(file);
        }
        const { tokens, speculation } = await shortText();
        expect([tokens, speculation?.predictedSpeedup]).toEqual([4, undefined]);
        expect(statSync(demoFile("small-base")).isFile()).toBe(true);
    });

    test.each<[string, () => void]>([
        ["a file in the place of the folder", () => writeFileSync(kept, "")],
        ["a folder that cannot be made", () => (process.env.XDG_CACHE_HOME = "/proc/none")],
        ["a folder that is a file's", () => (process.env.XDG_CACHE_HOME = demoFile("small-base"))],
    ])("%s", async (_name, spoil) => {
        mkdirSync(path.dirname(kept), { recursive: true });
        spoil();
        await learn();
        expect(isKnown(await shortText())).toBe(false);
    });
});

test("an ensemble that ends while it speculates keeps what it knows, and loses nothing of it", async () => {
    await learn();
    const ensemble = await loadOnCpu(upscaling, OPTIONS);
    const running = run(ensemble, 100, true).catch((error: unknown) => error);
    await new Promise((resolve) => setImmediate(resolve));
    await ensemble.dispose();
    await running;
    expect(isKnown(await shortText())).toBe(true);
});
