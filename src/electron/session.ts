/** The host's side of one renderer: its completions, which end when it goes away. */

import { complete } from "../decoding/complete.js";
import type { Completion } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { EftError } from "../errors.js";
import { toEftError } from "../native/native-error.js";
import { openPort, type ElectronPort, type WebPort } from "./port.js";
import {
    WINDOW,
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

interface RunningCompletion extends Pick<Window, "room" | "taken"> {
    readonly completion: Completion;
    readonly abort: () => void;
}

/** @param closed - called once, when the renderer is gone; what it had running is being aborted then */
export function openSession(port: ElectronPort | WebPort, source: Source, closed: () => void): Session {
    const running = new Map<number, RunningCompletion>();
    const channel = openPort<RendererEvent>(port, receive, () => {
        for (const { abort } of running.values()) abort();
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
                void run(message.id, start(message.id, message.options));
                break;
            case "taken":
                running.get(message.completion)?.taken();
                break;
            case "setParameters":
                running.get(message.completion)?.completion.setParameters(message.values);
                channel.send({ type: "parametersSet", id: message.id });
                break;
            case "abort":
                running.get(message.completion)?.abort();
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

    function start(id: number, options: RemoteOptions): RunningCompletion {
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
        const completion = complete(source.ensemble(), { ...options, signal: controller.signal });
        const { room, taken, open } = createWindow(WINDOW);
        const abort = (): void => {
            controller.abort();
            open();
        };
        const entry = { completion, abort, room, taken };
        running.set(id, entry);
        return entry;
    }

    async function run(id: number, { completion, room }: RunningCompletion): Promise<void> {
        try {
            for await (const part of completion) {
                channel.send({ type: "part", id, part });
                if (part.type === "token") await room();
            }
        } catch (error) {
            channel.send(errorReply(id, error));
        } finally {
            running.delete(id);
        }
    }

    return { announce: (status) => channel.send({ type: "status", status }) };
}

export function errorReply(id: number, error: unknown): ErrorReply {
    const { code, message } = toEftError(error);
    return { type: "error", id, code, message };
}

/** How far the host may run ahead of a renderer that takes parts. */
interface Window {
    /** A part has been sent: waits until there is room for another one. */
    readonly room: () => Promise<void>;
    readonly taken: () => void;
    /** Lets everything through from now on. */
    readonly open: () => void;
}

function createWindow(size: number): Window {
    let left = size;
    let isOpen = false;
    let wake = (): void => undefined;
    return {
        async room() {
            left -= 1;
            while (left <= 0 && !isOpen) await new Promise<void>((resolve) => (wake = resolve));
        },
        taken() {
            left = Math.min(size, left + 1);
            wake();
        },
        open() {
            isOpen = true;
            wake();
        },
    };
}
