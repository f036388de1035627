/** A language model of the AI SDK. */

import type {
    LanguageModelV3,
    LanguageModelV3Content,
    LanguageModelV3FinishReason,
    LanguageModelV3StreamPart,
    LanguageModelV3Usage,
    SharedV3ProviderMetadata,
    SharedV3Warning,
} from "@ai-sdk/provider";
import { complete } from "../decoding/complete.js";
import type { FinishPart, ToolCallPart } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { LoadOptions } from "../ensemble/options.js";
import { answerParts, READ_AHEAD, wholeAnswer, type Said } from "../frameworks/answer.js";
import { useSource, type ModelSource } from "../frameworks/source.js";
import { toCompletionOptions, type CallOptions } from "./prompt.js";

/** A model for `generateText`, `streamText` and the like. Created by {@link createEftModel}. */
export interface EftModel extends LanguageModelV3 {
    readonly provider: "eft-llama";
    /**
     * Refuses new calls (DISPOSED), waits for those that run, and frees what was loaded; an ensemble of yours stays loaded. A stream
     * runs as long as somebody asks for part after part: it is ended where the reader has stopped, or does something else between two
     * parts (in an `onChunk` that is awaited, too), and reading on fails with DISPOSED. May be called again.
     */
    dispose(): Promise<void>;
    /** The same as dispose(), for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A model of the AI SDK (specification v3, which versions 6 and 7 of `ai` take) that answers with the target of an ensemble. Calls that run at
 * the same time advance in the same steps. Dials, speculation and what else the AI SDK has no words for are given with each call:
 * `providerOptions: { eft: { parameters: { beta: 1.5 }, speculation: true } }`, of the type `EftOptions`.
 *
 * @param source - a loaded ensemble, which stays yours to dispose of; or a recipe, the name of a built-in one or the path of a recipe
 *   file, which the model loads at its first call
 * @param options - how a recipe is loaded
 * @throws EftError OPTION_INVALID. Calls throw what `loadRecipe`, `loadEnsemble` and `complete` throw, DISPOSED after `dispose()`, and where
 *   their signal fires its reason; streams, which begin when they are read, end with it
 */
export function createEftModel(source: ModelSource, options: LoadOptions = {}): EftModel {
    const used = useSource("createEftModel", source, options);
    function start(call: CallOptions, readAhead: number) {
        const { abortSignal: signal } = call;
        signal?.throwIfAborted();
        const { options, warnings } = toCompletionOptions(call);
        const answer = (ensemble: Ensemble) => answerParts(complete(ensemble, { readAhead, ...options }), signal);
        return { parts: used.answer(answer), warnings };
    }
    return {
        specificationVersion: "v3",
        provider: "eft-llama",
        modelId: used.name,
        supportedUrls: {},
        async doGenerate(call) {
            const { parts, warnings } = start(call, 0);
            const { said, end } = await wholeAnswer(parts);
            return { content: said.map(toContent), warnings, ...toEnding(end) };
        },
        // eslint-disable-next-line @typescript-eslint/require-await -- what start throws is to reject
        async doStream(call) {
            const { parts, warnings } = start(call, READ_AHEAD);
            const told = { warnings, modelId: used.name, signal: call.abortSignal };
            return { stream: ReadableStream.from(toStreamParts(parts, told)) };
        },
        dispose: () => used.dispose(),
        [Symbol.asyncDispose]: () => used.dispose(),
    };
}

async function* toStreamParts(
    parts: AsyncIterable<Said | FinishPart>,
    { warnings, modelId, signal }: { warnings: SharedV3Warning[]; modelId: string; signal: AbortSignal | undefined },
): AsyncGenerator<LanguageModelV3StreamPart, void, void> {
    yield { type: "stream-start", warnings };
    yield { type: "response-metadata", modelId, timestamp: new Date() };
    /** The block that is being written; its id is its number. */
    let open: "text" | "reasoning" | undefined;
    let blocks = 0;
    try {
        for await (const part of parts) {
            const type = part.type === "text" ? "text" : part.type === "thinking" ? "reasoning" : undefined;
            if (open !== undefined && open !== type) yield { type: `${open}-end`, id: `${blocks}` };
            if (type !== undefined && open !== type) yield { type: `${type}-start`, id: `${++blocks}` };
            open = type;
            if (part.type === "finish") {
                yield { type: "finish", ...toEnding(part) };
            } else if (part.type === "tool-call") {
                const call = toToolCall(part);
                yield { type: "tool-input-start", id: call.toolCallId, toolName: call.toolName };
                yield { type: "tool-input-delta", id: call.toolCallId, delta: call.input };
                yield { type: "tool-input-end", id: call.toolCallId };
                yield call;
            } else {
                yield { type: `${open ?? "text"}-delta`, id: `${blocks}`, delta: part.text };
            }
        }
    } catch (error) {
        if (signal?.aborted) throw error;
        yield { type: "error", error };
        yield { type: "finish", usage: UNKNOWN_USAGE, finishReason: { unified: "error", raw: undefined } };
    }
}

const UNKNOWN_USAGE: LanguageModelV3Usage = {
    inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};

function toContent(part: Said): LanguageModelV3Content {
    if (part.type === "tool-call") return toToolCall(part);
    return { type: part.type === "text" ? "text" : "reasoning", text: part.text };
}

function toToolCall({ id, name, arguments: input }: ToolCallPart) {
    return { type: "tool-call" as const, toolCallId: id, toolName: name, input: JSON.stringify(input) };
}

function toEnding({ reason, seed, stoppedBy, timings, speculation, exactness, usage }: FinishPart): {
    readonly finishReason: LanguageModelV3FinishReason;
    readonly usage: LanguageModelV3Usage;
    readonly providerMetadata: SharedV3ProviderMetadata;
} {
    const { promptTokens: input, reusedTokens: cached, completionTokens: output, thinkingTokens: thinking } = usage;
    // Whoever aborts gets the signal's reason and no ending.
    const unified = reason === "abort" ? "other" : reason;
    const eft = {
        ...{ seed, timings },
        ...(stoppedBy !== undefined && { stoppedBy }),
        ...(exactness && { exactness }),
        ...(speculation && { speculation }),
    };
    return {
        finishReason: { unified, raw: reason },
        usage: {
            inputTokens: { total: input, noCache: input - cached, cacheRead: cached, cacheWrite: undefined },
            outputTokens: { total: output, text: output - thinking, reasoning: thinking },
        },
        providerMetadata: { eft: eft as unknown as SharedV3ProviderMetadata[string] },
    };
}
