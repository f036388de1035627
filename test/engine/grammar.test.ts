/** Structured output: texts are those of the grammar, and distributed as the target among them. */

import { Ajv } from "ajv";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { mask, normalize, shape } from "../helpers/reference.js";
import {
    collect,
    complete,
    DEFAULT_SAMPLING,
    tokenText,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type JsonSchema,
    type SamplingOptions,
    type SpeculationOptions,
    type TokenPart,
} from "../../src/index.js";
import { loadOnCpu, QUESTIONS } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { UPSCALING, UPSCALING_MODELS, writeFloat32Family } from "../helpers/float32.js";
import { runProgram } from "../helpers/program.js";
import { chiSquareTest } from "../helpers/statistics.js";
import { F32_BATCHING, F32_FORCED, P_VALUE } from "../helpers/tolerances.js";

const EOS = 2;
const SEQUENCES = 8;
const SEEDS = 200;

const family = writeFloat32Family(UPSCALING_MODELS);
const recipe = family.recipe(`${UPSCALING}prompt: { template: from chat }
`);
let ensemble: Ensemble;
beforeAll(async () => {
    ensemble = await loadOnCpu(recipe, { sequences: SEQUENCES });
});
afterAll(async () => {
    await ensemble.dispose();
    family.remove();
});

const run = (options: CompletionOptions, on = ensemble): Promise<CompletionResult> => collect(complete(on, options));
const ids = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);

const SCHEMA: JsonSchema = {
    type: "object",
    properties: {
        city: { type: "string", minLength: 2, maxLength: 5 },
        note: { type: "string", maxLength: 3 },
        capital: { type: "boolean" },
        rank: { type: "integer", minimum: 1, maximum: 195 },
        kinds: { type: "array", items: { enum: ["old", "new"] }, maxItems: 2 },
    },
    required: ["city", "capital", "rank", "kinds"],
    additionalProperties: false,
};
const isValid = new Ajv().compile(SCHEMA);

const DATES = `
root ::= " "? date (", " date){0,2}
date ::= [12] digit digit digit "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] digit | "3" [01])
digit ::= [0-9]
`;
const DATE = "[12]\\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])";
const ARE_DATES = new RegExp(`^ ?${DATE}(, ${DATE}){0,2}$`);

/** Each way of drawing with each temperature, in turn. */
function samplingOf(seed: number): Partial<SamplingOptions> {
    const temperature = [0, 0.7, 1][seed % 3] ?? 1;
    const filters = [{}, { topP: 0.9 }, { topK: 40, minP: 0.02 }, { repeatPenalty: 1.1, frequencyPenalty: 0.1 }];
    return { temperature, ...filters[seed % filters.length] };
}

const request = (seed: number): CompletionOptions => ({
    prompt: QUESTIONS[seed % QUESTIONS.length] ?? "",
    seed,
    sampling: samplingOf(seed),
    maxTokens: 120,
    // JSON and dates in turn.
    ...(seed % 5 === 4 ? { grammar: DATES } : { jsonSchema: SCHEMA }),
});

function expectStructure({ text, reason, seed }: CompletionResult): void {
    expect(reason).toBe("stop");
    if (seed % 5 === 4) {
        expect(text).toMatch(ARE_DATES);
        return;
    }
    const valid = isValid(JSON.parse(text));
    expect(isValid.errors).toBeNull();
    expect(valid).toBe(true);
}

/** Seeds of which a token was at the edge of top-p or min-p, in by one evaluation and out by another. */
const atEdges = new Set<number>();

/** The same tokens, up to near-ties: of two draws, or of a probability and the edge of a filter, which must be rare. */
function expectSame(result: CompletionResult, plain: CompletionResult): void {
    const { temperature = 1, topP = 1, minP = 0 } = samplingOf(result.seed);
    const isFiltered = temperature > 0 && (topP < 1 || minP > 0);
    if (!isFiltered) expectSameDraws(result, plain, temperature, F32_FORCED);
    else if (ids(result).join() !== ids(plain).join()) atEdges.add(result.seed);
}

