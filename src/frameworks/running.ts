/** Calls that run: how their end is waited for, where somebody wants it. */

import { setImmediate } from "node:timers/promises";
import { EftError } from "../errors.js";

export interface RunningCalls {
    /**
     * The parts of a call, which runs from when the first of them is asked for.
     *
     * @throws EftError DISPOSED, where all calls were ended before that, or while nobody asked for the next part
     */
    run<Part>(parts: AsyncGenerator<Part, void, void>): AsyncIterableIterator<Part, void>;
    /**
     * Refuses new calls, waits for those of which somebody asks for part after part, and ends the others: whoever has stopped reading
     * may never go on, and cannot say so.
     */
    end(): Promise<void>;
}

export function trackCalls(): RunningCalls {
    /** What ends each of them. */
    const running = new Set<() => Promise<void>>();
    let isEnding = false;
    return {
        run(parts) {
            type Result = Awaited<ReturnType<typeof parts.next>>;
            let hasBegun = false;
            let isCutOff = false;
            /** What was asked for last. */
            let asked: Promise<Result> | undefined;
            async function watch(result: Promise<Result>): Promise<Result> {
                let isOver = true;
                try {
                    const { done = false } = await result;
                    isOver = done;
                } finally {
                    if (isOver) running.delete(end);
                }
                return result;
            }
            async function end(): Promise<void> {
                for (let last; last !== asked;) {
                    last = asked;
                    await Promise.allSettled([last]);
                    // Whoever wants the next part asks for it before anything else happens.
                    await setImmediate();
                }
                isCutOff = running.has(end);
                await parts.return();
            }
            return {
                next() {
                    if (isEnding && !hasBegun) return refuse("The model has been disposed; create it again.");
                    if (isCutOff)
                        return refuse(
                            "The model was disposed while nobody read this answer; read it to its end first.",
                        );
                    hasBegun = true;
                    running.add(end);
                    return (asked = watch(parts.next()));
                },
                return: () => (asked = watch(parts.return())),
                [Symbol.asyncIterator]() {
                    return this;
                },
            };
        },
        async end() {
            isEnding = true;
            await Promise.allSettled([...running].map((end) => end()));
        },
    };
}

function refuse(reason: string): Promise<never> {
    return Promise.reject(new EftError("DISPOSED", reason));
}
