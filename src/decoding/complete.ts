/** From the prompt of a turn to text: completes with the target of an ensemble. */

import { randomInt } from "node:crypto";
import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { toMessages } from "../prompts/messages.js";
import { checkVariables, renderPrompts, type MemberPrompt } from "../prompts/prompt.js";
import { areTokenIds, checkTokenIds, feedAll } from "../prompts/token-ids.js";
import { EftError } from "../errors.js";
import {
    checkOptions,
    boolean,
    DIALS,
    integer,
    mapping,
    number,
    show,
    abortSignal,
    string,
    unchecked,
    type OptionTable,
} from "../options.js";
import {
    consumed,
    toCompletion,
    type Completion,
    type CompletionOptions,
    type CompletionResult,
    type TokenPart,
} from "./completion.js";
import type { ToolCall } from "../tools/types.js";
import {
    checkCanDraft,
    checkLeavesOut,
    createDrafterForm,
    decidingAlone,
    resolveSpeculation,
    SPECULATION,
} from "./drafter.js";
import { checkToolChoice, checkTools } from "../tools/check-tools.js";
import { resolveAnswer, separateParts, type AnswerPlan } from "./answer.js";
import { createDials, type Dials } from "./fusion.js";
import { createGrammar } from "./grammar.js";
import { generate, type Course, type DrawnPart, type Generation } from "./loop.js";
import { runAhead } from "./read-ahead.js";
import { resolveLogitBias, penaltyWindow, resolveSampling, SAMPLING_OPTIONS } from "./sampling.js";

/** What the options of a completion may be, as far as the ensemble does not matter. */
export const COMPLETION_OPTIONS: OptionTable<CompletionOptions> = {
    prompt: unchecked,
    raw: boolean,
    maxTokens: integer(0, 2 ** 31 - 1),
    sampling: SAMPLING_OPTIONS,
    seed: integer(0, Number.MAX_SAFE_INTEGER),
    stop: (_name, value) => checkStop(value),
    logitBias: mapping<number>,
    grammar: string,
    jsonSchema: unchecked,
    tools: checkTools,
    toolChoice: checkToolChoice,
    jsonSchemaStrict: boolean,
    parameters: DIALS,
    templateVariables: checkVariables,
    speculation: SPECULATION,
    topLogprobs: integer(0, 100),
    memberLogprobs: boolean,
    conservativeTopP: number(Number.MIN_VALUE, 1),
    explain: boolean,
    scores: boolean,
    readAhead: integer(0, 1000),
    signal: abortSignal,
};

/**
 * Generates text from the target. Completions that are consumed at the same time advance in the same steps; more of them
 * than the ensemble has sequences wait for their turn. Nothing runs before the first part is asked for, and nothing runs
 * ahead of the consumer, but for the rest of a speculative block.
 *
 * @throws EftError OPTION_INVALID, GRAMMAR_INVALID, COMBINATION_*, PARAMETER_*, DISPOSED at once; PROMPT_EMPTY, CONTEXT_OVERFLOW (before
 * anything is evaluated), TEMPLATE_INVALID, NON_FINITE_LOGITS, NO_TOKEN_LEFT, GRAMMAR_INVALID (where a text can be read in too many
 * ways) and DECODE_FAILED from the iterator
 */
export function complete(ensemble: Ensemble, options: CompletionOptions): Completion {
    return completeFrom(ensemble, options, ({ prompt, raw = false, templateVariables: variables }, { use }) => {
        const { members, contextSize: limit } = ensemble;
        if (areTokenIds("prompt", prompt) && (raw || prompt.length > 0)) {
            if (!raw) {
                const reason = "prompt is a list of token ids, which are shown as they are, without templates";
                throw new EftError("OPTION_INVALID", `${reason}: set raw to true, or give a text or messages.`);
            }
            const ids = checkTokenIds("prompt", prompt, ensemble.vocabulary.size);
            return () => Promise.resolve(showIds(ensemble, ids));
        }
        const messages = toMessages(prompt);
        return () => renderPrompts(members, messages, { raw, variables, use, limit });
    });
}

