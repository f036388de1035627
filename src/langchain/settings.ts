/** What a chat model and its calls can be told, and what a completion makes of it. */

import type {
    BaseChatModelCallOptions,
    BaseChatModelParams,
    BindToolsInput,
} from "@langchain/core/language_models/chat_models";
import type { CompletionOptions } from "../decoding/completion.js";
import { LOAD_OPTIONS, type LoadOptions } from "../ensemble/options.js";
import type { EftOptions } from "../frameworks/answer.js";
import type { ModelSource } from "../frameworks/source.js";
import { COMPLETION_OPTIONS } from "../decoding/complete.js";
import { EftError } from "../errors.js";
import { meant, optionsOf, unchecked, type Check, type OptionTable } from "../options.js";
import { toToolChoice, toTools } from "./messages.js";

/** What the constructor takes for all calls, and a call for itself. Objects overlay each other, later ones winning. */
export interface ChatEftSettings extends EftOptions {
    /** Range 0..100. Default: the recipe's. The same as `sampling: { temperature }`. */
    readonly temperature?: number | undefined;
    /** Most tokens to generate. Default: as many as the context holds. */
    readonly maxTokens?: number | undefined;
    /** 0 .. 2^53 - 1: the same seed gives the same text. Default: a random one, reported in `response_metadata`. */
    readonly seed?: number | undefined;
}

/** What a call takes. */
export interface ChatEftCallOptions extends BaseChatModelCallOptions, ChatEftSettings {
    readonly tools?: readonly BindToolsInput[] | undefined;
    /** The text is JSON of this schema. */
    readonly jsonSchema?: CompletionOptions["jsonSchema"];
}

/** What {@link ChatEft} is made of. */
export interface ChatEftFields extends BaseChatModelParams, ChatEftSettings {
    /** A loaded ensemble, which stays yours to dispose of; or a recipe, which is loaded at the first call. */
    readonly model: ModelSource;
    /** How a recipe is loaded. */
    readonly load?: LoadOptions | undefined;
    /** Texts that end an answer; they are not part of it. At most 16. */
    readonly stop?: readonly string[] | undefined;
}

const { parameters, sampling, speculation } = COMPLETION_OPTIONS;
/** What the model and its calls have in common. */
const SHARED = {
    ...{ stop: unchecked, temperature: unchecked, maxTokens: unchecked, seed: unchecked },
    ...{ parameters, sampling, speculation, templateVariables: unchecked, conservativeTopP: unchecked },
    ...{ logitBias: unchecked, grammar: unchecked, readAhead: unchecked },
};

/** What there is; other values are checked where they are used, by us or, from `cache` on, by LangChain. */
export const FIELDS: OptionTable<ChatEftFields> = {
    ...{ model: unchecked, load: optionsOf<LoadOptions>("load of ChatEft", LOAD_OPTIONS), ...SHARED },
    ...{
        cache: unchecked,
        callbacks: unchecked,
        callbackManager: unchecked,
        disableStreaming: unchecked,
        tags: unchecked,
    },
    ...{ maxConcurrency: unchecked, maxRetries: unchecked, onFailedAttempt: unchecked, metadata: unchecked },
    ...{ outputVersion: unchecked, verbose: unchecked },
};

/** `store` is LangGraph's and no slip, however close it is to `stop`. */
const CALL: Readonly<Record<string, Check<unknown>>> = {
    ...SHARED,
    ...{ tools: unchecked, jsonSchema: unchecked, store: unchecked },
};

/** What others are told with a call passes; what resembles an option of ours is a slip. */
function checkNames(call: Partial<ChatEftCallOptions>): void {
    for (const [name, value] of Object.entries<unknown>(call)) {
        if (value === undefined || name in CALL) continue;
        const guess = meant(name, CALL);
        if (guess !== undefined)
            throw new EftError("OPTION_INVALID", `A call of ChatEft has no option ${name}; ${guess}`);
    }
}

/**
 * @param own - the model's, which the call's overlay
 * @throws EftError OPTION_INVALID
 */
export function toCompletionOptions(
    own: Omit<ChatEftFields, "model">,
    call: Partial<ChatEftCallOptions>,
): Omit<CompletionOptions, "prompt"> {
    checkNames(call);
    const { tools, tool_choice: choice } = call;
    const samplingOf = ({ temperature, sampling }: ChatEftSettings) => ({
        ...(temperature !== undefined && { temperature }),
        ...sampling,
    });
    const latest = <Name extends keyof ChatEftSettings>(name: Name) => call[name] ?? own[name];
    return {
        parameters: { ...own.parameters, ...call.parameters },
        sampling: { ...samplingOf(own), ...samplingOf(call) },
        templateVariables: { ...own.templateVariables, ...call.templateVariables },
        speculation: latest("speculation"),
        logitBias: latest("logitBias"),
        grammar: latest("grammar"),
        readAhead: latest("readAhead"),
        conservativeTopP: latest("conservativeTopP"),
        maxTokens: latest("maxTokens"),
        seed: latest("seed"),
        stop: call.stop ?? own.stop,
        jsonSchema: call.jsonSchema,
        ...(tools !== undefined && tools.length > 0 && { tools: toTools(tools) }),
        ...(choice != null && { toolChoice: toToolChoice(choice) }),
    };
}
