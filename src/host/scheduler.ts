/**
 * The scheduler decides when, and whose turn it is; native code decides how. What many sequences ask for at about the same time
 * becomes one native job, in which every context reads its weights once for all of them. Drafts come first, so that the step that
 * verifies them takes everyone along.
 */

import { abortError, EftError } from "../errors.js";
import type { NativeEngine } from "../native/binding.js";
import type { CostTable } from "./costs.js";
import { createPieces } from "./pieces.js";
import { NEVER_STOP, type Drafted, type DraftPlan, type DraftRequest } from "./drafts.js";
import { createJobRunner, isWanted, whyUnwanted, type Part } from "./jobs.js";
import { createSlotPool } from "./slots.js";
import type { HostTarget, Lease, Sequence } from "./sequences.js";
import type { HostCounts } from "./statistics.js";
import {
    missingTokens,
    MOST_APPENDED,
    planStep,
    readsMember,
    type Evaluated,
    type Evaluation,
    type Waiting,
} from "./step-plan.js";

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
    /** Resolves when the drafts are there; perhaps none. The next job of the sequence has to verify them. @throws as evaluate() */
    draft(request: DraftRequest): Promise<Drafted>;
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

/** A request for drafts that waits. */
interface Drafting extends Part {
    readonly request: DraftRequest;
    readonly resolve: (drafted: Drafted) => void;
}

