/** A chat model of LangChain. */

import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { ChatModelStreamEvent } from "@langchain/core/language_models/event";
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from "@langchain/core/language_models/base";
import { BaseChatModel, type BindToolsInput, type LangSmithParams } from "@langchain/core/language_models/chat_models";
import {
    assembleStructuredOutputPipeline,
    createContentParser,
    createFunctionCallingParser,
} from "@langchain/core/language_models/structured_output";
import type { AIMessageChunk, BaseMessage } from "@langchain/core/messages";
import { OutputParserException } from "@langchain/core/output_parsers";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import { toJsonSchema } from "@langchain/core/utils/json_schema";
import type { SerializableSchema } from "@langchain/core/utils/standard_schema";
import type { InteropZodType } from "@langchain/core/utils/types";
import { complete } from "../decoding/complete.js";
import type { CompletionOptions, FinishPart } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { answerParts, READ_AHEAD, wholeAnswer, type Said } from "../frameworks/answer.js";
import { useSource, type SourceInUse } from "../frameworks/source.js";
import { checkOneOf, checkOptions } from "../options.js";
import { toChatMessage } from "./messages.js";
import { createChunks, toMessage } from "./output.js";
import { FIELDS, toCompletionOptions, type ChatEftCallOptions, type ChatEftFields } from "./settings.js";

/**
 * A chat model of LangChain that answers with the target of an ensemble. Calls that run at the same time advance in the same steps. Dials and
 * speculation are fields of it, or options of a call: `model.invoke(messages, { parameters: { beta: 1.5 } })`. What a model thinks comes as
 * content blocks of the type `reasoning`.
 *
 * Calls throw what `loadRecipe`, `loadEnsemble` and `complete` throw, DISPOSED after `dispose()`, OPTION_INVALID for content that is not text, and
 * where their signal fires its reason.
 */
export class ChatEft extends BaseChatModel<ChatEftCallOptions> {
    readonly #source: SourceInUse;
    readonly #settings: Omit<ChatEftFields, "model" | "load">;

    static override lc_name(): string {
        return "ChatEft";
    }

    /** @throws EftError OPTION_INVALID */
    constructor(fields: ChatEftFields) {
        const { model, load, ...settings } = checkOptions("ChatEft", fields, FIELDS);
        super(settings);
        this.#source = useSource("model of ChatEft", model, load);
        this.#settings = settings;
    }

    override _llmType(): string {
        return "eft-llama";
    }

    /**
     * Refuses new calls (DISPOSED), waits for those that run, awaited callbacks included, and frees what was loaded; an ensemble of yours
     * stays loaded. A stream runs as long as somebody asks for part after part: it is ended where the reader has stopped, or does
     * something else between two parts, and reading on fails with DISPOSED. May be called again.
     */
    dispose(): Promise<void> {
        return this.#source.dispose();
    }

