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
/** Units of work of a value, or a name, that becomes a part of a key. */
const VALUE = 4;
const REFUSAL = 10;

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
    /** By place and keyword, each of which is refused once, however often it is looked at. */
    const unenforced = new Map<string, UnenforcedKeyword>();
    const notes: { place: string; reason: string }[] = [];
    return {
        notes,
        get unenforced() {
            return [...unenforced.values()];
        },
        spend: (count) => {
            spend(work, count);
        },
        refuse(place, keyword, reason) {
            if (isStrict) invalid(place, `\`${keyword}\` cannot be enforced: ${reason}`);
            spend(work, REFUSAL + unitsOf([place, keyword]));
            const key = JSON.stringify([place, keyword]);
            if (!unenforced.has(key)) unenforced.set(key, { place, keyword, reason });
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

/** Equal for values that are equal, in whatever order their properties are. Counted, since many schemas may lead to a value. */
export function keyOf(value: unknown, spend: Report["spend"]): string {
    const pieces: string[] = [];
    write(value, pieces, spend);
    return pieces.join("");
}

/** Piece by piece: what is nested deep is not copied at each level, and what stands in many places ends before it is long. */
function write(value: unknown, pieces: string[], spend: Report["spend"]): void {
    if (isList(value)) {
        spend(VALUE * (value.length + 1));
        pieces.push("[");
        for (const item of value) {
            write(item, pieces, spend);
            pieces.push(",");
        }
        pieces.push("]");
    } else if (isObject(value)) {
        const names = Object.keys(value).sort();
        spend(VALUE * (2 * names.length + 1));
        pieces.push("{");
        for (const name of names) {
            pieces.push(textOf(name, spend), ":");
            write(value[name], pieces, spend);
            pieces.push(",");
        }
        pieces.push("}");
    } else pieces.push(textOf(value, spend));
}

/** The JSON text of a value, counted by its length. */
export function textOf(value: unknown, spend: Report["spend"]): string {
    const text = JSON.stringify(value);
    spend(unitsOf([text]));
    return text;
}

/** Units of work of texts that are looked at or copied as they are. */
export function unitsOf(texts: readonly string[]): number {
    let length = 0;
    for (const text of texts) length += text.length;
    return length / CHARACTERS_OF_UNIT;
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
