/** From what schemas say to the rules of a grammar of JSON texts. */

import { complement } from "./character-ranges.js";
import type { Automaton, Regular, Regulars } from "./regular.js";
import { createRule, literal, namedRule, type Part, type Rule } from "./rules.js";
import type { CharacterRanges } from "./gbnf-rules.js";

/** Rules that others refer to. */
export const RULES: Readonly<Record<string, string>> = {
    space: `" "?`,
    string: String.raw`"\"" char* "\""`,
    // No half of a surrogate pair: minLength and maxLength count characters.
    char: String.raw`[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" ([0-9a-cefA-CEF] hex | [dD] [0-7]) hex hex)`,
    // Each in one way: for strings whose characters matter.
    escaped: String.raw`"\\" (["\\bfnrt] | "u00" ("0" [0-7be-f] | "1" [0-9a-f] | "7f"))`,
    hex: "[0-9a-fA-F]",
    integer: `"-"? ("0" | [1-9] [0-9]{0,14})`,
    number: `integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?`,
    boolean: `"true" | "false"`,
    null: `"null"`,
    value: "string | number | boolean | null | array | object",
    array: `"[" (value ("," space value)*)? "]"`,
    object: `"{" (pair ("," space pair)*)? "}"`,
    pair: `string ":" space value`,
};

export const KNOWN = Object.fromEntries(Object.keys(RULES).map((name) => [name, namedRule(name)]));

const QUOTE = literal('"');
/** Characters that a string has behind a backslash. */
const ESCAPED: CharacterRanges = [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
    [0x7f, 0x7f],
];
const PLAIN = complement(ESCAPED);
/** Characters of a set that is written where it is. */
const LONGEST_SET = 60;

/** Makes rules of languages, of each once. */
export function createLanguageRules(regulars: Regulars) {
    const strings = new Map<Regular, Rule>();
    const numbers = new Map<Regular, Rule>();
    const sets = new Map<CharacterRanges, Part>();
    const stringSets = new Map<CharacterRanges, Part[][]>();

    function once<Key, Value>(known: Map<Key, Value>, key: Key, make: () => Value): Value {
        const found = known.get(key) ?? make();
        known.set(key, found);
        return found;
    }

    /** What is long stands in a rule of its own: automata have it at many edges. */
    const set = (ranges: CharacterRanges): Part =>
        once(sets, ranges, () => {
            const text = brackets(ranges);
            return text.length > LONGEST_SET ? createRule([text]) : text;
        });
    const stringSet = (ranges: CharacterRanges): Part[][] => once(stringSets, ranges, () => stringParts(ranges, set));

    return {
        /** JSON strings whose values are of a language. */
        strings: (language: Regular): Rule =>
            once(strings, language, () => {
                const body = automatonRule(regulars.automaton(language), stringSet, [QUOTE]);
                return createRule(...(body === undefined ? [] : [[QUOTE, body]]));
            }),
        /** Texts of a language, which have nothing that is special in brackets. */
        texts: (language: Regular): Rule =>
            once(numbers, language, () => {
                return automatonRule(regulars.automaton(language), (ranges) => [[set(ranges)]], []) ?? createRule();
            }),
    };
}

/**
 * A rule for each state.
 *
 * @param write - alternatives for one of some characters
 * @param end - what stands where a text may end
 */
function automatonRule(
    automaton: Automaton | undefined,
    write: (ranges: CharacterRanges) => Part[][],
    end: Part[],
): Rule | undefined {
    if (automaton === undefined) return undefined;
    const rules = automaton.map(() => createRule());
    automaton.forEach(({ isAccepting, edges }, place) => {
        const rule = rules[place];
        if (rule === undefined) return;
        for (const { ranges, next } of edges) {
            const state = automaton[next];
            const target = rules[next];
            if (target === undefined) continue;
            const rest = state?.edges.length === 0 ? end : [target];
            rule.alternatives.push(...write(ranges).map((parts) => [...parts, ...rest]));
        }
        if (isAccepting) rule.alternatives.push([...end]);
    });
    return rules[0];
}

/** One of some characters inside of a JSON string. */
function stringParts(ranges: CharacterRanges, set: (ranges: CharacterRanges) => Part): Part[][] {
    const within = (allowed: CharacterRanges): CharacterRanges =>
        ranges.flatMap(([first, last]) =>
            allowed
                .map(([begin, end]) => [Math.max(first, begin), Math.min(last, end)] as const)
                .filter(([begin, end]) => begin <= end),
        );
    const plain = within(PLAIN);
    const escaped = within(ESCAPED);
    const parts: Part[][] = plain.length === 0 ? [] : [[set(plain)]];
    const size = (list: CharacterRanges): number => list.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    if (size(escaped) === size(ESCAPED)) return [...parts, [KNOWN.escaped as Rule]];
    for (const [first, last] of escaped) {
        for (let character = first; character <= last; character++) {
            const text = JSON.stringify(String.fromCharCode(character)).slice(1, -1);
            parts.push([literal(character === 0x7f ? String.raw`\u007f` : text)]);
        }
    }
    return parts;
}

function brackets(ranges: CharacterRanges): string {
    const inverse = complement(ranges);
    const write = (list: CharacterRanges): string =>
        list.map(([first, last]) => (first === last ? escape(first) : `${escape(first)}-${escape(last)}`)).join("");
    const isWide = inverse.length > 0 && (ranges.at(-1)?.[1] ?? 0) === 0x10ffff && inverse.length <= ranges.length;
    return isWide ? `[^${write(inverse)}]` : `[${write(ranges)}]`;
}

function escape(character: number): string {
    const text = String.fromCodePoint(character);
    if (/[\w .,:;!?@#$%&*()+=/<>{}|~'`]/.test(text)) return text;
    if (character <= 0xff) return `\\x${character.toString(16).padStart(2, "0").toUpperCase()}`;
    const digits = character.toString(16).toUpperCase();
    return character <= 0xffff ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}
