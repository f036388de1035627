/** Regular expressions as ECMA-262 writes them, as far as they are regular languages. */

import type { CharacterRanges } from "./gbnf-rules.js";
import { complement } from "./character-ranges.js";
import { BEGINNING, ENDING, type Regular, type Regulars } from "./regular.js";
import { propertyRanges } from "./unicode-properties.js";

/** Why a pattern cannot be enforced. */
export class PatternRefused extends Error {}

const DIGITS: CharacterRanges = [[0x30, 0x39]];
const WORD: CharacterRanges = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const BLANK: CharacterRanges = [
    [9, 13],
    [0x20, 0x20],
    [0xa0, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200a],
    [0x2028, 0x2029],
    [0x202f, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xfeff, 0xfeff],
];
const LINE_ENDS: CharacterRanges = [
    [10, 10],
    [13, 13],
    [0x2028, 0x2029],
];
const CLASSES: Readonly<Record<string, CharacterRanges>> = {
    ...{ d: DIGITS, w: WORD, s: BLANK },
    ...{ D: complement(DIGITS), W: complement(WORD), S: complement(BLANK) },
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, "0": 0 };

/** Of a Unicode property, of which all characters are looked at. */
const STEPS_OF_PROPERTY = 10_000;
const MOST_REPETITIONS = 2000;
const DEEPEST = 100;

/**
 * The texts in which a pattern is found.
 *
 * @param source - as `RegExp` with the flag `u` reads it
 * @throws PatternRefused
 */
