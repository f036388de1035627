/* global location, window */
// All that a page can reach: it may ask for a connection to the host, which arrives as a message with a port.
const { contextBridge, ipcRenderer } = require("electron");

contextBridge.exposeInMainWorld("host", { connect: () => ipcRenderer.send("host:connect") });
ipcRenderer.on("host:port", ({ ports }) => window.postMessage("host:port", location.origin, ports));
