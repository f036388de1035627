/**
 * Texts that stand around thoughts and calls, as they come out of a model: partly control tokens, which have no text and which no
 * text can imitate. In a marked text each of them is one code unit that stands in for it, a low surrogate by itself, which no
 * decoded text contains.
 */

import type { NativeModel } from "../native/binding.js";
import { controlTokens, splitAtControlTokens } from "../prompts/control-tokens.js";
import { NO_STAND_INS } from "../template/stand-ins.js";

const FIRST = 0xdc00;
const LAST = 0xdfff;
const STAND_INS = /[\udc00-\udfff](?<![\ud800-\udbff][\udc00-\udfff])/g;

export interface Marks {
    /** The text with stand-ins, where the model writes control tokens. */
    mark(text: string): string;
    /** What stands in for a token; undefined for one that is not part of any text marked so far. */
    standIn(token: number): string | undefined;
    /** The same text as GBNF writes it. */
    toGbnf(text: string): string;
}

/** @param isSilent - whether a token has no text */
export function createMarks(model: NativeModel, isSilent: (token: number) => boolean): Marks {
    const units = new Map<number, string>();
    const unitOf = (token: number): string => {
        const unit = units.get(token) ?? String.fromCharCode(Math.min(FIRST + units.size, LAST));
        units.set(token, unit);
        return unit;
    };
    const split = (text: string): (string | number)[] =>
        splitAtControlTokens(controlTokens(model), { marked: text, standIns: NO_STAND_INS }).map((piece) =>
            typeof piece === "number" && !isSilent(piece) ? (model.tokenTexts(piece, piece + 1)[0] ?? "") : piece,
        );
    return {
        mark: (text) =>
            split(text)
                .map((piece) => (typeof piece === "number" ? unitOf(piece) : piece))
                .join(""),
        standIn: (token) => units.get(token),
        toGbnf: (text) =>
            split(text)
                .map((piece) => (typeof piece === "number" ? `<[${piece}]>` : gbnfLiteral(piece)))
                .join(" "),
    };
}

/** The text without stand-ins. */
export function unmark(text: string): string {
    return text.replace(STAND_INS, "");
}

export function gbnfLiteral(text: string): string {
    const escaped = text.replace(/["\\]/g, String.raw`\$&`);
    return `"${escaped
        .replace(/\n/g, String.raw`\n`)
        .replace(/\r/g, String.raw`\r`)
        .replace(/\t/g, String.raw`\t`)}"`;
}
