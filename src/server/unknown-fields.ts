/** Fields of a body that its schema does not have. */

import { toParam } from "./validation.js";
import type { JsonValue } from "../types.js";

/** Of what a schema may say, as much as bodies need. */
interface Schema {
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly items?: Schema;
    readonly anyOf?: readonly Schema[];
}

/**
 * Clients send fields that are newer than a server, and none of them keeps an answer from being written.
 *
 * @param most - how many are named
 * @returns their paths, each once whatever its place in a list
 */
export function unknownFields(schema: Schema, body: JsonValue, most: number): string[] {
    const found = new Set<string>();
    const visit = (known: readonly Schema[], value: JsonValue, path: readonly string[]): void => {
        if (typeof value !== "object" || value === null || found.size >= most) return;
        const schemas = known.flatMap((each) => [each, ...(each.anyOf ?? [])]);
        if (Array.isArray(value)) {
            const items = schemas.flatMap((each) => each.items ?? []);
            if (items.length > 0) for (const entry of value as JsonValue[]) visit(items, entry, [...path, "0"]);
            return;
        }
        const fields = schemas.map(({ properties = {} }) => properties);
        // What may hold anything names nothing.
        if (fields.every((each) => Object.keys(each).length === 0)) return;
        for (const [name, entry] of Object.entries(value)) {
            const inner = fields.filter((each) => Object.hasOwn(each, name)).flatMap((each) => each[name] ?? []);
            if (inner.length > 0) visit(inner, entry, [...path, name]);
            else if (found.size < most) found.add(toParam([...path, name]).replaceAll("[0]", "[]"));
        }
    };
    visit([schema], body, []);
    return [...found];
}
