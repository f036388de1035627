/** One system, one item: the answer and its grades. */

import { collect, complete } from "../decoding/complete.js";
import type { CompletionOptions, CompletionResult } from "../decoding/completion.js";
import { tokenText } from "../decoding/token-text.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { EftError, type EftErrorCode } from "../errors.js";
import { score, type Score } from "../scoring/score.js";
import { gradeAnswer } from "./graders/index.js";
import type { Answer, Choice, Grade, Item, Passage, Question, System, Task, TokenView } from "./types.js";

export interface AnsweringOptions {
    readonly maxTokens: number;
    readonly seed: number;
    /** The machine does nothing else, so that the time it takes says something. */
    readonly isTimed: boolean;
    /** Report each token with the drafter's distance. */
    readonly explain: boolean;
    readonly signal?: AbortSignal;
}

/** Tokens of an answer that may be made before they are read: grading and writing other answers holds up no step. */
const READ_AHEAD = 16;

/** Errors that the text of an item is the cause of. */
const ABOUT_TEXTS: readonly EftErrorCode[] = ["CONTEXT_OVERFLOW", "PROMPT_EMPTY", "PATTERN_UNUSABLE"];

/** @throws EftError what complete() and score() throw, with the name of the item; ABORTED */
export async function answerItem(
    ensemble: Ensemble,
    system: System,
    task: Task,
    item: Item,
    options: AnsweringOptions,
): Promise<Answer> {
    try {
        return await answer(ensemble, system, task, item, options);
    } catch (error) {
        throw nameItem(error, task, item);
    }
}

/** An error about a text says which of the many it is. */
export function nameItem(error: unknown, task: Task, item: Item): unknown {
    if (!EftError.isInstance(error) || !ABOUT_TEXTS.includes(error.code)) return error;
    const text = `The item "${item.id}" of the task "${task.name}": ${error.message}`;
    return new EftError(error.code, text, { cause: error });
}

async function answer(
    ensemble: Ensemble,
    system: System,
    task: Task,
    item: Item,
    options: AnsweringOptions,
): Promise<Answer> {
    const head = {
        ...{ system: system.name, settings: system.settings, task: task.name, item: item.id },
        ...(item.group !== undefined && { group: item.group }),
        seed: options.seed,
    };
    switch (item.kind) {
        case "question":
            return { ...head, ...(await answerQuestion(ensemble, system, task, item, options)) };
        case "choice":
            return { ...head, ...(await choose(ensemble, system, item, options)) };
        case "passage":
            return { ...head, grades: await readPassage(ensemble, system, item, options) };
    }
}

/** How a system draws: its recipe's own options and dials, whatever ensemble it shares. */
export function completionOptions({ recipe, parameters }: System): Omit<CompletionOptions, "prompt"> {
    const { sampling, speculation } = recipe;
    const { drafter, ...others } = speculation ?? {};
    return {
        ...{ sampling, parameters },
        speculation: speculation !== undefined && { ...others, ...(drafter && { drafter: drafter.text }) },
    };
}

async function answerQuestion(
    ensemble: Ensemble,
    system: System,
    { graders }: Task,
    item: Question,
    { maxTokens, seed, isTimed, explain, signal }: AnsweringOptions,
): Promise<Pick<Answer, "text" | "reason" | "grades" | "tokens">> {
    const result = await collect(
        complete(ensemble, {
            ...completionOptions(system),
            ...{ prompt: item.prompt, maxTokens, seed, explain },
            // What is timed goes as it does for those who read token by token.
            readAhead: isTimed ? 0 : READ_AHEAD,
            ...(signal && { signal }),
        }),
    );
    const { text, reason } = result;
    // What was complete when the signal fired is an answer.
    if (reason === "abort") signal?.throwIfAborted();
    const grades = {
        ...gradeAnswer(item, { text, reason }, graders),
        ...(isTimed && measureSpeed(result)),
        ...measureSpeculation(result),
    };
    return { text, reason, grades, ...(explain && { tokens: viewTokens(ensemble, result) }) };
}

function measureSpeed({ tokens, timings }: CompletionResult): Readonly<Record<string, Grade>> {
    return tokens < 2 ? {} : { speed: [timings.generationMs / (tokens - 1), tokens - 1] };
}

function measureSpeculation({ speculation }: CompletionResult): Readonly<Record<string, Grade>> {
    if (speculation === undefined || speculation.blocks === 0) return {};
    const { acceptanceRate = 0, acceptanceLength = 0, blocks, verifiedAt } = speculation;
    const verified = verifiedAt.reduce((total, count) => total + count, 0);
    return { acceptance: [acceptanceRate, verified], blockLength: [acceptanceLength, blocks] };
}

function viewTokens(ensemble: Ensemble, { parts }: CompletionResult): TokenView[] {
    return parts.flatMap(({ id, drafter }) => {
        if (drafter === undefined) return [];
        const { totalVariation, changedBy } = drafter;
        const differs = drafter.id !== id;
        return [
            {
                ...{ text: tokenText(ensemble, id), totalVariation },
                ...(differs && { instead: tokenText(ensemble, drafter.id) }),
                ...(differs && changedBy !== undefined && { changedBy }),
            },
        ];
    });
}

async function choose(
    ensemble: Ensemble,
    { parameters }: System,
    { prompt, choices, correct }: Choice,
    { signal }: AnsweringOptions,
): Promise<Pick<Answer, "text" | "grades">> {
    const scores = await score(
        ensemble,
        choices.map((continuation) => ({ context: prompt, continuation })),
        { chat: true, parameters, ...(signal && { signal }) },
    );
    const sums = scores.map(total);
    const perCharacter = sums.map((sum, index) => sum / Math.max(1, choices[index]?.length ?? 0));
    const chosen = indexOfLargest(sums);
    return {
        text: choices[chosen] ?? "",
        grades: {
            choice: Number(chosen === correct),
            choicePerCharacter: Number(indexOfLargest(perCharacter) === correct),
        },
    };
}

async function readPassage(
    ensemble: Ensemble,
    { parameters }: System,
    { text }: Passage,
    { signal }: AnsweringOptions,
): Promise<Readonly<Record<string, Grade>>> {
    // Longer passages are read in windows, each of them with half a context before it at least.
    const stride = Math.floor(ensemble.contextSize / 2);
    const [result] = await score(ensemble, [{ continuation: text }], { parameters, stride, ...(signal && { signal }) });
    if (result === undefined || result.tokens.length === 0) return {};
    return { perplexity: [-total(result) / result.tokens.length, result.tokens.length] };
}

function total({ logprobs }: Score): number {
    return logprobs.reduce((sum, logprob) => sum + logprob, 0);
}

function indexOfLargest(values: readonly number[]): number {
    return values.indexOf(Math.max(...values));
}
