/** Characters that languages treat alike. */

import { LAST } from "./character-ranges.js";
import type { CharacterRanges } from "./gbnf-rules.js";

/** All characters in disjoint classes. */
export interface CharacterClasses {
    readonly id: number;
    /** The first characters of ranges, from 0 on, ascending. */
    readonly starts: readonly number[];
    /** The class of each range. */
    readonly places: readonly number[];
    /** A character of each class, its first. */
    readonly examples: readonly number[];
}

/** @param spend - counts the ranges that are looked at */
export function createClassMaker(spend: (count: number) => void) {
    let made = 0;
    const refined = new Map<string, CharacterClasses>();
    const ofCuts = new Map<readonly number[], CharacterClasses>();

    const create = (starts: readonly number[], places: readonly number[]): CharacterClasses => {
        const examples: number[] = [];
        places.forEach((place, index) => (examples[place] ??= starts[index] ?? 0));
        return { id: made++, starts, places, examples };
    };
    const whole = create([0], [0]);

    /**
     * The ranges, and all other characters.
     *
     * @param ranges - as `normalize` makes them
     */
    function classesOfRanges(ranges: CharacterRanges): CharacterClasses {
        spend(ranges.length);
        const starts: number[] = ranges[0]?.[0] === 0 ? [] : [0];
        for (const [first, last] of ranges) starts.push(first, last + 1);
        // Characters within and outside take turns.
        return create(
            starts,
            starts.map((_, index) => index % 2),
        );
    }

    /** Each range by itself. */
    function classesOfCuts(cuts: readonly number[]): CharacterClasses {
        let found = ofCuts.get(cuts);
        if (found !== undefined) return found;
        spend(cuts.length);
        const starts = cuts[0] === 0 ? cuts : [0, ...cuts];
        found = create(starts, [...starts.keys()]);
        ofCuts.set(cuts, found);
        return found;
    }

    /** Characters that are alike for both. */
    function refine(one: CharacterClasses, other: CharacterClasses): CharacterClasses {
        if (one === other || other === whole) return one;
        if (one === whole) return other;
        const key = `${one.id},${other.id}`;
        const known = refined.get(key);
        if (known !== undefined) return known;
        spend(one.starts.length + other.starts.length);
        const numbers = new Map<number, number>();
        const starts: number[] = [];
        const places: number[] = [];
        let [left, right] = [0, 0];
        for (let at = 0; at < Infinity;) {
            const pair = (one.places[left] ?? 0) * other.examples.length + (other.places[right] ?? 0);
            const place = numbers.get(pair) ?? numbers.size;
            numbers.set(pair, place);
            if (places.at(-1) !== place) {
                starts.push(at);
                places.push(place);
            }
            const [nextLeft = Infinity, nextRight = Infinity] = [one.starts[left + 1], other.starts[right + 1]];
            at = Math.min(nextLeft, nextRight);
            if (nextLeft === at) left++;
            if (nextRight === at) right++;
        }
        const result = create(starts, places);
        refined.set(key, result);
        return result;
    }

    return { whole, classesOfRanges, classesOfCuts, refine };
}

/** Which class a character is in. */
export function classOf({ starts, places }: CharacterClasses, character: number): number {
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((starts[middle] ?? 0) <= character) low = middle;
        else high = middle - 1;
    }
    return places[low] ?? 0;
}

/**
 * Makes the ranges of some classes: of the same ones the same object.
 *
 * @param spend - counts the ranges that are looked at
 */
export function createRangeMerger(spend: (count: number) => void) {
    const known = new Map<string, CharacterRanges>();

    return ({ id, starts, places }: CharacterClasses, wanted: readonly number[]): CharacterRanges => {
        const key = `${id}:${wanted.join()}`;
        const found = known.get(key);
        if (found !== undefined) return found;
        spend(starts.length);
        const isWanted = new Set(wanted);
        const ranges: [number, number][] = [];
        places.forEach((place, index) => {
            const first = starts[index] ?? 0;
            if (!isWanted.has(place) || first > LAST) return;
            const last = Math.min((starts[index + 1] ?? Infinity) - 1, LAST);
            const before = ranges.at(-1);
            if (before?.[1] === first - 1) before[1] = last;
            else ranges.push([first, last]);
        });
        known.set(key, ranges);
        return ranges;
    };
}
