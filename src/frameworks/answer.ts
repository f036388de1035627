/** A completion as frameworks take it: texts, thoughts, calls, and at the end what it has cost. */

import type { Completion, CompletionOptions, FinishPart, ToolCallPart } from "../decoding/completion.js";
import { COMPLETION_OPTIONS } from "../decoding/complete.js";
import { checkOptions, type OptionTable } from "../options.js";

/** How many tokens are made ahead of who reads a stream, by default: frameworks have much to do between two parts. */
export const READ_AHEAD = 16;

/** What of a completion's options a framework has no words of its own for. */
export type EftOptions = Pick<
    CompletionOptions,
    "parameters" | "sampling" | "speculation" | "templateVariables" | "logitBias" | "grammar" | "readAhead"
>;

const { parameters, sampling, speculation, templateVariables, logitBias, grammar, readAhead } = COMPLETION_OPTIONS;
const EFT_OPTIONS: OptionTable<EftOptions> = {
    ...{ parameters, sampling, speculation, templateVariables, logitBias, grammar, readAhead },
};

/** @param owner - where they were given, for messages. @throws EftError OPTION_INVALID */
export function checkEftOptions(owner: string, options: unknown): EftOptions {
    return checkOptions(owner, options, EFT_OPTIONS);
}

/** Tokens. */
export interface Usage {
    /** Of the prompt, as the member sees it whose prompt is the longest. */
    readonly input: number;
    /** How many of those were found in a cache. */
    readonly cached: number;
    /** Generated, an end-of-text token included. */
    readonly output: number;
    /** How many of those were thinking. */
    readonly thinking: number;
}

/** A piece of an answer. */
export type Said = { readonly type: "text" | "thinking"; readonly text: string } | ToolCallPart;

/** The end of an answer. */
export interface AnswerEnd {
    readonly type: "finish";
    readonly finish: FinishPart;
    readonly usage: Usage;
}

/**
 * The parts that say something, and the end.
 *
 * @throws what the completion throws; where `signal` has ended it, the signal's reason
 */
export async function* answerParts(
    completion: Completion,
    signal: AbortSignal | undefined,
): AsyncGenerator<Said | AnswerEnd, void, void> {
    /** Tokens without text. */
    let silent = 0;
    let thinking = 0;
    for await (const part of completion) {
        if (part.type === "token" && part.text === "") silent++;
        if (part.type === "finish") signal?.throwIfAborted();
        if (part.text !== "") yield { type: "text", text: part.text };
        if (part.type === "finish") yield { type: "finish", finish: part, usage: { ...countTokens(part), thinking } };
        if (part.type === "tool-call") yield part;
        if (part.type === "thinking") {
            thinking = silent;
            yield { type: "thinking", text: part.thinking };
        }
    }
}

/** All of an answer; texts and thoughts in as few pieces as there can be. */
export async function wholeAnswer(
    parts: AsyncIterable<Said | AnswerEnd>,
): Promise<{ readonly said: readonly Said[]; readonly end: AnswerEnd }> {
    const said: Said[] = [];
    for await (const part of parts) {
        if (part.type === "finish") return { said, end: part };
        const last = said.at(-1);
        if (part.type === "tool-call" || last?.type !== part.type) said.push(part);
        else said[said.length - 1] = { type: part.type, text: last.text + part.text };
    }
    throw new Error("A completion ended without saying so.");
}

function countTokens({ promptTokens, reusedTokens, tokens }: FinishPart): Omit<Usage, "thinking"> {
    const [longest = ""] = Object.keys(promptTokens).sort(
        (one, other) => (promptTokens[other] ?? 0) - (promptTokens[one] ?? 0),
    );
    return { input: promptTokens[longest] ?? 0, cached: reusedTokens[longest] ?? 0, output: tokens };
}
