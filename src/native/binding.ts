/**
 * Typed mirror of what `native/node/addon.cpp` exports. Arguments are checked on this side, before the call: the native
 * code asserts and does not explain. Native failures arrive as {@link EftError}.
 *
 * Shapes: M = members of the target, V = size of the common vocabulary.
 */

import type { EftError } from "../errors.js";
import type { CacheType, Coupling } from "../types.js";

/** Something that llama.cpp can compute on. */
export interface NativeDevice {
    /** Name inside its backend, e.g. `Vulkan0`. */
    readonly name: string;
    readonly description: string;
    /** Lower-case name of the ggml backend: `cpu`, `vulkan`, `cuda`, `metal`, ... */
    readonly backend: string;
    readonly type: "cpu" | "gpu" | "igpu" | "accelerator";
    /** Bytes. */
    readonly memoryFree: number;
    /** Bytes. */
    readonly memoryTotal: number;
}

/** What the header of a GGUF says, read without touching tensor data. */
export interface NativeHeader {
    readonly architecture: string;
    /** `general.type`: "model", "adapter", ...; empty when absent. */
    readonly type: string;
    readonly blockCount: number;
    /** 0 in dense models. */
    readonly expertCount: number;
    /** Of all parts of a split model, as the next two. */
    readonly tensorCount: number;
    /** Bytes the tensors need according to the header. */
    readonly tensorBytes: number;
    /** Bytes of the file. */
    readonly fileBytes: number;
    /** Files of a split model; 0 where nothing was split. */
    readonly splitCount: number;
    /** In GGUF's words, e.g. `llama`; empty if the header does not say it. */
    readonly tokenizer: string;
    /** Paths, sizes and times of all files: another text once one of them is another. */
    readonly identity: string;
    /** Ids in the table of tokens; 0 if the header has none. */
    readonly vocabularySize: number;
    /** Id of the token that ends a text; -1 if the header does not say it. */
    readonly eos: number;
    /** Of one row of embeddings. This and the following are 0 if the header does not say it. */
    readonly embeddingSize: number;
    /** Of the widest row that a matrix of a layer makes of a token. */
    readonly widestSize: number;
    /** The most in a layer, as the following. */
    readonly heads: number;
    readonly keyValueHeads: number;
    /** Numbers in a key of one head. */
    readonly keyLength: number;
    readonly valueLength: number;
    /** Experts that a token is sent to; 0 in dense models. */
    readonly expertsUsed: number;
    /** Numbers in a key of what chooses the tokens that are attended to; 0 in models that have nothing like it. */
    readonly indexerKeyLength: number;
    /** In llama.cpp's words, e.g. `Q4_K_M`; empty if the header does not say it. */
    readonly quantization: string;
    /** Numbers in all tensors. */
    readonly parameters: number;
    /** Without arrays of texts, and of more elements than a model has layers: tables of tokens. Of a split model from its first part. */
    readonly entries: readonly (readonly [key: string, value: HeaderValue])[];
}

/** What an entry of a header says. Integers beyond 2^53 have lost their last digits. */
export type HeaderValue = string | number | boolean | readonly (number | boolean)[];

/** A tensor as a header describes it. */
export interface NativeTensor {
    readonly name: string;
    /** The fastest-changing dimension first; without those of 1 at the end. */
    readonly shape: readonly number[];
    /** ggml's number of the type. */
    readonly type: number;
    readonly bytes: number;
}

/** What a loaded model says about itself. */
export interface NativeModelInfo {
    /** e.g. `llama 13B Q4_K - Medium`. */
    readonly description: string;
    /** e.g. `Q8_0`. */
    readonly quantization: string;
    /** Bytes of all tensors. */
    readonly size: number;
    readonly parameters: number;
    readonly trainContextSize: number;
    readonly layers: number;
    readonly vocabularySize: number;
    /** llama.cpp's tokenizer type: SPM, BPE, WPM, UGM, RWKV, ... */
    readonly vocabularyType: string;
    readonly hasEncoder: boolean;
    readonly hasDecoder: boolean;
    readonly isRecurrent: boolean;
    readonly isHybrid: boolean;
    readonly isDiffusion: boolean;
    /** Tokens that some of its layers attend to; 0: all attend to the whole text. */
    readonly slidingWindow: number;
    /** Chat template that the GGUF carries; undefined when there is none. */
    readonly chatTemplate?: string;
    /** Ids of special tokens, -1 when absent. */
    readonly bos: number;
    readonly eos: number;
    readonly eot: number;
    readonly nl: number;
    readonly sep: number;
    readonly pad: number;
    /** Whether the model's tokenizer prepends BOS / appends EOS to a text. */
    readonly addBos: boolean;
    readonly addEos: boolean;
}

