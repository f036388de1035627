/** From the rules of a grammar to what native/math/automaton.h runs: symbols become bytes of UTF-8. */

import type { NativeGrammarProgram } from "../native/binding.js";
import { EftError } from "../errors.js";
import { readGbnf, type Gbnf, type NamedToken } from "./gbnf.js";
import type { CharacterRanges } from "./gbnf-rules.js";
import { createRecent } from "./recent.js";

/** `GrammarElement` of native/math/automaton.h. */
const END = 0;
const BYTES = 1;
const RULE = 2;
const TOKEN = 3;
const OTHER_TOKEN = 4;
const TEXT_END = 5;

type Elements = readonly number[];

/** Ranges that are cut into bytes, and what it takes to begin with some. */
const MOST_STEPS = 100_000;
const STEPS_OF_SPLIT = 10;

const element = (kind: number, value = 0): number => kind + 8 * value;

/** By their grammars' texts. Which tokens one names is the same for all vocabularies, and their ids are not. */
const RECENT = createRecent<{
    readonly tokens: readonly NamedToken[];
    readonly ids: readonly number[];
    readonly program: NativeGrammarProgram;
}>(64, 2 ** 23);

/**
 * The program of a grammar, which is kept for those who ask for it again.
 *
 * @param what - how messages call the grammar
 * @param idOf - finds a token that the grammar names
 * @throws EftError GRAMMAR_INVALID with line and column, and what `idOf` throws
 */
export function programOf(
    text: string,
    what: string | undefined,
    idOf: (token: NamedToken) => number,
): NativeGrammarProgram {
    const found = RECENT.get(text);
    if (found !== undefined) {
        const ids = found.tokens.map(idOf);
        if (ids.every((id, index) => id === found.ids[index])) return found.program;
    }
    const gbnf = readGbnf(text, what);
    const ids = gbnf.tokens.map(idOf);
    const program = compileGbnf(gbnf, ids, what);
    RECENT.set(text, { tokens: gbnf.tokens, ids, program }, text.length + 2 * program.code.length);
    return program;
}

/**
 * @param ids - of the tokens that the grammar names
 * @param what - how messages call the grammar
 * @throws EftError GRAMMAR_INVALID where its sets of characters are too many, or too large
 */
export function compileGbnf(
    { rules, root, empty, order, tokens }: Gbnf,
    ids: readonly number[],
    what = "The grammar",
): NativeGrammarProgram {
    const places = new Int32Array(rules.length);
    order.forEach((rule, place) => (places[rule] = place));
    const bytes = createByteWriter(rules.length, what);
    const idOf = (token: number): number => ids[token] ?? tokens.length;
    const own = order.map((rule): Elements[] =>
        (rules[rule]?.alternatives ?? [])
            // That a rule may be empty is known without them.
            .filter(({ length }) => length > 0)
            .map((alternative) =>
                alternative.flatMap((symbol) => {
                    if (symbol.kind === "rule") return element(RULE, places[symbol.rule]);
                    if (symbol.kind === "characters") return bytes.write(symbol.ranges);
                    return element(symbol.isExcluded ? OTHER_TOKEN : TOKEN, idOf(symbol.token));
                }),
            ),
    );
    const written = [...own, ...bytes.rules];

    const code = [element(RULE, places[root]), element(TEXT_END)];
    const starts: number[] = [];
    const firsts = [0];
    for (const alternatives of written) {
        for (const alternative of alternatives) {
            starts.push(code.length);
            for (const one of alternative) code.push(one);
            code.push(element(END));
        }
        firsts.push(starts.length);
    }
    const mayBeEmpty = new Uint8Array(written.length);
    order.forEach((rule, place) => (mayBeEmpty[place] = empty[rule] ?? 0));
    return {
        code: Int32Array.from(code),
        rules: Int32Array.from(firsts),
        starts: Int32Array.from(starts),
        mayBeEmpty,
        byteSets: bytes.sets(),
    };
}

/**
 * Writes sets of characters as sequences of byte sets. A set that takes several sequences becomes a rule, behind all others: it
 * begins with bytes.
 *
 * @param firstRule - the place of the first rule that it adds
 * @param what - how messages call the grammar
 */
