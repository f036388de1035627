/** The native draw: the same tokens as the reference, and the distribution that it promises. */

import { expect, test } from "@jest/globals";
import { drawGumbel, normalize, shape } from "../helpers/reference.js";
import type { NativeDraw } from "../../src/native/binding.js";
import { describeRows, loadRows, probabilities, UNSHAPED } from "../helpers/rows.js";
import { chiSquareTest, normalRow, uniforms } from "../helpers/statistics.js";
import { DEVIATIONS, P_VALUE } from "../helpers/tolerances.js";

const native = loadRows();

const logprobs = (seed: number, length: number, deviation: number): Float32Array =>
    Float32Array.from(normalize(normalRow(seed, length, deviation)));

/** How often each token is drawn at positions 0 .. draws - 1. */
function countDraws(row: Float32Array, options: NativeDraw, draws: number): Uint32Array {
    const counts = new Uint32Array(row.length);
    for (let position = 0; position < draws; position++) {
        const token = native.sampleRow(row, { ...options, position });
        counts[token] = (counts[token] ?? NaN) + 1;
    }
    return counts;
}

/** Options of all kinds, drawn by `uniform`. */
function randomOptions(uniform: () => number, length: number): NativeDraw {
    const pick = <T>(...values: T[]): T => values[Math.floor(uniform() * values.length)] as T;
    const token = (): number => Math.floor(uniform() * length);
    const tokens = (): Int32Array => Int32Array.from({ length: pick(0, 0, 1, 5) }, token);
    const biasTokens = Int32Array.from(new Set(tokens()));
    return {
        ...UNSHAPED,
        temperature: pick(0, 0.001, 0.3, 0.7, 1, 1, 1, 1.5, 100),
        topK: pick(0, 0, 1, 5, 40, 10_000),
        topP: pick(1, 1, 0.1234, 0.51234, 0.951234, 0.9991234),
        minP: pick(0, 0, 0.051234, 0.31234),
        repeatPenalty: pick(1, 1.3),
        frequencyPenalty: pick(0, 0.7, -0.3),
        presencePenalty: pick(0, 1.1),
        history: tokens(),
        biasTokens,
        biasValues: Float32Array.from(biasTokens, () => pick(-100, -1.5, 2, 5)),
        seed: Math.floor(uniform() * 2 ** 53),
        position: Math.floor(uniform() * pick(10, 2 ** 53)),
    };
}

describeRows("the native draw equals the reference", () => {
    test("on thousands of rows with all kinds of options", () => {
        const uniform = uniforms(1);
        const differences: NativeDraw[] = [];
        for (let run = 0; run < 4_000; run++) {
            const length = 2 + Math.floor(uniform() ** 4 * 600);
            const row = logprobs(run, length, 0.3 + 5 * uniform());
            const options = randomOptions(uniform, length);
            const expected = drawGumbel(probabilities(row, options), options.seed, options.position);
            if (native.sampleRow(row, options) !== expected) differences.push(options);
        }
        expect(differences).toEqual([]);
    });

    test.each([
        [32_000, { temperature: 2 }],
        [128_256, { temperature: 2, topP: 0.951234 }],
        [200_000, {}],
    ])("on %i tokens", (length, changes) => {
        const row = logprobs(length, length, 3);
        const options = { ...UNSHAPED, ...changes, seed: 11, position: 5 };
        expect(native.sampleRow(row, options)).toBe(drawGumbel(probabilities(row, options), 11, 5));
    });
});

