/** Native drafting and verifying on rows: equal to the reference, and exact whatever the drafter. */

import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { normalize } from "../helpers/reference.js";
import {
    acceptanceGumbel,
    acceptanceMaximal,
    confidence,
    draft as referenceDraft,
    verify as referenceVerify,
} from "../helpers/speculative-reference.js";
import type { NativeDraw } from "../../src/native/binding.js";
import type { Coupling } from "../../src/types.js";
import { describeRows, loadRows, penalized, probabilities, UNSHAPED } from "../helpers/rows.js";
import { chiSquareTest, normalRow } from "../helpers/statistics.js";
import { DEVIATIONS, LOGPROB, P_VALUE } from "../helpers/tolerances.js";

const native = loadRows();
const COUPLINGS: readonly Coupling[] = ["gumbel", "maximal"];
/** Fixed, so that a run can be repeated. */
const SEED = 2211_17192;

const logprobs = (logits: ArrayLike<number>): Float32Array => Float32Array.from(normalize(logits));
const add = (row: Float32Array, other: Float32Array): Float32Array => row.map((value, i) => value + (other[i] ?? NaN));

// ---------------------------------------------------------------------------------------------- against the reference

interface Case {
    readonly target: Float32Array;
    readonly drafter: Float32Array;
    readonly options: NativeDraw;
}

/** A target and a drafter that resembles it more or less, and options of all kinds. */
function casesOf(minLength: number, maxLength: number): fc.Arbitrary<Case> {
    const seeds = fc.record({
        length: fc.integer({ min: minLength, max: maxLength }),
        target: fc.nat(),
        drafter: fc.nat(),
        deviation: fc.constantFrom(0.3, 1, 3, 6),
        difference: fc.constantFrom(0, 0.1, 1, 3),
    });
    const rows = seeds.map(({ length, target, drafter, deviation, difference }) => {
        const row = normalRow(target, length, deviation);
        return { target: logprobs(row), drafter: logprobs(add(row, normalRow(drafter, length, difference))) };
    });
    return rows.chain(({ target, drafter }) => {
        const token = fc.nat({ max: target.length - 1 });
        const bias = fc.uniqueArray(fc.tuple(token, fc.constantFrom(-100, -1.5, 2, 5)), {
            maxLength: 5,
            selector: ([id]) => id,
        });
        // Not round numbers: where a mass is met exactly, the last bit would decide.
        const options = fc.record({
            temperature: fc.constantFrom(0, 0.3, 0.7, 1, 1, 1.5, 100),
            topK: fc.constantFrom(0, 0, 1, 5, 40, 10_000),
            topP: fc.constantFrom(1, 1, 0.1234, 0.51234, 0.951234),
            minP: fc.constantFrom(0, 0, 0.051234, 0.31234),
            repeatPenalty: fc.constantFrom(1, 1.3),
            frequencyPenalty: fc.constantFrom(0, 0.7, -0.3),
            presencePenalty: fc.constantFrom(0, 1.1),
            history: fc.array(token, { maxLength: 5 }).map((ids) => Int32Array.from(ids)),
            bias,
            seed: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
            position: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
        });
        return options.map(({ bias, ...others }) => ({
            target,
            drafter,
            options: {
                ...UNSHAPED,
                ...others,
                biasTokens: Int32Array.from(bias, ([id]) => id),
                biasValues: Float32Array.from(bias, ([, value]) => value),
            },
        }));
    });
}

function expectSame({ target, drafter, options }: Case): void {
    const [p, q] = [probabilities(target, options), probabilities(drafter, options)];
    const { seed, position } = options;
    for (const coupling of COUPLINGS) {
        const draft = native.draftRow(drafter, coupling, options);
        expect(draft.token).toBe(referenceDraft(q, coupling, seed, position));
        expect(Math.abs(draft.confidence - confidence(penalized(drafter, options), options))).toBeLessThan(LOGPROB);

        expect(native.verifyRow(target, drafter, draft.token, coupling, options)).toBe(
            referenceVerify(p, q, draft.token, coupling, seed, position),
        );
        const any = seed % target.length;
        expect(native.verifyRow(target, undefined, any, coupling, options)).toBe(
            referenceVerify(p, undefined, any, coupling, seed, position),
        );
    }
}

describeRows("native drafting and verifying equal the reference", () => {
    test("on many rows with all kinds of options", () => {
        fc.assert(fc.property(casesOf(2, 300), expectSame), { seed: SEED, numRuns: 1_500 });
    });

    test("on large vocabularies", () => {
        fc.assert(fc.property(casesOf(30_000, 130_000), expectSame), { seed: SEED, numRuns: 3 });
    });
});

// ------------------------------------------------------------------------------------------------- the distribution

