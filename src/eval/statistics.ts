/**
 * Means of grades, how sure they are, and whether two systems differ. The items are what is drawn at random: intervals
 * and p-values say what other items of the same kind might have given. Everything is determined by the seed.
 */

import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Comparison, Grade } from "./types.js";

export interface ConfidenceInterval {
    readonly low: number;
    readonly high: number;
}

/** How often each item occurs in each bootstrap sample: for each item, `samples` counts. */
export interface Resamples {
    readonly items: number;
    readonly samples: number;
    readonly counts: Uint8Array;
}

/** Grades, their weighted mean, and the weighted mean of each bootstrap sample of them. */
export interface Resampled {
    readonly grades: readonly Grade[];
    readonly mean: number;
    readonly means: Float64Array;
}

/** Part of the bootstrap samples that lies on either side of an interval of 95 %. */
const TAIL = 0.025;
const MOST_SAMPLES = 10_000;
const FEWEST_SAMPLES = 2_000;
/** Counts that are kept at most, as long as that leaves {@link FEWEST_SAMPLES}. */
const MOST_COUNTS = 1.5e6;
/** Up to this many pairs, a permutation test looks at all 2^pairs ways to swap. */
const EXACT_PAIRS = 16;
const SWAP_SAMPLES = 10_000;

/**
 * Bootstrap samples of so many items: 10,000 for up to 150 items, 5,000 for 300, and never fewer than 2,000. The ends of an
 * interval are then off by 1 to 3 % of its width.
 *
 * Cells with equally many items share them, so that means of two systems on the same items are resampled in pairs.
 */
export function drawResamples(items: number, seed: number): Resamples {
    const samples = Math.max(FEWEST_SAMPLES, Math.min(MOST_SAMPLES, Math.floor(MOST_COUNTS / items)));
    const counts = new Uint8Array(samples * items);
    const generator = xoroshiro128plus(seed);
    for (let sample = 0; sample < samples; sample++) {
        for (let draw = 0; draw < items; draw++) {
            const cell = uniformInt(generator, 0, items - 1) * samples + sample;
            counts[cell] = (counts[cell] as number) + 1;
        }
    }
    return { items, samples, counts };
}

/**
 * The mean of the values, each as heavy as its weight, and those of the bootstrap samples. A mere number weighs 1.
 *
 * @param grades - as many as the resamples have items, at least one
 */
export function resample(grades: readonly Grade[], resamples: Resamples): Resampled {
    const { weights, products } = toColumns(grades);
    const total = sum(weights);
    const sampleProducts = resampledSums(products, resamples);
    const sampleWeights =
        onlyValue(weights) === undefined
            ? resampledSums(weights, resamples)
            : new Float64Array(resamples.samples).fill(total);
    const means = sampleProducts.map((product, sample) => product / (sampleWeights[sample] as number));
    return { grades, mean: sum(products) / total, means };
}

/**
 * 95 % interval of a weighted mean: percentiles of the means of bootstrap samples (Efron and Tibshirani 1993, chapter 13).
 *
 * Where a proportion is 0 or 1 on all items, every bootstrap sample says the same. The interval is then that of
 * Clopper and Pearson (1934). Other values that are all equal give an interval of width 0: nothing is known of their spread.
 *
 * @param isProportion - the values lie between 0 and 1 because they are shares of something
 */
export function meanInterval({ grades, mean, means }: Resampled, isProportion: boolean): ConfidenceInterval {
    const only = onlyValue(grades.map(valueOf));
    if (isProportion && only === 0) return { low: 0, high: unseenProbability(grades.length) };
    if (isProportion && only === 1) return { low: 1 - unseenProbability(grades.length), high: 1 };
    return only === undefined && Number.isFinite(mean) ? percentiles(means) : { low: mean, high: mean };
}

/**
 * How the mean of `ours` differs from that of `theirs`: grades of the same items in the same order, resampled together. A
 * paired bootstrap interval of 95 %, and a two-sided p-value: of McNemar's test where all grades say right or wrong,
 * else of a permutation test. Where a mean is infinite, nothing can be said: `p` is NaN.
 */
export function compareMeans(ours: Resampled, theirs: Resampled, seed: number): Omit<Comparison, "baseline"> {
    const difference = ours.mean - theirs.mean;
    if (!Number.isFinite(difference)) return { difference, low: difference, high: difference, p: NaN };
    const interval = percentiles(ours.means.map((mean, sample) => mean - (theirs.means[sample] as number)));
    if (!ours.grades.every(isMark) || !theirs.grades.every(isMark)) {
        return { difference, ...interval, p: swapTest(ours.grades, theirs.grades, seed) };
    }
    const differences = ours.grades.map((our, item) => our - (theirs.grades[item] as number));
    const gained = differences.filter((value) => value === 1).length;
    const lost = differences.filter((value) => value === -1).length;
    const p = mcnemarTest(gained, lost);
    if (onlyValue(differences) === undefined) return { difference, ...interval, p };
    // As for a single proportion: another outcome may be as probable as what is never seen in so many items.
    const reach = unseenProbability(differences.length) * (1 + Math.abs(difference));
    return { difference, low: Math.max(-1, difference - reach), high: Math.min(1, difference + reach), p };
}