export function createScheduler(engine: NativeEngine, options: SchedulerOptions): Scheduler {
    const { batchSize, sequences, costs } = options;
    const counts: HostCounts = { steps: 0, entries: 0, revocations: 0, evaluatedTokens: 0, reusedTokens: 0 };
    const slots = createSlotPool(engine, { sequences, wake: start, counts });
    const runner = createJobRunner(engine, costs);
    const pieces = createPieces(batchSize, costs);
    let evaluations: Waiting[] = [];
    let draftings: Drafting[] = [];
    let isAtWork = false;
    /** Something has happened since the last look at what there is to do. */
    let hasNews = false;
    let shut: EftError | undefined;

    async function work(): Promise<void> {
        isAtWork = true;
        for (let goesOn = true; goesOn || hasNews;) {
            // Readers that were woken by the last job ask for the next one in the same turn of the event loop.
            if (sequences > 1) await nextTurn();
            hasNews = false;
            const asked = [...draftings, ...evaluations];
            try {
                dropUnwanted();
                goesOn = (draftings.length > 0 && (await runDrafts())) || (await runStep());
            } catch (error) {
                // Jobs deal with their own failures. This is one between them, such as a signal that throws; whose it is, is
                // not known, and whoever asks later must not suffer.
                for (const { reject } of asked) reject(error);
                evaluations = evaluations.filter((waiting) => !(asked as unknown[]).includes(waiting));
                draftings = draftings.filter((drafting) => !(asked as unknown[]).includes(drafting));
            }
        }
        isAtWork = false;
    }

    function dropUnwanted(): void {
        const unwanted = evaluations.filter(({ evaluation: { signal }, lease }) => !isWanted({ signal, lease }));
        for (const { evaluation, lease, reject } of unwanted) {
            reject(
                evaluation.signal?.aborted && lease.slot === undefined && !lease.hasStarted
                    ? abortError("The request was aborted while it waited for a free sequence.", evaluation.signal)
                    : whyUnwanted({ signal: evaluation.signal, lease }),
            );
        }
        evaluations = evaluations.filter((waiting) => !unwanted.includes(waiting));
        for (const drafting of draftings) if (!isWanted(drafting)) drafting.reject(whyUnwanted(drafting));
        draftings = draftings.filter(isWanted);
    }

    function finish(waiting: Waiting): void {
        evaluations = evaluations.filter((other) => other !== waiting);
    }

    /** @returns whether there was something to do */
    async function runStep(): Promise<boolean> {
        slots.admit(evaluations);
        const needs = evaluations.flatMap((waiting) =>
            waiting.lease.slot === undefined ? [] : [{ waiting, missing: missingTokens(waiting) }],
        );
        const chosen = slots.makeRoom(planStep(needs, { batchSize, pieceSize: pieces.choose(needs) }));
        if (chosen.length === 0) return false;
        counts.steps++;
        counts.entries += chosen.length;
        for (const { waiting, entry } of chosen) slots.startJob(waiting.lease, entry.keep);
        const start = performance.now();
        await runner.run(
            "step",
            chosen.map((share) => ({
                share,
                lease: share.waiting.lease,
                signal: share.waiting.evaluation.signal,
                reject: (error: unknown) => {
                    finish(share.waiting);
                    share.waiting.lease.hasDrafts = false;
                    share.waiting.reject(error);
                },
            })),
            (parts) => engine.step(parts.map(({ share }) => share.entry)),
            ({ results, lengths, decodes, fuseMs }, parts) => {
                let read = 0;
                parts.forEach(({ share, lease }, index) => {
                    const result = results[index];
                    if (result === undefined) return;
                    slots.endJob(lease, share.entry.sequence, share.appended, lengths, read);
                    read += share.appended.length;
                    counts.evaluatedTokens += share.entry.tokens.reduce((sum, { length }) => sum + length, 0);
                    const { waiting } = share;
                    waiting.fuseMs += fuseMs;
                    addDecodes(waiting.decodeMs, lease.target, decodes);
                    if (!share.last) return;
                    finish(waiting);
                    lease.hasDrafts = false;
                    const { draws, queries } = result;
                    waiting.resolve({
                        draws,
                        ...(queries && { queries }),
                        decodeMs: waiting.decodeMs,
                        fuseMs: waiting.fuseMs,
                    });
                });
            },
        );
        pieces.learn(performance.now() - start);
        return true;
    }

    /** @returns whether there was something to do that could be done */
    async function runDrafts(): Promise<boolean> {
        const all = draftings;
        draftings = [];
        const plans = choosePlans(all);
        let ready: { readonly drafting: Drafting; readonly plan: DraftPlan }[] = [];
        for (const [index, drafting] of all.entries()) {
            const plan = plans[index] ?? { length: 0, stop: NEVER_STOP };
            const { proposal, drafter } = drafting.request;
            const members = drafting.lease.texts.length;
            if (plan.length === 0 || proposal !== undefined || drafter === undefined)
                drafting.resolve(createDrafted(members, plan, proposal?.subarray(0, plan.length)));
            else if (!isCaughtUp(drafting)) catchUp(drafting);
            else if (slots.makeRoomForDrafts(drafting.lease)) ready.push({ drafting, plan });
            else draftings.push(drafting);
        }
        const hasWaited = draftings.length === all.length;
        // Room for one may have been another's.
        for (const { drafting } of ready.filter(({ drafting }) => drafting.lease.slot === undefined)) catchUp(drafting);
        ready = ready.filter(({ drafting }) => drafting.lease.slot !== undefined);
        // Each adds a few tokens alone; together they may still be too many for one batch.
        const most = Math.max(1, Math.floor(batchSize / MOST_APPENDED));
        for (let from = 0; from < ready.length; from += most) {
            const parts = ready.slice(from, from + most).map(({ drafting, plan }) => {
                const entry = toEntry(drafting, plan);
                slots.startJob(drafting.lease, entry.keep);
                return { ...drafting, plan, entry };
            });
            await runner.run(
                "draft",
                parts,
                (wanted) => engine.draft(wanted.map(({ entry }) => entry)),
                ({ drafts, lengths, decodes, fuseMs }, wanted) => {
                    let read = 0;
                    wanted.forEach(({ lease, plan, entry, resolve }, index) => {
                        const draft = drafts[index];
                        if (draft === undefined) return;
                        const { tokens, confidences, declined } = draft;
                        const added = entry.tokens.map((each) =>
                            each.length === 0 ? each : Int32Array.from([...each, ...tokens]),
                        );
                        slots.endJob(lease, entry.sequence, added, lengths, read);
                        read += entry.tokens.length;
                        lease.hasDrafts = confidences.length > 0;
                        const decodeMs = lease.texts.map(() => 0);
                        addDecodes(decodeMs, lease.target, decodes);
                        resolve({
                            ...{ plan, tokens, confidences, declined, decodeMs, fuseMs },
                            keptRows: confidences.length,
                        });
                    });
                },
            );
        }
        return !hasWaited;
    }

    /** Whether the caches that take part in a block lack no more than a few tokens. */
    function isCaughtUp({ lease, request }: Drafting): boolean {
        return (
            lease.slot !== undefined &&
            missingTokens({ lease, evaluation: { sequence: lease, ends: blockEnds(request) } }).every(
                ({ count }) => count <= MOST_APPENDED,
            )
        );
    }

    /** Evaluates what they lack in a step of its own, and asks for the drafts again. */
    function catchUp(drafting: Drafting): void {
        const { lease, signal, request } = drafting;
        // The last token has to be evaluated by the draft itself, since its row is wanted.
        const ends = blockEnds(request).map((end) => Math.max(0, end - 1));
        queue({ sequence: lease, ends, signal }).then(() => {
            draftings.push(drafting);
            start();
        }, drafting.reject);
    }

    function toEntry({ lease, request: { drafter } }: Drafting, { length, stop }: DraftPlan) {
        if (drafter === undefined) throw new EftError("OPTION_INVALID", "There is no drafter to ask.");
        const { fusion, draw, coupling, historyLimit } = drafter;
        const keep = lease.texts.map((text, member) => {
            const held = lease.target.contexts[member]?.cells.held(lease.slot ?? 0).length ?? 0;
            return readsMember(fusion, member) ? Math.min(held, text.length - 1) : held;
        });
        return {
            target: lease.target.id,
            sequence: lease.slot ?? 0,
            keep: Int32Array.from(keep),
            tokens: lease.texts.map((text, member) =>
                readsMember(fusion, member) ? Int32Array.from(text.slice(keep[member])) : new Int32Array(0),
            ),
            drafter: fusion,
            ...{ draw, coupling, historyLimit, length, minConfidence: stop.minConfidence },
        };
    }

    /** Policies plan together for all sequences that use them. */
    function choosePlans(all: readonly Drafting[]): DraftPlan[] {
        const plans: DraftPlan[] = [];
        const draws = evaluations.filter(({ evaluation, lease }) => lease.slot !== undefined && evaluation.draw).length;
        for (const policy of new Set(all.map(({ request }) => request.policy))) {
            const own = [...all.keys()].filter((index) => all[index]?.request.policy === policy);
            const prospects = own.flatMap((index) => all[index]?.request.prospect ?? []);
            const trust = Math.min(...own.map((index) => all[index]?.lease.target.trust.factor() ?? 1));
            policy.choose(prospects, { draws, trust }, costs).forEach((plan, place) => (plans[own[place] ?? 0] = plan));
        }
        return plans;
    }

    function start(): void {
        hasNews = true;
        if (!isAtWork && evaluations.length + draftings.length > 0) void work();
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
        const evaluated = new Promise<Evaluated>((resolve, reject) => {
            lease.restingSince = undefined;
            evaluations.push({ evaluation, lease, resolve, reject, decodeMs: lease.texts.map(() => 0), fuseMs: 0 });
            start();
        });
        const { signal } = evaluation;
        if (lease.slot !== undefined || signal === undefined) return evaluated;
        // Who waits for a slot may leave while nothing runs. A function of its own, since others may listen to the same signal.
        const leave = (): void => start();
        signal.addEventListener("abort", leave);
        return evaluated.finally(() => signal.removeEventListener("abort", leave));
    }

    return {
        open: (target, prompts, before) => slots.open(target, prompts, before as Lease | undefined),
        evaluate: (evaluation) =>
            traced(() => {
                checkOpen(evaluation.sequence as Lease);
                return queue(evaluation);
            }),
        draft: (request) =>
            traced(() => {
                const lease = request.sequence as Lease;
                checkOpen(lease);
                return new Promise((resolve, reject) => {
                    lease.restingSince = undefined;
                    draftings.push({ request, lease, signal: request.signal, resolve, reject });
                    start();
                });
            }),
        rest: (sequence) => slots.rest(sequence as Lease),
        close(sequence) {
            slots.close(sequence as Lease);
            // In the next turn, so that one that takes its place is there before its slot is given away.
            setImmediate(start);
        },
        get busy() {
            return slots.busy;
        },
        counts,
        dropClosed() {
            slots.dropClosed();
            runner.reconsider();
            start();
        },
        shut(reason) {
            shut = reason;
            slots.shut();
            for (const { reject } of [...evaluations, ...draftings]) reject(reason);
            [evaluations, draftings] = [[], []];
        },
    };
}

/** Without drafts, or with those of a proposal. */
export function createDrafted(members: number, plan: DraftPlan, tokens: Int32Array = new Int32Array(0)): Drafted {
    const decodeMs = new Array<number>(members).fill(0);
    return { plan, tokens, confidences: new Float32Array(0), declined: -1, keptRows: 0, decodeMs, fuseMs: 0 };
}

/** Per member: where the text ends for one that takes part in a block, else 0. */
function blockEnds({ sequence, prospect: { drafting, verifying } }: DraftRequest): number[] {
    const { texts, target } = sequence;
    return target.contexts.map(({ id }, member) =>
        drafting.includes(id) || verifying.includes(id) ? (texts[member]?.length ?? 0) : 0,
    );
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
