/** Whether what is written as a call is one. */

import { Ajv2020 } from "ajv/dist/2020.js";
import type { ParsedCall } from "./call-parser.js";
import type { ResolvedTool } from "./types.js";

/** Whether a tool's schema allows arguments. What nobody can tell is a call, since it is written as one. */
export function allowsArguments({ parameters }: ResolvedTool, values: ParsedCall["arguments"]): boolean {
    try {
        const ajv = new Ajv2020({ strict: false, validateSchema: false, validateFormats: false, logger: false });
        return ajv.validate(parameters, values);
    } catch {
        return true;
    }
}
