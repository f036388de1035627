/** What goes wrong with a request, by what can be done about it. */

/**
 * key: the API key is missing or wrong; busy: try again later; overflow: the conversation is too long; lost: the connection is gone;
 * refused: the request cannot be answered as it is; failed: the server's own failure.
 */
export type FailureKind = "key" | "busy" | "overflow" | "lost" | "refused" | "failed";

export class ApiFailure extends Error {
    constructor(
        readonly kind: FailureKind,
        message: string,
        readonly code?: string,
    ) {
        super(message);
    }
}

/** OpenAI's error object. */
export interface ErrorBody {
    readonly error?: { readonly message?: string; readonly code?: string | null };
}

export async function readFailure(response: Response): Promise<ApiFailure> {
    const body = (await response.json().catch(() => ({}))) as ErrorBody;
    return toFailure(body, response.status);
}

/** @param status - undefined: in the middle of an answer */
export function toFailure({ error = {} }: ErrorBody, status?: number): ApiFailure {
    const { message = `The server has answered with status ${status ?? "?"}.`, code } = error;
    return new ApiFailure(kindOf(status, code ?? undefined), message, code ?? undefined);
}

function kindOf(status: number | undefined, code: string | undefined): FailureKind {
    if (status === 401) return "key";
    if (code === "context_length_exceeded") return "overflow";
    if (status === 429 || status === 503 || code === "queue_full") return "busy";
    return status !== undefined && status < 500 ? "refused" : "failed";
}
