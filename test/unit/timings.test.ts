/** What completions took together, per token. */

import { expect, test } from "@jest/globals";
import type { CompletionTimings } from "../../src/index.js";
import { timePerToken } from "../../src/decoding/timings.js";

const timed = (tokens: number, generationMs: number, decodeMs: Readonly<Record<string, number>>, fuseMs: number) => ({
    tokens,
    timings: { firstTokenMs: 1000, generationMs, tokensPerSecond: 1, decodeMs, fuseMs } satisfies CompletionTimings,
});

test.each([
    ["one completion", [timed(5, 8, { a: 4, b: 2 }, 1)], { ms: 2, decodeMs: { a: 1, b: 0.5 }, fuseMs: 0.25 }],
    [
        "several, of the tokens behind the first one of each",
        [timed(5, 8, { a: 4 }, 1), timed(1, 0, { a: 0 }, 0), timed(0, 0, {}, 0), timed(7, 12, { a: 6, b: 10 }, 4)],
        { ms: 2, decodeMs: { a: 1, b: 1 }, fuseMs: 0.5 },
    ],
])("%s", (_, results, expected) => {
    expect(timePerToken(results)).toEqual({ ...expected, tokensPerSecond: 500 });
});

test.each([[[]], [[timed(1, 0, { a: 0 }, 0)]]])("nothing is known without a second token", (results) => {
    const { ms, tokensPerSecond } = timePerToken(results);
    expect([ms, tokensPerSecond]).toEqual([NaN, NaN]);
});