/** The seeds in batches of eight, from the first one on every `step`-th batch. */
async function runSeeds(more: Partial<CompletionOptions>, first = 0, step = 1): Promise<CompletionResult[]> {
    const results: CompletionResult[] = [];
    for (let seed = first * SEQUENCES; seed < SEEDS; seed += step * SEQUENCES) {
        const batch = Array.from({ length: SEQUENCES }, (_, index) => run({ ...request(seed + index), ...more }));
        results.push(...(await Promise.all(batch)));
    }
    return results;
}

const WAYS: readonly (readonly [string, SpeculationOptions])[] = [
    ["one draft", { length: 1 }],
    ["four drafts", { length: 4 }],
    ["sixteen drafts", { length: 16 }],
    ["drafts until the drafter is unsure", { length: "confidence" }],
    ["the adaptive length, and lookup", { length: "adaptive", lookup: true }],
    ["a drafter that draws otherwise", { length: 3, drafterSampling: { temperature: 0, topP: 1 } }],
    ["four drafts, rejection sampling", { length: 4, coupling: "maximal" }],
    ["eight drafts, rejection sampling, lookup", { length: 8, coupling: "maximal", lookup: true }],
];

describe(`${SEEDS} seeds: answers are of their grammar`, () => {
    let plain: CompletionResult[];
    beforeAll(async () => {
        plain = await runSeeds({ scores: true });
    });

    test("without speculation, and not all the same", () => {
        plain.forEach(expectStructure);
        expect(new Set(plain.map(({ text }) => text)).size).toBeGreaterThan(SEEDS / 2);
    });

    // Four drafts draw all seeds, each other way a third of them.
    test.each(WAYS.map((way, index) => [...way, index] as const))("with %s", async (name, speculation, index) => {
        const [first, step] = name === "four drafts" ? [0, 1] : [index % 3, 3];
        const results = await runSeeds({ speculation }, first, step);
        results.forEach(expectStructure);
        // Drafts are of the grammar too, so they are accepted about as often as without it.
        const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
        const accepted = sum(results.map((result) => result.speculation?.accepted ?? NaN));
        expect(accepted).toBeGreaterThan(speculation.length === "adaptive" ? -1 : results.length);
        if (speculation.coupling === "maximal") return;
        results.forEach((result) => expectSame(result, plain[result.seed] as CompletionResult));
        expect(atEdges.size).toBeLessThan(SEEDS / 50);
    });

    test("alone, whatever runs beside", async () => {
        await using alone = await loadOnCpu(recipe, { sequences: 1 });
        for (let seed = 0; seed < 40; seed++) {
            const [, speculation] = WAYS[seed % WAYS.length] ?? [];
            const result = await run({ ...request(seed), speculation: speculation ?? false }, alone);
            expectStructure(result);
            if (speculation?.coupling === "maximal") continue;
            expectSame(result, plain[seed] as CompletionResult);
        }
    });

    test("log-probabilities are those of the target without a grammar", async () => {
        const { parts } = plain[1] as CompletionResult;
        const [first] = (await run({ prompt: QUESTIONS[1], seed: 0, maxTokens: 1, scores: true })).parts;
        const [own] = parts;
        expect(own?.logprob).toBe(own?.scores?.[own.id]);
        const differences = Array.from(own?.scores ?? [], (score, id) =>
            Math.abs(score - (first?.scores?.[id] ?? NaN)),
        );
        expect(Math.max(...differences)).toBeLessThan(F32_BATCHING);
    });
});

