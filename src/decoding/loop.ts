/** The loop: prompt in, one fused step for each token or block of tokens, text out. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { Sequence } from "../host/sequences.js";
import type { Drawing, Evaluated } from "../host/evaluations.js";
import { EftError } from "../errors.js";
import type { UnenforcedKeyword } from "../grammar/schema-report.js";
import type { NativeDraw, NativeDrawResult } from "../native/binding.js";
import type { SamplingOptions } from "../types.js";
import type { CompletionTimings, FinishPart, FinishReason, TokenPart, TokenUsage } from "./completion.js";
import type { Speculation } from "./drafter.js";
import { viewDrafter } from "./explain.js";
import { createContinuation, type Dials } from "./fusion.js";
import { penaltyHistory } from "./sampling.js";
import { createSpeculator, type Speculator } from "./speculation.js";
import { createAnswerReader, type AnswerSyntax } from "../tools/answer-reader.js";
import type { Uttered } from "../tools/token-reader.js";
import { tokenText } from "./token-text.js";

/** What the loop works on: checked, with all defaults filled in. */
export interface Generation {
    /** Tokens of the prompt, per member. */
    readonly prompts: readonly Int32Array[];
    readonly maxTokens: number;
    readonly stop: readonly string[];
    readonly sampling: SamplingOptions;
    /** What all draws have in common. */
    readonly draw: Omit<NativeDraw, "history" | "position">;
    readonly speculation: Speculation | undefined;
    readonly explain: boolean;
    /** What may be in the answer besides text. */
    readonly answer: AnswerSyntax | undefined;
    /** A space in front of the answer is not part of it. */
    readonly dropsSpace: boolean;
    readonly signal: AbortSignal | undefined;
    /** Keywords of a schema that do not constrain the text. */
    readonly unenforced: readonly UnenforcedKeyword[] | undefined;
}

/** A part with what became certain with it besides text, in one piece, so that nobody sees the one without the other. */
export type DrawnPart = (TokenPart | FinishPart) & Omit<Uttered, "text">;

/** What the runs of a completion have in common that begins again behind what has been read. */
export interface Course {
    clock?: ReturnType<typeof createClock>;
    /** Of the last run. */
    sequence?: Sequence;
}

/**
 * @param dials - with a drafter's form where there is speculation
 * @param past - tokens of the text that there are already
 */
export async function* generate(
    ensemble: Ensemble,
    generation: Generation,
    dials: Dials,
    past: readonly number[] = [],
    course: Course = {},
): AsyncGenerator<DrawnPart, void, void> {
    const { prompts, maxTokens, stop, sampling, draw: common, speculation, explain, signal } = generation;
    const answer = createAnswerReader(ensemble.texts, stop, generation.answer, generation.dropsSpace);
    const clock = (course.clock ??= createClock(ensemble));
    const { scheduler } = ensemble;
    const sequence = scheduler.open(ensemble.target, prompts, course.sequence);
    course.sequence = sequence;
    const continuation = createContinuation(ensemble, sequence);
    const { tokens: generated } = continuation;
    /** Tokens that may still come: as many as were asked for and every cache holds. */
    const room = (): number => {
        const used = sequence.texts.map((each) => each.length);
        return Math.min(maxTokens - generated.length, ensemble.contextSize - Math.max(...used));
    };
    /** The next token. @returns what of the text became certain, and whether the text ends */
    const add = (token: number): { readonly certain: Uttered; readonly isLast: boolean } => {
        continuation.push(token);
        if (ensemble.vocabulary.endOfGeneration[token] === 1) return { certain: NOTHING, isLast: true };
        common.grammar?.accept(token);
        const certain = answer.push(token);
        return { certain, isLast: answer.stoppedBy !== undefined };
    };
    let isOver = false;
    for (const token of past) isOver = add(token).isLast;
    let speculator: Speculator | undefined;
    let drawing: Drawing | undefined;
    /** The same until a dial is turned. */
    const currentDrawing = (): Drawing => {
        const { fusion, drafter } = dials;
        if (drawing?.fusion === fusion) return drawing;
        return (drawing = {
            ...{ fusion, draw: common, speculation: speculator?.speculating(fusion, drafter) },
        });
    };
    let reason: FinishReason = isOver ? "stop" : "length";
    try {
        if (speculation !== undefined) {
            const readsAll = common.members;
            const own = { speculation, dials, sampling, readsAll, explain };
            speculator = createSpeculator({ ensemble, prompts, generated, ...own });
        }
        blocks: while (!isOver && room() > 0) {
            const { fusion, drafter } = dials;
            const evaluated = await scheduler.evaluate({
                ...{ sequence, drawing: currentDrawing(), position: generated.length, room: room() },
                history: () =>
                    penaltyHistory(sampling, prompts[ensemble.texts.speaker] ?? new Int32Array(0), generated),
                ...(signal && { signal }),
            });
            clock.add(evaluated);
            speculator?.learn(evaluated);
            for (const drawn of evaluated.draws) {
                // It may have fired while others wanted the same step.
                if (signal?.aborted) break;
                const { certain, isLast } = add(drawn.token);
                scheduler.rest(sequence);
                yield {
                    ...tokenPart(ensemble, drawn, certain),
                    ...(explain && drafter && { drafter: viewDrafter(ensemble, drawn, { fusion, drafter }) }),
                };
                if (isLast) {
                    reason = "stop";
                    break blocks;
                }
                // The rest of the block was drawn from the target as it was before a dial was turned.
                if (dials.fusion !== fusion) break;
            }
        }
    } catch (error) {
        // Only the caller's own signal is an ordinary end; an ensemble that is disposed meanwhile is not.
        if (!(EftError.isInstance(error) && error.code === "ABORTED" && signal?.aborted)) throw error;
        reason = "abort";
    } finally {
        scheduler.close(sequence);
    }
    yield {
        type: "finish",
        reason,
        ...answer.flush(reason === "length" || reason === "abort"),
        ...(answer.stoppedBy === undefined ? {} : { stoppedBy: answer.stoppedBy }),
        seed: common.seed,
        tokens: generated.length,
        usage: usageOf(prompts, sequence.reused, generated.length, answer.thinkingTokens),
        promptTokens: byName(ensemble, (index) => prompts[index]?.length ?? 0),
        reusedTokens: byName(ensemble, (index) => sequence.reused[index] ?? 0),
        timings: clock.timings(generated.length),
        ...(speculation?.selective !== undefined && { exactness: "approximate" }),
        ...(speculator && { speculation: speculator.statistics() }),
        ...(generation.unenforced && { unenforced: generation.unenforced }),
    };
}

