/**
 * Checks of what callers hand in, in one wording. A function that takes options has a table of them, which says for each
 * what it may be; {@link checkOptions} does the rest. `undefined` means absent everywhere.
 */

import { closest, distance } from "fastest-levenshtein";
import { EftError } from "./errors.js";

/** The value, or a copy of it, if it may be that. @throws EftError OPTION_INVALID */
export interface Check<T> {
    (name: string, value: unknown): T;
    /** Of the options inside. */
    readonly names?: readonly string[];
}

/** A check for each option. */
export type OptionTable<Options> = {
    readonly [Name in keyof Options]-?: Check<Exclude<Options[Name], undefined>>;
};

/**
 * A copy of the options, without those that are undefined.
 *
 * @param owner - the function, for messages
 * @throws EftError OPTION_INVALID
 */
export function checkOptions<Options>(owner: string, options: unknown, table: OptionTable<Options>): Options {
    return checkEntries(owner, mapping(`What ${owner} takes`, options), table);
}

/** Options inside of options. */
export function optionsOf<Options>(
    owner: string,
    table: OptionTable<Options>,
): Check<Options> & { readonly names: readonly string[] } {
    const check = (name: string, value: unknown): Options => checkEntries(owner, mapping(name, value), table);
    return Object.assign(check, { names: Object.keys(table) });
}

function checkEntries<Options>(
    owner: string,
    given: Readonly<Record<string, unknown>>,
    table: OptionTable<Options>,
): Options {
    const checks = table as Readonly<Record<string, Check<unknown>>>;
    const names = Object.keys(checks);
    return Object.fromEntries(
        Object.entries(given).map(([name, value]) => {
            const check = names.includes(name) ? checks[name] : undefined;
            if (check === undefined)
                throw invalid(`${owner} has no option ${name}; ${meant(name, checks) ?? listed(checks)}`);
            return [name, reading(name, () => check(name, value))];
        }),
    ) as Options;
}

/** What an option that is none was meant as, in the rest of a sentence; undefined where nothing resembles it. */
export function meant(name: string, table: Readonly<Record<string, Check<unknown>>>): string | undefined {
    const inner = Object.entries(table).find(([, { names = [] }]) => names.includes(name))?.[0];
    if (inner !== undefined) return `it belongs in ${inner}: { ${inner}: { ${name}: ... } }.`;
    const own = guess(name, Object.keys(table));
    if (own !== undefined) return question(own);
    for (const [outer, { names = [] }] of Object.entries(table)) {
        const guessed = guess(name, names);
        if (guessed !== undefined) return question(guessed, ` in ${outer}`);
    }
    return undefined;
}

function listed(table: Readonly<Record<string, Check<unknown>>>): string {
    const names = Object.keys(table);
    const dials = names.find((name) => table[name] === DIALS);
    const others = dials === undefined ? "" : `; parameters of the recipe belong in ${dials}`;
    return `there are: ${names.join(", ")}${others}.`;
}

/** What looks at a caller's value may get an error from it: getters and Proxies are the caller's code. */
export function reading<T>(name: string, read: () => T): T {
    try {
        return read();
    } catch (error) {
        if (EftError.isInstance(error)) throw error;
        throw new EftError("OPTION_INVALID", `${name} cannot be read; give a plain value.`, { cause: error });
    }
}

/** A whole number within [min, max], inclusive. */
export function integer(min: number, max: number): Check<number> {
    return (name, value) => checkInteger(name, value, min, max);
}

/** A finite number within [min, max], inclusive; `Number.MIN_VALUE` where the range begins above 0. */
export function number(min: number, max: number): Check<number> {
    return (name, value) => checkNumber(name, value, min, max);
}

/** One of some texts. */
export function oneOf<T extends string>(allowed: readonly T[]): Check<T> {
    return (name, value) => checkOneOf(name, value, allowed);
}

/** true or false. */
export const boolean: Check<boolean> = (name, value) => {
    if (typeof value === "boolean") return value;
    throw invalid(`${name} must be true or false, not ${show(value)}.`);
};

/** A text. */
export const string: Check<string> = (name, value) => {
    if (typeof value === "string") return value;
    throw invalid(`${name} must be a text, not ${show(value)}.`);
};

/** The name of a place; the empty one would be where the program happens to run. */
export const place: Check<string> = (name, value) => {
    if (string(name, value) !== "") return value as string;
    throw invalid(`${name} must not be empty.`);
};

/** A function; what it is given and returns shows when it is called. */
export const callback: Check<never> = (name, value) => {
    if (typeof value === "function") return value as never;
    throw invalid(`${name} must be a function, not ${show(value)}.`);
};

