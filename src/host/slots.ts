/**
 * Who lives in which slot, and whose tokens are in the cells. Sequences get slots in the order of their arrival; a reader that does
 * nothing loses its slot to who waits; where cells run out, parked prefixes go first and then the youngest sequence, which is
 * evaluated again when there is room: that costs time and never changes its text.
 */

import type { NativeEngine } from "../native/binding.js";
import type { HostContext, HostTarget, Lease } from "./sequences.js";
import { commonPrefix, placeText, type Placement, type Slot } from "./placement.js";
import type { HostCounts } from "./statistics.js";
import { readsAhead, type Share } from "./chains.js";
import { endsOf, isDraw, rowsOf, type Waiting } from "./evaluations.js";
import { BEHIND_BOOKMARK } from "./step-plan.js";

export interface SlotPoolOptions {
    /** Number of slots. */
    readonly sequences: number;
    /** A slot can be given away now. */
    readonly wake: () => void;
    readonly counts: HostCounts;
}

export interface SlotPool {
    open(target: HostTarget, prompts: readonly ArrayLike<number>[], before?: Lease): Lease;
    readonly busy: number;
    /**
     * Gives slots to those that wait for one, as far as there are some and their texts fit.
     *
     * @returns whether somebody has got none because another one is evaluating the beginning of his text
     */
    admit(evaluations: readonly Waiting[]): boolean;
    /** Makes room in the cells for a step, oldest first. @returns the shares that there is room for */
    makeRoom(shares: readonly Share[]): Share[];
    /** Makes room for these as well, when what runs has taken its own; nobody has to give way. @returns whether there is */
    hasRoomFor(shares: readonly Share[], running: readonly Share[]): boolean;
    /** A job begins that keeps so much of each cache. */
    startJob(lease: Lease, keep: ArrayLike<number>): void;
    /** A job in this slot is over, has added these tokens to each member's cache, and made bookmarks in those of these members. */
    endJob(lease: Lease, slot: number, added: readonly (readonly number[])[], bookmarks: readonly number[]): void;
    rest(lease: Lease): void;
    close(lease: Lease): void;
    /**
     * Caches that cannot be cut back to what they are known to hold hold nothing any more.
     *
     * @param index - of a slot. Default: all
     */
    lose(contexts: readonly HostContext[], index?: number): void;
    /** Sequences of targets that are closed lose their slots. */
    dropClosed(): void;
    /** No slot is given away any more. */
    shut(): void;
}

/** Tokens that a sequence can surely add before it has to give way again, for each that has a slot. */
const RESERVE = 16;
/** A text waits for another that is evaluating the same beginning, if that saves as many tokens as this. */
const WORTH_WAITING = 32;
/** How far from its end a cache may hold something else than the text: a block of rejected drafts. */
const MOST_REJECTED = 32;

