/** Runs native jobs that many sequences share, so that the failure of one hurts no other. */

import { abortError, EftError } from "../errors.js";
import type { NativeEngine, NativeEntryResult, NativeStepResult } from "../native/binding.js";
import { toEftError } from "../native/native-error.js";
import { createAbortWatch } from "./abort-watch.js";
import type { Share } from "./chains.js";
import type { CostTable } from "./costs.js";
import { canTakeBack, type Lease } from "./sequences.js";

/** A job that has been submitted. */
export interface Flight {
    readonly shares: readonly Share[];
    /** Resolves when its results, or its failure, have been dealt with. */
    readonly settled: Promise<void>;
}

/** Who deals with what becomes of a share. */
export interface ShareHandlers {
    /**
     * @param offset - where its lengths begin
     * @param jobMs - milliseconds that the job took of the time that went by
     */
    settle(share: Share, result: NativeEntryResult, job: NativeStepResult, offset: number, jobMs: number): void;
    fail(share: Share, error: unknown): void;
    /** It follows, and there was nothing to follow. */
    lose(share: Share): void;
    /** A job that they are in has failed. */
    lapse(shares: readonly Share[]): void;
    /** A job is over. */
    end(jobMs: number): void;
}

export interface JobRunner {
    /** Those that have been submitted and are not settled, in order. */
    readonly flights: readonly Flight[];
    /**
     * Submits a job for the shares that are still wanted. If it fails, each of those that do not follow tries alone: whose fault it was
     * shows then, and no other must suffer.
     */
    submit(shares: readonly Share[]): void;
    /** Interrupts what runs if nobody wants its results any more. */
    reconsider(): void;
}

export function createJobRunner(engine: NativeEngine, costs: CostTable, handlers: ShareHandlers): JobRunner {
    const flights: Flight[] = [];
    const running = new Set<Share>();
    const signals = createAbortWatch(reconsider);
    let lastEnd = -Infinity;

    function reconsider(): void {
        // A job can be interrupted only as a whole, so not while somebody still wants its result.
        if (running.size > 0 && ![...running].some(isWanted)) engine.interrupt();
    }

    async function run(all: readonly Share[]): Promise<void> {
        const shares = all.filter(enter);
        if (shares.length === 0) return;
        let result: NativeStepResult;
        const start = performance.now();
        try {
            [result] = await Promise.all([submit(engine, shares), ...shares.map(({ lease }) => lease.ready)]);
        } catch (error) {
            leave(shares);
            handlers.lapse(shares);
            return recover(shares, toEftError(error));
        }
        leave(shares);
        const end = performance.now();
        const jobMs = end - Math.max(start, lastEnd);
        lastEnd = end;
        const { draftDecodes, draftMs, decodes } = result;
        if (draftDecodes.length > 0) costs.record("draft", draftDecodes, draftMs);
        if (decodes.length > 0) costs.record("step", decodes, Math.max(0, jobMs - draftMs));
        handlers.end(jobMs);
        let offset = 0;
        shares.forEach((share, index) => {
            const own = result.results[index];
            try {
                if (own) handlers.settle(share, own, result, offset, jobMs);
                else handlers.lose(share);
            } catch (error) {
                handlers.fail(share, error);
            }
            offset += share.lease.target.contexts.length;
        });
    }

    /** @returns whether it takes part */
    function enter(share: Share): boolean {
        try {
            if (!isWanted(share)) throw whyUnwanted(share);
            if (share.signal !== undefined) signals.add(share.signal);
            running.add(share);
            return true;
        } catch (error) {
            // A signal of other make may throw anything.
            handlers.fail(share, error);
            return false;
        }
    }

    function leave(shares: readonly Share[]): void {
        for (const share of shares) {
            running.delete(share);
            if (share.signal !== undefined) signals.remove(share.signal);
        }
    }

    async function recover(shares: readonly Share[], failure: EftError): Promise<void> {
        if (failure.code === "ABORTED") {
            // A job that somebody still wants is interrupted by nobody but the end of the host.
            const disposed = new EftError("DISPOSED", "The ensemble was disposed during the evaluation.");
            for (const share of shares) handlers.fail(share, isWanted(share) ? disposed : whyUnwanted(share));
            return;
        }
        // What cannot go back has to be evaluated from the beginning, which the scheduler plans.
        const alone = shares.filter(
            ({ tokens, lease }) => tokens !== undefined && (shares.length === 1 || canTakeBack(lease.target)),
        );
        for (const share of shares) {
            if (alone.includes(share)) continue;
            if (share.waiting !== undefined && !canTakeBack(share.lease.target)) share.waiting.isAlone = true;
            handlers.lose(share);
        }
        if (shares.length === 1) for (const share of alone) handlers.fail(share, failure);
        else for (const share of alone) await run([share]);
    }

    return {
        flights,
        submit(shares) {
            const flight: Flight = {
                shares,
                settled: run(shares).finally(() => flights.splice(flights.indexOf(flight), 1)),
            };
            flights.push(flight);
        },
        reconsider,
    };
}

/** What the engine throws at once becomes a rejection too. */
async function submit(engine: NativeEngine, shares: readonly Share[]): Promise<NativeStepResult> {
    return engine.step(shares.map(({ entry }) => entry));
}

interface Wish {
    readonly signal: AbortSignal | undefined;
    readonly lease: Lease;
}

export function isWanted({ signal, lease }: Wish): boolean {
    return !signal?.aborted && lease.target.closed === undefined;
}

/** @param wish - that is none any more */
export function whyUnwanted({ signal, lease }: Wish): Error {
    return lease.target.closed ?? abortError("The evaluation was aborted.", signal);
}
