/** What speculation has done: counts that a completion and its ensemble keep, and what follows from them. */

import type { PlanForecast } from "./drafts.js";

/** What a host has done so far. */
export interface HostCounts {
    /** Steps, and the sequences that took part in them: entries / steps is how many share one, in the mean. */
    steps: number;
    entries: number;
    /** How often a sequence had to give its cells away, and was evaluated again. */
    revocations: number;
    /** Tokens that steps have evaluated, of all members together, and those of prompts that were found in a cache. */
    evaluatedTokens: number;
    reusedTokens: number;
}

/** Of one completion, or of all completions of an ensemble together. */
export interface SpeculationStatistics {
    /** Steps that drew tokens, without that of the prompt, and how many of them verified drafts. */
    readonly steps: number;
    readonly blocks: number;
    /** Tokens that these steps gave. */
    readonly tokens: number;
    /** Drafts, and how many were accepted. A draft after a rejected one counts as drafted, not as verified. */
    readonly drafted: number;
    readonly accepted: number;
    /** Drafts that were proposed by lookup, and how many of them were accepted. They are part of the numbers above. */
    readonly lookedUp: number;
    readonly lookupAccepted: number;
    /**
     * Drafts of text that a grammar forced, and how many of them were accepted, in the step of the prompt too. They are no part of
     * the numbers of drafts and blocks, here and below; the tokens that came of them are among `tokens`.
     */
    readonly forced: number;
    readonly forcedAccepted: number;
    /**
     * With selective fusion: how many of `tokens` the drafter drew by itself. Nobody verified them, so they are no part of the numbers of
     * drafts and blocks.
     */
    readonly unasked: number;
    /** By position in the block: drafts all of whose predecessors were accepted, and how many of them were. */
    readonly verifiedAt: readonly number[];
    readonly acceptedAt: readonly number[];
    /** Accepted of verified drafts, 0..1; undefined if none was verified. */
    readonly acceptanceRate: number | undefined;
    /** Tokens per block, the recovered or bonus token included; undefined without a block. */
    readonly acceptanceLength: number | undefined;
    /** Milliseconds per member, and of fusing and drawing, while drafting. */
    readonly draftMs: readonly number[];
    readonly draftFuseMs: number;
    /** The same for the steps that verify or draw plainly. */
    readonly stepMs: readonly number[];
    readonly stepFuseMs: number;
    /**
     * Tokens per second as a multiple of what plain steps would have given, by the measured costs of batches: as expected
     * from costs and acceptance before each block, and by the time that really went by. Undefined while costs are
     * unknown.
     */
    readonly predictedSpeedup: number | undefined;
    readonly measuredSpeedup: number | undefined;
}

/** A step that drew tokens. */
export interface SpeculativeStep {
    /** Number of drafts, and how many of them were accepted. */
    readonly drafted: number;
    readonly accepted: number;
    /** Number of drafts that a verdict was given on. */
    readonly verified: number;
    readonly isLookup: boolean;
    /** Tokens that came out, and how many of them the drafter drew by itself. */
    readonly tokens: number;
    readonly unasked: number;
    readonly draftMs: readonly number[];
    readonly draftFuseMs: number;
    readonly stepMs: readonly number[];
    readonly stepFuseMs: number;
    /** Wall-clock time of drafting and verifying. */
    readonly wallMs: number;
    readonly forecast?: PlanForecast;
}

export interface StatisticsRecorder {
    add(step: SpeculativeStep): void;
    /** A step had so many drafts of forced text. */
    addForced(drafted: number, accepted: number): void;
    read(): SpeculationStatistics;
}

/** @param members - number of members */
export function createStatistics(members: number): StatisticsRecorder {
    const counts = { steps: 0, blocks: 0, tokens: 0, unasked: 0, drafted: 0, accepted: 0, verified: 0 };
    const [lookup, forced] = [
        { drafted: 0, accepted: 0 },
        { drafted: 0, accepted: 0 },
    ];
    const [verifiedAt, acceptedAt]: [number[], number[]] = [[], []];
    const [draftMs, stepMs] = [new Array<number>(members).fill(0), new Array<number>(members).fill(0)];
    const [fuse, known] = [
        { draft: 0, step: 0 },
        { wallMs: 0, plainMs: 0, expectedMs: 0, expectedPlainMs: 0 },
    ];
    return {
        add(step) {
            const { drafted, accepted, verified, tokens, forecast } = step;
            counts.steps++;
            counts.blocks += Number(drafted > 0);
            counts.tokens += tokens;
            counts.unasked += step.unasked;
            counts.drafted += drafted;
            counts.accepted += accepted;
            counts.verified += verified;
            if (step.isLookup) {
                lookup.drafted += drafted;
                lookup.accepted += accepted;
            }
            for (let i = 0; i < verified; i++) {
                verifiedAt[i] = (verifiedAt[i] ?? 0) + 1;
                acceptedAt[i] = (acceptedAt[i] ?? 0) + Number(i < accepted);
            }
            addTo(draftMs, step.draftMs);
            addTo(stepMs, step.stepMs);
            fuse.draft += step.draftFuseMs;
            fuse.step += step.stepFuseMs;
            if (forecast === undefined) return;
            known.wallMs += step.wallMs;
            known.plainMs += tokens * forecast.plainMs;
            known.expectedMs += forecast.ms;
            known.expectedPlainMs += forecast.tokens * forecast.plainMs;
        },
        addForced(drafted, accepted) {
            forced.drafted += drafted;
            forced.accepted += accepted;
        },
        read: () => ({
            steps: counts.steps,
            blocks: counts.blocks,
            tokens: counts.tokens,
            drafted: counts.drafted,
            accepted: counts.accepted,
            lookedUp: lookup.drafted,
            lookupAccepted: lookup.accepted,
            forced: forced.drafted,
            forcedAccepted: forced.accepted,
            unasked: counts.unasked,
            verifiedAt: [...verifiedAt],
            acceptedAt: [...acceptedAt],
            acceptanceRate: ratio(counts.accepted, counts.verified),
            acceptanceLength: ratio(counts.accepted + counts.blocks, counts.blocks),
            draftMs: [...draftMs],
            draftFuseMs: fuse.draft,
            stepMs: [...stepMs],
            stepFuseMs: fuse.step,
            predictedSpeedup: ratio(known.expectedPlainMs, known.expectedMs),
            measuredSpeedup: ratio(known.plainMs, known.wallMs),
        }),
    };
}

/** Undefined where there is nothing to divide by: JSON has no NaN. */
function ratio(part: number, whole: number): number | undefined {
    const quotient = part / whole;
    return Number.isFinite(quotient) ? quotient : undefined;
}

function addTo(sums: number[], values: readonly number[]): void {
    values.forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
}
