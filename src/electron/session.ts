/** The host's side of one renderer: its completions, which end when it goes away. */

import { complete } from "../decoding/complete.js";
import type { Completion } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { EftError } from "../errors.js";
import { toEftError } from "../native/native-error.js";
import { openPort, type ElectronPort, type WebPort } from "./port.js";
import {
    READ_AHEAD,
    type Description,
    type ErrorReply,
    type HostStatus,
    type RemoteOptions,
    type RendererEvent,
    type RendererMessage,
} from "./protocol.js";
import { checkRendererMessage, idOf } from "./validate.js";

/** Completions of one renderer that may be open at once. */
export const MAX_COMPLETIONS = 64;

/** What a session needs of its host. */
export interface Source {
    /** @throws EftError NOT_LOADED */
    readonly ensemble: () => Ensemble;
    /** Waits while models are loaded. @throws EftError NOT_LOADED, or why loading failed */
    readonly describe: () => Promise<Description>;
}

/** One connected renderer. */
export interface Session {
    readonly announce: (status: HostStatus) => void;
}

interface RunningCompletion {
    readonly completion: Completion;
    readonly abort: () => void;
    /** Whether a part has been asked for that has not been sent. */
    isAsked: boolean;
}

/** @param closed - called once, when the renderer is gone; what it had running is being aborted then */
export function openSession(port: ElectronPort | WebPort, source: Source, closed: () => void): Session {
    const running = new Map<number, RunningCompletion>();
    const channel = openPort<RendererEvent>(port, receive, () => {
        for (const id of running.keys()) leave(id);
        closed();
    });

    function receive(message: unknown): void {
        try {
            checkRendererMessage(message);
            handle(message);
        } catch (error) {
            channel.send(errorReply(idOf(message), error));
        }
    }

    function handle(message: RendererMessage): void {
        switch (message.type) {
            case "describe":
                void describe(message.id);
                break;
            case "complete":
                start(message.id, message.options);
                void advance(message.id);
                break;
            case "next":
                void advance(message.completion);
                break;
            case "setParameters":
                running.get(message.completion)?.completion.setParameters(message.values);
                channel.send({ type: "parametersSet", id: message.id });
                break;
            case "abort":
                running.get(message.completion)?.abort();
                break;
            case "leave":
                leave(message.completion);
                break;
        }
    }

    async function describe(id: number): Promise<void> {
        try {
            channel.send({ type: "description", id, description: await source.describe() });
        } catch (error) {
            channel.send(errorReply(id, error));
        }
    }

    function start(id: number, options: RemoteOptions): void {
        if (running.has(id)) {
            throw new EftError(
                "MESSAGE_INVALID",
                `A completion with the id ${id} is still running; choose another id.`,
            );
        }
        if (running.size >= MAX_COMPLETIONS) {
            throw new EftError(
                "MESSAGE_INVALID",
                `A renderer may have ${MAX_COMPLETIONS} completions at once; wait until one of them has ended.`,
            );
        }
        const controller = new AbortController();
        const readAhead = Math.min(options.readAhead ?? READ_AHEAD, READ_AHEAD);
        const completion = complete(source.ensemble(), { ...options, readAhead, signal: controller.signal });
        running.set(id, { completion, abort: () => controller.abort(), isAsked: false });
    }

    async function advance(id: number): Promise<void> {
        const entry = running.get(id);
        // One at a time, so that nothing piles up, whatever a page asks for.
        if (entry === undefined || entry.isAsked) return;
        entry.isAsked = true;
        let isOver = true;
        try {
            const { value: part } = await entry.completion.next();
            if (part === undefined) return;
            isOver = part.type === "finish";
            // It may have been left meanwhile.
            if (running.get(id) === entry) channel.send({ type: "part", id, part });
        } catch (error) {
            if (running.get(id) === entry) channel.send(errorReply(id, error));
        } finally {
            entry.isAsked = false;
            if (isOver && running.get(id) === entry) running.delete(id);
        }
    }

    function leave(id: number): void {
        const entry = running.get(id);
        running.delete(id);
        entry?.abort();
        // Nobody is there who could be told what went wrong.
        entry?.completion.return().catch(() => undefined);
    }

    return { announce: (status) => channel.send({ type: "status", status }) };
}

export function errorReply(id: number, error: unknown): ErrorReply {
    const { code, message } = toEftError(error);
    return { type: "error", id, code, message };
}
