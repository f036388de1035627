/** The draft-length policies on made-up costs, against the formula worked out by brute force. */

import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createDraftLengthPolicy, createForecast, type Forecast } from "../../src/decoding/draft-length.js";
import type { CostTable } from "../../src/host/costs.js";
import { MOST_DRAFTED } from "../../src/models/context-memory.js";
import { NEVER_STOP, type DraftProspect, type DraftStop } from "../../src/host/drafts.js";

/** Members: 0 large, 1 the drafter, 2 the small base. */
const [LARGE, DRAFTER, SMALL] = [0, 1, 2];
const adaptive = createDraftLengthPolicy("adaptive");
const NOTHING = { draws: 0, trust: 1 };

interface Costs {
    /** Milliseconds of one token, per member. */
    readonly single: readonly number[];
    /** Cost of a batch relative to one token. */
    readonly g: (tokens: number) => number;
    readonly overhead?: number;
    readonly known?: boolean;
}

const table = ({ single, g, overhead = 0, known = true }: Costs): CostTable => ({
    decodeMs: (_, member, tokens) => (tokens === 0 ? 0 : (single[member] ?? NaN) * g(tokens)),
    overheadMs: () => overhead,
    isKnown: () => known,
    record: () => undefined,
    forget: () => undefined,
});

const forecastOf = (prospects: readonly DraftProspect[], draws: number, costs: Costs): Forecast =>
    createForecast(
        prospects,
        prospects.map(() => NEVER_STOP),
        draws,
        table(costs),
    );

/** DESIGN's g for a memory-bound model: 1.1B Q4_0 on two threads, steps at multiples of 4. */
const MEASURED = [1, 1.52, 1.95, 1.99, 2.67, 3, 3.3, 3.59, 4, 4.4, 4.8, 5.15, 5.15, 5.15, 5.15, 5.18, 5.5];
const memoryBound = (tokens: number): number => MEASURED[tokens - 1] ?? tokens / 3;

const prospect = (acceptance: number, more: Partial<DraftProspect> = {}): DraftProspect => ({
    most: MOST_DRAFTED,
    acceptance: [acceptance],
    stops: [NEVER_STOP],
    drafting: [DRAFTER],
    verifying: [LARGE, DRAFTER, SMALL],
    ...more,
});

/**
 * Speed-up of k drafts:  (1 + c_f + c_b) E / (k c_f + a^k c_f + g(k + 1) + c_b g(k + 1)),  E = (1 - a^(k + 1)) / (1 - a),
 * where all cost relative to one token of the large model, c_f that of the drafter and c_b that of the small base. If all
 * drafts are accepted, the drafter evaluates the last one too.
 */
function speedup({ single, g, overhead = 0 }: Costs, a: number, k: number): number {
    const [large = NaN, drafter = NaN, small = NaN] = single;
    const expected = a === 1 ? k + 1 : (1 - a ** (k + 1)) / (1 - a);
    const plain = large + drafter + small + overhead;
    if (k === 0) return 1;
    const cost = (k + a ** k) * drafter + (large + small) * g(k + 1) + 2 * overhead;
    return (plain * expected) / cost;
}

