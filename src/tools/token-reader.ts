/** From tokens to texts, whichever way an answer's parts are told apart: whole characters, and how many tokens were thoughts. */

import type { TokenTexts } from "../prompts/added-tokens.js";
import type { ParsedCall } from "./call-parser.js";
import type { Marks } from "./marks.js";
import type { StopFilter } from "./stop-filter.js";

/** What became certain. */
export interface Uttered {
    /** Of the answer. */
    readonly text: string;
    readonly thinking: string;
    readonly calls: readonly ParsedCall[];
}

export interface AnswerReader {
    /** Adds a token; what is certain now is often of earlier tokens too. */
    push(token: number): Uttered;
    /**
     * What was held back. Where the model has ended its turn, that is text. Where the answer was cut off, calls that were begun are
     * dropped, and so is what may be the beginning of a call's mark, if calls are forced or there has been one; else it is text,
     * since nobody can tell `2 <` from the beginning of a mark.
     */
    flush(isCutOff: boolean): Uttered;
    /** The stop string that was met; nothing is released after it. */
    readonly stoppedBy: string | undefined;
    /** Tokens of thoughts: from the one that ends the mark, or header, in front of them to the one that ends the mark behind them. */
    readonly thinkingTokens: number;
}

/** Tells the parts of a text apart. */
export interface PartReader {
    /** More of the text. */
    add(text: string): void;
    /** @returns what is certain. @param isAll - there is no more to come */
    read(isAll: boolean, isCutOff: boolean): Uttered;
    /** Whether what comes next is a thought. */
    isThinking(): boolean;
}

/** @param standIn - of a token that is part of a mark */
export function createTokenReader(
    texts: Pick<TokenTexts, "detokenize">,
    filter: StopFilter,
    standIn: Marks["standIn"],
    parts: PartReader,
): AnswerReader {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let thinkingTokens = 0;
    return {
        push(token) {
            if (filter.stoppedBy !== undefined) return { text: "", thinking: "", calls: [] };
            const wasThinking = parts.isThinking();
            parts.add(
                standIn(token) ?? decoder.decode(texts.detokenize(Int32Array.of(token), false), { stream: true }),
            );
            const certain = parts.read(false, false);
            if (wasThinking || parts.isThinking() || certain.thinking !== "") thinkingTokens++;
            return certain;
        },
        flush(isCutOff) {
            parts.add(decoder.decode());
            const last = parts.read(true, isCutOff);
            return { ...last, text: last.text + filter.flush() };
        },
        get stoppedBy() {
            return filter.stoppedBy;
        },
        get thinkingTokens() {
            return thinkingTokens;
        },
    };
}
