/** What JSON schemas are given as. Nothing of Node is needed here. */

import { EftError, type EftErrorCode } from "../errors.js";

/** A JSON schema, of which most can be enforced: see docs/structured-output.md. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** Something that knows its JSON schema, such as a type of zod 4. */
export interface SchemaSource {
    /**
     * @param options - asks for the schema of what is parsed, and not of what parsing gives: a model writes the former
     * @returns the schema, as an object of JSON
     */
    toJSONSchema(options?: { readonly io: "input" }): unknown;
}

/** How errors speak of a schema that cannot be asked for. */
export interface SchemaPlace {
    readonly code: EftErrorCode;
    /** A sentence without its full stop. */
    readonly message: string;
}

const AT_ROOT: SchemaPlace = {
    code: "GRAMMAR_INVALID",
    message: "The JSON schema cannot be enforced at #: it cannot be read",
};

/**
 * What was given, or the JSON schema of what knows its own.
 *
 * @throws EftError as `place` says if it cannot be asked; GRAMMAR_INVALID by default
 */
export function readSchema(given: unknown, { code, message }: SchemaPlace = AT_ROOT): unknown {
    if (typeof given !== "object" || given === null) return given;
    try {
        const { toJSONSchema } = given as Partial<SchemaSource>;
        return typeof toJSONSchema === "function" ? toJSONSchema.call(given, { io: "input" }) : given;
    } catch (error) {
        if (EftError.isInstance(error)) throw error;
        const reason = error instanceof Error ? `: ${error.message}` : "";
        throw new EftError(code, `${message}${reason}.`, { cause: error });
    }
}
