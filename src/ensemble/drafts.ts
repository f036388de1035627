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
    /** Members that draft token after token; none if the drafts are there already. */
    readonly drafting: readonly number[];
    /** Members that the target reads. Those that draft have evaluated the drafts before. */
    readonly verifying: readonly number[];
}

/** What else takes part in the step that will verify the drafts. */
export interface Load {
    /** Sequences that draw a token each, without drafts. */
    readonly draws: number;
}

/** Decides how many tokens each of the sequences drafts that are about to draft side by side. */
export interface DraftLengthPolicy {
    /** Drafting stops before a position where the drafter's most probable token is less probable than this. 0: never. */
    readonly minConfidence: number;
    /** @returns one length per prospect, 0 .. most */
    choose(prospects: readonly DraftProspect[], load: Load, costs: CostTable): readonly number[];
}

/** A request for drafts: from a drafter, or as many of a `proposal` as the policy thinks worth verifying. */
export interface DraftRequest {
    readonly sequence: Sequence;
    readonly prospect: DraftProspect;
    readonly policy: DraftLengthPolicy;
    /** Drafts that are there already. Without them: what the drafter needs. */
    readonly proposal?: Int32Array;
    readonly drafter?: {
        /** Per member: the tokens to add to its cache before the first draft; none for a member it does not read. */
        readonly append: readonly Int32Array[];
        readonly fusion: NativeFusion;
        readonly draw: NativeDraw;
        readonly coupling: Coupling;
        readonly historyLimit: number;
    };
    readonly signal?: AbortSignal;
}

export interface Drafted {
    readonly tokens: Int32Array;
    /** Rows that are kept for the step that verifies the drafts. 0: none, the members have not evaluated the drafts. */
    readonly keptRows: number;
    /** Per member, milliseconds; the job may be shared with other sequences. */
    readonly decodeMs: readonly number[];
    /** Milliseconds of fusing and drawing. */
    readonly fuseMs: number;
}
