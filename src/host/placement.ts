/**
 * Slots: llama.cpp's sequence ids, the same in every context. What a slot holds stays there after its user has gone, a parked prefix,
 * so that a later text with the same beginning need not be evaluated again.
 */

import type { Cells } from "./cells.js";
import type { Lease } from "./sequences.js";

export interface Slot {
    readonly index: number;
    /** Who has it. */
    lease: Lease | undefined;
    /** Order of last use; the least recently used is overwritten first. */
    lastUse: number;
}

/** Where a text can go on. */
export interface Placement {
    /** The free slot to use. */
    readonly slot: Slot;
    /** The slot whose caches it starts from, often the same. */
    readonly source: Slot;
    /** Per member: how much of that is kept. */
    readonly keep: readonly number[];
}

/**
 * The free slot to use and the one to start from. A slot whose whole content is a prefix of the text goes on in place; one that also
 * holds something else, or is in use, is copied, so that the rest of it is not lost while an older slot can be had.
 *
 * @param cells - per member
 * @param texts - per member
 * @param limits - per member: how much of the text may be taken from a cache
 * @returns undefined where no slot is free
 */
export function placeText(
    slots: readonly Slot[],
    cells: readonly Cells[],
    texts: readonly ArrayLike<number>[],
    limits: readonly number[],
): Placement | undefined {
    const candidates = slots.map((slot) => ({
        slot,
        keep: cells.map((each, member) =>
            each.keepable(slot.index, commonPrefix(each.held(slot.index), texts[member] ?? [], limits[member] ?? 0)),
        ),
    }));
    const free = candidates.filter(({ slot }) => slot.lease === undefined);
    const [first] = free;
    if (first === undefined) return undefined;
    const best = candidates.reduce((a, b) => {
        const difference = sum(b.keep) - sum(a.keep);
        return difference > 0 || (difference === 0 && a.slot.lease !== undefined && b.slot.lease === undefined) ? b : a;
    });
    const oldest = (of: typeof free): Slot | undefined =>
        of.reduce<Slot | undefined>(
            (a, { slot }) => (a === undefined || slot.lastUse < a.lastUse ? slot : a),
            undefined,
        );
    if (sum(best.keep) === 0) {
        const slot = oldest(free) ?? first.slot;
        return { slot, source: slot, keep: best.keep };
    }
    const isFree = best.slot.lease === undefined;
    const goesOn = best.keep.every((kept, member) => kept >= (cells[member]?.held(best.slot.index).length ?? 0) - 1);
    const others = oldest(free.filter(({ slot }) => slot !== best.slot));
    const slot = isFree && (goesOn || others === undefined) ? best.slot : (others ?? best.slot);
    return { slot, source: best.slot, keep: best.keep };
}

/** How many of the first `limit` tokens are the same. */
export function commonPrefix(a: ArrayLike<number>, b: ArrayLike<number>, limit: number): number {
    const end = Math.min(a.length, b.length, limit);
    let length = 0;
    while (length < end && a[length] === b[length]) length++;
    return length;
}

function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
}
