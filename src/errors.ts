/**
 * Every failure that a user can cause is an {@link EftError}: a code out of this one table, a sentence that says what is
 * wrong with which file or value, and what to do about it. `docs/errors.md` lists the codes; a test keeps both equal.
 */

/** What each code means. The message of an error says more: the file, the value, the remedy. */
export const ERROR_CODES = {
    // recipes
    RECIPE_NOT_FOUND: "The recipe file does not exist or cannot be read.",
    RECIPE_SYNTAX: "The recipe is not well-formed YAML or JSON.",
    RECIPE_INVALID: "The recipe is well-formed but has a missing, misspelled or out-of-range entry.",
    COMBINATION_SYNTAX: "A combination cannot be parsed.",
    COMBINATION_NOT_LINEAR:
        "A combination multiplies or divides by members, or adds a number that belongs to no member.",
    COMBINATION_UNKNOWN_NAME: "A combination uses a name that is neither a member nor a parameter.",
    COMBINATION_ZERO: "A combination gives every member the weight 0, whatever the parameters are.",
    MEMBER_UNUSED: "A member is declared and no combination uses it.",
    PARAMETER_UNKNOWN: "A parameter was set that the recipe does not declare.",
    PARAMETER_RANGE: "A parameter was set outside its range, or so that a weight is too large or no weight is left.",
    // options
    OPTION_INVALID: "An option has the wrong type or is out of range.",
    CONFIG_INVALID: "The configuration file is not well-formed, or has a misspelled or out-of-range entry.",
    GRAMMAR_INVALID: "A grammar or JSON schema cannot be read, or asks for what cannot be enforced.",
    FILE_UNREADABLE: "A file that was named as input cannot be read, or is not UTF-8 text.",
    FILE_EXISTS: "A file that would be written is there already.",
    FILE_UNWRITABLE: "A file that was named as output cannot be written, or is something else that would be lost.",
    // the package
    PACKAGE_INCOMPLETE: "The library's code runs without the other files of its package, as in a bundle.",
    // the native layer
    ADDON_NOT_FOUND: "There is no native addon, neither prebuilt for this platform nor compiled.",
    ADDON_LOAD_FAILED: "The native addon or llama.cpp's libraries exist and cannot be loaded.",
    LLAMA_VERSION_MISMATCH:
        "The llama.cpp libraries are of another release or build than the one the addon was compiled for.",
    BACKEND_UNAVAILABLE: "The requested backend has no libraries or no device on this machine.",
    NATIVE_FAILURE: "llama.cpp stopped with an internal failure; this ensemble cannot be used any more.",
    // models
    MODEL_NOT_FOUND: "A model or adapter file does not exist, or has not been downloaded.",
    MODEL_INVALID: "A file is not a usable GGUF: damaged, truncated, or with impossible sizes.",
    MODEL_UNSUPPORTED: "A model or adapter is of a kind that cannot take part (encoder, diffusion, activated LoRA).",
    MODEL_LOAD_FAILED: "llama.cpp refused to load a model; the message carries its words.",
    MODEL_UNSAFE: "llama.cpp crashes or does not come back with a model, as a trial in a process of its own has shown.",
    LORA_INVALID: "A LoRA adapter does not fit its base model or is damaged.",
    MEMORY_EXCEEDED: "A recipe needs more memory than there is, in the machine or on its GPU.",
    CONTEXT_FAILED: "A context could not be created, usually for lack of memory.",
    VOCABULARY_MISMATCH:
        "Members disagree about what a token id means, or a recipe makes the end of a text impossible.",
    TEMPLATE_MISSING: "A prompt template was asked for that the model file does not carry.",
    TEMPLATE_INVALID: "A prompt template cannot be parsed or rendered.",
    // downloads
    DOWNLOAD_FAILED: "A model could not be downloaded to its end; the next attempt goes on from there.",
    MODEL_GATED: "A server gives a model only to those who have access to it.",
    CHECKSUM_MISMATCH: "What was downloaded is not what the hub says it is; it has been deleted.",
    DISK_FULL: "The disk has no room for the models that are to be downloaded.",
    // decoding
    PROMPT_EMPTY: "There is nothing to evaluate: the prompt has no tokens.",
    CONTEXT_OVERFLOW: "The tokens do not fit into the context; the message says how many do.",
    NON_FINITE_LOGITS: "A member produced logits that are not numbers.",
    NO_TOKEN_LEFT: "Filters, biases or masks exclude every token.",
    BUSY: "As many requests wait for a free sequence as may wait.",
    DECODE_FAILED: "llama.cpp failed to evaluate a batch.",
    // evaluation
    EXPERIMENT_NOT_FOUND: "An experiment or family file does not exist or cannot be read.",
    EXPERIMENT_SYNTAX: "An experiment file is not well-formed YAML or JSON.",
    EXPERIMENT_INVALID: "An experiment file is well-formed but has a missing, misspelled or out-of-range entry.",
    RESULTS_BUSY: "Another evaluation is at work in the results folder.",
    RESULTS_MISMATCH: "The results folder holds answers to another experiment, or of other models.",
    TASK_INVALID: "A task file has a line that is not JSON, of no known shape or at odds with the others.",
    PATTERN_UNUSABLE: "A regular expression takes too long on an answer.",
    JUDGE_FAILED: "The judge's endpoint cannot be reached, refuses the request, or keeps failing.",
    JUDGE_VERDICT_INVALID: "The judge model did not give a verdict in the form that it was asked for.",
    // chat
    CHAT_INVALID: "A saved conversation is not JSON, of another version, or has a missing, misspelled or wrong entry.",
    CHAT_BUSY: "An answer was asked for while another was being written, or while a turn waits for results of calls.",
    CHAT_EMPTY: "Something was to be done with the last conversation, turn or answer, and there is none.",
    // Electron
    NOT_LOADED: "An app's page asked for something before the host had loaded a recipe.",
    MESSAGE_INVALID: "A message between a page and the host is malformed, too large, or of another version.",
    CONNECTION_LOST: "The host's process has ended, or the connection to it was closed.",
    // serving
    ADDRESS_UNAVAILABLE: "A server cannot listen at the address or port that it was given.",
    // all
    ABORTED: "The caller's signal aborted the operation.",
    DISPOSED: "The object was used after it had been disposed.",
} as const;

