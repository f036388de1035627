/**
 * Continuous batching: what many sequences ask for at about the same time becomes one native job, in which every member
 * reads its weights once for all of them. Drafts come first, so that the step that verifies them takes everyone along.
 */

import { abortError, EftError } from "../errors.js";
import type { NativeDecode, NativeDrawResult, NativeEngine, NativeQueryResult } from "../native/binding.js";
import { toEftError } from "../native/native-error.js";
import type { CostTable, Job } from "./costs.js";
import type { Trust } from "./trust.js";
import { NEVER_STOP, type Drafted, type DraftPlan, type DraftRequest } from "./drafts.js";
import type { Sequence } from "./sequences.js";
import { planStep, type Evaluated, type Evaluation, type Share, type Waiting } from "./step-plan.js";

export interface StepQueue {
    /**
     * Resolves when the caches hold the tokens and the rows have been dealt with. If it rejects, the caches hold what they
     * held before, and the first of the new tokens if some of the steps of a long prompt had succeeded.
     *
     * @throws EftError ABORTED, CONTEXT_OVERFLOW, NON_FINITE_LOGITS, NO_TOKEN_LEFT, DECODE_FAILED, NATIVE_FAILURE
     */
    evaluate(evaluation: Evaluation): Promise<Evaluated>;
    /** Resolves when the drafts are there; perhaps none. The next job of the sequence has to verify them. @throws as evaluate() */
    draft(request: DraftRequest): Promise<Drafted>;
}

/** A request for drafts that waits. */
interface Drafting {
    readonly request: DraftRequest;
    readonly resolve: (drafted: Drafted) => void;
    readonly reject: (error: unknown) => void;
}

/** What one sequence contributes to a job, reduced to what all kinds of jobs have in common. */
interface Part {
    readonly sequence: Sequence;
    readonly signal: AbortSignal | undefined;
    readonly reject: (error: unknown) => void;
}

/** Without drafts, or with those of a proposal. */
export function createDrafted(members: number, plan: DraftPlan, tokens: Int32Array = new Int32Array(0)): Drafted {
    const decodeMs = new Array<number>(members).fill(0);
    return { plan, tokens, confidences: new Float32Array(0), declined: -1, keptRows: 0, decodeMs, fuseMs: 0 };
}

export interface StepQueueOptions {
    /** Number of members. */
    readonly members: number;
    /** Most tokens of one member in one step. */
    readonly batchSize: number;
    /** Number of slots: with one, nobody has to be waited for. */
    readonly sequences: number;
    /** Told what each job has cost. */
    readonly costs: CostTable;
    readonly trust: Trust;
}

