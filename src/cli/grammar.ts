/** The flags that constrain a text, and what they mean to the library. */

import type { InferredOptionTypes, Options } from "yargs";
import { EftError, type JsonSchema } from "../index.js";
import { readTextFile } from "./input.js";

export const grammarOptions = {
    grammar: {
        type: "string",
        requiresArg: true,
        group: "Sampling:",
        description: "Grammar in GBNF or file of one; the text is one of its texts",
    },
    "json-schema": {
        type: "string",
        requiresArg: true,
        group: "Sampling:",
        description: "JSON schema or file of one; the text is JSON of it",
    },
} as const satisfies Record<string, Options>;

type GrammarFlags = InferredOptionTypes<typeof grammarOptions>;

/** For `check()`. */
export function checkGrammar({ grammar, "json-schema": schema }: GrammarFlags): void {
    if (grammar !== undefined && schema !== undefined)
        throw new Error("--grammar and --json-schema exclude each other.");
}

/**
 * What the flags say, for `complete()`.
 *
 * @throws EftError FILE_UNREADABLE, GRAMMAR_INVALID
 */
export async function chooseGrammar(flags: GrammarFlags): Promise<{ grammar?: string; jsonSchema?: JsonSchema }> {
    const { grammar, "json-schema": schema } = flags;
    if (grammar !== undefined) return { grammar: grammar.includes("::=") ? grammar : await readTextFile(grammar) };
    if (schema === undefined) return {};
    const isWritten = /^\s*\{/.test(schema);
    const text = isWritten ? schema : await readTextFile(schema);
    try {
        return { jsonSchema: JSON.parse(text) as JsonSchema };
    } catch (error) {
        const source = isWritten ? "--json-schema" : schema;
        throw new EftError("GRAMMAR_INVALID", `${source} is not JSON: ${(error as Error).message}.`, { cause: error });
    }
}
