/** How the keywords of JSON schemas are refused. */

import { EftError } from "../errors.js";
import { show } from "../options.js";
import { spend, type Work } from "./work.js";

/** A keyword of a schema that does not constrain what comes. */
export interface UnenforcedKeyword {
    /** A JSON pointer to the schema that has it, such as `#/properties/a`. */
    readonly place: string;
    readonly keyword: string;
    readonly reason: string;
}

const CHARACTERS_OF_UNIT = 20;

export type Fields = Readonly<Record<string, unknown>>;

/** A schema and where it stands. */
export interface Located {
    readonly schema: unknown;
    readonly at: string;
}

/** How the keywords of one schema are refused. */
export interface Report {
    /** A keyword that cannot be enforced: an error, or kept for the result. */
    refuse(place: string, keyword: string, reason: string): void;
    /** Why no text satisfies what stands at a place: what else there is may still have texts. */
    note(place: string, reason: string): void;
    /** Counts what is looked at, in the units of work.ts. */
    readonly spend: (count: number) => void;
    readonly unenforced: readonly UnenforcedKeyword[];
    readonly notes: readonly { readonly place: string; readonly reason: string }[];
}

export function createReport(isStrict: boolean, work: Work): Report {
    const unenforced: UnenforcedKeyword[] = [];
    const notes: { place: string; reason: string }[] = [];
    return {
        unenforced,
        notes,
        spend: (count) => {
            spend(work, count);
        },
        refuse(place, keyword, reason) {
            if (isStrict) invalid(place, `\`${keyword}\` cannot be enforced: ${reason}`);
            if (unenforced.some((one) => one.place === place && one.keyword === keyword)) return;
            unenforced.push({ place, keyword, reason });
        },
        note(place, reason) {
            notes.push({ place, reason });
        },
    };
}

export function invalid(place: string, reason: string): never {
    const shown = place.length > 200 ? `${place.slice(0, 200)}...` : place;
    throw new EftError("GRAMMAR_INVALID", `The JSON schema cannot be enforced at ${shown}: ${reason}.`);
}

export function isObject(value: unknown): value is Fields {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isList(value: unknown): value is readonly unknown[] {
    return Array.isArray(value);
}

/** Equal for values that are equal, in whatever order their properties are. */
export function canonical(value: unknown): string {
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const pieces: string[] = [];
    write(value, pieces);
    return pieces.join("");
}

/** The same of a value that nobody has looked at yet. */
export function countedKey(value: unknown, spend: Report["spend"]): string {
    const key = canonical(value);
    // Texts are copied as they are.
    spend(typeof value === "string" ? key.length / CHARACTERS_OF_UNIT : key.length);
    return key;
}

/** Piece by piece: what is nested deep is not copied at each level. */
function write(value: unknown, pieces: string[]): void {
    if (isList(value)) {
        pieces.push("[");
        for (const item of value) {
            write(item, pieces);
            pieces.push(",");
        }
        pieces.push("]");
    } else if (isObject(value)) {
        pieces.push("{");
        for (const name of Object.keys(value).sort()) {
            pieces.push(JSON.stringify(name), ":");
            write(value[name], pieces);
            pieces.push(",");
        }
        pieces.push("}");
    } else pieces.push(JSON.stringify(value));
}

/**
 * A count that a keyword gives.
 *
 * @returns undefined: none, or one that cannot be enforced
 */
export function countOf(report: Report, { schema, at }: Located, keyword: string, largest: number): number | undefined {
    const value = (schema as Fields)[keyword];
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0) {
        return invalid(at, `\`${keyword}\` can be a whole number from 0 to ${largest}, not ${show(value)}`);
    }
    if (value <= largest) return value;
    report.refuse(at, keyword, `it can be a whole number from 0 to ${largest}, not ${show(value)}`);
    return undefined;
}
