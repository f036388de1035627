/** What JSON schemas are given as. Nothing of Node is needed here. */

import { EftError } from "../errors.js";

/** A JSON schema, of which most can be enforced: see docs/structured-output.md. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** Something that knows its JSON schema, such as a type of zod 4. */
export interface SchemaSource {
    /** @returns the schema, as an object of JSON */
    toJSONSchema(): unknown;
}

/**
 * The JSON schema that was given, or that of what knows its own.
 *
 * @throws EftError GRAMMAR_INVALID if it cannot be asked
 */
export function readSchema(given: JsonSchema | SchemaSource): JsonSchema {
    if (typeof given !== "object") return given;
    try {
        // What is given may be null, whatever its type says.
        const { toJSONSchema } = (given as Partial<SchemaSource> | null) ?? {};
        return typeof toJSONSchema === "function" ? (toJSONSchema.call(given) as JsonSchema) : (given as JsonSchema);
    } catch (error) {
        if (EftError.isInstance(error)) throw error;
        const reason = error instanceof Error ? `: ${error.message}` : "";
        throw new EftError("GRAMMAR_INVALID", `The JSON schema cannot be enforced at #: it cannot be read${reason}.`, {
            cause: error,
        });
    }
}
