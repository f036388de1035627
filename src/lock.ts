/**
 * Who may write at a place. A lock says by its time, which its owner renews, that somebody is at work: numbers of processes are
 * the same again in containers, and unknown to other machines that share a disk.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { abortError } from "./errors.js";

/** Milliseconds after which a lock that nobody renews is one of a process that has ended. */
const LIFE = 10_000;

export interface Lock {
    /** Fires when somebody else has taken this process for dead, and the lock with it. */
    readonly lost: AbortSignal;
    /** Gives it back; never fails. */
    release(): Promise<void>;
}

/** The lock of a place, which is `<place>.lock` on the disk; undefined while somebody else has it. @throws the system's error */
export async function tryLock(place: string): Promise<Lock | undefined> {
    const { default: locks } = await import("proper-lockfile");
    const lost = new AbortController();
    const times = { stale: LIFE, update: LIFE / 5 };
    try {
        const release = await locks.lock(place, { ...where(place), ...times, onCompromised: () => lost.abort() });
        return { lost: lost.signal, release: () => release().catch(() => {}) };
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ELOCKED") return undefined;
        throw error;
    }
}

/** Waits as long as it takes to see whether the owner of a lock is alive; undefined if so. @throws EftError ABORTED, the system's error */
export async function takeLock(place: string, signal: AbortSignal | undefined): Promise<Lock | undefined> {
    for (const start = Date.now(); Date.now() - start <= 1.5 * LIFE;) {
        const lock = await tryLock(place);
        if (lock !== undefined) return lock;
        await sleep(500, undefined, signal && { signal }).catch(() => {
            throw abortError("Waiting for another process was aborted.", signal);
        });
    }
    return undefined;
}

/** Whether somebody has the lock of a place. */
export async function isLocked(place: string): Promise<boolean> {
    const { default: locks } = await import("proper-lockfile");
    return locks.check(place, { ...where(place), stale: LIFE });
}

function where(place: string): { readonly lockfilePath: string; readonly realpath: boolean } {
    return { lockfilePath: `${place}.lock`, realpath: false };
}
