/** Texts that are longer than the context, in windows that overlap. */

/** Tokens that are scored together: per member what precedes them, and the tokens that all members share. */
export interface Window {
    readonly contexts: readonly Int32Array[];
    readonly continuation: Int32Array;
}

/** What the windows of a text are made from, and how. */
export interface Windowing {
    /** Tokens that a member's cache holds. The last token of a window need not be in it. */
    readonly contextSize: number;
    /** Tokens that each window after the first one scores. */
    readonly stride: number;
    /** What a member reads for a token. */
    readonly feed: (member: number, token: number) => readonly number[];
    /** The token of a member that stands before a text that nothing precedes; undefined where there is none. */
    readonly start: (member: number) => number | undefined;
}

/**
 * The first window scores as many tokens as the context holds, each further one the next `stride`, after as many of the tokens
 * before them as there is room for: `contextSize - stride` at least. Each token is in one window. A window that does not reach
 * back to the beginning begins with the token that the text begins with (BOS), as models are trained for.
 *
 * This is the strided evaluation that Hugging Face's documentation describes in "Perplexity of fixed-length models", with a BOS in
 * front of every window as in llama.cpp's `perplexity --ppl-stride`.
 *
 * @param whole - what precedes the text and the text itself; a text that fits is its own only window
 */
export function splitWindows(
    whole: Window,
    { contextSize, stride, feed, start }: Windowing,
): readonly [Window, ...Window[]] {
    const { contexts, continuation } = whole;
    const members = contexts.map((context, member) =>
        memberTokens(context, continuation, (token) => feed(member, token)),
    );
    /** Whether the caches have room for all but the last of these tokens, besides what precedes them. */
    const fit = (from: number, to: number, before: (member: number) => number): boolean =>
        members.every(({ starts }, member) => before(member) + lengthOf(starts, from, to) <= contextSize);

    let end = Math.min(continuation.length, contextSize);
    while (end > 0 && !fit(0, end, (member) => contexts[member]?.length ?? 0)) end--;
    const windows: Window[] = [];
    for (let from = end; from < continuation.length;) {
        let to = Math.min(from + stride, continuation.length);
        // Tokens that a member reads as several take more room.
        while (to > from + 1 && !fit(from, to, () => 1)) to--;
        const before = members.map(({ tokens, starts }, member) =>
            lastTokens(tokens.subarray(0, starts[from]), contextSize - lengthOf(starts, from, to), start(member)),
        );
        windows.push({ contexts: before, continuation: continuation.subarray(from, to) });
        from = to;
    }
    const first = { contexts, continuation: continuation.subarray(0, end) };
    const [second, ...others] = windows;
    return end > 0 || second === undefined ? [first, ...windows] : [second, ...others];
}

/** All that a member reads, and where in it each token of the text begins. */
interface MemberTokens {
    readonly tokens: Int32Array;
    readonly starts: Int32Array;
}

function memberTokens(
    context: Int32Array,
    continuation: Int32Array,
    feed: (token: number) => readonly number[],
): MemberTokens {
    const fed = Array.from(continuation, feed);
    const starts = new Int32Array(continuation.length + 1);
    let end = context.length;
    for (const [index, { length }] of fed.entries()) {
        starts[index] = end;
        end += length;
    }
    starts[continuation.length] = end;
    return { tokens: Int32Array.from([...context, ...fed.flat()]), starts };
}

/** What a member reads of the tokens to be scored: all but the last one. */
function lengthOf(starts: Int32Array, from: number, to: number): number {
    return (starts[to - 1] ?? NaN) - (starts[from] ?? NaN);
}

/** The last tokens, behind the first one where that begins every text. */
function lastTokens(tokens: Int32Array, room: number, start: number | undefined): Int32Array {
    if (tokens.length <= room) return tokens;
    const rest = tokens.subarray(tokens.length - room);
    return start !== undefined && tokens[0] === start ? Int32Array.of(start, ...rest.subarray(1)) : rest;
}
