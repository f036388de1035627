/** What blocks keep of what they promise. */

import { expect, test } from "@jest/globals";
import type { SpeculativeStep } from "../../src/host/statistics.js";
import { createTrust, type Trust } from "../../src/host/trust.js";

const EXPECTED = { tokens: 3, ms: 20, plainMs: 10 };

function step(drafted: number, tokens: number, wallMs: number, forecast = EXPECTED): SpeculativeStep {
    const times = { draftMs: [], draftFuseMs: 0, stepMs: [], stepFuseMs: 0 };
    return {
        drafted,
        accepted: tokens - 1,
        verified: drafted,
        isLookup: false,
        tokens,
        unasked: 0,
        wallMs,
        forecast,
        ...times,
    };
}

const block = (tokens: number, wallMs: number): SpeculativeStep => step(4, tokens, wallMs);
const plain = (wallMs: number): SpeculativeStep => step(0, 1, wallMs, { tokens: 1, ms: 10, plainMs: 10 });

function repeat(trust: Trust, times: number, ...steps: SpeculativeStep[]): number {
    for (let i = 0; i < times; i++) for (const each of steps) trust.learn(each);
    return trust.factor();
}

test("is full where nothing is known, and where promises are kept or surpassed", () => {
    expect(createTrust().factor()).toBe(1);
    expect(repeat(createTrust(), 50, block(3, 20))).toBeCloseTo(1, 10);
    expect(repeat(createTrust(), 50, block(5, 10))).toBe(1);
});

test("comes near to what was kept, in tokens and in time", () => {
    expect(repeat(createTrust(), 100, block(1.5, 20))).toBeCloseTo((0.5 * 20 + 4) / 24, 1);
    expect(repeat(createTrust(), 100, block(3, 40))).toBeCloseTo((0.5 * 20 + 4) / 24, 1);
});

test("is in relation to what plain steps keep, but for those right after blocks", () => {
    const trust = createTrust();
    repeat(trust, 100, plain(20));
    expect(repeat(trust, 100, block(3, 40))).toBeCloseTo(1, 2);
    expect(repeat(createTrust(), 100, block(3, 20), plain(1000))).toBeCloseTo(1, 10);
});

test("is given again after many plain steps", () => {
    const trust = createTrust();
    const lost = repeat(trust, 50, block(1, 40));
    expect(lost).toBeLessThan(0.4);
    expect(repeat(trust, 100, plain(10))).toBeGreaterThan(lost + 0.1);
    expect(repeat(trust, 2000, plain(10))).toBeCloseTo(1, 2);
});
