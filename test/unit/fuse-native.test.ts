/** The native combination against the float64 reference. */

import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { fuse } from "../helpers/reference.js";
import { describeRows, loadRows } from "../helpers/rows.js";
import { EftError } from "../../src/errors.js";
import { TOKEN_KIND, type NativeFusion } from "../../src/native/binding.js";
import { normalRow } from "../helpers/statistics.js";
import { logprobTolerance } from "../helpers/tolerances.js";

const native = loadRows();
/** Fixed, so that a run can be repeated. */
const SEED = 2310_12962;
const UP_SCALING = Float64Array.of(1, 1, -1);

const plain = (weights: ArrayLike<number>): NativeFusion => ({
    weights: Float64Array.from(weights),
    conservativeTopP: 1,
    controlTokensFallback: false,
});

/** Both results or both error codes. */
function outcome(body: () => ArrayLike<number>): ArrayLike<number> | string {
    try {
        return body();
    } catch (error) {
        return EftError.isInstance(error) ? error.code : (error as { code: string }).code;
    }
}

/** Ties to the lowest id. */
const argmax = (row: ArrayLike<number>): number =>
    Array.from(row).reduce((best, value, token) => (value > (row[best] as number) ? token : best), 0);

/** Log-probabilities within the tolerance, and the same argmax up to ties within it. */
function expectSame(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
    expect(actual).toHaveLength(expected.length);
    const tolerance = (token: number): number => logprobTolerance(expected[token] as number);
    const wrong: { token: number; actual: number; expected: number }[] = [];
    for (let token = 0; token < expected.length; token++) {
        const [a, e] = [actual[token] as number, expected[token] as number];
        // Infinities must be equal; their difference is not a number.
        if (a !== e && !(Math.abs(a - e) <= tolerance(token))) wrong.push({ token, actual: a, expected: e });
    }
    expect(wrong).toEqual([]);
    const [token, nativeToken] = [argmax(expected), argmax(actual)];
    const loss = (expected[token] as number) - (expected[nativeToken] as number);
    expect(loss).toBeLessThanOrEqual(tolerance(token) + tolerance(nativeToken));
}

/** Holds the native outcome against that of the reference, which may be given other rows that should fuse to the same. */
function check(
    rows: readonly (Float32Array | undefined)[],
    fusion: NativeFusion,
    kinds?: Uint8Array,
    reference: { rows: readonly (Float32Array | undefined)[]; fusion: NativeFusion } = { rows, fusion },
): void {
    const expected = outcome(() => fuse(reference.rows, reference.fusion, kinds));
    const actual = outcome(() => native.combineRows(rows, fusion, kinds));
    if (typeof expected === "string" || typeof actual === "string") expect(actual).toBe(expected);
    else expectSame(actual, expected);
}

// ------------------------------------------------------------------------------------------------------ arbitraries

/**
 * Multiples of 1/64. Unequal logits stay unequal in float32, equal ones stay ties: then float32 and float64 agree about
 * which tokens belong to a top-p set, and shifts by whole numbers are exact.
 */
const logit = fc.integer({ min: -20 * 64, max: 20 * 64 }).map((value) => value / 64);
const logitOrMask = fc.oneof({ weight: 9, arbitrary: logit }, { weight: 1, arbitrary: fc.constant(-Infinity) });
const weight = fc.double({ min: -3, max: 3, noNaN: true });
/** Not a round number: where a mass is met exactly, the last bit would decide. */
const topP = fc.double({ min: 0, max: 1, noNaN: true }).map((value) => 0.012345 + 0.97 * value);

function rowsOf(entry: fc.Arbitrary<number>, members: number): fc.Arbitrary<Float32Array[]> {
    return fc.integer({ min: 2, max: 300 }).chain((length) =>
        fc.array(
            fc.array(entry, { minLength: length, maxLength: length }).map((row) => Float32Array.from(row)),
            { minLength: members, maxLength: members },
        ),
    );
}

const weights = (members: number): fc.Arbitrary<number[]> =>
    fc.array(weight, { minLength: members, maxLength: members });

/** Large vocabularies: fast-check picks the seed, not every logit. Again multiples of 1/64. */
const largeRows = fc
    .record({ seed: fc.nat(), length: fc.integer({ min: 2, max: 200_000 }), deviation: fc.constantFrom(0.5, 3, 8) })
    .map(({ seed, length, deviation }) =>
        [0, 1, 2].map((member) =>
            normalRow(seed + member, length, deviation).map((value) => Math.round(64 * value) / 64),
        ),
    );

