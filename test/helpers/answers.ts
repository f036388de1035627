/** Answers in pieces, as they come out of a model. */

import { CHANNEL_MARKS, type ChannelMarks } from "../../src/prompts/channels.js";
import type { CallSyntax } from "../../src/prompts/call-syntax.js";
import type { ThinkingMarks } from "../../src/types.js";
import { createAnswerReader, type AnswerForm, type AnswerSyntax } from "../../src/tools/answer-reader.js";
import { createCallParser, type Callable, type ParsedCall } from "../../src/tools/call-parser.js";
import type { Marks } from "../../src/tools/marks.js";

export const TEXT_MARKS: Marks = {
    mark: (text) => text,
    standIn: () => undefined,
    toGbnf: (text) => JSON.stringify(text),
};

/** Calls as Llama 3 writes them. */
export const LLAMA: CallSyntax = {
    open: '{"name": "',
    call: ["name", { text: '", "parameters": ' }, "arguments"],
    between: undefined,
    close: "}",
};

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
    readonly isText?: Callable["isText"];
    readonly accepts?: Callable["accepts"];
    readonly form?: AnswerForm;
    /** Default true. */
    readonly isCutOff?: boolean;
    /** Default: none. */
    readonly marks?: Marks;
    readonly stop?: readonly string[];
    /** Parts name their channels. Default false. */
    readonly hasChannels?: boolean;
    /** A space in front of the answer is not part of it. Default false. */
    readonly dropsSpace?: boolean;
}

/** What is read from pieces that take the place of tokens, piece by piece and to the end; what stands in for a control token is one by itself. */
export function readPieces(pieces: readonly string[], setup: AnswerSetup): ReadAnswer {
    const { syntax, thinking, beginsThinking = false, tools = [], stop = [], isText, accepts } = setup;
    const { form = "free", isCutOff = true, marks: given = TEXT_MARKS, hasChannels = false, dropsSpace } = setup;
    const detokenize = (tokens: Int32Array): Buffer => Buffer.from(pieces[tokens[0] ?? -1] ?? "");
    const marks: Marks = {
        ...given,
        standIn: (token) => (/^[\udc00-\udfff]$/.test(pieces[token] ?? "") ? pieces[token] : given.standIn(token)),
    };
    const channelMarks = Object.fromEntries(
        Object.entries(CHANNEL_MARKS).map(([name, text]) => [name, marks.mark(text)]),
    ) as ChannelMarks;
    const said: AnswerSyntax = {
        ...{ marks, thinking, beginsThinking, form },
        channels: hasChannels ? { marks: channelMarks, names: new Set(tools) } : undefined,
        calls:
            syntax &&
            createCallParser(syntax, { names: new Set(tools), ...(isText && { isText }), ...(accepts && { accepts }) }),
    };
    const reader = createAnswerReader({ detokenize }, stop, said, dropsSpace);
    const parts = [...pieces.map((_, index) => reader.push(index)), reader.flush(isCutOff)];
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
