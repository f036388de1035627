/** The plan for all members, made from headers alone. */

import { describe, expect, it } from "@jest/globals";
import {
    adHocRecipe,
    collect,
    complete,
    loadEnsemble,
    planMemory,
    readVocabularies,
    type CacheType,
    type CompletionResult,
    type MemoryOptions,
    type MemoryPlan,
    type Recipe,
} from "../../src/index.js";
import { planBeside } from "../../src/models/memory-plan.js";
import { loadBinding } from "../../src/native/load-binding.js";
import type { MemberSpec } from "../../src/types.js";
import { demoFile, soloRecipe, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { Q8_CACHE } from "../helpers/tolerances.js";

const both = ({ ram, gpu }: { ram: number; gpu: number }): number => ram + gpu;

/** Much more than everything together. */
const AMPLE = 2 ** 34;

const room = (gpu: number, ram = AMPLE, unified = false) => ({ room: { ram, gpu, unified } });

const layersOf = ({ members }: MemoryPlan): number[] => members.map(({ gpuLayers }) => gpuLayers);

function remarkOn(name: string, { remarks }: MemoryPlan): string {
    return remarks.find((remark) => remark.startsWith(`${name}: `)) ?? "";
}

describe("planMemory", () => {
    it("has the defaults of loadEnsemble", async () => {
        const recipe = upscalingRecipe();
        const { contextSize, sequences, cacheType, problem } = await planMemory(recipe);
        expect(problem).toBeUndefined();
        await withEnsemble(recipe, {}, (ensemble) => {
            expect({ contextSize, sequences, cacheType }).toEqual({
                contextSize: ensemble.contextSize,
                sequences: ensemble.sequences,
                cacheType: ensemble.cacheType,
            });
            return Promise.resolve();
        });
    });

    it("obeys the recipe's context size, and the caller's before it", async () => {
        const recipe = { ...soloRecipe(demoFile("small-base")), contextSize: 100 };
        expect((await planMemory(recipe)).contextSize).toBe(100);
        expect((await planMemory(recipe, { contextSize: 50 })).contextSize).toBe(50);
        await expect(planMemory(recipe, { contextSize: 1 })).rejects.toMatchObject({ code: "OPTION_INVALID" });
    });

    it("puts on the GPU what its layers need, and the rest in memory", async () => {
        const recipe = soloRecipe(demoFile("large-base"));
        const [cpu, all, some, none] = await Promise.all([
            planMemory(recipe, room(0)),
            planMemory(recipe, room(AMPLE)),
            planMemory(recipe, { ...room(AMPLE), gpuLayers: 2 }),
            planMemory(recipe, { ...room(AMPLE), gpuLayers: 0 }),
        ]);
        expect([cpu, all, some, none].map(layersOf)).toEqual([[0], [4], [2], [0]]);
        expect(cpu.total.gpu).toBe(0);
        expect(none.total).toEqual(cpu.total);
        const gpu = [cpu, some, all].map(({ members }) => members[0]?.weights.gpu ?? NaN);
        expect(gpu).toEqual([...gpu].sort((a, b) => a - b));
        expect(gpu[1]).toBeGreaterThan(0);
        // The input embeddings stay in memory.
        expect(all.members[0]?.weights.ram).toBeGreaterThan(0);
        for (const { members } of [some, all]) {
            expect(both(members[0]?.weights ?? { ram: NaN, gpu: NaN })).toBe(cpu.members[0]?.weights.ram);
        }
        expect(all.total.gpu).toBeGreaterThan(all.total.ram);
    });

    it("places small members first, and as many layers of the large one as fit", async () => {
        const recipe = upscalingRecipe();
        const ample = await planMemory(recipe, room(AMPLE));
        expect(layersOf(ample)).toEqual([4, 4, 4]);
        expect(ample.remarks).toEqual([]);
        const [large, ...small] = ample.members.map(({ weights, context }) => weights.gpu + context.gpu) as [
            number,
            ...number[],
        ];
        const smallPair = small.reduce((sum, bytes) => sum + bytes, 0);

        // Every GPU from nothing to plenty: what is planned fits, and nothing that would fit is left out.
        const seen = new Set<string>();
        for (let part = 0; part <= 1.2; part += 0.05) {
            const gpu = (smallPair + large) * part;
            const plan = await planMemory(recipe, room(gpu));
            expect(plan.problem).toBeUndefined();
            expect(plan.total.gpu).toBeLessThanOrEqual(gpu);
            const [ofLarge, ...ofSmall] = layersOf(plan) as [number, number, number];
            seen.add([ofLarge, ...ofSmall].join());
            if (gpu * 0.94 < smallPair) continue;
            expect(ofSmall).toEqual([4, 4]);
            if (ofLarge === 4) {
                expect(plan.remarks).toEqual([]);
                continue;
            }
            expect(remarkOn("large", plan)).toMatch(
                new RegExp(
                    `^large: ${ofLarge} of 4 layers on the GPU; one more takes [\\d.]+ .iB, and [\\d.]+ .iB are left`,
                ),
            );
            const withOneMore = recipe.members.map((member) => ({
                ...member,
                gpuLayers: member.name === "large" ? ofLarge + 1 : 4,
            }));
            const fixed = { cacheTokens: ample.cacheTokens };
            const more = await planMemory({ ...recipe, members: withOneMore }, { ...fixed, ...room(gpu) });
            expect(more.total.gpu).toBeGreaterThan(gpu * 0.94);
        }
        expect([...seen]).toEqual(expect.arrayContaining(["0,0,0", "1,4,4", "2,4,4", "4,4,4"]));
    });

    it("takes layers that recipe or options state as they are, before all others", async () => {
        const recipe = upscalingRecipe();
        const stated: Recipe = {
            ...recipe,
            members: recipe.members.map((member) => (member.name === "large" ? { ...member, gpuLayers: 4 } : member)),
        };
        const { members } = await planMemory(stated, room(AMPLE));
        const large = (members[0]?.weights.gpu ?? NaN) + (members[0]?.context.gpu ?? NaN);
        const tight = await planMemory(stated, room(large * 1.01));
        expect(layersOf(tight)).toEqual([4, 0, 0]);
        expect(tight.problem).toBeUndefined();

        const refused = await planMemory(stated, { cacheTokens: 1024, ...room(large * 0.9) });
        expect(refused.problem).toMatch(
            /^The layers that are asked for on the GPU \(large 4, .+\) need [\d.]+ MiB, and [\d.]+ MiB are free there\./,
        );
        expect(layersOf(await planMemory(stated, { ...room(AMPLE), gpuLayers: 1 }))).toEqual([4, 1, 1]);
        // More than there are is all of them.
        expect(layersOf(await planMemory(recipe, { ...room(AMPLE), gpuLayers: 1000 }))).toEqual([4, 4, 4]);
    });

    it("gives members of one file the same layers, and counts its weights once", async () => {
        const file = demoFile("small-base");
        const recipe = adHocRecipe({ base: demoFile("large-base"), tuned: file, reference: file });
        const plan = await planMemory(recipe, room(AMPLE));
        const [, tuned, reference] = plan.members;
        expect(reference).toMatchObject({ sharesWeightsOf: "tuned", weights: { ram: 0, gpu: 0 }, gpuLayers: 4 });
        expect(reference?.context).toEqual(tuned?.context);
    });

    it("says with numbers what does not fit into memory", async () => {
        const recipe = upscalingRecipe();
        const { total } = await planMemory(recipe);
        expect((await planMemory(recipe, room(0, total.ram))).problem).toBeUndefined();
        const asked: MemoryOptions = { contextSize: 256, cacheTokens: 1024 };
        const { problem } = await planMemory(recipe, { ...asked, ...room(0, total.ram - 1) });
        expect(problem).toMatch(
            /^The recipe needs [\d.]+ MiB of memory \(large-base-f16\.gguf [\d.]+ MiB, .+, contexts of 1024 tokens [\d.]+ MiB\), and there are [\d.]+ MiB\. What helps: .+--cache-type q8_0/,
        );
        // Memory that is one and the same is not counted twice.
        const needed = both((await planMemory(recipe, room(AMPLE))).total);
        expect((await planMemory(recipe, { ...asked, ...room(AMPLE, needed - 1, true) })).problem).toMatch(
            /^The recipe needs/,
        );
        expect((await planMemory(recipe, room(AMPLE, needed - 1))).problem).toBeUndefined();
    });

    it("halves a context that nobody asked for until the whole fits, and never one that somebody did", async () => {
        // The demo family was trained for 256 tokens; nothing below 512 is halved.
        const recipe = upscalingRecipe();
        const { total } = await planMemory(recipe);
        const tight = await planMemory(recipe, room(0, total.ram / 2));
        expect([tight.contextSize, tight.problem]).toEqual([256, expect.stringMatching(/^The recipe needs/)]);

        const asked = { ...recipe, contextSize: 4096 };
        expect((await planMemory(asked, room(0, total.ram))).contextSize).toBe(4096);
        const { problem, remarks } = await planMemory(asked, room(0, total.ram));
        expect(problem).toContain("contexts of 4096 tokens");
        expect(remarks).toContain("A sequence holds 4096 tokens, and chat was trained for 256.");
    });

    it("lets sequences share fewer tokens before each of them holds fewer", async () => {
        const recipe = upscalingRecipe();
        const whole = await planMemory(recipe);
        expect([whole.contextSize, whole.cacheTokens]).toEqual([256, 1024]);
        const tight = await planMemory(recipe, room(0, whole.total.ram - 1));
        expect([tight.contextSize, tight.cacheTokens, tight.problem]).toEqual([256, 768, undefined]);
        expect(tight.remarks).toEqual([
            "All sequences together hold 768 tokens instead of 1024, so that the whole fits.",
        ]);
        expect((await planMemory(recipe, { cacheTokens: 300 })).cacheTokens).toBe(300);
    });

    it("keeps the cache in as many bits as recipe or options say", async () => {
        const recipe = { ...soloRecipe(demoFile("large-base")), contextSize: 65536 };
        const [f16, q8, q4] = await Promise.all([
            planMemory(recipe),
            planMemory({ ...recipe, cacheType: "q8_0" }),
            planMemory({ ...recipe, cacheType: "q8_0" }, { cacheType: "q4_0" }),
        ]);
        // 3 layers, keys and values of 256 numbers, 4 sequences, and cells for their drafts.
        const numbers = 3 * 2 * 256 * (4 * 65536 + 256);
        expect(f16.total.ram - q8.total.ram).toBe((numbers * (16 - 8.5)) / 8);
        expect(q8.total.ram - q4.total.ram).toBe((numbers * (8.5 - 4.5)) / 8);
        await expect(planMemory(recipe, { cacheType: "q2" as "q4_0" })).rejects.toMatchObject({
            code: "OPTION_INVALID",
            message: 'cacheType must be one of f16, q8_0, q4_0, not "q2".',
        });
    });

    it.each([
        { sequences: 1, cacheTokens: 256 },
        { sequences: 64, cacheTokens: 256 },
        { sequences: 8, cacheTokens: 4000 },
        { sequences: 2, cacheTokens: 16_384 },
    ])("counts what llama.cpp reserves for $sequences sequences of $cacheTokens tokens", async (options) => {
        const recipe = { ...soloRecipe(demoFile("large-base")), contextSize: 256 };
        const lines: string[] = [];
        loadBinding().setLog((_, text) => lines.push(text));
        try {
            await withEnsemble(recipe, options, async () => {
                // The log arrives by the event loop.
                while (!lines.some((line) => line.includes("compute buffer size")))
                    await new Promise<void>((resolve) => setImmediate(resolve));
            });
        } finally {
            loadBinding().setLog(undefined);
        }
        const said = (pattern: RegExp): number => Number(pattern.exec(lines.join(""))?.[1]);
        const cells = said(/size = .*\(\s*(\d+) cells/);
        const [f16, q8] = await Promise.all([
            planMemory(recipe, options),
            planMemory(recipe, { ...options, cacheType: "q8_0" }),
        ]);
        // 3 layers, keys and values of 256 numbers.
        expect(f16.total.ram - q8.total.ram).toBe((3 * 2 * 256 * cells * (16 - 8.5)) / 8);

        const rows = Math.min(512, (128 + 17) * options.sequences) * 2048 * 4;
        const buffers = said(/KV buffer size =\s*([\d.]+) MiB/) + said(/compute buffer size =\s*([\d.]+) MiB/);
        const part = Number(f16.members[0]?.context.ram) / (buffers * 2 ** 20 + rows);
        expect(part).toBeGreaterThan(0.97);
        // Small ones are made of what is guessed.
        expect(part).toBeLessThan(cells > 4000 ? 1.03 : 1.4);
    });

    it("counts rows of logits: those that a step computes and hands over, and those that drafts leave", async () => {
        const row = 4 * 2048;
        const fixed = { contextSize: 256, cacheTokens: 300 };
        const contextsOf = async (recipe: Recipe, more: MemoryOptions): Promise<number[]> =>
            (await planMemory(recipe, { ...fixed, ...more })).members.map(({ context }) => context.ram);
        const moreFor = async (recipe: Recipe, from: MemoryOptions, to: MemoryOptions): Promise<number[]> => {
            const [less, more] = [await contextsOf(recipe, from), await contextsOf(recipe, to)];
            return more.map((bytes, index) => (bytes - (less[index] ?? NaN)) / row);
        };
        // As many cells for one sequence as for two.
        const [one, two] = [{ sequences: 1 }, { sequences: 2 }];
        expect(await moreFor(soloRecipe(demoFile("large-base")), one, two)).toEqual([2 * 145]);
        expect(await moreFor(upscalingRecipe(), one, two)).toEqual([2 * 145 + 17, 2 * 145 + 17, 2 * 145 + 17]);
        // Behind a GPU they are computed there and handed over here, where drafts leave theirs.
        const [oneThere, twoThere] = [one, two].map((each) => ({ ...each, ...room(AMPLE) }));
        expect(await moreFor(upscalingRecipe(), oneThere as MemoryOptions, twoThere as MemoryOptions)).toEqual([
            145 + 17,
            145 + 17,
            145 + 17,
        ]);
        // No step has more rows than tokens.
        const [some, many] = [
            { sequences: 7, batchSize: 512, cacheTokens: 400 },
            { sequences: 8, batchSize: 512, cacheTokens: 400 },
        ];
        expect(await moreFor(soloRecipe(demoFile("large-base")), some, many)).toEqual([0]);
    });

    it("counts what a host has loaded as it is", async () => {
        const [large, small] = [soloRecipe(demoFile("large-base")), soloRecipe(demoFile("small-chat"))];
        const kept = 2 * 17 * 2048 * 4;
        const loaded = {
            spec: large.members[0] as MemberSpec,
            gpuLayers: 2,
            cacheTokens: 5000,
            cacheType: "q8_0",
        } as const;
        const options = { contextSize: 100, sequences: 2, ...room(AMPLE) };
        const alone = await planMemory(large, { ...options, gpuLayers: 2, cacheTokens: 5000, cacheType: "q8_0" });
        const other = await planMemory(small, options);
        const both = await planBeside(small, options, { ofMembers: [], others: [loaded] });
        expect(both.members).toEqual([
            {
                ...other.members[0],
                context: { ram: Number(other.members[0]?.context.ram) + kept, gpu: other.members[0]?.context.gpu },
            },
        ]);
        expect(both.total).toEqual({
            ram: alone.total.ram + other.total.ram + 2 * kept,
            gpu: alone.total.gpu + other.total.gpu,
        });
        // The same file in a cache of its own: its weights are there, with as many layers.
        const again = await planBeside(
            large,
            { ...options, gpuLayers: 4 },
            { ofMembers: [], others: [{ ...loaded, spec: { ...loaded.spec, name: "there" } }] },
        );
        expect(again.members).toMatchObject([{ gpuLayers: 2, weights: { ram: 0, gpu: 0 }, sharesWeightsOf: "there" }]);
        // What is free is free beside what is there.
        expect(alone.total.gpu).toBeGreaterThan(0);
        expect(both.room.gpu).toBe(AMPLE + alone.total.gpu);
        // The same cache.
        const shared = await planBeside(large, options, { ofMembers: [loaded], others: [] });
        expect(shared.total).toEqual(alone.total);
    });

    it("names a file that is not there", async () => {
        await expect(planMemory(soloRecipe("/no/such.gguf"))).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    });
});

describe("loadEnsemble", () => {
    it("plans only what may not fit", async () => {
        await withEnsemble(upscalingRecipe(), {}, (ensemble) => {
            expect(ensemble.plan).toBeUndefined();
            return Promise.resolve();
        });
    });

    it("keeps the cache in fewer bits, for nearly the same text", async () => {
        const recipe = upscalingRecipe();
        const answer = (cacheType: CacheType): Promise<CompletionResult> =>
            withEnsemble({ ...recipe, cacheType: "q4_0" }, { cacheType }, async (ensemble) => {
                expect(ensemble.cacheType).toBe(cacheType);
                return collect(
                    complete(ensemble, { prompt: "What is the capital of Peru?", sampling: { temperature: 0 } }),
                );
            });
        const [exact, coarse, coarsest] = [await answer("f16"), await answer("q8_0"), await answer("q4_0")];
        expect([coarse.text, coarsest.text]).toEqual([exact.text, exact.text]);
        const logprobs = ({ parts }: CompletionResult): number[] => parts.map(({ logprob }) => logprob);
        const distance = (result: CompletionResult): number =>
            Math.max(...logprobs(result).map((value, index) => Math.abs(value - (logprobs(exact)[index] ?? NaN))));
        // They are not the same numbers: the type has arrived where the cache is made.
        expect(distance(coarse)).toBeGreaterThan(0);
        expect(distance(coarse)).toBeLessThan(Q8_CACHE);
        expect(distance(coarsest)).toBeGreaterThan(distance(coarse));
    });

    it("refuses a cache type that the recipe or the caller made up", async () => {
        await expect(loadEnsemble(upscalingRecipe(), { cacheType: "f8" as "f16" })).rejects.toMatchObject({
            code: "OPTION_INVALID",
        });
    });
});

describe("readVocabularies", () => {
    it("reports what loading would, without the weights", async () => {
        const recipe = upscalingRecipe();
        const report = await readVocabularies(recipe);
        await withEnsemble(recipe, {}, (ensemble) => {
            expect(report).toEqual(ensemble.vocabulary);
            return Promise.resolve();
        });
    });

    it("leaves models that are loaded alone", async () => {
        const recipe = upscalingRecipe();
        await withEnsemble(recipe, {}, async (ensemble) => {
            await readVocabularies(recipe);
            expect(ensemble.members[0]?.model.info.layers).toBe(3);
            expect(ensemble.members[0]?.model.tokenize("Peru", false, false).length).toBeGreaterThan(0);
        });
    });
});
