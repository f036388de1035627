/** Answers in pieces, as they come out of a model. */

import type { CallSyntax } from "../../src/prompts/call-syntax.js";
import type { ThinkingMarks } from "../../src/types.js";
import { createAnswerReader } from "../../src/tools/answer-reader.js";
import { createCallParser, type IsText, type ParsedCall } from "../../src/tools/call-parser.js";
import type { Marks } from "../../src/tools/marks.js";

const TEXT_MARKS: Marks = { mark: (text) => text, standIn: () => undefined, toGbnf: (text) => JSON.stringify(text) };

export interface ReadAnswer {
    readonly text: string;
    readonly thinking: string;
    readonly calls: readonly ParsedCall[];
    readonly stoppedBy: string | undefined;
}

export interface AnswerSetup {
    readonly syntax?: CallSyntax | undefined;
    readonly thinking?: ThinkingMarks | undefined;
    readonly beginsThinking?: boolean;
    readonly tools?: readonly string[];
    readonly isText?: IsText;
    readonly stop?: readonly string[];
}

/** What is read from pieces that take the place of tokens, piece by piece and to the end. */
export function readPieces(pieces: readonly string[], setup: AnswerSetup): ReadAnswer {
    const { syntax, thinking, beginsThinking = false, tools = [], stop = [], isText } = setup;
    const detokenize = (tokens: Int32Array): Buffer => Buffer.from(pieces[tokens[0] ?? -1] ?? "");
    const reader = createAnswerReader({ detokenize }, stop, {
        answer: {
            ...{ marks: TEXT_MARKS, thinking, beginsThinking },
            ...{ calls: syntax && createCallParser(syntax, isText), tools: new Set(tools) },
        },
    });
    const parts = [...pieces.map((_, index) => reader.push(index)), reader.flush()];
    return {
        text: parts.map(({ text }) => text).join(""),
        thinking: parts.map((part) => part.thinking).join(""),
        calls: parts.flatMap(({ calls }) => calls),
        stoppedBy: reader.stoppedBy,
    };
}

/** A text in pieces of so many characters, the last length again and again. */
export function cut(text: string, lengths: readonly number[]): string[] {
    const pieces: string[] = [];
    const characters = [...text];
    for (let at = 0, index = 0; at < characters.length; index++) {
        const length = Math.max(1, lengths[Math.min(index, lengths.length - 1)] ?? 1);
        pieces.push(characters.slice(at, at + length).join(""));
        at += length;
    }
    return pieces;
}
