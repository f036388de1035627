import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
    applyConservativeFilter,
    applyPenaltiesAndBias,
    combine,
    drawGumbel,
    fuse,
    logSumExp,
    normalize,
    nucleus,
    rank,
    shape,
    topLogprobs,
} from "../helpers/reference.js";
import {
    acceptanceGumbel,
    acceptanceMaximal,
    confidence,
    draft,
    totalVariation,
    verify,
} from "../helpers/speculative-reference.js";
import { philox, uniformNoise } from "../../src/decoding/noise.js";
import { TOKEN_KIND } from "../../src/native/binding.js";
import { chiSquareTest } from "../helpers/statistics.js";
import { DOUBLE, P_VALUE } from "../helpers/tolerances.js";

const logs = (...probabilities: number[]): number[] => probabilities.map(Math.log);
const probabilities = (row: ArrayLike<number>): number[] => Array.from(row, Math.exp);
const close = (actual: ArrayLike<number>, expected: ArrayLike<number>): void => {
    expect(actual).toHaveLength(expected.length);
    Array.from(expected, (value, i) => {
        expect(Math.abs((actual[i] as number) - value)).toBeLessThanOrEqual(DOUBLE);
    });
};
const noFallback = { conservativeTopP: 1, controlTokensFallback: false };
const target = { temperature: 1, topK: 0, topP: 1, minP: 0 };

describe("log-probabilities", () => {
    test("of logits that are logarithms of weights", () => {
        expect(logSumExp(logs(1, 2, 3, 4))).toBeCloseTo(Math.log(10), 12);
        close(probabilities(normalize(logs(1, 2, 3, 4))), [0.1, 0.2, 0.3, 0.4]);
    });

    test("do not overflow", () => {
        close(normalize([1000, 1000]), logs(0.5, 0.5));
        expect(logSumExp([-Infinity, -Infinity])).toBe(-Infinity);
    });

    test("do not depend on a constant in the logits", () => {
        const logits = fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: 2, maxLength: 20 });
        fc.assert(
            fc.property(logits, fc.integer({ min: -20, max: 20 }), (row, shift) => {
                close(normalize(row.map((logit) => logit + shift)), Array.from(normalize(row)));
            }),
        );
    });

    test("do not exist for logits that are not numbers", () => {
        expect(() => normalize([0, NaN])).toThrow(expect.objectContaining({ code: "NON_FINITE_LOGITS" }));
        expect(() => normalize([0, Infinity])).toThrow(expect.objectContaining({ code: "NON_FINITE_LOGITS" }));
        expect(() => normalize([-Infinity])).toThrow(expect.objectContaining({ code: "NO_TOKEN_LEFT" }));
    });
});

describe("the combination", () => {
    const large = logs(0.5, 0.3, 0.2);
    const chat = logs(0.2, 0.5, 0.3);
    const small = logs(0.25, 0.25, 0.5);

    test("large + (chat - small) multiplies and divides probabilities", () => {
        const fused = fuse([large, chat, small], { weights: Float64Array.of(1, 1, -1), ...noFallback });
        close(probabilities(fused), [0.4 / 1.12, 0.6 / 1.12, 0.12 / 1.12]);
    });

    test("down-scaling with the large model as its own base gives the small model back", () => {
        const fused = fuse([small, large, large], { weights: Float64Array.of(1, 1, -1), ...noFallback });
        close(probabilities(fused), [0.25, 0.25, 0.5]);
    });

    test("leaves out members of weight 0 and tokens that a member masks", () => {
        close(combine([large, [NaN, NaN, NaN], undefined], [1, 0, 0]), large);
        expect(combine([large, [0, -Infinity, 0]], [1, -1])[1]).toBe(-Infinity);
    });

    test("of members that together mask everything leaves no token", () => {
        const rows = [
            [0, -Infinity],
            [-Infinity, 0],
        ];
        expect(() => fuse(rows, { weights: Float64Array.of(1, 1), ...noFallback })).toThrow(
            expect.objectContaining({ code: "NO_TOKEN_LEFT" }),
        );
    });
});

