/** Runs native jobs that many sequences share, so that the failure of one hurts no other. */

import { abortError, EftError } from "../errors.js";
import type { NativeDecode, NativeEngine } from "../native/binding.js";
import { toEftError } from "../native/native-error.js";
import type { CostTable, Job } from "./costs.js";
import type { Lease } from "./sequences.js";

/** What one sequence contributes to a job, reduced to what all kinds of jobs have in common. */
export interface Part {
    readonly lease: Lease;
    readonly signal: AbortSignal | undefined;
    readonly reject: (error: unknown) => void;
}

export interface JobRunner {
    /**
     * Runs a job for the parts that are still wanted. If it fails, each of them tries alone: whose fault it was shows then, and no
     * other must suffer.
     */
    run<P extends Part, R extends { readonly decodes: readonly NativeDecode[] }>(
        job: Job,
        parts: readonly P[],
        submit: (parts: readonly P[]) => Promise<R>,
        settle: (result: R, parts: readonly P[]) => void,
    ): Promise<void>;
    /** Interrupts the running job if nobody wants its result any more. */
    reconsider(): void;
}

export function createJobRunner(engine: NativeEngine, costs: CostTable): JobRunner {
    let running: readonly Part[] = [];

    function reconsider(): void {
        // A job can be interrupted only as a whole, so not while somebody still wants its result.
        if (running.length > 0 && running.every((part) => !isWanted(part))) engine.interrupt();
    }

    async function run<P extends Part, R extends { readonly decodes: readonly NativeDecode[] }>(
        job: Job,
        all: readonly P[],
        submit: (parts: readonly P[]) => Promise<R>,
        settle: (result: R, parts: readonly P[]) => void,
    ): Promise<void> {
        for (const part of all) if (!isWanted(part)) part.reject(whyUnwanted(part));
        const parts = all.filter(isWanted);
        if (parts.length === 0) return;
        running = parts;
        for (const { signal } of parts) signal?.addEventListener("abort", reconsider);
        try {
            const start = performance.now();
            const [result] = await Promise.all([submit(parts), ...parts.map(({ lease }) => lease.ready)]);
            costs.record(job, result.decodes, performance.now() - start);
            settle(result, parts);
            return;
        } catch (error) {
            const failure = toEftError(error);
            if (failure.code === "ABORTED") {
                // A job that somebody still wants is interrupted by nobody but the end of the host.
                const disposed = new EftError("DISPOSED", "The ensemble was disposed during the evaluation.");
                for (const part of parts) part.reject(isWanted(part) ? disposed : whyUnwanted(part));
                return;
            }
            if (parts.length === 1) {
                for (const { reject } of parts) reject(failure);
                return;
            }
        } finally {
            running = [];
            for (const { signal } of parts) signal?.removeEventListener("abort", reconsider);
        }
        for (const part of parts) await run(job, [part], submit, settle);
    }

    return { run, reconsider };
}

export function isWanted({ signal, lease }: Pick<Part, "signal" | "lease">): boolean {
    return !signal?.aborted && lease.target.closed === undefined;
}

/** @param part - that is not wanted */
export function whyUnwanted({ signal, lease }: Pick<Part, "signal" | "lease">): Error {
    return lease.target.closed ?? abortError("The evaluation was aborted.", signal);
}
