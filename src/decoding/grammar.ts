/** What constrains a completion: a grammar, given as one or as a JSON schema. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { Member } from "../ensemble/members.js";
import { flaggedIds } from "../models/token-tables.js";
import { EftError } from "../errors.js";
import type { NativeGrammar } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import type { NamedToken } from "../grammar/gbnf.js";
import { programOf } from "../grammar/gbnf-program.js";
import { callGrammar, prefixRules, textRules } from "../tools/call-grammar.js";
import type { AnswerPlan } from "./answer.js";
import { jsonSchemaToGbnf } from "../grammar/json-schema.js";
import type { UnenforcedKeyword } from "../grammar/schema-report.js";
import type { JsonSchema, SchemaSource } from "../grammar/schema-source.js";

/** At most one of them. */
export interface GrammarChoice {
    /** GBNF, llama.cpp's notation; the start symbol is `root`. */
    readonly grammar?: string | undefined;
    readonly jsonSchema?: JsonSchema | SchemaSource | undefined;
    /** Whether a keyword of the schema that cannot be enforced is an error. Default true. */
    readonly jsonSchemaStrict?: boolean | undefined;
}

export interface Constraint {
    readonly grammar: NativeGrammar;
    /** Keywords of the schema that are not enforced; undefined: an error if there were any. */
    readonly unenforced?: readonly UnenforcedKeyword[];
}

/**
 * The grammar at the beginning of a text; undefined: none.
 *
 * @throws EftError OPTION_INVALID, GRAMMAR_INVALID
 */
export function createGrammar(
    ensemble: Ensemble,
    { grammar, jsonSchema, jsonSchemaStrict: isStrict = true }: GrammarChoice,
    answer: AnswerPlan,
): Constraint | undefined {
    if (grammar !== undefined && jsonSchema !== undefined) {
        throw new EftError("OPTION_INVALID", "grammar and jsonSchema exclude each other; give one of them.");
    }
    const schema = jsonSchema === undefined ? undefined : jsonSchemaToGbnf(jsonSchema, { isStrict });
    const text = grammar ?? answerGrammar(schema?.grammar, answer);
    if (text === undefined) return undefined;
    const what = jsonSchema === undefined ? "The grammar of the tools" : "The grammar of the JSON schema";
    const { size, endOfGeneration, members } = ensemble.vocabulary;
    // Whoever has most tokens knows most texts.
    const { speaker } = ensemble.texts;
    const { model } = ensemble.members[speaker] as Member;
    const lacks = members[speaker]?.lacks ?? new Uint8Array(size);
    const native = loadBinding().createGrammar({
        model,
        program: programOf(text, grammar === undefined ? what : undefined, idOf),
        endOfGeneration,
        lacking: flaggedIds(lacks),
    });
    return { grammar: native, ...(!isStrict && { unenforced: schema?.unenforced ?? [] }) };

    function idOf(token: NamedToken): number {
        const written = "id" in token ? `<[${token.id}]>` : token.text;
        const ids = "id" in token ? [token.id] : model.tokenize(token.text, false, true);
        const [id = -1] = ids;
        if (ids.length === 1 && lacks[id] === 0) return id;
        throw new EftError("GRAMMAR_INVALID", `The grammar names the token ${written}, which the vocabulary lacks.`);
    }
}

/** Of an answer that has to be JSON, or a call, or either. Thinking that the prompt begins comes to its end first. */
function answerGrammar(
    schema: string | undefined,
    { syntax, thinkingEnd: end, calls, isForced, isOne, textBegin }: AnswerPlan,
): string | undefined {
    if (schema === undefined && !isForced) return undefined;
    if (syntax === undefined || (end === undefined && calls === undefined && textBegin === "")) return schema;
    const { marks } = syntax;
    const ways = [
        ...(calls ? ["calls"] : []),
        ...(schema === undefined ? [] : [`${marks.toGbnf(textBegin)} schema-root`]),
    ].join(" | ");
    return [
        end === undefined ? `root ::= ${ways}` : String.raw`root ::= thinking "\n"{0,2} (${ways})`,
        ...(end === undefined ? [] : [textRules("thinking", end, marks)]),
        ...(calls ? [callGrammar(calls.tools, calls.syntax, marks, isOne)] : []),
        ...(schema === undefined ? [] : [prefixRules(schema, "schema-")]),
    ].join("\n");
}