describeRows("many draws have the distribution of the target", () => {
    const row = logprobs(3, 60, 1.5);
    const draws = 60_000;

    test.each<[string, Partial<NativeDraw>]>([
        ["as it is", {}],
        ["at temperature 0.3", { temperature: 0.3 }],
        ["at temperature 0.8", { temperature: 0.8 }],
        ["at temperature 3", { temperature: 3 }],
        ["at temperature 100", { temperature: 100 }],
        ["with top-k", { topK: 7 }],
        ["with top-p", { topP: 0.8 }],
        ["with min-p", { minP: 0.1 }],
        ["with all filters at temperature 1.4", { temperature: 1.4, topK: 30, topP: 0.9, minP: 0.03 }],
        ["with penalties", { repeatPenalty: 1.2, frequencyPenalty: 0.5, history: Int32Array.of(1, 1, 2, 50) }],
        ["with bias", { biasTokens: Int32Array.of(0, 7), biasValues: Float32Array.of(-Infinity, 2) }],
    ])("%s", (_, changes) => {
        const options = { ...UNSHAPED, seed: 12345, ...changes };
        const { pValue } = chiSquareTest(countDraws(row, options, draws), probabilities(row, options));
        expect(pValue).toBeGreaterThan(P_VALUE);
    });

    test("over seeds at one position as well", () => {
        const counts = new Uint32Array(row.length);
        for (let seed = 0; seed < draws; seed++) {
            const token = native.sampleRow(row, { ...UNSHAPED, seed });
            counts[token] = (counts[token] ?? NaN) + 1;
        }
        expect(chiSquareTest(counts, probabilities(row, UNSHAPED)).pValue).toBeGreaterThan(P_VALUE);
    });

    test("over a large vocabulary", () => {
        const wide = logprobs(4, 5_000, 4);
        const counts = countDraws(wide, UNSHAPED, 20_000);
        expect(chiSquareTest(counts, probabilities(wide, UNSHAPED)).pValue).toBeGreaterThan(P_VALUE);
    });

    test("at neighbouring positions independently", () => {
        const three = Float32Array.from([0.5, 0.3, 0.2], Math.log);
        const pairs = new Uint32Array(9);
        for (let position = 0; position < 40_000; position += 2) {
            const first = native.sampleRow(three, { ...UNSHAPED, position });
            const second = native.sampleRow(three, { ...UNSHAPED, position: position + 1 });
            pairs[3 * first + second] = (pairs[3 * first + second] ?? NaN) + 1;
        }
        const p = probabilities(three, UNSHAPED);
        const expected = Array.from(p).flatMap((a) => Array.from(p, (b) => a * b));
        expect(chiSquareTest(pairs, expected).pValue).toBeGreaterThan(P_VALUE);
    });
});

describeRows("the native draw", () => {
    const row = logprobs(5, 1_000, 1);
    const text = (seed: number): number[] =>
        Array.from({ length: 100 }, (_, position) => native.sampleRow(row, { ...UNSHAPED, seed, position }));

    test("repeats itself under the same seed and differs under another", () => {
        expect(text(1)).toEqual(text(1));
        expect(text(2)).not.toEqual(text(1));
        expect(text(2 ** 52)).not.toEqual(text(0)); // the high bits of the seed count
    });

    test("leaves the row as it was", () => {
        const before = row.slice();
        native.sampleRow(row, { ...UNSHAPED, biasTokens: Int32Array.of(3), biasValues: Float32Array.of(50) });
        expect(row).toEqual(before);
    });

    test("at temperature 0 is the most probable token, ties to the lowest id", () => {
        const tied = Float32Array.of(-3, -1, -2, -1);
        for (let seed = 0; seed < 20; seed++) {
            expect(native.sampleRow(tied, { ...UNSHAPED, temperature: 0, seed })).toBe(1);
        }
    });

    test("couples two distributions: they agree at least as often as (1 - TV) / (1 + TV)", () => {
        const draws = 20_000;
        for (const deviation of [0.2, 0.5, 1]) {
            const other = Float32Array.from(
                normalize(normalRow(6, row.length, deviation).map((noise, i) => noise + (row[i] ?? NaN))),
            );
            const [p, q] = [shape(row, UNSHAPED), shape(other, UNSHAPED)];
            const distance = p.reduce((sum, value, i) => sum + Math.abs(value - (q[i] ?? NaN)) / 2, 0);
            let agreed = 0;
            for (let position = 0; position < draws; position++) {
                const options = { ...UNSHAPED, position };
                if (native.sampleRow(row, options) === native.sampleRow(other, options)) agreed++;
            }
            const bound = (1 - distance) / (1 + distance);
            const deviationOfRate = Math.sqrt((bound * (1 - bound)) / draws);
            expect(agreed / draws).toBeGreaterThan(bound - DEVIATIONS * deviationOfRate);
            expect(agreed / draws).toBeLessThan(1 - distance + DEVIATIONS * deviationOfRate); // no coupling does better
        }
    });

    test("needs a token, and numbers", () => {
        const noToken = expect.objectContaining({ code: "NO_TOKEN_LEFT" });
        expect(() => native.sampleRow(new Float32Array(4).fill(-Infinity), UNSHAPED)).toThrow(noToken);
        const forbidden = { biasTokens: Int32Array.of(0, 1), biasValues: new Float32Array(2).fill(-Infinity) };
        expect(() => native.sampleRow(Float32Array.of(-1, -1), { ...UNSHAPED, ...forbidden })).toThrow(noToken);
        expect(() => native.sampleRow(Float32Array.of(-1, NaN), UNSHAPED)).toThrow(
            expect.objectContaining({ code: "NON_FINITE_LOGITS" }),
        );
    });
});
