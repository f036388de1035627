/**
 * An HTTP server for clients of OpenAI's and Anthropic's protocols.
 *
 * @packageDocumentation
 */

export { EftError, type EftErrorCode } from "../errors.js";
export type { ServerOptions } from "./options.js";
export { startServer, type EftServer } from "./server.js";
