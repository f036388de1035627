import { ERROR_CODES, EftError, type EftErrorCode } from "../errors.js";

/** What the addon throws or rejects with, as the error that users see. Anything unknown becomes NATIVE_FAILURE. */
export function toEftError(error: unknown): EftError {
    if (EftError.isInstance(error)) return error;
    const code = (error as { code?: unknown } | null)?.code;
    const message = error instanceof Error ? error.message : String(error);
    if (typeof code === "string" && code in ERROR_CODES) {
        return new EftError(code as EftErrorCode, message, { cause: error });
    }
    return new EftError("NATIVE_FAILURE", `The native layer failed unexpectedly: ${message}`, { cause: error });
}
