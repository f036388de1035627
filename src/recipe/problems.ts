import { EftError, type EftErrorCode } from "../errors.js";

export { suggestion } from "../options.js";

/** A place in a recipe. */
export interface Location {
    /** File as it was named, or another word for where the text came from. */
    readonly file: string;
    /** Counts from 1. */
    readonly line: number;
    /** Counts from 1, in UTF-16 units. */
    readonly column: number;
}

/** An error and where it belongs. */
export interface Problem {
    readonly at: Location;
    readonly error: EftError;
}

const MAX_SHOWN = 5;

/** The message is one line and begins with `file:line:column:`, which editors and terminals turn into a link. */
export function problem(code: EftErrorCode, at: Location, text: string): Problem {
    const printable = text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ");
    return { at, error: new EftError(code, `${at.file}:${at.line}:${at.column}: ${printable}`) };
}

/** Throws nothing, the only problem, or one error with the code of the first problem and the first few messages. */
export function throwProblems(problems: readonly Problem[]): void {
    const errors = problems
        .toSorted((a, b) => a.at.line - b.at.line || a.at.column - b.at.column)
        .map(({ error }) => error);
    const [first, second] = errors;
    if (first === undefined) return;
    if (second === undefined) throw first;
    const lines = errors.slice(0, MAX_SHOWN).map(({ message }) => message);
    if (errors.length > MAX_SHOWN) lines.push(`... and ${errors.length - MAX_SHOWN} more`);
    throw new EftError(first.code, lines.join("\n"));
}

/** `a number from 0 to 2`, or what is left of it where an end is open. */
export function describeRange(min: number, max: number): string {
    if (min === -Infinity && max === Infinity) return "a finite number";
    if (min === -Infinity) return `a number of at most ${max}`;
    return max === Infinity ? `a number of at least ${min}` : `a number from ${min} to ${max}`;
}
