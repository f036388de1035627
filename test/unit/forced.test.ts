/** How much of the text that a grammar forces is verified at once. */

import { describe, expect, test } from "@jest/globals";
import { forcedRange } from "../../src/decoding/forced.js";
import { createCostTable } from "../../src/host/costs.js";
import { takeForced } from "../../src/host/step-plan.js";
import { NO_DRAFTS, NEVER_STOP, type Attempt, type ForcedRange } from "../../src/host/drafts.js";

const CONTEXT = 0;

/** @param ms - of a batch of so many tokens */
function costsOf(ms: (tokens: number) => number): ReturnType<typeof createCostTable> {
    const costs = createCostTable();
    for (let tokens = 1; tokens <= 24; tokens++) {
        for (let i = 0; i < 4; i++) costs.record("step", [{ context: CONTEXT, tokens, ms: ms(tokens) }], ms(tokens));
    }
    return costs;
}

const range = (acceptance: number, ms: (tokens: number) => number): Omit<ForcedRange, "looks"> =>
    forcedRange({ most: 16, acceptance: [acceptance], verifying: [CONTEXT], others: 0 }, costsOf(ms));
const room = (acceptance: number, ms: (tokens: number) => number): number => range(acceptance, ms).most;

describe("tokens of forced text that are worth verifying together", () => {
    test.each([
        ["all, where a batch costs as a token does", room(0.95, () => 10), 16],
        ["all, where its further tokens cost a tenth", room(1, (tokens) => 9 + tokens), 16],
        ["none, where a batch costs what its tokens cost by themselves", room(0.9, (tokens) => 10 * tokens), 0],
        ["none, where they are never drawn", room(0.01, (tokens) => 8 + 2 * tokens), 0],
    ])("%s", (_case, actual, expected) => expect(actual).toBe(expected));

    test("fewer, the seldomer they are drawn", () => {
        const rooms = [0.99, 0.9, 0.7, 0.4].map((acceptance) => room(acceptance, (tokens) => 8 + 2 * tokens));
        expect(rooms).toEqual([...rooms].sort((a, b) => b - a));
        expect(rooms[0]).toBeGreaterThan(rooms[3] ?? NaN);
    });

    test("no few of them, where small batches cost more than their tokens by themselves", () => {
        const steep = (tokens: number): number => (tokens === 1 ? 10 : 30 + tokens);
        expect(range(1, steep)).toEqual({ least: 3, most: 16 });
        expect(range(0.5, steep).most).toBe(0);
    });

    test("all that there is room for, while costs are unknown", () => {
        const prospect = { most: 7, acceptance: [0.9], verifying: [CONTEXT], others: 0 };
        expect(forcedRange(prospect, createCostTable())).toEqual({ least: 1, most: 7 });
    });
});

describe("room in batches", () => {
    const attempt = (most: number, least = 1): Attempt => ({
        forced: { least, most, looks: false },
        take: () => undefined,
        decide: () => ({ compare: false, readsDrafter: false }),
    });

    test("is what the contexts have left beside drafts, in which forced text may stand too", () => {
        const left = new Map([
            [1, 5],
            [2, 20],
        ]);
        const drafts = { length: 3, stop: NEVER_STOP };
        expect(takeForced(attempt(16), drafts, [1, 2], left)).toBe(8);
        expect([...left.values()]).toEqual([0, 15]);
        expect(takeForced(attempt(16), drafts, [1, 2], left)).toBe(3);
        expect(takeForced(attempt(20, 16), NO_DRAFTS, [2], left)).toBe(0);
        expect(takeForced(attempt(16), NO_DRAFTS, [2], left)).toBe(15);
        expect(takeForced(attempt(2), drafts, [2], left)).toBe(2);
        expect(takeForced(undefined, NO_DRAFTS, [2], left)).toBe(0);
        expect([...left.values()]).toEqual([0, 0]);
    });
});