describe("the conservative filter", () => {
    const fallback = logs(0.1, 0.4, 0.1, 0.3, 0.1);
    const inside = (topP: number): number[] => {
        const marked = applyConservativeFilter([9, 9, 9, 9, 9], fallback, topP);
        return Array.from(marked, (value, id) => (value === 9 ? id : -1)).filter((id) => id >= 0);
    };

    test("keeps the smallest set of likely tokens, ties to the lower id", () => {
        expect(inside(0.39)).toEqual([1]);
        expect(inside(0.41)).toEqual([1, 3]);
        expect(inside(0.75)).toEqual([0, 1, 3]);
        expect(inside(1)).toEqual([0, 1, 2, 3, 4]);
    });

    test("gives the tokens outside the fallback's weight", () => {
        const rows = [logs(0.2, 0.2, 0.2, 0.2, 0.2), fallback, logs(0.3, 0.1, 0.3, 0.1, 0.2)];
        const fusion = { weights: Float64Array.of(1, 1, -1), fallback: Float64Array.of(0, 1, 0) };
        // Inside: token 1 with 0.2 * 0.4 / 0.1 = 0.8.
        const fused = fuse(rows, { ...fusion, conservativeTopP: 0.39, controlTokensFallback: false });
        close(probabilities(fused), [0.1 / 1.4, 0.8 / 1.4, 0.1 / 1.4, 0.3 / 1.4, 0.1 / 1.4]);
    });
});

describe("tokens that stand apart", () => {
    // Large is mad about token 1.
    const large = logs(0.02, 0.9, 0.02, 0.03, 0.03);
    const chat = logs(0.1, 0.4, 0.1, 0.3, 0.1);
    const small = logs(0.2, 0.1, 0.2, 0.4, 0.1);
    const fusion = { weights: Float64Array.of(1, 1, -1), fallback: Float64Array.of(0, 1, 0) };
    const { combined, control, added } = TOKEN_KIND;
    const second = (kind: number): number[] => [combined, kind, combined, combined, combined];

    test("have the probability that the fallback gives them; the combination shares out the rest", () => {
        const expected = [0.01, 0, 0.01, 0.0225, 0.03].map((weight) => (0.6 * weight) / 0.0725);
        expected[1] = 0.4;
        const rule = { ...fusion, conservativeTopP: 1, controlTokensFallback: true };
        close(probabilities(fuse([large, chat, small], rule, second(control))), expected);
        close(probabilities(fuse([large, chat, small], rule, second(added))), expected);
    });

    test("are control tokens only if that is asked for, and added ones always", () => {
        const rule = { ...fusion, conservativeTopP: 1, controlTokensFallback: false };
        close(fuse([large, chat, small], rule, second(control)), fuse([large, chat, small], rule));
        expect(probabilities(fuse([large, chat, small], rule, second(added)))[1]).toBeCloseTo(0.4, 12);
    });

    test("leave the conservative filter to the others", () => {
        const rule = { ...fusion, conservativeTopP: 0.45, controlTokensFallback: true };
        // Without token 1, chat's nucleus is token 3 alone: there 0.3 * 0.5 / (4 / 9), elsewhere chat's 1 / 6.
        const total = 0.3375 + 3 / 6;
        const outside = 0.1 / total;
        close(probabilities(fuse([large, chat, small], rule, second(control))), [
            ...[outside, 0.4, outside],
            ...[(0.6 * 0.3375) / total, outside],
        ]);
    });

    test("are impossible without a fallback, or if it lacks them", () => {
        const rows = [logs(0.5, 0.5), logs(0.2, 0.4, 0.4), logs(0.5, 0.5)];
        const kinds = [combined, combined, added];
        close(probabilities(fuse(rows, { weights: fusion.weights, ...noFallback }, kinds)), [1 / 3, 2 / 3, 0]);
        const other = { weights: fusion.weights, fallback: Float64Array.of(1, 0, 0), ...noFallback };
        close(probabilities(fuse(rows, other, kinds)), [1 / 3, 2 / 3, 0]);
    });

    test("share everything where nothing else is possible", () => {
        const rows = [
            [-Infinity, 0],
            [0, -Infinity, 1, 1],
            [0, 0],
        ];
        const kinds = [combined, combined, added, added];
        const rule = { ...fusion, ...noFallback };
        close(probabilities(fuse(rows, rule, kinds)), [0, 0, 0.5, 0.5]);
        const nothing = [
            [-Infinity, 0],
            [0, -Infinity, -Infinity, -Infinity],
            [0, 0],
        ];
        expect(() => fuse(nothing, rule, kinds)).toThrow(expect.objectContaining({ code: "NO_TOKEN_LEFT" }));
    });
});

