/**
 * The scheduler decides when, and whose turn it is; native code decides how. What many sequences ask for at about the same time
 * becomes one native job, in which every context reads its weights once for all of them. While it runs, the job that follows it is
 * submitted, if nobody else has to be met before: so native code need not wait until readers have seen what it has drawn.
 */

import { abortError, EftError } from "../errors.js";
import type { NativeEngine, NativeEntryResult, NativeStepResult } from "../native/binding.js";
import { createAbortWatch } from "./abort-watch.js";
import { nextChain, settleShare, type Chain, type Share } from "./chains.js";
import type { CostTable } from "./costs.js";
import { choosePlans } from "./draft-plans.js";
import { NO_DRAFTS, type Attempt } from "./drafts.js";
import { isDraw, type Evaluated, type Evaluation, type Waiting } from "./evaluations.js";
import { planFollowing } from "./following.js";
import { createJobRunner, isWanted, whyUnwanted } from "./jobs.js";
import { createPieces } from "./pieces.js";
import { canFollow, toShare } from "./shares.js";
import type { HostTarget, Lease, Sequence } from "./sequences.js";
import { createSlotPool } from "./slots.js";
import type { HostCounts } from "./statistics.js";
import { canTakeBackDrafts, missingTokens, planStep, type Need } from "./step-plan.js";
import { MOST_APPENDED } from "../models/context-memory.js";

export interface Scheduler {
    /**
     * A new sequence. It waits for a slot when it is first evaluated.
     *
     * @param prompts - per member
     * @param before - that it takes the place of, in the line too; it has to be closed before the new one is evaluated
     */
    open(target: HostTarget, prompts: readonly ArrayLike<number>[], before?: Sequence): Sequence;
    /**
     * Resolves when the caches hold the texts up to their ends and the rows have been dealt with. If it rejects, a text that had been
     * evaluated before still is.
     *
     * @throws EftError ABORTED, BUSY, CONTEXT_OVERFLOW, NON_FINITE_LOGITS, NO_TOKEN_LEFT, DECODE_FAILED, NATIVE_FAILURE, DISPOSED
     */
    evaluate(evaluation: Evaluation): Promise<Evaluated>;
    /**
     * Its reader has got something and may never ask for more. Where others wait for a slot, its own is given to one of them as
     * soon as it has rested for as long as it would take to evaluate again what the slot holds.
     */
    rest(sequence: Sequence): void;
    /** Nothing more will be asked for. What its slot holds stays there for later texts. */
    close(sequence: Sequence): void;
    /** Number of sequences that have a slot. */
    readonly busy: number;
    readonly counts: HostCounts;
    /** A target was closed: what waits for it fails, and what runs for nobody else is interrupted. */
    dropClosed(): void;
    /** Whoever waits or asks for something from now on fails with `reason`. */
    shut(reason: EftError): void;
}

export interface SchedulerOptions {
    /** Most tokens of one context in one step. */
    readonly batchSize: number;
    /** Number of slots. */
    readonly sequences: number;
    /** Most sequences that wait for their first slot. */
    readonly waiting: number;
    /** Told what each job has cost. */
    readonly costs: CostTable;
}

