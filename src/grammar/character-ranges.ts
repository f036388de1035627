/** Sets of characters. */

import type { CharacterRanges } from "./gbnf-rules.js";

/** The last character of all. */
export const LAST = 0x10ffff;

/** Disjoint, ascending, without halves of surrogate pairs. */
export function normalize(ranges: CharacterRanges): CharacterRanges {
    const whole = ranges.flatMap(([first, last]): [number, number][] => [
        [first, Math.min(last, 0xd7ff)],
        [Math.max(first, 0xe000), last],
    ]);
    const merged: [number, number][] = [];
    for (const [first, last] of whole.filter(([begin, end]) => begin <= end).sort((a, b) => a[0] - b[0])) {
        const before = merged.at(-1);
        if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
        else merged.push([first, last]);
    }
    return merged;
}

/** All other characters. */
export function complement(ranges: CharacterRanges): CharacterRanges {
    const result: [number, number][] = [];
    let first = 0;
    for (const [begin, end] of normalize(ranges)) {
        if (begin > first) result.push([first, begin - 1]);
        first = end + 1;
    }
    if (first <= LAST) result.push([first, LAST]);
    return normalize(result);
}

/** @param ranges - disjoint and ascending */
export function includes(ranges: CharacterRanges, character: number): boolean {
    let [low, high] = [0, ranges.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if ((ranges[middle]?.[1] ?? 0) < character) low = middle + 1;
        else high = middle;
    }
    return (ranges[low]?.[0] ?? Infinity) <= character;
}
