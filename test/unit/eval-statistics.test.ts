/** Intervals and p-values of an evaluation, against published numbers, other ways to compute them, and simulation. */

import { describe, expect, it } from "@jest/globals";
import {
    compareMeans,
    drawResamples,
    mcnemarTest,
    meanInterval,
    resample,
    swapTest,
    type ConfidenceInterval,
} from "../../src/eval/statistics.js";
import type { Grade } from "../../src/eval/types.js";
import { uniforms } from "../helpers/statistics.js";

const SEED = 7;

/** So many 1s among so many marks. */
function marks(right: number, items: number): number[] {
    return Array.from({ length: items }, (_, index) => Number(index < right));
}

function resampled(grades: readonly Grade[]): ReturnType<typeof resample> {
    return resample(grades, drawResamples(grades.length, SEED));
}

function intervalOf(grades: readonly Grade[], isProportion = true): ConfidenceInterval {
    return meanInterval(resampled(grades), isProportion);
}

function compare(ours: readonly Grade[], theirs: readonly Grade[]): ReturnType<typeof compareMeans> {
    return compareMeans(resampled(ours), resampled(theirs), SEED);
}

/** The exact share of coin tosses, in integers: P(X <= few) for `tosses` fair coins. */
function fairTail(few: number, tosses: number): number {
    let term = 1n;
    let tail = 1n;
    for (let k = 1n; k <= BigInt(few); k++) {
        term = (term * (BigInt(tosses) - k + 1n)) / k;
        tail += term;
    }
    return Number((tail * 10n ** 30n) / 2n ** BigInt(tosses)) / 1e30;
}

describe("the mean of grades", () => {
    it("weighs each by its weight, and numbers by 1", () => {
        expect(resampled([1, 2, 6]).mean).toBe(3);
        expect(resampled([[1, 3], [5, 1], 2]).mean).toBe((3 + 5 + 2) / 5);
    });

    it("has bootstrap samples with the published standard error", () => {
        // Efron and Tibshirani 1993, table 2.1: survival times of the treated mice, 86.86 +- 23.36 for many samples.
        const { mean, means } = resampled([94, 197, 16, 38, 99, 141, 23]);
        const center = means.reduce((total, value) => total + value, 0) / means.length;
        const error = Math.sqrt(means.reduce((total, value) => total + (value - center) ** 2, 0) / means.length);
        expect(mean).toBeCloseTo(86.86, 2);
        expect(Math.abs(error - 23.36)).toBeLessThan(0.5);
    });
});

