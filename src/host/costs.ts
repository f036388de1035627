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
    /** @param wallMs - that the job took of the time that went by */
    record(job: Job, decodes: readonly NativeDecode[], wallMs: number): void;
}

/** A table that can begin with what another one has measured. */
export interface SeededCostTable extends CostTable {
    /**
     * A context begins with what has been measured of it before. Each size is believed until it has been measured often enough
     * here, at the pace that the context's other sizes show then: the machine may have more to do than it had, or less.
     */
    seed(context: number, known: KnownCosts): void;
    /** What has been measured of a context often enough, for another table to begin with. */
    read(context: number): KnownCosts;
    /** Overheads to expect while there are no measurements; 0: nothing is known. */
    seedOverheads(ms: Readonly<Record<Job, number>>): void;
    /** 0 where too little was measured. */
    readOverheads(): Record<Job, number>;
}

/** The two phases of a native job. */
export type Job = "draft" | "step";

/** What batches of a context cost, ascending in size. */
export type KnownCosts = Readonly<Record<Job, readonly KnownCost[]>>;

export interface KnownCost {
    /** Size of the batch. */
    readonly tokens: number;
    readonly ms: number;
    /** Jobs from its last measurement to the latest one of any size, 0 .. {@link LIFETIME}. */
    readonly age: number;
}

/** Measurements of a size that count: the latest ones. Their median bears disturbed ones. */
const SAMPLES = 7;
/** Measurements without which a size is not believed: a single one may be disturbed, or pay for something new. */
const ENOUGH = 3;
/** Jobs after which measurements are out of date: the context has grown, or the machine has other things to do. */
export const LIFETIME = 400;
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
    /** Milliseconds that it took when it was measured before there was this table. */
    known: number | undefined;
}

/** Of one context in one kind of job. */
interface Curve {
    /** Ascending in size. */
    readonly sizes: Measured[];
    /** Tokens of the last batch. */
    previous: number;
    /** What the sizes say, and answers so far. Void after a measurement. */
    current: { readonly points: readonly Point[]; readonly answers: number[] } | undefined;
}

interface Point {
    readonly tokens: number;
    readonly ms: number;
}

