/** Types shared by all layers. Units, ranges and defaults are said at each field. */

/** A named number of a recipe that can be changed at any token; a dial in every interface. */
export interface ParameterSpec {
    /** Value when nobody sets another one. */
    readonly default: number;
    /** Smallest allowed value, inclusive. Range -1e6..1e6. Default: -1e6. */
    readonly min: number;
    /** Largest allowed value, inclusive. Range -1e6..1e6. Default: 1e6. */
    readonly max: number;
    /** What the dial does, for humans. */
    readonly description?: string;
}

/** An arithmetic expression over parameters and numbers (no members). */
export type ParameterExpression =
    | { readonly kind: "number"; readonly value: number }
    | { readonly kind: "parameter"; readonly name: string }
    | { readonly kind: "negate"; readonly operand: ParameterExpression }
    | {
          readonly kind: "add" | "subtract" | "multiply" | "divide";
          readonly left: ParameterExpression;
          readonly right: ParameterExpression;
      };

/** A linear form over the members' normalised log-probabilities. Plain data, so that it crosses threads and processes. */
export interface Combination {
    /** As it was written in the recipe. */
    readonly text: string;
    /** For each member that occurs: its weight as an expression over the parameters. */
    readonly weights: Readonly<Record<string, ParameterExpression>>;
}

/** Ids of the vocabulary that the members of an ensemble have in common: 0 to `ensemble.vocabulary.size - 1`. */
export type TokenIds = readonly number[] | Int32Array;

/** What JSON can say. Entries of mappings that are undefined are left out. */
export type JsonValue =
    string | number | boolean | null | undefined | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * How the text of a prompt becomes the tokens that one member sees.
 * - `from`: apply the chat template that the GGUF of that member carries
 * - `jinja`: apply this Jinja chat template
 * - `plain`: the text itself, with nothing around it
 */
export type PromptTemplate =
    | ({ readonly kind: "from"; readonly member: string } & TemplateSettings)
    | ({ readonly kind: "jinja"; readonly template: string } & TemplateSettings)
    | { readonly kind: "plain" };

/** What a recipe says of a template besides its text. */
export interface TemplateSettings {
    readonly variables?: TemplateVariables;
    /** Where the template does not say it, or says it otherwise. */
    readonly thinking?: ThinkingMarks;
}

/** What stands around thoughts. */
export interface ThinkingMarks {
    readonly begin: string;
    readonly end: string;
}

/** What a chat template is given besides the messages, by name, such as `enable_thinking`. */
export type TemplateVariables = Readonly<Record<string, JsonValue>>;

/** One language model that takes part, as the recipe declares it. */
export interface MemberSpec {
    readonly name: string;
    /** Absolute path of a GGUF file, or an `hf:` / `https:` reference. */
    readonly model: string;
    /** LoRA adapter on top of `model`; shares the weights of its base with every other member of the same file. */
    readonly lora?: { readonly path: string; readonly scale: number };
    /** Layers to put on the GPU, where the backend is one. Default: as many as the memory plan finds room for. */
    readonly gpuLayers?: number;
    /** Tokens a sequence of this member can hold. Default: that of the ensemble. */
    readonly contextSize?: number;
    /** How this member sees the prompt. Default: the recipe's `prompt`. */
    readonly prompt?: PromptTemplate;
}

/**
 * In what form a member keeps the keys and values of earlier tokens: 16, 8.5 or 4.5 bits for each number. Fewer bits make room
 * for longer contexts or more layers on the GPU, and change the text a little.
 */
export type CacheType = "f16" | "q8_0" | "q4_0";

/** Some fields of a type; one that is undefined counts as absent. */
export type Some<T> = { readonly [Key in keyof T]?: T[Key] | undefined };