describe("the target among what a grammar allows", () => {
    const GRAMMAR = "root ::= [a-e] [aeiou] [a-z]*";
    /** Beginnings of texts of the grammar. */
    const isBeginning = (text: string): boolean => /^([a-e]([aeiou][a-z]*)?)?$/.test(text);
    const PROMPT = { prompt: QUESTIONS[0], grammar: GRAMMAR } as const;
    const RUNS = 1600;
    const pairs = (count: number): number[] => Array.from({ length: count }, (_, id) => id);

    /** Texts of all tokens, none for control tokens. */
    let texts: string[];
    beforeAll(() => {
        const { size, controlTokens, endOfGeneration } = ensemble.vocabulary;
        texts = pairs(size).map((id) =>
            controlTokens[id] === 1 || endOfGeneration[id] === 1 ? "" : tokenText(ensemble, id),
        );
    });

    /** By the reference: the shaped distribution of the token that follows `before`. */
    async function distribution(sampling: Partial<SamplingOptions>, before: readonly number[]): Promise<Float64Array> {
        const [forced] = before;
        const { parts } = await run({
            prompt: QUESTIONS[0],
            ...{ scores: true, maxTokens: before.length + 1, sampling: { temperature: 0 } },
            // No other token than the last of two may follow, which is why the second row is not led astray.
            ...(forced !== undefined && { logitBias: { [forced]: 1000 } }),
        });
        const begun = before.map((id) => texts[id] ?? "").join("");
        const isAllowed = (id: number): boolean => {
            const text = texts[id] ?? "";
            if (id === EOS) return /^[a-e][aeiou]/.test(begun);
            return text !== "" && isBeginning(begun + text);
        };
        return shape(mask(normalize(parts.at(-1)?.scores ?? []), isAllowed), { ...DEFAULT_SAMPLING, ...sampling });
    }

    test.each<[string, Partial<SamplingOptions>, false | SpeculationOptions]>([
        ["no drafts", { temperature: 1 }, false],
        ["no drafts, with filters", { temperature: 1.5, topP: 0.9, topK: 20 }, false],
        ["gumbel", { temperature: 1 }, { length: 1 }],
        ["gumbel with filters", { temperature: 1.5, minP: 0.05 }, { length: 2 }],
        ["maximal", { temperature: 1 }, { length: 1, coupling: "maximal" }],
        ["maximal with filters", { temperature: 1.5, topP: 0.9 }, { length: 2, coupling: "maximal" }],
    ])("the first two tokens: %s", async (_name, sampling, speculation) => {
        const places = new Map<string, number>();
        const probabilities: number[] = [];
        const first = await distribution(sampling, []);
        for (const [id, probability] of first.entries()) {
            if (probability === 0) continue;
            const second = await distribution(sampling, [id]);
            for (const [next, conditional] of second.entries()) {
                if (conditional === 0) continue;
                places.set([id, next].join(), probabilities.length);
                probabilities.push(probability * conditional);
            }
        }
        expect(probabilities.length).toBeGreaterThan(5);
        const counts = new Uint32Array(probabilities.length);
        for (let seed = 0; seed < RUNS; seed += SEQUENCES) {
            const batch = Array.from({ length: SEQUENCES }, (_, index) =>
                run({ ...PROMPT, sampling, speculation, seed: 5000 + seed + index, maxTokens: 3 }),
            );
            for (const result of await Promise.all(batch)) {
                const place = places.get(ids(result).slice(0, 2).join());
                expect(place).toBeDefined();
                counts[place ?? 0] = (counts[place ?? 0] ?? 0) + 1;
            }
        }
        expect(chiSquareTest(counts, probabilities).pValue).toBeGreaterThan(P_VALUE);
    });
});

describe("schemas as people write them", () => {
    const Invoice = z.object({
        number: z.string().regex(/^[A-Z]{2}-\d{4}$/),
        day: z.iso.date(),
        kind: z.discriminatedUnion("type", [
            z.object({ type: z.literal("cash"), paid: z.number().min(0).max(100) }),
            z.object({ type: z.literal("card"), digits: z.string().length(4) }),
        ]),
        tags: z.record(z.enum(["a", "b"]), z.int().min(1).max(9)),
    });

    test("a type of zod parses what comes, also with speculation", async () => {
        for (let seed = 0; seed < 12; seed++) {
            const speculation = seed % 2 === 0 && { length: 4 };
            const result = await run({ prompt: QUESTIONS[0], seed, jsonSchema: Invoice, speculation });
            expect(result.reason).toBe("stop");
            expect(Invoice.safeParse(JSON.parse(result.text)).error).toBeUndefined();
            expect(result).not.toHaveProperty("unenforced");
        }
    });

    test("what is not enforced is in the result, where that is asked for", async () => {
        const jsonSchema = { type: "string", maxLength: 3, pattern: "^(?=a)" };
        expect(() => complete(ensemble, { prompt: "a", jsonSchema })).toThrow("`pattern` cannot be enforced");
        const { unenforced, text } = await run({ prompt: "a", jsonSchema, jsonSchemaStrict: false, readAhead: 4 });
        expect(unenforced).toEqual([expect.objectContaining({ place: "#", keyword: "pattern" })]);
        expect((JSON.parse(text) as string).length).toBeLessThan(7);
        const strict = await run({ prompt: "a", jsonSchema: { enum: [1] }, jsonSchemaStrict: false });
        expect(strict.unenforced).toEqual([]);
    });
});

