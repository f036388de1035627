/** Tools that a model may call. */

import type { Fields } from "../grammar/schema-report.js";
import type { JsonSchema, SchemaSource } from "../grammar/schema-source.js";
import type { JsonValue } from "../types.js";

/** What can be called. */
export interface Tool {
    /** 1 to 64 letters, digits, `_`, `-` and `.`. */
    readonly name: string;
    /** When to call it and what it gives, for the model. */
    readonly description?: string | undefined;
    /** JSON schema of the arguments, an object; or something with `toJSONSchema()`, as zod's types have. Default: no arguments. */
    readonly parameters?: JsonSchema | SchemaSource | undefined;
}

/** The model decides; no tool; at least one call; at least one call, of this tool alone. */
export type ToolChoice = "auto" | "none" | "required" | { readonly tool: string };

/** What a model wants to be called. */
export interface ToolCall {
    /** Unlike those of all other calls of the answer; a message with the result names it. */
    readonly id: string;
    readonly name: string;
    readonly arguments: Readonly<Record<string, JsonValue>>;
}

/** A tool whose schema has been read. */
export interface ResolvedTool {
    readonly name: string;
    readonly description: string | undefined;
    /** Of an object. */
    readonly parameters: Fields;
}