export function createSlotPool(engine: NativeEngine, { sequences, wake, counts }: SlotPoolOptions): SlotPool {
    const slots = Array.from({ length: sequences }, (_, index): Slot => ({ index, lease: undefined, lastUse: 0 }));
    let arrivals = 0;
    let uses = 0;
    /** Whether somebody waits for a slot or for cells. */
    let isAwaited = false;
    /** Runs while somebody waits and the next slot that can be given away has still to rest. */
    let timer: NodeJS.Timeout | undefined;

    const leases = (): Lease[] => slots.flatMap(({ lease }) => lease ?? []);
    const due = ({ restingSince = Infinity, cost = 0 }: Lease): number => restingSince + cost;

    /** Cuts the caches down to what is text: the tokens behind may have been drawn for nothing. */
    function align({ target, texts, slot }: Lease): void {
        if (slot === undefined) return;
        target.contexts.forEach((context, member) => {
            const { cells } = context;
            const [held, text] = [cells.held(slot), texts[member] ?? []];
            const end = Math.min(held.length, text.length);
            let length = Math.max(0, end - MOST_REJECTED);
            while (length < end && held[length] === text[length]) length++;
            // Held for nothing would be all of it, or an answer, and not a block of drafts, for which there are cells.
            if (length < held.length && !cells.rewinds) forget(slots[slot], context, length);
            else cells.truncate(slot, length);
        });
    }

    /** Takes the slot away; what it holds stays until the cells are needed. */
    function vacate(lease: Lease): void {
        const slot = lease.slot === undefined ? undefined : slots[lease.slot];
        if (slot?.lease !== lease) return;
        align(lease);
        slot.lease = undefined;
        lease.slot = lease.chain = undefined;
    }

    /** Frees the cells of a slot in one context, but for what it can keep of its first `length` tokens. */
    function forget(slot: Slot | undefined, { id, cells }: HostContext, length = 0): void {
        if (slot === undefined) return;
        cells.truncate(slot.index, length);
        // Jobs run in order, so it is done before whatever needs the cells. If it fails, so does everything.
        cut(engine, id, slot.index, cells.held(slot.index).length).catch(() => undefined);
    }

    /** Parked prefixes go, least recently used first, until there is room. @returns whether there is */
    function evict(context: HostContext, needed: number): boolean {
        const { cells } = context;
        const hasRoom = (): boolean => cells.capacity - cells.used >= needed;
        const parked = slots.filter((slot) => !isInUse(slot, context) && cells.held(slot.index).length > 0);
        for (const slot of parked.sort((a, b) => a.lastUse - b.lastUse)) {
            if (hasRoom()) return true;
            forget(slot, context);
        }
        return hasRoom();
    }

    function revoke(lease: Lease): void {
        const slot = lease.slot === undefined ? undefined : slots[lease.slot];
        if (slot === undefined) return;
        counts.revocations++;
        vacate(lease);
        for (const context of lease.target.contexts) forget(slot, context);
    }

    /** Somebody waits: when the next resting sequence can be asked to give way, there is to be another look. */
    function wakeWhenDue(): void {
        clearTimeout(timer);
        const next = isAwaited ? Math.min(...leases().map(due)) : Infinity;
        if (next < Infinity) timer = setTimeout(wake, Math.max(0, Math.ceil(next - performance.now())));
    }

    function takeRested(): boolean {
        const [next] = leases().sort((a, b) => due(a) - due(b));
        if (next === undefined || due(next) > performance.now()) return false;
        vacate(next);
        return true;
    }

    /** Whether somebody is about to hold much of a text that nobody holds yet. */
    function isWorthWaiting(
        lease: Lease,
        limits: readonly number[],
        kept: number,
        evaluations: readonly Waiting[],
    ): boolean {
        return evaluations.some(({ lease: other, evaluation }) => {
            if (other.slot === undefined || !haveSameContexts(other.target, lease.target)) return false;
            const ends = endsOf(evaluation, true);
            const common = other.texts.map((text, member) => {
                const most = Math.min(limits[member] ?? 0, ends[member] ?? 0);
                const shared = commonPrefix(text, lease.texts[member] ?? [], most);
                const cells = other.target.contexts[member]?.cells;
                if (cells?.rewinds) return shared;
                // What cannot be cut can be had at the bookmark alone.
                const bookmark = isDraw(evaluation) ? (other.bookmarks[member] ?? 0) : 0;
                const isComing = (cells?.held(other.slot ?? 0).length ?? 0) < bookmark;
                return isComing && bookmark <= shared ? bookmark : 0;
            });
            return common.reduce((sum, length) => sum + length, 0) - kept >= WORTH_WAITING;
        });
    }

    /** Whether the text fits beside those that run, with what they still lack and something to spare. */
    function fits({ target, texts }: Lease, { source, keep }: Placement): boolean {
        return target.contexts.every((context, member) => {
            const running = slots.filter((slot) => isInUse(slot, context));
            if (running.length === 0) return true;
            const { cells } = context;
            const kept = keep[member] ?? 0;
            const used = cells.usedBy([
                ...running.map(({ index }) => ({ slot: index, length: cells.held(index).length })),
                { slot: source.index, length: kept },
            ]);
            const lacking = running.map(({ index, lease }) => {
                const text = lease?.texts[lease.target.contexts.indexOf(context)] ?? [];
                return Math.max(0, text.length - cells.held(index).length);
            });
            const own = (texts[member]?.length ?? 0) - kept;
            return (
                cells.capacity - used >=
                own + lacking.reduce((sum, count) => sum + count) + RESERVE * (running.length + 1)
            );
        });
    }

    /** "none": nobody behind it gets one either. */
    function assign(waiting: Waiting, evaluations: readonly Waiting[]): "slot" | "waits for a text" | "none" {
        const { lease } = waiting;
        const rows = rowsOf(waiting.evaluation);
        // Who is not read now may be read later.
        const limits = endsOf(waiting.evaluation, true).map((end, member) =>
            end === 0 ? (lease.texts[member]?.length ?? 0) : Math.max(0, end - rows),
        );
        const cells = lease.target.contexts.map((context) => context.cells);
        if (slots.every((slot) => slot.lease !== undefined) && !takeRested()) return "none";
        const place = placeText(slots, cells, lease.texts, limits);
        if (place === undefined) return "none";
        const { slot, source, keep } = place;
        const kept = keep.reduce((sum, length) => sum + length, 0);
        if (isWorthWaiting(lease, limits, kept, evaluations)) return "waits for a text";
        if (!fits(lease, place)) return takeRested() ? assign(waiting, evaluations) : "none";

        if (!lease.hasStarted) {
            lease.reused = keep;
            counts.reusedTokens += kept;
        }
        slot.lease = lease;
        slot.lastUse = source.lastUse = ++uses;
        cells.forEach((each, member) => each.share(source.index, slot.index, keep[member] ?? 0));
        Object.assign(lease, { slot: slot.index, since: performance.now(), cost: undefined, hasStarted: true });
        // Submitted before anyone else can touch the source: jobs run in the order of the calls.
        lease.ready = prepare(engine, lease, keep, slot === source ? undefined : source.index);
        // After a failure nobody knows what the caches hold. Whoever evaluates learns of it.
        lease.ready.catch(() => {
            for (const each of cells) each.truncate(slot.index, 0);
        });
        return "slot";
    }

    /**
     * Makes room for so many tokens of each member.
     *
     * @param spared - sequences that keep what they have
     * @param promised - room in each context that is others' already
     * @returns whether there is
     */
    function reserve(
        lease: Lease,
        needed: readonly number[],
        spared: ReadonlySet<Lease>,
        promised: ReadonlyMap<HostContext, number>,
    ): boolean {
        return lease.target.contexts.every((context, member) => {
            const count = needed[member] ?? 0;
            while (count > 0 && !evict(context, count + (promised.get(context) ?? 0))) {
                const victims = leases().filter(
                    (other) =>
                        other !== lease &&
                        !spared.has(other) &&
                        (other.order > lease.order || due(other) <= performance.now()) &&
                        other.target.contexts.includes(context),
                );
                const [youngest] = victims.sort((a, b) => b.order - a.order);
                if (youngest === undefined) return false;
                revoke(youngest);
            }
            return true;
        });
    }

    return {
        open: (target, prompts, before) => ({
            ...{ target, texts: prompts.map((prompt) => Array.from(prompt)) },
            bookmarks: before?.bookmarks ?? prompts.map(({ length }, member) => bookmarkOf(target, member, length)),
            ...{ reused: before?.reused ?? prompts.map(() => 0), order: before?.order ?? ++arrivals },
            ...{ slot: undefined, ready: Promise.resolve(), since: 0, cost: undefined },
            ...{ restingSince: undefined, hasStarted: before?.hasStarted ?? false, chain: undefined },
        }),
        get busy() {
            return leases().length;
        },

        admit(evaluations) {
            for (const { lease } of evaluations) align(lease);
            const line = evaluations.filter(({ lease }) => lease.slot === undefined);
            let waitsForText = false;
            for (const waiting of line.sort((a, b) => a.lease.order - b.lease.order)) {
                const outcome = assign(waiting, evaluations);
                if (outcome === "none") break;
                waitsForText ||= outcome === "waits for a text";
            }
            isAwaited = line.some(({ lease }) => lease.slot === undefined);
            wakeWhenDue();
            return waitsForText;
        },

        makeRoom(shares) {
            const spared = new Set<Lease>();
            const promised = new Map<HostContext, number>();
            const byAge = [...shares].sort((a, b) => a.lease.order - b.lease.order);
            for (const share of byAge) {
                const { lease, entry } = share;
                if (lease.slot === undefined) continue;
                const slot = slots[lease.slot];
                lease.target.contexts.forEach((context, member) => {
                    // What cannot be cut is evaluated again in the room that it takes now.
                    const kept = "keep" in entry ? (entry.keep[member] ?? 0) : Infinity;
                    const isGivenUp = slot !== undefined && kept < context.cells.held(slot.index).length;
                    if (isGivenUp && !context.cells.rewinds) forget(slot, context, kept);
                });
                // Every slot has cells of its own for drafts.
                const needed = lackingOf(share);
                if (!reserve(lease, needed, spared, promised)) {
                    isAwaited = true;
                    continue;
                }
                spared.add(lease);
                lease.target.contexts.forEach((context, member) =>
                    promised.set(context, (promised.get(context) ?? 0) + (needed[member] ?? 0)),
                );
            }
            wakeWhenDue();
            return shares.filter(({ lease }) => spared.has(lease) && lease.slot !== undefined);
        },
        hasRoomFor(shares, running) {
            const needed = new Map<HostContext, number>();
            for (const share of [...running, ...shares]) {
                const lacking = lackingOf(share);
                share.lease.target.contexts.forEach((context, member) => {
                    needed.set(context, (needed.get(context) ?? 0) + (lacking[member] ?? 0) + share.most);
                });
            }
            return [...needed].every(([context, count]) => evict(context, count));
        },

        startJob(lease, keep) {
            const { slot, target } = lease;
            if (slot === undefined) return;
            target.contexts.forEach(({ cells }, member) => cells.truncate(slot, keep[member] ?? 0));
        },
        endJob(lease, index, added, bookmarks) {
            const slot = slots[index];
            if (slot?.lease !== lease) return;
            lease.target.contexts.forEach(({ cells }, member) => cells.append(index, added[member] ?? []));
            for (const member of bookmarks) lease.target.contexts[member]?.cells.bookmark(index);
        },

        rest(lease) {
            lease.restingSince = performance.now();
            lease.cost ??= lease.restingSince - lease.since;
            wakeWhenDue();
        },
        close: vacate,
        lose(contexts, index) {
            for (const context of new Set(contexts)) {
                if (context.cells.rewinds) continue;
                for (const slot of slots) if (index === undefined || slot.index === index) forget(slot, context);
            }
        },
        dropClosed() {
            for (const lease of leases()) {
                const slot = lease.slot === undefined ? undefined : slots[lease.slot];
                if (lease.target.closed === undefined || slot === undefined) continue;
                this.close(lease);
                // A job may be running that fills the caches, and nobody will say with how much.
                for (const context of lease.target.contexts) forget(slot, context);
            }
        },
        shut() {
            clearTimeout(timer);
        },
    };
}

