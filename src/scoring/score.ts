/** Log-likelihoods of given text, under the target and under each member. */

import pMap from "p-map";
import type { TopToken } from "../decoding/completion.js";
import { createFusion } from "../decoding/fusion.js";
import { tokenText } from "../decoding/token-text.js";
import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { MOST_SCORED } from "../models/context-memory.js";
import { checkVariables } from "../prompts/prompt.js";
import { EftError } from "../errors.js";
import type { NativeQueryResult } from "../native/binding.js";
import { callback, checkOptions, boolean, integer, number, DIALS, abortSignal, type OptionTable } from "../options.js";
import { resolveParameters } from "../recipe/index.js";
import type { TemplateVariables } from "../types.js";
import { checkItems, prepareAll, type CheckedItem, type Prepared, type ScoreItem } from "./items.js";
import type { Window } from "./windows.js";

/** How {@link score} scores. */
export interface ScoreOptions {
    /**
     * The context is a user's turn, or a conversation, and each member sees it as it does in `complete()`: the text is scored
     * as an answer, with a space in front where the template writes one there and the text begins with none. Default false: plain text.
     */
    readonly chat?: boolean | undefined;
    /**
     * Texts that are longer than the context are scored in windows: the first one scores as many tokens as the context holds,
     * each further one this many, 1 to the ensemble's `contextSize`, each of them given at least `contextSize - stride` tokens
     * before it. Small strides take long and come near to what a longer context would say; half of the context is usual. Every
     * token is scored once, and a text that fits is scored as without. Not with `chat`. Default: texts that do not fit are refused.
     *
     * As in Hugging Face's "Perplexity of fixed-length models", with a BOS in front of each window if the text begins with one.
     */
    readonly stride?: number | undefined;
    /** With `chat`: what the templates are given besides the messages; overlays what the recipe says. */
    readonly templateVariables?: TemplateVariables | undefined;
    /** Overlays the ensemble's parameters. */
    readonly parameters?: Readonly<Record<string, number>> | undefined;
    /** Mass of the conservative filter's set, in the place of the recipe's, as in `complete()`. Range (0, 1]. */
    readonly conservativeTopP?: number | undefined;
    /**
     * How many of the target's most probable tokens to report at each token. Range 0..100. Default 0. They are found in native
     * memory, whatever the size of the vocabulary.
     */
    readonly topLogprobs?: number | undefined;
    /** Report the whole target row at each token. Default false. */
    readonly scores?: boolean | undefined;
    readonly signal?: AbortSignal | undefined;
    /** Called after each item with the number of items that are done. */
    readonly onProgress?: ((done: number) => void) | undefined;
}

const scoreOptions = (contextSize: number): OptionTable<ScoreOptions> => ({
    chat: boolean,
    stride: integer(1, contextSize),
    templateVariables: checkVariables,
    parameters: DIALS,
    conservativeTopP: number(Number.MIN_VALUE, 1),
    topLogprobs: integer(0, 100),
    scores: boolean,
    signal: abortSignal,
    onProgress: callback,
});

/** The score of one item. Log-probabilities are natural logarithms, one per token of the continuation. */
export interface Score {
    /** Of token ids: what an answer of these tokens says. */
    readonly text: string;
    readonly tokens: readonly number[];
    /** Of the target. */
    readonly logprobs: readonly number[];
    /** Of each member by name; also of members that the combination gives the weight 0. */
    readonly members: Readonly<Record<string, readonly number[]>>;
    /** In how many windows the text was scored; 1 for a text that fits into the context. */
    readonly windows: number;
    /** Whether every token is the target's most probable one. */
    readonly isGreedy: boolean;
    /**
     * With `topLogprobs`: for each token, the target's most probable tokens, descending, without `members`. Fewer where fewer are
     * possible. A token has the same log-probability in `logprobs`, and `isGreedy` means that each token is the first here.
     */
    readonly top?: readonly (readonly TopToken[])[];
    /** With `scores`: for each token, the target's log-probability of every token id. */
    readonly scores?: readonly Float32Array[];
}

/**
 * Scores many items, as many at once as the ensemble has sequences. A context that several items share is evaluated once,
 * and rows of logits are fused and looked up in native memory.
 *
 * @returns scores in the order of the items
 * @throws EftError CONTEXT_OVERFLOW before anything is evaluated, OPTION_INVALID, PARAMETER_*, ABORTED, DISPOSED; what
 * `onProgress` throws
 */
export async function score(
    ensemble: Ensemble,
    items: readonly ScoreItem[],
    given: ScoreOptions = {},
): Promise<Score[]> {
    return scoreInTurns(ensemble, items, given, () => Promise.resolve(() => undefined));
}

/**
 * Scores items, each of which waits for its turn when all have been found to be right.
 *
 * @param takeTurn - ends it by what it resolves with
 * @throws EftError as `score()`; what `takeTurn` throws
 */
