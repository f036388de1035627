/**
 * The noise that tokens are drawn with, as native code makes it (native/math/sample). Any place of it can be computed directly, so
 * checks outside of the engine can say which token was to be drawn.
 */

/** Four 32-bit words. */
export type PhiloxBlock = readonly [number, number, number, number];

/**
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a random generator
 * without a state. Ten rounds of multiplication scramble a counter under a key so well that consecutive counters give
 * independent random words; any place of the random sequence can be computed directly.
 *
 * @param counter - four 32-bit words
 * @param key - two 32-bit words
 */
export function philox(counter: PhiloxBlock, key: readonly [number, number]): PhiloxBlock {
    let [c0, c1, c2, c3] = counter;
    let [k0, k1] = key;
    for (let round = 0; round < 10; round++) {
        const [high0, low0] = multiply(c0, 0xd2511f53);
        const [high1, low1] = multiply(c2, 0xcd9e8d57);
        [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
        k0 = (k0 + 0x9e3779b9) >>> 0;
        k1 = (k1 + 0xbb67ae85) >>> 0;
    }
    return [c0, c1, c2, c3];
}

/** Upper and lower half of the 64-bit product of two 32-bit words; no step exceeds the 53 bits of a number. */
function multiply(a: number, b: number): [high: number, low: number] {
    const carry = Math.floor((a * (b & 0xffff)) / 2 ** 16);
    return [Math.floor((a * (b >>> 16) + carry) / 2 ** 16), Math.imul(a, b) >>> 0];
}

/**
 * What noise is for: draws from the target and those that are coupled to them, the drafter's own draws, the acceptance
 * of drafts. Streams are independent of each other.
 */
export type NoiseStream = "target" | "drafter" | "acceptance";

const STREAM_NUMBERS: Readonly<Record<NoiseStream, number>> = { target: 0, drafter: 1, acceptance: 2 };

/**
 * A uniform number in (0, 1) that depends on the arguments and on nothing else.
 *
 * @param seed - 0 .. 2^53 - 1
 * @param position - index of the token in the generated text
 * @param token - token id
 */
export function uniformNoise(seed: number, position: number, token: number, stream: NoiseStream = "target"): number {
    const low = (value: number): number => value >>> 0;
    const high = (value: number): number => Math.floor(value / 2 ** 32);
    // One block of four words serves four neighbouring tokens.
    const counter = [token >>> 2, low(position), high(position), STREAM_NUMBERS[stream]] as const;
    const block = philox(counter, [low(seed), high(seed)]);
    return ((block[token & 3] as number) + 0.5) / 2 ** 32;
}
