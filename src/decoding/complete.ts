/** The plain loop: prompt in, one fused step per token, text out. */

import { randomInt } from "node:crypto";
import type { Ensemble } from "../ensemble/ensemble.js";
import { checkInteger, checkKeys } from "../ensemble/options.js";
import { surelyExceeds, tokenizePlain, toMessages, type ChatMessage } from "../ensemble/prompt.js";
import type { Sequence } from "../ensemble/sequences.js";
import type { Evaluated } from "../ensemble/steps.js";
import { EftError } from "../errors.js";
import type { NativeDrawResult } from "../native/binding.js";
import type { SamplingOptions } from "../types.js";
import { createDials, missingTokens, type Dials } from "./fusion.js";
import { penaltyHistory, resolveLogitBias, resolveSampling, type LogitBias } from "./sampling.js";
import { createTextStream } from "./text-stream.js";

/** What to complete, and how. */
export interface CompletionOptions {
    /** Text of the user's turn, or a conversation. Each member sees it through its own prompt template. */
    readonly prompt: string | readonly ChatMessage[];
    /** Show the text to all members as it is, without templates. Default false. */
    readonly raw?: boolean;
    /** Most tokens to generate. Default: as many as the context holds. */
    readonly maxTokens?: number;
    /** Overlays the recipe's sampling. */
    readonly sampling?: Partial<SamplingOptions>;
    /** 0 .. 2^53 - 1: the same seed gives the same text. Default: a random one, reported at the end. */
    readonly seed?: number;
    /** Texts that end the generation; they are not part of the text. At most 16. */
    readonly stop?: readonly string[];
    readonly logitBias?: LogitBias;
    /** Overlays the ensemble's parameters, for this completion alone. */
    readonly parameters?: Readonly<Record<string, number>>;
    /** How many of the target's most probable tokens to report at each token. Range 0..100. Default 0. */
    readonly topLogprobs?: number;
    /** Report what each member thought of the token (and of the top ones). Default false. */
    readonly memberLogprobs?: boolean;
    /** Report the whole target row. Default false. */
    readonly scores?: boolean;
    /** Ends the completion with the finish reason `abort`. */
    readonly signal?: AbortSignal;
}

const COMPLETION_OPTIONS: readonly (keyof CompletionOptions)[] = [
    "prompt",
    "raw",
    "maxTokens",
    "sampling",
    "seed",
    "stop",
    "logitBias",
    "parameters",
    "topLogprobs",
    "memberLogprobs",
    "scores",
    "signal",
];

/** A token and what is known about it. Log-probabilities are the target's, before penalties, bias and filters. */
export interface TokenPart {
    readonly type: "token";
    readonly id: number;
    /** Text that became certain with this token: empty inside a character or a possible stop string. */
    readonly text: string;
    readonly logprob: number;
    /** With `memberLogprobs`: by member name; NaN for a member that the combination did not read. */
    readonly members?: Readonly<Record<string, number>>;
    /** With `topLogprobs`: the most probable tokens, descending. */
    readonly top?: readonly {
        readonly id: number;
        readonly text: string;
        readonly logprob: number;
        readonly members?: Readonly<Record<string, number>>;
    }[];
    /** With `scores`: log-probability of every token id. */
    readonly scores?: Float32Array;
}

/** Why a completion ended: end-of-text token or stop string, `maxTokens` or context full, the caller's signal. */
export type FinishReason = "stop" | "length" | "abort";

/** The last part of every completion. */
export interface FinishPart {
    readonly type: "finish";
    readonly reason: FinishReason;
    /** Text that had been held back as the possible beginning of a stop string. */
    readonly text: string;
    readonly stoppedBy?: string;
    readonly seed: number;
    /** Generated tokens, an end-of-text token included. */
    readonly tokens: number;
    /** Per member: tokens of its prompt, and how many of them were found in a cache. */
    readonly promptTokens: Readonly<Record<string, number>>;
    readonly reusedTokens: Readonly<Record<string, number>>;
    readonly timings: CompletionTimings;
}

