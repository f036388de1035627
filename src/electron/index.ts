/**
 * An ensemble in an Electron app: `startHost()` runs in a utility process, `controlHost()` in the main process;
 * `eft-llama/electron/renderer` is for pages.
 *
 * @packageDocumentation
 */

// First, as in the index of the library.
import "../package.js";
export { EftError, type EftErrorCode } from "../errors.js";
export { controlHost, type HostControl, type HostProcess } from "./control.js";
export { startHost, type ParentPort } from "./host.js";
export type { ElectronPort, WebPort } from "./port.js";
export type { Description, HostStatus, RemoteLoadOptions } from "./protocol.js";
