/**
 * Reads GBNF, llama.cpp's notation of grammars (https://github.com/ggml-org/llama.cpp/tree/master/grammars), before
 * llama.cpp does: says where a mistake is, and keeps out what llama.cpp would hang on or run out of memory.
 */

import { EftError } from "../errors.js";

/** A token that a grammar names: `<[5]>` by its id, `<think>` by its text. */
export type NamedToken = { readonly id: number } | { readonly text: string };

type Element =
    /** Characters or a token; `size` 0 matches nothing and goes on. */
    | { readonly kind: "terminal"; readonly size: number }
    | { readonly kind: "rule"; readonly name: string; readonly at: number }
    | { readonly kind: "group"; readonly alternatives: readonly Alternative[] }
    | { readonly kind: "repeat"; readonly element: Element; readonly min: number; readonly max: number };
type Alternative = readonly Element[];

interface Rule {
    readonly at: number;
    readonly alternatives: readonly Alternative[];
}

/** llama.cpp takes more repetitions for infinitely many, or refuses them. */
export const MOST_REPETITIONS = 2000;
const MOST_ELEMENTS = 100_000;
const DEEPEST_GROUP = 100;

/**
 * @param what - how messages call the grammar
 * @returns the tokens that it names
 * @throws EftError GRAMMAR_INVALID with line and column
 */
export function checkGbnf(text: string, what = "The grammar"): readonly NamedToken[] {
    const { rules, tokens } = parse(text, (at, reason) => fail(text, what, at, reason));
    const invalid = (at: number, reason: string): never => fail(text, what, at, reason);
    if (!rules.has("root")) invalid(0, "there is no rule `root`, with which a text begins");
    for (const { name, at } of [...rules.values()].flatMap(({ alternatives }) => alternatives.flat().flatMap(refs))) {
        if (!rules.has(name)) invalid(at, `there is no rule \`${name}\``);
    }
    const isEmpty = findEmpty(rules);
    for (const { at, alternatives } of rules.values()) {
        for (const element of alternatives.flat().flatMap(inner)) {
            if (element.kind === "repeat" && element.max > 1 && isEmpty(element.element)) {
                invalid(
                    at,
                    "this rule repeats something that may be empty; take the `?` or `*` out of what is repeated",
                );
            }
        }
    }
    checkLeftRecursion(rules, isEmpty, invalid);
    const size = sum([...rules.values()].map(({ alternatives }) => sizeOf({ kind: "group", alternatives })));
    if (size > MOST_ELEMENTS) {
        invalid(0, `it has more than ${MOST_ELEMENTS} elements once its repetitions are written out; reduce those`);
    }
    return tokens;
}

function fail(text: string, what: string, at: number, reason: string): never {
    const before = text.slice(0, at).split("\n");
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
    throw new EftError("GRAMMAR_INVALID", `${what} cannot be used (${place}): ${reason}.`);
}

