/** Bodies of requests: JSON within bounds, in which what is null counts as absent. */

import { EftError } from "../errors.js";
import type { JsonValue } from "../types.js";

/** Levels of objects and lists. */
const MAX_DEPTH = 64;
/** Entries that are somebody else's schema or data, where null means null. */
const OPAQUE = new Set(["schema", "input_schema", "metadata"]);

/** @throws EftError OPTION_INVALID */
export function readBody(text: string): JsonValue {
    checkDepth(text);
    try {
        return JSON.parse(text, (key, value: JsonValue) => (key === "__proto__" ? undefined : value)) as JsonValue;
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new EftError("OPTION_INVALID", `The body is not JSON: ${reason}.`, { cause: error });
    }
}

/** Before anything is built: what builds and what looks at it may call itself for each level. */
function checkDepth(text: string): void {
    let depth = 0;
    let inText = false;
    for (let index = 0; index < text.length; index++) {
        const character = text[index];
        if (inText) {
            if (character === "\\") index++;
            else if (character === '"') inText = false;
        } else if (character === '"') {
            inText = true;
        } else if (character === "{" || character === "[") {
            if (++depth > MAX_DEPTH)
                throw new EftError("OPTION_INVALID", `The body has more than ${MAX_DEPTH} levels; flatten it.`);
        } else if (character === "}" || character === "]") {
            depth--;
        }
    }
}

/** A copy without entries that are null; lists keep theirs. */
export function withoutNulls(value: JsonValue): JsonValue {
    if (Array.isArray(value)) return (value as readonly JsonValue[]).map(withoutNulls);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
        Object.entries(value)
            .filter(([, entry]) => entry !== null)
            .map(([key, entry]) => [key, isOpaque(value, key) ? entry : withoutNulls(entry)]),
    );
}

/** Tools have a name beside their parameters, and calls one beside their input; dials and conversations have none. */
function isOpaque(owner: object, key: string): boolean {
    return OPAQUE.has(key) || ((key === "parameters" || key === "input") && "name" in owner);
}