describe("ranking", () => {
    test("is by probability, then by id, without masked tokens", () => {
        expect(rank([1, 3, -Infinity, 3, 2])).toEqual([1, 3, 4, 0]);
        expect(topLogprobs([1, 3, -Infinity, 3, 2], 2)).toEqual([
            { token: 1, logprob: 3 },
            { token: 3, logprob: 3 },
        ]);
    });

    test("cut off by mass is as short as can be and no shorter", () => {
        const weights = fc.array(fc.double({ min: 1e-6, max: 1, noNaN: true }), { minLength: 1, maxLength: 30 });
        fc.assert(
            fc.property(weights, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (row, topP) => {
                const mass = (ids: readonly number[]): number => ids.reduce((sum, id) => sum + (row[id] as number), 0);
                const ranking = rank(row);
                const kept = nucleus(ranking, (id) => row[id] as number, topP);
                expect(mass(kept)).toBeGreaterThanOrEqual(topP * mass(ranking));
                expect(mass(kept.slice(0, -1))).toBeLessThan(topP * mass(ranking));
            }),
        );
    });
});

describe("penalties and bias", () => {
    const options = { repeatPenalty: 2, frequencyPenalty: 0.5, presencePenalty: 0.25 };

    test("count occurrences and ignore ids that do not exist", () => {
        const bias = new Map([
            [1, 1.5],
            [3, -Infinity],
            [77, 1],
        ]);
        const row = applyPenaltiesAndBias([-1, -2, -3, -4], options, [2, 0, 2, -1, 99], bias);
        close(row.subarray(0, 3), [-2.75, -0.5, -7.25]);
        expect(row[3]).toBe(-Infinity);
    });
});

describe("the shape of a distribution", () => {
    const row = logs(0.1, 0.4, 0.1, 0.3, 0.1);

    test("is the target itself without temperature and filters", () => {
        close(shape(row, target), [0.1, 0.4, 0.1, 0.3, 0.1]);
    });

    test("at temperature 1/2 is made of squares, at 0 of one token", () => {
        close(
            shape(row, { ...target, temperature: 0.5 }),
            [1, 16, 1, 9, 1].map((value) => value / 28),
        );
        close(shape(row, { ...target, temperature: 0 }), [0, 1, 0, 0, 0]);
        close(shape([5, 7, 7], { ...target, temperature: 0 }), [0, 1, 0]);
    });

    test("after filters is renormalised; top-p counts what top-k has left", () => {
        close(shape(row, { ...target, topK: 3 }), [0.125, 0.5, 0, 0.375, 0]);
        close(shape(row, { ...target, topP: 0.55 }), [0, 4 / 7, 0, 3 / 7, 0]);
        close(shape(row, { ...target, topK: 2, topP: 0.55 }), [0, 1, 0, 0, 0]);
        close(shape(row, { ...target, minP: 0.5 }), [0, 4 / 7, 0, 3 / 7, 0]);
    });

    test("needs a token", () => {
        expect(() => shape([-Infinity, -Infinity], target)).toThrow(expect.objectContaining({ code: "NO_TOKEN_LEFT" }));
    });
});

describe("the noise", () => {
    test("is Philox4x32-10, by the known answers of the Random123 distribution", () => {
        expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        const ones = 0xffffffff;
        expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([
            0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
        ]);
        expect(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
            0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
        ]);
    });

    test("uses all bits of seed, position and token", () => {
        const [, , , word] = philox([1, 3, 1, 0], [5, 2]);
        expect(uniformNoise(2 * 2 ** 32 + 5, 2 ** 32 + 3, 7)).toBe((word + 0.5) / 2 ** 32);
    });

    test("of another stream has another number at the end of the counter", () => {
        for (const [stream, number] of [
            ["target", 0],
            ["drafter", 1],
            ["acceptance", 2],
        ] as const) {
            const [, word] = philox([2, 4, 0, number], [3, 0]);
            expect(uniformNoise(3, 4, 9, stream)).toBe((word + 0.5) / 2 ** 32);
        }
        expect(uniformNoise(3, 4, 9)).toBe(uniformNoise(3, 4, 9, "target"));
    });

    test("is between 0 and 1 and uniform", () => {
        const counts = new Array<number>(20).fill(0);
        for (let token = 0; token < 10_000; token++) {
            const cell = Math.floor(20 * uniformNoise(1, 2, token));
            counts[cell] = (counts[cell] ?? NaN) + 1;
        }
        expect(chiSquareTest(counts, new Array<number>(20).fill(1 / 20)).pValue).toBeGreaterThan(P_VALUE);
    });
});

