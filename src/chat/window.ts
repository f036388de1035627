/** Which turns the models see: all, until the context is full. */

import type { CompletionOptions } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { ChatMessage } from "../prompts/messages.js";
import { renderPrompts, type MemberPrompt } from "../prompts/prompt.js";
import type { ToolUse } from "../prompts/tool-messages.js";
import type { ChatState, ChatTurn, ToolStep } from "./types.js";

/** The conversation that a question is put into. */
export type Conversation = Required<Pick<ChatState, "turns" | "forgotten">> & { readonly system: string | undefined };

/** A turn that has no answer yet: what was said, and what has been called since. */
export type Question = Pick<ChatTurn, "user" | "steps">;

/** The messages of a conversation that end with what is to be answered. */
export function messagesFor({ system, turns, forgotten }: Conversation, question: Question): ChatMessage[] {
    return [
        ...(system === undefined ? [] : [{ role: "system", content: system } as const]),
        ...messagesOf(turns.slice(forgotten)),
        ...messagesOfQuestion(question),
    ];
}

export function messagesOf(turns: readonly ChatTurn[]): ChatMessage[] {
    return turns.flatMap(({ answer, ...question }) => [
        ...messagesOfQuestion(question),
        ...(isWaiting(question) ? [] : [{ role: "assistant", content: answer } as const]),
    ]);
}

/** Whether the last calls have no results yet. */
export function isWaiting({ steps = [] }: Question): boolean {
    const last = steps.at(-1);
    return last !== undefined && last.results === undefined;
}

function messagesOfQuestion({ user, steps = [] }: Question): ChatMessage[] {
    return [{ role: "user", content: user }, ...steps.flatMap(messagesOfStep)];
}

function messagesOfStep({ thinking = "", text, calls, results = [] }: ToolStep): ChatMessage[] {
    const written = calls.map(({ id, name, arguments: values }) => ({
        ...{ id, type: "function" },
        function: { name, arguments: values },
    }));
    const thought = thinking === "" ? {} : { reasoning_content: thinking };
    return [
        { role: "assistant", content: text, ...thought, tool_calls: written },
        ...calls.slice(0, results.length).map(({ id, name }, index): ChatMessage => {
            return { role: "tool", content: results[index] ?? "", tool_call_id: id, name };
        }),
    ];
}

/** What the models see of a conversation. */
export interface ShownTurns {
    /** Turns that they do not see. */
    readonly forgotten: number;
    readonly prompts: readonly MemberPrompt[];
}

/**
 * How many turns have to be forgotten, so that question and answer find room: a quarter of the context is kept free for
 * the answer, or as much as it may take. Once that is not there, turns are forgotten until half of the context is free.
 * To leave out only as many as necessary would change the beginning of the prompt at every turn, and no cache could be
 * used again.
 */
export async function chooseForgotten(
    ensemble: Ensemble,
    conversation: Conversation,
    question: Question,
    { maxTokens = Infinity, templateVariables: variables }: Pick<CompletionOptions, "maxTokens" | "templateVariables">,
    use?: ToolUse,
): Promise<ShownTurns> {
    const { members, contextSize } = ensemble;
    const { turns, forgotten } = conversation;
    const shown = new Map<number, readonly MemberPrompt[]>();
    const show = async (count: number): Promise<readonly MemberPrompt[]> => {
        const messages = messagesFor({ ...conversation, forgotten: count }, question);
        const prompts =
            shown.get(count) ?? (await renderPrompts(members, messages, { variables, use, limit: contextSize }));
        shown.set(count, prompts);
        return prompts;
    };
    /** Tokens of the member whose template makes most of the messages. */
    const measure = async (count: number): Promise<number> =>
        Math.max(...(await show(count)).map(({ tokens }) => tokens?.length ?? Infinity));
    const choose = async (): Promise<number> => {
        const spare = contextSize - Math.min(maxTokens, Math.ceil(contextSize / 4));
        if ((await measure(forgotten)) <= spare) return forgotten;
        // A question that is too long by itself is an error of complete(), and no reason to forget anything.
        if ((await measure(turns.length)) >= contextSize) return forgotten;
        let [low, high] = [forgotten, turns.length];
        while (low < high) {
            const middle = Math.floor((low + high) / 2);
            if ((await measure(middle)) <= contextSize / 2) high = middle;
            else low = middle + 1;
        }
        return low;
    };
    const chosen = await choose();
    return { forgotten: chosen, prompts: await show(chosen) };
}