describe("the forecast", () => {
    test("is the formula", () => {
        fc.assert(
            fc.property(
                fc.double({ min: 0, max: 1, noNaN: true }),
                fc.integer({ min: 0, max: MOST_DRAFTED }),
                fc.tuple(...[40, 4, 4].map((ms) => fc.double({ min: ms / 8, max: ms, noNaN: true }))),
                fc.double({ min: 0, max: 2, noNaN: true }),
                (a, k, single, overhead) => {
                    const costs = { single, g: memoryBound, overhead };
                    const forecast = forecastOf([prospect(a)], 0, costs);
                    const plain = forecast.rate();
                    for (let i = 0; i < k; i++) forecast.addDraft(0);
                    expect(forecast.rate() / plain).toBeCloseTo(speedup(costs, a, k), 10);
                },
            ),
            { seed: 2211 },
        );
    });

    test("knows that a proposal costs no drafting, and is verified by all", () => {
        const costs = { single: [40, 4, 4], g: memoryBound };
        const forecast = forecastOf([prospect(0.5, { drafting: [] })], 0, costs);
        expect(forecast.ms).toBe(48);
        forecast.addDraft(0);
        forecast.addDraft(0);
        expect(forecast.ms).toBeCloseTo(48 * 1.95, 10);
        expect(forecast.tokensOf(0)).toBe(1.75);
    });

    test("knows that a drafter may have members that the target does not read", () => {
        const costs = { single: [40, 4, 4], g: memoryBound };
        const forecast = forecastOf([prospect(0.5, { verifying: [LARGE, SMALL] })], 0, costs);
        expect(forecast.ms).toBe(44);
        forecast.addDraft(0);
        expect(forecast.ms).toBeCloseTo(44 * 1.52 + 4 + 0.5 * 4, 10);
    });

    test("shares batches between sequences", () => {
        const costs = { single: [40, 4, 4], g: memoryBound };
        const forecast = forecastOf([prospect(0.8), prospect(0.6)], 1, costs);
        expect(forecast.rate() * forecast.ms).toBeCloseTo(3, 10);
        expect(forecast.ms).toBeCloseTo(48 * 1.95, 10);
        forecast.addDraft(0);
        forecast.addDraft(0);
        forecast.addDraft(1);
        expect(forecast.rate() * forecast.ms).toBeCloseTo(3 + 0.8 + 0.64 + 0.6, 10);
        expect([0, 1].map((sequence) => forecast.tokensOf(sequence))).toEqual([
            expect.closeTo(2.44, 10),
            expect.closeTo(1.6, 10),
        ]);
        // The drafter: a round of two sequences, one of one, the third sequence in the step, and what late rows are expected.
        const drafter = 4 * (1.52 + 1 + 1) + ((4 * 1.52) / 2) * (0.64 + 0.6);
        // The others: 3 + 2 + 1 tokens.
        expect(forecast.ms).toBeCloseTo(44 * 3 + drafter, 10);
    });
});

describe("the adaptive policy", () => {
    const choose = (costs: Costs, ...prospects: DraftProspect[]): readonly number[] =>
        adaptive.choose(prospects, NOTHING, table(costs)).map(({ length }) => length);

    test("drafts only what gains even if no more of it is kept than before", () => {
        const costs = { single: [40, 4, 4], g: memoryBound };
        const gain = Math.max(...Array.from({ length: MOST_DRAFTED + 1 }, (_, k) => speedup(costs, 0.7, k)));
        const chosen = (trust: number): number =>
            adaptive.choose([prospect(0.7)], { draws: 0, trust }, table(costs))[0]?.length ?? NaN;
        expect(chosen((1.03 / gain) * 1.001)).toBe(chosen(1));
        expect(chosen(1)).toBeGreaterThan(1);
        expect(chosen((1.03 / gain) * 0.999)).toBe(0);
    });

    test.each([0, 0.3, 0.6, 0.9, 1])("takes the best length at acceptance %d", (a) => {
        for (const [drafter, small] of [
            [0.5, 0.5],
            [4, 4],
            [10, 10],
            [20, 5],
        ] as const) {
            for (const g of [memoryBound, (n: number) => n, () => 1, (n: number) => 1 + 0.1 * (n - 1)]) {
                const costs = { single: [40, drafter, small], g };
                const [length = NaN] = choose(costs, prospect(a));
                const gains = Array.from({ length: MOST_DRAFTED + 1 }, (_, k) => speedup(costs, a, k));
                const best = Math.max(...gains);
                // No length is much better, and no gain is too small to be believed.
                expect(gains[length]).toBeGreaterThan(best > 1.03 ? best - 1e-9 : 1 - 1e-9);
                if (best < 1.03) expect(length).toBe(0);
            }
        }
    });

    test("drafts nothing where batches gain nothing, and nothing is accepted", () => {
        expect(choose({ single: [40, 4, 4], g: (n) => n }, prospect(0.99))).toEqual([0]);
        expect(choose({ single: [40, 4, 4], g: () => 1 }, prospect(0))).toEqual([0]);
    });

    test("drafts all it may where batches are free and all is accepted", () => {
        expect(choose({ single: [40, 0.1, 4], g: () => 1 }, prospect(1))).toEqual([MOST_DRAFTED]);
        expect(choose({ single: [40, 0.1, 4], g: () => 1 }, prospect(1, { most: 3 }))).toEqual([3]);
    });

    test("draws plainly as long as it does not know what that costs", () => {
        expect(choose({ single: [40, 0.1, 4], g: () => 1, known: false }, prospect(1))).toEqual([0]);
    });

    test("minds the acceptance of each position", () => {
        const costs = { single: [40, 1, 4], g: () => 1 };
        expect(choose(costs, prospect(0, { acceptance: [0.9, 0.9, 0] }))).toEqual([2]);
    });

    test("minds what a job costs beside its decoding", () => {
        const costs = { single: [1, 0.05, 0.05], g: (n: number) => 1 + 0.05 * (n - 1) };
        expect(choose(costs, prospect(0.5))[0]).toBeGreaterThan(0);
        expect(choose({ ...costs, overhead: 20 }, prospect(0.2))).toEqual([0]);
    });

    test("gives each of several sequences what it is worth", () => {
        const costs = { single: [40, 1, 4], g: (n: number) => 1 + 0.15 * (n - 1) };
        const lengths = choose(costs, prospect(0.95), prospect(0.8), prospect(0.02));
        expect(lengths[0]).toBeGreaterThan(lengths[1] ?? NaN);
        expect(lengths[1]).toBeGreaterThan(0);
        expect(lengths[2]).toBe(0);
        // Alone, the first has the batch for itself.
        expect(choose(costs, prospect(0.95))[0]).toBeGreaterThanOrEqual(lengths[0] ?? NaN);
    });

    test("for two sequences finds the best pair of lengths", () => {
        const costs = { single: [40, 2, 4], g: memoryBound };
        const [a, b] = [0.9, 0.6];
        const rate = (k: number, l: number): number => {
            const forecast = forecastOf([prospect(a), prospect(b)], 0, costs);
            for (let i = 0; i < k; i++) forecast.addDraft(0);
            for (let i = 0; i < l; i++) forecast.addDraft(1);
            return forecast.rate();
        };
        let best = 0;
        for (let k = 0; k <= 16; k++) for (let l = 0; l <= 16; l++) best = Math.max(best, rate(k, l));
        const [k = NaN, l = NaN] = choose(costs, prospect(a), prospect(b));
        // Joining drafts one by one is not exhaustive; it must not lose much to the kinks of g.
        expect(rate(k, l)).toBeGreaterThan(0.97 * best);
    });
});

