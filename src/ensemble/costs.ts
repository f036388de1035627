/**
 * What decoding costs on this machine, measured while it is used: for each member, the time of a batch of so many tokens.
 * The prompt gives a large batch and each plain step a small one, so nothing is ever evaluated just to be timed.
 */

import type { NativeDecode } from "../native/binding.js";

export interface CostTable {
    /**
     * Milliseconds that a member takes for a batch. Sizes that were not seen lately lie on the line between their
     * neighbours. 0 tokens cost nothing, and no batch is taken to be quicker than a smaller one.
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

/** Measurements of a size that count: the latest ones. */
const SAMPLES = 7;
/** Measurements of which the median bears a disturbed one. */
const ENOUGH = 3;
/** Jobs after which measurements are out of date: the context has grown, or the machine has other things to do. */
const LIFETIME = 400;
/** Jobs after which fewer than enough are. What a disturbance has made look bad is then tried again. */
const SHORT_LIFETIME = 50;
/** Where only one size has been seen: what a further token of a batch costs, relative to a single one. */
const USUAL_SLOPE = 0.3;

/** The latest measurements of one thing. */
interface Measured {
    /** Size of the batch. */
    readonly tokens: number;
    readonly latest: number[];
    /** Number of the job of the last one. */
    job: number;
    /** Their median; of fewer than enough, the least. */
    ms: number;
}

/** @param members - number of members */
export function createCostTable(members: number): CostTable {
    let jobs = 0;
    /** Per member, ascending in size. */
    const sizes = Array.from({ length: members }, (): Measured[] => []);
    const overheads: Record<Job, Measured> = { draft: createMeasured(0), step: createMeasured(0) };
    /** Tokens of each member's last batch. */
    const previous = new Array<number>(members).fill(1);

    function add(measured: Measured, ms: number): void {
        const { latest } = measured;
        if (jobs - measured.job > lifetime(measured)) latest.length = 0;
        latest.push(ms);
        if (latest.length > SAMPLES) latest.shift();
        measured.job = jobs;
        measured.ms = latest.toSorted((a, b) => a - b)[latest.length < ENOUGH ? 0 : latest.length >> 1] ?? 0;
    }

    function find(member: number, tokens: number): Measured {
        const known = (sizes[member] ??= []);
        const place = known.findIndex((size) => size.tokens >= tokens);
        const found = known[place];
        if (found?.tokens === tokens) return found;
        const created = createMeasured(tokens);
        known.splice(place < 0 ? known.length : place, 0, created);
        return created;
    }

    /** Per member: what is not much older than its latest measurement, and answers so far. Void after a measurement. */
    const current: ({ readonly recent: readonly Measured[]; readonly answers: number[] } | undefined)[] = [];
    function read(member: number): { readonly recent: readonly Measured[]; readonly answers: number[] } {
        const known = sizes[member] ?? [];
        const latest = Math.max(...known.map(({ job }) => job));
        return (current[member] ??= {
            recent: known.filter((size) => latest - size.job <= lifetime(size)),
            answers: [],
        });
    }

    return {
        decodeMs(member, tokens) {
            if (tokens <= 0) return 0;
            const { recent, answers } = read(member);
            return (answers[tokens] ??= interpolate(recent, tokens));
        },
        overheadMs: (job) => (jobs - overheads[job].job <= lifetime(overheads[job]) ? overheads[job].ms : 0),
        isKnown(member, tokens) {
            const upTo = read(member).recent.filter((size) => size.tokens <= tokens);
            return upTo.reduce((count, { latest }) => count + latest.length, 0) >= ENOUGH;
        },
        record(job, decodes, wallMs) {
            jobs++;
            let decodeMs = 0;
            for (const { member, tokens, ms } of decodes) {
                decodeMs += ms;
                // llama.cpp builds its graph anew for another size of batch. Plain steps do not pay for that, since they
                // follow each other, so neither may the price that drafts are compared with.
                const isRebuilt = tokens === 1 && previous[member] !== 1;
                previous[member] = tokens;
                if (isRebuilt) continue;
                add(find(member, tokens), ms);
                current[member] = undefined;
            }
            add(overheads[job], Math.max(0, wallMs - decodeMs));
        },
    };
}

function lifetime({ latest }: Measured): number {
    return latest.length < ENOUGH ? SHORT_LIFETIME : LIFETIME;
}

function createMeasured(tokens: number): Measured {
    return { tokens, latest: [], job: 0, ms: 0 };
}

/** On the line through the sizes, which are ascending. */
function interpolate(sizes: readonly Measured[], tokens: number): number {
    const [first] = sizes;
    if (first === undefined) return 0;
    // Of the line through a single size, if that is all there is.
    const usual = (at: number): number =>
        (first.ms * (1 + USUAL_SLOPE * (at - 1))) / (1 + USUAL_SLOPE * (first.tokens - 1));
    if (tokens <= first.tokens) return usual(tokens);

    let lower = first;
    let longest = first.ms;
    for (const upper of sizes) {
        if (upper.tokens >= tokens) {
            const fraction = (tokens - lower.tokens) / (upper.tokens - lower.tokens);
            return Math.max(longest, lower.ms + fraction * (upper.ms - lower.ms));
        }
        longest = Math.max(longest, upper.ms);
        lower = upper;
    }
    if (lower === first) return usual(tokens);
    const slope = Math.max(0, longest - first.ms) / (lower.tokens - first.tokens);
    return longest + slope * (tokens - lower.tokens);
}
