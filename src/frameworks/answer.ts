/** A completion as frameworks take it: texts, thoughts, calls, and at the end what it has cost. */

import type { Completion, CompletionOptions, FinishPart, ToolCallPart } from "../decoding/completion.js";
import { COMPLETION_OPTIONS } from "../decoding/complete.js";
import { checkOptions, type OptionTable } from "../options.js";

/** How many tokens are made ahead of who reads a stream, by default: frameworks have much to do between two parts. */
export const READ_AHEAD = 16;

/** What of a completion's options a framework has no words of its own for. */
export type EftOptions = Pick<
    CompletionOptions,
    | "parameters"
    | "conservativeTopP"
    | "sampling"
    | "speculation"
    | "templateVariables"
    | "logitBias"
    | "grammar"
    | "readAhead"
>;

const { parameters, conservativeTopP, sampling, speculation, templateVariables, logitBias, grammar, readAhead } =
    COMPLETION_OPTIONS;
const EFT_OPTIONS: OptionTable<EftOptions> = {
    ...{ parameters, conservativeTopP, sampling, speculation, templateVariables, logitBias, grammar, readAhead },
};

/** @param owner - where they were given, for messages. @throws EftError OPTION_INVALID */
export function checkEftOptions(owner: string, options: unknown): EftOptions {
    return checkOptions(owner, options, EFT_OPTIONS);
}

/** A piece of an answer. */
export type Said = { readonly type: "text" | "thinking"; readonly text: string } | ToolCallPart;

/**
 * The parts that say something, and the end.
 *
 * @throws what the completion throws; where `signal` has ended it, the signal's reason
 */
export async function* answerParts(
    completion: Completion,
    signal: AbortSignal | undefined,
): AsyncGenerator<Said | FinishPart, void, void> {
    for await (const part of completion) {
        if (part.type === "finish") signal?.throwIfAborted();
        if (part.text !== "") yield { type: "text", text: part.text };
        if (part.type === "thinking") yield { type: "thinking", text: part.thinking };
        if (part.type === "finish" || part.type === "tool-call") yield part;
    }
}

/** All of an answer; texts and thoughts in as few pieces as there can be. */
export async function wholeAnswer(
    parts: AsyncIterable<Said | FinishPart>,
): Promise<{ readonly said: readonly Said[]; readonly end: FinishPart }> {
    const said: Said[] = [];
    for await (const part of parts) {
        if (part.type === "finish") return { said, end: part };
        const last = said.at(-1);
        if (part.type === "tool-call" || last?.type !== part.type) said.push(part);
        else said[said.length - 1] = { type: part.type, text: last.text + part.text };
    }
    throw new Error("A completion ended without saying so.");
}
