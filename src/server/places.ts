/** Whose turn it is: as many answers are written at once as there are places, and clients take turns, whatever each of them asks for. */

import { abortError, EftError } from "../errors.js";

/** Who asks. */
export interface Asker {
    /** Keys take turns. */
    readonly key: string;
    /** Fires when nothing is wanted any more. */
    readonly signal: AbortSignal;
}

export interface Places {
    /**
     * Once for a request, which may need several places: what has been let in is not turned away in its middle.
     *
     * @throws EftError BUSY where all are taken and as many of that key wait as may
     */
    checkRoom(key: string): void;
    /**
     * Waits for a place.
     *
     * @returns gives the place back; may be called again
     * @throws EftError ABORTED
     */
    take(asker: Asker): Promise<() => void>;
    /** Holds one while `body` runs. @throws EftError BUSY, ABORTED; what `body` throws */
    within<T>(asker: Asker, body: () => T | Promise<T>): Promise<T>;
    readonly taken: number;
    readonly waiting: number;
}

interface Waiter {
    /** Hands it a place. */
    readonly admit: () => void;
}

/**
 * @param count - places
 * @param queue - how many of each key may wait before no more of its requests are let in
 */
export function createPlaces(count: number, queue: number): Places {
    /** Those who wait, by key; the key whose turn it is comes first. */
    const lines = new Map<string, Waiter[]>();
    let taken = 0;

    function place(): () => void {
        let isHeld = true;
        return () => {
            if (!isHeld) return;
            isHeld = false;
            taken--;
            admitNext();
        };
    }

    function admitNext(): void {
        for (const [key, line] of lines) {
            const waiter = line.shift();
            // Its next turn comes after that of all others.
            lines.delete(key);
            if (line.length > 0) lines.set(key, line);
            if (waiter === undefined) continue;
            taken++;
            waiter.admit();
            return;
        }
    }

    function checkRoom(key: string): void {
        const waiting = lines.get(key)?.length ?? 0;
        if (taken < count || waiting < queue) return;
        throw new EftError(
            "BUSY",
            `The server is busy, and ${waiting} requests of this key wait for their turn already; try again later.`,
        );
    }

    async function take({ key, signal }: Asker): Promise<() => void> {
        if (signal.aborted) throw abortError("The request was aborted.", signal);
        if (taken < count) {
            taken++;
            return place();
        }
        const line = lines.get(key) ?? [];
        lines.set(key, line);
        return new Promise((resolve, reject) => {
            const waiter: Waiter = {
                admit() {
                    signal.removeEventListener("abort", leave);
                    resolve(place());
                },
            };
            function leave(): void {
                const index = line.indexOf(waiter);
                if (index >= 0) line.splice(index, 1);
                reject(abortError("The request was aborted while it waited for its turn.", signal));
            }
            signal.addEventListener("abort", leave, { once: true });
            line.push(waiter);
        });
    }

    return {
        checkRoom,
        take,
        async within(asker, body) {
            checkRoom(asker.key);
            const leave = await take(asker);
            try {
                return await body();
            } finally {
                leave();
            }
        },
        get taken() {
            return taken;
        },
        get waiting() {
            return [...lines.values()].reduce((sum, line) => sum + line.length, 0);
        },
    };
}
