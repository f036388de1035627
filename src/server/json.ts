/** Bodies of requests: JSON within bounds, in which what is null counts as absent. */

import { EftError } from "../errors.js";
import type { JsonValue } from "../types.js";

/** Levels of objects and lists. */
const MAX_DEPTH = 64;
/** Numbers, texts, objects and lists, and names in objects: each takes time in which nobody else is served, however short it is. */
const MAX_VALUES = 300_000;
const MAX_NAMES = 100_000;
/** Entries that are somebody else's schema or data, where null means null. */
const OPAQUE = new Set(["schema", "input_schema", "metadata"]);

/** @throws EftError OPTION_INVALID */
export function readBody(text: string): JsonValue {
    checkBounds(text);
    try {
        const body = JSON.parse(text) as JsonValue;
        prune(body, false);
        return body;
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new EftError("OPTION_INVALID", `The body is not JSON: ${reason}.`, { cause: error });
    }
}

/** Before anything is built: what builds and what looks at it may call itself for each level. */
function checkBounds(text: string): void {
    let depth = 0;
    let values = 1;
    let names = 0;
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
            values++;
        } else if (character === "}" || character === "]") {
            depth--;
        } else if (character === ",") {
            values++;
        } else if (character === ":") {
            names++;
        }
    }
    if (values <= MAX_VALUES && names <= MAX_NAMES) return;
    throw new EftError(
        "OPTION_INVALID",
        `The body has more than ${MAX_VALUES} values, or more than ${MAX_NAMES} names of fields; ask in several requests.`,
    );
}

/**
 * Takes out entries that are null, and those that would become prototypes; lists keep theirs.
 *
 * @param isData - whether it is somebody else's, and null means null
 */
function prune(value: JsonValue, isData: boolean): void {
    if (typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) {
        for (const entry of value as readonly JsonValue[]) prune(entry, isData);
        return;
    }
    const owner = value as Record<string, JsonValue>;
    for (const [key, entry] of Object.entries(owner)) {
        if (key === "__proto__" || (entry === null && !isData)) Reflect.deleteProperty(owner, key);
        else prune(entry, isData || isOpaque(owner, key));
    }
}

/** Tools have a name beside their parameters, and calls one beside their input; dials and conversations have none. */
function isOpaque(owner: object, key: string): boolean {
    return OPAQUE.has(key) || ((key === "parameters" || key === "input") && "name" in owner);
}
