/** Electron without Electron: its processes and ports, played by Node's. */

import { fork, type ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import {
    controlHost,
    type ElectronPort,
    type HostControl,
    type HostProcess,
    type HostStatus,
    type WebPort,
} from "../../src/electron/index.js";
import { connect, type ConnectOptions, type RemoteEnsemble } from "../../src/electron/renderer.js";
import { repository } from "./demo.js";

/** The example app as a user has it: a folder with the package in its `node_modules`. */
export function installExample(): { readonly folder: string; readonly remove: () => void } {
    const folder = mkdtempSync(path.join(tmpdir(), "eft-electron-"));
    cpSync(path.join(repository, "examples", "electron"), folder, {
        recursive: true,
        filter: (file) => path.basename(file) !== "node_modules",
    });
    mkdirSync(path.join(folder, "node_modules"));
    symlinkSync(repository, path.join(folder, "node_modules", "eft-llama"));
    return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A forked process in the place of a utility process. */
export interface Utility extends HostProcess {
    readonly process: ChildProcess;
    /** Ends it and waits for that. */
    readonly kill: () => Promise<void>;
    /** What it has written to standard error. */
    readonly stderr: () => string;
}

/** `utilityProcess.fork()`. */
export function forkUtility(script: string): Utility {
    const shim = path.join(repository, "test", "helpers", "utility-process.mjs");
    const child = fork(script, {
        execArgv: ["--import", shim],
        env: { ...process.env, NODE_OPTIONS: "" },
        serialization: "advanced",
        stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
    const emitter = new EventEmitter();
    const ports: MessagePort[] = [];
    const send = (message: object): void => {
        // It may end between the question and the message; then there is nobody to tell.
        if (child.connected) child.send(message, () => {});
    };
    child.on("message", (message: { port?: number; data: unknown; closed?: boolean }) => {
        if (message.port === undefined) emitter.emit("message", message.data);
        else if (message.closed) ports[message.port]?.close();
        else ports[message.port]?.postMessage(message.data);
    });
    const exited = new Promise<void>((resolve) => {
        child.once("exit", (code, signal) => {
            for (const port of ports) port.close();
            emitter.emit("exit", code ?? signal);
            resolve();
        });
    });
    return Object.assign(emitter, {
        process: child,
        stderr: () => stderr,
        kill: () => {
            child.kill();
            return exited;
        },
        postMessage(message: unknown, transfer: (ElectronPort | WebPort)[] = []) {
            const ids = (transfer as unknown as MessagePort[]).map((port) => {
                const id = ports.push(port) - 1;
                port.on("message", (data: unknown) => send({ port: id, data }));
                port.on("close", () => send({ port: id, closed: true }));
                return id;
            });
            send({ data: message, ports: ids });
        },
    });
}

/** The example's host in a process of its own, with what main and renderers hold of it. */
export interface TestHost {
    readonly utility: Utility;
    readonly control: HostControl;
    /** Every status that the main process was told. */
    readonly statuses: readonly HostStatus[];
    /** A new renderer's port. */
    readonly openPort: () => MessagePort;
    /** A new renderer. */
    readonly connect: (options?: ConnectOptions) => RemoteEnsemble;
}

export function startTestHost(folder: string): TestHost {
    const utility = forkUtility(path.join(folder, "host.js"));
    const statuses: HostStatus[] = [];
    const control = controlHost(utility, (status) => statuses.push(status));
    const openPort = (): MessagePort => {
        const { port1, port2 } = new MessageChannel();
        control.connect(port1);
        return port2;
    };
    return { utility, control, statuses, openPort, connect: (options) => connect(openPort(), options) };
}
