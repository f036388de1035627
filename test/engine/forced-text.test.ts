/** Text that a grammar forces is verified as drafts: the text is the same as without, in fewer steps. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createDrafterForm, resolveSpeculation, wayOfDrafting } from "../../src/decoding/drafter.js";
import { createDials } from "../../src/decoding/fusion.js";
import { resolveSampling } from "../../src/decoding/sampling.js";
import {
    collect,
    complete,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type LoadOptions,
    type SpeculationOptions,
    type TokenPart,
} from "../../src/index.js";
import { loadOnCpu, QUESTIONS } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { UPSCALING, UPSCALING_MODELS, writeFloat32Family } from "../helpers/float32.js";
import { F32_FORCED } from "../helpers/tolerances.js";

const family = writeFloat32Family(UPSCALING_MODELS);
const recipe = family.recipe(`${UPSCALING}prompt: { template: from chat }
`);
let plainly: Ensemble;
beforeAll(async () => {
    plainly = await loadOnCpu(recipe, { sequences: 1 });
});
afterAll(async () => {
    await plainly.dispose();
    family.remove();
});

const LABEL = {
    properties: {
        label: { enum: ["positive", "negative", "neutral"] },
        confidence: { type: "integer", minimum: 0, maximum: 100 },
        language: { enum: ["en", "de"] },
    },
    required: ["label", "confidence", "language"],
};
const CONSTRAINTS: readonly Partial<CompletionOptions>[] = [
    { jsonSchema: LABEL },
    {
        jsonSchema: {
            type: "array",
            items: { properties: { größe: { type: "boolean" } }, required: ["größe"] },
            maxItems: 3,
        },
    },
    { jsonSchema: { const: { a: [1, "zwei", null], b: { c: true } } } },
    // White space as in llama.cpp's own grammars, and a choice in the middle of a character.
    { grammar: 'root ::= ws "{" ws "\\"k\\"" ws ":" ws ("é" | "è" | "日本" | "日曜") ws "}"\nws ::= [ \\n\\t]{0,3}' },
    { grammar: 'root ::= ("- " [a-z]{1,4} ", and so on.\\n"){1,3} "That is all"' },
    { grammar: 'root ::= <[1996]>? "abc" [a-z]? "defghijkl" root | "."' },
];
const TEMPERATURES = [0, 0.7, 1];

const request = (seed: number): CompletionOptions => ({
    prompt: QUESTIONS[seed % QUESTIONS.length] ?? "",
    ...{ seed, maxTokens: 5 + ((seed * 7) % 80) },
    sampling: { temperature: TEMPERATURES[seed % TEMPERATURES.length] ?? 1 },
    ...CONSTRAINTS[seed % CONSTRAINTS.length],
});
const run = (on: Ensemble, options: CompletionOptions): Promise<CompletionResult> => collect(complete(on, options));
const SEEDS = Array.from({ length: 36 }, (_, seed) => seed);

const plainTexts = new Map<number, Promise<CompletionResult>>();
function plain(seed: number): Promise<CompletionResult> {
    const known = plainTexts.get(seed) ?? run(plainly, { ...request(seed), speculation: false, scores: true });
    plainTexts.set(seed, known);
    return known;
}

async function expectPlain(result: CompletionResult, seed: number): Promise<void> {
    const { temperature = 1 } = request(seed).sampling ?? {};
    expectSameDraws(result, await plain(seed), temperature, F32_FORCED);
}

describe("the text is that of plain steps", () => {
    test.each<[string, Partial<CompletionOptions>, LoadOptions]>([
        ["by default", {}, { sequences: 1 }],
        ["beside others", { speculation: { length: 0 } }, { sequences: 6 }],
        ["ahead of its reader", { readAhead: 12, speculation: { length: 0 } }, { sequences: 6 }],
        ["beside four drafts", { speculation: { length: 4 } }, { sequences: 6 }],
        ["beside the adaptive length and lookup", { speculation: { lookup: true } }, { sequences: 3 }],
        ["with reports of all members", { memberLogprobs: true, explain: true, topLogprobs: 3 }, { sequences: 3 }],
        // A step of all of them has 8 tokens to spare.
        ["in small batches", { speculation: { length: 0 } }, { sequences: 24, batchSize: 32 }],
        ["where cells run out", { speculation: { length: 0 } }, { sequences: 8, contextSize: 160, cacheTokens: 200 }],
    ])("%s", async (_case, options, load) => {
        await using ensemble = await loadOnCpu(recipe, load);
        const results = await Promise.all(SEEDS.map((seed) => run(ensemble, { ...request(seed), ...options })));
        for (const seed of SEEDS) await expectPlain(results[seed] as CompletionResult, seed);
        const forced = results.reduce((sum, { speculation }) => sum + (speculation?.forced ?? 0), 0);
        // Where it is to pay, clocks decide.
        const isAlways = typeof options.speculation === "object" && options.speculation.length !== undefined;
        expect(forced).toBeGreaterThan(isAlways ? 2 * SEEDS.length : -1);
    });

    test("when dials are turned, and after aborts", async () => {
        await using ensemble = await loadOnCpu(recipe, { sequences: 2 });
        async function turned(
            on: Ensemble,
            seed: number,
            speculation: CompletionOptions["speculation"],
        ): Promise<CompletionResult> {
            const parts: TokenPart[] = [];
            const completion = complete(on, { ...request(seed), maxTokens: 60, scores: true, speculation });
            for await (const part of completion) {
                if (part.type === "finish") return { ...part, parts, thinking: "", toolCalls: [] };
                if (part.type !== "token") continue;
                if (parts.push(part) % 4 === 1) completion.setParameters({ beta: (parts.length % 3) * 0.6 });
            }
            throw new Error("The completion has no end.");
        }
        for (const seed of SEEDS.slice(0, 12)) {
            const controller = new AbortController();
            const aborted = complete(ensemble, { ...request(seed), maxTokens: 60, signal: controller.signal });
            let tokens = 0;
            for await (const part of aborted) if (part.type === "token" && ++tokens > seed % 7) controller.abort();
            const [result, expected] = [
                await turned(ensemble, seed, { length: 0 }),
                await turned(plainly, seed, false),
            ];
            expectSameDraws(result, expected, request(seed).sampling?.temperature ?? 1, F32_FORCED);
        }
    });
});

describe("what is forced", () => {
    test("is most of a label, and saves steps", async () => {
        await using ensemble = await loadOnCpu(recipe, { sequences: 1 });
        // The second text has the habits of the first: whether there is a space behind a comma.
        const label = { ...request(0), maxTokens: 100, speculation: { length: 0 } };
        await run(ensemble, label);
        const { speculation, tokens } = await run(ensemble, label);
        expect(speculation).toMatchObject({ blocks: 0, drafted: 0, accepted: 0, lookedUp: 0, verifiedAt: [] });
        const { steps = NaN, forced = NaN, forcedAccepted = NaN } = speculation ?? {};
        expect(forcedAccepted).toBeGreaterThan(0.4 * tokens);
        expect(forcedAccepted).toBeLessThanOrEqual(forced);
        // The step of the prompt draws too, and is not counted.
        expect(steps).toBeLessThan(0.6 * tokens);
        expect(ensemble.statistics.forced).toBeGreaterThanOrEqual(forced);
    });

    test("is drafted by nobody, and says nothing about drafters", async () => {
        await using ensemble = await loadOnCpu(recipe, { sequences: 1 });
        const options: SpeculationOptions = { length: 4 };
        const sampling = resolveSampling(ensemble.recipe.sampling, {});
        const speculation = resolveSpeculation(ensemble, sampling, options, true);
        const sizes = ensemble.members.map(({ model }) => model.info.size);
        const dials = createDials(ensemble, {}, createDrafterForm(ensemble.recipe, sizes));
        if (speculation === undefined) throw new Error("Nobody drafts.");
        const rates = (): readonly number[] =>
            ensemble.target.acceptance(wayOfDrafting(dials, speculation, sampling)).rates();
        const [before, trust] = [rates(), ensemble.target.trust.factor()];
        const forced = { prompt: "Hi", grammar: `root ::= "${"to be or not to be, ".repeat(6)}"`, seed: 1 };
        const result = await run(ensemble, { ...forced, speculation: options });
        expect(result.speculation?.forced).toBeGreaterThan(10);
        // What is not forced is the end of the text, which the drafter may draft.
        expect(result.speculation?.drafted).toBeLessThanOrEqual(4);
        if (result.speculation?.drafted === 0)
            expect([rates(), ensemble.target.trust.factor()]).toEqual([before, trust]);
        // A text without a grammar shows that the rates could change.
        await run(ensemble, { prompt: "Hi", seed: 1, maxTokens: 40, speculation: options });
        expect(rates()).not.toEqual(before);
    });

    test("nothing, where speculation is off", async () => {
        const { speculation } = await run(plainly, { ...request(0), speculation: false });
        expect(speculation).toBeUndefined();
        const free = await run(plainly, { prompt: "Hi", maxTokens: 3 });
        expect(free.speculation).toBeUndefined();
    });

    test("nothing, under rejection sampling of a fixed length, whose text repeats itself", async () => {
        const repeated = { ...request(0), speculation: { length: 3, coupling: "maximal" } } as const;
        const [one, other] = [await run(plainly, repeated), await run(plainly, repeated)];
        expect(one.speculation?.forced).toBe(0);
        expect(one.text).toBe(other.text);
        const gumbel = await run(plainly, { ...request(0), speculation: { length: 3 } });
        expect(gumbel.speculation?.forced).toBeGreaterThan(0);
    });

    test("ends with the tokens that were asked for, and with a stop text", async () => {
        const text = { prompt: "Hi", grammar: 'root ::= "one two three four five six"', seed: 1 };
        for (const maxTokens of [1, 2, 3, 5, 8]) {
            expect(await run(plainly, { ...text, maxTokens })).toMatchObject({ reason: "length", tokens: maxTokens });
        }
        expect(await run(plainly, { ...text, stop: [" four"] })).toMatchObject({
            reason: "stop",
            text: "one two three",
        });
    });
});
