/** Windows over long texts: which tokens are scored given which. */

import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { splitWindows } from "../../src/scoring/windows.js";

const BOS = 1;

test("every token is scored once, behind as much as there is room for", () => {
    const text = fc.array(fc.integer({ min: 10, max: 19 }), { maxLength: 80 });
    const size = fc.integer({ min: 8, max: 24 });
    fc.assert(
        fc.property(
            text,
            text,
            size,
            fc.integer({ min: 1, max: 24 }),
            fc.boolean(),
            (before, tokens, contextSize, wish, long) => {
                const stride = Math.min(wish, contextSize);
                // The second member reads one token as three, as members do that lack it.
                const feed = (member: number, token: number): readonly number[] =>
                    long && member === 1 && token === 13 ? [30, 31, 32] : [token];
                const contexts = [0, 1].map((member) =>
                    Int32Array.from([BOS, ...before.flatMap((token) => feed(member, token))]),
                );
                const continuation = Int32Array.from(tokens);
                const windows = splitWindows(
                    { contexts, continuation },
                    { contextSize, stride, feed, start: () => BOS },
                );
                expect(windows.flatMap((window) => [...window.continuation])).toEqual(tokens);
                let from = 0;
                for (const [index, window] of windows.entries()) {
                    const scored = [...window.continuation];
                    // Nothing is read for no tokens, whatever precedes them.
                    if (scored.length === 0) continue;
                    for (const [member, context] of window.contexts.entries()) {
                        const read = scored.slice(0, -1).flatMap((token) => feed(member, token));
                        const all = [
                            ...(contexts[member] ?? []),
                            ...tokens.slice(0, from).flatMap((token) => feed(member, token)),
                        ];
                        expect(context.length + read.length).toBeLessThanOrEqual(contextSize);
                        if (index > 0 && !long) expect(context.length).toBeGreaterThanOrEqual(contextSize - stride);
                        // BOS, then the tokens that precede, without a gap before what is scored.
                        expect(context[0]).toBe(BOS);
                        expect([...context.subarray(1)]).toEqual(all.slice(all.length - context.length + 1));
                        const isWhole = context.length === all.length;
                        expect(isWhole || context.length + read.length === contextSize).toBe(true);
                    }
                    if (index > 0) expect(scored.length).toBeLessThanOrEqual(stride);
                    from += scored.length;
                }
            },
        ),
    );
});

test("a text that fits is its only window", () => {
    const whole = { contexts: [Int32Array.of(BOS, 5, 6)], continuation: Int32Array.of(7, 8, 9) };
    const options = { stride: 1, feed: (_: number, token: number) => [token], start: () => BOS };
    expect(splitWindows(whole, { ...options, contextSize: 5 })).toEqual([whole]);
    expect(splitWindows(whole, { ...options, contextSize: 4 })).toEqual([
        { ...whole, continuation: Int32Array.of(7, 8) },
        { contexts: [Int32Array.of(BOS, 6, 7, 8)], continuation: Int32Array.of(9) },
    ]);
    const nothing = { ...whole, continuation: Int32Array.of() };
    expect(splitWindows(nothing, { ...options, contextSize: 2 })).toEqual([nothing]);
});
