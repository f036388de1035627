/** What the server says, as far as the page reads it. */

export interface ParameterSpec {
    readonly default: number;
    readonly min?: number;
    readonly max?: number;
    readonly description?: string;
}

export interface RecipeInfo {
    readonly id: string;
    readonly description: string;
    readonly members: readonly string[];
    readonly combination: string;
    readonly conservative: { readonly top_p: number; readonly fallback: string } | null;
    readonly has_speculation: boolean;
    readonly parameters: Readonly<Record<string, ParameterSpec>>;
}

/** Log-probabilities by member; null: impossible, or not known. */
export type MemberLogprobs = Readonly<Record<string, number | null>>;

export interface Candidate {
    readonly id: number;
    readonly token: string;
    readonly logprob: number | null;
    readonly members?: MemberLogprobs;
}

/** The target beside the drafter, at one token. */
export interface DrafterReport {
    readonly id: number;
    readonly token: string;
    /** Total variation, 0..1. */
    readonly distance: number;
    /** Log-odds by which each member moved the decision; where the drafter would have drawn another token. */
    readonly shifts?: MemberLogprobs;
    readonly changed_by?: string;
}

export interface TokenReport extends Candidate {
    readonly top?: readonly Candidate[];
    readonly drafter?: DrafterReport;
}

/** At an answer's end. */
export interface AnswerReport {
    readonly seed: number;
    readonly timings: { readonly first_token_ms: number; readonly tokens_per_second: number };
    readonly speculation?: {
        readonly drafted: number;
        readonly accepted: number;
        readonly acceptance_rate: number | null;
        /** With selective fusion: tokens that the drafter drew by itself. */
        readonly unasked?: number;
    };
}

export interface Chunk {
    readonly id: string;
    readonly choices: readonly {
        readonly delta: { readonly content?: string | null; readonly reasoning_content?: string };
        readonly finish_reason: string | null;
        readonly eft?: { readonly tokens?: readonly TokenReport[] } & Partial<AnswerReport>;
    }[];
}

export interface Message {
    readonly role: "user" | "assistant";
    readonly content: string;
}

export interface ChatRequest {
    readonly model: string;
    readonly messages: readonly Message[];
    readonly seed: number;
    readonly temperature?: number;
    readonly eft: {
        readonly parameters?: Readonly<Record<string, number>>;
        readonly solo?: string;
        readonly speculation: boolean;
        readonly members: boolean;
        readonly explain: boolean;
        readonly top: number;
    };
}
