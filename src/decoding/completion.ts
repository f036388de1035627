/** What a completion takes and gives. */

import { EftError } from "../errors.js";
import type { ChatMessage } from "../prompts/messages.js";
import type { SpeculationStatistics } from "../host/statistics.js";
import type { SamplingOptions, Some, TemplateVariables, TokenIds } from "../types.js";
import type { SpeculationOptions } from "./drafter.js";
import type { UnenforcedKeyword } from "../grammar/schema-report.js";
import type { JsonSchema, SchemaSource } from "../grammar/schema-source.js";
import type { LogitBias } from "./sampling.js";
import type { Tool, ToolCall, ToolChoice } from "../tools/types.js";

/** What to complete, and how. */
export interface CompletionOptions {
    /**
     * Text of the user's turn, or a conversation. Each member sees it through its own prompt template. A message
     * of the assistant at the end is a turn that is over, whose text is not continued. With `raw` also token ids
     * of the common vocabulary, control tokens among them: they are shown as they are, with nothing in front, no BOS either. A
     * member that lacks one of the tokens reads its text.
     */
    readonly prompt: string | readonly ChatMessage[] | TokenIds;
    /** Show the text to all members as it is, without templates. Default false. */
    readonly raw?: boolean | undefined;
    /**
     * What the templates are given besides the messages, such as `{ enable_thinking: false }` or `tools`; overlays what the
     * recipe says.
     */
    readonly templateVariables?: TemplateVariables | undefined;
    /** Most tokens to generate. Default: as many as the context holds. */
    readonly maxTokens?: number | undefined;
    /** Overlays the recipe's sampling. */
    readonly sampling?: Some<SamplingOptions> | undefined;
    /** 0 .. 2^53 - 1: the same seed gives the same text. Default: a random one, reported at the end. */
    readonly seed?: number | undefined;
    /** Texts that end the generation; they are not part of the text. At most 16. */
    readonly stop?: readonly string[] | undefined;
    readonly logitBias?: LogitBias | undefined;
    /** The text is one of this grammar: GBNF, llama.cpp's notation, with the start symbol `root`. Not with `jsonSchema`. */
    readonly grammar?: string | undefined;
    /**
     * What the model may call. Its calls come as parts of their own. Each member is told of them by its template, and by the
     * system prompt where its template knows no tools. Not with `raw` and `grammar`.
     */
    readonly tools?: readonly Tool[] | undefined;
    /** Default `auto`. What is not `auto` or `none` is enforced by a grammar. */
    readonly toolChoice?: ToolChoice | undefined;
    /**
     * The text is JSON of this schema, or of that which `toJSONSchema()` gives, as the types of zod 4 have it. Not with
     * `grammar`.
     */
    readonly jsonSchema?: JsonSchema | SchemaSource | undefined;
    /**
     * Whether a keyword of the schema that cannot be enforced is an error. If not, the rest is enforced, and the last part names
     * what is not. Default true.
     */
    readonly jsonSchemaStrict?: boolean | undefined;
    /** Overlays the ensemble's parameters, for this completion alone. */
    readonly parameters?: Readonly<Record<string, number>> | undefined;
    /**
     * Mass of the set outside of which the conservative filter falls back, in the place of the recipe's `conservative.topP`. Range
     * (0, 1]; 1 keeps every token. Only for recipes with such a filter, which says what to fall back to.
     */
    readonly conservativeTopP?: number | undefined;
    /**
     * Speculative decoding: an object overlays what the recipe says, true is the same as `{}`, false turns it off. Default: on if the
     * recipe has the key `speculation`. With `grammar` or `jsonSchema`, text that these force is verified as drafts unless it is false.
     */
    readonly speculation?: boolean | SpeculationOptions | undefined;
    /** How many of the target's most probable tokens to report at each token. Range 0..100. Default 0. */
    readonly topLogprobs?: number | undefined;
    /** Report what each member thought of the token (and of the top ones). Default false. */
    readonly memberLogprobs?: boolean | undefined;
    /** Report how the target differs from the drafter at each token, with speculation and without. Default false. */
    readonly explain?: boolean | undefined;
    /** Report the whole target row. Default false. */
    readonly scores?: boolean | undefined;
    /**
     * How many tokens may be made before they are asked for, 0..1,000. Default 0: none, but for the rest of a speculative block.
     * Completions whose readers are slow for a moment, or have other things to do between two parts, then still advance in the same
     * steps. When a dial is turned, tokens that have not been read are made again.
     */
    readonly readAhead?: number | undefined;
    /** Ends the completion with the finish reason `abort`. */
    readonly signal?: AbortSignal | undefined;
}

/** What the model thinks rather than says, as far as it became certain; where the template tells thoughts from what is said. */
export interface ThinkingPart {
    readonly type: "thinking";
    readonly thinking: string;
    /** Thoughts are no part of the answer. */
    readonly text: "";
}

