/** From the prompt of a turn to text: completes with the target of an ensemble. */

import { randomInt } from "node:crypto";
import type { Ensemble } from "../ensemble/ensemble.js";
import { checkInteger, checkKeys } from "../options.js";
import { surelyExceeds, tokenizePlain, toMessages, type ChatMessage } from "../ensemble/prompt.js";
import { EftError } from "../errors.js";
import type { Completion, CompletionOptions, CompletionResult, FinishPart, TokenPart } from "./completion.js";
import { checkCanDraft, createDrafterForm, resolveSpeculation } from "./drafter.js";
import { createDials, type Dials } from "./fusion.js";
import { createGrammar } from "./grammar.js";
import { generate, type Generation } from "./loop.js";
import { resolveLogitBias, resolveSampling } from "./sampling.js";

const COMPLETION_OPTIONS: readonly (keyof CompletionOptions)[] = [
    "prompt",
    "raw",
    "maxTokens",
    "sampling",
    "seed",
    "stop",
    "logitBias",
    "grammar",
    "jsonSchema",
    "parameters",
    "speculation",
    "topLogprobs",
    "memberLogprobs",
    "explain",
    "scores",
    "signal",
];

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
    const request = resolveRequest(ensemble, options);
    const { speculation, explain } = request;
    const named = typeof options.speculation === "object" ? options.speculation.drafter : undefined;
    const sizes = ensemble.members.map(({ model }) => model.info.size);
    const drafterForm = speculation && createDrafterForm(ensemble.recipe, sizes, named);
    const dials = createDials(ensemble, options.parameters ?? {}, drafterForm);
    if (speculation !== undefined) checkCanDraft(dials.drafter, explain ? {} : speculation);
    return Object.assign(start(ensemble, request, dials), { setParameters: dials.turn });
}

/** Runs a completion to its end. */
export async function collect(completion: Completion): Promise<CompletionResult> {
    const parts: TokenPart[] = [];
    for await (const part of completion) {
        if (part.type === "token") {
            parts.push(part);
        } else {
            const { type: _, text, ...finish } = part;
            return { ...finish, text: parts.map((token) => token.text).join("") + text, parts };
        }
    }
    throw new EftError("ABORTED", "The completion had been consumed before.");
}

interface Request extends Omit<Generation, "prompts"> {
    readonly messages: readonly ChatMessage[];
    readonly raw: boolean;
}

function resolveRequest(ensemble: Ensemble, options: CompletionOptions): Request {
    checkKeys("complete", options, COMPLETION_OPTIONS);
    // Touched for its check: a disposed ensemble is an error here and not at the first token.
    void ensemble.pool;
    const { prompt, raw = false, stop = [], explain = false, signal } = options;
    if (!Array.isArray(stop) || stop.length > 16 || stop.some((text) => typeof text !== "string" || text === "")) {
        throw new EftError("OPTION_INVALID", "stop must be at most 16 texts, none of them empty.");
    }
    const sampling = resolveSampling(ensemble.recipe.sampling, options.sampling ?? {});
    const { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty } = sampling;
    const grammar = createGrammar(ensemble, options);
    return {
        messages: toMessages(prompt),
        ...{ raw, stop, sampling, explain, signal },
        maxTokens: checkInteger("maxTokens", options.maxTokens ?? ensemble.contextSize, 0, 2 ** 31 - 1),
        // What is explained without speculation still needs a drafter to be compared with.
        speculation:
            resolveSpeculation(ensemble, sampling, options.speculation) ??
            (explain ? resolveSpeculation(ensemble, sampling, { length: 0, lookup: false }) : undefined),
        draw: {
            ...{ temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty },
            ...resolveLogitBias(options.logitBias ?? {}, ensemble.vocabulary.size),
            seed: checkInteger("seed", options.seed ?? randomInt(2 ** 32), 0, Number.MAX_SAFE_INTEGER),
            top: checkInteger("topLogprobs", options.topLogprobs ?? 0, 0, 100),
            members: (options.memberLogprobs ?? false) || explain,
            scores: options.scores ?? false,
            ...(grammar && { grammar }),
        },
    };
}

/** Renders the prompts when the first part is asked for, and not before. */
async function* start(
    ensemble: Ensemble,
    { messages, raw, ...generation }: Request,
    dials: Dials,
): AsyncGenerator<TokenPart | FinishPart, void, void> {
    yield* generate(ensemble, { ...generation, prompts: renderPrompts(ensemble, messages, raw) }, dials);
}

function renderPrompts(ensemble: Ensemble, messages: readonly ChatMessage[], raw: boolean): Int32Array[] {
    const { contextSize } = ensemble;
    const plain = messages.map(({ content }) => content).join("\n");
    return ensemble.members.map(({ name, model, prompt }) => {
        const overflow = (count: string): EftError =>
            new EftError(
                "CONTEXT_OVERFLOW",
                `The prompt has ${count} tokens for member ${name}; the context holds ${contextSize} and at least one must be ` +
                    `free for the answer, so at most ${contextSize - 1} fit. Shorten the prompt or load with a larger ` +
                    "contextSize.",
            );
        const text = raw ? plain : prompt.render(messages);
        if (surelyExceeds(model, text, contextSize)) throw overflow(`more than ${contextSize}`);
        const tokens = raw ? tokenizePlain(model, text) : prompt.tokenize(messages, text);
        if (tokens.length >= contextSize) throw overflow(String(tokens.length));
        if (tokens.length > 0) return tokens;
        throw new EftError("PROMPT_EMPTY", `The prompt has no tokens for member ${name}; write something into it.`);
    });
}