describeRows("the native combination equals the reference", () => {
    test("for three members and any weights", () => {
        fc.assert(
            fc.property(rowsOf(logitOrMask, 3), weights(3), (rows, w) => {
                check(rows, plain(w));
            }),
            { seed: SEED, numRuns: 500 },
        );
    });

    test("for vocabularies of 2 to 200,000 tokens, of any length", () => {
        fc.assert(
            fc.property(largeRows, topP, (rows, conservativeTopP) => {
                check(rows, plain(UP_SCALING));
                check(rows, { ...plain(UP_SCALING), fallback: Float64Array.of(0, 1, 0), conservativeTopP });
            }),
            { seed: SEED, numRuns: 8 },
        );
    });

    test.each([2, 3, 15, 16, 17, 127, 128, 129, 1023, 1025, 2047, 2049, 32_000, 128_256, 200_000])(
        "for %i tokens",
        (length) => {
            check([normalRow(1, length, 3), normalRow(2, length, 5), normalRow(3, length, 2)], plain(UP_SCALING));
        },
    );

    test("with the conservative filter, control tokens and added tokens", () => {
        const anyKind = fc.uint8Array({ minLength: 300, maxLength: 300, max: TOKEN_KIND.added });
        fc.assert(
            fc.property(
                rowsOf(logitOrMask, 3),
                weights(3),
                fc.constantFrom(undefined, [0, 1, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 0, 2]),
                fc.oneof(topP, fc.constant(1)),
                fc.boolean(),
                anyKind,
                (rows, w, fallback, conservativeTopP, controlTokensFallback, kinds) => {
                    const fusion = {
                        weights: Float64Array.from(w),
                        ...(fallback && { fallback: Float64Array.from(fallback) }),
                        ...{ conservativeTopP, controlTokensFallback },
                    };
                    check(rows, fusion, kinds.subarray(0, rows[0]?.length));
                    check(rows, fusion);
                },
            ),
            { seed: SEED, numRuns: 1000 },
        );
    });

    test("for members that end at different ids", () => {
        const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 3, maxLength: 3 });
        const logits = fc.array(logitOrMask, { minLength: 180, maxLength: 180 });
        fc.assert(
            fc.property(
                sizes,
                logits,
                weights(3),
                fc.constantFrom(undefined, [0, 1, 0], [0, 0.5, 0.5]),
                fc.constantFrom(0.6, 1),
                (lengths, values, w, fallback, conservativeTopP) => {
                    const rows = lengths.map((length, m) => Float64Array.from(values.slice(60 * m, 60 * m + length)));
                    const [shortest, longest] = [Math.min(...lengths), Math.max(...lengths)];
                    const kinds = Uint8Array.from({ length: longest }, (_, id) =>
                        id < shortest ? TOKEN_KIND.combined : TOKEN_KIND.added,
                    );
                    const fusion = {
                        ...plain(w),
                        ...(fallback && { fallback: Float64Array.from(fallback) }),
                        conservativeTopP,
                    };
                    check(
                        rows.map((row) => Float32Array.from(row)),
                        fusion,
                        kinds,
                    );
                },
            ),
            { seed: SEED, numRuns: 500 },
        );
    });

    test("for weights of any size that a recipe may have", () => {
        const large = fc.array(fc.oneof(weight, fc.constantFrom(1e6, -1e6, 1e5, -99_999.5, 1e-6)), {
            minLength: 3,
            maxLength: 3,
        });
        fc.assert(
            fc.property(rowsOf(logitOrMask, 3), large, fc.boolean(), (rows, w, hasFallback) => {
                check(rows, { ...plain(w), ...(hasFallback && { fallback: Float64Array.of(0, 1, 0) }) });
            }),
            { seed: SEED, numRuns: 500 },
        );
    });

    test("for logits near the ends of float32", () => {
        check([Float32Array.of(1e38, 1, -1e38), Float32Array.of(0, 5, 9)], plain([1, 1]));
        check([Float32Array.of(1e-45, 0, -1e-45, 1e-38)], plain([1]));
        check([Float32Array.of(88, -88, -104, 0)], plain([1]));
        const most = 3.4028234663852886e38;
        const extremes = [-most, -1e38, -1, 0, 1, 1e38, most];
        const extreme = fc.array(fc.constantFrom(...extremes), { minLength: 4, maxLength: 4 });
        fc.assert(
            fc.property(
                fc.array(extreme, { minLength: 2, maxLength: 2 }),
                fc.constantFrom(1, -1, 1e6, -1e6),
                fc.constantFrom(undefined, 1, 0.7),
                (values, w, conservativeTopP) => {
                    const fusion = {
                        ...plain([1, w]),
                        ...(conservativeTopP && { fallback: Float64Array.of(1, 0), conservativeTopP }),
                    };
                    const row = native.combineRows(
                        values.map((value) => Float32Array.from(value)),
                        fusion,
                    );
                    // Where float32 ends, differences are lost, but never the distribution.
                    expect(row.every((logprob) => logprob <= 1e-6 && logprob >= -most)).toBe(true);
                    expect(Math.abs(row.reduce((sum, logprob) => sum + Math.exp(logprob), 0) - 1)).toBeLessThan(1e-5);
                },
            ),
            { seed: SEED, numRuns: 500 },
        );
    });
});

