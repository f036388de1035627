/** A hub of models and its storage: two real HTTP servers that answer as huggingface.co and its content network do. */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A file of a repository, and what goes wrong with it. */
export interface HubFile {
    readonly content: Buffer;
    /** Answer of the hub in place of the file. */
    readonly refuse?: { readonly status: number; readonly headers?: Readonly<Record<string, string>> };
    /** Only with this token. */
    readonly token?: string;
    /** What the hub says in place of the truth. */
    readonly says?: { readonly sha256?: string; readonly size?: number };
    /** Storage closes the connection after so many bytes of each of its first answers. */
    readonly breaks?: { readonly after: number; readonly times: number };
    /** Storage never sends more than this of an answer, and keeps the connection open. */
    readonly stallAfter?: number;
    readonly storage?: StorageManners;
}

/** What storage can do, and what it says of a file. By default all of it, and no validators. */
export interface StorageManners {
    readonly etag?: string;
    readonly modified?: string;
    /** Sends parts of files. */
    readonly ranges?: boolean;
    /** Looks whether `If-Range` still holds. */
    readonly ifRange?: boolean;
    readonly length?: boolean;
    readonly head?: boolean;
}

export interface HubRequest {
    readonly server: "hub" | "storage";
    readonly method: string;
    readonly url: string;
    readonly range: string | undefined;
    readonly ifRange: string | undefined;
    readonly authorization: string | undefined;
}

export interface Hub {
    /** What HF_ENDPOINT is to be. */
    readonly endpoint: string;
    /** Where files are to be had by `encodeURIComponent("user/repository/path")`. */
    readonly storage: string;
    /** All that was asked so far; may be emptied. */
    readonly requests: HubRequest[];
    /** By `user/repository/path`. */
    readonly files: Map<string, HubFile>;
    /** File names by `user/repository:TAG`. */
    readonly tags: Map<string, string>;
    readonly close: () => Promise<void>;
}

export function sha256(content: Buffer): string {
    return createHash("sha256").update(content).digest("hex");
}

export async function startHub(): Promise<Hub> {
    const files = new Map<string, HubFile>();
    const tags = new Map<string, string>();
    const requests: HubRequest[] = [];
    const answers = new Map<HubFile, number>();

    const storage = createServer((request, response) => {
        record("storage", request);
        const file = files.get(decodeURIComponent(new URL(request.url ?? "", "http://storage").pathname.slice(1)));
        if (file === undefined) response.writeHead(403).end("expired");
        else sendFile(request, response, file);
    });
    const hub = createServer((request, response) => {
        record("hub", request);
        const { pathname } = new URL(request.url ?? "", "http://hub");
        const [user = "", repository = "", kind, branch, ...rest] = pathname
            .slice(1)
            .split("/")
            .map(decodeURIComponent);
        if (user === "v2" && branch !== undefined && kind !== undefined) {
            const name = tags.get(`${repository}/${kind}:${rest[0] ?? ""}`);
            if (name === undefined) return response.writeHead(404).end();
            const isLlama = request.headers["user-agent"] === "llama-cpp";
            return response.end(JSON.stringify(isLlama ? { ggufFile: { rfilename: name } } : {}));
        }
        const path = `${user}/${repository}/${rest.join("/")}`;
        const file = kind === "resolve" && branch === "main" ? files.get(path) : undefined;
        if (file === undefined) return response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
        if (file.refuse !== undefined) return response.writeHead(file.refuse.status, file.refuse.headers).end();
        if (file.token !== undefined && request.headers.authorization !== `Bearer ${file.token}`)
            return response.writeHead(401, { "x-error-code": "GatedRepo" }).end();
        response.writeHead(302, {
            location: `${addressOf(storage)}/${encodeURIComponent(path)}?signature=1`,
            "x-linked-size": file.says?.size ?? file.content.length,
            "x-linked-etag": `"${file.says?.sha256 ?? sha256(file.content)}"`,
        });
        return response.end();
    });

    function record(server: HubRequest["server"], { method = "", url = "", headers }: IncomingMessage): void {
        const { range, authorization } = headers;
        requests.push({
            server,
            method,
            url,
            range,
            ifRange: headers["if-range"] as string | undefined,
            authorization,
        });
    }
    function sendFile(request: IncomingMessage, response: ServerResponse, file: HubFile): void {
        const { etag, modified, ranges = true, ifRange = true, length = true, head = true } = file.storage ?? {};
        if (request.method === "HEAD" && !head) return void response.writeHead(405).end();
        const [asked, start = "0", end = ""] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
        const validator = request.headers["if-range"];
        const holds = !ifRange || validator === undefined || validator === etag || validator === modified;
        const isPart = asked !== undefined && ranges && holds;
        const last = file.content.length - 1;
        if (isPart && Number(start) > last)
            return void response.writeHead(416, { "content-range": `bytes */${file.content.length}` }).end();
        const to = end === "" ? last : Math.min(Number(end), last);
        const body = isPart ? file.content.subarray(Number(start), to + 1) : file.content;
        response.writeHead(isPart ? 206 : 200, {
            ...(etag !== undefined && { etag }),
            ...(modified !== undefined && { "last-modified": modified }),
            ...(ranges && { "accept-ranges": "bytes" }),
            ...(length && { "content-length": body.length }),
            // A name that nobody should follow.
            "content-disposition": 'attachment; filename="../../outside.gguf"',
            ...(isPart && { "content-range": `bytes ${start}-${to}/${file.content.length}` }),
        });
        // Questions about the file itself are answered well.
        if (request.method === "HEAD" || asked === "bytes=0-0") return void response.end(body);
        const before = answers.get(file) ?? 0;
        answers.set(file, before + 1);
        const { breaks, stallAfter } = file;
        if (breaks !== undefined && before < breaks.times) {
            response.write(body.subarray(0, breaks.after), () => setTimeout(() => response.destroy(), 20));
        } else if (stallAfter !== undefined) response.write(body.subarray(0, stallAfter));
        else response.end(body);
    }

    await Promise.all([listen(hub), listen(storage)]);
    return {
        // Another host than that of storage, which must not get the hub's token.
        endpoint: addressOf(hub).replace("127.0.0.1", "localhost"),
        storage: addressOf(storage),
        requests,
        files,
        tags,
        close: async () => {
            await Promise.all([close(hub), close(storage)]);
        },
    };
}

function addressOf(server: Server): string {
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function listen(server: Server): Promise<void> {
    return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

function close(server: Server): Promise<void> {
    return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
    });
}
