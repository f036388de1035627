/**
 * A model for the AI SDK (the packages `ai` and `@ai-sdk/provider`, of which only types are used).
 *
 * @packageDocumentation
 */

export { EftError, type EftErrorCode } from "../errors.js";
export type { ModelSource } from "../frameworks/source.js";
export { createEftModel, type EftModel } from "./model.js";
export type { EftOptions } from "./prompt.js";
