/** Ctrl-C, for commands that have something to finish. */

/** A signal that the first Ctrl-C fires, so that what there is can be finished; the second one exits at once. */
export function abortOnInterrupt(): AbortSignal {
    const controller = new AbortController();
    process.on("SIGINT", () => {
        if (controller.signal.aborted) process.exit(130);
        process.exitCode = 130;
        controller.abort();
    });
    return controller.signal;
}