/** A loaded model. It is freed when all engines that loaded it are disposed; then its methods throw DISPOSED. */
export interface NativeModel {
    readonly info: NativeModelInfo;
    /** `addSpecial`: BOS/EOS as the model wants them. `parseSpecial`: text of control tokens becomes control tokens. */
    tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Int32Array;
    /**
     * The same for several texts, on a thread for texts alone. Fails with DISPOSED too if the model is freed before their turn; a
     * model is not freed while its texts are being read.
     */
    tokenizeAll(texts: readonly string[], addSpecial: boolean, parseSpecial: boolean): Promise<Int32Array[]>;
    /** The tokens' pieces one after another, leading space included; may end in the middle of a UTF-8 character. */
    detokenize(tokens: Int32Array, renderSpecial: boolean): Buffer;
    /** Text of each token, as the tokenizer stores it, of ids `from` (inclusive) to `to` (exclusive). */
    tokenTexts(from: number, to: number): string[];
    /** llama.cpp's attribute bits of each token, V long. */
    tokenAttributes(): Int32Array;
    /** 1 for tokens that end a generation. */
    endOfGeneration(): Uint8Array;
    /**
     * 64-bit hash, as hex, of texts and attributes of ids 0 (inclusive) to `to` (exclusive). That of the whole table is known when
     * the model is loaded; others take milliseconds for large vocabularies.
     */
    vocabularyHash(to: number): string;
    /**
     * The same of all ids and of what the file says about its tokenizer: equal for models that make the same tokens of every text,
     * but for those that they put before and behind it.
     */
    tokenizerHash(): string;
}

/** What becomes of a token id in a fusion. */
export const TOKEN_KIND = {
    /** It is combined. */
    combined: 0,
    /** A control token: combined, or decided by the fallback alone where {@link NativeFusion.controlTokensFallback} says so. */
    control: 1,
    /** A token that not all members have: the fallback decides about it alone; without one it is not possible. */
    added: 2,
} as const;

/** The ids of an engine's targets, 0 .. V - 1. */
export interface NativeVocabulary {
    /** V values of {@link TOKEN_KIND}. */
    readonly kinds: Uint8Array;
    /** V flags: 1 for tokens that end a text. */
    readonly endOfGeneration: Uint8Array;
    /** M lists of ids below V that are no tokens of the member, whether or not its model has rows for them. */
    readonly lacking: readonly Int32Array[];
}

/** How the rows of one entry become a target row: weights in member order. */
export interface NativeFusion {
    /** M weights of the combination. A member with weight 0 here and in `fallback` is not read. */
    readonly weights: Float64Array;
    /** M weights of the fallback form, or undefined: no conservative filter, and no added tokens. */
    readonly fallback?: Float64Array;
    /** Mass of the conservative set, (0, 1]. */
    readonly conservativeTopP: number;
    /** Whether the fallback alone decides about control tokens. */
    readonly controlTokensFallback: boolean;
}

/** What the draw does to a distribution; see SamplingOptions of src/types.ts. */
export interface NativeSampling {
    readonly temperature: number;
    readonly topK: number;
    readonly topP: number;
    readonly minP: number;
    readonly repeatPenalty: number;
    readonly frequencyPenalty: number;
    readonly presencePenalty: number;
}

/** Draw one token from the target at the last row of an entry. */
export interface NativeDraw extends NativeSampling {
    /** Recent tokens for the penalties; empty when they are off. */
    readonly history: Int32Array;
    /** How many of the last tokens count for the penalties. 0: none. */
    readonly historyLimit: number;
    readonly biasTokens: Int32Array;
    readonly biasValues: Float32Array;
    /** 0 .. 2^53 - 1. */
    readonly seed: number;
    /** Index of the token in the generated text; the counter of the noise. */
    readonly position: number;
    /** Where the text is in a grammar; not to be moved while a job that draws with it runs. */
    readonly grammar?: NativeGrammar;
    /** How many of the most probable tokens of the target to report. */
    readonly top: number;
    /** Report the members' log-probabilities too (of the drawn token and of the top ones). */
    readonly members: boolean;
    /** Report the whole target row. */
    readonly scores: boolean;
}

