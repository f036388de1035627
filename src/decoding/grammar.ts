/** What constrains a completion: a grammar, given as one or as a JSON schema. */

import type { Ensemble } from "../ensemble/ensemble.js";
import { EftError } from "../errors.js";
import type { NativeGrammar } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { checkGbnf, type NamedToken } from "./gbnf.js";
import { jsonSchemaToGbnf, type JsonSchema } from "./json-schema.js";

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
    const named = checkGbnf(text, jsonSchema === undefined ? undefined : "The grammar of the JSON schema");
    const { size, endOfGeneration } = ensemble.vocabulary;
    const models = ensemble.members.map(({ model }) => model);
    // All know the same texts, but only one that knows an end of the text can say whether it is allowed.
    const model = models.find((one) => one.endOfGeneration().includes(1)) ?? models[0];
    if (model === undefined) throw new EftError("RECIPE_INVALID", "The recipe has no members.");
    const namedTokens = Int32Array.from(named, (token) => idOf(token));
    return loadBinding().createGrammar({
        model,
        text,
        endOfGeneration: endOfGeneration.subarray(0, size),
        namedTokens,
    });

    function idOf(token: NamedToken): number {
        const written = "id" in token ? `<[${token.id}]>` : token.text;
        const ids = "id" in token ? [token.id] : (model?.tokenize(token.text, false, true) ?? []);
        const [id = -1] = ids;
        if (ids.length === 1 && id < size) return id;
        throw new EftError("GRAMMAR_INVALID", `The grammar names the token ${written}, which the vocabulary lacks.`);
    }
}
