// Preloaded (`--import`) into a forked process: gives it `process.parentPort`, as Electron's utility processes have it.
// Ports cannot be sent to a forked process. Each has a real one here, whose other end is joined with the one in the parent.
import { EventEmitter } from "node:events";
import { MessageChannel } from "node:worker_threads";

/** A port that looks like Electron's MessagePortMain: an emitter whose messages are events. */
function toElectronPort(port) {
    const emitter = new EventEmitter();
    port.on("message", (data) => emitter.emit("message", { data, ports: [] }));
    port.on("close", () => emitter.emit("close"));
    port.unref();
    return Object.assign(emitter, {
        postMessage: (message) => port.postMessage(message),
        start: () => port.start(),
        close: () => port.close(),
    });
}

const ends = new Map();

function createPort(id) {
    const { port1, port2 } = new MessageChannel();
    ends.set(id, port1);
    port1.on("message", (data) => process.send({ port: id, data }));
    port1.on("close", () => process.connected && process.send({ port: id, closed: true }));
    return toElectronPort(port2);
}

process.parentPort = Object.assign(new EventEmitter(), {
    postMessage: (message) => process.send({ data: message }),
});
// What comes before somebody listens is kept, by Node as by Electron.
process.parentPort.once("newListener", () => {
    process.on("message", ({ port, data, closed, ports = [] }) => {
        if (port === undefined) process.parentPort.emit("message", { data, ports: ports.map(createPort) });
        else if (closed) ends.get(port).close();
        else ends.get(port).postMessage(data);
    });
});
