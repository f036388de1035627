/**
 * Bookkeeping of the KV caches. Each of an ensemble's slots is one llama.cpp sequence id, the same one in every member;
 * what a slot holds stays there after its user has gone, so that a later prompt with the same beginning need not be
 * evaluated again.
 *
 * A sequence whose reader does nothing with it keeps its slot only as long as nobody else needs it. Otherwise a reader that
 * waits for another completion before it reads on, or never does, would hold up others for ever.
 */

import { abortError, EftError } from "../errors.js";
import type { NativeEngine, NativeStepEntry } from "../native/binding.js";

/** One token sequence with one KV sequence per member. Members may hold different prompts; generated tokens are shared. */
export interface Sequence {
    readonly slot: number;
    /** Per member: the tokens whose keys and values are in the cache. */
    readonly held: readonly number[][];
    /** Per member: how many tokens of the prompt were found in a cache. */
    readonly reused: readonly number[];
    /** Settles when the caches really hold it. Jobs run in order, so nobody has to wait before the first evaluation. */
    readonly ready: Promise<void>;
}

/** A sequence and who has it. */
interface Lease extends Sequence {
    slot: number;
    held: readonly number[][];
    ready: Promise<void>;
    /** When its user got the slot. */
    since: number;
    /** How many milliseconds its user took to get it where it is, from then to its first rest. */
    cost: number | undefined;
    /** Since when its reader has done nothing with it. */
    restingSince: number | undefined;
}

interface Slot {
    readonly index: number;
    held: number[][];
    /** Who has it. */
    lease: Lease | undefined;
    /** Order of last use; the least recently used slot is overwritten first. */
    lastUse: number;
}

export interface SequencePool {
    /** Slots that are taken. */
    readonly busy: number;
    /**
     * Takes a slot for a prompt, the one that already holds most of it, and waits for one if all are taken.
     *
     * @param prompts - per member
     * @param rows - how many tokens at the end of each prompt are left to evaluate whatever the caches hold, because their
     * logits are wanted
     * @throws EftError ABORTED if the signal fires before a slot is free, DISPOSED
     */
    acquire(prompts: readonly ArrayLike<number>[], rows: number, signal?: AbortSignal): Promise<Sequence>;
    /**
     * Its reader has got something and may never ask for more. Where others wait for a slot, its own is given to one of them as
     * soon as it has rested for as long as it would take to evaluate again what the slot holds.
     */
    rest(sequence: Sequence): void;
    /**
     * Its reader goes on. If the slot has been given away, takes one as acquire() does; what caches hold may be less then.
     *
     * @param tokens - what acquire() is to be given: the prompts, and what has followed them
     * @throws EftError ABORTED, DISPOSED
     */
    resume(sequence: Sequence, tokens: () => readonly ArrayLike<number>[], signal?: AbortSignal): Promise<void>;
    /** Gives the slot back; what it holds stays for later prompts. */
    release(sequence: Sequence): void;
    /** Whoever waits for a slot, or asks for one from now on, fails with `reason`. */
    close(reason: EftError): void;
}

