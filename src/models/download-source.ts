/** Where the files of a model are to be had: what a hub or server says about them, before anything is downloaded. */

import { setTimeout as sleep } from "node:timers/promises";
import pMap from "p-map";
import pRetry, { AbortError } from "p-retry";
import { abortError, EftError } from "../errors.js";
import { describeFailure, fetchThroughProxy, isPassing, readRetryAfter, type Response } from "../http.js";
import { hidePassword } from "../recipe/reference.js";
import { parseHubReference, SPLIT } from "./model-files.js";

/** A file on a server, past all redirections. */
export interface RemoteFile {
    readonly url: string;
    /** Undefined: the server does not say it. */
    readonly bytes?: number;
    /** In hex. Undefined: the server is no hub, or does not say it. */
    readonly sha256?: string;
    /** `ETag` and `Last-Modified`: what a server compares to tell whether it still has the same file. */
    readonly etag?: string;
    readonly modified?: string;
}

const MAX_PARTS = 1000;
const MAX_REDIRECTIONS = 10;
/** Milliseconds that a server may take for an answer without a body. */
const PATIENCE = 30_000;
/** After the first attempt. */
const RETRIES = 2;
/** Milliseconds; a server that asks to wait for longer is not waited for. */
const MAX_WAIT = 60_000;

/**
 * The addresses of a model's files: one, or those of all parts of a split GGUF in their order.
 *
 * @param reference - `hf:` or `https:`; the hub is that of the environment variable `HF_ENDPOINT`, else huggingface.co
 * @throws EftError MODEL_NOT_FOUND, MODEL_GATED, DOWNLOAD_FAILED, ABORTED
 */
export async function findAddresses(reference: string, signal?: AbortSignal): Promise<string[]> {
    const address = reference.startsWith("hf:") ? await findOnHub(reference, signal) : toDownload(new URL(reference));
    if (/\.gguf\.part\d+of\d+$/i.test(address.pathname)) {
        throw new EftError(
            "DOWNLOAD_FAILED",
            `${reference} is a piece of a file. Download all pieces, join them, and write the path into the recipe.`,
        );
    }
    const count = Number(SPLIT.exec(address.pathname)?.[2] ?? 1);
    if (count < 1 || count > MAX_PARTS)
        throw new EftError("DOWNLOAD_FAILED", `${reference} cannot be downloaded: it claims to have ${count} parts.`);
    return Array.from({ length: count }, (_, index) => {
        const part = new URL(address);
        part.pathname = part.pathname.replace(SPLIT, `-${String(index + 1).padStart(5, "0")}-of-$2.gguf`);
        return part.href;
    });
}

/** What servers say about files, asked for a few at a time. @throws EftError as {@link findAddresses} */
export function describeRemoteFiles(
    addresses: readonly string[],
    reference: string,
    signal?: AbortSignal,
): Promise<RemoteFile[]> {
    return pMap(addresses, (address) => describeRemoteFile(address, reference, signal), { concurrency: 4 });
}

/**
 * What servers say about a file, without its content.
 *
 * @throws EftError as {@link findAddresses}
 */
export async function describeRemoteFile(address: string, reference: string, signal?: AbortSignal): Promise<RemoteFile> {
    return (await follow(address, reference, signal, { method: "HEAD" })).remote;
}

/**
 * Begins to receive a file. The answer may be to the whole file though a part was asked for, or a refusal of that part (416).
 *
 * @param headers - such as `range`
 * @param signal - aborts the answer's body, too
 * @throws EftError as {@link findAddresses}
 */
export async function openFile(
    address: string,
    reference: string,
    headers: Readonly<Record<string, string>>,
    signal?: AbortSignal,
): Promise<{ readonly answer: Response; readonly remote: RemoteFile }> {
    const { answer, remote } = await follow(address, reference, signal, { method: "GET", headers });
    return { answer: answer as Response, remote };
}

