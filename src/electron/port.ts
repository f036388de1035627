/**
 * Message ports of Electron's main side, of web pages and of Node's worker threads, as one: they differ in how messages are
 * listened for. Works in pages too.
 */

/** What Electron's `MessagePortMain` has and this library needs. */
export interface ElectronPort {
    on(event: "message", listener: (event: { readonly data: unknown }) => void): unknown;
    on(event: "close", listener: () => void): unknown;
    postMessage(message: unknown): void;
    start(): void;
    close(): void;
}

/** What `MessagePort` of web pages and of `node:worker_threads` has and this library needs. */
export interface WebPort {
    addEventListener(event: "message", listener: (event: { readonly data: unknown }) => void): void;
    addEventListener(event: "close", listener: () => void): void;
    postMessage(message: unknown): void;
    start(): void;
    close(): void;
}

/** One end of a connection. */
export interface Channel<Outgoing> {
    /** Does nothing once the connection is closed. */
    readonly send: (message: Outgoing) => void;
    readonly close: () => void;
}

/**
 * Opens a port.
 *
 * @param receive - called for each message, in order
 * @param closed - called once, when either end has closed the connection or the other end's process is gone
 */
export function openPort<Outgoing>(
    port: ElectronPort | WebPort,
    receive: (message: unknown) => void,
    closed: () => void,
): Channel<Outgoing> {
    let open = true;
    const listener = (event: { readonly data: unknown }): void => {
        if (open) receive(event.data);
    };
    const end = (): void => {
        if (!open) return;
        open = false;
        closed();
    };
    // Node's ports have both methods, and hand bare messages to the listeners of on().
    if ("addEventListener" in port) {
        port.addEventListener("message", listener);
        port.addEventListener("close", end);
    } else {
        port.on("message", listener);
        port.on("close", end);
    }
    port.start();
    return {
        send: (message) => {
            if (open) port.postMessage(message);
        },
        close: () => {
            end();
            port.close();
        },
    };
}
