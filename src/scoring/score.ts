/** Log-likelihoods of given text, under the target and under each member. */

import pMap from "p-map";
import { createFusion } from "../decoding/fusion.js";
import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import type { Member } from "../ensemble/members.js";
import { MOST_SCORED } from "../models/context-memory.js";
import { toMessages, type ChatMessage } from "../prompts/messages.js";
import { checkVariables, renderPrompts } from "../prompts/prompt.js";
import { oncePerTokenizer, surelyExceeds, tokenizeContinuation, tokenizePlain } from "../prompts/tokens.js";
import { abortError, EftError } from "../errors.js";
import type { NativeQueryResult } from "../native/binding.js";
import {
    callback,
    checkOptions,
    boolean,
    integer,
    listOf,
    mapping,
    optionsOf,
    abortSignal,
    string,
    unchecked,
    type OptionTable,
} from "../options.js";
import { resolveParameters } from "../recipe/index.js";
import type { TemplateVariables } from "../types.js";
import { splitWindows, type Window } from "./windows.js";

/** Tokens of a text that is scored in windows. */
const MAX_TOKENS = 2 ** 20;

/** A text to score. */
export interface ScoreItem {
    /** What precedes the text; not scored. Messages need `chat`. Default: nothing but BOS. */
    readonly context?: string | readonly ChatMessage[] | undefined;
    /** The text whose tokens are scored, each given everything before it. Control tokens that it spells are text. */
    readonly continuation: string;
    /** Score the token that ends an answer, too, after the text. Default false. */
    readonly withEnd?: boolean | undefined;
}

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
     * As in Hugging Face's "Perplexity of fixed-length models", with a BOS in front of each window.
     */
    readonly stride?: number | undefined;
    /** With `chat`: what the templates are given besides the messages; overlays what the recipe says. */
    readonly templateVariables?: TemplateVariables | undefined;
    /** Overlays the ensemble's parameters. */
    readonly parameters?: Readonly<Record<string, number>> | undefined;
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
    parameters: mapping<number>,
    scores: boolean,
    signal: abortSignal,
    onProgress: callback,
});
const ITEMS = listOf(
    optionsOf<ScoreItem>("A text to score", {
        // Messages or a text, which `chat` decides.
        context: unchecked,
        continuation: string,
        withEnd: boolean,
    }),
);

/** The score of one item. Log-probabilities are natural logarithms, one per token of the continuation. */
export interface Score {
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
    /** With `scores`: for each token, the target's log-probability of every token id. */
    readonly scores?: readonly Float32Array[];
}

/** An item with its tokens. */
interface Prepared {
    readonly item: ScoreItem;
    /** Equal for items whose contexts are the same tokens. */
    readonly contextKey: string;
    readonly windows: readonly [Window, ...Window[]];
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
    checkEnsemble("score", ensemble);
    const checked = checkOptions("score", given, scoreOptions(ensemble.contextSize));
    const { chat = false, scores = false, templateVariables: variables = {}, stride } = checked;
    // Touched for its check: a disposed ensemble is an error before anything is prepared.
    void ensemble.scheduler;
    if (stride !== undefined && chat)
        throw new EftError("OPTION_INVALID", "stride and chat exclude each other: an answer belongs to its prompt.");
    // All that the caller may change while texts are tokenized.
    const taken = ITEMS("items", items).map((item, index) => {
        const { context = "" } = item;
        const name = `items[${index}].context`;
        return { ...item, context: chat ? toMessages(context, name) : string(name, context) };
    });
    const parameters = resolveParameters(ensemble.recipe, { ...ensemble.parameters, ...checked.parameters });
    const fusion = createFusion(ensemble, parameters);
    const prepared = await prepareAll(ensemble, taken, { stride, variables, signal: checked.signal });
    const { scheduler, target } = ensemble;
    const rowsAtOnce = Math.min(MOST_SCORED, ensemble.batchSize >> 1);

    const done = new Map<Prepared, Score>();
    const scoreItem = async (item: Prepared): Promise<void> => {
        done.set(item, await evaluateItem(item));
        checked.onProgress?.(done.size);
    };