/** Milliseconds. Steps may be shared with other completions that run at the same time. */
export interface CompletionTimings {
    /** From the start to the first token. */
    readonly firstTokenMs: number;
    /** From the first token to the end. */
    readonly generationMs: number;
    /** Tokens after the first, per second of generationMs; 0 with fewer than two tokens. */
    readonly tokensPerSecond: number;
    /** Per member: decoding, in all steps after the prompt. */
    readonly decodeMs: Readonly<Record<string, number>>;
    /** Fusing and drawing, in all steps after the prompt. */
    readonly fuseMs: number;
}

/** Parts as they come; ends with a {@link FinishPart}. Leaving the loop early stops the generation. */
export interface Completion extends AsyncGenerator<TokenPart | FinishPart, void, void> {
    /** Turns this completion's dials; takes effect at its next token. @throws EftError PARAMETER_* */
    setParameters(values: Readonly<Record<string, number>>): void;
}

/** A completion that has run to its end. */
export interface CompletionResult extends Omit<FinishPart, "type" | "text"> {
    readonly text: string;
    readonly parts: readonly TokenPart[];
}

/**
 * Generates text from the target. Completions that are consumed at the same time advance in the same steps; more of them
 * than the ensemble has sequences wait for their turn. Nothing runs before the first part is asked for, and nothing runs
 * ahead of the consumer.
 *
 * @throws EftError OPTION_INVALID, PARAMETER_*, DISPOSED at once; PROMPT_EMPTY, CONTEXT_OVERFLOW (before anything is
 * evaluated), TEMPLATE_INVALID, NON_FINITE_LOGITS, NO_TOKEN_LEFT and DECODE_FAILED from the iterator
 */
