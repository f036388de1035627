/** Whose turn it is: as many answers are written at once as there are places, and clients take turns, whatever each of them asks for. */

import { abortError, EftError } from "../errors.js";

export interface Places {
    /**
     * Waits for a place.
     *
     * @param key - whose turn it is: keys take turns
     * @returns gives the place back; may be called again
     * @throws EftError BUSY where as many of that key wait as may, ABORTED
     */
    take(key: string, signal: AbortSignal): Promise<() => void>;
    readonly taken: number;
    readonly waiting: number;
}

interface Waiter {
    /** Hands it a place. */
    readonly admit: () => void;
}

/**
 * @param count - places
 * @param queue - how many of each key may wait
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

    return {
        async take(key, signal) {
            if (signal.aborted) throw abortError("The request was aborted.", signal);
            if (taken < count) {
                taken++;
                return place();
            }
            const line = lines.get(key) ?? [];
            if (line.length >= queue)
                throw new EftError(
                    "BUSY",
                    `All ${count} places are taken, and ${line.length} requests wait for one already; try again later.`,
                );
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
                    reject(abortError("The request was aborted while it waited for a place.", signal));
                }
                signal.addEventListener("abort", leave, { once: true });
                line.push(waiter);
            });
        },
        get taken() {
            return taken;
        },
        get waiting() {
            return [...lines.values()].reduce((sum, line) => sum + line.length, 0);
        },
    };
}