describe("what comes in between", () => {
    const speculation = { length: 6 };
    const look = {
        raw: true,
        maxTokens: 1,
        sampling: { temperature: 0 },
        topLogprobs: 100,
        memberLogprobs: true,
    } as const;

    /** Largest difference of what two ensembles see after a text, and how much of it the first one had in its caches. */
    async function difference(
        one: Ensemble,
        other: Ensemble,
        prompt: string,
    ): Promise<{ worst: number; reused: number }> {
        const [own, fresh] = [await run({ ...look, prompt }, one), await run({ ...look, prompt }, other)];
        const rows = new Map(
            fresh.parts[0]?.top?.map(({ id, logprob, members }) => [id, { target: logprob, ...members }]),
        );
        let worst = 0;
        let compared = 0;
        for (const { id, logprob, members } of own.parts[0]?.top ?? []) {
            const row: Record<string, number> = rows.get(id) ?? {};
            for (const [name, value] of Object.entries(row)) {
                worst = Math.max(worst, Math.abs((name === "target" ? logprob : (members?.[name] ?? NaN)) - value));
                compared++;
            }
        }
        expect(compared).toBeGreaterThan(120);
        return { worst, reused: Math.min(...Object.values(own.reusedTokens)) };
    }

    test("caches are those of a fresh prefill after texts that the grammar ended, and after aborted ones", async () => {
        await using used = await loadOnCpu(recipe, { sequences: 1 });
        await using fresh = await loadOnCpu(recipe, { sequences: 1 });
        // Sentences, as the models write them: a text that is cut into the tokens it was made of finds them in the cache.
        const grammar = 'root ::= ([^.]+ "."){2}';
        let covered = 0;
        for (let seed = 0; seed < 20; seed++) {
            const prompt = `${"ABCDEFGHIJKLMNOPQRST".charAt(seed)}. Lima is the capital of Peru. The currency of Peru is the`;
            const options = { prompt, raw: true, grammar, seed, speculation, sampling: { temperature: 0.7 } };
            const whole = await run(options, used);
            expect(whole).toMatchObject({ reason: "stop", text: expect.stringMatching(/^[^.]+\.[^.]+\.$/) });
            const { worst, reused } = await difference(used, fresh, prompt + whole.text);
            expect(worst).toBeLessThan(F32_BATCHING);
            covered += Number(reused >= (whole.promptTokens.large ?? NaN) + whole.tokens - 2);

            const controller = new AbortController();
            let text = "";
            let tokens = 0;
            for await (const part of complete(used, { ...options, signal: controller.signal })) {
                text += part.text;
                if (++tokens === 2 + (seed % 8)) controller.abort();
                if (part.type === "finish") expect(part.reason).toBe("abort");
            }
            expect(whole.text.startsWith(text)).toBe(true);
            expect((await difference(used, fresh, prompt + text)).worst).toBeLessThan(F32_BATCHING);
        }
        expect(covered).toBeGreaterThan(5);
    });

    test("a dial in the middle of a block: what follows is drawn anew, from the same place in the grammar", async () => {
        async function turned(option: false | SpeculationOptions, seed: number): Promise<CompletionResult> {
            const parts: TokenPart[] = [];
            const completion = complete(ensemble, { ...request(seed), speculation: option, scores: true });
            for await (const part of completion) {
                if (part.type === "finish") {
                    const text = parts.map((token) => token.text).join("") + part.text;
                    return { ...part, text, parts, thinking: "", toolCalls: [] };
                }
                if (part.type === "token") parts.push(part);
                if (parts.length % 5 === 2) completion.setParameters({ beta: (parts.length % 3) * 0.9 });
            }
            throw new Error("The completion has no end.");
        }
        for (let seed = 0; seed < 8; seed++) {
            const plain = await turned(false, seed);
            expectStructure(plain);
            for (const length of [1, 3, 8]) {
                const result = await turned({ length }, seed);
                expectStructure(result);
                expectSameDraws(result, plain, samplingOf(seed).temperature ?? 1, F32_BATCHING);
            }
        }
    });

    test("explanations compare with what the drafter may say", async () => {
        const { parts } = await run({ ...request(1), explain: true });
        const shown = parts.slice(0, 6).map(({ drafter }) => drafter?.text ?? "");
        expect(" {").toContain(shown[0]?.charAt(0));
        const { parts: forced } = await run({ prompt: QUESTIONS[0], grammar: 'root ::= "xyzxyz"', explain: true });
        for (const { drafter } of forced.slice(0, -1)) expect("xyzxyz").toContain(drafter?.text ?? "?");
    });

    test("stop texts, and the number of tokens, end a text before its grammar does", async () => {
        const stopped = await run({ ...request(2), stop: ["capital"] });
        expect(stopped).toMatchObject({ reason: "stop", stoppedBy: "capital" });
        expect(await run({ ...request(2), maxTokens: 4 })).toMatchObject({ reason: "length", tokens: 4 });
    });

    test("a prompt's own text is not part of the grammar", async () => {
        const { text } = await run({ prompt: '{"city":', raw: true, grammar: 'root ::= " "? "[]"' });
        expect(text.trim()).toBe("[]");
    });
});

