/** Texts to score, and their tokens. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { Member } from "../ensemble/members.js";
import { abortError, EftError } from "../errors.js";
import { boolean, listOf, optionsOf, unchecked } from "../options.js";
import { toMessages, type ChatMessage } from "../prompts/messages.js";
import { renderPrompts } from "../prompts/prompt.js";
import { checkTextOrIds, feedAll } from "../prompts/token-ids.js";
import { oncePerTokenizer, surelyExceeds, tokenizeContinuation, tokenizePlain } from "../prompts/tokens.js";
import type { TemplateVariables, TokenIds } from "../types.js";
import { splitWindows, type Window } from "./windows.js";

/** Tokens of a text that is scored in windows. */
const MAX_TOKENS = 2 ** 20;

/** A text to score. */
export interface ScoreItem {
    /**
     * What precedes the text; not scored. Messages need `chat`. Default, as of an empty text or list: nothing but BOS, or EOS to
     * a vocabulary without BOS.
     *
     * Token ids of the common vocabulary are what precedes it, control tokens among them: nothing is put in front, no BOS either. Not
     * with `chat`.
     */
    readonly context?: string | readonly ChatMessage[] | TokenIds | undefined;
    /**
     * The text whose tokens are scored, each given everything before it. Control tokens that it spells are text. A text behind a
     * context in token ids is read as in the middle of a text.
     *
     * Token ids of the common vocabulary are scored as they are, control tokens among them; a text in front of them is tokenized by
     * itself, and with `chat` no space is put in between. A member that lacks one of the tokens reads its text.
     */
    readonly continuation: string | TokenIds;
    /** Score the token that ends an answer, too, after the text. Default false. */
    readonly withEnd?: boolean | undefined;
}

const ITEMS = listOf((item, value) =>
    optionsOf<ScoreItem>(item, {
        // Texts, token ids or messages: `chat` and the vocabulary decide.
        context: unchecked,
        continuation: unchecked,
        withEnd: (name, isWanted) => boolean(`${item}.${name}`, isWanted),
    })(item, value),
);

/** A {@link ScoreItem} that has been checked, and that the caller cannot change. */
export interface CheckedItem {
    readonly context: string | Int32Array | readonly ChatMessage[];
    readonly continuation: string | Int32Array;
    readonly withEnd: boolean;
}

/**
 * @param size - of the vocabulary
 * @throws EftError OPTION_INVALID
 */
export function checkItems(items: unknown, chat: boolean, size: number): CheckedItem[] {
    return ITEMS("items", items).map(({ context = "", continuation, withEnd = false }, index) => {
        const [before, text] = [`items[${index}].context`, `items[${index}].continuation`];
        return {
            context: chat
                ? toMessages(context, before)
                : checkTextOrIds(before, context, size, "; messages need `chat`"),
            continuation: checkTextOrIds(text, continuation, size),
            withEnd,
        };
    });
}

/** An item with its tokens. */
export interface Prepared {
    readonly item: CheckedItem;
    /** Equal for items whose contexts are the same tokens. */
    readonly contextKey: string;
    readonly windows: readonly [Window, ...Window[]];
}

/** What items are prepared with. */
export interface Preparing {
    readonly stride: number | undefined;
    readonly variables: TemplateVariables;
    readonly signal: AbortSignal | undefined;
}

/** One after another, so that a faulty item is named before any further one is read. */
export async function prepareAll(
    ensemble: Ensemble,
    items: readonly CheckedItem[],
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
    item: CheckedItem,
    index: number,
    { stride, variables }: Preparing,
): Promise<Prepared> {
    const { contextSize } = ensemble;
    const isChat = Array.isArray(item.context);
    const most = stride === undefined ? contextSize + 1 : MAX_TOKENS;
    const checkLength = (count: number | undefined): void => {
        if (count !== undefined && count <= most) return;
        const [what, remedy] =
            stride === undefined
                ? [
                      "the context scores",
                      `Split the text, ${isChat ? "or" : "score it in windows (stride), or"} load with a larger contextSize.`,
                  ]
                : ["windows score", "Split the text."];
        throw new EftError(
            "CONTEXT_OVERFLOW",
            `Text ${index + 1} has ${count ?? "far too many"} tokens; ${what} at most ${most}. ${remedy}`,
        );
    };
    const { contexts, continuation } = await split(ensemble, item, { variables, most, checkLength });
    const scored = item.withEnd ? Int32Array.from([...continuation, endToken(ensemble)]) : continuation;
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

interface Splitting extends Limit {
    readonly variables: TemplateVariables;
}

async function split(ensemble: Ensemble, item: CheckedItem, splitting: Splitting): Promise<Window> {
    const { continuation: text } = item;
    const context = item.context.length === 0 && !Array.isArray(item.context) ? "" : item.context;
    if (typeof context === "string" && typeof text === "string") return splitPlain(ensemble, context, text, splitting);
    const contexts = await readContext(ensemble, context, splitting);
    return { contexts, continuation: await readContinuation(ensemble, text, Array.isArray(context), splitting) };
}

/** What each member has read where a text begins whose tokens do not depend on that. */
async function readContext(
    { members, texts }: Ensemble,
    context: CheckedItem["context"],
    { variables, most, checkLength }: Splitting,
): Promise<Int32Array[]> {
    if (typeof context === "string") {
        const read = oncePerTokenizer(async (model) => {
            if (await surelyExceeds(model, context, most)) checkLength(undefined);
            return (await tokenizePlain(model, context))[0];
        });
        return Promise.all(members.map(({ model }) => read(model)));
    }
    if (context instanceof Int32Array) {
        checkLength(context.length);
        return members.map((_, member) => feedAll(texts, member, context));
    }
    const prompts = await renderPrompts(members, context, { variables, limit: most });
    return prompts.map(({ tokens }) => {
        if (tokens === undefined) checkLength(undefined);
        return tokens ?? new Int32Array(0);
    });
}

/** The tokens of a text that do not depend on what is before it. */
async function readContinuation(
    { members, texts }: Ensemble,
    text: string | Int32Array,
    isAnswer: boolean,
    { most, checkLength }: Limit,
): Promise<Int32Array> {
    if (typeof text !== "string") {
        checkLength(text.length);
        return text;
    }
    const { model, prompt } = members[texts.speaker] as Member;
    if (await surelyExceeds(model, text, most)) checkLength(undefined);
    const spaced = isAnswer && prompt.script.spacesAnswers && /^\S/.test(text);
    return tokenizeContinuation(model, spaced ? ` ${text}` : text);
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
function endToken({ members, vocabulary }: Ensemble): number {
    // The id may be something else to whoever speaks for it.
    const ends = members.map(({ prompt }) => prompt.eos).filter((token) => vocabulary.endOfGeneration[token] === 1);
    const count = (token: number): number => ends.filter((other) => other === token).length;
    const [end] = ends.toSorted((a, b) => count(b) - count(a) || a - b);
    if (end !== undefined) return end;
    throw new EftError("OPTION_INVALID", "No member has a token that ends an answer; score the text without it.");
}
