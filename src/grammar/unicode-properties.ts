/** Which characters have a Unicode property. */

import { normalize } from "./character-ranges.js";
import type { CharacterRanges } from "./gbnf-rules.js";
import { createRecent } from "./recent.js";

/** Where the characters are that a property may have: all but halves of surrogate pairs, and planes that are empty or private. */
const PLACES_OF_CHARACTERS: CharacterRanges = [
    [0, 0xd800],
    [0xe000, 0x10000],
    ...[1, 2, 3, 14].map((plane) => [plane << 16, (plane << 16) + (plane === 14 ? 0x1000 : 0x10000)] as const),
];
/** The rest: ranges of characters that are all alike. */
const ALIKE: CharacterRanges = [
    ...[4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map((plane) => [plane << 16, (plane << 16) + 0xfffd] as const),
    [0xe1000, 0xefffd],
    ...[15, 16].map((plane) => [plane << 16, (plane << 16) + 0xfffd] as const),
    ...[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].map(
        (plane) => [(plane << 16) + 0xfffe, (plane << 16) + 0xffff] as const,
    ),
];
/** The texts of those places, once they are needed. */
let textsOfPlaces: readonly { readonly begin: number; readonly text: string }[] | undefined;
/** By how they are written. */
const RECENT = createRecent<CharacterRanges>(64, 2 ** 15);

/**
 * Characters of a Unicode property, as this engine knows them.
 *
 * @param name - such as `L` or `Script=Greek`
 * @returns undefined: there is none
 */
export function propertyRanges(name: string): CharacterRanges | undefined {
    const known = RECENT.get(name);
    if (known !== undefined) return known;
    let members: RegExp;
    try {
        members = new RegExp(`\\p{${name}}+`, "gu");
    } catch {
        return undefined;
    }
    textsOfPlaces ??= PLACES_OF_CHARACTERS.map(([begin, end]) => ({ begin, text: textOf(begin, end) }));
    const ranges: (readonly [number, number])[] = [];
    for (const { begin, text } of textsOfPlaces) {
        // All characters of a text have as many UTF-16 units.
        const units = begin > 0xffff ? 2 : 1;
        for (const { 0: found, index } of text.matchAll(members)) {
            const first = begin + index / units;
            ranges.push([first, first + found.length / units - 1]);
        }
    }
    const isMember = new RegExp(`\\p{${name}}`, "u");
    ranges.push(...ALIKE.filter(([first]) => isMember.test(String.fromCodePoint(first))));
    const result = normalize(ranges);
    RECENT.set(name, result, result.length);
    return result;
}

/** The characters from one to another, without that. */
function textOf(begin: number, end: number): string {
    const pieces: string[] = [];
    for (let at = begin; at < end; at += 0x400)
        pieces.push(String.fromCodePoint(...Array.from({ length: 0x400 }, (_, index) => at + index)));
    return pieces.join("");
}
