import { EftError } from "../errors.js";

/** Anything that went wrong, as the error that users see. What is not an EftError yet becomes NATIVE_FAILURE. */
export function toEftError(error: unknown): EftError {
    if (EftError.isInstance(error)) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new EftError("NATIVE_FAILURE", `The native layer failed unexpectedly: ${message}`, { cause: error });
}