export async function scoreInTurns(
    ensemble: Ensemble,
    items: readonly ScoreItem[],
    given: ScoreOptions,
    takeTurn: () => Promise<() => void>,
): Promise<Score[]> {
    checkEnsemble("score", ensemble);
    const checked = checkOptions("score", given, scoreOptions(ensemble.contextSize));
    const { chat = false, topLogprobs: top = 0, scores = false, templateVariables: variables = {}, stride } = checked;
    // Touched for its check: a disposed ensemble is an error before anything is prepared.
    void ensemble.scheduler;
    if (stride !== undefined && chat)
        throw new EftError("OPTION_INVALID", "stride and chat exclude each other: an answer belongs to its prompt.");
    // All that the caller may change while texts are tokenized.
    const taken = checkItems(items, chat, ensemble.vocabulary.size);
    const parameters = resolveParameters(ensemble.recipe, { ...ensemble.parameters, ...checked.parameters });
    const fusion = createFusion(ensemble, parameters, checked.conservativeTopP);
    const prepared = await prepareAll(ensemble, taken, { stride, variables, signal: checked.signal });
    const { scheduler, target } = ensemble;
    const rowsAtOnce = Math.min(MOST_SCORED, ensemble.batchSize >> 1);

    const done = new Map<Prepared, Score>();
    const scoreItem = async (item: Prepared): Promise<void> => {
        const endTurn = await takeTurn();
        try {
            done.set(item, await evaluateItem(item));
        } finally {
            endTurn();
        }
        checked.onProgress?.(done.size);
    };

    async function evaluateItem({ item, windows }: Prepared): Promise<Score> {
        const results: NativeQueryResult[] = [];
        for (const window of windows) results.push(...(await evaluateWindow(window)));
        return toScore(ensemble, item, windows, results, { top, scores });
    }

    async function evaluateWindow({ contexts, continuation }: Window): Promise<NativeQueryResult[]> {
        const results: NativeQueryResult[] = [];
        if (continuation.length === 0) return results;
        // The row that predicts a token is that of the token before it, so the last one need not be evaluated.
        const fed = contexts.map((_, member) =>
            Array.from(continuation.subarray(0, -1), (token) => ensemble.texts.feed(member, token)),
        );
        const tokens = contexts.map((context, member) => Int32Array.from([...context, ...(fed[member] ?? []).flat()]));
        const sequence = scheduler.open(target, tokens);
        try {
            for (let from = 0; from < continuation.length;) {
                // After a token that a member reads as several, the rows of that member do not follow each other.
                const more = continuation.subarray(from, from + rowsAtOnce);
                const last = more.findIndex((token) => ensemble.vocabulary.addedTokens[token] === 1);
                const token = last < 0 ? more : more.subarray(0, last + 1);
                const ends = contexts.map(
                    (context, member) =>
                        context.length + (fed[member] ?? []).slice(0, from + token.length - 1).flat().length,
                );
                const evaluated = await scheduler.evaluate({
                    ...{ sequence, ends, fusion },
                    queries: { rows: token.length, row: token.map((_, index) => index), token, top, scores },
                    signal: checked.signal,
                });
                results.push(evaluated.queries as NativeQueryResult);
                from += token.length;
            }
            return results;
        } finally {
            scheduler.close(sequence);
        }
    }

    const byContext = [...prepared].sort(
        (a, b) => Number(a.contextKey > b.contextKey) - Number(a.contextKey < b.contextKey),
    );
    await pMap(byContext, scoreItem, { concurrency: ensemble.sequences });
    return prepared.map((item) => done.get(item) as Score);
}

function toScore(
    ensemble: Ensemble,
    { continuation: text }: CheckedItem,
    windows: readonly Window[],
    results: readonly NativeQueryResult[],
    { top, scores }: { readonly top: number; readonly scores: boolean },
): Score {
    const count = ensemble.members.length;
    const tokens = windows.flatMap(({ continuation }) => [...continuation]);
    const memberLogprobs = results.flatMap((result) => [...result.memberLogprobs]);
    return {
        text: typeof text === "string" ? text : ensemble.detokenize(text),
        tokens,
        logprobs: results.flatMap((result) => [...result.logprobs]),
        members: Object.fromEntries(
            ensemble.members.map(({ name }, member) => [
                name,
                tokens.map((_, index) => memberLogprobs[index * count + member] ?? NaN),
            ]),
        ),
        windows: windows.length,
        isGreedy: results.every((result) => result.isArgmax.every((flag) => flag === 1)),
        ...(top > 0 && { top: results.flatMap((result) => splitTop(ensemble, result)) }),
        ...(scores && { scores: results.flatMap(splitRows) }),
    };
}

/** One list per query. */
function splitTop(ensemble: Ensemble, { logprobs, topTokens, topLogprobs }: NativeQueryResult): TopToken[][] {
    const [ids, values] = [topTokens ?? new Int32Array(0), topLogprobs ?? new Float32Array(0)];
    const width = ids.length / logprobs.length;
    /** The same tokens come again and again. */
    const known = new Map<number, string>();
    const textOf = (id: number): string => {
        const text = known.get(id) ?? tokenText(ensemble, id);
        known.set(id, text);
        return text;
    };
    return Array.from(logprobs, (_, row) => {
        const own = ids.subarray(row * width, (row + 1) * width).filter((id) => id >= 0);
        return Array.from(own, (id, rank) => ({ id, text: textOf(id), logprob: values[row * width + rank] ?? NaN }));
    });
}

/** One row per query. */
function splitRows({ logprobs, scores = new Float32Array(0) }: NativeQueryResult): Float32Array[] {
    const width = scores.length / logprobs.length;
    return Array.from(logprobs, (_, row) => scores.slice(row * width, (row + 1) * width));
}
