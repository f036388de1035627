/** Checks of option values, in one wording. */

import { EftError } from "./errors.js";

/** The value if it is an integer within [min, max] (inclusive). @throws EftError OPTION_INVALID */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new EftError("OPTION_INVALID", `${name} must be a whole number from ${min} to ${max}, not ${show(value)}.`);
}

/**
 * The value if it is a finite number within [min, max] (inclusive).
 *
 * @param min - `Number.MIN_VALUE` where the range begins above 0
 * @throws EftError OPTION_INVALID
 */
export function checkNumber(name: string, value: unknown, min: number, max: number): number {
    if (typeof value === "number" && Number.isFinite(value) && value >= min && value <= max) return value;
    const range = min === Number.MIN_VALUE ? `above 0 and at most ${max}` : `from ${min} to ${max}`;
    throw new EftError("OPTION_INVALID", `${name} must be a number ${range}, not ${show(value)}.`);
}

/** The value if it is one of `allowed`. @throws EftError OPTION_INVALID */
export function checkOneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    throw new EftError("OPTION_INVALID", `${name} must be one of ${allowed.join(", ")}, not ${show(value)}.`);
}

/** The value if it is a text. @throws EftError OPTION_INVALID */
export function checkText(name: string, value: unknown): string {
    if (typeof value === "string") return value;
    throw new EftError("OPTION_INVALID", `${name} must be a text, not ${show(value)}.`);
}

/** Refuses misspelled options. @throws EftError OPTION_INVALID */
export function checkKeys(name: string, options: object, allowed: readonly string[]): void {
    for (const key of Object.keys(options)) {
        if (!allowed.includes(key)) {
            throw new EftError("OPTION_INVALID", `${name} has no option ${key}; there are: ${allowed.join(", ")}.`);
        }
    }
}

function show(value: unknown): string {
    return typeof value === "string" ? JSON.stringify(value) : String(value);
}
