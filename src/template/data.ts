/** What templates can be given. */

import type { JsonValue } from "../types.js";

/** Variables that every template is given anyway, and not by recipes or requests. */
export const RESERVED_VARIABLES: readonly string[] = ["messages", "add_generation_prompt", "bos_token", "eos_token"];

/** Levels of lists and mappings within each other. */
const MAX_DEPTH = 32;

/** Whether a value is something that JSON can say. */
export function isData(value: unknown, depth = 0): value is JsonValue {
    if (value === null || ["string", "boolean", "undefined"].includes(typeof value)) return true;
    if (typeof value === "number") return Number.isFinite(value);
    if (typeof value !== "object" || depth > MAX_DEPTH) return false;
    // Also where it comes from another realm, as through a message port.
    const prototype = Object.getPrototypeOf(value) as object | null;
    const isPlain = Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null;
    return isPlain && Object.values(value).every((each) => isData(each, depth + 1));
}