/** How often each token results, and how often it is the draft, over seeds. */
function countVerified(
    { target, drafter, options }: Case,
    coupling: Coupling,
    draws: number,
    fixedDraft?: number,
): { counts: Uint32Array; accepted: number } {
    const counts = new Uint32Array(target.length);
    let accepted = 0;
    for (let seed = 0; seed < draws; seed++) {
        const seeded = { ...options, seed };
        const draft = fixedDraft ?? native.draftRow(drafter, coupling, seeded).token;
        const row = fixedDraft === undefined ? drafter : undefined;
        const token = native.verifyRow(target, row, draft, coupling, seeded);
        counts[token] = (counts[token] ?? NaN) + 1;
        accepted += token === draft ? 1 : 0;
    }
    return { counts, accepted };
}

function expectFrequency(seen: number, draws: number, probability: number): void {
    const deviation = Math.sqrt(draws * probability * (1 - probability));
    expect(Math.abs(seen - draws * probability)).toBeLessThanOrEqual(DEVIATIONS * deviation);
}

describeRows("at a drafted position", () => {
    const logits = normalRow(1, 40, 1.5);
    const target = logprobs(logits);
    const drafter = logprobs(add(logits, normalRow(2, 40, 1)));
    const draws = 30_000;
    const wishes: [string, Partial<NativeDraw>][] = [
        ["as it is", {}],
        ["at temperature 0.4", { temperature: 0.4 }],
        ["at temperature 3", { temperature: 3 }],
        ["with top-k", { topK: 6 }],
        ["with top-p", { topP: 0.8 }],
        ["with min-p", { minP: 0.1 }],
        ["with all filters at temperature 1.4", { temperature: 1.4, topK: 20, topP: 0.9, minP: 0.03 }],
        ["with penalties", { repeatPenalty: 1.2, frequencyPenalty: 0.5, history: Int32Array.of(1, 1, 2, 30) }],
        ["with bias", { biasTokens: Int32Array.of(0, 7), biasValues: Float32Array.of(-Infinity, 2) }],
        ["later in the text", { position: 77 }],
    ];

    test.each(wishes)("the token is distributed as the target, and accepted as often as promised, %s", (_, changes) => {
        const options = { ...UNSHAPED, ...changes };
        const [p, q] = [probabilities(target, options), probabilities(drafter, options)];
        for (const coupling of COUPLINGS) {
            const { counts, accepted } = countVerified({ target, drafter, options }, coupling, draws);
            expect(chiSquareTest(counts, p).pValue).toBeGreaterThan(P_VALUE);
            const acceptance = coupling === "gumbel" ? acceptanceGumbel(p, q) : acceptanceMaximal(p, q);
            expectFrequency(accepted, draws, acceptance);
        }
    });

    test.each(wishes)("a draft from nowhere is accepted with the target's probability, %s", (_, changes) => {
        const options = { ...UNSHAPED, ...changes };
        const p = probabilities(target, options);
        const likeliest = p.indexOf(p.reduce((a, b) => Math.max(a, b)));
        for (const coupling of COUPLINGS) {
            for (const draft of [likeliest, 5]) {
                const { counts, accepted } = countVerified({ target, drafter, options }, coupling, draws, draft);
                expect(chiSquareTest(counts, p).pValue).toBeGreaterThan(P_VALUE);
                expectFrequency(accepted, draws, p[draft] ?? NaN);
            }
        }
    });

    test.each([0, 0.01, 0.3, 2])("a drafter that is off by %d is accepted as often as promised", (difference) => {
        const other = logprobs(add(logits, normalRow(3, 40, difference)));
        const [p, q] = [probabilities(target, UNSHAPED), probabilities(other, UNSHAPED)];
        const rows = { target, drafter: other, options: UNSHAPED };
        expectFrequency(countVerified(rows, "gumbel", draws).accepted, draws, acceptanceGumbel(p, q));
        expectFrequency(countVerified(rows, "maximal", draws).accepted, draws, acceptanceMaximal(p, q));
    });

    test("drafts have the distribution of the drafter", () => {
        for (const coupling of COUPLINGS) {
            const counts = new Uint32Array(drafter.length);
            for (let seed = 0; seed < draws; seed++) {
                const { token } = native.draftRow(drafter, coupling, { ...UNSHAPED, seed });
                counts[token] = (counts[token] ?? NaN) + 1;
            }
            expect(chiSquareTest(counts, probabilities(drafter, UNSHAPED)).pValue).toBeGreaterThan(P_VALUE);
        }
    });
});

// ----------------------------------------------------------------------------------------------------- whole blocks