/** Where a prompt gets a bookmark; 0 where its end can be cut off anyway, or too little is before. */
function bookmarkOf({ contexts }: HostTarget, member: number, length: number): number {
    const place = length - BEHIND_BOOKMARK;
    return contexts[member]?.cells.rewinds || place < BEHIND_BOOKMARK ? 0 : place;
}

/** Per member: how many tokens of the text a job evaluates; 0 where it is not read. */
function lackingOf({ tokens, chain, plan }: Share): number[] {
    if (tokens !== undefined) return tokens.map(({ length }) => length);
    if (chain === undefined) return [];
    const reads = readsAhead(chain, plan.length > 0);
    return chain.lacking.map((each, member) => (reads[member] ? (each?.length ?? 0) : 0));
}

/** Whether the slot's user has this context too; else what the slot holds there is parked. */
function isInUse({ lease }: Slot, context: HostContext): boolean {
    return lease?.target.contexts.includes(context) ?? false;
}

function haveSameContexts(a: HostTarget, b: HostTarget): boolean {
    return (
        a.contexts.length === b.contexts.length && a.contexts.every((context, member) => context === b.contexts[member])
    );
}

/** What the engine throws at once becomes a rejection too. */
async function cut(engine: NativeEngine, context: number, slot: number, keep: number): Promise<void> {
    await engine.forget(context, slot, keep);
}

/** A step that evaluates nothing. What the engine throws at once becomes a rejection too. */
async function prepare(
    engine: NativeEngine,
    { target, slot }: Lease,
    keep: readonly number[],
    copyFrom: number | undefined,
): Promise<void> {
    const tokens = keep.map(() => new Int32Array(0));
    const entry = { target: target.id, sequence: slot ?? 0, keep: Int32Array.from(keep), tokens };
    await engine.step([copyFrom === undefined ? entry : { ...entry, copyFrom }]);
}
