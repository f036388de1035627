/**
 * Prompt lookup: drafts without a drafter. Where the last tokens have occurred before, what followed them then may follow
 * again: names, quotations, code. (Saxena, "Prompt Lookup Decoding", 2023.)
 */

/**
 * Something that guesses how a text goes on, without looking at any model.
 *
 * @param text - tokens of the prompt and of what was generated
 * @param most - most tokens to propose
 * @returns the guess; empty if there is none
 */
export type Proposer = (text: readonly number[], most: number) => readonly number[];

/** Lengths of repetition that count, in tokens: the longest one wins. */
const LONGEST = 4;
const SHORTEST = 2;
/** How far back to look. */
const WINDOW = 4096;

/** What followed the latest earlier occurrence of the longest repeated ending. */
export const lookUp: Proposer = (text, most) => {
    const first = Math.max(0, text.length - WINDOW);
    for (let length = LONGEST; length >= SHORTEST; length--) {
        const ending = text.length - length;
        for (let start = ending - 1; start >= first; start--) {
            let same = 0;
            while (same < length && text[start + same] === text[ending + same]) same++;
            if (same === length) return text.slice(start + length, start + length + most);
        }
    }
    return [];
};
