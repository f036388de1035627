// Matrices of random weights in ggml's formats. The same seed gives the same bytes.

/** What tuning changes: standard deviation of the noise on a tuned model, relative to that of the weights. */
const TUNING_NOISE = 0.05;

/** Uniform 32-bit words (Marsaglia, "Xorshift RNGs", 2003), written over `words`. Returns the state to go on with. */
function fillRandom(words, state) {
    let x = state;
    for (let i = 0; i < words.length; i++) {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        words[i] = x;
    }
    return x;
}

/** Bits of a positive, normal IEEE half-precision number. */
function halfBits(value) {
    const exponent = Math.floor(Math.log2(value));
    return ((exponent + 15) << 10) + Math.round((value / 2 ** exponent - 1) * 1024);
}

/** The nibble 0 stands for -8, the other fifteen lie evenly around 0; without it the weights have no bias. */
const EVEN_NIBBLES = Uint8Array.from({ length: 256 }, (_, byte) => {
    const [low, high] = [byte & 15, byte >> 4];
    return (low || 8) | ((high || 8) << 4);
});

/**
 * Quantization formats of ggml: blocks of 32 weights, a half-precision scale and then the integers. `fill` turns random
 * bytes into integers; `deviation` is the standard deviation of those.
 */
export const FORMATS = {
    Q4_0: {
        id: 2,
        fileType: 2,
        blockBytes: 18,
        deviation: Math.sqrt(17.5),
        fill(block) {
            for (let i = 2; i < block.length; i++) block[i] = EVEN_NIBBLES[block[i]];
        },
    },
    Q8_0: {
        id: 8,
        fileType: 7,
        blockBytes: 34,
        deviation: 256 / Math.sqrt(12),
        fill(block, noise) {
            if (noise === undefined) return;
            for (let i = 2; i < block.length; i++) {
                const weight = ((block[i] << 24) >> 24) + TUNING_NOISE * (noise[i] - 127.5);
                block[i] = Math.max(-128, Math.min(127, Math.round(weight)));
            }
        },
    },
};

/** Rows of a matrix as quantized blocks, in chunks of a few megabytes. */
export function* randomBlocks({ format, elements, deviation, seed, noiseSeed }) {
    const scale = halfBits(deviation / format.deviation);
    const blocks = elements / 32;
    const chunkBlocks = 65_536;
    let [state, noiseState] = [seed, noiseSeed];
    for (let from = 0; from < blocks; from += chunkBlocks) {
        const bytes = new Uint8Array(Math.min(chunkBlocks, blocks - from) * format.blockBytes);
        state = fillRandom(new Uint32Array(bytes.buffer, 0, bytes.length >> 2), state);
        let noise;
        if (noiseState !== undefined) {
            noise = new Uint8Array(bytes.length);
            noiseState = fillRandom(new Uint32Array(noise.buffer, 0, noise.length >> 2), noiseState);
        }
        for (let at = 0; at < bytes.length; at += format.blockBytes) {
            const end = at + format.blockBytes;
            format.fill(bytes.subarray(at, end), noise?.subarray(at, end));
            bytes[at] = scale & 255;
            bytes[at + 1] = scale >> 8;
        }
        yield bytes;
    }
}
