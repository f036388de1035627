/**
 * What decoding costs on this machine, measured while it is used: for each context, the time of a batch of so many tokens.
 * The prompt gives a large batch and each plain step a small one, so nothing is ever evaluated just to be timed.
 */

import type { NativeDecode } from "../native/binding.js";

export interface CostTable {
    /**
     * Milliseconds that a context takes for a batch, in a job of this kind: what drafts alone finds its weights in the
     * processor's caches. Sizes that were not measured often enough lately lie on the line between their neighbours. 0 tokens
     * cost nothing.
     */
    decodeMs(job: Job, context: number, tokens: number): number;
    /** Milliseconds of a job beside its decoding: fusing, drawing, JavaScript, the way to the worker thread and back. */
    overheadMs(job: Job): number;
    /** Whether batches of steps up to this size have been timed often enough, and lately, to compare larger ones with. */
    isKnown(context: number, tokens: number): boolean;
    /** A context that is not there any more. */
    forget(context: number): void;
    /** @param wallMs - from the submission of the job until its result was there */
    record(job: Job, decodes: readonly NativeDecode[], wallMs: number): void;
}

/** The native jobs of an engine. */
export type Job = "draft" | "step";

/** Measurements of a size that count: the latest ones. Their median bears disturbed ones. */
const SAMPLES = 7;
/** Measurements without which a size is not believed: a single one may be disturbed, or pay for something new. */
const ENOUGH = 3;
/** Jobs after which measurements are out of date: the context has grown, or the machine has other things to do. */
const LIFETIME = 400;
/** Where only one size has been seen: what a further token of a batch costs, relative to a single one. */
const USUAL_SLOPE = 0.3;

/** The latest measurements of one thing. */
interface Measured {
    /** Size of the batch. */
    readonly tokens: number;
    readonly latest: number[];
    /** Number of the job of the last one. */
    job: number;
    /** Their median. */
    ms: number;
}

/** Of one context in one kind of job. */
interface Curve {
    /** Ascending in size. */
    readonly sizes: Measured[];
    /** Tokens of the last batch. */
    previous: number;
    /** What the sizes say, and answers so far. Void after a measurement. */
    current: { readonly points: readonly Measured[]; readonly answers: number[] } | undefined;
}

export function createCostTable(): CostTable {
    let jobs = 0;
    /** By context. */
    const curves: Record<Job, Map<number, Curve>> = { draft: new Map(), step: new Map() };
    const overheads: Record<Job, Measured> = { draft: createMeasured(0), step: createMeasured(0) };

    function add(measured: Measured, ms: number): void {
        const { latest } = measured;
        if (jobs - measured.job > LIFETIME) latest.length = 0;
        latest.push(ms);
        if (latest.length > SAMPLES) latest.shift();
        measured.job = jobs;
        measured.ms = latest.toSorted((a, b) => a - b)[latest.length >> 1] ?? 0;
    }

    return {
        decodeMs(job, context, tokens) {
            // What has not drafted yet is expected to cost then what it costs in steps.
            const curve = [curves[job].get(context), curves.step.get(context)].find(
                (each) => each && each.sizes.length > 0,
            );
            if (curve === undefined || tokens <= 0) return 0;
            const { points, answers } = (curve.current ??= { points: believed(curve), answers: [] });
            return (answers[tokens] ??= interpolate(points, tokens));
        },
        overheadMs: (job) => (overheads[job].latest.length < ENOUGH ? 0 : overheads[job].ms),
        isKnown(context, tokens) {
            const curve = curves.step.get(context);
            const upTo = curve === undefined ? [] : recentOf(curve).filter((size) => size.tokens <= tokens);
            return upTo.reduce((count, { latest }) => count + latest.length, 0) >= ENOUGH;
        },
        forget(context) {
            for (const each of Object.values(curves)) each.delete(context);
        },
        record(job, decodes, wallMs) {
            jobs++;
            let decodeMs = 0;
            for (const { context, tokens, ms } of decodes) {
                decodeMs += ms;
                const curve = curves[job].get(context) ?? { sizes: [], previous: 1, current: undefined };
                curves[job].set(context, curve);
                // llama.cpp builds its graph anew for another size of batch. Plain steps do not pay for that, since they
                // follow each other, so neither may the price that drafts are compared with.
                const isRebuilt = tokens === 1 && curve.previous !== 1;
                curve.previous = tokens;
                if (isRebuilt) continue;
                add(find(curve, tokens), ms);
                curve.current = undefined;
            }
            add(overheads[job], Math.max(0, wallMs - decodeMs));
        },
    };
}

/** What is not much older than the latest measurement. */
function recentOf({ sizes }: Curve): readonly Measured[] {
    const latest = Math.max(...sizes.map(({ job }) => job));
    return sizes.filter(({ job }) => latest - job <= LIFETIME);
}

/**
 * Sizes that were measured often enough, all of them where there is no such size, and always the largest: that is mostly a
 * prompt, and shows what further tokens of a batch cost.
 */
function believed(curve: Curve): readonly Measured[] {
    const recent = recentOf(curve);
    const enough = recent.filter(({ latest }) => latest.length >= ENOUGH);
    const largest = recent.at(-1);
    if (enough.length === 0 || largest === undefined || enough.includes(largest))
        return enough.length > 0 ? enough : recent;
    return [...enough, largest];
}

function find({ sizes }: Curve, tokens: number): Measured {
    const place = sizes.findIndex((size) => size.tokens >= tokens);
    const found = sizes[place];
    if (found?.tokens === tokens) return found;
    const created = createMeasured(tokens);
    sizes.splice(place < 0 ? sizes.length : place, 0, created);
    return created;
}

function createMeasured(tokens: number): Measured {
    return { tokens, latest: [], job: 0, ms: 0 };
}

/** On the line through the points, which are ascending. */
function interpolate(points: readonly Measured[], tokens: number): number {
    const [first] = points;
    const last = points.at(-1);
    if (first === undefined || last === undefined) return 0;
    const upper = points.findIndex((point) => point.tokens >= tokens);
    const [before, after] = [points[upper - 1], points[upper]];
    if (before !== undefined && after !== undefined) {
        const line = before.ms + ((tokens - before.tokens) / (after.tokens - before.tokens)) * (after.ms - before.ms);
        // No batch needs to take longer than a larger one, unless its own measurements say so.
        return tokens === after.tokens ? after.ms : Math.min(line, ...points.slice(upper).map(({ ms }) => ms));
    }
    if (upper < 0 && last !== first) {
        const slope = Math.max(0, last.ms - first.ms) / (last.tokens - first.tokens);
        return last.ms + slope * (tokens - last.tokens);
    }
    // There is one size to go by, or none as small.
    return (first.ms * (1 + USUAL_SLOPE * (tokens - 1))) / (1 + USUAL_SLOPE * (first.tokens - 1));
}