export function readPattern(regulars: Regulars, source: string): Regular {
    const { characters, sequence, either, repeat, matching, nothing, spendOnce } = regulars;
    try {
        new RegExp(source, "u");
    } catch (error) {
        try {
            // What only older engines take, such as `\-` outside of brackets.
            new RegExp(source);
        } catch {
            throw new PatternRefused(`it is no regular expression (${(error as Error).message})`);
        }
    }
    let at = 0;
    const refuse = (reason: string): never => {
        throw new PatternRefused(reason);
    };
    const take = (pattern: RegExp): RegExpExecArray | null => {
        pattern.lastIndex = at;
        const found = pattern.exec(source);
        at += found?.[0].length ?? 0;
        return found;
    };

    function parseAlternatives(depth: number): Regular {
        if (depth > DEEPEST) refuse(`its groups are nested more than ${DEEPEST} deep`);
        const alternatives = [parseSequence(depth)];
        while (take(/\|/y) !== null) alternatives.push(parseSequence(depth));
        return either(...alternatives);
    }

    function parseSequence(depth: number): Regular {
        const parts: Regular[] = [];
        while (at < source.length && source[at] !== "|" && source[at] !== ")") {
            const atom = parseAtom(depth);
            parts.push(repeated(atom));
        }
        return sequence(...parts);
    }

    function repeated(atom: Regular): Regular {
        const found = take(/(?:([*+?])|\{(\d+)(,)?(\d+)?\})\??/y);
        if (found === null) return atom;
        const [, sign, least = "0", comma, most] = found;
        const min = sign === undefined ? Number(least) : sign === "+" ? 1 : 0;
        const max =
            sign === undefined
                ? comma === undefined
                    ? min
                    : most === undefined
                      ? Infinity
                      : Number(most)
                : sign === "?"
                  ? 1
                  : Infinity;
        if (min > MOST_REPETITIONS || (max !== Infinity && max > MOST_REPETITIONS)) {
            refuse(`it repeats something more than ${MOST_REPETITIONS} times`);
        }
        return repeat(atom, min, max);
    }

    function parseAtom(depth: number): Regular {
        if (take(/\^/y) !== null) return characters([[BEGINNING, BEGINNING]]);
        if (take(/\$/y) !== null) return characters([[ENDING, ENDING]]);
        if (take(/\./y) !== null) return characters(complement(LINE_ENDS));
        if (take(/\(\?<?[=!]/y) !== null) return refuse("it looks ahead or behind (lookaround)");
        if (take(/\((?:\?:|\?<[^>]*>)?/y) !== null) {
            if (source[at] === "?") refuse("it has a group of an unknown kind");
            const inner = parseAlternatives(depth + 1);
            if (take(/\)/y) === null) refuse("a group does not end");
            return inner;
        }
        if (take(/\[/y) !== null) return characters(parseBrackets());
        if (source[at] === "\\") {
            if (take(/\\[bB]/y) !== null) return refuse("it asks for the edge of a word (`\\b`)");
            if (take(/\\(?:[1-9]\d*|k<)/y) !== null) return refuse("it refers back to a group");
            return characters(parseEscape());
        }
        return characters([takeCharacter()]);
    }

    function takeCharacter(): [number, number] {
        const character = source.codePointAt(at) ?? 0;
        at += String.fromCodePoint(character).length;
        return [character, character];
    }

    function parseBrackets(): CharacterRanges {
        const isInverted = take(/\^/y) !== null;
        const ranges: (readonly [number, number])[] = [];
        while (take(/\]/y) === null) {
            const first = parseMember();
            const [only] = first;
            if (first.length !== 1 || only?.[0] !== only?.[1] || take(/-(?!\])/y) === null) {
                ranges.push(...first);
                continue;
            }
            const last = parseMember();
            if (last.length === 1 && last[0]?.[0] === last[0]?.[1]) ranges.push([only?.[0] ?? 0, last[0]?.[1] ?? 0]);
            else ranges.push(...first, [0x2d, 0x2d], ...last);
        }
        return isInverted ? complement(ranges) : ranges;
    }

    function parseMember(): CharacterRanges {
        if (take(/\\b/y) !== null) return [[8, 8]];
        return source[at] === "\\" ? parseEscape() : [takeCharacter()];
    }

    function property(name: string): CharacterRanges {
        // Of each as if nobody had asked for it before, and once for a request.
        spendOnce(`p{${name}}`, STEPS_OF_PROPERTY);
        return propertyRanges(name) ?? refuse(`there is no Unicode property ${name}`);
    }

    function parseEscape(): CharacterRanges {
        const one = (character: number): CharacterRanges => [[character, character]];
        const known = take(/\\([dDwWsS])/y)?.[1];
        if (known !== undefined) return CLASSES[known] ?? [];
        const control = take(/\\([tnvfr]|0(?!\d))/y)?.[1];
        if (control !== undefined) return one(CONTROLS[control] ?? 0);
        const letter = take(/\\c([a-zA-Z])/y)?.[1];
        if (letter !== undefined) return one(letter.charCodeAt(0) % 32);
        const pair = take(/\\u([dD][89abAB][\da-fA-F]{2})\\u([dD][c-fC-F][\da-fA-F]{2})/y);
        if (pair !== null) {
            const halves = pair.slice(1).map((half) => Number.parseInt(half, 16));
            return one(String.fromCharCode(...halves).codePointAt(0) ?? 0);
        }
        const [, braces, digits] =
            take(/\\(?:u\{([\da-fA-F]+)\}|(?:x(?=[\da-fA-F]{2})|u(?=[\da-fA-F]{4}))([\da-fA-F]{2,4}))/y) ?? [];
        if (braces !== undefined) return one(Number.parseInt(braces, 16));
        if (digits !== undefined) {
            // `\x` takes two digits.
            const isShort = source[at - digits.length - 1] === "x";
            if (isShort) at -= digits.length - 2;
            return one(Number.parseInt(isShort ? digits.slice(0, 2) : digits, 16));
        }
        const [, sign, name] = take(/\\([pP])\{([\w=]+)\}/y) ?? [];
        if (name !== undefined) {
            const members = property(name);
            return sign === "p" ? members : complement(members);
        }
        at++;
        if (/[a-zA-Z\d]/.test(source[at] ?? "")) refuse(`it has the escape \`\\${source[at] ?? ""}\``);
        return [takeCharacter()];
    }

    return matching(source === "" ? nothing : parseAlternatives(0));
}