/** Goes where servers send it, and reads what the answers say. A signed address is valid for a while only. */
async function follow(
    address: string,
    reference: string,
    signal: AbortSignal | undefined,
    question: Question,
): Promise<{ readonly answer?: Response; readonly remote: RemoteFile }> {
    let url = new URL(address);
    let known: { bytes?: number; sha256?: string } = {};
    for (let hop = 0; hop < MAX_REDIRECTIONS; hop++) {
        const answer = await request(url, reference, signal, question);
        const location = answer.headers.get("location");
        known = { ...known, ...(isHub(url) && readHubHeaders(answer.headers)) };
        if (answer.status < 300 || answer.status >= 400 || location === null)
            return { answer, remote: { url: url.href, ...readSize(answer), ...readValidators(answer), ...known } };
        await answer.body?.cancel();
        const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
        const isSafe = next?.protocol === "https:" || (url.protocol === "http:" && next?.protocol === "http:");
        if (next === undefined || !isSafe || next.username !== "" || next.password !== "")
            throw new EftError(
                "DOWNLOAD_FAILED",
                `${url.host} sends ${reference} to an unprotected address, or to one with a password in it.`,
            );
        url = next;
        // Signed addresses of storage need not answer questions, and there is nothing left to ask.
        const isEnough = known.bytes !== undefined && known.sha256 !== undefined && !isHub(url);
        if (isEnough && question.method === "HEAD") return { remote: { url: url.href, ...known } };
    }
    throw new EftError("DOWNLOAD_FAILED", `${reference} is redirected in circles by ${url.host}.`);
}

/** The file that a hub takes for a tag, in the words of llama.cpp's own downloads. */
async function findOnHub(reference: string, signal?: AbortSignal): Promise<URL> {
    const { user, repository, branch, tag, file } = parseHubReference(reference);
    if (file !== undefined) return hubAddress(user, repository, "resolve", branch, ...file.split("/"));
    const url = hubAddress("v2", user, repository, "manifests", tag ?? "latest");
    const answer = await request(url, reference, signal, { method: "GET", redirect: "follow" });
    const manifest = (await answer.json().catch(() => undefined)) as { ggufFile?: { rfilename?: unknown } } | undefined;
    const name = manifest?.ggufFile?.rfilename;
    if (typeof name !== "string" || !/\.gguf$/i.test(name))
        throw new EftError("MODEL_NOT_FOUND", `${url.host} has no GGUF file for ${reference}; look what it has.`);
    return hubAddress(user, repository, "resolve", branch, ...name.split("/"));
}

function hubAddress(...parts: readonly string[]): URL {
    const { href } = hub();
    return new URL(parts.map(encodeURIComponent).join("/"), href.endsWith("/") ? href : `${href}/`);
}

function hub(): URL {
    const { HF_ENDPOINT: endpoint } = process.env;
    if (!endpoint) return new URL("https://huggingface.co/");
    const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "") return url;
    throw new EftError(
        "OPTION_INVALID",
        `HF_ENDPOINT must be an address such as https://host, not "${hidePassword(endpoint)}".`,
    );
}

function isHub(url: URL): boolean {
    return url.origin === hub().origin;
}