function showIds({ members, texts, contextSize }: Ensemble, ids: Int32Array): ShownPrompt[] {
    // No member reads fewer tokens than there are ids.
    const fits = ids.length <= contextSize;
    return members.map((_, member) => ({ tokens: fits ? feedAll(texts, member, ids) : undefined }));
}

/** What a member is shown. */
type ShownPrompt = Pick<MemberPrompt, "tokens">;

/** What each member is shown, made when the first part is asked for, and not before. */
export type ShowPrompts = () => Promise<readonly ShownPrompt[]>;

/**
 * As {@link complete}, with prompts that somebody else makes.
 *
 * @param show - gets the options once they have been checked, and what may be called
 */
export function completeFrom<Options extends Partial<CompletionOptions>>(
    ensemble: Ensemble,
    options: Options,
    show: (checked: Options, answer: AnswerPlan) => ShowPrompts,
): Completion {
    checkEnsemble("complete", ensemble);
    const checked = checkOptions("complete", options, COMPLETION_OPTIONS) as Options;
    const answer = resolveAnswer(ensemble, checked);
    const makePrompts = show(checked, answer);
    let prompts: ReturnType<ShowPrompts> | undefined;
    /** Once, however often the completion begins again. */
    const showOnce: ShowPrompts = () => (prompts ??= makePrompts());
    const request = resolveRequest(ensemble, checked, answer, showOnce);
    const { speculation, explain } = request;
    const named = typeof checked.speculation === "object" ? checked.speculation.drafter : undefined;
    const sizes = ensemble.members.map(({ model }) => model.info.size);
    const hasDrafter = speculation?.hasDrafter ?? false;
    const isSelective = speculation?.selective !== undefined;
    const drawn = hasDrafter ? createDrafterForm(ensemble.recipe, sizes, named) : undefined;
    const drafterForm = drawn && isSelective ? decidingAlone(drawn, ensemble.vocabulary) : drawn;
    const dials = createDials(ensemble, checked.parameters ?? {}, drafterForm, checked.conservativeTopP);
    if (speculation !== undefined && hasDrafter) checkCanDraft(dials.drafter, explain ? {} : speculation);
    if (isSelective) checkLeavesOut(ensemble, dials.drafter);
    const { readAhead = 0 } = checked;
    /** Its grammar stands at the beginning again. */
    const again = (seed: number): Request => resolveRequest(ensemble, checked, answer, showOnce, seed);
    let next: Request | undefined = request;
    const course: Course = {};
    const parts =
        readAhead === 0
            ? start(ensemble, request, dials)
            : runAhead(
                  readAhead,
                  (read, left) => {
                      const signal = AbortSignal.any([left, ...(request.signal ? [request.signal] : [])]);
                      const own = next ?? again(request.draw.seed);
                      next = undefined;
                      return start(ensemble, { ...own, signal }, dials, read, course);
                  },
                  dials,
                  request.signal,
              );
    return toCompletion(separateParts(parts), { setParameters: dials.turn });
}

/**
 * Runs a completion to its end.
 *
 * @throws EftError what its iterator throws, and OPTION_INVALID if it has been consumed before
 */
export async function collect(completion: Completion): Promise<CompletionResult> {
    if (typeof (completion as Partial<Completion> | null | undefined)?.[Symbol.asyncIterator] !== "function")
        throw new EftError("OPTION_INVALID", `collect takes a completion, not ${show(completion)}.`);
    const parts: TokenPart[] = [];
    const toolCalls: ToolCall[] = [];
    const [said, thought]: [string[], string[]] = [[], []];
    for await (const part of completion) {
        said.push(part.text);
        if (part.type === "token") parts.push(part);
        else if (part.type === "thinking") thought.push(part.thinking);
        else if (part.type === "tool-call") toolCalls.push({ id: part.id, name: part.name, arguments: part.arguments });
        else {
            const { type: _, text: __, ...finish } = part;
            return { ...finish, text: said.join(""), thinking: thought.join(""), toolCalls, parts };
        }
    }
    throw consumed();
}