describeRows("the native combination", () => {
    test("does not change when a constant is added to a member's logits", () => {
        const shifts = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 3, maxLength: 3 });
        fc.assert(
            fc.property(rowsOf(logit, 3), shifts, weights(3), (rows, shift, w) => {
                const shifted = rows.map((row, member) => row.map((value) => value + (shift[member] ?? NaN)));
                check(shifted, plain(w), undefined, { rows, fusion: plain(w) });
            }),
            { seed: SEED },
        );
    });

    test("does not depend on the order of the members", () => {
        fc.assert(
            fc.property(rowsOf(logitOrMask, 3), weights(3), (rows, w) => {
                const order = [2, 0, 1];
                const moved = order.map((member) => rows[member]);
                const fusion = plain(order.map((member) => w[member] ?? NaN));
                check(moved, fusion, undefined, { rows, fusion: plain(w) });
            }),
            { seed: SEED },
        );
    });

    test("of one member alone is its own distribution", () => {
        fc.assert(
            fc.property(rowsOf(logit, 2), ([row, other]) => {
                check([row, other], plain([1, 0]), undefined, { rows: [row], fusion: plain([1]) });
            }),
            { seed: SEED },
        );
    });

    test("does not read a member of weight 0, however broken", () => {
        const row = Float32Array.of(0.5, 0.25, 0.125);
        const alone = native.combineRows([row], plain([1]));
        for (const other of [undefined, Float32Array.of(NaN, Infinity, NaN), new Float32Array(3).fill(-Infinity)]) {
            expect(native.combineRows([row, other], plain([1, 0]))).toEqual(alone);
            expect(native.combineRows([other, row], plain([0, 1]))).toEqual(alone);
        }
    });

    test("reads a member that only the fallback form uses", () => {
        const rows = [Float32Array.of(1, 2, 3), Float32Array.of(NaN, 0, 0)];
        const fusion = { ...plain([1, 0]), fallback: Float64Array.of(0, 1), conservativeTopP: 0.9 };
        expect(() => native.combineRows(rows, fusion)).toThrow(expect.objectContaining({ code: "NON_FINITE_LOGITS" }));
    });

    test("names the member whose logits are not numbers, wherever they are", () => {
        for (const length of [2, 17, 2049]) {
            for (const broken of [NaN, Infinity]) {
                for (const place of [0, length >> 1, length - 1]) {
                    const rows = [new Float32Array(length), new Float32Array(length)];
                    rows[1]?.fill(broken, place, place + 1);
                    expect(() => native.combineRows(rows, plain([1, -1]))).toThrow(
                        expect.objectContaining({ code: "NON_FINITE_LOGITS", message: expect.stringMatching(/\b1\b/) }),
                    );
                }
            }
        }
    });

    test("that is not a number although all logits are is nobody's fault", () => {
        const huge = Float32Array.of(3e38, -3e38, 0);
        expect(() => native.combineRows([huge, huge], plain([1e300, -1e300]))).toThrow(
            expect.objectContaining({ code: "NON_FINITE_LOGITS", message: expect.stringMatching(/^The combination/) }),
        );
    });

    test("of members that mask everything leaves no token", () => {
        const noToken = expect.objectContaining({ code: "NO_TOKEN_LEFT" });
        const [left, right] = [Float32Array.of(0, -Infinity), Float32Array.of(-Infinity, 0)];
        expect(() => native.combineRows([left, right], plain([1, 1]))).toThrow(noToken);
        expect(() => native.combineRows([new Float32Array(5).fill(-Infinity)], plain([1]))).toThrow(noToken);
    });

    test("stops at the shortest row: ids beyond the common vocabulary are not in it", () => {
        const [long, short] = [Float32Array.of(1, 2, 3, 99), Float32Array.of(0, 0, 1)];
        const fusion = plain([1, 1]);
        check([long, short], fusion, undefined, { rows: [long.subarray(0, 3), short], fusion });
    });
});
