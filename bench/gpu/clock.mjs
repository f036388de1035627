/** The time of a part, from now on. */
export function createClock(seconds) {
    const end = performance.now() + seconds * 1000;
    return {
        isOver: () => performance.now() > end,
        /** Milliseconds. */
        left: () => Math.max(0, end - performance.now()),
        /** The `performance.now()` at which the first of `parts` equal parts of the rest ends. */
        share: (parts) => performance.now() + Math.max(0, end - performance.now()) / parts,
    };
}