/**
 * A place in a grammar. What asks it first fails with DISPOSED if its model has been freed, and fails with GRAMMAR_INVALID where
 * the text can be read in too many ways.
 */
export interface NativeGrammar {
    /** Goes on to the place after a token that was drawn with it and does not end the text; takes no time. */
    accept(token: number): void;
    /** V flags: which tokens may come next. For what is drawn elsewhere than in a step; takes some milliseconds. */
    allowed(): Uint8Array;
}

/** What native/math/automaton.h calls a GrammarProgram. */
export interface NativeGrammarProgram {
    readonly code: Int32Array;
    readonly rules: Int32Array;
    readonly starts: Int32Array;
    readonly mayBeEmpty: Uint8Array;
    /** 256 bits for each set, lowest byte first. */
    readonly byteSets: Uint8Array;
}

/** Log-probabilities of given tokens at the last `rows` rows of an entry. */
export interface NativeQueries {
    readonly rows: number;
    /** Row of each query, 0 .. rows - 1, ascending. */
    readonly row: Int32Array;
    /** Token id of each query. From V on, nothing is possible. */
    readonly token: Int32Array;
    /** How many of the most probable tokens of the target to report at each query. */
    readonly top: number;
    /** Report the whole target row at each query. */
    readonly scores: boolean;
}

/** Who drafts, or what is to be verified, and what the target can be compared with. */
export interface NativeSpeculation {
    /** Drafts that come from elsewhere; none where the drafter makes them. */
    readonly drafts: Int32Array;
    readonly coupling: Coupling;
    /** The drafter's form. Undefined: the drafts were not drawn from a distribution. */
    readonly drafter?: NativeFusion;
    /** How the drafter draws; undefined: as the target. */
    readonly drafterSampling?: NativeSampling;
    /**
     * Where the drafter's distribution, before penalties, bias, temperature and filters, has less entropy than this, its draw is the
     * token, whatever the target says. In nats; needs a drafter whose members all steps read. Undefined: nowhere.
     */
    readonly selective?: number;
}

/** What is different from step to step. */
export interface NativePlan {
    /** Most tokens that the drafter drafts before the step. 0: none. */
    readonly length: number;
    /** It stops before a position at which its most probable token is less probable than this. 0: never. */
    readonly minConfidence: number;
    /** Report {@link NativeComparison}; needs a drafter whose members the step reads. */
    readonly compare: boolean;
    /**
     * Most tokens of text that the grammar of the draw forces. Where it forces some, they are verified instead of drafts of
     * the drafter or from elsewhere. 0: none.
     */
    readonly forced: number;
    /** Fewer tokens of it than this are reported and not verified. */
    readonly leastForced: number;
}

/** Target and drafter at one position. */
export interface NativeComparison {
    /** What the drafter draws here with the noise of the target. */
    readonly token: number;
    /** Probability of the drafter's most probable token; see `Draft` in native/math/speculate.h. */
    readonly confidence: number;
    /** Total-variation distance of the two distributions, before penalties, bias, temperature and filters. 0..1. */
    readonly totalVariation: number;
    /** M log-probabilities of the drafter's token; NaN for a member that was not read. */
    readonly memberLogprobs: Float64Array;
}

/** What a `llama_decode` cost. Of contexts that overlap on a GPU, only the sum over a job is the time that went by. */
export interface NativeDecode {
    readonly context: number;
    /** Tokens of the batch. */
    readonly tokens: number;
    /** Milliseconds. */
    readonly ms: number;
}

/** What one sequence has drafted. */
export interface NativeDraft {
    /** Fewer than the plan's `length` after a lack of confidence or an end-of-text token. */
    readonly tokens: Int32Array;
    /**
     * Probability of the drafter's most probable token, at each row that was evaluated: one per draft, and one more where the
     * drafter was not sure enough to go on.
     */
    readonly confidences: Float32Array;
    /** What the drafter would have drawn where it was not sure enough; -1 if it did not come to that. */
    readonly declined: number;
}

