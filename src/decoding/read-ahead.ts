/**
 * A completion that runs ahead of its reader, by a bounded number of tokens. Whoever reads late, or does other things between two
 * parts, does not hold up the steps that he shares with others; and dials act at the next token that is read all the same,
 * because a token is made again, with the same noise, if a dial was turned before it was read.
 */

import type { Dials } from "./fusion.js";
import type { DrawnPart as Part } from "./loop.js";

type Parts = AsyncGenerator<Part, void, void>;

/**
 * @param most - unread tokens
 * @param begin - the completion behind tokens that have been read, until the signal fires
 * @param signal - the caller's: when it fires, what has not been read is not wanted
 */
export async function* runAhead(
    most: number,
    begin: (read: readonly number[], signal: AbortSignal) => Parts,
    dials: Pick<Dials, "fusion">,
    signal: AbortSignal | undefined,
): Parts {
    const read: number[] = [];
    let run = startRun(most, (left) => begin([], left), dials.fusion);
    let isAborted = false;
    const isVoid = (): boolean => run.fusion !== dials.fusion || signal?.aborted === !isAborted;
    try {
        for (;;) {
            if (isVoid()) {
                isAborted = signal?.aborted ?? false;
                await run.stop();
                run = startRun(most, (left) => begin(read, left), dials.fusion);
            }
            const part = await run.next();
            // It may have been turned while we waited.
            if (part === undefined || isVoid()) continue;
            if (part.type === "token") read.push(part.id);
            yield part;
            if (part.type === "finish") return;
        }
    } finally {
        await run.leave();
    }
}

interface Run {
    /** The form of the target with which it was started. */
    readonly fusion: Dials["fusion"];
    /** Throws what the completion throws, after the parts before. */
    next(): Promise<Part | undefined>;
    /** Until the step that runs is over. */
    stop(): Promise<void>;
    /** The same, and nobody wants that step: it may itself wait for room. */
    leave(): Promise<void>;
}

function startRun(most: number, begin: (signal: AbortSignal) => Parts, fusion: Dials["fusion"]): Run {
    const controller = new AbortController();
    const unread: Part[] = [];
    let fault: { readonly thrown: unknown } | undefined;
    let isOver = false;
    /** Whoever waits for the other side. */
    let wake = (): void => undefined;
    const change = (): Promise<void> => new Promise<void>((resolve) => (wake = resolve));

    async function fill(): Promise<void> {
        try {
            for await (const part of begin(controller.signal)) {
                unread.push(part);
                wake();
                while (unread.length >= most && !isOver) await change();
                if (isOver) return;
            }
        } catch (thrown) {
            fault = { thrown };
        } finally {
            isOver = true;
            wake();
        }
    }
    const filling = fill();

    async function stop(): Promise<void> {
        isOver = true;
        wake();
        await filling;
    }

    return {
        fusion,
        async next() {
            while (unread.length === 0 && !isOver) await change();
            const part = unread.shift();
            if (part === undefined && fault !== undefined) throw fault.thrown;
            wake();
            return part;
        },
        stop,
        leave() {
            controller.abort();
            return stop();
        },
    };
}
