/** What the tokens of a model are: their texts, kinds, and which of them are none. */

import { EftError } from "../errors.js";
import type { NativeModel } from "../native/binding.js";
import type { Recipe } from "../types.js";
import { tokenAttributes } from "./token-attributes.js";

/** llama.cpp's attribute bits that decide what a token's text stands for; the others concern white space around it. */
export const KIND_BITS = {
    unknown: 1 << 0,
    unused: 1 << 1,
    normal: 1 << 2,
    control: 1 << 3,
    "user-defined": 1 << 4,
    byte: 1 << 5,
} as const;
const KIND_MASK = Object.values(KIND_BITS).reduce((mask, bit) => mask | bit, 0);
const { control, normal, unknown, "user-defined": userDefined } = KIND_BITS;
/** Converters do not agree whether added tokens are control tokens, nor whether they are more than a text. */
const ALIKE = [control | userDefined | unknown, normal | userDefined];
/** The others are texts that all tokenizers of a family read alike. */
const SPECIAL = control | userDefined | unknown | KIND_BITS.unused;

export interface NamedModel {
    readonly name: string;
    readonly model: NativeModel;
}

export interface TokenTable extends NamedModel {
    readonly width: number;
    /** llama.cpp's, one per id. */
    readonly attributes: Int32Array;
    readonly endOfGeneration: Uint8Array;
    /** EOS and EOT. llama.cpp lets more tokens end a text, by how they are spelled, padding among them. */
    readonly ends: readonly number[];
    /** 1 where the member has a token. */
    readonly has: Uint8Array;
    /** Read when they are needed. */
    readonly texts: () => readonly string[];
}

/**
 * @param model - of a member, or of a file that is looked into
 * @throws EftError MODEL_UNSUPPORTED where its tokenizer is GGUF's `none` or `no_vocab`, so that it reads and writes no text
 */
export function checkHasVocabulary(name: string, { info }: NativeModel): void {
    if (info.vocabularySize > 0 && info.vocabularyType !== "none") return;
    throw new EftError("MODEL_UNSUPPORTED", `${name} cannot take part: it has no vocabulary.`);
}

/** @param top - ids of the widest table; `has` is as long */
export function readTable({ name, model }: NamedModel, unusedTokens: Recipe["unusedTokens"], top: number): TokenTable {
    const [attributes, endOfGeneration] = [tokenAttributes(model), model.endOfGeneration()];
    const width = model.info.vocabularySize;
    const ends = [model.info.eos, model.info.eot].filter((token) => token >= 0);
    const has = new Uint8Array(top).fill(1, 0, width);
    for (let token = 0; token < width; token++) {
        if (((attributes[token] ?? 0) & KIND_BITS.unused) === 0 || unusedTokens !== "mask") continue;
        // Files exist whose end token is marked as unused.
        if (!ends.includes(token)) has[token] = 0;
    }
    let texts: readonly string[] | undefined;
    return {
        ...{ name, model, width, attributes, endOfGeneration, ends, has },
        texts: () => (texts ??= model.tokenTexts(0, width)),
    };
}

/** Whether an id is the same token to two members that have it. */
export function isSame(one: TokenTable, other: TokenTable, token: number): boolean {
    const [kind, otherKind] = [kindOf(one, token), kindOf(other, token)];
    if (kind === otherKind) return one.texts()[token] === other.texts()[token];
    const id = Int32Array.of(token);
    return (
        ALIKE.some((kinds) => ((kind | otherKind) & ~kinds) === 0) &&
        one.model.detokenize(id, true).equals(other.model.detokenize(id, true))
    );
}

/** Whether an id plays the same part for two members: it is the same token, or both end a text with it, however it is spelled. */
export function isAlike(one: TokenTable, other: TokenTable, token: number): boolean {
    return isSame(one, other, token) || (one.endOfGeneration[token] === 1 && other.endOfGeneration[token] === 1);
}

/** Whether a token stands for a text, rather than for something that models were told, or for nothing. */
export function isOrdinary(table: TokenTable, token: number): boolean {
    return (kindOf(table, token) & SPECIAL) === 0;
}

/** Whether llama.cpp's attributes are those of a control token. */
export function isControl(attributes = 0): boolean {
    return (attributes & control) !== 0;
}

/** What a token is to a member, e.g. `"<|im_end|>" (control)`. */
export function meaning(table: TokenTable, token: number): string {
    const kind = kindOf(table, token);
    const names = Object.entries(KIND_BITS).flatMap(([name, bit]) => ((kind & bit) === 0 ? [] : [name]));
    return `${JSON.stringify(table.texts()[token])} (${names.join(", ") || "undefined"})`;
}

function kindOf({ attributes }: TokenTable, token: number): number {
    return (attributes[token] ?? 0) & KIND_MASK;
}

/** Ids whose flag is 1. */
export function flaggedIds(flags: Uint8Array): Int32Array {
    const ids: number[] = [];
    for (let id = flags.indexOf(1); id >= 0; id = flags.indexOf(1, id + 1)) ids.push(id);
    return Int32Array.from(ids);
}
