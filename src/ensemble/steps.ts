/**
 * Continuous batching: evaluations that many sequences ask for at about the same time become one native step, in which
 * every member reads its weights once for all of them.
 */

import { EftError } from "../errors.js";
import type {
    NativeDraw,
    NativeDrawResult,
    NativeEngine,
    NativeFusion,
    NativeQueries,
    NativeQueryResult,
    NativeStepEntry,
} from "../native/binding.js";
import { toEftError } from "../native/native-error.js";
import type { Sequence } from "./sequences.js";

/** What a sequence wants: tokens added to its caches, and something done with the rows at their ends. */
export interface Evaluation {
    readonly sequence: Sequence;
    /** Per member: the tokens to add to what its cache holds. */
    readonly append: readonly Int32Array[];
    readonly fusion?: NativeFusion;
    readonly draw?: NativeDraw;
    readonly queries?: NativeQueries;
    readonly signal?: AbortSignal;
}

/** Outcome of an {@link Evaluation}. */
export interface Evaluated {
    readonly draw?: NativeDrawResult;
    readonly queries?: NativeQueryResult;
    /** Of the steps it took part in, shared with other sequences. */
    readonly steps: number;
    /** Per member, milliseconds, summed over these steps. */
    readonly decodeMs: readonly number[];
    /** Milliseconds of fusing, drawing and looking up, summed over these steps. */
    readonly fuseMs: number;
    /** Per member: tokens evaluated for this evaluation alone. */
    readonly evaluated: readonly number[];
}

export interface StepQueue {
    /**
     * Resolves when the caches hold the tokens and the rows have been dealt with. If it rejects, the caches hold what they
     * held before, and the first of the new tokens if some of the steps of a long prompt had succeeded.
     *
     * @throws EftError ABORTED, CONTEXT_OVERFLOW, NON_FINITE_LOGITS, NO_TOKEN_LEFT, DECODE_FAILED, NATIVE_FAILURE
     */
    evaluate(evaluation: Evaluation): Promise<Evaluated>;
}

interface Waiting {
    readonly evaluation: Evaluation;
    readonly resolve: (result: Evaluated) => void;
    readonly reject: (error: unknown) => void;
    steps: number;
    readonly decodeMs: number[];
    fuseMs: number;
    readonly evaluated: number[];
}

/** A part of a step: the entry of one waiting evaluation, and whether it is its last. */
interface Share {
    readonly waiting: Waiting;
    readonly entry: NativeStepEntry;
    readonly last: boolean;
}