export function createCostTable(): SeededCostTable {
    let jobs = 0;
    /** By context. */
    const curves: Record<Job, Map<number, Curve>> = { draft: new Map(), step: new Map() };
    const overheads: Record<Job, Measured> = { draft: createMeasured(0), step: createMeasured(0) };

    function add(measured: Measured, ms: number): void {
        const { latest } = measured;
        // What was never measured here is believed until it is: seldom drafting makes its overhead no older.
        if (latest.length > 0 && jobs - measured.job > LIFETIME) {
            latest.length = 0;
            measured.known = undefined;
        }
        latest.push(ms);
        if (latest.length > SAMPLES) latest.shift();
        measured.job = jobs;
        measured.ms = latest.toSorted((a, b) => a - b)[latest.length >> 1] ?? 0;
    }

    function curveOf(job: Job, context: number): Curve {
        const curve = curves[job].get(context) ?? { sizes: [], previous: 1, current: undefined };
        curves[job].set(context, curve);
        return curve;
    }

    /** A size of one curve says something about the pace of both. */
    function invalidate(context: number): void {
        for (const each of Object.values(curves)) {
            const curve = each.get(context);
            if (curve !== undefined) curve.current = undefined;
        }
    }

    function paceIn(context: number): number {
        return paceOf([curves.draft, curves.step].flatMap((each) => each.get(context)?.sizes ?? []));
    }

    function pointsOf(curve: Curve, context: number): readonly Point[] {
        const pace = paceIn(context);
        return believed(curve).map((size) => ({ tokens: size.tokens, ms: valueOf(size, pace) }));
    }

    function overheadMs(job: Job): number {
        return isBelieved(overheads[job]) ? valueOf(overheads[job], 1) : 0;
    }

    return {
        decodeMs(job, context, tokens) {
            // What has not drafted yet is expected to cost then what it costs in steps.
            const curve = [curves[job].get(context), curves.step.get(context)].find(
                (each) => each && each.sizes.length > 0,
            );
            if (curve === undefined || tokens <= 0) return 0;
            const { points, answers } = (curve.current ??= { points: pointsOf(curve, context), answers: [] });
            return (answers[tokens] ??= interpolate(points, tokens));
        },
        overheadMs,
        isKnown(context, tokens) {
            const curve = curves.step.get(context);
            const upTo = curve === undefined ? [] : recentOf(curve).filter((size) => size.tokens <= tokens);
            return upTo.some(isBelieved) || upTo.reduce((count, { latest }) => count + latest.length, 0) >= ENOUGH;
        },
        seed(context, known) {
            for (const job of ["draft", "step"] as const) {
                const curve = curveOf(job, context);
                for (const { tokens, ms, age } of known[job])
                    Object.assign(find(curve, tokens), { known: ms, job: jobs - age });
            }
            invalidate(context);
        },
        read(context) {
            const pace = paceIn(context);
            const read = (job: Job): KnownCost[] => {
                const curve = curves[job].get(context);
                if (curve === undefined) return [];
                const latest = latestJob(curve);
                return recentOf(curve)
                    .filter(isBelieved)
                    .map((size) => ({ tokens: size.tokens, ms: valueOf(size, pace), age: latest - size.job }));
            };
            return { draft: read("draft"), step: read("step") };
        },
        seedOverheads(ms) {
            for (const job of ["draft", "step"] as const) overheads[job].known ??= ms[job] || undefined;
        },
        readOverheads: () => ({ draft: overheadMs("draft"), step: overheadMs("step") }),
        forget(context) {
            for (const each of Object.values(curves)) each.delete(context);
        },
        record(job, decodes, wallMs) {
            if (job === "step") jobs++;
            let decodeMs = 0;
            for (const { context, tokens, ms } of decodes) {
                decodeMs += ms;
                const curve = curveOf(job, context);
                // llama.cpp builds its graph anew for another size of batch. Plain steps do not pay for that, since they
                // follow each other, so neither may the price that drafts are compared with.
                const isRebuilt = tokens === 1 && curve.previous !== 1;
                curve.previous = tokens;
                if (isRebuilt) continue;
                add(find(curve, tokens), ms);
                invalidate(context);
            }
            add(overheads[job], Math.max(0, wallMs - decodeMs));
        },
    };
}

/** The job of the latest measurement. */
function latestJob({ sizes }: Curve): number {
    return Math.max(...sizes.map(({ job }) => job));
}

/** What is not much older than the latest measurement. */
function recentOf(curve: Curve): readonly Measured[] {
    const latest = latestJob(curve);
    return curve.sizes.filter(({ job }) => latest - job <= LIFETIME);
}

function isBelieved({ latest, known }: Measured): boolean {
    return latest.length >= ENOUGH || known !== undefined;
}

/** @param pace - at which the machine works now, as {@link paceOf} has it */
function valueOf({ latest, ms, known }: Measured, pace: number): number {
    return latest.length >= ENOUGH || known === undefined ? ms : pace * known;
}

/** How long batches take now, relative to what was known of them: the median over sizes that have been measured again. */
function paceOf(sizes: readonly Measured[]): number {
    const again = sizes.flatMap(({ latest, ms, known }) =>
        latest.length >= ENOUGH && known !== undefined ? ms / known : [],
    );
    return again.sort((a, b) => a - b)[again.length >> 1] ?? 1;
}

/**
 * Sizes that were measured often enough, all of them where there is no such size, and always the largest: that is mostly a
 * prompt, and shows what further tokens of a batch cost.
 */
function believed(curve: Curve): readonly Measured[] {
    const recent = recentOf(curve);
    const enough = recent.filter(isBelieved);
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
    return { tokens, latest: [], job: 0, ms: 0, known: undefined };
}

/** On the line through the points, which are ascending. */
function interpolate(points: readonly Point[], tokens: number): number {
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
