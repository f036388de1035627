/**
 * What renderers, the host and the main process say to each other: plain data that survives the structured clone of message
 * ports. Works in pages too.
 */

import type { CompletionOptions, CompletionPart } from "../decoding/completion.js";
import type { SpeculationOptions } from "../decoding/drafter.js";
import type { LoadOptions } from "../ensemble/options.js";
import type { EftErrorCode } from "../errors.js";
import type { ChatMessage } from "../prompts/messages.js";
import type { ParameterSpec } from "../types.js";

/** Version of the protocol; every message of a renderer carries it, and the host refuses others. */
export const PROTOCOL = 1;

/**
 * How many tokens the host runs ahead of a renderer, at most. Enough for completions of one renderer to meet in the same steps in
 * spite of the way back, and little enough for nothing to pile up.
 */
export const READ_AHEAD = 16;

/**
 * {@link CompletionOptions} without what cannot cross a process: functions and signals. A prompt has at most 4,194,304
 * characters in 10,000 messages, template variables and other data included, or so many token ids; `parameters`, `sampling` and `logitBias` have at most 1000 entries each.
 * `readAhead` is {@link READ_AHEAD} by default, and at most.
 */
export interface RemoteOptions extends Omit<CompletionOptions, "prompt" | "signal" | "speculation"> {
    /** With `raw` also token ids, in a list: `Array.from(ids)` of a typed array. */
    readonly prompt: string | readonly ChatMessage[] | readonly number[];
    readonly speculation?:
        boolean | (Omit<SpeculationOptions, "lookup"> & { readonly lookup?: boolean | undefined }) | undefined;
}

/** {@link LoadOptions} without what cannot cross a process. */
export type RemoteLoadOptions = Omit<LoadOptions, "onProgress" | "onTrial" | "signal">;

/** What a renderer may know about the loaded recipe. No paths: a renderer has no business with them. */
export interface Description {
    readonly name: string;
    readonly description?: string;
    /** As the recipe says it. */
    readonly combination: string;
    readonly members: readonly {
        readonly name: string;
        /** Name of the GGUF file, without its folder. */
        readonly model: string;
    }[];
    /** The dials: range, default and what each does. */
    readonly parameters: Readonly<Record<string, ParameterSpec>>;
    /** `cpu`, `vulkan`, `cuda` or `metal`. */
    readonly backend: string;
    /** Tokens that prompt and text of one completion have together. */
    readonly contextSize: number;
    /** Completions that advance together; more of them wait. */
    readonly sequences: number;
}

/** What the host is doing. */
export type HostStatus =
    | { readonly state: "empty" }
    /** `progress`: 0..1 */
    | { readonly state: "loading"; readonly recipe: string; readonly progress: number }
    | { readonly state: "ready"; readonly recipe: string }
    | { readonly state: "failed"; readonly code: EftErrorCode; readonly message: string };

/** A request that failed; `id` is that of the request, 0 where it had none that can be read. */
export interface ErrorReply {
    readonly type: "error";
    readonly id: number;
    readonly code: EftErrorCode;
    readonly message: string;
}

/**
 * From a renderer to the host. `id` is a number that the renderer chooses, another one for each request that is answered;
 * `completion` is the id of a `complete`. What concerns a completion that has ended has no effect and is no error.
 */
export type RendererMessage = { readonly protocol: typeof PROTOCOL } & (
    | { readonly type: "describe"; readonly id: number }
    /** Starts a completion and asks for its first part. It may run {@link READ_AHEAD} tokens ahead. */
    | { readonly type: "complete"; readonly id: number; readonly options: RemoteOptions }
    /** Asks for the next part, once the one before has come. */
    | { readonly type: "next"; readonly completion: number }
    /** Turns dials of a running completion; takes effect at the next part that is asked for. */
    | {
          readonly type: "setParameters";
          readonly id: number;
          readonly completion: number;
          readonly values: Readonly<Record<string, number>>;
      }
    /** Ends a completion with the finish reason `abort`; its last parts are still to be asked for. */
    | { readonly type: "abort"; readonly completion: number }
    /** Ends a completion of which nothing more is wanted. */
    | { readonly type: "leave"; readonly completion: number }
);

/** Answers of the host to a renderer. A completion ends with a part of the type `finish`, or with an error. */
export type RendererReply =
    | { readonly type: "description"; readonly id: number; readonly description: Description }
    | { readonly type: "part"; readonly id: number; readonly part: CompletionPart }
    | { readonly type: "parametersSet"; readonly id: number }
    | ErrorReply;

/** What the host says unasked, at first and at every change. */
export interface StatusMessage {
    readonly type: "status";
    readonly status: HostStatus;
}

/** From the host to a renderer. */
export type RendererEvent = RendererReply | StatusMessage;

/** From the main process, which alone chooses files, to the host. The port of `connect` is transferred with it. */
export type MainMessage =
    | { readonly type: "load"; readonly id: number; readonly recipe: string; readonly options: RemoteLoadOptions }
    | { readonly type: "connect" }
    | { readonly type: "dispose"; readonly id: number };

/** Answers of the host to the main process. */
export type MainReply =
    | { readonly type: "loaded"; readonly id: number; readonly description: Description }
    | { readonly type: "disposed"; readonly id: number }
    | ErrorReply;

/** From the host to the main process. */
export type MainEvent = MainReply | StatusMessage;