export function createStepQueue(
    engine: NativeEngine,
    { members, batchSize, sequences, costs, trust }: StepQueueOptions,
): StepQueue {
    let evaluations: Waiting[] = [];
    let draftings: Drafting[] = [];
    let running = false;

    async function run(): Promise<void> {
        running = true;
        while (evaluations.length + draftings.length > 0) {
            // Consumers that were woken by the last job ask for the next one in the same turn of the event loop.
            if (sequences > 1) await nextTurn();
            const asked = [...draftings, ...evaluations];
            try {
                dropAborted();
                if (draftings.length > 0) await runDrafts();
                else await runStep(planStep(evaluations, members, batchSize));
            } catch (error) {
                // Jobs deal with their own failures. This is one between them, such as a signal that throws; whose it is, is
                // not known, and whoever asks later must not suffer.
                for (const { reject } of asked) reject(error);
                evaluations = evaluations.filter((waiting) => !asked.includes(waiting));
                draftings = draftings.filter((drafting) => !asked.includes(drafting));
            }
        }
        running = false;
    }

    function dropAborted(): void {
        for (const waiting of evaluations) {
            const { signal } = waiting.evaluation;
            if (!signal?.aborted) continue;
            finish(waiting);
            waiting.reject(evaluationAborted(signal));
        }
        for (const { request, reject } of draftings)
            if (request.signal?.aborted) reject(evaluationAborted(request.signal));
        draftings = draftings.filter(({ request }) => !request.signal?.aborted);
    }

    function finish(waiting: Waiting): void {
        evaluations = evaluations.filter((other) => other !== waiting);
    }

    /**
     * Runs a native job for the parts that are still wanted. If it fails, each of them tries alone: whose fault it was shows
     * then, and no other must suffer.
     */
    async function runJob<P, R extends { readonly decodes: readonly NativeDecode[] }>(
        job: Job,
        all: readonly P[],
        describe: (part: P) => Part,
        submit: (parts: readonly P[]) => Promise<R>,
        settle: (result: R, parts: readonly P[]) => void,
    ): Promise<void> {
        const parts = all.filter((part) => {
            const { signal, reject } = describe(part);
            if (signal?.aborted) reject(evaluationAborted(signal));
            return !signal?.aborted;
        });
        if (parts.length === 0) return;
        const described = parts.map(describe);
        const interrupt = (): void => {
            // A job can be interrupted only as a whole, so not while somebody still wants its result.
            if (described.every(({ signal }) => signal?.aborted)) engine.interrupt();
        };
        for (const { signal } of described) signal?.addEventListener("abort", interrupt);
        try {
            const start = performance.now();
            const [result] = await Promise.all([submit(parts), ...described.map(({ sequence }) => sequence.ready)]);
            costs.record(job, result.decodes, performance.now() - start);
            settle(result, parts);
        } catch (error) {
            await handleFailure(toEftError(error));
        } finally {
            for (const { signal } of described) signal?.removeEventListener("abort", interrupt);
        }

        async function handleFailure(error: EftError): Promise<void> {
            if (error.code === "ABORTED") {
                // A job that somebody still wants is interrupted by nobody but dispose().
                const disposed = "The ensemble was disposed during the evaluation.";
                for (const { signal, reject } of described)
                    reject(signal?.aborted ? evaluationAborted(signal) : new EftError("DISPOSED", disposed));
            } else if (parts.length === 1) {
                for (const { reject } of described) reject(error);
            } else {
                for (const part of parts) await runJob(job, [part], describe, submit, settle);
            }
        }
    }

    async function runStep(shares: readonly Share[]): Promise<void> {
        if (shares.length === 0) return;
        await runJob(
            "step",
            shares,
            ({ waiting }) => ({
                sequence: waiting.evaluation.sequence,
                signal: waiting.evaluation.signal,
                reject: (error) => {
                    finish(waiting);
                    waiting.reject(error);
                },
            }),
            (parts) => engine.step(parts.map(({ entry }) => entry)),
            ({ results, decodes, fuseMs }, parts) => {
                parts.forEach((share, index) => {
                    account(share, decodes, fuseMs, results[index]);
                    if (share.last) settleStep(share, results[index]);
                });
            },
        );
    }

    function account(
        { waiting, entry }: Share,
        decodes: readonly NativeDecode[],
        fuseMs: number,
        result: readonly NativeDrawResult[] | NativeQueryResult | undefined,
    ): void {
        const { held } = waiting.evaluation.sequence;
        waiting.fuseMs += fuseMs;
        addDecodes(waiting.decodeMs, decodes);
        entry.tokens.forEach((tokens, member) => {
            waiting.evaluated[member] = (waiting.evaluated[member] ?? 0) + tokens.length;
            for (const token of tokens) held[member]?.push(token);
        });
        const { drafts = new Int32Array(0), keptRows = 0, drafter } = entry.speculation ?? {};
        const last = drafts.at(-1);
        const allAccepted = Array.isArray(result) && result.length === drafts.length + 1;
        if (last === undefined || keptRows !== drafts.length || !allAccepted) return;
        // What NativeSpeculation.keptRows promises.
        drafter?.weights.forEach((weight, member) => {
            if (weight !== 0) held[member]?.push(last);
        });
    }

    function settleStep(
        { waiting, entry }: Share,
        result: readonly NativeDrawResult[] | NativeQueryResult | undefined,
    ): void {
        finish(waiting);
        const { decodeMs, fuseMs } = waiting;
        waiting.resolve({
            draws: entry.draw === undefined ? [] : (result as readonly NativeDrawResult[]),
            ...(entry.queries === undefined ? {} : { queries: result as NativeQueryResult }),
            decodeMs,
            fuseMs,
        });
    }

    async function runDrafts(): Promise<void> {
        const all = draftings;
        draftings = [];
        const plans = choosePlans(all);
        const fromDrafter: { drafting: Drafting; plan: DraftPlan }[] = [];
        all.forEach((drafting, index) => {
            const plan = plans[index] ?? { length: 0, stop: NEVER_STOP };
            const { proposal, drafter } = drafting.request;
            if (plan.length > 0 && proposal === undefined && drafter !== undefined)
                fromDrafter.push({ drafting, plan });
            else drafting.resolve(createDrafted(members, plan, proposal?.subarray(0, plan.length)));
        });
        // Each adds a few tokens alone; together they may still be too many for one batch.
        const most = Math.max(1, Math.floor(batchSize / MOST_APPENDED));
        for (let from = 0; from < fromDrafter.length; from += most) {
            await runJob(
                "draft",
                fromDrafter.slice(from, from + most),
                ({ drafting: { request, reject } }) => ({ sequence: request.sequence, signal: request.signal, reject }),
                (parts) => engine.draft(parts.map(({ drafting, plan }) => toEntry(drafting.request, plan))),
                ({ drafts, decodes, fuseMs }, parts) => {
                    parts.forEach(({ drafting: { request, resolve }, plan }, index) => {
                        const draft = drafts[index];
                        if (draft === undefined) return;
                        const { tokens, confidences } = draft;
                        const keptRows = confidences.length;
                        request.drafter?.append.forEach((appended, member) => {
                            if (appended.length === 0) return;
                            request.sequence.held[member]?.push(...appended, ...tokens.subarray(0, keptRows - 1));
                        });
                        resolve({ ...draft, plan, keptRows, decodeMs: addDecodes(zeros(), decodes), fuseMs });
                    });
                },
            );
        }
    }

    /** Policies plan together for all sequences that use them. */
    function choosePlans(all: readonly Drafting[]): DraftPlan[] {
        const plans: DraftPlan[] = [];
        const draws = evaluations.filter(({ evaluation }) => evaluation.draw !== undefined).length;
        for (const policy of new Set(all.map(({ request }) => request.policy))) {
            const own = [...all.keys()].filter((index) => all[index]?.request.policy === policy);
            const prospects = own.flatMap((index) => all[index]?.request.prospect ?? []);
            const chosen = policy.choose(prospects, { draws, trust: trust.factor() }, costs);
            chosen.forEach((plan, place) => (plans[own[place] ?? 0] = plan));
        }
        return plans;
    }

    function zeros(): number[] {
        return new Array<number>(members).fill(0);
    }

    function start(): void {
        if (!running) void run();
    }

    return {
        evaluate: (evaluation) =>
            traced((resolve, reject) => {
                const waiting = { evaluation, resolve, reject, decodeMs: zeros(), fuseMs: 0, evaluated: zeros() };
                evaluations.push(waiting);
                start();
            }),
        draft: (request) =>
            traced((resolve, reject) => {
                draftings.push({ request, resolve, reject });
                start();
            }),
    };
}

