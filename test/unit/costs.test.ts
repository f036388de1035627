/** What is learnt while decoding: costs, acceptance, repetitions. */

import { describe, expect, test } from "@jest/globals";
import { createAcceptance } from "../../src/host/acceptance.js";
import { lookUp } from "../../src/decoding/lookup.js";
import { createCostTable, type KnownCosts } from "../../src/host/costs.js";

describe("the cost table", () => {
    const decode = (tokens: number, ms: number, context = 0) => ({ context, tokens, ms });

    test("gives the median of what was measured", () => {
        const costs = createCostTable();
        for (const ms of [10, 500, 11, 9, 10]) costs.record("step", [decode(1, ms), decode(1, 2 * ms, 1)], 600);
        expect(costs.decodeMs("step", 0, 1)).toBe(10);
        expect(costs.decodeMs("step", 1, 1)).toBe(20);
        expect(costs.decodeMs("step", 0, 0)).toBe(0);
    });

    test("interpolates between sizes, and goes on beyond them", () => {
        const costs = createCostTable();
        costs.record("step", [decode(1, 10)], 10);
        costs.record("step", [decode(11, 60)], 60);
        expect(costs.decodeMs("step", 0, 3)).toBeCloseTo(20, 10);
        expect(costs.decodeMs("step", 0, 21)).toBeCloseTo(110, 10);
        expect(costs.decodeMs("step", 0, 1001)).toBeCloseTo(5010, 6);
        costs.record("step", [decode(3, 14)], 14);
        expect(costs.decodeMs("step", 0, 3)).toBe(14);
        expect(costs.decodeMs("step", 0, 2)).toBeCloseTo(12, 10);
    });

    test("from a single size expects that a batch is cheaper than its tokens", () => {
        for (const size of [1, 30]) {
            const costs = createCostTable();
            costs.record("step", [decode(size, 30)], 30);
            expect(costs.decodeMs("step", 0, size)).toBeCloseTo(30, 10);
            expect(costs.decodeMs("step", 0, 8)).toBeGreaterThan(costs.decodeMs("step", 0, 1));
            expect(costs.decodeMs("step", 0, 8)).toBeLessThan(8 * costs.decodeMs("step", 0, 1));
        }
    });

    test("believes a size that was measured often enough, and until then its neighbours", () => {
        const costs = createCostTable();
        const measure = (tokens: number, ms: number): void => costs.record("step", [decode(tokens, ms)], ms);
        for (let i = 0; i < 3; i++) {
            measure(9, 26);
            measure(1, 10);
            measure(1, 10);
        }
        measure(5, 500);
        measure(5, 500);
        expect(costs.decodeMs("step", 0, 5)).toBeCloseTo(18, 10);
        // A kernel may really be bad at one size, and good at a larger one.
        measure(5, 40);
        measure(5, 40);
        measure(5, 40);
        expect(costs.decodeMs("step", 0, 5)).toBe(40);
        expect(costs.decodeMs("step", 0, 3)).toBe(25);
        // Nobody needs to wait for one that was not measured longer than for a larger one.
        expect(costs.decodeMs("step", 0, 7)).toBe(26);
    });

    test("is known after a few batches of that size or smaller, and not for ever", () => {
        const costs = createCostTable();
        const known = (tokens: number): boolean => costs.isKnown(0, tokens);
        costs.record("step", [decode(30, 100)], 100);
        expect(known(1)).toBe(false);
        for (let i = 0; i < 3; i++) costs.record("step", [decode(2, 10)], 10);
        expect([known(1), known(2), known(8)]).toEqual([false, true, true]);
        for (let i = 0; i < 1000; i++) costs.record("step", [decode(5, 10)], 10);
        expect(known(2)).toBe(false);
    });

    test("forgets what is out of date, but does not forget everything", () => {
        const costs = createCostTable();
        costs.record("step", [decode(1, 1)], 1);
        for (let i = 0; i < 1000; i++) costs.record("step", [decode(4, 40)], 40);
        expect(costs.decodeMs("step", 0, 1)).toBeGreaterThan(10);
        for (let i = 0; i < 1000; i++) costs.record("draft", [], 1);
        expect(costs.decodeMs("step", 0, 4)).toBe(40);
    });

    test("tells drafting from steps, and expects of it at first what steps cost", () => {
        const costs = createCostTable();
        costs.record("step", [decode(1, 10)], 10);
        expect(costs.decodeMs("draft", 0, 1)).toBe(10);
        costs.record("draft", [decode(1, 6)], 6);
        expect(costs.decodeMs("draft", 0, 1)).toBe(6);
        expect(costs.decodeMs("step", 0, 1)).toBe(10);
    });

    test("tells overheads of the two jobs apart", () => {
        const costs = createCostTable();
        for (let i = 0; i < 5; i++) {
            costs.record("step", [decode(1, 10)], 10.2);
            costs.record("draft", [decode(1, 10), decode(1, 10)], 20.1);
        }
        expect(costs.overheadMs("step")).toBeCloseTo(0.2, 10);
        expect(costs.overheadMs("draft")).toBeCloseTo(0.1, 10);
    });
});