/** Texts of four tokens, of which each depends on the one before. */
describeRows("a text in blocks", () => {
    const TOKENS = 4;
    const TEXT = 3;
    /** Row of the token that follows; the last one of the table begins the text. */
    const table = (seed: number): Float32Array[] =>
        Array.from({ length: TOKENS + 1 }, (_, i) => logprobs(normalRow(seed + i, TOKENS, 1.2)));
    const [targets, drafters] = [table(100), table(200)];
    const rowAfter = (rows: readonly Float32Array[], text: readonly number[]): Float32Array =>
        rows[text.at(-1) ?? TOKENS] as Float32Array;
    const requestAfter = (text: readonly number[], options: NativeDraw): NativeDraw => ({
        ...options,
        position: text.length,
        history: Int32Array.from(text),
    });

    /** `draftLength`: of the block that begins after a text. `lookUp` drafts the last token again, instead of the drafter. */
    interface Speculation {
        readonly coupling: Coupling;
        readonly draftLength: (text: readonly number[]) => number;
        readonly lookUp?: boolean;
    }

    function draftBlock(text: readonly number[], speculation: Speculation, options: NativeDraw): number[] {
        const length = speculation.draftLength(text);
        if (speculation.lookUp) return new Array<number>(length).fill(text.at(-1) ?? 0);
        const drafts: number[] = [];
        while (drafts.length < length) {
            const soFar = [...text, ...drafts];
            const request = requestAfter(soFar, options);
            drafts.push(native.draftRow(rowAfter(drafters, soFar), speculation.coupling, request).token);
        }
        return drafts;
    }

    function speculate(speculation: Speculation, options: NativeDraw): number[] {
        const { coupling, lookUp } = speculation;
        const text: number[] = [];
        while (text.length < TEXT) {
            const drafts = draftBlock(text, speculation, options);
            const rejected = drafts.some((draft) => {
                const drafter = lookUp ? undefined : rowAfter(drafters, text);
                const request = requestAfter(text, options);
                const token = native.verifyRow(rowAfter(targets, text), drafter, draft, coupling, request);
                text.push(token);
                return token !== draft;
            });
            if (!rejected) text.push(native.sampleRow(rowAfter(targets, text), requestAfter(text, options)));
        }
        return text.slice(0, TEXT);
    }

    const plain = (options: NativeDraw): number[] => speculate({ coupling: "gumbel", draftLength: () => 0 }, options);

    /** Probability of each text, first token most significant. */
    function textProbabilities(options: NativeDraw, text: readonly number[] = []): number[] {
        if (text.length === TEXT) return [1];
        const p = probabilities(rowAfter(targets, text), requestAfter(text, options));
        return Array.from(p).flatMap((probability, token) =>
            probability === 0
                ? new Array<number>(TOKENS ** (TEXT - 1 - text.length)).fill(0)
                : textProbabilities(options, [...text, token]).map((rest) => probability * rest),
        );
    }

    const draftLengths: [string, Speculation["draftLength"]][] = [
        ["1", () => 1],
        ["2", () => 2],
        ["3", () => 3],
        ["0 to 2, depending on the text", (text) => (1 + (text.at(-1) ?? 0)) % 3],
    ];
    const wishes: [string, Partial<NativeDraw>][] = [
        ["the target as it is", {}],
        ["filters at temperature 1.5", { temperature: 1.5, topK: 3, topP: 0.95 }],
        ["penalties", { repeatPenalty: 1.5, frequencyPenalty: 1 }],
    ];
    const cases = wishes.flatMap(([wish, changes]) =>
        draftLengths.map(([length, draftLength]) => ({ wish, changes, length, draftLength })),
    );

    test.each(cases)(
        "is distributed as without speculation under maximal: $wish, drafts: $length",
        ({ changes, draftLength }) => {
            const options = { ...UNSHAPED, ...changes };
            for (const lookUp of [false, true]) {
                const counts = new Uint32Array(TOKENS ** TEXT);
                for (let seed = 0; seed < 15_000; seed++) {
                    const text = speculate({ coupling: "maximal", draftLength, lookUp }, { ...options, seed });
                    const index = text.reduce((before, token) => TOKENS * before + token, 0);
                    counts[index] = (counts[index] ?? NaN) + 1;
                }
                expect(chiSquareTest(counts, textProbabilities(options)).pValue).toBeGreaterThan(P_VALUE);
            }
        },
    );

    test.each(cases)(
        "is the same as without speculation under gumbel: $wish, drafts: $length",
        ({ changes, draftLength }) => {
            for (let seed = 0; seed < 500; seed++) {
                const options = { ...UNSHAPED, ...changes, seed };
                const text = plain(options);
                expect(speculate({ coupling: "gumbel", draftLength }, options)).toEqual(text);
                expect(speculate({ coupling: "gumbel", draftLength, lookUp: true }, options)).toEqual(text);
            }
        },
    );

    test("at temperature 0 is the same under both couplings", () => {
        const options = { ...UNSHAPED, temperature: 0 };
        for (const coupling of COUPLINGS) {
            for (const [, draftLength] of draftLengths) {
                expect(speculate({ coupling, draftLength }, options)).toEqual(plain(options));
            }
        }
    });
});