describe("the interval of a mean", () => {
    it.each([
        [30, 100],
        [150, 300],
        [290, 300],
        [1900, 2500],
    ])("of %i right ones of %i is that of the binomial distribution", (right, items) => {
        // The bootstrap of marks draws binomial numbers; their quantiles by adding up probabilities.
        const share = right / items;
        const quantile = (level: number): number => {
            let logProbability = items * Math.log(1 - share);
            let below = Math.exp(logProbability);
            let count = 0;
            while (below < level) {
                count++;
                logProbability += Math.log(((items - count + 1) / count) * (share / (1 - share)));
                below += Math.exp(logProbability);
            }
            return count;
        };
        const { low, high } = intervalOf(marks(right, items));
        const items95 = [quantile(0.025), quantile(0.975)];
        // Fewer samples where there are more items: the ends may be off by 3 % of the width, or by an item.
        const allowed = Math.max(1, 0.03 * ((items95[1] as number) - (items95[0] as number)));
        expect(Math.abs(low * items - (items95[0] as number))).toBeLessThan(allowed + 1e-6);
        expect(Math.abs(high * items - (items95[1] as number))).toBeLessThan(allowed + 1e-6);
    });

    it("of weighted grades is close to the normal approximation of a ratio", () => {
        const uniform = uniforms(3);
        const grades = Array.from({ length: 400 }, (): [number, number] => [20 + 30 * uniform(), 5 + 20 * uniform()]);
        const { mean } = resampled(grades);
        const meanWeight = grades.reduce((total, [, weight]) => total + weight, 0) / 400;
        const variance =
            grades.reduce((total, [value, weight]) => total + (weight * (value - mean)) ** 2, 0) / 400 ** 2;
        const reach = (1.96 * Math.sqrt(variance)) / meanWeight;
        const { low, high } = intervalOf(grades, false);
        expect(Math.abs(low - (mean - reach))).toBeLessThan(0.1 * reach);
        expect(Math.abs(high - (mean + reach))).toBeLessThan(0.1 * reach);
    });

    it("holds the true share in about 95 of 100 simulated experiments", () => {
        const uniform = uniforms(11);
        const resamples = drawResamples(80, SEED);
        let covered = 0;
        for (let experiment = 0; experiment < 400; experiment++) {
            const grades = Array.from({ length: 80 }, () => Number(uniform() < 0.3));
            const { low, high } = meanInterval(resample(grades, resamples), true);
            if (low <= 0.3 && 0.3 <= high) covered++;
        }
        // 400 experiments find 95 % as 95 +- 1.1; percentiles are known to cover a little less with few items.
        expect(covered / 400).toBeGreaterThan(0.91);
        expect(covered / 400).toBeLessThan(0.98);
    });

    it.each([1, 5, 300])("is not a point where all of %i items are wrong, or all right", (items) => {
        // Clopper and Pearson: the share that gives none of n with a probability of 2.5 %.
        const { low, high } = intervalOf(marks(0, items));
        expect(low).toBe(0);
        expect((1 - high) ** items).toBeCloseTo(0.025, 10);
        const all = intervalOf(marks(items, items));
        expect(all.high).toBe(1);
        expect(all.low).toBeCloseTo(1 - high, 12);
    });

    it("of a share with weights that is 1 throughout is not a point either", () => {
        const grades = Array.from({ length: 20 }, (_, index): Grade => [1, index + 1]);
        expect(intervalOf(grades)).toEqual(intervalOf(marks(20, 20)));
    });

    it("is a point where other values are all equal, and where the mean is infinite", () => {
        expect(intervalOf([0, 0, 0], false)).toEqual({ low: 0, high: 0 });
        expect(intervalOf([0.5, 0.5])).toEqual({ low: 0.5, high: 0.5 });
        expect(intervalOf([3.5], false)).toEqual({ low: 3.5, high: 3.5 });
        expect(intervalOf([3, Infinity], false)).toEqual({ low: Infinity, high: Infinity });
    });

    it("depends on the seed alone", () => {
        const grades = [0.1, 0.7, 0.2, 0.9, 0.4];
        const run = (seed: number): ConfidenceInterval => meanInterval(resample(grades, drawResamples(5, seed)), true);
        expect(run(1)).toEqual(run(1));
        const countsOf = (seed: number): string => Buffer.from(drawResamples(50, seed).counts).toString("hex");
        expect(countsOf(1) === countsOf(1)).toBe(true);
        expect(countsOf(1) === countsOf(2)).toBe(false);
    });
});

describe("McNemar's test", () => {
    it("gives the p-value of the two-sided binomial test", () => {
        expect(mcnemarTest(10, 2)).toBeCloseTo(0.03857421875, 12);
        expect(mcnemarTest(2, 10)).toBe(mcnemarTest(10, 2));
        expect(mcnemarTest(5, 0)).toBeCloseTo(0.0625, 12);
        expect(mcnemarTest(4, 4)).toBe(1);
        expect(mcnemarTest(0, 0)).toBe(1);
    });

    it.each([
        [59, 6],
        [40, 61],
        [700, 600],
        [1500, 1400],
    ])("is exact for %i against %i", (gained, lost) => {
        const exact = 2 * fairTail(Math.min(gained, lost), gained + lost);
        expect(mcnemarTest(gained, lost) / exact).toBeCloseTo(1, 9);
    });
});