describe("tokens that are not text", () => {
    test("bytes that make no character do not come where any character may", async () => {
        // Bytes of a vocabulary like this one are tokens, and preferred here.
        const bytes = [...Array(ensemble.vocabulary.size).keys()].filter((id) =>
            /^\uFFFD$/.test(tokenText(ensemble, id)),
        );
        expect(bytes.length).toBe(128);
        const logitBias = Object.fromEntries(bytes.map((id) => [id, 1000]));
        for (let seed = 0; seed < 40; seed++) {
            const sampling = { temperature: 30, topP: seed % 2 === 0 ? 1 : 0.99 };
            const options = { prompt: "Hi", grammar: "root ::= [^\\n]{6}", logitBias, seed, sampling };
            const { text, parts } = await run({ ...options, speculation: seed % 3 === 0 ? { length: 4 } : false });
            expect(parts.filter(({ id }) => bytes.includes(id)).length).toBeGreaterThan(6);
            expect(text).not.toContain("\uFFFD");
            expect([...text]).toHaveLength(6);
        }
    });

    test("control tokens do not come where any text may", async () => {
        const { size, controlTokens } = ensemble.vocabulary;
        const control = [...Array(size).keys()].filter((id) => controlTokens[id] === 1);
        expect(control.length).toBeGreaterThan(1);
        const logitBias = Object.fromEntries(control.filter((id) => id !== EOS).map((id) => [id, 500]));
        const { parts } = await run({ prompt: "Hi", grammar: "root ::= [^\\n]{12}", logitBias, seed: 3 });
        expect(parts.slice(0, -1).some(({ id }) => control.includes(id))).toBe(false);
    });

    test("unless the grammar names them, by id or by text", async () => {
        for (const token of ["<[1]>", "<s>"]) {
            const { parts, text } = await run({ prompt: "Hi", grammar: `root ::= "a" ${token} "b"`, seed: 3 });
            expect(parts.map(({ id }) => id)).toContain(1);
            expect(text).toBe("ab");
        }
    });

    test.each(["<[99999]>", "<nonsense>"])("%s is refused: the vocabulary lacks it", (token) => {
        const grammar = `root ::= "a" ${token}`;
        expect(() => complete(ensemble, { prompt: "Hi", grammar })).toThrow(
            expect.objectContaining({ code: "GRAMMAR_INVALID", message: expect.stringContaining(token) }),
        );
    });
});

