/** What sequences ask of a drafter, and who decides how much they get. */

import type { NativeDraw, NativeFusion } from "../native/binding.js";
import type { Coupling } from "../types.js";
import type { CostTable } from "./costs.js";
import type { Sequence } from "./sequences.js";

/** A sequence that could draft now, as a {@link DraftLengthPolicy} sees it. */
export interface DraftProspect {
    /** Most tokens that may be drafted. */
    readonly most: number;
    /**
     * Probability that the draft at a position is accepted if all before it were, for positions 1, 2, ...; the last one goes
     * for all further positions.
     */
    readonly acceptance: readonly number[];
    /** Where drafting could stop by itself. The first one: nowhere. */
    readonly stops: readonly [DraftStop, ...DraftStop[]];
    /** Contexts that draft token after token; none if the drafts are there already. */
    readonly drafting: readonly number[];
    /** Contexts that the step evaluates. Those that draft have evaluated the drafts before. */
    readonly verifying: readonly number[];
}

/** A rule by which drafting stops before a position where the drafter is unsure. */
export interface DraftStop {
    /** Least probability of the drafter's most probable token at which it goes on. 0: it always does. */
    readonly minConfidence: number;
    /** Probability that it goes on at a position. */
    readonly goesOn: number;
    /** Acceptance where it goes on, as a multiple of the acceptance anywhere. */
    readonly gain: number;
}

/** The rule that never stops. */
export const NEVER_STOP: DraftStop = { minConfidence: 0, goesOn: 1, gain: 1 };

/** How much a sequence is to draft. */
export interface DraftPlan {
    /** Most tokens. */
    readonly length: number;
    readonly stop: DraftStop;
    /** What the policy expects, for all sequences of the job together; undefined while costs are unknown. */
    readonly forecast?: PlanForecast;
}

export interface PlanForecast {
    /** Tokens of this sequence. */
    readonly tokens: number;
    /** Milliseconds of drafting and of the step. */
    readonly ms: number;
    /** Milliseconds of the same step without drafts, where each sequence draws one token. */
    readonly plainMs: number;
}

/** What else there is to know before drafts are planned. */
export interface Situation {
    /** Sequences that draw a token each in the step that will verify the drafts, without drafts of their own. */
    readonly draws: number;
    /** What part of a forecast gain can be believed, 0..1. */
    readonly trust: number;
}

/** Decides how many tokens each of the sequences drafts that are about to draft side by side. */
export interface DraftLengthPolicy {
    /** @returns one plan per prospect, with a length of 0 .. most */
    choose(prospects: readonly DraftProspect[], situation: Situation, costs: CostTable): readonly DraftPlan[];
}

/** A request for drafts: from a drafter, or as many of a `proposal` as the policy thinks worth verifying. */
export interface DraftRequest {
    readonly sequence: Sequence;
    readonly prospect: DraftProspect;
    readonly policy: DraftLengthPolicy;
    /** Drafts that are there already. Without them: what the drafter needs. */
    readonly proposal?: Int32Array;
    readonly drafter?: {
        readonly fusion: NativeFusion;
        readonly draw: NativeDraw;
        readonly coupling: Coupling;
        readonly historyLimit: number;
    };
    readonly signal?: AbortSignal;
}

export interface Drafted {
    /** What the policy wanted. */
    readonly plan: DraftPlan;
    readonly tokens: Int32Array;
    /** The drafter's confidence at each kept row; see NativeDraft. */
    readonly confidences: Float32Array;
    /** What it would have drafted at the last row, where it was not sure enough; -1 elsewhere. */
    readonly declined: number;
    /** Rows that are kept for the step that verifies the drafts. 0: none, the members have not evaluated the drafts. */
    readonly keptRows: number;
    /** Per member, milliseconds; the job may be shared with other sequences. */
    readonly decodeMs: readonly number[];
    /** Milliseconds of fusing and drawing. */
    readonly fuseMs: number;
}