describe("a cost table that begins with what another one has measured", () => {
    const decode = (tokens: number, ms: number, context = 0) => ({ context, tokens, ms });
    const known = (job: "draft" | "step", ...sizes: [tokens: number, ms: number, age?: number][]): KnownCosts => ({
        ...{ draft: [], step: [] },
        [job]: sizes.map(([tokens, ms, age = 0]) => ({ tokens, ms, age })),
    });
    const seeded = (...given: KnownCosts[]) => {
        const costs = createCostTable();
        for (const each of given) costs.seed(0, each);
        return costs;
    };

    test("knows it at once", () => {
        const costs = seeded(known("step", [1, 10], [5, 18]), known("draft", [1, 2]));
        expect(costs.isKnown(0, 1)).toBe(true);
        expect(costs.isKnown(1, 1)).toBe(false);
        expect([1, 3, 5].map((tokens) => costs.decodeMs("step", 0, tokens))).toEqual([10, 14, 18]);
        expect(costs.decodeMs("draft", 0, 1)).toBe(2);
        expect(seeded(known("step", [5, 18])).isKnown(0, 1)).toBe(false);
    });

    test("believes its own measurements once there are enough, and the rest at the pace that they show", () => {
        const costs = seeded(known("step", [1, 10], [5, 20]), known("draft", [1, 2]));
        const step = () => costs.record("step", [decode(1, 30)], 30);
        step();
        step();
        expect([1, 5].map((tokens) => costs.decodeMs("step", 0, tokens))).toEqual([10, 20]);
        step();
        expect([1, 5].map((tokens) => costs.decodeMs("step", 0, tokens))).toEqual([30, 60]);
        expect(costs.decodeMs("draft", 0, 1)).toBe(6);
        for (let i = 0; i < 3; i++) costs.record("step", [decode(5, 33)], 33);
        expect(costs.decodeMs("step", 0, 5)).toBe(33);
    });

    test("forgets what nobody has measured since, counted over all tables", () => {
        const costs = seeded(known("step", [1, 10, 390], [5, 20]));
        for (let i = 0; i < 20; i++) costs.record("step", [decode(5, 20)], 20);
        expect(costs.isKnown(0, 1)).toBe(false);
        expect(costs.read(0).step.map(({ tokens }) => tokens)).toEqual([5]);
    });

    test("hands on what it has measured often enough, and what it was given", () => {
        const costs = seeded(known("step", [1, 10, 7], [9, 30, 2]));
        for (let i = 0; i < 3; i++) costs.record("step", [decode(3, 14)], 14);
        costs.record("step", [decode(40, 90)], 90);
        expect(costs.read(0)).toEqual(known("step", [1, 10, 11], [3, 14, 1], [9, 30, 6]));
        expect(createCostTable().read(0)).toEqual(known("step"));
        costs.forget(0);
        expect(costs.read(0)).toEqual(known("step"));
    });

    test("expects known overheads until there are measurements", () => {
        const costs = createCostTable();
        costs.seedOverheads({ draft: 0.1, step: 0.2 });
        costs.seedOverheads({ draft: 5, step: 5 });
        expect(costs.readOverheads()).toEqual({ draft: 0.1, step: 0.2 });
        for (let i = 0; i < 3; i++) costs.record("step", [decode(1, 10)], 10.5);
        expect(costs.overheadMs("step")).toBeCloseTo(0.5, 10);
        expect(costs.overheadMs("draft")).toBe(0.1);
        // However long nothing is drafted; and a step that drafts is one step.
        for (let i = 0; i < 1000; i++) costs.record("step", [decode(1, 10)], 10.5);
        costs.record("draft", [decode(1, 5)], 8);
        expect(costs.overheadMs("draft")).toBe(0.1);
        costs.seed(1, known("step", [3, 9]));
        for (let i = 0; i < 300; i++) {
            costs.record("draft", [decode(1, 5)], 8);
            costs.record("step", [decode(2, 10)], 10.5);
        }
        expect(costs.isKnown(1, 3)).toBe(true);
    });
});

