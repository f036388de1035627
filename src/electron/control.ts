/** The main process's end: starts loading, and connects renderers to the host. */

import { createRequests } from "./inbox.js";
import type { ElectronPort, WebPort } from "./port.js";
import type { Description, HostStatus, MainEvent, MainMessage, MainReply, RemoteLoadOptions } from "./protocol.js";

/** Electron's `UtilityProcess`, as far as it is needed. */
export interface HostProcess {
    postMessage(message: unknown, transfer?: (ElectronPort | WebPort)[]): void;
    on(event: "message", listener: (message: unknown) => void): unknown;
    once(event: "exit", listener: (code: number) => void): unknown;
}

/** The host, as the main process sees it. */
export interface HostControl {
    /**
     * Loads a recipe in the place of the one before, whose completions fail with DISPOSED. A recipe that cannot be read
     * changes nothing; the models of the old one are let go before those of the new one are loaded, so that memory never
     * holds both.
     *
     * @param recipe - path of a recipe file, or the name of a built-in one; never let a page choose it freely
     * @throws EftError RECIPE_*, COMBINATION_*, what `loadEnsemble()` throws; ABORTED if another one is loaded meanwhile;
     * CONNECTION_LOST if the process ends
     */
    load(recipe: string, options?: RemoteLoadOptions): Promise<Description>;
    /** Gives one end of a `MessageChannelMain` to the host; the other one goes to a renderer. */
    connect(port: ElectronPort | WebPort): void;
    /** Frees the models. The process stays; `kill()` ends it. @throws EftError CONNECTION_LOST */
    dispose(): Promise<void>;
}

/**
 * Controls a utility process that runs `startHost()`.
 *
 * @param onStatus - called at every change
 */
export function controlHost(host: HostProcess, onStatus?: (status: HostStatus) => void): HostControl {
    const requests = createRequests<MainReply>();
    host.on("message", (message) => {
        const event = message as MainEvent;
        if (event.type === "status") onStatus?.(event.status);
        else requests.deliver(event);
    });
    host.once("exit", (code) => requests.fail(`The host's process has ended with code ${code}; start another one.`));
    const send = (message: MainMessage, ports?: (ElectronPort | WebPort)[]): void => host.postMessage(message, ports);
    return {
        async load(recipe, options = {}) {
            const reply = await requests.ask((id) => send({ type: "load", id, recipe, options }));
            return (reply as Extract<MainReply, { type: "loaded" }>).description;
        },
        connect: (port) => send({ type: "connect" }, [port]),
        async dispose() {
            await requests.ask((id) => send({ type: "dispose", id }));
        },
    };
}