// ---------------------------------------------------------------------------------------------------------- the rest

describeRows("the couplings", () => {
    const logits = normalRow(4, 200, 1);
    const target = logprobs(logits);
    const drafter = logprobs(add(logits, normalRow(5, 200, 1)));

    test("gumbel: the token is the plain draw, whatever was drafted from whatever", () => {
        for (let seed = 0; seed < 300; seed++) {
            const options = { ...UNSHAPED, seed, position: seed };
            const token = native.sampleRow(target, options);
            for (const row of [drafter, target, undefined]) {
                expect(native.verifyRow(target, row, seed % 200, "gumbel", options)).toBe(token);
            }
            expect(native.draftRow(target, "gumbel", options).token).toBe(token);
        }
    });

    test("maximal: a drafter that equals the target is never rejected", () => {
        for (let seed = 0; seed < 1_000; seed++) {
            const options = { ...UNSHAPED, seed };
            const { token } = native.draftRow(target, "maximal", options);
            expect(native.verifyRow(target, target, token, "maximal", options)).toBe(token);
        }
    });

    test("maximal: nothing that the target excludes is drawn, however the drafter insists", () => {
        const [one, other] = [logprobs([0, -Infinity, -50]), logprobs([-50, 0, -Infinity])];
        for (let seed = 0; seed < 1_000; seed++) {
            for (const draft of [0, 1, 2]) {
                const token = native.verifyRow(one, other, draft, "maximal", { ...UNSHAPED, seed });
                expect(token).not.toBe(1);
            }
        }
        // What the target has more of is less than rounding.
        const [certain, nearly] = [logprobs([0, -Infinity]), logprobs([0, -80])];
        expect(native.verifyRow(certain, nearly, 1, "maximal", UNSHAPED)).toBe(0);
    });

    test.each(COUPLINGS)("%s: temperature 0 takes the most probable token, ties to the lowest id", (coupling) => {
        const [one, other] = [Float32Array.of(-3, -1, -2, -1), Float32Array.of(-1, -1, -1, -2)];
        for (let seed = 0; seed < 20; seed++) {
            const options = { ...UNSHAPED, temperature: 0, seed };
            expect(native.draftRow(one, coupling, options).token).toBe(1);
            expect(native.draftRow(other, coupling, options).token).toBe(0);
            for (const draft of [0, 1, 2, 3]) {
                expect(native.verifyRow(one, other, draft, coupling, options)).toBe(1);
                expect(native.verifyRow(one, undefined, draft, coupling, options)).toBe(1);
            }
        }
    });

    test.each(COUPLINGS)("%s: rows stay as they were", (coupling) => {
        const before = [target.slice(), drafter.slice()];
        const options = { ...UNSHAPED, biasTokens: Int32Array.of(3), biasValues: Float32Array.of(50) };
        const { token } = native.draftRow(drafter, coupling, options);
        native.verifyRow(target, drafter, token, coupling, options);
        expect([target, drafter]).toEqual(before);
    });

    test.each(COUPLINGS)("%s: rows that hold no distribution are refused", (coupling) => {
        const good = Float32Array.of(-1, -1, -1);
        const failing = (body: () => unknown, code: string): void => {
            expect(body).toThrow(expect.objectContaining({ code }));
        };
        for (const [row, code] of [
            [Float32Array.of(-1, NaN, -1), "NON_FINITE_LOGITS"],
            [Float32Array.of(-1, Infinity, -1), "NON_FINITE_LOGITS"],
            [new Float32Array(3).fill(-Infinity), "NO_TOKEN_LEFT"],
            [new Float32Array(), "NO_TOKEN_LEFT"],
        ] as const) {
            failing(() => native.draftRow(row, coupling, UNSHAPED), code);
            failing(() => native.verifyRow(row, good, 1, coupling, UNSHAPED), code);
            failing(() => native.verifyRow(row, undefined, 1, coupling, UNSHAPED), code);
            failing(() => native.verifyRow(good, row, 1, coupling, UNSHAPED), code);
        }
        const nothing = { ...UNSHAPED, biasTokens: Int32Array.of(0, 1, 2), biasValues: good.map(() => -Infinity) };
        failing(() => native.draftRow(good, coupling, nothing), "NO_TOKEN_LEFT");
        failing(() => native.verifyRow(good, good, 1, coupling, nothing), "NO_TOKEN_LEFT");
    });
});