describe("what cannot be", () => {
    test.each<[string, Partial<CompletionOptions>, string]>([
        ["an empty grammar", { grammar: "" }, "GRAMMAR_INVALID"],
        ["a left-recursive one", { grammar: 'root ::= root "a"' }, "GRAMMAR_INVALID"],
        ["a huge repetition", { grammar: 'root ::= "a"{1000000}' }, "GRAMMAR_INVALID"],
        ["an unknown start symbol", { grammar: 'start ::= "a"' }, "GRAMMAR_INVALID"],
        ["deep nesting", { grammar: `root ::= ${"(".repeat(50_000)}` }, "GRAMMAR_INVALID"],
        ["a schema that cannot be enforced", { jsonSchema: { pattern: "(a)\\1" } }, "GRAMMAR_INVALID"],
        ["a schema that is no JSON", { jsonSchema: { const: 1n } }, "GRAMMAR_INVALID"],
        ["a grammar that is no text", { grammar: 5 as unknown as string }, "OPTION_INVALID"],
        ["both", { grammar: 'root ::= "a"', jsonSchema: {} }, "OPTION_INVALID"],
    ])("%s is an error at once", async (_name, options, code) => {
        expect(() => complete(ensemble, { prompt: "Hi", ...options })).toThrow(expect.objectContaining({ code }));
        expect((await run({ prompt: "Hi", maxTokens: 1 })).tokens).toBe(1);
    });

    test.each<[string, CompletionOptions]>([
        ["a character that no token can write", { prompt: "Hi", grammar: String.raw`root ::= "ab" "\x00"` }],
        ["an end that biases forbid", { prompt: "Hi", grammar: 'root ::= "ab"', logitBias: { [EOS]: -Infinity } }],
    ])("a dead end: %s", async (_name, options) => {
        for (const speculation of [false, { length: 4 }, { length: 4, coupling: "maximal" }] as const) {
            for (const sampling of [{ temperature: 0 }, { topP: 0.9 }]) {
                await expect(run({ ...options, speculation, sampling })).rejects.toMatchObject({
                    code: "NO_TOKEN_LEFT",
                    message: expect.stringMatching(/^The grammar has come to a dead end after [12] tokens/),
                });
            }
        }
        // It hurts nobody else, and nothing stays behind.
        const [other] = await Promise.all([run(request(0)), run(options).catch(() => undefined)]);
        expectStructure(other);
    });

    test("a completion that goes on after its ensemble was disposed", async () => {
        const gone = await loadOnCpu(recipe, { sequences: 1 });
        const completion = complete(gone, { ...request(0), speculation: { length: 8 } });
        for (let i = 0; i < 3; i++) await completion.next();
        await gone.dispose();
        await expect(collect(completion)).rejects.toMatchObject({ code: "DISPOSED" });
        expect(() => complete(gone, request(0))).toThrow(expect.objectContaining({ code: "DISPOSED" }));
    });
});

test("the search for what may come next stops at once for an abort, and for the exit of the process", async () => {
    const { exit, stdout, stderr } = await runProgram("grammar-interrupt.mjs", { seconds: 300 });
    expect([exit, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout) as Record<string, number>;
    expect(result).toMatchObject({ reason: "abort", tokens: 0, text: "yes" });
    expect(result.abort).toBeLessThan((result.whole ?? NaN) / 4);
    expect(result.exit).toBeLessThan((result.whole ?? NaN) / 4);
});

test("nothing leaks over hundreds of constrained texts", async () => {
    const { exit, stdout, stderr } = await runProgram("grammar-memory.mjs", {
        // What grows is leaked then: test/engine/lifetime.test.ts.
        flags: ["--expose-gc", "--max-semi-space-size=1", "--no-opt"],
        env: { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536" },
        seconds: 300,
    });
    expect([exit, stderr]).toEqual([0, ""]);
    const resident = JSON.parse(stdout) as number[];
    const growth = Math.min(...resident.slice(-3)) - Math.max(...resident.slice(3, 6));
    expect(growth).toBeLessThan(process.platform === "linux" ? 2 : 30);
});
