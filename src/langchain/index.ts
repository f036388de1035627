/**
 * A chat model for LangChain (the package `@langchain/core`).
 *
 * @packageDocumentation
 */

export { EftError, type EftErrorCode } from "../errors.js";
export type { EftOptions } from "../frameworks/answer.js";
export type { ModelSource } from "../frameworks/source.js";
export { ChatEft } from "./chat-eft.js";
export type { ChatEftCallOptions, ChatEftFields, ChatEftSettings } from "./settings.js";