/** A row of an external context. */
export interface NativeExternalRow {
    /** Whose it is: a place in the target's list of contexts. */
    readonly member: number;
    /** The row is whole: one logit or log-probability for each token of the context's vocabulary; -Infinity: not possible. */
    readonly logits?: Float32Array;
    /**
     * Instead of `logits`: the ids of which something is known, in any order, none twice. Such a row is enough for a member that a
     * fusion reads in the conservative set alone: with `fallback`, `conservativeTopP` below 1, and no weight in the fallback. It is
     * exact where all of the following are among them (`native/math/known-ids.h` says why): the tokens of the conservative set; those
     * that stand apart, which are added tokens, and control tokens with `controlTokensFallback`; those that the target lacks. Where
     * the last two have more than 99 % of the mass, what they leave is less precise than a target has to be: the whole row is asked for.
     */
    readonly ids?: Int32Array;
    /** With `ids`: their log-probabilities in the distribution over the context's whole vocabulary, of any precision. */
    readonly logprobs?: Float64Array;
}

/** What was missing where a row could not be fused from what is known of a member. */
export interface NativeUncovered {
    readonly member: number;
    /** Probability of all ids that are known. */
    readonly knownMass: number;
    /** Ascending ids that have to be known too; empty: nothing less than the whole row will do. */
    readonly missing: Int32Array;
}

/** What one sequence does in a step. */
export interface NativeStepEntry {
    /** Of {@link NativeEngine.createTarget}; M is the number of its members. */
    readonly target: number;
    /** Slot, 0 .. sequences - 1. */
    readonly sequence: number;
    /** First make `sequence` share the first `keep[m]` tokens of this slot. */
    readonly copyFrom?: number;
    /**
     * M numbers: how many tokens of each member's cache stay; what lies behind is removed. Of a state, all of them, none, or those up to
     * its bookmark.
     */
    readonly keep: Int32Array;
    /** Members whose caches can be cut back to where the job ends, also if they hold a state, until they have another bookmark or are empty. */
    readonly bookmarks?: Int32Array;
    /**
     * M arrays: the tokens of the text to append to each member's cache; drafts come behind them by themselves. Empty: nothing to
     * do for that member. A member that drafts has some.
     */
    readonly tokens: readonly Int32Array[];
    /**
     * One for each row that is drawn from or queried of each member that is an external context and has tokens here; those of a
     * member in the order of its tokens.
     */
    readonly rows?: readonly NativeExternalRow[];
    readonly fusion?: NativeFusion;
    readonly draw?: NativeDraw;
    /** With `draw`. */
    readonly speculation?: NativeSpeculation;
    /** With `draw`; without it, as if all were 0. A `length` takes a drafter. */
    readonly plan?: NativePlan;
    readonly queries?: NativeQueries;
    /** With `draw`: the number under which a {@link NativeFollowingEntry} can go on, until the sequence is told something else. */
    readonly begins?: number;
}

/**
 * The same sequence goes on with what it has drawn: nothing has to be handed over again, and nobody has to have seen it. The result is
 * null if it cannot: where the text has ended, where the last job has failed, where a member reads the last token as
 * several, and where it would have to read a member that lacks too much.
 */
export interface NativeFollowingEntry {
    readonly target: number;
    readonly sequence: number;
    /** What the entry that it goes on with said it `begins`. */
    readonly follows: number;
    readonly plan?: NativePlan;
}

export interface NativeDrawResult {
    readonly token: number;
    /** Log-probability under the target, before penalties, bias, temperature and filters. */
    readonly logprob: number;
    /** M log-probabilities of the token; NaN for a member that was not read or of which that is not known, -Infinity for one that lacks it. */
    readonly memberLogprobs?: Float64Array;
    readonly topTokens?: Int32Array;
    readonly topLogprobs?: Float32Array;
    /** top x M, row by row. */
    readonly topMemberLogprobs?: Float32Array;
    readonly scores?: Float32Array;
    readonly drafter?: NativeComparison;
    /** The drafter drew it by itself, see `selective`; then log-probabilities are those of the drafter. */
    readonly isUnasked?: true;
}