describe("the draw", () => {
    test("has the distribution that it is given", () => {
        const expected = [0.5, 0, 0.3, 0.15, 0.05];
        const counts = [0, 0, 0, 0, 0];
        for (let position = 0; position < 5_000; position++) {
            const token = drawGumbel(expected, 7, position);
            counts[token] = (counts[token] ?? NaN) + 1;
        }
        expect(chiSquareTest(counts, expected).pValue).toBeGreaterThan(P_VALUE);
    });

    test("repeats itself, and differs under another seed", () => {
        const text = (seed: number): number[] =>
            Array.from({ length: 50 }, (_, position) => drawGumbel([1, 1, 1, 1], seed, position));
        expect(text(1)).toEqual(text(1));
        expect(text(1)).not.toEqual(text(2));
    });
});

describe("drafting and verifying", () => {
    const p = [0.5, 0.3, 0.2];
    const q = [0.2, 0.3, 0.5];

    test("accept as often as the formulas say", () => {
        expect(totalVariation(p, q)).toBeCloseTo(0.3, 12);
        expect(acceptanceMaximal(p, q)).toBeCloseTo(0.7, 12);
        // 1 / (1 + 1.5 + 2.5) twice, and 1 / (5/3 + 1 + 5/3)
        expect(acceptanceGumbel(p, q)).toBeCloseTo(0.4 + 3 / 13, 12);
        for (const acceptance of [acceptanceGumbel, acceptanceMaximal]) {
            expect(acceptance(p, p)).toBeCloseTo(1, 12);
            expect(acceptance([1, 0], [0, 1])).toBe(0);
        }
    });

    test("by a common noise are at least as successful as was proved, and no more than is possible", () => {
        const weights = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1, noNaN: true })), {
            minLength: 8,
            maxLength: 8,
        });
        const distribution = weights
            .filter((row) => row.some((weight) => weight > 0))
            .map((row) => row.map((weight) => weight / row.reduce((a, b) => a + b)));
        fc.assert(
            fc.property(distribution, distribution, (one, other) => {
                const distance = totalVariation(one, other);
                expect(acceptanceGumbel(one, other)).toBeGreaterThanOrEqual((1 - distance) / (1 + distance) - DOUBLE);
                expect(acceptanceGumbel(one, other)).toBeLessThanOrEqual(acceptanceMaximal(one, other) + DOUBLE);
            }),
        );
    });

    test("give tokens that have the distribution of the target", () => {
        for (const coupling of ["gumbel", "maximal"] as const) {
            for (const drafter of [q, undefined]) {
                const counts = [0, 0, 0];
                for (let seed = 0; seed < 5_000; seed++) {
                    const drafted = drafter ? draft(drafter, coupling, seed, 3) : 2;
                    const token = verify(p, drafter, drafted, coupling, seed, 3);
                    counts[token] = (counts[token] ?? NaN) + 1;
                }
                expect(chiSquareTest(counts, p).pValue).toBeGreaterThan(P_VALUE);
            }
        }
    });

    test("replace a draft that the target excludes by what the target has more of", () => {
        for (let seed = 0; seed < 200; seed++) {
            expect(verify([0.5, 0.5, 0], [0, 0.5, 0.5], 2, "maximal", seed, 0)).toBe(0);
            expect(verify([0.5, 0.5, 0], [0, 0.5, 0.5], 1, "maximal", seed, 0)).toBe(1);
            expect(verify([1, 0], [1, 1e-30], 1, "maximal", seed, 0)).toBe(0);
        }
    });

    test("are as sure as the most probable token is probable, at temperature 0 too", () => {
        const row = logs(0.1, 0.4, 0.1, 0.3, 0.1);
        expect(confidence(row, target)).toBeCloseTo(0.4, 12);
        expect(confidence(row, { ...target, topK: 2 })).toBeCloseTo(4 / 7, 12);
        expect(confidence(row, { ...target, temperature: 0.5 })).toBeCloseTo(16 / 28, 12);
        expect(confidence(row, { ...target, temperature: 0, topK: 2 })).toBeCloseTo(0.4, 12);
    });
});

describe("the chi-square test itself", () => {
    test("knows a table value, rejects what is wrong, accepts what is right", () => {
        // 3.841 is the 5 % point of one degree of freedom: (x - 50)^2 / 25 = 3.841 for x = 59.8.
        expect(chiSquareTest([59.8, 40.2], [0.5, 0.5]).pValue).toBeCloseTo(0.05, 3);
        expect(chiSquareTest([700, 300], [0.5, 0.5]).pValue).toBeLessThan(P_VALUE);
        expect(chiSquareTest([500, 1], [1, 0]).pValue).toBe(0);
        expect(chiSquareTest([1, 996, 3], [0.001, 0.996, 0.003]).degreesOfFreedom).toBe(0);
    });
});