function createByteWriter(firstRule: number, what: string) {
    let steps = 0;
    const sets = new Map<string, { place: number; bits: Uint8Array }>();
    const places = new Map<string, number>();
    const rules: Elements[][] = [];
    const tails = new Map<string, Elements>();
    const written = new Map<CharacterRanges, Elements>();

    function byteSet(bytes: readonly number[]): number {
        const key = bytes.join();
        const found = sets.get(key);
        if (found !== undefined) return element(BYTES, found.place);
        const bits = new Uint8Array(32);
        for (const byte of bytes) bits[byte >> 3] = (bits[byte >> 3] ?? 0) | (1 << (byte & 7));
        sets.set(key, { place: sets.size, bits });
        return element(BYTES, sets.size - 1);
    }

    /** One alternative as it is, several as a rule; equal ones once. */
    function oneOf(alternatives: readonly Elements[]): Elements {
        const [only] = alternatives;
        if (alternatives.length === 1 && only !== undefined) return only;
        const key = alternatives.map((alternative) => alternative.join()).join("|");
        let place = places.get(key);
        if (place === undefined) {
            place = firstRule + rules.push([...alternatives]) - 1;
            places.set(key, place);
        }
        return [element(RULE, place)];
    }

    /** Leading bytes with what follows each; those with the same rest share a sequence. */
    function group(leads: readonly (readonly [byte: number, rest: Elements])[]): Elements[] {
        const byRest = new Map<string, { bytes: number[]; rest: Elements }>();
        for (const [byte, rest] of leads) {
            const key = rest.join();
            const entry = byRest.get(key);
            if (entry === undefined) byRest.set(key, { bytes: [byte], rest });
            else entry.bytes.push(byte);
        }
        return [...byRest.values()].map(({ bytes, rest }) => [byteSet(bytes), ...rest]);
    }

    /** The last `count` bytes of characters: of numbers of 6 bits each. */
    function tail(ranges: CharacterRanges, count: number): Elements {
        if (count === 0) return [];
        const key = `${count}:${ranges.join()}`;
        const found = tails.get(key);
        if (found !== undefined) return found;
        const result = oneOf(group(split(ranges, count - 1, 0x80)));
        tails.set(key, result);
        return result;
    }

    /** By the byte that comes first, which is `marker` plus the bits above those of the last `count` bytes. */
    function split(ranges: CharacterRanges, count: number, marker: number): [number, Elements][] {
        steps += STEPS_OF_SPLIT + ranges.length;
        if (steps > MOST_STEPS) {
            const reason = "its sets of characters are too many, or of too many ranges";
            throw new EftError("GRAMMAR_INVALID", `${what} cannot be used: ${reason}; write equal ones the same way.`);
        }
        const span = 64 ** count;
        const byLead = new Map<number, [number, number][]>();
        for (const [first, last] of ranges) {
            for (let lead = Math.floor(first / span); lead <= Math.floor(last / span); lead++) {
                const base = lead * span;
                const own = byLead.get(lead) ?? [];
                own.push([Math.max(first, base) - base, Math.min(last, base + span - 1) - base]);
                byLead.set(lead, own);
            }
        }
        return [...byLead].map(([lead, own]) => [marker + lead, tail(own, count)]);
    }

    /** Characters whose UTF-8 has the same length: the first and the last of them, and what their first byte begins with. */
    const LENGTHS = [
        [0, 0x7f, 0],
        [0x80, 0x7ff, 0xc0],
        [0x800, 0xffff, 0xe0],
        [0x10000, 0x10ffff, 0xf0],
    ] as const;

    return {
        rules,
        /** Bits of all sets, 32 bytes each, in the order of their places. */
        sets: (): Uint8Array => Uint8Array.from([...sets.values()].flatMap(({ bits }) => [...bits])),
        write(ranges: CharacterRanges): Elements {
            const found = written.get(ranges);
            if (found !== undefined) return found;
            const [[first, last] = [0, 0], second] = ranges;
            if (first === last && ranges.length > 0 && second === undefined) {
                const one = [...Buffer.from(String.fromCodePoint(first))].map((byte) => byteSet([byte]));
                written.set(ranges, one);
                return one;
            }
            const leads = LENGTHS.flatMap(([least, most, marker], count) => {
                const within = ranges.flatMap(([first, last]) =>
                    last < least || first > most ? [] : [[Math.max(first, least), Math.min(last, most)] as const],
                );
                return split(within, count, marker);
            });
            // No character at all: a set without bytes, which no text gets past.
            const result = leads.length === 0 ? [byteSet([])] : oneOf(group(leads));
            written.set(ranges, result);
            return result;
        },
    };
}
