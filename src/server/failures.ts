/** From errors to what clients are told: a status and OpenAI's error object. */

import type { FastifyReply, FastifyRequest } from "fastify";
import { ERROR_CODES, EftError, type EftErrorCode } from "../errors.js";
import type { ErrorBody } from "./document.js";
import { describeProblems, type SchemaProblem } from "./validation.js";
import { inWireNames, wireName } from "./wire-names.js";

/** What a request is answered with that fails. */
export interface Failure {
    readonly status: number;
    readonly error: ErrorBody["error"];
    /** Seconds after which it is worth trying again. */
    readonly retryAfter?: number;
}

const INVALID = "invalid_request_error";

/** What is the client's to mend, or to try again. All others are the server's own. */
const FAILURES: Partial<Record<EftErrorCode, readonly [status: number, type: string, code: string | null]>> = {
    OPTION_INVALID: [400, INVALID, null],
    GRAMMAR_INVALID: [400, INVALID, "invalid_schema"],
    PARAMETER_UNKNOWN: [400, INVALID, "unknown_parameter"],
    PARAMETER_RANGE: [400, INVALID, "invalid_value"],
    COMBINATION_UNKNOWN_NAME: [400, INVALID, "unknown_member"],
    TEMPLATE_INVALID: [400, INVALID, "template_error"],
    PROMPT_EMPTY: [400, INVALID, "empty_prompt"],
    NO_TOKEN_LEFT: [400, INVALID, "no_token_left"],
    CONTEXT_OVERFLOW: [400, INVALID, "context_length_exceeded"],
    RECIPE_NOT_FOUND: [404, INVALID, "model_not_found"],
    BUSY: [429, "rate_limit_error", "queue_full"],
    MEMORY_EXCEEDED: [503, "server_error", "model_unavailable"],
    MODEL_NOT_FOUND: [503, "server_error", "model_unavailable"],
    ABORTED: [503, "server_error", "shutting_down"],
    DISPOSED: [503, "server_error", "shutting_down"],
};
/** The option that they are about, where the code says it. */
const ABOUT: Partial<Record<EftErrorCode, string>> = {
    PARAMETER_UNKNOWN: "parameters",
    PARAMETER_RANGE: "parameters",
    TEMPLATE_INVALID: "prompt",
    PROMPT_EMPTY: "prompt",
    CONTEXT_OVERFLOW: "prompt",
};
const RETRY_SECONDS = 1;
/** Where clients arrive whose base URL lacks `/v1`, or has it and adds it. */
const WRONG_BASE = /^\/(v1\/v1|chat\/completions|completions|responses|messages|models)(\/|$)/;
const NOT_JSON = "The body has to be JSON, and the header `content-type: application/json` has to say so.";
const LOG_SAYS_MORE = "The server's log says more.";

/** Something that is wrong with the request itself, apart from what it asks for. */
export class RequestError extends Error {
    constructor(
        readonly status: number,
        message: string,
        readonly detail: { readonly param?: string; readonly code?: string; readonly type?: string } = {},
    ) {
        super(message);
    }
}

/**
 * What a client is told. Of what the server itself has failed at only the kind: sentences about it name files.
 *
 * @param names - of the library's options, where the protocol has others than most
 */
function explainFailure(error: unknown, names: Readonly<Record<string, string>> = {}): Failure {
    if (error instanceof RequestError) {
        const { param = null, code = null, type = INVALID } = error.detail;
        const failure = { status: error.status, error: { message: error.message, type, param, code } };
        return error.status === 503 ? { ...failure, retryAfter: RETRY_SECONDS } : failure;
    }
    if (EftError.isInstance(error)) {
        const [status, type, code] = FAILURES[error.code] ?? [500, "server_error", error.code.toLowerCase()];
        const isOwn = status === 500 || code === "model_unavailable";
        const message = isOwn ? `${ERROR_CODES[error.code]} ${LOG_SAYS_MORE}` : error.message;
        const told = inWireNames(message, names);
        const about = ABOUT[error.code];
        const param = (about === undefined ? told.param : wireName(about, names)) ?? null;
        const failure = { status, error: { message: told.message, type, param: status === 400 ? param : null, code } };
        return status === 429 || status === 503 ? { ...failure, retryAfter: RETRY_SECONDS } : failure;
    }
    return explainFramework(error);
}

/** Sets the status, and what else belongs to it but the body; failures of the server itself go to its log. */
export function tellFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): Failure {
    const failure = noteFailure(error, request);
    // The server's end is none of its failures, nor is a client's that has left.
    if (failure.status >= 500 && failure.error.code !== "shutting_down") request.log.error({ err: error }, "failed");
    if (failure.retryAfter !== undefined) reply.header("retry-after", failure.retryAfter);
    reply.status(failure.status);
    return failure;
}

/** Without the query, which may hold what is not for logs. */
export function pathOf(url: string): string {
    return url.split("?", 1)[0] ?? "";
}

/** What is asked for at a path that there is not. */
export function noSuchPath({ method, url }: FastifyRequest): Failure {
    const path = pathOf(url);
    const hint = WRONG_BASE.test(path)
        ? " The base URL of OpenAI's clients ends with /v1, that of Anthropic's does not."
        : "";
    const message = `There is no ${method} ${path}; /openapi.json lists what there is.${hint}`;
    return { status: 404, error: { message, type: INVALID, param: null, code: "not_found" } };
}

/** The line of the request in the log names the kind. */
export function noteFailure(error: unknown, { routeOptions, notes }: FastifyRequest): Failure {
    const failure = explainFailure(error, routeOptions.config.names);
    notes["error"] = failure.error.code ?? failure.error.type;
    return failure;
}

/** Errors of the HTTP framework have a status below 500 where the request is at fault. */
function explainFramework(error: unknown): Failure {
    const { statusCode: status = 500, message = "", validation } = error as Partial<FrameworkError>;
    if (validation !== undefined) {
        const { param = null, message: what } = describeProblems(validation);
        return { status: 400, error: { message: what, type: INVALID, param, code: null } };
    }
    if (status === 415) return { status, error: { message: NOT_JSON, type: INVALID, param: null, code: null } };
    if (status < 500) return { status, error: { message, type: INVALID, param: null, code: null } };
    return {
        status: 500,
        error: { message: `The server has failed. ${LOG_SAYS_MORE}`, type: "server_error", param: null, code: null },
    };
}

interface FrameworkError {
    readonly statusCode: number;
    readonly message: string;
    readonly validation: readonly SchemaProblem[];
}
