/** What sequences ask of a drafter, and who decides how much they get. */

import type { NativeForced, NativeFusion, NativeSampling } from "../native/binding.js";
import type { Coupling } from "../types.js";
import type { CostTable } from "./costs.js";

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
    /** Whether drafts were wanted, and have to wait for a step that evaluates again what was accepted of the last ones. */
    readonly isDeferred?: boolean;
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

/** How a text is drawn with drafts. */
export interface Speculating {
    /** The form that drafts; undefined where drafts come from elsewhere alone. */
    readonly drafter: NativeFusion | undefined;
    /** How it draws; undefined: as the target. */
    readonly drafterSampling?: NativeSampling | undefined;
    readonly coupling: Coupling;
    /** As `NativeSpeculation` has it. With it every step reads the drafter. */
    readonly selective?: number | undefined;
    readonly policy: DraftLengthPolicy;
    /** Asked before each step. */
    attempt(situation: AttemptSituation): Attempt;
}

export interface AttemptSituation {
    /** Index of the next token; undefined where tokens before it are still being drawn. */
    readonly position: number | undefined;
    /** Most drafts that there is room for. */
    readonly most: number;
    /** Sequences that have a slot, beside its own. */
    readonly others: number;
}

/** What could be drafted before a step. */
export interface Attempt {
    /** Undefined: nothing. */
    readonly prospect?: DraftProspect;
    /** Drafts that are there already; as many are taken as are planned. */
    readonly proposal?: Int32Array;
    /** Text that its grammar forces: whether there is some, only native code knows. It takes the place of all other drafts. */
    readonly forced: ForcedRange;
    /** Whether it would be another one if the tokens were known that are still being drawn. */
    readonly hasToSee?: boolean;
    /** A step with this plan has been submitted. */
    take(plan: DraftPlan): void;
    /** @returns what becomes of the step whose drafts have been planned */
    decide(plan: DraftPlan): {
        /** Whether target and drafter are to be compared. */
        readonly compare: boolean;
        /** Whether the drafter's members are to be evaluated, although nothing is drafted. */
        readonly readsDrafter: boolean;
    };
}

/** How many tokens of forced text are worth verifying in one step. If there are others, native code says which they are. */
export interface ForcedRange {
    readonly least: number;
    /** 0: none. */
    readonly most: number;
    /** Whether to ask for the next one where none are verified. */
    readonly looks: boolean;
}

/** Nothing is drafted. */
export const NO_DRAFTS: DraftPlan = { length: 0, stop: NEVER_STOP };

/** What was drafted for a step, and by which plan. */
export interface Block {
    readonly attempt: Attempt;
    readonly plan: DraftPlan;
    readonly tokens: Int32Array;
    /** What the grammar forced, as far as it was asked. */
    readonly forced: NativeForced | undefined;
    /** The drafter's confidence at each row; see NativeDraft. */
    readonly confidences: Float32Array;
    /** What it would have drafted at the last row, where it was not sure enough; -1 elsewhere. */
    readonly declined: number;
    /** Per member, milliseconds; the job may be shared with other sequences. */
    readonly decodeMs: readonly number[];
    /** Milliseconds of fusing and drawing. */
    readonly fuseMs: number;
}
