/** The process that holds the ensemble: loads what the main process says and serves any number of renderers. */

import path from "node:path";
import pLimit from "p-limit";
import type { Ensemble } from "../ensemble/ensemble.js";
import { loadEnsemble } from "../ensemble/host.js";
import { string } from "../options.js";
import { EftError } from "../errors.js";
import { loadRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import type { ElectronPort, WebPort } from "./port.js";
import type { Description, HostStatus, MainEvent, MainMessage, RemoteLoadOptions } from "./protocol.js";
import { errorReply, openSession, type Session } from "./session.js";
import { idOf } from "./validate.js";

/** `process.parentPort` of an Electron utility process, as far as it is needed. */
export interface ParentPort {
    on(
        event: "message",
        listener: (event: { readonly data: unknown; readonly ports: readonly (ElectronPort | WebPort)[] }) => void,
    ): unknown;
    postMessage(message: unknown): void;
}

/**
 * Serves the ensemble that the main process loads through `controlHost()`. This is all that the script of the utility
 * process has to do: `startHost(process.parentPort)`.
 */
export function startHost(parent: ParentPort): void {
    const sessions = new Set<Session>();
    let status: HostStatus = { state: "empty" };
    let loading = new AbortController();
    /** The latest load, and whether it has succeeded. */
    let current: Promise<Ensemble> | undefined;
    let ready: Ensemble | undefined;
    /** A recipe that takes long to read must not overtake the one that was asked for after it. */
    const inOrder = pLimit(1);

    const notLoaded = (): EftError =>
        new EftError("NOT_LOADED", "The host has not loaded a recipe yet, or is about to; wait for describe().");
    const source = {
        ensemble() {
            if (ready === undefined) throw notLoaded();
            return ready;
        },
        async describe() {
            if (current === undefined) throw notLoaded();
            return describe(await current);
        },
    };

    function tell(event: MainEvent): void {
        parent.postMessage(event);
    }

    function announce(next: HostStatus): void {
        status = next;
        tell({ type: "status", status });
        for (const session of sessions) session.announce(status);
    }

    /** Ends what was loaded or being loaded. */
    function unload(): Promise<unknown> {
        loading.abort();
        loading = new AbortController();
        ready = undefined;
        const old = current;
        current = undefined;
        return (
            old?.then(
                (ensemble) => ensemble.dispose(),
                () => undefined,
            ) ?? Promise.resolve()
        );
    }

    function load(recipe: Recipe, options: RemoteLoadOptions): Promise<Ensemble> {
        const unloaded = unload();
        const { signal } = loading;
        const report = (next: HostStatus): void => {
            if (!signal.aborted) announce(next);
        };
        let percent = 0;
        const onProgress = (fraction: number): void => {
            if (Math.floor(100 * fraction) === percent) return;
            percent = Math.floor(100 * fraction);
            report({ state: "loading", recipe: recipe.name, progress: fraction });
        };
        report({ state: "loading", recipe: recipe.name, progress: 0 });
        return (current = (async () => {
            await unloaded;
            try {
                const ensemble = await loadEnsemble(recipe, { ...options, onProgress, signal });
                if (!signal.aborted) ready = ensemble;
                report({ state: "ready", recipe: recipe.name });
                return ensemble;
            } catch (error) {
                const { code, message } = errorReply(0, error);
                report({ state: "failed", code, message });
                throw error;
            }
        })());
    }

    async function handle(message: MainMessage, ports: readonly (ElectronPort | WebPort)[]): Promise<void> {
        switch (message.type) {
            case "connect":
                ports.forEach(accept);
                break;
            case "load": {
                const recipe = await inOrder(() => loadRecipe(string("recipe", message.recipe)));
                const ensemble = await load(recipe, message.options);
                tell({ type: "loaded", id: message.id, description: describe(ensemble) });
                break;
            }
            case "dispose":
                await inOrder(unload);
                announce({ state: "empty" });
                tell({ type: "disposed", id: message.id });
                break;
        }
    }

    function accept(port: ElectronPort | WebPort): void {
        const session = openSession(port, source, () => sessions.delete(session));
        sessions.add(session);
        session.announce(status);
    }

    parent.on("message", ({ data, ports }) => {
        const message = data as MainMessage;
        handle(message, ports).catch((error: unknown) => tell(errorReply(idOf(message), error)));
    });
}

function describe({ recipe, backend, contextSize, sequences }: Ensemble): Description {
    const { name, description, combination, members, parameters } = recipe;
    return {
        name,
        ...(description === undefined ? {} : { description }),
        combination: combination.text,
        members: members.map((member) => ({ name: member.name, model: path.basename(member.model) })),
        parameters,
        backend: backend.backend,
        contextSize,
        sequences,
    };
}
