/**
 * Reads GBNF, llama.cpp's notation of grammars (https://github.com/ggml-org/llama.cpp/tree/master/grammars), in time that
 * grows with the length of the text and no faster.
 */

import { EftError } from "../errors.js";
import {
    findEmpty,
    orderRules,
    type Alternative,
    type CharacterRanges,
    type GrammarRule,
    type GrammarSymbol,
} from "./gbnf-rules.js";

/** A token that a grammar names: `<[5]>` by its id, `<think>` by its text. */
export type NamedToken = { readonly id: number } | { readonly text: string };

/** A grammar that can be followed. */
export interface Gbnf {
    readonly rules: readonly GrammarRule[];
    /** The start rule's place among the rules. */
    readonly root: number;
    /** Of each rule, whether it may stand for no text at all. */
    readonly empty: Uint8Array;
    /** The rules in an order in which each comes before all that it may begin with. */
    readonly order: readonly number[];
    readonly tokens: readonly NamedToken[];
}

/** Bounds that llama.cpp has too, where a grammar that is taken here should be taken there. */
export const MOST_REPETITIONS = 2000;
const MOST_ELEMENTS = 100_000;
const DEEPEST_GROUP = 100;
/** UTF-16 units. */
export const LONGEST_GRAMMAR = 2 ** 20;

const LAST_CHARACTER = 0x10ffff;

