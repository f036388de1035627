/** Texts of a grammar, by its rules alone: drawn at random, and recognised. */

import type { Gbnf } from "../../src/grammar/gbnf.js";
import type { GrammarRule, GrammarSymbol } from "../../src/grammar/gbnf-rules.js";

const MOST_STEPS = 200_000;

/** Numbers of 0..1 that a seed determines (mulberry32). */
export function createRandom(seed: number): () => number {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
}

/** How many characters the shortest text of each rule has, at least: Infinity where there is none. */
function shortest(rules: readonly GrammarRule[]): Float64Array {
    const lengths = new Float64Array(rules.length).fill(Infinity);
    for (let isChanged = true; isChanged;) {
        isChanged = false;
        rules.forEach(({ alternatives }, rule) => {
            for (const alternative of alternatives) {
                const length = lengthOf(alternative, lengths);
                if (length >= (lengths[rule] ?? Infinity)) continue;
                lengths[rule] = length;
                isChanged = true;
            }
        });
    }
    return lengths;
}

function lengthOf(alternative: readonly GrammarSymbol[], lengths: Float64Array): number {
    return alternative.reduce((sum, symbol) => {
        if (symbol.kind === "rule") return sum + (lengths[symbol.rule] ?? Infinity);
        return sum + (symbol.kind === "characters" && symbol.ranges.length === 0 ? Infinity : 1);
    }, 0);
}

/**
 * Draws texts: at each rule one of its alternatives, all as likely; after `length` characters the shortest way to the end.
 */
export function createWalker({ rules, root }: Gbnf): (random: () => number, length?: number) => string {
    const lengths = shortest(rules);
    return (random, length = 60) => {
        const stack: GrammarSymbol[] = [{ kind: "rule", rule: root }];
        const pick = <Value>(list: readonly Value[]): Value => list[Math.floor(random() * list.length)] as Value;
        let text = "";
        for (let symbol = stack.pop(); symbol !== undefined; symbol = stack.pop()) {
            if (symbol.kind === "token") throw new Error("the grammar names a token");
            if (symbol.kind === "characters") {
                const [first = 0, last = 0] = pick(symbol.ranges);
                // More often what stands near the ends, where mistakes are.
                const offset =
                    random() < 0.2
                        ? 0
                        : random() < 0.2
                          ? last - first
                          : Math.floor(random() * Math.min(last - first + 1, 0x250));
                text += String.fromCodePoint(first + offset);
                continue;
            }
            const { alternatives = [] } = rules[symbol.rule] ?? {};
            const finite = alternatives.filter((one) => lengthOf(one, lengths) < Infinity);
            if (finite.length === 0) throw new Error(`the text ${text} leads nowhere`);
            const sizes = finite.map((one) => lengthOf(one, lengths));
            const chosen = text.length < length ? pick(finite) : finite[sizes.indexOf(Math.min(...sizes))];
            for (const one of [...(chosen ?? [])].reverse()) stack.push(one);
        }
        return text;
    };
}

/** A place in a text: what has to follow, as a list that ends with what comes last. */
type Place = { readonly symbols: readonly GrammarSymbol[]; readonly at: number; readonly next: Place } | null;

/** Whether a text is one of the grammar's. */
export function createReader({ rules, root }: Gbnf): (text: string) => boolean {
    return (text) => {
        // The same continuation is the same object within one step, so that ways to read a text that come together stay together.
        let places = new Set<Place>();
        let steps = 0;
        const reach = (start: readonly Place[]): void => {
            places = new Set();
            const seen = new Map<GrammarSymbol[] | readonly GrammarSymbol[], Map<number, Set<Place>>>();
            const stack = [...start];
            for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
                if (++steps > MOST_STEPS) throw new Error("too many ways to read the text");
                if (place === null) {
                    places.add(null);
                    continue;
                }
                const { symbols, at, next } = place;
                if (at === symbols.length) {
                    stack.push(next);
                    continue;
                }
                const byPlace = seen.get(symbols) ?? new Map<number, Set<Place>>();
                seen.set(symbols, byPlace);
                const known = byPlace.get(at) ?? new Set<Place>();
                byPlace.set(at, known);
                if (known.has(next)) continue;
                known.add(next);
                const symbol = symbols[at] as GrammarSymbol;
                if (symbol.kind !== "rule") {
                    places.add(place);
                    continue;
                }
                const rest = at + 1 === symbols.length ? next : { symbols, at: at + 1, next };
                for (const alternative of rules[symbol.rule]?.alternatives ?? [])
                    stack.push({ symbols: alternative, at: 0, next: rest });
            }
        };
        reach([{ symbols: [{ kind: "rule", rule: root }], at: 0, next: null }]);
        for (const character of text) {
            const code = character.codePointAt(0) ?? 0;
            const next: Place[] = [];
            for (const place of places) {
                const symbol = place?.symbols[place.at];
                if (symbol?.kind !== "characters" || place === null) continue;
                const fits = symbol.ranges.some(([first, last]) => first <= code && code <= last);
                if (fits) next.push({ symbols: place.symbols, at: place.at + 1, next: place.next });
            }
            if (next.length === 0) return false;
            reach(next);
        }
        return places.has(null);
    };
}