const NOTHING: Uttered = { text: "", thinking: "", calls: [] };

function tokenPart(ensemble: Ensemble, draw: NativeDrawResult, uttered: Uttered): TokenPart & Uttered {
    const { token, logprob, memberLogprobs, topTokens, topLogprobs, topMemberLogprobs, scores, isUnasked } = draw;
    const count = ensemble.members.length;
    return {
        type: "token",
        id: token,
        ...uttered,
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
        ...(isUnasked && { drawnBy: "drafter" }),
    };
}

function usageOf(
    prompts: readonly { readonly length: number }[],
    reused: readonly number[],
    completionTokens: number,
    thinkingTokens: number,
): TokenUsage {
    const promptTokens = Math.max(...prompts.map(({ length }) => length));
    const found = reused.filter((_, member) => prompts[member]?.length === promptTokens);
    const totalTokens = promptTokens + completionTokens;
    return { promptTokens, completionTokens, thinkingTokens, totalTokens, reusedTokens: Math.min(...found) };
}

function byName(ensemble: Ensemble, value: (index: number) => number): Record<string, number> {
    return Object.fromEntries(ensemble.members.map(({ name }, index) => [name, value(index)]));
}

interface JobCost {
    readonly decodeMs: readonly number[];
    readonly fuseMs: number;
}

/** Adds up what the jobs cost that came after the first token. */
function createClock(ensemble: Ensemble) {
    const start = performance.now();
    let first: number | undefined;
    /** Of the first step. */
    let firstTokens = 0;
    let last = start;
    let fuseMs = 0;
    const decodeMs = ensemble.members.map(() => 0);
    return {
        add(evaluated: Evaluated): void {
            last = performance.now();
            if (first === undefined) {
                first = last;
                firstTokens = evaluated.draws.length;
                return;
            }
            const jobs: readonly (JobCost | undefined)[] = [evaluated, evaluated.block];
            for (const job of jobs) {
                fuseMs += job?.fuseMs ?? 0;
                job?.decodeMs.forEach((ms, index) => (decodeMs[index] = (decodeMs[index] ?? 0) + ms));
            }
        },
        timings(tokens: number): CompletionTimings {
            const generationMs = last - (first ?? last);
            const later = tokens - firstTokens;
            return {
                firstTokenMs: (first ?? last) - start,
                generationMs,
                tokensPerSecond: later > 0 && generationMs > 0 ? (later * 1000) / generationMs : 0,
                decodeMs: byName(ensemble, (index) => decodeMs[index] ?? 0),
                fuseMs,
            };
        },
    };
}