/** People copy the address of the page about a file. */
function toDownload(url: URL): URL {
    if (isHub(url)) url.pathname = url.pathname.replace(/^(\/[^/]+\/[^/]+)\/blob\//, "$1/resolve/");
    return url;
}

/** The token is the hub's: no other server gets it. */
function headersFor(url: URL): Record<string, string> {
    if (!isHub(url)) return {};
    const token = readToken();
    return token === "" ? {} : { authorization: `Bearer ${token}` };
}

/** The hub's token, "" if there is none. @throws EftError OPTION_INVALID, in whose message it is not */
function readToken(): string {
    const token = (process.env.HF_TOKEN ?? "").trim();
    // As RFC 6750 has it. What is copied from a file may bring quotes or the next line.
    if (/^(?:[\w.~+/-]+=*)?$/.test(token)) return token;
    throw new EftError(
        "OPTION_INVALID",
        "HF_TOKEN has characters in it that no token has, such as quotes or a line end; copy the token alone.",
    );
}

/** A hub's etag of a large file is the SHA-256 of its content. */
function readHubHeaders(headers: Headers): { bytes?: number; sha256?: string } {
    const [, sha256] =
        /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(headers.get("x-linked-etag") ?? headers.get("etag") ?? "") ?? [];
    return { ...toSize(headers.get("x-linked-size")), ...(sha256 !== undefined && { sha256 }) };
}

function readSize({ headers, status }: Response): { bytes?: number } {
    if (headers.has("content-encoding")) return {};
    return toSize(status === 206 ? headers.get("content-range")?.replace(/^.*\//, "") : headers.get("content-length"));
}

/** A validator that allows for other bytes, or a body that is unpacked on its way, tells nothing about a part. */
function readValidators({ headers }: Response): { etag?: string; modified?: string } {
    if (headers.has("content-encoding")) return {};
    const [etag, modified] = [headers.get("etag"), headers.get("last-modified")];
    return { ...(etag?.startsWith('"') && { etag }), ...(modified && { modified }) };
}

function toSize(text: string | null | undefined): { bytes?: number } {
    return text && /^\d+$/.test(text) ? { bytes: Number(text) } : {};
}

/** How {@link request} asks. */
interface Question {
    readonly method: "HEAD" | "GET";
    readonly headers?: Readonly<Record<string, string>>;
    /** Default `manual`. */
    readonly redirect?: "follow";
}

/** An answer with a status after which another attempt may help. */
class PassingRefusal extends Error {}

/** An answer that is fine, a redirection or 416. Servers that do not answer HEAD are asked for the first byte. */
async function request(
    url: URL,
    reference: string,
    signal: AbortSignal | undefined,
    { method, headers, redirect }: Question,
): Promise<Response> {
    const prefix = `${reference} cannot be downloaded: ${url.host}`;
    const ask = async (how: Pick<Question, "method" | "headers">): Promise<Response> => {
        // For the answer, and not for its body.
        const deadline = new AbortController();
        const late = (): void => deadline.abort(new Error(`no answer within ${PATIENCE / 1000} seconds`));
        const timer = setTimeout(late, PATIENCE);
        try {
            return await fetchThroughProxy(url, {
                method: how.method,
                redirect: redirect ?? "manual",
                signal: signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]),
                // The hub names the GGUF file of a tag only to llama.cpp.
                headers: {
                    "user-agent": "llama-cpp",
                    "accept-encoding": "identity",
                    ...headersFor(url),
                    ...how.headers,
                },
            });
        } catch (error) {
            // Retrying helps against none of these.
            throw EftError.isInstance(error) ? new AbortError(error) : error;
        } finally {
            clearTimeout(timer);
        }
    };
    const attempt = async (number: number): Promise<Response> => {
        const answer = await ask({ method, ...(headers && { headers }) });
        if (isPassing(answer.status)) return refuse(answer, number);
        if (answer.status < 400 || method === "GET" || isHub(url)) return answer;
        const first = await ask({ method: "GET", headers: { range: "bytes=0-0" } });
        if (isPassing(first.status)) return refuse(first, number);
        await first.body?.cancel();
        return first;
    };
    const refuse = async (answer: Response, number: number): Promise<never> => {
        await answer.body?.cancel();
        const what = `answers ${stateOf(answer)}`;
        const wait = readRetryAfter(answer);
        if (wait > MAX_WAIT) {
            const text = `${what} and asks to wait for ${Math.ceil(wait / 1000)} s. Try again after that.`;
            throw new AbortError(new EftError("DOWNLOAD_FAILED", `${prefix} ${text}`));
        }
        if (number <= RETRIES) await sleep(wait, undefined, signal && { signal });
        throw new PassingRefusal(what);
    };
    try {
        const answer = await pRetry(attempt, { retries: RETRIES, minTimeout: 500, ...(signal && { signal }) });
        if (answer.status < 400 || answer.status === 416) return answer;
        await answer.body?.cancel();
        throw refusal(answer, url, reference);
    } catch (error) {
        if (EftError.isInstance(error)) throw error;
        if (signal?.aborted) throw abortError("The download was aborted.", signal);
        const what =
            error instanceof PassingRefusal ? error.message : `does not answer (${describeFailure(error, url)})`;
        throw new EftError("DOWNLOAD_FAILED", `${prefix} ${what}. Try again later.`, { cause: error });
    }
}

/** As in "503 (Service Unavailable)". HTTP/2 has no words for it. */
function stateOf({ status, statusText }: Response): string {
    return statusText === "" ? `${status}` : `${status} (${statusText})`;
}

function refusal(answer: Response, url: URL, reference: string): EftError {
    const { status, headers } = answer;
    const reason = headers.get("x-error-code");
    if (status === 401 || status === 403) {
        if (reason === "RepoNotFound") {
            return new EftError(
                "MODEL_NOT_FOUND",
                `${url.host} has no repository for ${reference}, or it is private: correct the reference, or set HF_TOKEN to a token that may read it.`,
            );
        }
        const remedy = !isHub(url)
            ? "Download it by other means and write its path into the recipe."
            : readToken() !== ""
              ? `Ask for access on its page, or correct HF_TOKEN.`
              : `Ask for access on its page, and set HF_TOKEN to a token of yours.`;
        return new EftError("MODEL_GATED", `${url.host} does not give ${reference} to everyone (${status}). ${remedy}`);
    }
    if (status === 404 || status === 400 || status === 410)
        return new EftError(
            "MODEL_NOT_FOUND",
            `${url.host} does not have ${reference} (${status}); correct the reference.`,
        );
    return new EftError(
        "DOWNLOAD_FAILED",
        `${reference} cannot be downloaded: ${url.host} answers ${stateOf(answer)}.`,
    );
}
