/** What members say alone, beside what the target says. */

import { collect } from "../decoding/complete.js";
import type { CompletionResult } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { combinationWeights, resolveParameters } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import { createChat } from "./session.js";
import { soloView } from "./solo.js";
import type { ChatOptions } from "./types.js";

/** A base model does not end by itself: it gets so many times the tokens that the target needed. */
const PATIENCE = 2;
const FEWEST_TOKENS = 24;

/** One answer to the question. */
export interface ComparedAnswer {
    /** Who gave it alone; undefined for the target. */
    readonly member?: string;
    readonly result: CompletionResult;
}

/**
 * Answers a question several times, each time with the same seed; nothing is added to a conversation.
 *
 * @param chat - the conversation that the question is put into
 * @param onStep - called before each answer, with the member that will give it alone; undefined for the target
 * @returns the members' answers, and the target's as the last one
 */
export async function compareAlone(
    ensemble: Ensemble,
    chat: ChatOptions,
    question: string,
    {
        signal,
        onStep,
    }: { readonly signal: AbortSignal; readonly onStep: (member?: string) => Promise<void> | undefined },
): Promise<ComparedAnswer[]> {
    const answer = (system: Ensemble, more: ChatOptions): Promise<CompletionResult> =>
        collect(createChat(system, { ...chat, ...more }).send(question, { signal }));
    await onStep();
    const together = await answer(ensemble, {});
    const maxTokens = Math.max(FEWEST_TOKENS, PATIENCE * together.tokens);
    const answers: ComparedAnswer[] = [];
    for (const member of addedMembers(ensemble.recipe)) {
        await onStep(member);
        const result = await answer(soloView(ensemble, member), {
            ...{ seed: together.seed, speculation: false },
            maxTokens: Math.min(maxTokens, chat.maxTokens ?? Infinity),
        });
        answers.push({ member, result });
    }
    return [...answers, { result: together }];
}

/** Those that are added at the default dials: the large base and the fine-tuned ones, but not what is subtracted. */
function addedMembers(recipe: Recipe): string[] {
    const names = recipe.members.map(({ name }) => name);
    const weights = combinationWeights(recipe.combination, names, resolveParameters(recipe, {}));
    return names.filter((_, member) => (weights[member] ?? 0) > 0);
}
