/** Clients that take their answers too slowly hold neither a place nor memory for long. */

import type { ServerResponse } from "node:http";

/** Less than this is as good as nothing: an answer is written faster, with all that can be reported of it. */
const LEAST_BYTES_PER_SECOND = 16_384;
const LOOK_MS = 1000;

/**
 * Closes the connection when what is written has waited for its reader for so long, altogether; what the reader takes meanwhile
 * counts as time in which it need not be waited for.
 *
 * @param stallMs - milliseconds
 */
export function giveUpSlow(response: ServerResponse, stallMs: number): void {
    const everyMs = Math.min(LOOK_MS, Math.ceil(stallMs / 10));
    const wait = createWait(stallMs);
    let before: number | undefined;
    const timer = setInterval(() => {
        const { socket } = response;
        if (socket === null) return;
        const taken = socket.bytesWritten - socket.writableLength;
        if (wait.isOver(everyMs, taken - (before ?? taken), socket.writableLength > 0)) socket.destroy();
        before = taken;
    }, everyMs);
    timer.unref();
    response.once("close", () => clearInterval(timer));
}

/** How long a reader has been waited for. */
export interface Wait {
    /**
     * @param ms - that have passed
     * @param bytes - that it has taken in them
     * @param isAwaited - whether it has left something
     * @returns whether that was too long
     */
    isOver(ms: number, bytes: number, isAwaited: boolean): boolean;
}

/** @param mostMs - milliseconds */
export function createWait(mostMs: number): Wait {
    let waited = 0;
    return {
        isOver(ms, bytes, isAwaited) {
            const earned = (bytes / LEAST_BYTES_PER_SECOND) * 1000;
            waited = Math.max(0, waited + (isAwaited ? ms : 0) - earned);
            return waited >= mostMs;
        },
    };
}