/** @param batchSize - most tokens of one member in one step */
export function createStepQueue(engine: NativeEngine, members: number, batchSize: number): StepQueue {
    let queue: Waiting[] = [];
    let running = false;

    async function run(): Promise<void> {
        running = true;
        while (queue.length > 0) {
            // Consumers that were woken by the last step ask for their next token in the same turn of the event loop.
            await nextTurn();
            dropAborted();
            const shares = plan(queue, members, batchSize);
            if (shares.length > 0) await runShares(shares);
        }
        running = false;
    }

    function dropAborted(): void {
        for (const waiting of queue.filter(({ evaluation }) => evaluation.signal?.aborted)) {
            finish(waiting);
            waiting.reject(new EftError("ABORTED", "The evaluation was aborted."));
        }
    }

    function finish(waiting: Waiting): void {
        queue = queue.filter((other) => other !== waiting);
    }

    async function runShares(shares: readonly Share[]): Promise<void> {
        const signals = shares.map(({ waiting }) => waiting.evaluation.signal);
        const interrupt = (): void => {
            // A step can be interrupted only as a whole, so not while somebody still wants its result.
            if (signals.every((signal) => signal?.aborted)) engine.interrupt();
        };
        for (const signal of signals) signal?.addEventListener("abort", interrupt);
        try {
            const [result] = await Promise.all([
                engine.step(shares.map(({ entry }) => entry)),
                ...shares.map(({ waiting }) => waiting.evaluation.sequence.ready),
            ]);
            shares.forEach((share, index) => {
                account(share, result.decodeMs, result.fuseMs);
                if (share.last) settle(share, result.results[index]);
            });
        } catch (error) {
            await handleFailure(shares, toEftError(error));
        } finally {
            for (const signal of signals) signal?.removeEventListener("abort", interrupt);
        }
    }

    function account({ waiting, entry }: Share, decodeMs: Float64Array, fuseMs: number): void {
        waiting.steps++;
        waiting.fuseMs += fuseMs;
        entry.tokens.forEach((tokens, member) => {
            waiting.decodeMs[member] = (waiting.decodeMs[member] ?? 0) + (decodeMs[member] ?? 0);
            waiting.evaluated[member] = (waiting.evaluated[member] ?? 0) + tokens.length;
            const held = waiting.evaluation.sequence.held[member];
            for (const token of tokens) held?.push(token);
        });
    }

    function settle({ waiting, entry }: Share, result: NativeDrawResult | NativeQueryResult | undefined): void {
        finish(waiting);
        const { steps, decodeMs, fuseMs, evaluated } = waiting;
        waiting.resolve({
            ...(entry.draw === undefined ? {} : { draw: result as NativeDrawResult }),
            ...(entry.queries === undefined ? {} : { queries: result as NativeQueryResult }),
            steps,
            decodeMs,
            fuseMs,
            evaluated,
        });
    }

    async function handleFailure(shares: readonly Share[], error: EftError): Promise<void> {
        const [only] = shares;
        if (shares.length === 1 && only !== undefined) {
            finish(only.waiting);
            // A step that somebody still wants is interrupted by nobody but dispose().
            const disposed = error.code === "ABORTED" && !only.waiting.evaluation.signal?.aborted;
            only.waiting.reject(
                disposed ? new EftError("DISPOSED", "The ensemble was disposed during the evaluation.") : error,
            );
            return;
        }
        // The caches are as before. Whose fault it was shows when each tries alone; the others must not suffer.
        for (const share of shares) {
            if (share.waiting.evaluation.signal?.aborted) continue;
            await runShares([share]);
        }
    }

    return {
        evaluate: (evaluation) =>
            new Promise((resolve, reject) => {
                queue.push({
                    evaluation,
                    resolve,
                    reject,
                    steps: 0,
                    decodeMs: new Array<number>(members).fill(0),
                    fuseMs: 0,
                    evaluated: new Array<number>(members).fill(0),
                });
                if (!running) void run();
            }),
    };
}

/**
 * Fills a step: first come, first served, at most `batchSize` tokens per member. A long prompt is cut into pieces, and
 * sequences that only need a token or two are let in before it, so that their text does not stall.
 */
function plan(queue: readonly Waiting[], members: number, batchSize: number): Share[] {
    const room = new Array<number>(members).fill(batchSize);
    const shortFirst = [...queue].sort((a, b) => Math.max(...missingTokens(a)) - Math.max(...missingTokens(b)));
    const shares: Share[] = [];
    for (const waiting of shortFirst) {
        const { sequence, append, fusion, draw, queries } = waiting.evaluation;
        const rows = draw === undefined ? (queries?.rows ?? 0) : 1;
        const missing = missingTokens(waiting);
        const last = missing.every((count, member) => count <= (room[member] ?? 0));
        // Rows exist only in the step that evaluates them, so the tokens at the end have to stay together.
        const take = missing.map((count, member) => Math.min(last ? count : count - rows, room[member] ?? 0));
        if (!last && take.every((count) => count <= 0)) continue;
        take.forEach((count, member) => (room[member] = (room[member] ?? 0) - Math.max(count, 0)));
        const entry: NativeStepEntry = {
            sequence: sequence.slot,
            keep: Int32Array.from(sequence.held, (held) => held.length),
            tokens: append.map((tokens, member) => {
                const from = waiting.evaluated[member] ?? 0;
                return tokens.subarray(from, from + Math.max(take[member] ?? 0, 0));
            }),
            ...(last ? { fusion, draw, queries } : {}),
        };
        shares.push({ waiting, entry, last });
    }
    return shares;
}

function missingTokens({ evaluation, evaluated }: Waiting): number[] {
    return evaluation.append.map((tokens, member) => tokens.length - (evaluated[member] ?? 0));
}

async function nextTurn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
}