export function complete(ensemble: Ensemble, options: CompletionOptions): Completion {
    const request = resolveRequest(ensemble, options);
    const dials = createDials(ensemble, options.parameters ?? {});
    return Object.assign(generate(ensemble, request, dials), { setParameters: dials.turn });
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

type Request = ReturnType<typeof resolveRequest>;

function resolveRequest(ensemble: Ensemble, options: CompletionOptions) {
    checkKeys("complete", options, COMPLETION_OPTIONS);
    // Touched for its check: a disposed ensemble is an error here and not at the first token.
    void ensemble.pool;
    const { prompt, raw = false, stop = [], signal } = options;
    if (!Array.isArray(stop) || stop.length > 16 || stop.some((text) => typeof text !== "string" || text === "")) {
        throw new EftError("OPTION_INVALID", "stop must be at most 16 texts, none of them empty.");
    }
    const sampling = resolveSampling(ensemble.recipe.sampling, options.sampling ?? {});
    const { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty } = sampling;
    return {
        messages: toMessages(prompt),
        raw,
        stop,
        signal,
        sampling,
        maxTokens: checkInteger("maxTokens", options.maxTokens ?? ensemble.contextSize, 0, 2 ** 31 - 1),
        /** What all draws of the completion have in common. */
        draw: {
            ...{ temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty },
            ...resolveLogitBias(options.logitBias ?? {}, ensemble.vocabulary.size),
            seed: checkInteger("seed", options.seed ?? randomInt(2 ** 32), 0, Number.MAX_SAFE_INTEGER),
            top: checkInteger("topLogprobs", options.topLogprobs ?? 0, 0, 100),
            members: options.memberLogprobs ?? false,
            scores: options.scores ?? false,
        },
    };
}

async function* generate(
    ensemble: Ensemble,
    request: Request,
    dials: Dials,
): AsyncGenerator<TokenPart | FinishPart, void, void> {
    const prompts = renderPrompts(ensemble, request);
    const [main] = ensemble.members;
    if (main === undefined) throw new EftError("RECIPE_INVALID", "The recipe has no members.");
    const text = createTextStream(main.model, request.stop);
    const clock = createClock(ensemble);
    const generated: number[] = [];
    const { signal } = request;
    const { pool, steps } = ensemble;
    let sequence: Sequence | undefined;
    let reason: FinishReason = "length";
    try {
        const most = Math.min(request.maxTokens, ensemble.contextSize - Math.max(...prompts.map((p) => p.length)));
        if (most > 0) sequence = await pool.acquire(prompts, 1, signal);
        while (sequence !== undefined && generated.length < most) {
            const { fusion } = dials;
            const append = missingTokens(sequence, prompts, generated, request.draw.members ? undefined : fusion);
            const history = penaltyHistory(request.sampling, prompts[0] ?? new Int32Array(0), generated);
            const draw = { ...request.draw, history, position: generated.length };
            const evaluated = await steps.evaluate({
                sequence,
                append,
                fusion,
                draw,
                ...(signal && { signal }),
            });
            clock.add(evaluated);
            const { token } = evaluated.draw as NativeDrawResult;
            generated.push(token);
            const ended = ensemble.vocabulary.endOfGeneration[token] === 1;
            yield tokenPart(ensemble, evaluated.draw as NativeDrawResult, ended ? "" : text.push(token));
            if (ended || text.stoppedBy !== undefined) {
                reason = "stop";
                break;
            }
        }
    } catch (error) {
        // Only the caller's own signal is an ordinary end; an ensemble that is disposed meanwhile is not.
        if (!(EftError.isInstance(error) && error.code === "ABORTED" && signal?.aborted)) throw error;
        reason = "abort";
    } finally {
        if (sequence !== undefined) pool.release(sequence);
    }
    yield {
        type: "finish",
        reason,
        text: text.flush(),
        ...(text.stoppedBy === undefined ? {} : { stoppedBy: text.stoppedBy }),
        seed: request.draw.seed,
        tokens: generated.length,
        promptTokens: byName(ensemble, (index) => prompts[index]?.length ?? 0),
        reusedTokens: byName(ensemble, (index) => sequence?.reused[index] ?? 0),
        timings: clock.timings(generated.length),
    };
}

function renderPrompts(ensemble: Ensemble, { messages, raw }: Request): Int32Array[] {
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

function tokenPart(ensemble: Ensemble, draw: NativeDrawResult, text: string): TokenPart {
    const { token, logprob, memberLogprobs, topTokens, topLogprobs, topMemberLogprobs, scores } = draw;
    const count = ensemble.members.length;
    return {
        type: "token",
        id: token,
        text,
        logprob,
        ...(memberLogprobs && { members: byName(ensemble, (index) => memberLogprobs[index] ?? NaN) }),
        ...(topTokens && {
            top: Array.from(topTokens, (id, rank) => ({
                id,
                text: tokenText(ensemble, id),
                logprob: topLogprobs?.[rank] ?? NaN,
                ...(topMemberLogprobs && {
                    members: byName(ensemble, (index) => topMemberLogprobs[rank * count + index] ?? NaN),
                }),
            })),
        }),
        ...(scores && { scores }),
    };
}

/** Text of a token by itself, control tokens spelled out; bytes that are no whole character become U+FFFD. */
export function tokenText(ensemble: Ensemble, token: number): string {
    return ensemble.members[0]?.model.detokenize(Int32Array.of(token), true).toString("utf8") ?? "";
}

function byName(ensemble: Ensemble, value: (index: number) => number): Record<string, number> {
    return Object.fromEntries(ensemble.members.map(({ name }, index) => [name, value(index)]));
}

function createClock(ensemble: Ensemble) {
    const start = performance.now();
    let first: number | undefined;
    let last = start;
    let fuseMs = 0;
    const decodeMs = ensemble.members.map(() => 0);
    return {
        add(evaluated: Evaluated): void {
            last = performance.now();
            if (first === undefined) {
                first = last;
                return;
            }
            fuseMs += evaluated.fuseMs;
            evaluated.decodeMs.forEach((ms, index) => (decodeMs[index] = (decodeMs[index] ?? 0) + ms));
        },
        timings(tokens: number): CompletionTimings {
            const generationMs = last - (first ?? last);
            return {
                firstTokenMs: (first ?? last) - start,
                generationMs,
                tokensPerSecond: tokens > 1 && generationMs > 0 ? ((tokens - 1) * 1000) / generationMs : 0,
                decodeMs: byName(ensemble, (index) => decodeMs[index] ?? 0),
                fuseMs,
            };
        },
    };
}
