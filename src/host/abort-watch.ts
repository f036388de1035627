/** Many wait for one signal: it gets one listener, since Node warns of more than ten. */

export interface AbortWatch {
    /** Whoever adds a signal removes it. @throws what a signal of other make throws; then it has not been added */
    add(signal: AbortSignal): void;
    remove(signal: AbortSignal): void;
}

/** @param react - called when one of the signals fires */
export function createAbortWatch(react: () => void): AbortWatch {
    const users = new Map<AbortSignal, number>();
    return {
        add(signal) {
            const count = users.get(signal) ?? 0;
            if (count === 0) signal.addEventListener("abort", react);
            users.set(signal, count + 1);
        },
        remove(signal) {
            const count = (users.get(signal) ?? 0) - 1;
            users.set(signal, count);
            if (count > 0) return;
            users.delete(signal);
            signal.removeEventListener("abort", react);
        },
    };
}
