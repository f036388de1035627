/** What constrains a completion: a grammar, given as one or as a JSON schema. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { Member } from "../ensemble/members.js";
import { flaggedIds } from "../models/vocabulary.js";
import { EftError } from "../errors.js";
import type { NativeGrammar } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { readGbnf, type NamedToken } from "../grammar/gbnf.js";
import { compileGbnf } from "../grammar/gbnf-program.js";
import { jsonSchemaToGbnf, type JsonSchema } from "../grammar/json-schema.js";

/** At most one of them. */
export interface GrammarChoice {
    /** GBNF, llama.cpp's notation; the start symbol is `root`. */
    readonly grammar?: string | undefined;
    readonly jsonSchema?: JsonSchema | undefined;
}

/**
 * The grammar at the beginning of a text; undefined: none.
 *
 * @throws EftError OPTION_INVALID, GRAMMAR_INVALID
 */
export function createGrammar(ensemble: Ensemble, { grammar, jsonSchema }: GrammarChoice): NativeGrammar | undefined {
    if (grammar === undefined && jsonSchema === undefined) return undefined;
    if (grammar !== undefined && jsonSchema !== undefined) {
        throw new EftError("OPTION_INVALID", "grammar and jsonSchema exclude each other; give one of them.");
    }
    const text = jsonSchema === undefined ? (grammar ?? "") : jsonSchemaToGbnf(jsonSchema);
    const gbnf = readGbnf(text, jsonSchema === undefined ? undefined : "The grammar of the JSON schema");
    const { size, endOfGeneration, members } = ensemble.vocabulary;
    // Whoever has most tokens knows most texts.
    const { speaker } = ensemble.texts;
    const { model } = ensemble.members[speaker] as Member;
    const lacks = members[speaker]?.lacks ?? new Uint8Array(size);
    return loadBinding().createGrammar({
        model,
        program: compileGbnf(gbnf, gbnf.tokens.map(idOf)),
        endOfGeneration,
        lacking: flaggedIds(lacks),
    });

    function idOf(token: NamedToken): number {
        const written = "id" in token ? `<[${token.id}]>` : token.text;
        const ids = "id" in token ? [token.id] : model.tokenize(token.text, false, true);
        const [id = -1] = ids;
        if (ids.length === 1 && lacks[id] === 0) return id;
        throw new EftError("GRAMMAR_INVALID", `The grammar names the token ${written}, which the vocabulary lacks.`);
    }
}