/** One of the keys of {@link ERROR_CODES}. */
export type EftErrorCode = keyof typeof ERROR_CODES;

const MARKER = Symbol.for("eft-llama.error");

/** The only error class of this library. Branch on `code`, show `message`. */
export class EftError extends Error {
    /** `AbortError` where the code is `ABORTED`, as with what Node itself aborts; the cause is the signal's reason then. */
    override readonly name: "EftError" | "AbortError";
    readonly code: EftErrorCode;

    /**
     * @param code - one of {@link ERROR_CODES}
     * @param message - one or two sentences: what is wrong with which file or value, and what to do about it
     * @param options - `cause`: the underlying error, if there is one
     */
    constructor(code: EftErrorCode, message: string, options?: { cause?: unknown }) {
        super(message, options);
        this.code = code;
        this.name = code === "ABORTED" ? "AbortError" : "EftError";
        Object.defineProperty(this, MARKER, { value: true });
    }

    /** Recognises errors of this library even when two copies of it are loaded, as often happens in bundled apps. */
    static isInstance(error: unknown): error is EftError {
        return typeof error === "object" && error !== null && MARKER in error;
    }
}

/**
 * The error of what a signal has ended.
 *
 * @param signal - its reason is the cause
 */
export function abortError(message: string, signal: AbortSignal | undefined): EftError {
    return new EftError("ABORTED", message, { cause: signal?.reason });
}

/**
 * The same error; if it is one of native code, made where no JavaScript runs, with the stack of where it is caught. Behind an
 * `await`, that includes whoever waits.
 */
export function withStack<T>(error: T): T {
    if (EftError.isInstance(error) && !error.stack?.includes("\n    at ")) Error.captureStackTrace(error, withStack);
    return error;
}