/** Most tokens that a request for drafts appends to a cache; whoever lacks more evaluates them before. */
export const MOST_APPENDED = 16;

function toEntry({ sequence, drafter }: DraftRequest, { length, stop }: DraftPlan) {
    if (drafter === undefined) throw new EftError("OPTION_INVALID", "There is no drafter to ask.");
    const { append, fusion, draw, coupling, historyLimit } = drafter;
    return {
        sequence: sequence.slot,
        keep: Int32Array.from(sequence.held, (held) => held.length),
        tokens: append,
        drafter: fusion,
        ...{ draw, coupling, historyLimit, length, minConfidence: stop.minConfidence },
    };
}

/** Adds to `decodeMs`, one number per member. */
function addDecodes(decodeMs: number[], decodes: readonly NativeDecode[]): number[] {
    for (const { member, ms } of decodes) decodeMs[member] = (decodeMs[member] ?? 0) + ms;
    return decodeMs;
}

/** A promise whose errors have the stack of whoever waits for it: the queue's own says nothing. */
async function traced<T>(
    executor: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
    try {
        return await new Promise(executor);
    } catch (error) {
        if (EftError.isInstance(error)) Error.captureStackTrace(error, traced);
        throw error;
    }
}

function evaluationAborted(signal: AbortSignal): EftError {
    return abortError("The evaluation was aborted.", signal);
}

async function nextTurn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
}
