/** Ctrl-C, for commands that have something to finish. */

/** A signal that the first Ctrl-C fires, so that what there is can be finished; the second one exits at once. */
export function abortOnInterrupt(): AbortSignal {
    return listenForInterrupt().signal;
}

/** Gives `body` the signal of {@link abortOnInterrupt}; when it has ended, Ctrl-C is what it was before. */
export async function abortable<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, stop } = listenForInterrupt();
    try {
        return await body(signal);
    } finally {
        stop();
    }
}

function listenForInterrupt(): { signal: AbortSignal; stop: () => void } {
    const controller = new AbortController();
    const interrupt = (): void => {
        if (controller.signal.aborted) process.exit(130);
        process.exitCode = 130;
        controller.abort();
    };
    process.on("SIGINT", interrupt);
    return { signal: controller.signal, stop: () => process.off("SIGINT", interrupt) };
}
