/** Which turns the models see: all, until the context is full. */

import type { CompletionOptions } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { ChatMessage } from "../prompts/messages.js";
import { renderPrompts } from "../prompts/prompt.js";
import type { TemplateVariables } from "../types.js";
import type { ChatState, ChatTurn } from "./types.js";

/** The conversation that a question is put into. */
export type Conversation = Required<Pick<ChatState, "turns" | "forgotten">> & { readonly system: string | undefined };

/** The messages of a conversation that end with a question. */
export function messagesFor({ system, turns, forgotten }: Conversation, question: string): ChatMessage[] {
    return [
        ...(system === undefined ? [] : [{ role: "system", content: system } as const]),
        ...messagesOf(turns.slice(forgotten)),
        { role: "user", content: question },
    ];
}

export function messagesOf(turns: readonly ChatTurn[]): ChatMessage[] {
    return turns.flatMap(({ user, answer }) => [
        { role: "user", content: user },
        { role: "assistant", content: answer },
    ]);
}

/**
 * How many turns have to be forgotten, so that question and answer find room: a quarter of the context is kept free for
 * the answer, or as much as it may take. Once that is not there, turns are forgotten until half of the context is free.
 * To leave out only as many as necessary would change the beginning of the prompt at every turn, and no cache could be
 * used again.
 */
export function chooseForgotten(
    ensemble: Ensemble,
    conversation: Conversation,
    question: string,
    { maxTokens = Infinity, templateVariables }: Pick<CompletionOptions, "maxTokens" | "templateVariables">,
): number {
    const { contextSize } = ensemble;
    const { turns, forgotten } = conversation;
    const measure = (count: number): number =>
        countTokens(ensemble, messagesFor({ ...conversation, forgotten: count }, question), templateVariables);
    if (measure(forgotten) <= contextSize - Math.min(maxTokens, Math.ceil(contextSize / 4))) return forgotten;
    // A question that is too long by itself is an error of complete(), and no reason to forget anything.
    if (measure(turns.length) >= contextSize) return forgotten;
    let [low, high] = [forgotten, turns.length];
    while (low < high) {
        const middle = Math.floor((low + high) / 2);
        if (measure(middle) <= contextSize / 2) high = middle;
        else low = middle + 1;
    }
    return low;
}

/** Of the member whose template makes most of the messages. */
function countTokens(
    { members, contextSize }: Ensemble,
    messages: readonly ChatMessage[],
    variables: TemplateVariables | undefined,
): number {
    const prompts = renderPrompts(members, messages, { variables, limit: contextSize });
    return Math.max(...prompts.map(({ tokens }) => tokens?.length ?? Infinity));
}