/** A call, as soon as all of it is there. */
export interface ToolCallPart extends ToolCall {
    readonly type: "tool-call";
    /** Calls are no part of the answer. */
    readonly text: "";
}

/** Whatever a completion may be made of. The `text` of all parts together is the answer. */
export type CompletionPart = TokenPart | ThinkingPart | ToolCallPart | FinishPart;

/** A token and what is known about it. Log-probabilities are the target's, before penalties, bias and filters. */
export interface TokenPart {
    readonly type: "token";
    readonly id: number;
    /** Text of the answer that became certain with this token: empty inside a character, a possible stop string, thinking or a call. */
    readonly text: string;
    readonly logprob: number;
    /** With `memberLogprobs`: by member name; NaN for a member that the combination did not read. */
    readonly members?: Readonly<Record<string, number>>;
    /** With `topLogprobs`: the most probable tokens, descending. */
    readonly top?: readonly TopToken[];
    /** With `scores`: log-probability of every token id. */
    readonly scores?: Float32Array;
    /** With `explain`. */
    readonly drafter?: DrafterView;
    /**
     * With selective fusion, where the target was not asked: the drafter drew it by itself, and `logprob`, `top` and `scores` are the
     * drafter's.
     */
    readonly drawnBy?: "drafter";
}

/** One of the most probable tokens. Equally probable ones come in the order of their ids. */
export interface TopToken {
    readonly id: number;
    readonly text: string;
    readonly logprob: number;
    /** With `memberLogprobs`: by member name; NaN for a member that the combination did not read. */
    readonly members?: Readonly<Record<string, number>>;
}

/** The target beside the drafter, at one token. */
export interface DrafterView {
    /** What the drafter would have drawn in the target's place, with the same noise. */
    readonly id: number;
    readonly text: string;
    /** Total-variation distance of the two distributions, before penalties, bias, temperature and filters. 0..1. */
    readonly totalVariation: number;
    /**
     * Where the drafter would have drawn another token: by how much each member moves the log-odds of the target's token
     * against the drafter's, relative to the drafter's own form. The largest one changed the decision.
     */
    readonly shifts?: Readonly<Record<string, number>>;
    /** The member whose shift is the largest. */
    readonly changedBy?: string;
}

/**
 * Why a completion ended: end-of-text token or stop string; the same, and something was called; `maxTokens` or context full; the
 * caller's signal.
 */
export type FinishReason = "stop" | "tool-calls" | "length" | "abort";

/**
 * A completion in numbers of tokens, as one model would report it. Members may be shown different prompts; what counts is the
 * longest of them, because it has to fit into the context together with the answer. Nothing is counted twice for being read by
 * several members; {@link FinishPart.promptTokens} has each of them.
 */
export interface TokenUsage {
    /** Of the longest prompt of a member: template, control tokens, and everything else that the member is shown. */
    readonly promptTokens: number;
    /** Generated tokens, an end-of-text token included, drafts that were rejected not. */
    readonly completionTokens: number;
    /**
     * How many of `completionTokens` were thinking: from the token that ends the mark in front of it to the one that ends the mark behind
     * it, both included; 0 where the template tells of none.
     */
    readonly thinkingTokens: number;
    /** `promptTokens` and `completionTokens` together. */
    readonly totalTokens: number;
    /**
     * How many of `promptTokens` were found in a cache and not evaluated. Of members with prompts of that length, the one that
     * found the fewest.
     */
    readonly reusedTokens: number;
}

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
    readonly usage: TokenUsage;
    /** Per member: tokens of its prompt, and how many of them were found in a cache. */
    readonly promptTokens: Readonly<Record<string, number>>;
    readonly reusedTokens: Readonly<Record<string, number>>;
    readonly timings: CompletionTimings;
    /**
     * With selective fusion: the text is not drawn from the target alone; {@link SpeculationStatistics.unasked} says how many tokens are
     * not. Without it a text is as exact as batches are rounded.
     */
    readonly exactness?: "approximate";
    /** With speculation, with a grammar unless speculation is off, and with `explain`, where no block has drafts unless there is speculation too. */
    readonly speculation?: SpeculationStatistics;
    /** With `jsonSchemaStrict: false`: the keywords of the schema that did not constrain the text. */
    readonly unenforced?: readonly UnenforcedKeyword[];
}

/**
 * Milliseconds. Steps may be shared with other completions that run at the same time. A step may begin before the token ahead
 * of it has been handed out, so that over few tokens `decodeMs` and `fuseMs` together may exceed `generationMs`.
 */
