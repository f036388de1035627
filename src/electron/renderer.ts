/**
 * The renderer's end: an ensemble in another process, used as if it were in this one. Imports nothing of Node, so that a
 * sandboxed page can load it as it is.
 *
 * @packageDocumentation
 */

import { toCompletion, type CompletionPart, type TextSource } from "../decoding/completion.js";
import { readSchema, type JsonSchema } from "../grammar/schema-source.js";
import { createRequests } from "./inbox.js";
import { openPort, type ElectronPort, type WebPort } from "./port.js";
import {
    PROTOCOL,
    type Description,
    type HostStatus,
    type RemoteOptions,
    type RendererEvent,
    type RendererMessage,
    type RendererReply,
} from "./protocol.js";

export type {
    CompletionPart,
    FinishPart,
    FinishReason,
    TextBytes,
    TextSource,
    ThinkingPart,
    TokenPart,
    TokenUsage,
    ToolCallPart,
} from "../decoding/completion.js";
export { EftError, type EftErrorCode } from "../errors.js";
export type { ElectronPort, WebPort } from "./port.js";
export type { Description, HostStatus, RemoteOptions } from "./protocol.js";

/** Called by the connection; none may throw. */
export interface ConnectOptions {
    /** At first and at every change. */
    readonly onStatus?: (status: HostStatus) => void;
    /** Once, when the host is gone or either end has closed the connection. */
    readonly onClose?: () => void;
}

/** Parts as they come, like those of the library's `complete()`; leaving the loop early stops the generation. */
export interface RemoteCompletion extends AsyncGenerator<CompletionPart, void, void>, TextSource {
    /**
     * Turns this completion's dials; takes effect at the next part that is asked for. On a completion that has ended it has no effect.
     *
     * @throws EftError PARAMETER_*, CONNECTION_LOST
     */
    setParameters(values: Readonly<Record<string, number>>): Promise<void>;
    /** Stops the generation, as leaving the loop does; for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}

/** The ensemble that the host has loaded. */
export interface RemoteEnsemble {
    /** Members, combination and dials; waits while models are loaded. @throws EftError NOT_LOADED, or why loading failed */
    describe(): Promise<Description>;
    /**
     * Generates text. Nothing is sent before the first part is asked for; several may run at once.
     *
     * @param options - `signal` ends the completion with the finish reason `abort`
     * @throws EftError from the iterator: what the library's `complete()` throws, and NOT_LOADED, MESSAGE_INVALID,
     * CONNECTION_LOST
     */
    complete(options: RemoteOptions & { readonly signal?: AbortSignal | undefined }): RemoteCompletion;
    /** Closes the connection; what runs is aborted. */
    close(): void;
}

/** Talks to a host through a port that the main process has connected to it. */
export function connect(port: WebPort | ElectronPort, options: ConnectOptions = {}): RemoteEnsemble {
    const requests = createRequests<RendererReply>();
    const channel = openPort<RendererMessage>(
        port,
        (message) => {
            const event = message as RendererEvent;
            if (event.type === "status") options.onStatus?.(event.status);
            else requests.deliver(event);
        },
        () => {
            requests.fail("The connection to the host of the ensemble is closed; open another one.");
            options.onClose?.();
        },
    );
    const send = (message: WithoutProtocol<RendererMessage>): void => channel.send({ protocol: PROTOCOL, ...message });

    function complete({
        signal,
        jsonSchema,
        ...request
    }: RemoteOptions & { readonly signal?: AbortSignal | undefined }): RemoteCompletion {
        const id = requests.nextId();
        const dials = { ...request.parameters };
        let started = false;
        async function* parts(): AsyncGenerator<CompletionPart, void, void> {
            started = true;
            // What knows its schema stays here, and the schema goes.
            const schema = jsonSchema === undefined ? {} : { jsonSchema: readSchema(jsonSchema) as JsonSchema };
            const inbox = requests.open(id);
            const abort = (): void => send({ type: "abort", completion: id });
            try {
                send({ type: "complete", id, options: { ...request, ...schema, parameters: dials } });
                signal?.addEventListener("abort", abort);
                if (signal?.aborted) abort();
                for (;;) {
                    const reply = await inbox.take();
                    if (reply.type !== "part") continue;
                    yield reply.part;
                    if (reply.part.type === "finish") return;
                    send({ type: "next", completion: id });
                }
            } finally {
                signal?.removeEventListener("abort", abort);
                requests.close(id);
                send({ type: "leave", completion: id });
            }
        }
        return toCompletion(parts(), {
            async setParameters(values: Readonly<Record<string, number>>): Promise<void> {
                if (!started) Object.assign(dials, values);
                else
                    await requests.ask((request) =>
                        send({ type: "setParameters", id: request, completion: id, values }),
                    );
            },
        });
    }

    return {
        complete,
        async describe() {
            const reply = await requests.ask((id) => send({ type: "describe", id }));
            return (reply as Extract<RendererReply, { type: "description" }>).description;
        },
        close: channel.close,
    };
}

type WithoutProtocol<Message> = Message extends unknown ? Omit<Message, "protocol"> : never;
