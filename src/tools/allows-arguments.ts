/** Whether what is written as a call is one. Schemas are those of strangers, and so are the texts that a model writes. */

import { EftError } from "../errors.js";
import { isValidJson } from "../grammar/json-schema.js";
import type { ParsedCall } from "./call-parser.js";
import type { ResolvedTool } from "./types.js";

/**
 * Whether a tool's schema allows arguments. What takes too much to be told is a call, since it is written as one; so is what a
 * schema says that cannot be enforced.
 */
export function allowsArguments({ parameters }: ResolvedTool, values: ParsedCall["arguments"]): boolean {
    try {
        return isValidJson(parameters, values);
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        return true;
    }
}