describe("stopping where the drafter is unsure", () => {
    const costs = { single: [40, 4, 4], g: memoryBound };
    const sure: DraftStop = { minConfidence: 0.5, goesOn: 0.7, gain: 0.98 / 0.7 };

    test("is in the forecast: drafts that are not made cost nothing", () => {
        const forecast = createForecast([prospect(0.7)], [sure], 0, table(costs));
        forecast.addDraft(0);
        forecast.addDraft(0);
        const [one, two] = [0.7 * 0.98, (0.7 * 0.98) ** 2];
        expect(forecast.tokensOf(0)).toBeCloseTo(1 + one + two, 10);
        // The first row is evaluated in any case, the second one after a draft; a late one where all drafts are accepted.
        const drafter = 4 * (1 + 0.7 + two);
        const others = 44 * (1 + 0.7 * 0.52 + 0.49 * 0.43);
        expect(forecast.ms).toBeCloseTo(drafter + others, 10);
    });

    test("is chosen where being sure means being accepted, and not where it means nothing", () => {
        const stopOf = (stop: DraftStop): number | undefined =>
            adaptive.choose([prospect(0.7, { stops: [NEVER_STOP, stop] })], NOTHING, table(costs))[0]?.stop
                .minConfidence;
        expect(stopOf(sure)).toBe(0.5);
        expect(stopOf({ ...sure, gain: 1 })).toBe(0);
    });

    test("lets longer blocks pay", () => {
        const plan = (stops: DraftProspect["stops"]): number =>
            adaptive.choose([prospect(0.7, { stops })], NOTHING, table(costs))[0]?.length ?? NaN;
        expect(plan([NEVER_STOP, sure])).toBeGreaterThan(plan([NEVER_STOP]));
    });
});

describe("the other policies", () => {
    const costs = table({ single: [40, 4, 4], g: memoryBound });
    const prospects = [prospect(0), prospect(1, { most: 3 })];

    test("fixed: always the same, as far as there is room", () => {
        expect(createDraftLengthPolicy(5).choose(prospects, NOTHING, costs)).toMatchObject([
            { length: 5, stop: NEVER_STOP },
            { length: 3, stop: NEVER_STOP },
        ]);
    });

    test("confidence: all there is room for, and stops by itself", () => {
        const plans = createDraftLengthPolicy("confidence").choose(prospects, NOTHING, costs);
        expect(plans.map(({ length }) => length)).toEqual([16, 3]);
        for (const { stop } of plans) expect(stop.minConfidence).toBe(0.5);
    });
});