/** Parses as llama.cpp does, but for what can only be a mistake: a rule that is defined twice, an empty `[]`. */
function parse(text: string, invalid: (at: number, reason: string) => never) {
    const rules = new Map<string, Rule>();
    const tokens: NamedToken[] = [];
    /** Rules that llama.cpp will have: those that are named so far, and one for each group and each optional repetition. */
    const names = new Set<string>();
    let generated = 0;
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
    const skip = (newlines: boolean): void =>
        void take(newlines ? /(?:[ \t\r\n]|#[^\r\n]*)*/y : /(?:[ \t]|#[^\r\n]*)*/y);
    const here = (): string => {
        const next = String.fromCodePoint(text.codePointAt(at) ?? 0);
        return at >= text.length ? "the end" : JSON.stringify(next);
    };

    function takeCharacter(): void {
        if (take(/\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[trn\\"[\]-])|[^\\]/uy) !== undefined) return;
        if (at >= text.length) invalid(at, "it ends inside quotes or brackets");
        invalid(at, 'no such escape; there are \\" \\\\ \\[ \\] \\- \\n \\r \\t \\x0A \\u000A \\U0000000A');
    }

    function parseTerminal(): Element | undefined {
        const start = at;
        let size = 0;
        if (take(/"/y) !== undefined) {
            for (; take(/"/y) === undefined; size++) takeCharacter();
            return { kind: "terminal", size };
        }
        if (take(/\[\^?/y) !== undefined) {
            for (; take(/\]/y) === undefined; size++) takeCharacter();
            if (size === 0) invalid(start, "these brackets are empty");
            return { kind: "terminal", size };
        }
        if (take(/\./y) !== undefined) return { kind: "terminal", size: 1 };
        const token = take(/!?<(?:\[\d{1,9}\]|[^>\n[][^>\n]*)>/y);
        if (token !== undefined) {
            const id = /\[(\d+)\]/.exec(token)?.[1];
            tokens.push(id === undefined ? { text: token.replace("!", "") } : { id: Number(id) });
            return { kind: "terminal", size: 1 };
        }
        if (take(/!?</y) !== undefined) invalid(start, "a token is written <[5]> by its id, or <think> by its text");
        return undefined;
    }

    function parseRepetition(): { min: number; max: number } | undefined {
        const start = at;
        const sign = take(/[*+?]/y);
        if (sign !== undefined) return { min: sign === "+" ? 1 : 0, max: sign === "?" ? 1 : Infinity };
        if (take(/\{/y) === undefined) return undefined;
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

    function parseAlternatives(depth: number): Alternative[] {
        const alternatives = [parseSequence(depth)];
        while (take(/\|/y) !== undefined) {
            skip(true);
            alternatives.push(parseSequence(depth));
        }
        return alternatives;
    }

    function parseSequence(depth: number): Alternative {
        const sequence: Element[] = [];
        /** How many of llama.cpp's rules the last element stands for: their product with the repetitions is limited. */
        let weight = 1;
        for (;;) {
            const start = at;
            const count = names.size + generated;
            const repetition = parseRepetition();
            const name = repetition === undefined ? take(/[a-zA-Z\d-]+/y) : undefined;
            if (repetition !== undefined) {
                const element = sequence.pop();
                if (element === undefined || (element.kind === "terminal" && element.size === 0)) {
                    return invalid(start, "there is nothing before it to repeat");
                }
                const { min, max } = repetition;
                weight *= Math.max(1, max === Infinity ? min : max);
                if (weight > MOST_REPETITIONS) {
                    invalid(start, `repetitions inside of repetitions are more than ${MOST_REPETITIONS} together`);
                }
                generated += max === Infinity ? 1 : max - min;
                sequence.push({ kind: "repeat", element, min, max });
            } else if (name !== undefined) {
                names.add(name);
                sequence.push({ kind: "rule", name, at: start });
            } else if (take(/\(/y) !== undefined) {
                if (depth === DEEPEST_GROUP) invalid(start, `groups are nested more than ${DEEPEST_GROUP} deep`);
                skip(true);
                generated++;
                const alternatives = parseAlternatives(depth + 1);
                if (take(/\)/y) === undefined) invalid(at, `a \`)\` is missing before ${here()}`);
                sequence.push({ kind: "group", alternatives });
            } else {
                const terminal = parseTerminal();
                if (terminal === undefined) return sequence;
                sequence.push(terminal);
            }
            if (repetition === undefined) weight = Math.max(1, names.size + generated - count);
            skip(depth > 0);
        }
    }

    skip(true);
    while (at < text.length) {
        const start = at;
        const name = take(/[a-zA-Z\d-]+/y) ?? invalid(at, `a rule begins with its name, not with ${here()}`);
        skip(false);
        if (take(/::=/y) === undefined) {
            invalid(at, `\`::=\` is missing before ${here()}; names are made of letters, digits and hyphens`);
        }
        if (rules.has(name)) invalid(start, `the rule \`${name}\` is defined twice`);
        names.add(name);
        skip(true);
        rules.set(name, { at: start, alternatives: parseAlternatives(0) });
        if (at < text.length && take(/\r\n?|\n/y) === undefined) invalid(at, `${here()} is not expected here`);
        skip(true);
    }
    return { rules, tokens };
}

/** An element and all inside of it. */
function inner(element: Element): Element[] {
    if (element.kind === "group") return [element, ...element.alternatives.flat().flatMap(inner)];
    return element.kind === "repeat" ? [element, ...inner(element.element)] : [element];
}

function refs(element: Element): Extract<Element, { kind: "rule" }>[] {
    return inner(element).filter((one) => one.kind === "rule");
}

/** How many elements llama.cpp makes of it. */
function sizeOf(element: Element): number {
    switch (element.kind) {
        case "terminal":
            return element.size;
        case "rule":
            return 1;
        case "group":
            return 1 + sum(element.alternatives.map((alternative) => 1 + sum(alternative.map(sizeOf))));
        case "repeat": {
            const { min, max } = element;
            const size = sizeOf(element.element);
            return min * size + (max === Infinity ? 1 : max - min) * (size + 3);
        }
    }
}

/** Tells of each element whether it may stand for no text at all. */
function findEmpty(rules: ReadonlyMap<string, Rule>): (element: Element) => boolean {
    const empty = new Set<string>();
    const isEmpty = (element: Element): boolean => {
        switch (element.kind) {
            case "terminal":
                return element.size === 0;
            case "rule":
                return empty.has(element.name);
            case "group":
                return element.alternatives.some((alternative) => alternative.every(isEmpty));
            case "repeat":
                return element.min === 0 || isEmpty(element.element);
        }
    };
    for (let before = -1; before < empty.size;) {
        before = empty.size;
        for (const [name, { alternatives }] of rules) if (isEmpty({ kind: "group", alternatives })) empty.add(name);
    }
    return isEmpty;
}

/** A rule that may begin with itself has no first character: llama.cpp would look for it for ever. */
function checkLeftRecursion(
    rules: ReadonlyMap<string, Rule>,
    isEmpty: (element: Element) => boolean,
    invalid: (at: number, reason: string) => never,
): void {
    const beginnings = (alternative: Alternative): string[] => {
        const end = alternative.findIndex((element) => !isEmpty(element));
        return alternative.slice(0, end < 0 ? undefined : end + 1).flatMap((element) => {
            if (element.kind === "rule") return [element.name];
            if (element.kind === "group") return element.alternatives.flatMap(beginnings);
            return element.kind === "repeat" ? beginnings([element.element]) : [];
        });
    };
    // Rules are taken away once all that they may begin with is away; what stays goes round in circles.
    const left = new Map(
        [...rules].map(([name, { alternatives }]) => [name, new Set(alternatives.flatMap(beginnings))]),
    );
    const users = new Map<string, string[]>();
    for (const [name, others] of left)
        for (const other of others) users.set(other, [...(users.get(other) ?? []), name]);
    const done = [...left].filter(([, others]) => others.size === 0).map(([name]) => name);
    for (const name of done) {
        left.delete(name);
        for (const user of users.get(name) ?? []) {
            const others = left.get(user);
            if (others?.delete(name) && others.size === 0) done.push(user);
        }
    }
    // Some of what stays only leads into a circle; whoever follows the arrows long enough is on it.
    let [name] = left.keys();
    for (let step = 0; step < left.size; step++) [name] = left.get(name ?? "") ?? [];
    if (name === undefined) return;
    invalid(rules.get(name)?.at ?? 0, `the rule \`${name}\` may begin with itself; let something stand before it`);
}

function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
}
