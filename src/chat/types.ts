/** What a conversation is made of, and what a session offers. */

import type { Completion, CompletionOptions } from "../decoding/completion.js";
import type { ChatMessage } from "../prompts/messages.js";
import type { ToolCall } from "../tools/types.js";
import type { JsonValue, SamplingOptions, Some } from "../types.js";

/** What the user said, and what was answered. */
export interface ChatTurn {
    readonly user: string;
    /** What was called before the answer, oldest first. */
    readonly steps?: readonly ToolStep[] | undefined;
    /** Without white space in front: that belongs to the templates. Empty while results are waited for. */
    readonly answer: string;
}

/** Calls that were made at once. */
export interface ToolStep {
    /** What was thought and said beside them. */
    readonly thinking?: string | undefined;
    readonly text: string;
    readonly calls: readonly ToolCall[];
    /** What they gave, in their order; missing while it is waited for. */
    readonly results?: readonly string[] | undefined;
}

/** What a call gave. */
export interface ToolResult {
    /** Of the call. */
    readonly id: string;
    /** A text, or data that is shown as JSON. */
    readonly result: JsonValue;
}

/** A conversation as it can be saved, and given to `createChat` again. */
export interface ChatState {
    /** Instructions that stand before the first turn. Not every template shows them to its model. */
    readonly system?: string | undefined;
    /** Oldest first. Default: none. */
    readonly turns?: readonly ChatTurn[] | undefined;
    /** How many of the oldest turns are no longer shown to the models. Default 0. */
    readonly forgotten?: number | undefined;
    /** Dials; overlay the ensemble's. Default: none. */
    readonly parameters?: Readonly<Record<string, number>> | undefined;
}

/** How an answer is drawn; what is left out is as in {@link ChatOptions}. */
export type AnswerOptions = Omit<CompletionOptions, "prompt" | "raw">;

/** A conversation to go on with, and how its answers are drawn. */
export interface ChatOptions extends ChatState, Omit<AnswerOptions, "signal" | "parameters"> {
    /** Of the first answer; each further one has the next number. Default: a random one for each answer. */
    readonly seed?: number | undefined;
    /** Called before an answer to which older turns are no longer shown, with the turns that were left out just now. */
    readonly onForget?: ((turns: readonly ChatTurn[]) => void) | undefined;
}

/**
 * A conversation with an ensemble. Its answers are completions: nothing runs before their first part is asked for, and
 * the texts of the parts make the answer of the turn. One answer is written at a time.
 *
 * An answer that is aborted, or whose loop is left, ends where it is; the turn is kept unless nothing had been written.
 * After an error the conversation is as it was before.
 */
export interface ChatSession {
    readonly system: string | undefined;
    readonly turns: readonly ChatTurn[];
    /** How many of the oldest turns are no longer shown to the models. */
    readonly forgotten: number;
    /** The same as messages: system prompt, then all turns. */
    readonly messages: readonly ChatMessage[];
    /** Where the dials stand. */
    readonly parameters: Readonly<Record<string, number>>;
    /** How answers are drawn that do not say it themselves; what the session leaves open is the recipe's. */
    readonly sampling: SamplingOptions;
    /** Whether an answer is being written. */
    readonly busy: boolean;
    /** Turns dials; also those of an answer that is being written, at its next token. @throws EftError PARAMETER_* */
    setParameters(values: Readonly<Record<string, number>>): void;
    /**
     * Changes how answers are drawn, from the next one on; what is left out stays as it is.
     *
     * @param values - `seed` is that of the next answer; each further one has the next number
     * @throws EftError OPTION_INVALID
     */
    setSampling(values: Some<SamplingOptions> & { readonly seed?: number | undefined }): void;
    /** From the next answer on; undefined: none. @throws EftError OPTION_INVALID */
    setSystem(text: string | undefined): void;
    /**
     * Answers what the user says. When the context is full, the oldest turns are no longer shown to the models.
     *
     * @throws EftError what `complete()` throws, at once or from the iterator, and CHAT_BUSY from the iterator
     */
    send(text: string, options?: AnswerOptions): Completion;
    /**
     * Goes on with the last turn after calls: its answer ended with the reason `tool-calls`, and here is what they gave, a result
     * for each call. Tools and how the answer is drawn are those of the session, and of `options`.
     *
     * @throws EftError OPTION_INVALID where no results are waited for, or not these; and what `send()` throws
     */
    sendResults(results: readonly ToolResult[], options?: AnswerOptions): Completion;
    /** Answers the last turn once more; the new answer takes the place of the old. @throws EftError CHAT_EMPTY too */
    regenerate(options?: AnswerOptions): Completion;
    /**
     * Says something else at a turn and answers that; the turn and all after it are replaced.
     *
     * @param turn - index into `turns`
     */
    edit(turn: number, text: string, options?: AnswerOptions): Completion;
    /**
     * Draws the last answer of this session again, token by token as it was, without changing the conversation: for more
     * reports about it (`explain`, `memberLogprobs`, ...).
     *
     * @throws EftError CHAT_EMPTY too
     */
    repeat(options?: Omit<AnswerOptions, "seed" | "parameters" | "sampling" | "maxTokens">): Completion;
    /** What each member would see, by name, if the user said this now with these options; special tokens spelled out. */
    render(text: string, options?: AnswerOptions): Promise<Record<string, string>>;
    /**
     * A session of its own that begins with the first `turns` turns. What both have in common is evaluated once.
     *
     * @param turns - default: all
     */
    fork(turns?: number): ChatSession;
    /** For `JSON.stringify`; read by `parseChat`. */
    toJSON(): ChatDocument;
}

/** A saved conversation. */
export interface ChatDocument extends ChatState {
    /** Format version. */
    readonly eftChat: 1;
    /** Name of the recipe that it was held with; for people. */
    readonly recipe?: string;
    readonly turns: readonly ChatTurn[];
}
