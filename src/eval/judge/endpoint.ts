/** One request to a chat-completions endpoint, repeated where that may help. */

import { setTimeout as sleep } from "node:timers/promises";
import pRetry, { AbortError } from "p-retry";
import { abortError, EftError } from "../../errors.js";
import { describeFailure, fetchThroughProxy, isPassing, readRetryAfter } from "../../http.js";

/** A turn of a conversation, as the protocol has it. */
export interface Message {
    readonly role: "system" | "user" | "assistant";
    readonly content: string;
}

/** The body of a request. */
export interface ChatRequest {
    readonly model: string;
    readonly messages: readonly Message[];
    /** Left out where the endpoint refuses it. */
    readonly temperature?: number;
}

export interface EndpointOptions {
    /** Base of the API: `/chat/completions` is added. */
    readonly url: string;
    readonly apiKey?: string;
    /** After the first attempt. */
    readonly retries: number;
    /** For one attempt, its whole answer included. */
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
}

export interface Endpoint {
    /** Where requests go. */
    readonly address: string;
    /** Whether the endpoint has refused a temperature; it is not sent one any more then. */
    readonly refusesTemperature: () => boolean;
    /**
     * The text of the reply. Models that admit only their own temperature refuse a request with one (state 400 or 422, with
     * words about the temperature): it is repeated without. Network errors, timeouts and the states 408, 409, 429 and 5xx are tried again, after as long
     * as the server asks for in `Retry-After`, and a pause that doubles from a second.
     *
     * @throws EftError JUDGE_FAILED; ABORTED
     */
    readonly ask: (request: ChatRequest) => Promise<string>;
}

/** A server that asks for more is not waited for. */
const MAX_WAIT_MS = 300_000;
const MAX_QUOTED = 300;

/** @throws EftError OPTION_INVALID */
export function createEndpoint({ url, apiKey, retries, timeoutMs, signal }: EndpointOptions): Endpoint {
    const address = readAddress(url);
    const key = readKey(apiKey);
    const headers = { "content-type": "application/json", ...(key !== "" && { authorization: `Bearer ${key}` }) };
    const fail = (text: string, options?: { cause: unknown }): EftError =>
        new EftError("JUDGE_FAILED", `The judge at ${address} ${text}`, options);

    let refusesTemperature = false;
    async function attempt(request: ChatRequest, number: number): Promise<string> {
        const { temperature, ...bare } = request;
        const hasTemperature = temperature !== undefined && !refusesTemperature;
        const { status, retryAfter, text } = await send(hasTemperature ? request : bare);
        if (hasTemperature && (status === 400 || status === 422) && /temperature/i.test(text)) {
            refusesTemperature = true;
            return attempt(bare, number);
        }
        if (status === 200) {
            const content = contentOf(text);
            if (content !== undefined) return content;
            const what = "does not answer as a chat-completions endpoint does";
            throw new AbortError(fail(`${what}: ${quote(text)}; check its URL.`));
        }
        const error = fail(`refuses the request with the state ${status}: ${quote(text)}`);
        if (!isPassing(status)) throw new AbortError(error);
        if (retryAfter > MAX_WAIT_MS) {
            const seconds = Math.ceil(retryAfter / 1000);
            throw new AbortError(fail(`asks to wait for ${seconds} s; start the evaluation again after that.`));
        }
        if (number <= retries) await sleep(retryAfter, undefined, signal && { signal });
        throw error;
    }

    async function send(request: ChatRequest): Promise<{ status: number; retryAfter: number; text: string }> {
        const limits = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
        const init = { method: "POST", headers, body: JSON.stringify(request), signal: AbortSignal.any(limits) };
        try {
            const response = await fetchThroughProxy(address, init);
            const retryAfter = readRetryAfter(response);
            return { status: response.status, retryAfter, text: await response.text() };
        } catch (cause) {
            throw EftError.isInstance(cause)
                ? new AbortError(cause)
                : (cause as Error).name === "TimeoutError"
                  ? fail(`did not answer within ${timeoutMs / 1000} s; start it, or give it more time.`, { cause })
                  : fail(`cannot be reached (${describeFailure(cause, address)}); check its URL and that it runs.`, {
                        cause,
                    });
        }
    }

    /** The server's own words on one line, and never the key, which some servers repeat. */
    function quote(text: string): string {
        const safe = key === "" ? text : text.replaceAll(key, "***");
        const line = safe.replaceAll(/\s+/g, " ").trim();
        return line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}...` : line || "(no text)";
    }

    async function ask(request: ChatRequest): Promise<string> {
        try {
            const options = { retries, randomize: true, ...(signal && { signal }) };
            return await pRetry((number) => attempt(request, number), options);
        } catch (cause) {
            if (signal?.aborted) throw abortError("The evaluation was aborted.", signal);
            throw cause;
        }
    }
    return { address, refusesTemperature: () => refusesTemperature, ask };
}

function readAddress(url: string): string {
    const base = URL.canParse(url) ? new URL(url) : undefined;
    if (base === undefined || !/^https?:$/.test(base.protocol) || base.username || base.password || base.search) {
        const example = "http://localhost:8080/v1";
        throw new EftError("OPTION_INVALID", `The judge's url must be the base of an HTTP API, such as ${example}.`);
    }
    return `${base.origin}${base.pathname.replace(/\/+$/, "")}/chat/completions`;
}

function readKey(apiKey = ""): string {
    const key = apiKey.trim();
    if (/^[\x21-\x7e]*$/.test(key)) return key;
    throw new EftError("OPTION_INVALID", "The judge's API key has characters in it that no key has; copy it again.");
}

/** Undefined if this is not what the protocol says. A reply without text is empty. */
function contentOf(text: string): string | undefined {
    try {
        const { choices } = JSON.parse(text) as { choices: { message: { content?: unknown } }[] };
        const content = choices[0]?.message.content ?? "";
        return choices.length > 0 && typeof content === "string" ? content : undefined;
    } catch {
        return undefined;
    }
}