export function createScheduler(engine: NativeEngine, options: SchedulerOptions): Scheduler {
    const { batchSize, sequences, costs } = options;
    const counts: HostCounts = { steps: 0, entries: 0, revocations: 0, evaluatedTokens: 0, reusedTokens: 0 };
    const slots = createSlotPool(engine, { sequences, wake: look, counts });
    const pieces = createPieces(batchSize, costs);
    const runner = createJobRunner(engine, costs, { settle, fail, lose, lapse, end: (jobMs) => pieces.learn(jobMs) });
    const waitingSignals = createAbortWatch(look);
    let evaluations: Waiting[] = [];
    let chains = 0;
    let isAtWork = false;
    /** Something has happened since the last look at what there is to do. */
    let hasNews = false;
    let tell = (): void => undefined;
    /** Somebody may get a slot, so that the next step has to be planned. */
    let isAwaited = false;
    let shut: EftError | undefined;

    const hasNewsNow = (): boolean => hasNews;

    async function work(): Promise<void> {
        isAtWork = true;
        for (;;) {
            // Readers that were woken by the last job ask for the next one in the same turn of the event loop.
            if (sequences > 1) await nextTurn();
            hasNews = false;
            const asked = evaluations;
            try {
                dropUnwanted();
                if (runner.flights.length === 0) runStep();
                if (runner.flights.length === 1) runAhead();
            } catch (error) {
                // Jobs deal with their own failures. This is one between them, such as a signal that throws; whose it is, is
                // not known, and whoever asks later must not suffer.
                for (const { reject } of asked) reject(error);
                evaluations = evaluations.filter((waiting) => !asked.includes(waiting));
            }
            const [flight] = runner.flights;
            if (hasNewsNow()) continue;
            if (flight === undefined) break;
            await Promise.race([flight.settled, new Promise<void>((resolve) => (tell = resolve))]);
        }
        isAtWork = false;
    }

    /** Whether a job has been submitted for it. */
    function isRunning(waiting: Waiting): boolean {
        return runner.flights.some(({ shares }) => shares.some((share) => share.waiting === waiting));
    }

    function dropUnwanted(): void {
        const unwanted = evaluations.filter(
            (waiting) => !isRunning(waiting) && !isWanted({ signal: waiting.evaluation.signal, lease: waiting.lease }),
        );
        for (const { evaluation, lease, reject } of unwanted) {
            reject(
                evaluation.signal?.aborted && lease.slot === undefined && !lease.hasStarted
                    ? abortError("The request was aborted while it waited for a free sequence.", evaluation.signal)
                    : whyUnwanted({ signal: evaluation.signal, lease }),
            );
        }
        evaluations = evaluations.filter((waiting) => !unwanted.includes(waiting));
    }

    /** A step of all that is asked for, while nothing runs. */
    function runStep(): void {
        // Who waits for the beginning of another's text gets his slot when that is there.
        isAwaited = slots.admit(evaluations);
        const placed = evaluations.filter(({ lease }) => lease.slot !== undefined);
        const alone = placed.find(({ isAlone }) => isAlone);
        if (alone === undefined || !runStepOf([alone])) runStepOf(placed);
    }

    /** @returns whether there is one */
    function runStepOf(waitings: readonly Waiting[]): boolean {
        let needs = planNeeds(waitings);
        const pieceSize = pieces.choose(needs);
        for (;;) {
            const portions = planStep(needs, { batchSize, pieceSize });
            const shares = portions.map((portion) => toShare(portion, () => ++chains));
            const chosen = slots.makeRoom(shares);
            if (chosen.length === shares.length) {
                if (chosen.length > 0) submit(chosen);
                return chosen.length > 0;
            }
            // Who finds no cells leaves his place in the batch to others, since it may be they who hold the cells.
            const granted = new Set(chosen.map(({ waiting }) => waiting));
            const refused = new Set(shares.map(({ waiting }) => waiting).filter((waiting) => !granted.has(waiting)));
            needs = needs.filter(({ waiting }) => !refused.has(waiting));
        }
    }

    /** The step after the one that runs, if all of it has been asked for, and nobody waits whom it would leave behind. */
    function runAhead(): void {
        const running = runner.flights[0]?.shares ?? [];
        const others = evaluations.filter((waiting) => !isRunning(waiting));
        if (others.some(({ lease }) => isAwaited || lease.slot !== undefined)) return;
        if (running.some(({ last, waiting }) => !last || waiting === undefined)) return;
        const shares = planFollowing(running, { batchSize, costs, others: slots.busy - 1 });
        if (shares.length === 0 || !slots.hasRoomFor(shares, running)) return;
        for (const share of shares) share.chain.ahead = share;
        submit(shares);
    }

    function submit(shares: readonly Share[]): void {
        counts.steps++;
        counts.entries += shares.length;
        for (const { lease, entry, last, attempt, plan } of shares) {
            if ("keep" in entry) slots.startJob(lease, entry.keep);
            if (last) attempt?.take(plan);
        }
        runner.submit(shares);
    }

    /** What each of them needs of the next step, drafts included. */
    function planNeeds(waitings: readonly Waiting[]): Need[] {
        const others = slots.busy - 1;
        const attempts = new Map<Waiting, Attempt | undefined>();
        for (const waiting of waitings) {
            const { evaluation } = waiting;
            try {
                const { drawing, position, room } = isDraw(evaluation) ? evaluation : {};
                attempts.set(waiting, drawing?.speculation?.attempt({ position, most: (room ?? 1) - 1, others }));
            } catch (error) {
                // A function of the caller's looks up.
                finish(waiting);
                waiting.reject(error);
            }
        }
        const candidates = [...attempts].flatMap(([waiting, attempt]) => {
            const { evaluation, lease } = waiting;
            return isDraw(evaluation) ? { waiting, lease, drawing: evaluation.drawing, attempt } : [];
        });
        const plans = choosePlans(candidates, costs);
        const planOf = new Map(candidates.map(({ waiting }, index) => [waiting, plans[index] ?? NO_DRAFTS]));
        return [...attempts].map(([waiting, attempt]): Need => {
            const wanted = planOf.get(waiting) ?? NO_DRAFTS;
            const mayDraft = canTakeBackDrafts(waiting, wanted.length > 0);
            const isDeferred = !mayDraft && wanted.length > 0;
            const plan = isDeferred ? { ...NO_DRAFTS, isDeferred } : wanted;
            const { compare, readsDrafter } = attempt?.decide(plan) ?? { compare: false, readsDrafter: false };
            const missing = missingTokens(waiting, readsDrafter || wanted.length > 0);
            // What has not been read for long catches up before drafts are made. How many are, does not depend on it.
            const catchesUp = plan.length > 0 && missing.some(({ count }) => count > MOST_APPENDED);
            const follows = !catchesUp && !isDeferred && canFollow(waiting, missing, attempt);
            return { waiting, missing, attempt, plan, compare, mayDraft, catchesUp, follows };
        });
    }

    function finish(waiting: Waiting): void {
        evaluations = evaluations.filter((other) => other !== waiting);
    }

    function settle(
        share: Share,
        { draws, queries, drafted, forced }: NativeEntryResult,
        { decodes, lengths, fuseMs, draftDecodes, draftFuseMs }: NativeStepResult,
        offset: number,
        jobMs: number,
    ): void {
        const { lease, slot, chain, attempt, plan, last, bookmarks } = share;
        const { contexts } = lease.target;
        const drawn = draws.map(({ token }) => token);
        const held = contexts.map(({ cells }, member) => (lengths[offset + member] ?? 0) - cells.held(slot).length);
        if (lease.slot === slot) {
            const added = settleShare(share, drawn, held);
            counts.evaluatedTokens += added.reduce((sum, { length }) => sum + length, 0);
            slots.endJob(lease, slot, added, bookmarks);
        } else {
            slots.lose(contexts, slot);
        }
        const { waiting } = share;
        const decodeMs = waiting?.decodeMs ?? contexts.map(() => 0);
        addDecodes(decodeMs, lease.target, decodes);
        if (waiting) waiting.fuseMs += fuseMs;
        if (!last) return;
        const draftMs = contexts.map(() => 0);
        addDecodes(draftMs, lease.target, draftDecodes);
        const nothing = { tokens: new Int32Array(0), confidences: new Float32Array(0), declined: -1 };
        const { tokens, confidences, declined } = drafted ?? {
            ...nothing,
            tokens: attempt?.proposal?.subarray(0, plan.length) ?? nothing.tokens,
        };

        const evaluated: Evaluated = {
            ...{ draws, decodeMs, jobMs, fuseMs: waiting?.fuseMs ?? fuseMs },
            ...(queries && { queries }),
            ...(attempt && {
                block: {
                    ...{
                        attempt,
                        plan,
                        forced,
                        confidences,
                        declined,
                        tokens: forced?.verified ? forced.tokens : tokens,
                    },
                    ...{ decodeMs: draftMs, fuseMs: draftFuseMs },
                },
            }),
        };
        if (waiting !== undefined) {
            deliver(waiting, chain, evaluated);
        } else if (chain !== undefined && chain === lease.chain) {
            chain.result = evaluated;
            chain.ahead = undefined;
        }
    }

    function deliver(waiting: Waiting, chain: Chain | undefined, evaluated: Evaluated): void {
        finish(waiting);
        if (chain !== undefined) chain.next += evaluated.draws.length;
        waiting.resolve(evaluated);
    }

    function fail({ lease, chain, waiting }: Share, error: unknown): void {
        if (lease.chain === chain) lease.chain = undefined;
        if (waiting === undefined) return;
        finish(waiting);
        waiting.reject(error);
    }

    function lapse(shares: readonly Share[]): void {
        slots.lose(shares.flatMap(({ lease }) => lease.target.contexts));
    }

    /** It is asked for anew, if it has been asked for. */
    function lose({ lease, chain, waiting }: Share): void {
        if (lease.chain === chain) lease.chain = undefined;
        if (waiting === undefined || evaluations.includes(waiting)) return;
        evaluations.push(waiting);
        start();
    }

    function start(): void {
        hasNews = true;
        tell();
        if (!isAtWork && evaluations.length > 0) void work();
    }

    /** A slot can be given away now. */
    function look(): void {
        isAwaited = true;
        start();
    }

    /** @throws EftError DISPOSED, BUSY */
    function checkOpen({ target, slot, hasStarted }: Lease): void {
        if (target.closed !== undefined) throw target.closed;
        if (shut !== undefined) throw shut;
        if (slot !== undefined || hasStarted) return;
        const before = evaluations.filter(({ lease }) => lease.slot === undefined && !lease.hasStarted).length;
        const free = sequences - slots.busy;
        if (before < free + options.waiting) return;
        throw new EftError(
            "BUSY",
            `${before - free} requests wait for a free sequence already, which is as many as may; try again later.`,
        );
    }

    function queue(evaluation: Evaluation): Promise<Evaluated> {
        const lease = evaluation.sequence as Lease;
        const chain = isDraw(evaluation) ? nextChain(lease, evaluation) : undefined;
        if (chain?.result !== undefined) {
            const { result } = chain;
            chain.result = undefined;
            chain.next += result.draws.length;
            return Promise.resolve(result);
        }
        // Who waits for a slot may leave while nothing runs.
        const signal = lease.slot === undefined ? evaluation.signal : undefined;
        if (signal !== undefined) waitingSignals.add(signal);
        const evaluated = new Promise<Evaluated>((resolve, reject) => {
            lease.restingSince = undefined;
            const decodeMs = lease.texts.map(() => 0);
            const waiting: Waiting = { evaluation, lease, resolve, reject, decodeMs, fuseMs: 0, isAlone: false };
            if (chain?.ahead === undefined) evaluations.push(waiting);
            else {
                chain.ahead.waiting = waiting;
                chain.ahead = undefined;
            }
            isAwaited ||= lease.slot === undefined;
            start();
        });
        return signal === undefined ? evaluated : evaluated.finally(() => waitingSignals.remove(signal));
    }

    return {
        open: (target, prompts, before) => slots.open(target, prompts, before as Lease | undefined),
        evaluate: (evaluation) =>
            traced(() => {
                checkOpen(evaluation.sequence as Lease);
                return queue(evaluation);
            }),
        rest: (sequence) => slots.rest(sequence as Lease),
        close(sequence) {
            slots.close(sequence as Lease);
            // In the next turn, so that one that takes its place is there before its slot is given away.
            setImmediate(look);
        },
        get busy() {
            return slots.busy;
        },
        counts,
        dropClosed() {
            slots.dropClosed();
            runner.reconsider();
            look();
        },
        shut(reason) {
            shut = reason;
            slots.shut();
            for (const { reject } of evaluations) reject(reason);
            evaluations = [];
        },
    };
}

/** Adds to `decodeMs`, one number per member. */
function addDecodes(
    decodeMs: number[],
    { contexts }: HostTarget,
    decodes: readonly { context: number; ms: number }[],
): void {
    for (const { context, ms } of decodes) {
        const member = contexts.findIndex(({ id }) => id === context);
        if (member >= 0) decodeMs[member] = (decodeMs[member] ?? 0) + ms;
    }
}

/** A promise whose errors have the stack of whoever waits for it: the scheduler's own says nothing. */
async function traced<T>(ask: () => Promise<T>): Promise<T> {
    try {
        return await ask();
    } catch (error) {
        if (EftError.isInstance(error)) Error.captureStackTrace(error, traced);
        throw error;
    }
}

async function nextTurn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
}