const NAME = /[a-zA-Z\d-]+/y;
const BLANKS = /(?:[ \t]|#[^\r\n]*)*/y;
const BLANKS_AND_LINES = /(?:[ \t\r\n]|#[^\r\n]*)*/y;
const PLAIN_CHARACTER = /[^\\]/uy;

/** The last element of a sequence, as long as a repetition may follow. */
interface Element {
    readonly symbols: readonly GrammarSymbol[];
    /** How many elements it is with repetitions written out. */
    readonly size: number;
    /** How many of llama.cpp's rules it stands for: their product with the repetitions is limited. */
    readonly weight: number;
}

/**
 * @param what - how messages call the grammar
 * @throws EftError GRAMMAR_INVALID with line and column
 */
export function readGbnf(text: string, what = "The grammar"): Gbnf {
    const invalid = (at: number, reason: string): never => {
        const before = text.slice(0, at).split("\n");
        const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
        throw new EftError("GRAMMAR_INVALID", `${what} cannot be used (${place}): ${reason}.`);
    };
    if (text.length > LONGEST_GRAMMAR) {
        invalid(0, `it is longer than ${LONGEST_GRAMMAR} characters; refer to what it repeats by the name of a rule`);
    }
    const { rules, root, tokens, uses, repeated } = parse(text, invalid);
    if (root === undefined || rules[root] === undefined)
        return invalid(0, "there is no rule `root`, with which a text begins");
    for (const { name, rule, at } of uses) if (rules[rule] === undefined) invalid(at, `there is no rule \`${name}\``);
    const defined = rules as GrammarRule[];
    const empty = findEmpty(defined);
    for (const { symbols, at } of repeated) {
        if (symbols.every((symbol) => symbol.kind === "rule" && empty[symbol.rule] === 1)) {
            invalid(at, "this rule repeats something that may be empty; take the `?` or `*` out of what is repeated");
        }
    }
    const ordered = orderRules(defined, empty);
    if ("leftRecursive" in ordered) {
        const { at, name = "" } = ordered.leftRecursive;
        return invalid(at, `the rule \`${name}\` may begin with itself; let something stand before it`);
    }
    return { rules: defined, root, empty, order: ordered.order, tokens };
}

/** Parses as llama.cpp does, but for what can only be a mistake: a rule that is defined twice, an empty `[]`. */
function parse(text: string, invalid: (at: number, reason: string) => never) {
    /** Undefined: mentioned and not yet defined. */
    const rules: (GrammarRule | undefined)[] = [];
    const places = new Map<string, number>();
    const tokens: NamedToken[] = [];
    /** Where rules are mentioned. */
    const uses: { name: string; rule: number; at: number }[] = [];
    /** What is repeated more than once, and the beginning of the rule that does so. */
    const repeated: { symbols: readonly GrammarSymbol[]; at: number }[] = [];
    /** Equal ones are the same object, and become bytes once. */
    const characters = new Map<number, GrammarSymbol>();
    const sets = new Map<string, GrammarSymbol>();
    /** As llama.cpp counts: a rule for each name, for each group and for each optional repetition. */
    let generated = 0;
    /** Elements with repetitions written out. */
    let size = 0;
    let at = 0;
    const nul = text.indexOf("\0");
    if (nul >= 0) invalid(nul, "a NUL character ends what llama.cpp reads; write it as \\x00");

    /** What a regular expression finds here; it is read. */
    function take(pattern: RegExp): string | undefined {
        pattern.lastIndex = at;
        const found = pattern.exec(text)?.[0];
        at += found?.length ?? 0;
        return found;
    }
    function takeOne(characters: string): string | undefined {
        if (at >= text.length || !characters.includes(text.charAt(at))) return undefined;
        return text.charAt(at++);
    }
    const skip = (newlines: boolean): void => void take(newlines ? BLANKS_AND_LINES : BLANKS);
    const here = (): string => {
        const next = String.fromCodePoint(text.codePointAt(at) ?? 0);
        return at >= text.length ? "the end" : JSON.stringify(next);
    };

    function addRule(rule: GrammarRule): GrammarSymbol {
        rules.push(rule);
        return { kind: "rule", rule: rules.length - 1 };
    }

    function placeOf(name: string): number {
        const known = places.get(name);
        if (known !== undefined) return known;
        places.set(name, rules.length);
        return rules.push(undefined) - 1;
    }

    function checkSize(more: number): number {
        if (size + more > MOST_ELEMENTS) {
            invalid(0, `it has more than ${MOST_ELEMENTS} elements once its repetitions are written out; reduce those`);
        }
        return more;
    }

    function takeCharacter(): number {
        const plain = take(PLAIN_CHARACTER);
        if (plain !== undefined) return plain.codePointAt(0) ?? 0;
        const escape = take(/\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[trn\\"[\]-])/y);
        if (escape !== undefined) {
            const [, kind = "", digits = ""] = /^\\(.)(.*)$/.exec(escape) ?? [];
            if (digits !== "") return Number.parseInt(digits, 16);
            return ({ t: "\t", r: "\r", n: "\n" }[kind] ?? kind).codePointAt(0) ?? 0;
        }
        if (at >= text.length) invalid(at, "it ends inside quotes or brackets");
        return invalid(at, 'no such escape; there are \\" \\\\ \\[ \\] \\- \\n \\r \\t \\x0A \\u000A \\U0000000A');
    }

    function symbolOf(character: number): GrammarSymbol {
        let symbol = characters.get(character);
        if (symbol === undefined) {
            symbol = { kind: "characters", ranges: normalize([[character, character]], false) };
            characters.set(character, symbol);
        }
        return symbol;
    }

    function setOf(ranges: [number, number][], isInverted: boolean): GrammarSymbol {
        const normal = normalize(ranges, isInverted);
        const key = normal.join();
        const symbol = sets.get(key) ?? { kind: "characters", ranges: normal };
        sets.set(key, symbol);
        return symbol;
    }

    function parseText(): Element {
        const symbols: GrammarSymbol[] = [];
        while (takeOne('"') === undefined) {
            symbols.push(symbolOf(takeCharacter()));
            checkSize(symbols.length);
        }
        return { symbols, size: symbols.length, weight: 1 };
    }

    function parseBrackets(start: number, isInverted: boolean): Element {
        const ranges: [number, number][] = [];
        let count = 0;
        while (takeOne("]") === undefined) {
            const first = takeCharacter();
            const last = take(/-(?!\])/y) === undefined ? first : takeCharacter();
            ranges.push([first, last]);
            count += first === last ? 1 : 2;
            checkSize(count);
        }
        if (count === 0) invalid(start, "these brackets are empty");
        return { symbols: [setOf(ranges, isInverted)], size: count, weight: 1 };
    }

    /** An element other than a group. */
    function parsePlain(): Element | undefined {
        const start = at;
        const name = take(NAME);
        if (name !== undefined) {
            const rule = placeOf(name);
            uses.push({ name, rule, at: start });
            return { symbols: [{ kind: "rule", rule }], size: 1, weight: 1 };
        }
        if (takeOne('"') !== undefined) return parseText();
        const bracket = take(/\[\^?/y);
        if (bracket !== undefined) return parseBrackets(start, bracket.length > 1);
        if (takeOne(".") !== undefined) return { symbols: [setOf([], true)], size: 1, weight: 1 };
        const token = take(/!?<(?:\[\d{1,9}\]|[^>\n[][^>\n]*)>/y);
        if (token !== undefined) {
            const id = /\[(\d+)\]/.exec(token)?.[1];
            tokens.push(id === undefined ? { text: token.replace("!", "") } : { id: Number(id) });
            const symbol = { kind: "token", token: tokens.length - 1, isExcluded: token.startsWith("!") } as const;
            return { symbols: [symbol], size: 1, weight: 1 };
        }
        if (take(/!?</y) !== undefined) invalid(start, "a token is written <[5]> by its id, or <think> by its text");
        return undefined;
    }

    function parseRepetition(): { min: number; max: number } | undefined {
        const start = at;
        const sign = takeOne("*+?");
        if (sign !== undefined) return { min: sign === "+" ? 1 : 0, max: sign === "?" ? 1 : Infinity };
        if (takeOne("{") === undefined) return undefined;
        const [, least = "", comma, most] =
            /^\{\s*(\d+)\s*(,)?\s*(\d+)?\s*\}$/.exec(`{${take(/[^}]*\}/y) ?? ""}`) ?? [];
        const min = Number(least);
        const max = comma === undefined ? min : most === undefined ? Infinity : Number(most);
        if (least === "") invalid(start, "a number of repetitions is written {3}, {3,} or {3,5}");
        if (max < min) invalid(start, `{${min},${max}} is a range without numbers`);
        if (min > MOST_REPETITIONS || (max !== Infinity && max > MOST_REPETITIONS)) {
            invalid(start, `there may be at most ${MOST_REPETITIONS} repetitions; {${min},} has no upper bound`);
        }
        return { min, max };
    }

    /** What stands in the place of an element and its repetition. `ruleAt`: the beginning of the rule. */
    function repeat(
        element: Element,
        { min, max }: { min: number; max: number },
        start: number,
        ruleAt: number,
    ): Element {
        const weight = element.weight * Math.max(1, max === Infinity ? min : max);
        if (weight > MOST_REPETITIONS) {
            invalid(start, `repetitions inside of repetitions are more than ${MOST_REPETITIONS} together`);
        }
        const optional = max === Infinity ? 1 : max - min;
        const written = checkSize(min * element.size + optional * (element.size + 3));
        generated += optional;
        if (max > 1) repeated.push({ symbols: element.symbols, at: ruleAt });
        const [first] = element.symbols;
        const one =
            element.symbols.length === 1 && first !== undefined
                ? first
                : addRule({ at: ruleAt, alternatives: [element.symbols] });
        const symbols = new Array<GrammarSymbol>(min).fill(one);
        if (max === Infinity) {
            const self: GrammarSymbol = { kind: "rule", rule: rules.length };
            symbols.push(addRule({ at: ruleAt, alternatives: [[one, self], []] }));
        } else {
            // One inside the other, so that there is one way to read each number of repetitions.
            let rest: GrammarSymbol[] = [];
            for (let count = 0; count < optional; count++) {
                rest = [addRule({ at: ruleAt, alternatives: [[one, ...rest], []] })];
            }
            symbols.push(...rest);
        }
        return { symbols, size: written, weight };
    }

    function parseAlternatives(depth: number, ruleAt: number): { alternatives: Alternative[]; size: number } {
        const alternatives: Alternative[] = [];
        let written = 1;
        do {
            skip(true);
            const { symbols, size: more } = parseSequence(depth, ruleAt);
            alternatives.push(symbols);
            written = checkSize(written + 1 + more);
        } while (takeOne("|") !== undefined);
        return { alternatives, size: written };
    }

    function parseGroup(start: number, depth: number, ruleAt: number): Element {
        if (depth === DEEPEST_GROUP) invalid(start, `groups are nested more than ${DEEPEST_GROUP} deep`);
        const count = places.size + generated;
        generated++;
        const { alternatives, size: written } = parseAlternatives(depth + 1, ruleAt);
        if (takeOne(")") === undefined) invalid(at, `a \`)\` is missing before ${here()}`);
        const symbols = [addRule({ at: ruleAt, alternatives })];
        return { symbols, size: written, weight: Math.max(1, places.size + generated - count) };
    }

    function parseSequence(depth: number, ruleAt: number): { symbols: GrammarSymbol[]; size: number } {
        const symbols: GrammarSymbol[] = [];
        let written = 0;
        let last: Element | undefined;
        const finish = (): void => {
            for (const symbol of last?.symbols ?? []) symbols.push(symbol);
            written = checkSize(written + (last?.size ?? 0));
        };
        for (;;) {
            const start = at;
            const repetition = parseRepetition();
            if (repetition !== undefined) {
                if (last === undefined || last.size === 0) {
                    return invalid(start, "there is nothing before it to repeat");
                }
                last = repeat(last, repetition, start, ruleAt);
            } else {
                const element = takeOne("(") === undefined ? parsePlain() : parseGroup(start, depth, ruleAt);
                finish();
                if (element === undefined) return { symbols, size: written };
                last = element;
            }
            skip(depth > 0);
        }
    }

    skip(true);
    while (at < text.length) {
        const start = at;
        const name = take(NAME) ?? invalid(at, `a rule begins with its name, not with ${here()}`);
        skip(false);
        if (take(/::=/y) === undefined) {
            invalid(at, `\`::=\` is missing before ${here()}; names are made of letters, digits and hyphens`);
        }
        const place = placeOf(name);
        if (rules[place] !== undefined) invalid(start, `the rule \`${name}\` is defined twice`);
        const { alternatives, size: written } = parseAlternatives(0, start);
        rules[place] = { name, at: start, alternatives };
        size += checkSize(written);
        if (at < text.length && take(/\r\n?|\n/y) === undefined) invalid(at, `${here()} is not expected here`);
        skip(true);
    }
    return { rules, root: places.get("root"), tokens, uses, repeated };
}

/**
 * Disjoint, ascending ranges of characters that a text can hold. Not of NUL, which llama.cpp takes for the end of a
 * token, nor of halves of surrogate pairs.
 */
function normalize(ranges: [number, number][], isInverted: boolean): CharacterRanges {
    const sorted = ranges.filter(([first, last]) => first <= last).sort((a, b) => a[0] - b[0]);
    const merged: [number, number][] = [];
    for (const [first, last] of sorted) {
        const before = merged.at(-1);
        if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
        else merged.push([first, last]);
    }
    const wanted: [number, number][] = isInverted ? [] : merged;
    if (isInverted) {
        let first = 0;
        for (const [begin, end] of merged) {
            wanted.push([first, begin - 1]);
            first = end + 1;
        }
        wanted.push([first, LAST_CHARACTER]);
    }
    return wanted.flatMap(([first, last]) =>
        [
            [Math.max(first, 1), Math.min(last, 0xd7ff)] as const,
            [Math.max(first, 0xe000), Math.min(last, LAST_CHARACTER)] as const,
        ].filter(([begin, end]) => begin <= end),
    );
}