describe("the permutation test", () => {
    it("gives Fisher's p-value for Darwin's maize", () => {
        // The Design of Experiments, 1935, section 21: 863 of 32,768 sums reach 314 eighths of an inch on one side.
        const differences = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48];
        const zeros = differences.map(() => 0);
        expect(swapTest(differences, zeros, SEED)).toBeCloseTo((2 * 863) / 32_768, 12);
    });

    it("swaps weights together with values", () => {
        const ours: Grade[] = [
            [0.9, 3],
            [0.2, 10],
            [0.8, 4],
            [0.7, 7],
            [0.95, 2],
            [0.5, 5],
        ];
        const theirs: Grade[] = [
            [0.5, 6],
            [0.1, 4],
            [0.75, 4],
            [0.3, 9],
            [0.4, 1],
            [0.55, 8],
        ];
        const mean = (grades: readonly Grade[]): number => {
            const pairs = grades as [number, number][];
            const total = pairs.reduce((sum, [, weight]) => sum + weight, 0);
            return pairs.reduce((sum, [value, weight]) => sum + value * weight, 0) / total;
        };
        const distances = Array.from({ length: 64 }, (_, pattern) => {
            const pick = (own: Grade[], other: Grade[]): Grade[] =>
                own.map((grade, item) => ((pattern >> item) & 1 ? (other[item] as Grade) : grade));
            return Math.abs(mean(pick(ours, theirs)) - mean(pick(theirs, ours)));
        });
        const extreme = distances.filter((distance) => distance >= (distances[0] as number) - 1e-12).length;
        expect(swapTest(ours, theirs, SEED)).toBe(extreme / 64);
    });

    it("draws swaps where there are many pairs, and comes to what McNemar's test says of marks", () => {
        const ours = [...marks(60, 60), ...marks(0, 40), ...marks(200, 200)];
        const theirs = ours.map((mark, item) => (item < 100 ? 1 - mark : mark));
        const p = swapTest(ours, theirs, SEED);
        expect(Math.abs(p - mcnemarTest(60, 40))).toBeLessThan(0.01);
        expect(swapTest(ours, theirs, SEED)).toBe(p);
    });

    it("is never certain, and says 1 of equal grades", () => {
        const ours = Array.from({ length: 100 }, (_, item) => 5 + item / 100);
        const theirs = ours.map((value) => value - 3);
        expect(swapTest(ours, theirs, SEED)).toBe(1 / 10_001);
        expect(swapTest(ours, ours, SEED)).toBe(1);
    });
});

describe("a comparison", () => {
    it("pairs the items: what both find difficult does not widen the interval", () => {
        const uniform = uniforms(5);
        const theirs = Array.from({ length: 200 }, () => 10 * uniform());
        const ours = theirs.map((value) => value + 0.5 + 0.2 * uniform());
        const { difference, low, high, p } = compare(ours, theirs);
        expect(difference).toBeCloseTo(0.6, 1);
        expect(high - low).toBeLessThan(0.03);
        expect(low).toBeLessThan(difference);
        expect(high).toBeGreaterThan(difference);
        expect(p).toBeLessThan(0.001);
        const apart = intervalOf(ours, false);
        expect(apart.high - apart.low).toBeGreaterThan(0.5);
    });

    it("of marks uses McNemar's test, and the interval of paired proportions", () => {
        const ours = [...marks(10, 12), ...marks(60, 88)];
        const theirs = [...marks(10, 12).map((mark) => 1 - mark), ...marks(60, 88)];
        const { difference, low, high, p } = compare(ours, theirs);
        expect(difference).toBeCloseTo(0.08, 12);
        expect(p).toBe(mcnemarTest(10, 2));
        // Wald's interval for paired proportions: 0.08 +- 1.96 sqrt(b + c - (b - c)^2 / n) / n.
        const reach = (1.96 * Math.sqrt(12 - 64 / 100)) / 100;
        expect(Math.abs(low - (0.08 - reach))).toBeLessThan(0.011);
        expect(Math.abs(high - (0.08 + reach))).toBeLessThan(0.011);
    });

    it("of marks that never differ, or always, is not a point", () => {
        const unseen = 1 - 0.025 ** (1 / 50);
        expect(compare(marks(50, 50), marks(50, 50))).toEqual({ difference: 0, low: -unseen, high: unseen, p: 1 });
        const all = compare(marks(50, 50), marks(0, 50));
        expect(all).toMatchObject({ difference: 1, high: 1 });
        expect(all.low).toBeCloseTo(1 - 2 * unseen, 12);
    });

    it("says nothing where a mean is infinite", () => {
        expect(compare([Infinity, 2], [1, 2]).p).toBeNaN();
    });
});
