/** The running estimate of acceptance. */

import { describe, expect, test } from "@jest/globals";
import { createAcceptance, type Acceptance } from "../../src/host/acceptance.js";

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