    async function evaluateItem({ item, windows }: Prepared): Promise<Score> {
        const results: NativeQueryResult[] = [];
        for (const window of windows) results.push(...(await evaluateWindow(window)));
        return toScore(ensemble, item, windows, results, scores);
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
                    queries: { rows: token.length, row: token.map((_, index) => index), token, scores },
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

interface Preparing {
    readonly stride: number | undefined;
    readonly variables: TemplateVariables;
    readonly signal: AbortSignal | undefined;
}

/** One after another, so that a faulty item is named before any further one is read. */
async function prepareAll(
    ensemble: Ensemble,
    items: readonly ScoreItem[],
    preparing: Preparing,
): Promise<readonly Prepared[]> {
    const { signal } = preparing;
    const prepareEach = async (): Promise<readonly Prepared[]> => {
        const prepared: Prepared[] = [];
        for (const [index, item] of items.entries()) {
            if (signal?.aborted) break;
            prepared.push(await prepare(ensemble, item, index, preparing));
        }
        return prepared;
    };
    if (signal === undefined) return prepareEach();
    // A long text that is being tokenized cannot be stopped, but nobody has to wait for it.
    let abort = (): void => undefined;
    const aborted = new Promise<undefined>((resolve) => (abort = () => resolve(undefined)));
    signal.addEventListener("abort", abort);
    const prepared = await Promise.race([prepareEach(), aborted]).finally(() =>
        signal.removeEventListener("abort", abort),
    );
    if (prepared === undefined || signal.aborted) throw abortError("Scoring was aborted.", signal);
    return prepared;
}

async function prepare(
    ensemble: Ensemble,
    item: ScoreItem,
    index: number,
    { stride, variables }: Preparing,
): Promise<Prepared> {
    const { context = "", continuation: text, withEnd = false } = item;
    const { contextSize } = ensemble;
    const isPlain = typeof context === "string";
    const most = stride === undefined ? contextSize + 1 : MAX_TOKENS;
    const checkLength = (count: number | undefined): void => {
        if (count !== undefined && count <= most) return;
        const [what, remedy] =
            stride === undefined
                ? [
                      "the context scores",
                      `Split the text, ${isPlain ? "score it in windows (stride), or" : "or"} load with a larger contextSize.`,
                  ]
                : ["windows score", "Split the text."];
        throw new EftError(
            "CONTEXT_OVERFLOW",
            `Text ${index + 1} has ${count ?? "far too many"} tokens; ${what} at most ${most}. ${remedy}`,
        );
    };
    const { contexts, continuation } = isPlain
        ? await splitPlain(ensemble, context, text, { most, checkLength })
        : await splitChat(ensemble, context, text, { variables, most, checkLength });
    const scored = withEnd ? Int32Array.from([...continuation, endToken(ensemble)]) : continuation;
    const seen = contexts.map((tokens, member) => (tokens.length > 0 ? tokens : startOf(ensemble, member)));
    const lengths = seen.map((tokens, member) =>
        scored.reduce((sum, token) => sum + ensemble.texts.feed(member, token).length, tokens.length),
    );
    checkLength(Math.max(...lengths));
    const windows = splitWindows(
        { contexts: seen, continuation: scored },
        {
            contextSize,
            stride: stride ?? 1,
            feed: (member, token) => ensemble.texts.feed(member, token),
            start: (member) => startToken(ensemble, member),
        },
    );
    return { item, contextKey: windows[0].contexts.join(";"), windows };
}

interface Limit {
    /** Tokens that can be scored. */
    readonly most: number;
    /** @throws EftError CONTEXT_OVERFLOW for more than these; undefined is certainly more */
    readonly checkLength: (count: number | undefined) => void;
}

/** The prompts of `complete()`, and an answer whose tokens do not depend on where they end. */
async function splitChat(
    { members, texts }: Ensemble,
    messages: readonly ChatMessage[],
    text: string,
    { variables, most, checkLength }: Limit & { readonly variables: TemplateVariables },
): Promise<Window> {
    const prompts = await renderPrompts(members, messages, { variables, limit: most });
    const contexts = prompts.map(({ tokens }) => {
        if (tokens === undefined) checkLength(undefined);
        return tokens ?? new Int32Array(0);
    });
    const { model, prompt } = members[texts.speaker] as Member;
    if (await surelyExceeds(model, text, most)) checkLength(undefined);
    const answer = prompt.script.spacesAnswers && /^\S/.test(text) ? ` ${text}` : text;
    return { contexts, continuation: await tokenizeContinuation(model, answer) };
}

/**
 * Context and text are tokenized together. A token that reaches over the seam, as a space at the end of the context does,
 * counts as what follows.
 */
async function splitPlain(
    { members, texts }: Ensemble,
    context: string,
    text: string,
    { most, checkLength }: Limit,
): Promise<Window> {
    const split = oncePerTokenizer(async (model) => {
        if (await surelyExceeds(model, context + text, most)) checkLength(undefined);
        const [alone, whole] = await tokenizePlain(model, context, context + text);
        const seam = alone.findIndex((token, index) => token !== whole[index]);
        const length = seam < 0 ? alone.length : seam;
        return { before: whole.subarray(0, length), after: whole.subarray(length) };
    });
    const sides = await Promise.all(members.map(({ model }) => split(model)));
    return {
        contexts: sides.map(({ before }) => before),
        continuation: sides[texts.speaker]?.after ?? new Int32Array(0),
    };
}

/** What stands before a text that nothing precedes. @throws EftError OPTION_INVALID for a vocabulary without such a token */
function startOf(ensemble: Ensemble, member: number): Int32Array {
    const start = startToken(ensemble, member);
    if (start !== undefined) return Int32Array.of(start);
    const { name } = ensemble.members[member] as Ensemble["members"][number];
    throw new EftError(
        "OPTION_INVALID",
        `The vocabulary of member ${name} has neither a BOS nor an EOS token that a text could begin after; give each text a ` +
            "context.",
    );
}

function startToken({ members }: Ensemble, member: number): number | undefined {
    const { bos, eos } = (members[member] as Ensemble["members"][number]).model.info;
    return [bos, eos].find((token) => token >= 0);
}

/** The token that ends an answer for most members, the lowest id among equals. */
function endToken({ members }: Ensemble): number {
    const ends = members.map(({ prompt }) => prompt.eos).filter((token) => token >= 0);
    const count = (token: number): number => ends.filter((other) => other === token).length;
    const [end] = ends.toSorted((a, b) => count(b) - count(a) || a - b);
    if (end !== undefined) return end;
    throw new EftError("OPTION_INVALID", "No member has a token that ends an answer; score the text without it.");
}

function toScore(
    ensemble: Ensemble,
    item: ScoreItem,
    windows: readonly Window[],
    results: readonly NativeQueryResult[],
    scores: boolean,
): Score {
    const count = ensemble.members.length;
    const tokens = windows.flatMap(({ continuation }) => [...continuation]);
    const memberLogprobs = results.flatMap((result) => [...result.memberLogprobs]);
    return {
        text: item.continuation,
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
        ...(scores && { scores: results.flatMap(splitRows) }),
    };
}

/** One row per query. */
function splitRows({ logprobs, scores = new Float32Array(0) }: NativeQueryResult): Float32Array[] {
    const width = scores.length / logprobs.length;
    return Array.from(logprobs, (_, row) => scores.slice(row * width, (row + 1) * width));
}
