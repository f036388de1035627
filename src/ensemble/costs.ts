/**
 * What decoding costs on this machine, measured while it is used: for each member, the time of a batch of so many tokens.
 * The prompt gives a large batch and each plain step a small one, so nothing is ever evaluated just to be timed.
 */

import type { NativeDecode } from "../native/binding.js";

export interface CostTable {
    /**
     * Milliseconds that a member takes for a batch. Sizes that were not seen lately lie on the line between their
     * neighbours. 0 tokens cost nothing.
     */
    decodeMs(member: number, tokens: number): number;
    /** Milliseconds of a job beside its decoding: fusing, drawing, JavaScript, the way to the worker thread and back. */
    overheadMs(job: Job): number;
    /** Whether batches up to this size have been timed often enough, and lately, to compare larger ones with. */
    isKnown(member: number, tokens: number): boolean;
    /** @param wallMs - from the submission of the job until its result was there */
    record(job: Job, decodes: readonly NativeDecode[], wallMs: number): void;
}

/** The native jobs of an engine. */
export type Job = "draft" | "step";

/** Measurements of a size that count, the latest ones: their median bears a disturbed one. */
const SAMPLES = 7;
/** Jobs after which a measurement is out of date: the context has grown, or the machine has other things to do. */
const LIFETIME = 400;
/** Measurements without which nothing is compared. */
const ENOUGH = 3;
/** Where only one size has been seen: what a further token of a batch costs, relative to a single one. */
const USUAL_SLOPE = 0.3;
/** Batches up to this size have a curve; larger ones go on with the line through its end. */
const CURVE = 128;

interface Sample {
    readonly ms: number;
    readonly job: number;
}

/** @param members - number of members */
export function createCostTable(members: number): CostTable {
    let jobs = 0;
    const sizes = Array.from({ length: members }, () => new Map<number, Sample[]>());
    const overheads: Record<Job, Sample[]> = { draft: [], step: [] };
    const curves = new Array<Float64Array | undefined>(members).fill(undefined);

    function add(samples: Sample[], ms: number): void {
        samples.push({ ms, job: jobs });
        if (samples.length > SAMPLES) samples.shift();
    }

    function recent(samples: readonly Sample[]): number[] {
        return samples.filter(({ job }) => jobs - job <= LIFETIME).map(({ ms }) => ms);
    }

    /** Known sizes, ascending; out-of-date ones only where there is nothing else. */
    function knownPoints(member: number): { tokens: number; ms: number }[] {
        const all = [...(sizes[member] ?? [])].sort(([a], [b]) => a - b);
        const points = all.flatMap(([tokens, samples]) => {
            const values = recent(samples);
            return values.length === 0 ? [] : [{ tokens, ms: median(values) }];
        });
        return points.length > 0
            ? points
            : all.slice(0, 1).map(([tokens, samples]) => ({ tokens, ms: median(samples.map(({ ms }) => ms)) }));
    }

    function curve(member: number): Float64Array {
        return (curves[member] ??= Float64Array.from({ length: CURVE + 1 }, interpolation(knownPoints(member))));
    }

    return {
        decodeMs(member, tokens) {
            if (tokens <= 0) return 0;
            const values = curve(member);
            const [last = 0, before = 0] = [values[CURVE], values[CURVE - 1]];
            return tokens <= CURVE ? (values[tokens] ?? 0) : last + (tokens - CURVE) * (last - before);
        },
        overheadMs: (job) => {
            const values = recent(overheads[job]);
            return values.length === 0 ? 0 : median(values);
        },
        isKnown(member, tokens) {
            let count = 0;
            for (const [size, samples] of sizes[member] ?? []) if (size <= tokens) count += recent(samples).length;
            return count >= ENOUGH;
        },
        record(job, decodes, wallMs) {
            jobs++;
            let decodeMs = 0;
            for (const { member, tokens, ms } of decodes) {
                decodeMs += ms;
                const known = sizes[member];
                if (known === undefined) continue;
                const samples = known.get(tokens) ?? [];
                known.set(tokens, samples);
                add(samples, ms);
                curves[member] = undefined;
            }
            add(overheads[job], Math.max(0, wallMs - decodeMs));
        },
    };
}

/** The line through the points, which are ascending; 0 at 0. No larger batch is taken to be quicker than a smaller one. */
function interpolation(points: readonly { tokens: number; ms: number }[]): (_: unknown, tokens: number) => number {
    let previous = 0;
    return (_, tokens) => {
        const after = points.findIndex((point) => point.tokens >= tokens);
        const upper = points[after];
        const lower = after < 0 ? points.at(-1) : points[after - 1];
        let ms = 0;
        if (tokens === 0) ms = 0;
        else if (upper !== undefined && lower !== undefined) {
            const fraction = (tokens - lower.tokens) / (upper.tokens - lower.tokens);
            ms = lower.ms + fraction * (upper.ms - lower.ms);
        } else if (upper !== undefined) {
            ms = (upper.ms * (1 + USUAL_SLOPE * (tokens - 1))) / (1 + USUAL_SLOPE * (upper.tokens - 1));
        } else if (lower !== undefined) {
            const first = points[0] ?? lower;
            const slope =
                first === lower
                    ? (USUAL_SLOPE * lower.ms) / (1 + USUAL_SLOPE * (lower.tokens - 1))
                    : (lower.ms - first.ms) / (lower.tokens - first.tokens);
            ms = lower.ms + slope * (tokens - lower.tokens);
        }
        previous = Math.max(previous, ms);
        return previous;
    };
}

function median(values: readonly number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