/**
 * Exact McNemar test: two-sided p-value of the hypothesis that items are as often gained as lost.
 *
 * @param gained - items that only one of two systems has right
 * @param lost - items that only the other has right
 */
export function mcnemarTest(gained: number, lost: number): number {
    const discordant = gained + lost;
    // 2^-discordant may be too small for a number; its logarithm is not.
    let logTerm = -discordant * Math.LN2;
    let tail = Math.exp(logTerm);
    for (let k = 1; k <= Math.min(gained, lost); k++) {
        logTerm += Math.log((discordant - k + 1) / k);
        tail += Math.exp(logTerm);
    }
    return Math.min(1, 2 * tail);
}

/**
 * Permutation test of paired grades: two-sided p-value of the hypothesis that, at each item, it does not matter which of
 * the two systems gave which grade. For grades of equal weight, that is the sign-flip test of the differences.
 *
 * Exact for up to 16 pairs that differ, otherwise from 10,000 random swaps (Phipson and Smyth 2010: never below 1/10,001).
 */
export function swapTest(ours: readonly Grade[], theirs: readonly Grade[], seed: number): number {
    const our = toColumns(ours);
    const their = toColumns(theirs);
    const ourProducts = sum(our.products);
    const ourWeights = sum(our.weights);
    const theirProducts = sum(their.products);
    const theirWeights = sum(their.weights);
    const statistic = (products: number, weights: number): number =>
        Math.abs(
            (ourProducts + products) / (ourWeights + weights) - (theirProducts - products) / (theirWeights - weights),
        );
    // Sums in another order differ in their last bits.
    const observed = statistic(0, 0) * (1 - 1e-9);

    const productGains = their.products.map((product, item) => product - (our.products[item] as number));
    const weightGains = their.weights.map((weight, item) => weight - (our.weights[item] as number));
    const differs = (_: number, item: number): boolean => productGains[item] !== 0 || weightGains[item] !== 0;
    const pairs = productGains.filter(differs).length;
    const products = subsetSums(productGains.filter(differs));
    const weights = subsetSums(weightGains.filter(differs));

    const isExact = pairs <= EXACT_PAIRS;
    const trials = isExact ? 2 ** pairs : SWAP_SAMPLES;
    const generator = xoroshiro128plus(seed);
    let asExtreme = 0;
    for (let trial = 0; trial < trials; trial++) {
        let bits = 0;
        let swappedProducts = 0;
        let swappedWeights = 0;
        for (let byte = 0; byte < pairs / 8; byte++) {
            if (byte % 4 === 0) bits = isExact ? trial : generator.next();
            const subset = 256 * byte + (bits & 255);
            bits >>>= 8;
            swappedProducts += products[subset] as number;
            swappedWeights += weights[subset] as number;
        }
        if (statistic(swappedProducts, swappedWeights) >= observed) asExtreme++;
    }
    return isExact ? asExtreme / trials : (asExtreme + 1) / (trials + 1);
}

/** For each eight neighbouring values, the sums of all their subsets: a random byte chooses one by a single look-up. */
function subsetSums(values: Float64Array): Float64Array {
    const sums = new Float64Array(256 * Math.ceil(values.length / 8));
    for (let index = 0; index < sums.length; index++) {
        const subset = index % 256;
        if (subset === 0) continue;
        const lowest = subset & -subset;
        const value = values[8 * Math.floor(index / 256) + Math.log2(lowest)] ?? 0;
        sums[index] = (sums[index - lowest] as number) + value;
    }
    return sums;
}

function resampledSums(values: Float64Array, { samples, counts }: Resamples): Float64Array {
    const sums = new Float64Array(samples);
    for (const [item, value] of values.entries()) {
        // Wrong answers, and those on which two systems agree, are many.
        if (value === 0) continue;
        const start = item * samples;
        for (let sample = 0; sample < samples; sample++) {
            sums[sample] = (sums[sample] as number) + value * (counts[start + sample] as number);
        }
    }
    return sums;
}

function percentiles(values: Float64Array): ConfidenceInterval {
    const sorted = values.toSorted();
    const outside = Math.floor(TAIL * sorted.length);
    return { low: sorted[outside] as number, high: sorted[sorted.length - 1 - outside] as number };
}

/** The largest probability of an outcome that is missed by so many items with a probability of 2.5 %. */
function unseenProbability(items: number): number {
    return 1 - TAIL ** (1 / items);
}

/** Values times their weights, and the weights. */
function toColumns(grades: readonly Grade[]): { readonly products: Float64Array; readonly weights: Float64Array } {
    const weights = Float64Array.from(grades, (grade) => (typeof grade === "number" ? 1 : grade[1]));
    const products = Float64Array.from(grades, (grade, item) => valueOf(grade) * (weights[item] as number));
    return { products, weights };
}

function valueOf(grade: Grade): number {
    return typeof grade === "number" ? grade : grade[0];
}

/** Whether a grade says right or wrong and nothing else. */
function isMark(grade: Grade): grade is 0 | 1 {
    return grade === 0 || grade === 1;
}

/** The value that all share, if they do. */
function onlyValue(values: readonly number[] | Float64Array): number | undefined {
    const [first] = values;
    return values.every((value) => value === first) ? first : undefined;
}

function sum(values: Float64Array): number {
    return values.reduce((total, value) => total + value, 0);
}