/** @param size - number of slots, 1 or more */
export function createSequencePool(engine: NativeEngine, members: number, size: number): SequencePool {
    const slots = Array.from({ length: size }, (_, index): Slot => ({
        index,
        held: emptyCaches(members),
        lease: undefined,
        lastUse: 0,
    }));
    const waiting = new Set<{ wake: () => void; fail: (reason: EftError) => void }>();
    // Free slots that belong to waiters who have been woken and have not run yet: whoever comes later waits behind them.
    let promised = 0;
    let closed: EftError | undefined;
    let uses = 0;
    /** Runs while somebody waits and the next slot that can be given away has still to rest. */
    let timer: NodeJS.Timeout | undefined;

    /** A step that evaluates nothing. What the engine throws at once becomes a rejection too. */
    async function prepare(entry: NativeStepEntry): Promise<void> {
        await engine.step([entry]);
    }

    function wakeNext(): void {
        const [next] = waiting;
        if (next === undefined) return;
        waiting.delete(next);
        promised++;
        next.wake();
    }

    async function waitForSlot(signal?: AbortSignal): Promise<void> {
        let abort = (): void => undefined;
        await new Promise<void>((wake, fail) => {
            const entry = { wake, fail };
            abort = () => {
                waiting.delete(entry);
                fail(abortError("The request was aborted while it waited for a free sequence.", signal));
            };
            if (closed !== undefined) return fail(closed);
            if (signal?.aborted) return abort();
            signal?.addEventListener("abort", abort);
            waiting.add(entry);
            giveAway();
        }).finally(() => signal?.removeEventListener("abort", abort));
    }

    /** Gives a resting sequence's slot to somebody who waits, at once or when it has rested long enough. */
    function giveAway(): void {
        clearTimeout(timer);
        if (waiting.size === 0) return;
        const due = ({ restingSince = Infinity, cost = 0 }: Lease): number => restingSince + cost;
        const leases = slots.flatMap(({ lease }) => lease ?? []);
        const [next] = leases.sort((a, b) => due(a) - due(b));
        if (next?.restingSince === undefined) return;
        const remaining = due(next) - performance.now();
        if (remaining <= 0) free(next);
        timer = setTimeout(giveAway, Math.max(0, remaining));
    }

    function free(lease: Lease): void {
        const slot = slots[lease.slot];
        if (slot?.lease !== lease) return;
        slot.lease = undefined;
        // A new array, so that the former user can do no harm any more.
        slot.held = lease.held.map((tokens) => [...tokens]);
        wakeNext();
    }

    /** Takes a slot, for a lease that has none. */
    async function take(
        lease: Lease,
        prompts: readonly ArrayLike<number>[],
        rows: number,
        signal: AbortSignal | undefined,
    ): Promise<readonly number[]> {
        if (slots.filter((slot) => slot.lease === undefined).length <= promised) {
            await waitForSlot(signal);
            promised--;
        }
        const { target, source, keep } = choose(slots, prompts, rows);
        target.lease = lease;
        target.lastUse = ++uses;
        const held = source.held.map((tokens, member) => tokens.slice(0, keep[member]));
        target.held = held;
        // Submitted before anyone else can touch the source: jobs run in the order of the calls.
        const entry = { sequence: target.index, keep: Int32Array.from(keep), tokens: noTokens(members) };
        const ready = prepare(source === target ? entry : { ...entry, copyFrom: source.index });
        // After a failure nobody knows what the caches hold. Whoever evaluates learns of it.
        ready.catch(() => {
            for (const tokens of held) tokens.length = 0;
        });
        Object.assign(lease, { slot: target.index, held, ready, since: performance.now(), cost: undefined });
        return keep;
    }

    return {
        get busy() {
            return slots.filter(({ lease }) => lease !== undefined).length;
        },
        async acquire(prompts, rows, signal) {
            const lease: Lease = {
                ...{ slot: -1, held: [], reused: [], ready: Promise.resolve() },
                ...{ since: 0, cost: undefined, restingSince: undefined },
            };
            return Object.assign(lease, { reused: await take(lease, prompts, rows, signal) });
        },
        rest(sequence) {
            const lease = sequence as Lease;
            lease.restingSince = performance.now();
            lease.cost ??= lease.restingSince - lease.since;
            giveAway();
        },
        async resume(sequence, tokens, signal) {
            const lease = sequence as Lease;
            lease.restingSince = undefined;
            if (slots[lease.slot]?.lease !== lease) await take(lease, tokens(), 1, signal);
        },
        release(sequence) {
            free(sequence as Lease);
        },
        close(reason) {
            closed = reason;
            for (const { fail } of waiting) fail(reason);
            waiting.clear();
            clearTimeout(timer);
        },
    };
}

/** The free slot to use, the slot whose cache it starts from (often the same), and how much of that is kept. */
function choose(
    slots: readonly Slot[],
    prompts: readonly ArrayLike<number>[],
    rows: number,
): { target: Slot; source: Slot; keep: number[] } {
    const candidates = slots.map((slot) => ({ slot, keep: commonPrefixes(slot.held, prompts, rows) }));
    const byReuse = [...candidates].sort(
        (a, b) => sum(b.keep) - sum(a.keep) || Number(isTaken(a.slot)) - Number(isTaken(b.slot)),
    );
    const [best] = byReuse;
    const free = candidates.filter(({ slot }) => !isTaken(slot));
    const oldest = free.reduce((a, b) => (b.slot.lastUse < a.slot.lastUse ? b : a));
    if (best === undefined) throw new EftError("OPTION_INVALID", "The pool has no slots.");
    if (sum(best.keep) === 0) return { target: oldest.slot, source: oldest.slot, keep: best.keep };
    // A slot whose whole content is a prefix of the prompt is continued in place; one that also holds something else,
    // or is in use, is copied, so that the rest of it is not lost while an older slot can be had.
    const continues = best.keep.every((kept, member) => kept >= (best.slot.held[member]?.length ?? 0) - 1);
    if (!isTaken(best.slot) && (continues || free.length === 1)) {
        return { target: best.slot, source: best.slot, keep: best.keep };
    }
    const others = free.filter(({ slot }) => slot !== best.slot);
    const target =
        others.length === 0 ? best.slot : others.reduce((a, b) => (b.slot.lastUse < a.slot.lastUse ? b : a)).slot;
    return { target, source: best.slot, keep: best.keep };
}

function isTaken({ lease }: Slot): boolean {
    return lease !== undefined;
}

function commonPrefixes(
    held: readonly (readonly number[])[],
    prompts: readonly ArrayLike<number>[],
    rows: number,
): number[] {
    return prompts.map((prompt, member) => {
        const tokens = held[member] ?? [];
        const limit = Math.min(tokens.length, prompt.length - rows);
        let length = 0;
        while (length < limit && tokens[length] === prompt[length]) length++;
        return Math.max(length, 0);
    });
}

function emptyCaches(members: number): number[][] {
    return Array.from({ length: members }, () => []);
}

function noTokens(members: number): Int32Array[] {
    return Array.from({ length: members }, () => new Int32Array(0));
}

function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
}