export interface NativeQueryResult {
    /** One per query. */
    readonly logprobs: Float64Array;
    /** queries x M, row by row; NaN for a member that was not read. */
    readonly memberLogprobs: Float64Array;
    /** 1 where the queried token is the target's argmax. */
    readonly isArgmax: Uint8Array;
    /** With `top`: queries x top, row by row, descending, ties to the lowest id; -1 where fewer tokens are possible. */
    readonly topTokens?: Int32Array;
    readonly topLogprobs?: Float32Array;
    /** With `scores`: queries x vocabulary, row by row. */
    readonly scores?: Float32Array;
}

/** Tokens of text that a grammar forced. */
export interface NativeForced {
    readonly tokens: Int32Array;
    /** Whether they were the drafts of the step. */
    readonly verified: boolean;
}

/** What became of one entry. */
export interface NativeEntryResult {
    /**
     * The accepted drafts, then the token that replaces the first rejected one or follows them all; nothing follows an
     * end-of-text token. None where nothing was to be drawn.
     */
    readonly draws: readonly NativeDrawResult[];
    readonly queries?: NativeQueryResult;
    /** Where the drafter was asked. */
    readonly drafted?: NativeDraft;
    /** Undefined: the grammar forced nothing, or was not asked. */
    readonly forced?: NativeForced;
    /**
     * Of which members too little was known at a row; draws and queries end before it. The caches hold all tokens nevertheless: to
     * try again with better rows, evaluate again what lies behind the last draw.
     */
    readonly uncovered?: readonly NativeUncovered[];
}

export interface NativeStepResult {
    /** One per entry, in order; null: there was nothing to follow. */
    readonly results: readonly (NativeEntryResult | null)[];
    /** M numbers of each entry, one entry after another: how many tokens of the text each cache holds now. 0 where the result is null. */
    readonly lengths: Int32Array;
    readonly decodes: readonly NativeDecode[];
    /** Milliseconds of combining, filtering, drawing and picking. */
    readonly fuseMs: number;
    /** The same for drafting. */
    readonly draftDecodes: readonly NativeDecode[];
    readonly draftFuseMs: number;
    /** Milliseconds of drafting, all in all. */
    readonly draftMs: number;
}

export interface NativeContextOptions {
    readonly model: NativeModel;
    readonly lora?: { readonly path: string; readonly scale: number };
    /** Tokens of all sequences together; those that sequences share count once. */
    readonly cells: number;
    /** Most rows of logits of one step, and at least as many as sequences: llama.cpp keeps place for so many, and fails at more. */
    readonly rows: number;
    /** Whether the cache and its operations live on the GPU. */
    readonly offloadCache: boolean;
    readonly cacheType: CacheType;
}

/** What a recipe is to the jobs: its members, and the tokens that they have in common. */
export interface NativeTargetOptions extends NativeVocabulary {
    /** The context of each member; none twice. */
    readonly contexts: Int32Array;
}

/** One worker thread, one thread pool, contexts. Jobs run one after another in the order of the calls. */
export interface NativeEngine {
    /**
     * Loads a model, or returns the one that is already loaded from the same file with the same settings.
     * `devices`: names from {@link NativeBinding.devices} to use beside the CPU.
     */
    loadModel(options: {
        readonly path: string;
        readonly gpuLayers: number;
        readonly devices: readonly string[];
        /** Leave the weights out: the model can tokenize, but not be a member. Default false. */
        readonly vocabularyOnly?: boolean;
        readonly onProgress?: (fraction: number) => void;
    }): Promise<NativeModel>;
    /** Ids count from 0 and are not given out again, even where it fails. */
    addContext(options: NativeContextOptions): Promise<number>;
    /**
     * A context that is evaluated elsewhere: it has no model, and knows of its sequences only how long they are. Whatever reads it
     * brings {@link NativeStepEntry.rows}; nothing can be drafted with it. Throws OPTION_INVALID.
     */
    addExternalContext(options: {
        /** For messages. */
        readonly name: string;
        /** Ids that a whole row has, and that log-probabilities of known ids refer to. */
        readonly vocabularySize: number;
    }): Promise<number>;
    /** Frees contexts, and models that have none any more. */
    removeContexts(contexts: Int32Array): Promise<void>;
    /** Frees models that have been loaded and have no context. */
    releaseModels(): Promise<void>;
    createTarget(options: NativeTargetOptions): number;
    /** Jobs of it that have been submitted still run. */
    removeTarget(target: number): void;
    /**
     * Drafters draft token after token, all entries side by side; then one `llama_decode` per context over the tokens of all
     * entries, their drafts included, at most `batchSize` tokens per context; then fuse and draw or query. A job that fails or is
     * interrupted leaves every sequence at `keep`, or where it was if it follows.
     */
    step(entries: readonly (NativeStepEntry | NativeFollowingEntry)[]): Promise<NativeStepResult>;
    /** Frees what a context holds of a sequence behind its first `keep` tokens; of a state all of it, or what is behind its bookmark. */
    forget(context: number, sequence: number, keep: number): Promise<void>;
    /** Makes the jobs that are queued or running now fail with `ABORTED`, soon; not steps without tokens. */
    interrupt(): void;
    /** The same for models that are being loaded; contexts are still created. */
    interruptLoading(): void;
    /** Interrupts, waits for the job in flight, frees contexts and pool. Idempotent. */
    dispose(): Promise<void>;
}

