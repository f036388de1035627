/**
 * The cells of one context's cache: which tokens each slot holds there, and how many cells that takes. Slots that share the
 * beginning of a text share its cells, so those count once.
 */

export interface Cells {
    /** Whether the end of what a slot holds can be cut off. Recurrent state has to be evaluated again, from a bookmark or the beginning. */
    readonly rewinds: boolean;
    /** Whether drafts may be evaluated and taken back; where it {@link rewinds}, always. */
    readonly verifies: boolean;
    /** Most cells that may be used. */
    readonly capacity: number;
    /** Cells that hold something. */
    readonly used: number;
    /** The tokens that a slot holds. */
    held(slot: number): readonly number[];
    /** The slot holds these too. */
    append(slot: number, tokens: ArrayLike<number>): void;
    /** Until it is made empty, or has another bookmark, the slot can be cut back to what it holds now; who shares its beginning too. */
    bookmark(slot: number): void;
    /**
     * How many of its first `length` tokens the slot can keep: where nothing can be cut off, all that it holds, those up to its bookmark,
     * or none.
     */
    keepable(slot: number, length: number): number;
    /** The slot keeps the first `length` of its tokens, or all of them if it has fewer, or what is {@link keepable} of them. */
    truncate(slot: number, length: number): void;
    /** What `to` held is gone; it shares the first `length` tokens of `from`, or what is {@link keepable} of them. */
    share(from: number, to: number, length: number): void;
    /** Cells that these beginnings of what slots hold use together. */
    usedBy(parts: readonly { readonly slot: number; readonly length: number }[]): number;
}

/** @param slots - number of slots */
export function createCells(capacity: number, slots: number, rewinds: boolean, verifies = true): Cells {
    const caches = Array.from({ length: slots }, () => ({
        tokens: [] as number[],
        cells: [] as number[],
        bookmark: 0,
    }));
    /** By cell: how many slots share it. */
    const shares: number[] = [];
    const free: number[] = [];
    let used = 0;

    const cacheOf = (slot: number): (typeof caches)[number] => {
        const cache = caches[slot];
        if (cache === undefined) throw new RangeError(`There is no slot ${slot}.`);
        return cache;
    };
    function keepable(slot: number, length: number): number {
        const { tokens, bookmark } = cacheOf(slot);
        if (rewinds || length >= tokens.length) return Math.min(length, tokens.length);
        return length >= bookmark ? bookmark : 0;
    }
    function truncate(slot: number, length: number): void {
        const cache = cacheOf(slot);
        const { tokens, cells } = cache;
        const kept = keepable(slot, length);
        if (kept === 0) cache.bookmark = 0;
        for (const cell of cells.splice(kept)) {
            shares[cell] = (shares[cell] ?? 0) - 1;
            if (shares[cell] > 0) continue;
            free.push(cell);
            used--;
        }
        tokens.splice(kept);
    }

    return {
        ...{ rewinds, verifies, capacity },
        get used() {
            return used;
        },
        held: (slot) => cacheOf(slot).tokens,
        append(slot, added) {
            const { tokens, cells } = cacheOf(slot);
            for (let i = 0; i < added.length; i++) {
                const cell = free.pop() ?? shares.length;
                shares[cell] = 1;
                used++;
                cells.push(cell);
                tokens.push(added[i] ?? 0);
            }
        },
        bookmark(slot) {
            const cache = cacheOf(slot);
            cache.bookmark = cache.tokens.length;
        },
        ...{ keepable, truncate },
        share(from, to, length) {
            if (from === to) return truncate(to, length);
            truncate(to, 0);
            const [source, target] = [cacheOf(from), cacheOf(to)];
            const shared = keepable(from, length);
            if (shared > 0) target.bookmark = source.bookmark;
            for (let i = 0; i < shared; i++) {
                const cell = source.cells[i] ?? 0;
                shares[cell] = (shares[cell] ?? 0) + 1;
                target.cells.push(cell);
                target.tokens.push(source.tokens[i] ?? 0);
            }
        },
        usedBy: (parts) => new Set(parts.flatMap(({ slot, length }) => cacheOf(slot).cells.slice(0, length))).size,
    };
}