    /** The same as dispose(), for `await using`. */
    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }

    /** What a call comes to, but for its messages. @throws EftError OPTION_INVALID */
    override invocationParams(call: Partial<this["ParsedCallOptions"]> = {}): Omit<CompletionOptions, "prompt"> {
        return toCompletionOptions(this.#settings, call);
    }

    override getLsParams(call: this["ParsedCallOptions"]): LangSmithParams {
        const { sampling, maxTokens, stop } = this.invocationParams(call);
        return {
            ls_provider: "eft-llama",
            ls_model_name: this.#source.name,
            ls_model_type: "chat",
            ls_temperature: sampling?.temperature,
            ls_max_tokens: maxTokens,
            ls_stop: stop && [...stop],
        };
    }

    override _identifyingParams(): Record<string, unknown> {
        return { model: this.#source.name, ...this.invocationParams() };
    }

    override async _generate(messages: BaseMessage[], call: this["ParsedCallOptions"]): Promise<ChatResult> {
        const { said, end } = await wholeAnswer(this.#source.answer(this.#asking(messages, call)));
        const message = toMessage(said, end, this.#source.name);
        return { generations: [{ text: message.text, message }] };
    }

    override async *_streamResponseChunks(
        messages: BaseMessage[],
        call: this["ParsedCallOptions"],
        runManager?: CallbackManagerForLLMRun,
    ): AsyncGenerator<ChatGenerationChunk> {
        const name = this.#source.name;
        const ask = this.#asking(messages, { readAhead: READ_AHEAD, ...call });
        async function* answer(ensemble: Ensemble): AsyncGenerator<ChatGenerationChunk, void, void> {
            const toChunk = createChunks(name);
            for await (const part of ask(ensemble)) {
                const text = part.type === "text" ? part.text : "";
                const chunk = new ChatGenerationChunk({ text, message: toChunk(part) });
                yield chunk;
                // Within the answer: whoever waits for a callback has asked for the next part, so that dispose() waits for both.
                await runManager?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk });
            }
        }
        yield* this.#source.answer(answer);
    }

    /** Read at once: LangChain keeps all events until the end, and may wait for callbacks between two. */
    override async *_streamChatModelEvents(
        ...call: Parameters<BaseChatModel["_streamChatModelEvents"]>
    ): AsyncGenerator<ChatModelStreamEvent> {
        const events = ReadableStream.from(super._streamChatModelEvents(...call));
        const kept = new CountQueuingStrategy({ highWaterMark: Infinity });
        yield* events.pipeThrough(new TransformStream({}, undefined, kept));
    }

    /** @throws EftError OPTION_INVALID; the signal's reason, where it has fired */
    #asking(
        messages: BaseMessage[],
        call: this["ParsedCallOptions"],
    ): (ensemble: Ensemble) => AsyncGenerator<Said | FinishPart, void, void> {
        const { signal } = call;
        signal?.throwIfAborted();
        const options = { ...this.invocationParams(call), prompt: messages.map(toChatMessage), signal };
        return (ensemble) => answerParts(complete(ensemble, options), signal);
    }

    override bindTools(tools: BindToolsInput[], options: Partial<ChatEftCallOptions> = {}): Answering<AIMessageChunk> {
        return this.withConfig({ tools, ...options });
    }

    /**
     * Answers with an object or list of a schema: a zod type, another that knows its JSON schema, or a JSON schema. By the method
     * `jsonSchema`, which is the default, the text is JSON of it; by `functionCalling` a call has it as arguments, which has to be an
     * object; by `jsonMode` the text is any JSON. An answer that was cut before its end is LangChain's error OUTPUT_PARSING_FAILURE.
     */
    override withStructuredOutput<Output extends Structure = Record<string, unknown>>(
        schema: Schema<Output>,
        config?: StructuredOutputMethodOptions<false>,
    ): Answering<Output>;
    override withStructuredOutput<Output extends Structure = Record<string, unknown>>(
        schema: Schema<Output>,
        config?: StructuredOutputMethodOptions<true>,
    ): Answering<{ raw: BaseMessage; parsed: Output }>;
    override withStructuredOutput<Output extends Structure>(
        schema: Schema<Output>,
        { name = "extract", method = "jsonSchema", includeRaw }: StructuredOutputMethodOptions<boolean> = {},
    ) {
        checkOneOf("method of withStructuredOutput", method, ["jsonSchema", "functionCalling", "jsonMode"]);
        const jsonSchema = toSchema(schema);
        const { description = "" } = jsonSchema;
        const tools = [{ type: "function", function: { name, description, parameters: jsonSchema } }];
        const isCall = method === "functionCalling";
        const model = this.withConfig({
            ...(isCall ? { tools, tool_choice: name } : { jsonSchema: method === "jsonMode" ? true : jsonSchema }),
            ls_structured_output_format: { kwargs: { method }, schema: jsonSchema },
        });
        const parser = isCall
            ? createFunctionCallingParser<Output>(schema, name).pipe<Output>(whatWasCalled)
            : createContentParser<Output>(schema);
        return assembleStructuredOutputPipeline<Output>(model, parser, includeRaw);
    }
}

type Answering<Output> = Runnable<BaseLanguageModelInput, Output, ChatEftCallOptions>;
/** Objects and lists. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- lists have no index by text but of this type
type Structure = Record<string, any>;
type Schema<Output extends Structure> =
    InteropZodType<Output, unknown> | SerializableSchema<Output> | Record<string, unknown>;

/** LangChain's own parser gives undefined for an answer without a call. */
function whatWasCalled<Output>(output: Output | undefined): Output {
    if (output !== undefined) return output;
    throw new OutputParserException(
        "The answer has no whole call; it was cut off, perhaps at maxTokens or by the context.",
    );
}

/** LangChain's own conversion has no end where a type of zod contains itself. */
function toSchema<Output extends Structure>(schema: Schema<Output>): Readonly<Record<string, unknown>> {
    const { toJSONSchema: own } = schema as { toJSONSchema?: unknown };
    return (typeof own === "function" ? own.call(schema, { io: "input" }) : toJsonSchema(schema)) as Readonly<
        Record<string, unknown>
    >;
}