export interface NativeBinding {
    /** `llama_version()` of the headers that the addon was compiled with. */
    readonly compiledFor: string;
    /** Tag of the llama.cpp release that those headers belong to, e.g. `v0.5.0`. */
    readonly llamaRelease: string;
    /** The class of all errors that the addon throws. Call first. */
    setErrorClass(errorClass: typeof EftError): void;
    /**
     * Opens llama.cpp's shared libraries and the CPU backend; once a process, later calls return the same.
     * Throws ADDON_LOAD_FAILED with the list of what is missing, or LLAMA_VERSION_MISMATCH.
     * @returns the version that the library reports
     */
    openLibraries(paths: { base: string; ggml: string; llama: string; backends: string }): string;
    /** Loads one more ggml backend. A backend that finds no device is loaded, and may have said why. */
    loadBackend(path: string): { readonly loaded: boolean; readonly said: string };
    /** Interrupts the jobs of all engines and ends their threads, for ever. For the exit of the process. */
    stopWorkers(): void;
    devices(): NativeDevice[];
    /**
     * For benchmarks: how long a device takes to copy `bytes` (a multiple of 4), so many `times`: to the machine's memory, as
     * `llama_decode` hands rows of logits over, and from its own memory into its own. Blocks the thread.
     * Throws BACKEND_UNAVAILABLE, MEMORY_EXCEEDED.
     *
     * @returns milliseconds of each copy
     */
    timeTransfers(device: string, bytes: number, times: number): { toHostMs: Float64Array; withinMs: Float64Array };
    /** Of each type of tensor, by ggml's number of it: the bytes of a block, and how many numbers are in it. Types that are gone have 0. */
    typeSizes(): { bytes: number; numbers: number }[];
    /** What ggml keeps about a graph of so many nodes, beside their data. */
    graphBytes(nodes: number): number;
    /** Physical cores that this process may use. */
    physicalCores(): number;
    /** llama.cpp's log lines from now on; undefined = drop them. Level: 1 debug .. 4 error, as ggml numbers them. */
    setLog(callback: ((level: number, text: string) => void) | undefined): void;
    /** Of a split model, from all its parts; `path` is that of the first. Throws MODEL_NOT_FOUND, MODEL_INVALID, FILE_UNREADABLE. */
    readHeader(path: string): NativeHeader;
    /** Of all parts of a split model. Throws what `readHeader` throws. */
    readTensors(path: string): NativeTensor[];
    /** Whether a file can be an adapter of some model. Throws LORA_INVALID, MODEL_UNSUPPORTED, and what `readHeader` throws. */
    checkAdapter(path: string): void;
    createEngine(options: { threads: number; batchSize: number; sequences: number }): NativeEngine;
    /** The beginning of a text of the grammar. */
    createGrammar(options: {
        /** Whose tokens the text is made of. */
        readonly model: NativeModel;
        readonly program: NativeGrammarProgram;
        /** V flags: these tokens may come exactly where the text may end. */
        readonly endOfGeneration: Uint8Array;
        /** Ids below V that `model` does not have; they come at most where the text may end. Default: none. */
        readonly lacking?: Int32Array;
    }): NativeGrammar;
}
