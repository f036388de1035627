/** The running estimate of acceptance. */

import { describe, expect, test } from "@jest/globals";
import { beginText, createAcceptance, createLongAcceptance, type Acceptance } from "../../src/host/acceptance.js";

function record(acceptance: Acceptance, verdicts: number, isAccepted: (index: number) => boolean): Acceptance {
    for (let i = 0; i < verdicts; i++) acceptance.record(0, isAccepted(i), 1);
    return acceptance;
}

const pooled = (acceptance: Acceptance): number => acceptance.rates().at(-1) ?? NaN;

describe("the estimate of acceptance", () => {
    test("begins with what is expected", () => {
        expect(createAcceptance(0.7).rates()).toEqual([0.7]);
    });

    test("is not swayed by a few verdicts", () => {
        expect(pooled(record(createAcceptance(0.7), 3, () => false))).toBeGreaterThan(0.5);
    });

    test("gives up what is never right", () => {
        expect(pooled(record(createAcceptance(0.7), 100, () => false))).toBeLessThan(0.03);
    });

    test("follows a text that changes its character", () => {
        const acceptance = record(createAcceptance(0.7), 100, () => false);
        expect(pooled(record(acceptance, 50, () => true))).toBeGreaterThan(0.7);
    });

    test("is the frequency in the long run", () => {
        expect(pooled(record(createAcceptance(0.7), 1000, (index) => index % 4 === 0))).toBeCloseTo(0.25, 1);
    });

    test("takes a position that was never reached for an average one", () => {
        const acceptance = record(createAcceptance(0.5), 40, () => true);
        const [first, other] = acceptance.rates();
        expect(first).toBeGreaterThanOrEqual(other ?? NaN);
        expect(acceptance.rates()).toHaveLength(2);
    });
});

describe("stopping where the drafter is unsure", () => {
    test("gains if unsure drafts are wrong", () => {
        const acceptance = createAcceptance(0.7);
        for (let i = 0; i < 200; i++) acceptance.record(0, i % 2 === 0, i % 2 === 0 ? 0.95 : 0.4);
        const [never, ...others] = acceptance.stops();
        expect(never.gain).toBe(1);
        const half = others.find(({ minConfidence }) => minConfidence === 0.5);
        expect(half?.gain).toBeGreaterThan(1.5);
        expect(half?.goesOn).toBeLessThan(0.65);
    });
});

describe("what a text begins with", () => {
    /** Position 0 is always accepted, position 1 half the time; unsure drafts are wrong. */
    function earlier(): Acceptance {
        const known = createLongAcceptance(0.7);
        for (let i = 0; i < 300; i++) {
            known.record(0, true, 0.95);
            known.record(1, i % 2 === 0, i % 2 === 0 ? 0.95 : 0.4);
        }
        return known;
    }

    test("is what earlier ones have shown", () => {
        const known = earlier();
        const text = beginText(known);
        expect(text.rates()).toHaveLength(3);
        text.rates().forEach((rate, position) => expect(rate).toBeCloseTo(known.rates()[position] ?? NaN, 10));
        text.stops().forEach(({ goesOn, gain }, index) => {
            expect(goesOn).toBeCloseTo(known.stops()[index]?.goesOn ?? NaN, 10);
            expect(gain).toBeCloseTo(known.stops()[index]?.gain ?? NaN, 10);
        });
        const [first = NaN, second = NaN, all = NaN] = text.rates();
        expect(first).toBeGreaterThan(0.9);
        expect(second).toBeLessThan(0.6);
        expect(all).toBeCloseTo(0.75, 1);
    });

    test("gives way to the text, which may accept less everywhere", () => {
        const text = record(beginText(earlier()), 100, () => false);
        expect(text.rates()[0]).toBeLessThan(0.05);
        expect(text.rates()[1]).toBeLessThan(0.05);
        expect(pooled(text)).toBeLessThan(0.03);
    });

    test("is changed slowly by a text", () => {
        const known = earlier();
        const [before = NaN] = known.rates();
        record(beginText(known), 20, () => false);
        expect(known.rates()[0]).toBeLessThan(before);
        expect(known.rates()[0]).toBeGreaterThan(before - 0.2);
    });

    test("stays within bounds, handed on from text to text", () => {
        for (const isAccepted of [true, false]) {
            let known = createLongAcceptance(0.7);
            for (let texts = 0; texts < 50; texts++) {
                known = createLongAcceptance(record(beginText(known), 50, () => isAccepted).read());
                for (const rate of known.rates()) expect(rate > 0 && rate <= 1).toBe(true);
                for (const { goesOn, gain } of known.stops()) {
                    expect(goesOn >= 0 && goesOn <= 1).toBe(true);
                    expect(gain * pooled(known)).toBeLessThanOrEqual(1.000001);
                }
            }
            expect(Math.round(pooled(known))).toBe(Number(isAccepted));
        }
    });
});