/** Anything that does what an `AbortSignal` does: it may be of another realm. */
export const abortSignal: Check<AbortSignal> = (name, value) => {
    const { aborted, addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>;
    const listens = typeof addEventListener === "function" && typeof removeEventListener === "function";
    if (typeof aborted === "boolean" && listens) return value as AbortSignal;
    const remedy = value instanceof AbortController ? "; give its `signal`" : "";
    throw invalid(`${name} must be an AbortSignal, not ${show(value)}${remedy}.`);
};

/** An object of values by name, without those that are undefined. What the values are is for the caller to check. */
export function mapping<T = never>(name: string, value: unknown): Readonly<Record<string, T>> {
    return reading(name, () => {
        if (typeof value !== "object" || value === null || Array.isArray(value))
            throw invalid(`${name} must be an object, not ${show(value)}.`);
        return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined));
    });
}

/** Values of a recipe's parameters, by name. */
export const DIALS: Check<Readonly<Record<string, number>>> = (name, value) => mapping<number>(name, value);

/** A list whose elements pass a check; holes do not. */
export function listOf<T>(check: Check<T>): Check<readonly T[]> {
    return (name, value) =>
        reading(name, () => {
            if (!Array.isArray(value)) throw invalid(`${name} must be a list, not ${show(value)}.`);
            return Array.from(value as readonly unknown[], (element, index) => check(`${name}[${index}]`, element));
        });
}

/** For what somebody else checks. */
export const unchecked: Check<never> = (_name, value) => value as never;

/** The value if it is an integer within [min, max] (inclusive). @throws EftError OPTION_INVALID */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    throw invalid(`${name} must be a whole number from ${min} to ${max}, not ${show(value)}.`);
}

/**
 * The value if it is a finite number within [min, max] (inclusive).
 *
 * @param min - `Number.MIN_VALUE` where the range begins above 0
 * @throws EftError OPTION_INVALID
 */
function checkNumber(name: string, value: unknown, min: number, max: number): number {
    if (typeof value === "number" && Number.isFinite(value) && value >= min && value <= max) return value;
    const range = min === Number.MIN_VALUE ? `above 0 and at most ${max}` : `from ${min} to ${max}`;
    throw invalid(`${name} must be a number ${range}, not ${show(value)}.`);
}

/** The value if it is one of `allowed`. @throws EftError OPTION_INVALID */
export function checkOneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    throw invalid(`${name} must be one of ${allowed.join(", ")}, not ${show(value)}.`);
}

/** `did you mean "x"?` if one of the candidates begins so or is a few keystrokes away, else what there is to choose from. */
export function suggestion(name: string, candidates: readonly string[]): string {
    if (candidates.length === 0) return "there are none";
    const guessed = guess(name, candidates);
    return guessed === undefined ? `possible: ${candidates.join(", ")}` : question(guessed);
}

function question(guessed: string, place = ""): string {
    return `did you mean "${guessed}"${place}?`;
}

/** The candidate that was meant; undefined where none resembles the name. */
function guess(name: string, candidates: readonly string[]): string | undefined {
    const wanted = name.toLowerCase();
    const nearest = (names: readonly string[]): string => {
        const best = closest(
            wanted,
            names.map((each) => each.toLowerCase()),
        );
        return names.find((each) => each.toLowerCase() === best) ?? "";
    };
    const match = nearest(candidates);
    const away = distance(wanted, match.toLowerCase());
    const beginSo = candidates.filter((candidate) => candidate.toLowerCase().startsWith(wanted));
    // `temp` is temperature and not topP; `drafters` is one slip from drafter.
    if (away > 1 && wanted.length >= 3 && beginSo.length > 0) return nearest(beginSo);
    if (away <= Math.ceil(Math.min(name.length, match.length) / 3)) return match;
    // `ctx` is contextSize; `foo` is nothing.
    const short = /^.[^aeiou]{2,}$/.test(wanted)
        ? candidates.filter((each) => abbreviates(wanted, each.toLowerCase()))
        : [];
    return short.length > 0 ? nearest(short) : undefined;
}

/** Whether a text begins as another one, and all its letters are there in the same order. */
function abbreviates(text: string, whole: string): boolean {
    if (text[0] !== whole[0]) return false;
    let at = 0;
    return [...text].every((letter) => (at = whole.indexOf(letter, at) + 1) > 0);
}

/** A value in a message, whatever it is. */
export function show(value: unknown): string {
    try {
        return describe(value);
    } catch {
        return "what cannot be read";
    }
}

function describe(value: unknown): string {
    if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
    if (Array.isArray(value)) return "a list";
    if (typeof value === "function") return "a function";
    if (typeof value !== "object" || value === null) return String(value);
    const { constructor } = value as { readonly constructor?: unknown };
    const name = typeof constructor === "function" ? constructor.name : "";
    return name === "" || name === "Object" ? "an object" : `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
}

function invalid(message: string): EftError {
    return new EftError("OPTION_INVALID", message);
}