export interface CompletionTimings {
    /** From the start to the first token. */
    readonly firstTokenMs: number;
    /** From the first token to the end. */
    readonly generationMs: number;
    /** Tokens after those of the first step, which is one as a rule, per second of generationMs; 0 where there are none. */
    readonly tokensPerSecond: number;
    /**
     * Per member: decoding, in all jobs after the prompt, drafting included. Members on a GPU overlap, and the one that is waited
     * for first is charged for the others; then only the sum is the time that went by.
     */
    readonly decodeMs: Readonly<Record<string, number>>;
    /** Fusing and drawing, in all jobs after the prompt. */
    readonly fuseMs: number;
}

/** Of one's own, and not shared: streams that decode or compress take no others. Compilers from 5.7 on tell these apart. */
export type TextBytes = ReturnType<InstanceType<typeof TextEncoder>["encode"]>;

/** What has a text to stream, in whatever process it is made. */
export interface TextSource {
    /**
     * The text of the answer as a stream of UTF-8: `new Response(completion.toReadableStream())`, or
     * `pipeline(completion.toReadableStream(), response)` of `node:stream/promises`. It has what has not been read yet, in chunks
     * of one or more whole characters. A token is drawn when a reader asks for more, so that a slow one holds up nobody but
     * itself; `cancel()`, which a client that goes away leads to, stops the generation; what the completion throws, reading throws,
     * and OPTION_INVALID where it has been read to its end, or left, before. How it ended, and all else that is not text, is in the
     * parts alone.
     */
    toReadableStream(): ReadableStream<TextBytes>;
    /**
     * Waits for the first part, which stays to be read: what cannot be answered, such as a prompt that is too long, is thrown here, and
     * not in the middle of an answer. Called again, or while the parts are being read, it does nothing more.
     *
     * @throws EftError what reading the first part throws; OPTION_INVALID where the completion was left before that
     */
    begin(): Promise<void>;
}

/** Parts as they come; ends with a {@link FinishPart}. Leaving the loop early stops the generation, as does `await using`. */
export interface Completion extends AsyncGenerator<CompletionPart, void, void>, TextSource {
    /** Turns this completion's dials; takes effect at its next token. @throws EftError PARAMETER_* */
    setParameters(values: Readonly<Record<string, number>>): void;
    /** Stops the generation, as leaving the loop does; for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}

interface Part {
    readonly type: string;
    readonly text?: string;
}

/** A generator of parts with what completions have besides. Generators of Node 20 lack `Symbol.asyncDispose`. */
export function toCompletion<Parts extends AsyncGenerator<Part, void, void>, Methods extends object>(
    parts: Parts,
    methods: Methods,
): Parts & Methods & TextSource & { [Symbol.asyncDispose](): Promise<void> } {
    const [draw, leave, fail] = [parts.next.bind(parts), parts.return.bind(parts), parts.throw.bind(parts)];
    let first: Promise<IteratorResult<Part, void>> | undefined;
    /** The first part has been drawn by begin(), and nobody has asked for it. */
    let isKept = false;
    const completion = Object.assign(parts, methods, {
        next(): Promise<IteratorResult<Part, void>> {
            if (!isKept || first === undefined) {
                const result = draw();
                first ??= result;
                return result;
            }
            isKept = false;
            return first;
        },
        return() {
            isKept = false;
            return leave();
        },
        throw(error: unknown) {
            isKept = false;
            return fail(error);
        },
        async begin() {
            isKept ||= first === undefined;
            const { done } = await (first ??= draw());
            if (done) throw consumed();
        },
        toReadableStream: (): ReadableStream<TextBytes> => toReadableStream(completion),
        [Symbol.asyncDispose]: async (): Promise<void> => void (await completion.return()),
    });
    return completion;
}

function toReadableStream(parts: AsyncGenerator<Part, void, void>): ReadableStream<TextBytes> {
    const encoder = new TextEncoder();
    let isWhole = false;
    return new ReadableStream<TextBytes>(
        {
            async pull(controller) {
                for (;;) {
                    const { value: part, done } = await parts.next();
                    if (done && !isWhole) throw consumed();
                    if (done) return controller.close();
                    isWhole = part.type === "finish";
                    const isAnswer = part.type === "token" || part.type === "finish";
                    if (isAnswer && part.text) return controller.enqueue(encoder.encode(part.text));
                }
            },
            cancel: async () => void (await parts.return()),
        },
        // By default a stream keeps a chunk in store, which would be drawn before anybody asks.
        { highWaterMark: 0 },
    );
}

/** What is said where a completion is read that has no parts left. */
export function consumed(): EftError {
    return new EftError("OPTION_INVALID", "The completion has been consumed before; ask for another one.");
}

/** A completion that has run to its end. */
export interface CompletionResult extends Omit<FinishPart, "type" | "text"> {
    /** The answer, without thinking and calls. */
    readonly text: string;
    /** What the model thought; empty if nothing. */
    readonly thinking: string;
    readonly toolCalls: readonly ToolCall[];
    readonly parts: readonly TokenPart[];
}
