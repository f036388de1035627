// A drafter whose acceptance is whatever one wants it to be: it knows how the text goes on, and is wrong on purpose.

/**
 * For a completion that repeats an earlier one: same prompt, seed and sampling, Gumbel coupling. The proposals are the same
 * in every run: whether a token is the right one depends on the seed and on its position alone.
 *
 * @param text - ids of the tokens that the earlier completion generated; after its end nothing is proposed
 * @param promptTokens - length of the prompt of the recipe's first member
 * @param acceptance - probability that a proposed token is the right one, 0..1
 * @param seed - an integer of 32 bits
 * @param vocabularySize - ids are below this
 * @returns what `SpeculationOptions.lookup` takes
 */
export function createSyntheticProposer({ text, promptTokens, acceptance, seed, vocabularySize }) {
    return ({ length }, most) => {
        const position = length - promptTokens;
        return text
            .slice(position, position + most)
            .map((token, index) =>
                uniform(seed, position + index) < acceptance ? token : (token + 1) % vocabularySize,
            );
    };
}

/** A number in [0, 1) that depends on nothing else (the finalizer of MurmurHash3, Appleby 2011). */
function uniform(seed, position) {
    let bits = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(position + 1, 0xc2b2ae35);
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}
