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
 * ggml's formats. `encode` turns random bytes, in blocks of 32 weights, into weights of a standard deviation; `noise`: as many
 * random bytes, of what tuning changes.
 */
export const FORMATS = {
    F16: {
        id: 1,
        fileType: 1,
        blockBytes: 64,
        encode(bytes, deviation) {
            const table = uniformHalves(deviation);
            const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);
            for (let i = 0; i < halves.length; i++) halves[i] = table[halves[i]];
        },
    },
    Q4_0: createQuantized({
        id: 2,
        fileType: 2,
        blockBytes: 18,
        deviation: Math.sqrt(17.5),
        fill(block) {
            for (let i = 2; i < block.length; i++) block[i] = EVEN_NIBBLES[block[i]];
        },
    }),
    Q8_0: createQuantized({
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
    }),
};

/** Blocks of a half-precision scale and integers. `fill` makes these of random bytes; `deviation` is theirs. */
function createQuantized({ fill, deviation: unit, ...format }) {
    return {
        ...format,
        encode(bytes, deviation, noise) {
            const scale = halfBits(deviation / unit);
            for (let at = 0; at < bytes.length; at += format.blockBytes) {
                const end = at + format.blockBytes;
                fill(bytes.subarray(at, end), noise?.subarray(at, end));
                bytes[at] = scale & 255;
                bytes[at + 1] = scale >> 8;
            }
        },
    };
}

/** From 16 uniform bits to a half-precision number, uniform too; none is so small that it would not be normal. */
function uniformHalves(deviation) {
    return Uint16Array.from({ length: 2 ** 16 }, (_, bits) => {
        const value = ((bits - 32767.5) / 32768) * Math.sqrt(3) * deviation;
        return (value < 0 ? 0x8000 : 0) | halfBits(Math.max(Math.abs(value), 2 ** -14));
    });
}

const CHUNK_BLOCKS = 65_536;

/** Rows of a matrix in blocks, in chunks of a few megabytes. */
export function* randomBlocks({ format, elements, deviation, seed, noiseSeed }) {
    const blocks = elements / 32;
    let [state, noiseState] = [seed, noiseSeed];
    for (let from = 0; from < blocks; from += CHUNK_BLOCKS) {
        const bytes = new Uint8Array(Math.min(CHUNK_BLOCKS, blocks - from) * format.blockBytes);
        state = fillRandom(new Uint32Array(bytes.buffer, 0, bytes.length >> 2), state);
        let noise;
        if (noiseState !== undefined) {
            noise = new Uint8Array(bytes.length);
            noiseState = fillRandom(new Uint32Array(noise.buffer, 0, noise.length >> 2), noiseState);
        }
        format.encode(bytes, deviation, noise);
        yield bytes;
    }
}

/** An odd number, so that rows of the same matrix begin at other places of the pool and differ. */
const POOL_BLOCKS = 4 * CHUNK_BLOCKS + 1;
const pools = new Map();

/**
 * The same from a pool that is used over and over, since random numbers for many gigabytes would take minutes. Matrices of one
 * format and deviation share the pool and begin at places of their own.
 */
export function* pooledBlocks({ format, elements, deviation, seed }) {
    const key = `${format.id} ${deviation}`;
    if (!pools.has(key)) {
        // Of other numbers than the other pools: a row of the output that is one of the embeddings would always win.
        const own = { format, deviation, seed: Math.round(deviation * 2 ** 20), elements: 32 * POOL_BLOCKS };
        pools.set(key, Buffer.concat([...randomBlocks(own)]));
    }
    const pool = pools.get(key);
    let at = ((seed * 7919) % POOL_BLOCKS) * format.blockBytes;
    for (let left = (elements / 32) * format.blockBytes; left > 0;) {
        const piece = pool.subarray(at, at + left);
        yield piece;
        left -= piece.length;
        at = 0;
    }
}
