/** Random rows that a seed fixes, and the chi-square test of draws against a distribution. */

import jStat from "jstat";

/** Independent uniform numbers in [0, 1): mulberry32, a generator of 32 bits of state that needs no import. */
export function uniforms(seed: number): () => number {
    let state = seed;
    return () => {
        state = (state + 0x6d2b79f5) | 0;
        let t = Math.imul(state ^ (state >>> 15), state | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
}

/** Normally distributed logits (Box and Muller), as float32. */
export function normalRow(seed: number, length: number, deviation: number): Float32Array {
    const uniform = uniforms(seed);
    return Float32Array.from({ length }, () => {
        const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
        return deviation * radius * Math.cos(2 * Math.PI * uniform());
    });
}

export interface ChiSquareTest {
    readonly statistic: number;
    readonly degreesOfFreedom: number;
    /** Probability that draws from the expected distribution miss it at least as much. */
    readonly pValue: number;
}

/**
 * Pearson's test of how often each outcome was seen against how probable it is.
 *
 * Outcomes that are expected fewer than five times are taken together, as the approximation asks for. An outcome that
 * was seen although its probability is 0 makes the p-value 0.
 *
 * @param probabilities - sum to 1
 */
export function chiSquareTest(counts: ArrayLike<number>, probabilities: ArrayLike<number>): ChiSquareTest {
    const cells = Array.from(counts, (count, i) => ({ count, probability: probabilities[i] as number }));
    const draws = cells.reduce((sum, { count }) => sum + count, 0);
    if (cells.some(({ count, probability }) => count > 0 && probability === 0)) {
        return { statistic: Infinity, degreesOfFreedom: cells.length - 1, pValue: 0 };
    }
    const isRare = ({ probability }: { probability: number }): boolean => draws * probability < 5;
    const rest = cells
        .filter(isRare)
        .reduce(
            (sum, { count, probability }) => ({ count: sum.count + count, probability: sum.probability + probability }),
            { count: 0, probability: 0 },
        );
    const pooled = cells.filter((cell) => !isRare(cell));
    // A pool that is still too small joins a common outcome.
    const [first] = pooled;
    if (rest.probability > 0 && isRare(rest) && first !== undefined) {
        pooled[0] = { count: first.count + rest.count, probability: first.probability + rest.probability };
    } else if (rest.probability > 0) {
        pooled.push(rest);
    }
    const statistic = pooled.reduce(
        (sum, { count, probability }) => sum + (count - draws * probability) ** 2 / (draws * probability),
        0,
    );
    const degreesOfFreedom = pooled.length - 1;
    const pValue = degreesOfFreedom === 0 ? 1 : 1 - jStat.chisquare.cdf(statistic, degreesOfFreedom);
    return { statistic, degreesOfFreedom, pValue };
}