describe("acceptance", () => {
    test("begins with what is expected, and ends with what is seen", () => {
        const acceptance = createAcceptance(0.7);
        expect(acceptance.rates()).toEqual([0.7]);
        for (let i = 0; i < 400; i++) {
            acceptance.record(0, true, 0.9);
            acceptance.record(1, i % 2 === 0, 0.9);
            if (i % 2 === 0) acceptance.record(2, false, 0.9);
        }
        const [first = NaN, second = NaN, third = NaN] = acceptance.rates();
        expect(first).toBeGreaterThan(0.85);
        expect(second).toBeGreaterThan(0.4);
        expect(second).toBeLessThan(0.6);
        expect(third).toBeLessThan(0.3);
    });

    test("follows a text that changes its character", () => {
        const acceptance = createAcceptance(0.7);
        for (let i = 0; i < 300; i++) acceptance.record(0, true, 0.9);
        for (let i = 0; i < 40; i++) acceptance.record(0, false, 0.9);
        expect(acceptance.rates()[0]).toBeLessThan(0.4);
        for (let i = 0; i < 60; i++) acceptance.record(0, true, 0.9);
        expect(acceptance.rates()[0]).toBeGreaterThan(0.75);
    });

    test("expects of a position that was never reached what is usual", () => {
        const acceptance = createAcceptance(0.5);
        for (let i = 0; i < 100; i++) acceptance.record(0, true, 0.9);
        expect(acceptance.rates().at(-1)).toBeGreaterThan(0.8);
    });
});

describe("stops", () => {
    test("begin without a preference", () => {
        const [never, ...stops] = createAcceptance(0.6).stops();
        expect(never).toEqual({ minConfidence: 0, goesOn: 1, gain: 1 });
        for (const { goesOn, gain } of stops) {
            expect(goesOn).toBeLessThan(1);
            expect(gain).toBe(1);
        }
    });

    test("tell how often the drafter is sure, and what that is worth", () => {
        const acceptance = createAcceptance(0.7);
        for (let i = 0; i < 300; i++) {
            const confidence = i % 2 === 0 ? 0.95 : 0.4;
            acceptance.record(0, confidence > 0.5, confidence);
        }
        const [rate = NaN] = acceptance.rates();
        const at = (wanted: number) => acceptance.stops().find(({ minConfidence }) => minConfidence === wanted);
        expect(at(0.5)?.goesOn).toBeLessThan(0.65);
        expect((at(0.5)?.gain ?? NaN) * rate).toBeGreaterThan(0.7);
        expect(at(0.3)?.goesOn).toBeGreaterThan(0.9);
        expect((at(0.3)?.gain ?? NaN) * rate).toBeLessThan(0.6);
    });
});

describe("lookup", () => {
    test("proposes what followed the same tokens before", () => {
        expect(lookUp([1, 2, 3, 4, 5, 9, 1, 2, 3], 3)).toEqual([4, 5, 9]);
        expect(lookUp([1, 2, 3, 4, 5, 9, 1, 2, 3], 16)).toEqual([4, 5, 9, 1, 2, 3]);
    });

    test("takes the longest repetition, and of those the latest", () => {
        expect(lookUp([1, 2, 3, 7, 0, 2, 3, 8, 0, 1, 2, 3], 1)).toEqual([7]);
        expect(lookUp([2, 3, 7, 0, 2, 3, 8, 0, 2, 3], 1)).toEqual([8]);
    });

    test("proposes nothing without a repetition", () => {
        expect(lookUp([1, 2, 3, 4], 4)).toEqual([]);
        expect(lookUp([1, 2, 1], 4)).toEqual([]);
        expect(lookUp([], 4)).toEqual([]);
        expect(lookUp([5], 4)).toEqual([]);
    });

    test("goes on with a repetition that overlaps itself", () => {
        expect(lookUp([7, 7, 7], 4)).toEqual([7]);
    });
});
