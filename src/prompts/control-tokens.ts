/** The control tokens of a vocabulary, and where a template says them. */

import type { NativeModel } from "../native/binding.js";
import type { Rendered } from "../template/template.js";
import { tokenAttributes } from "../models/token-attributes.js";
import { KIND_BITS } from "../models/token-tables.js";

/** llama.cpp's attribute bits for tokens that swallow the white space before or after them. */
const STRIPS_BEFORE = 1 << 7;
const STRIPS_AFTER = 1 << 8;

interface ControlToken {
    readonly id: number;
    readonly stripsBefore: boolean;
    readonly stripsAfter: boolean;
}

export interface ControlTokens {
    readonly byText: ReadonlyMap<string, ControlToken>;
    /** Of their texts, without repetition, longest first. */
    readonly lengths: readonly number[];
    /** Finds the places where one may begin. */
    readonly beginnings: RegExp;
    /** Characters of which each token has at least one: if none of them came from a message, the token did not. */
    readonly guarded: ReadonlySet<string>;
}

/** By their attributes, which models with the same tokens share. */
const known = new WeakMap<Int32Array, ControlTokens>();

/** What the tokenizer may make a single token of that has no place in a text: control tokens and the unknown token. */
export function controlTokens(model: NativeModel): ControlTokens {
    const attributes = tokenAttributes(model);
    const found = known.get(attributes) ?? readControlTokens(model, attributes);
    known.set(attributes, found);
    return found;
}

function readControlTokens(model: NativeModel, attributes: Int32Array): ControlTokens {
    const isControl = (id: number): boolean => ((attributes[id] ?? 0) & (KIND_BITS.control | KIND_BITS.unknown)) !== 0;
    const byText = new Map<string, ControlToken>();
    const guarded = new Set<string>();
    for (let from = 0; from < attributes.length; from++) {
        let to = from;
        while (isControl(to)) to++;
        // In one call, since some vocabularies have thousands of them in a row.
        for (const [index, text] of (to > from ? model.tokenTexts(from, to) : []).entries()) {
            const characters = guardedCharacters(text);
            if (characters.length === 0 || byText.has(text)) continue;
            for (const character of characters) guarded.add(character);
            const bits = attributes[from + index] ?? 0;
            const strips = { stripsBefore: (bits & STRIPS_BEFORE) !== 0, stripsAfter: (bits & STRIPS_AFTER) !== 0 };
            byText.set(text, { id: from + index, ...strips });
        }
        from = to;
    }
    const texts = [...byText.keys()];
    const lengths = [...new Set(texts.map(({ length }) => length))].sort((a, b) => b - a);
    const beginnings = [...new Set(texts.map((text) => text.slice(0, 2)))].map(escapeUnits);
    return { byText, lengths, beginnings: new RegExp(`(?=${beginnings.join("|") || "(?!)"})`, "g"), guarded };
}

/**
 * The punctuation that a control token begins and ends with, so that a text can contribute neither. Letters, in both cases,
 * are the last resort. A token of nothing but characters beyond the Basic Multilingual Plane has none, and is no control
 * token to templates.
 */
function guardedCharacters(text: string): string[] {
    const units = text.split("").filter((unit) => !/[\ud800-\udfff]/.test(unit));
    const punctuation = units.filter((unit) => !/[\p{L}\p{N}\s"'\\]/u.test(unit));
    const chosen = punctuation.length > 0 ? [punctuation[0], punctuation.at(-1)] : units.slice(0, 1);
    return chosen
        .flatMap((unit = "") => [unit, unit.toLowerCase(), unit.toUpperCase()])
        .filter(({ length }) => length === 1);
}

function escapeUnits(text: string): string {
    return text.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Text between control tokens, or the id of one. */
export type Piece = string | number;

/** The text as a tokenizer would cut it, but with control tokens where the template itself says them, and nowhere else. */
export function splitAtControlTokens(
    { byText, lengths, beginnings }: ControlTokens,
    { marked, standIns }: Pick<Rendered, "marked" | "standIns">,
): Piece[] {
    const pieces: Piece[] = [];
    let from = 0;
    let stripsAfter = false;
    const putText = (end: number, stripsBefore: boolean): void => {
        let text = standIns.plain(marked.slice(from, end));
        if (stripsAfter) text = text.trimStart();
        if (stripsBefore) text = text.trimEnd();
        if (text !== "") pieces.push(text);
    };
    for (const { index } of marked.matchAll(beginnings)) {
        if (index < from) continue;
        // Where a message has contributed to it, there is a stand-in, and it is not found.
        const length = lengths.find((each) => byText.has(marked.slice(index, index + each)));
        const token = length === undefined ? undefined : byText.get(marked.slice(index, index + length));
        if (length === undefined || token === undefined) continue;
        putText(index, token.stripsBefore);
        pieces.push(token.id);
        ({ stripsAfter } = token);
        from = index + length;
    }
    putText(marked.length, false);
    return pieces;
}
