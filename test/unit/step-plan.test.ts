/** Who takes part in a step, where texts that are scored ask for more rows of logits than a context keeps place for. */

import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { rowsOf } from "../../src/host/evaluations.js";
import { planStep, type Need } from "../../src/host/step-plan.js";
import type { HostContext } from "../../src/host/sequences.js";
import { MOST_DRAFTED, MOST_SCORED, mostRows, mostScoredRows } from "../../src/models/context-memory.js";

const context = (id: number, vocabularySize: number): HostContext =>
    ({ id, scoredRows: mostScoredRows(vocabularySize) }) as HostContext;

function need(contexts: readonly HostContext[], count: number, rows: number | "draw", drafts = 0): Need {
    const evaluation = rows === "draw" ? { drawing: {} } : { queries: { rows } };
    return {
        waiting: { evaluation, lease: { target: { contexts } } },
        missing: contexts.map(() => ({ keep: 0, count })),
        plan: { length: drafts },
        mayDraft: false,
        catchesUp: false,
        follows: false,
    } as unknown as Need;
}

const LIMITS = { batchSize: 512, pieceSize: 512 };
const whole = (needs: readonly Need[]): boolean[] => {
    const portions = planStep(needs, LIMITS);
    return needs.map((each) => portions.some((portion) => portion.need === each && portion.last));
};

describe("rows that texts ask for in one step", () => {
    it("are as many as there are tokens where a vocabulary is small", () => {
        const contexts = [context(1, 32_000)];
        expect(whole([1, 2, 3].map(() => need(contexts, 128, 128)))).toEqual([true, true, true]);
    });

    it("are bounded where it is large, and a text that has to wait gets ready for them", () => {
        const contexts = [context(1, 262_144)];
        const needs = [need(contexts, 150, 128), need(contexts, 200, 128), need(contexts, 1, "draw")];
        expect(whole(needs)).toEqual([true, false, true]);
        const waits = planStep(needs, LIMITS).find((portion) => portion.need === needs[1]);
        expect(waits?.take).toEqual([72]);
        expect(whole([need(contexts, 60, 60), need(contexts, 60, 60), need(contexts, 60, 60)])).toEqual([
            true,
            true,
            false,
        ]);
    });

    it("are bounded for each context", () => {
        const [wide, narrow] = [context(1, 262_144), context(2, 2048)];
        expect(whole([need([wide, narrow], 128, 128), need([narrow], 128, 128)])).toEqual([true, true]);
        expect(whole([need([wide, narrow], 128, 128), need([wide], 128, 128)])).toEqual([true, false]);
    });

    it("are never more than a context keeps place for, where llama.cpp would fail", () => {
        const text = fc.record({
            count: fc.integer({ min: 1, max: 400 }),
            scored: fc.constantFrom(1, 64, MOST_SCORED),
            isDraw: fc.boolean(),
            drafts: fc.integer({ min: 0, max: MOST_DRAFTED }),
        });
        const shape = fc.record({
            vocabularySize: fc.constantFrom(2048, 151_936, 262_144, 1_000_000),
            sequences: fc.integer({ min: 1, max: 6 }),
            batchSize: fc.constantFrom(32, 300, 512, 1024),
            texts: fc.array(text, { minLength: 1, maxLength: 6 }),
        });
        fc.assert(
            fc.property(shape, ({ vocabularySize, sequences, batchSize, texts }) => {
                const contexts = [context(1, vocabularySize)];
                const needs = texts.slice(0, sequences).map(({ count, scored, isDraw, drafts }) => {
                    if (isDraw) return need(contexts, count, "draw", drafts);
                    return need(contexts, count, Math.min(count, scored, batchSize >> 1));
                });
                const rows = planStep(needs, { batchSize, pieceSize: batchSize })
                    .filter(({ last }) => last)
                    .map(({ need: { waiting, plan } }) => rowsOf(waiting.evaluation) + plan.length);
                expect(rows.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(
                    mostRows({ sequences, batchSize }, vocabularySize),
                );
            }),
            { numRuns: 1000 },
        );
    });

    it("have their place", () => {
        // 128 rows of 1 MiB, and those of a block of 16 drafts for each of 4 texts.
        expect(mostRows({ sequences: 4, batchSize: 512 }, 262_144)).toBe(128 + 4 * 17);
        expect(mostRows({ sequences: 1, batchSize: 512 }, 32_000)).toBe(128 + 17);
        expect(mostRows({ sequences: 4, batchSize: 512 }, 32_000)).toBe(512);
        expect(mostRows({ sequences: 2, batchSize: 32 }, 262_144)).toBe(32);
    });
});
