/**
 * The cells of one context's cache: which tokens each slot holds there, and how many cells that takes. Slots that share the
 * beginning of a text share its cells, so those count once.
 */

export interface Cells {
    /** Most cells that may be used. */
    readonly capacity: number;
    /** Cells that hold something. */
    readonly used: number;
    /** The tokens that a slot holds. */
    held(slot: number): readonly number[];
    /** The slot holds these too. */
    append(slot: number, tokens: ArrayLike<number>): void;
    /** The slot keeps the first `length` of its tokens, or all of them if it has fewer. */
    truncate(slot: number, length: number): void;
    /** What `to` held is gone; it shares the first `length` tokens of `from`. */
    share(from: number, to: number, length: number): void;
    /** Cells that these beginnings of what slots hold use together. */
    usedBy(parts: readonly { readonly slot: number; readonly length: number }[]): number;
}

/** @param slots - number of slots */
export function createCells(capacity: number, slots: number): Cells {
    const caches = Array.from({ length: slots }, () => ({ tokens: [] as number[], cells: [] as number[] }));
    /** By cell: how many slots share it. */
    const shares: number[] = [];
    const free: number[] = [];
    let used = 0;

    const cacheOf = (slot: number): (typeof caches)[number] => {
        const cache = caches[slot];
        if (cache === undefined) throw new RangeError(`There is no slot ${slot}.`);
        return cache;
    };
    function truncate(slot: number, length: number): void {
        const { tokens, cells } = cacheOf(slot);
        for (const cell of cells.splice(length)) {
            shares[cell] = (shares[cell] ?? 0) - 1;
            if (shares[cell] > 0) continue;
            free.push(cell);
            used--;
        }
        tokens.splice(length);
    }

    return {
        capacity,
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
        truncate,
        share(from, to, length) {
            if (from === to) return truncate(to, length);
            truncate(to, 0);
            const [source, target] = [cacheOf(from), cacheOf(to)];
            for (let i = 0; i < Math.min(length, source.cells.length); i++) {
                const cell = source.cells[i] ?? 0;
                shares[cell] = (shares[cell] ?? 0) + 1;
                target.cells.push(cell);
                target.tokens.push(source.tokens[i] ?? 0);
            }
        },
        usedBy: (parts) => new Set(parts.flatMap(({ slot, length }) => cacheOf(slot).cells.slice(0, length))).size,
    };
}