interface Request extends Omit<Generation, "prompts"> {
    readonly show: ShowPrompts;
}

/** @param seed - in the place of a random one */
function resolveRequest(
    ensemble: Ensemble,
    options: Partial<CompletionOptions>,
    answer: AnswerPlan,
    show: ShowPrompts,
    seed = randomInt(2 ** 32),
): Request {
    // Touched for its check: a disposed ensemble is an error here and not at the first token.
    void ensemble.scheduler;
    const { stop = [], explain = false, signal } = options;
    const sampling = resolveSampling(ensemble.recipe.sampling, options.sampling ?? {});
    const { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty } = sampling;
    const constraint = createGrammar(ensemble, options, answer);
    const speculation = resolveSpeculation(ensemble, sampling, options.speculation, constraint !== undefined);
    return {
        ...{ show, stop, sampling, explain, signal },
        answer: answer.syntax,
        dropsSpace: answer.dropsSpace,
        maxTokens: options.maxTokens ?? ensemble.contextSize,
        // What is explained without speculation still needs a drafter to be compared with.
        speculation:
            explain && speculation?.hasDrafter !== true
                ? resolveSpeculation(
                      ensemble,
                      sampling,
                      { length: 0, lookup: false, selective: 0 },
                      speculation !== undefined,
                  )
                : speculation,
        draw: {
            ...{ temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty },
            ...resolveLogitBias(options.logitBias ?? {}, ensemble.vocabulary.size),
            historyLimit: penaltyWindow(sampling),
            seed: options.seed ?? seed,
            top: options.topLogprobs ?? 0,
            members: (options.memberLogprobs ?? false) || explain,
            scores: options.scores ?? false,
            ...(constraint && { grammar: constraint.grammar }),
        },
        unenforced: constraint?.unenforced,
    };
}

function checkStop(value: unknown): readonly string[] {
    if (!Array.isArray(value)) {
        const remedy = typeof value === "string" ? `; write [${show(value)}]` : "";
        throw new EftError("OPTION_INVALID", `stop must be a list of texts, not ${show(value)}${remedy}.`);
    }
    const texts: readonly unknown[] = Array.from(value);
    if (texts.length <= 16 && texts.every((each) => typeof each === "string" && each !== ""))
        return texts as readonly string[];
    throw new EftError("OPTION_INVALID", "stop must be at most 16 texts, none of them empty.");
}

async function* start(
    ensemble: Ensemble,
    { show, ...generation }: Request,
    dials: Dials,
    past: readonly number[] = [],
    course: Course = {},
): AsyncGenerator<DrawnPart, void, void> {
    const prompts = tokensOf(ensemble, await show());
    yield* generate(ensemble, { ...generation, prompts }, dials, past, course);
}

function tokensOf({ members, contextSize }: Ensemble, prompts: readonly ShownPrompt[]): Int32Array[] {
    return prompts.map(({ tokens }, index) => {
        const name = members[index]?.name;
        if (tokens === undefined || tokens.length >= contextSize) {
            const count = tokens?.length ?? `more than ${contextSize}`;
            throw new EftError(
                "CONTEXT_OVERFLOW",
                `The prompt has ${count} tokens for member ${name}; the context holds ${contextSize} and at least one must be ` +
                    `free for the answer, so at most ${contextSize - 1} fit. Shorten the prompt or load with a larger ` +
                    "contextSize.",
            );
        }
        if (tokens.length > 0) return tokens;
        throw new EftError("PROMPT_EMPTY", `The prompt has no tokens for member ${name}; write something into it.`);
    });
}