/** How the next token is drawn from the target distribution. */
export interface SamplingOptions {
    /** 0 = always the most probable token, ties to the lowest id; 1 = the target itself. Range 0..100. Default 1. */
    readonly temperature: number;
    /** Keep only the k most probable tokens; 0 = off. Default 0. */
    readonly topK: number;
    /** Keep the smallest set of most probable tokens that holds this mass. Range (0, 1]; 1 = off. Default 1. */
    readonly topP: number;
    /** Drop tokens less probable than this fraction of the most probable one. Range 0..1; 0 = off. Default 0. */
    readonly minP: number;
    /** Multiplies the log-probability of each recently seen token (Keskar et al. 1909.05858). Range (0, 10]; 1 = off. */
    readonly repeatPenalty: number;
    /** Subtracted from a token's log-probability once per recent occurrence. Range -100..100. Default 0. */
    readonly frequencyPenalty: number;
    /** Subtracted from a token's log-probability if it occurred recently. Range -100..100. Default 0. */
    readonly presencePenalty: number;
    /** How many of the last tokens of the text count as recent. Range 0..65536. Default 64. */
    readonly penaltyLastN: number;
}

/** The conservative filter: top-p set of a fallback form, outside of which the fallback's log-probability stands. */
export interface ConservativeSpec {
    /** Mass of the fallback's top-p set. Range (0, 1]; 1 keeps every token (useful with `controlTokens: fallback`). */
    readonly topP: number;
    readonly fallback: Combination;
}

/**
 * How the random choices of drafter and target are tied together.
 * - `gumbel`: both draw with the same noise; the text is the one that the plain loop gives
 * - `maximal`: rejection sampling (Leviathan et al. 2211.17192); accepts a little more often, the distribution is the
 *   same, the text is another one
 */
export type Coupling = "gumbel" | "maximal";

/**
 * How many tokens a block drafts.
 * - a number: always that many. Range 0..16
 * - `confidence`: up to 16, until the drafter is unsure
 * - `adaptive`: as many as pay off, by measured costs and acceptance; none if none do
 */
export type DraftLength = number | "confidence" | "adaptive";

/**
 * Speculative decoding: a cheap form drafts tokens, and the members verify them together (Leviathan et al. 2211.17192;
 * speculative up-scaling: Mitchell et al. 2310.12962). In a recipe only what it says; `{}` is on with all defaults.
 */
export interface SpeculationSpec {
    /**
     * Form over the members that drafts; it may have members that the combination lacks. Default: the conservative
     * fallback, else the member with the largest weight among those that are not the largest model.
     */
    readonly drafter?: Combination;
    /** Look in the text so far for a repetition to go on with, before the drafter is asked. Default false. */
    readonly lookup?: boolean;
    /** How many tokens a block drafts. Default `adaptive`. */
    readonly length?: DraftLength;
    /** How the random choices of drafter and target are tied together. Default `gumbel`. */
    readonly coupling?: Coupling;
    /**
     * Selective fusion: where the drafter's distribution has less entropy than this, its token is taken without asking the target. Nats,
     * 0..100; 0: the target is asked at every token, which is the default.
     */
    readonly selective?: number;
}

/** A validated recipe. All paths are absolute, all defaults filled in. Plain data. */
export interface Recipe {
    /** Format version. */
    readonly eft: 1;
    readonly name: string;
    readonly description?: string;
    /** Where the idea or the numbers come from, e.g. an arXiv id. */
    readonly source?: string;
    /** File that it was read from; undefined for an ad-hoc recipe. */
    readonly file?: string;
    readonly members: readonly MemberSpec[];
    readonly parameters: Readonly<Record<string, ParameterSpec>>;
    readonly combination: Combination;
    readonly conservative?: ConservativeSpec;
    /** `combine`: control tokens are fused like all others. `fallback`: the conservative fallback alone decides about them. */
    readonly controlTokens: "combine" | "fallback";
    /** `mask`: ids of the kind "unused", such as padding, are never drawn. `keep`: they are like all others. Default: `mask`. */
    readonly unusedTokens?: "mask" | "keep";
    readonly prompt: PromptTemplate;
    /** Only what the recipe says; the defaults of {@link SamplingOptions} fill the rest. */
    readonly sampling: Partial<SamplingOptions>;
    /** Speculative decoding, only what the recipe says about it; undefined: off unless a caller asks for it. */
    readonly speculation?: SpeculationSpec;
    /** Tokens a sequence can hold. Default: the smallest training context of the members, at most 4096. */
    readonly contextSize?: number;
    /** In what form the members keep keys and values. Default: `f16`. */
    readonly cacheType?: CacheType;
}
