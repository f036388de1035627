/** Texts that end an answer. */

export interface StopFilter {
    /** @returns what is certain to be said */
    push(more: string): string;
    /** What was held back: nothing that may come can go on with it. */
    flush(): string;
    /** The text that was met; nothing is released after it. */
    readonly stoppedBy: string | undefined;
}

/** Holds text back as long as it may become a stop string. */
export function createStopFilter(stop: readonly string[]): StopFilter {
    let pending = "";
    let stoppedBy: string | undefined;
    return {
        push(more) {
            if (stoppedBy !== undefined) return "";
            pending += more;
            // The first that is whole, whatever comes in one piece with it; of those that end together the longest.
            const found = stop
                .map((text) => ({ text, at: pending.indexOf(text) }))
                .filter(({ at }) => at >= 0)
                .sort((a, b) => a.at + a.text.length - (b.at + b.text.length) || a.at - b.at)[0];
            stoppedBy = found?.text;
            const keep = Math.max(0, ...stop.map((text) => overlap(pending, text)));
            const text = pending.slice(0, found?.at ?? pending.length - keep);
            pending = found === undefined ? pending.slice(text.length) : "";
            return text;
        },
        flush() {
            const text = pending;
            pending = "";
            return text;
        },
        get stoppedBy() {
            return stoppedBy;
        },
    };
}

/** Length of the longest end of `text` that is a beginning of `mark`, and not all of it. */
export function overlap(text: string, mark: string): number {
    for (let length = Math.min(text.length, mark.length - 1); length > 0; length--)
        if (text.endsWith(mark.slice(0, length))) return length;
    return 0;
}
