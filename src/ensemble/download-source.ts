/** Where the files of a model are to be had: what a hub or server says about them, before anything is downloaded. */

import pMap from "p-map";
import pRetry from "p-retry";
import { abortError, EftError } from "../errors.js";
import { parseHubReference, SPLIT } from "./model-files.js";

/** A file on a server, past all redirections. */
export interface RemoteFile {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    /** Undefined: the server does not say it. */
    readonly bytes?: number;
    /** In hex. Undefined: the server is no hub, or does not say it. */
    readonly sha256?: string;
}

const MAX_PARTS = 1000;
const MAX_REDIRECTIONS = 10;
/** Milliseconds that a server may take for an answer without a body. */
const PATIENCE = 30_000;

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
export function describeFiles(
    addresses: readonly string[],
    reference: string,
    signal?: AbortSignal,
): Promise<RemoteFile[]> {
    return pMap(addresses, (address) => describeFile(address, reference, signal), { concurrency: 4 });
}

/**
 * Follows redirections and reads what the answers say about the file. A signed address is valid for a while only.
 *
 * @throws EftError as {@link findAddresses}
 */
export async function describeFile(address: string, reference: string, signal?: AbortSignal): Promise<RemoteFile> {
    let url = new URL(address);
    let known: { bytes?: number; sha256?: string } = {};
    for (let hop = 0; hop < MAX_REDIRECTIONS; hop++) {
        const answer = await request(url, reference, signal);
        const location = answer.headers.get("location");
        known = { ...known, ...(isHub(url) && readHubHeaders(answer.headers)) };
        if (answer.status < 300 || location === null) {
            return { url: url.href, headers: headersFor(url), ...readSize(answer), ...known };
        }
        const next = new URL(location, url);
        if (url.protocol === "https:" && next.protocol !== "https:")
            throw new EftError("DOWNLOAD_FAILED", `${url.host} sends ${reference} to an unprotected address.`);
        url = next;
        // Signed addresses of storage need not answer questions, and there is nothing left to ask.
        if (known.bytes !== undefined && known.sha256 !== undefined && !isHub(url))
            return { url: url.href, headers: headersFor(url), ...known };
    }
    throw new EftError("DOWNLOAD_FAILED", `${reference} is redirected in circles by ${url.host}.`);
}

/** The file that a hub takes for a tag, in the words of llama.cpp's own downloads. */
async function findOnHub(reference: string, signal?: AbortSignal): Promise<URL> {
    const { user, repository, branch, tag, file } = parseHubReference(reference);
    if (file !== undefined) return hubAddress(user, repository, "resolve", branch, ...file.split("/"));
    const url = hubAddress("v2", user, repository, "manifests", tag ?? "latest");
    const answer = await request(url, reference, signal, "GET");
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
    if (URL.canParse(endpoint) && /^https?:/.test(endpoint)) return new URL(endpoint);
    throw new EftError("OPTION_INVALID", `HF_ENDPOINT must be an address such as https://host, not "${endpoint}".`);
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
    const { HF_TOKEN: token } = process.env;
    return token && isHub(url) ? { authorization: `Bearer ${token}` } : {};
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

function toSize(text: string | null | undefined): { bytes?: number } {
    return text && /^\d+$/.test(text) ? { bytes: Number(text) } : {};
}

/** An answer that is fine or a redirection. Servers that do not answer HEAD are asked for the first byte. */
async function request(
    url: URL,
    reference: string,
    signal: AbortSignal | undefined,
    method: "HEAD" | "GET" = "HEAD",
): Promise<Response> {
    const ask = async (more: RequestInit): Promise<Response> => {
        const deadline = AbortSignal.timeout(PATIENCE);
        const answer = await fetch(url, {
            redirect: method === "HEAD" ? "manual" : "follow",
            signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
            ...more,
            // The hub names the GGUF file of a tag only to llama.cpp.
            headers: { "user-agent": "llama-cpp", "accept-encoding": "identity", ...headersFor(url), ...more.headers },
        });
        if (answer.status >= 500 || answer.status === 429) throw new Error(`${answer.status} ${answer.statusText}`);
        return answer;
    };
    const attempt = async (): Promise<Response> => {
        const answer = await ask({ method });
        if (answer.status < 400 || method === "GET" || isHub(url)) return answer;
        const first = await ask({ headers: { range: "bytes=0-0" } });
        await first.body?.cancel();
        return first;
    };
    try {
        const answer = await pRetry(attempt, { retries: 2, minTimeout: 500, ...(signal && { signal }) });
        if (answer.status >= 400) throw refusal(answer, url, reference);
        return answer;
    } catch (error) {
        if (EftError.isInstance(error)) throw error;
        if (signal?.aborted) throw abortError("The download was aborted.", signal);
        const { message, cause } = error as Error & { cause?: Error };
        throw new EftError(
            "DOWNLOAD_FAILED",
            `${reference} cannot be downloaded: ${url.host} does not answer (${cause?.message || message}). Try again later.`,
            { cause: error },
        );
    }
}

function refusal({ status, headers }: Response, url: URL, reference: string): EftError {
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
            : process.env.HF_TOKEN
              ? `Ask for access on its page, or correct HF_TOKEN.`
              : `Ask for access on its page, and set HF_TOKEN to a token of yours.`;
        return new EftError("MODEL_GATED", `${url.host} does not give ${reference} to everyone (${status}). ${remedy}`);
    }
    if (status === 404 || status === 400 || status === 410)
        return new EftError(
            "MODEL_NOT_FOUND",
            `${url.host} does not have ${reference} (${status}); correct the reference.`,
        );
    return new EftError("DOWNLOAD_FAILED", `${reference} cannot be downloaded: ${url.host} answers ${status}.`);
}
