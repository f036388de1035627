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
    /** Storage never sends more than this of the first answer, and keeps the connection open. */
    readonly stallAfter?: number;
}

export interface HubRequest {
    readonly server: "hub" | "storage";
    readonly method: string;
    readonly url: string;
    readonly range: string | undefined;
    readonly authorization: string | undefined;
}

export interface Hub {
    /** What HF_ENDPOINT is to be. */
    readonly endpoint: string;
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
    const answers = new Map<string, number>();

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
        requests.push({ server, method, url, range: headers.range, authorization: headers.authorization });
    }
    function sendFile(request: IncomingMessage, response: ServerResponse, file: HubFile): void {
        const [, start = "0", end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
        const part = file.content.subarray(Number(start), end === undefined ? undefined : Number(end) + 1);
        response.writeHead(end === undefined ? 200 : 206, {
            "accept-ranges": "bytes",
            "content-length": part.length,
            // A name that nobody should follow.
            "content-disposition": 'attachment; filename="../../outside.gguf"',
            ...(end !== undefined && { "content-range": `bytes ${start}-${end}/${file.content.length}` }),
        });
        const url = request.url ?? "";
        const before = answers.get(url) ?? 0;
        // The question about the file itself is answered well.
        if (end !== undefined) answers.set(url, before + 1);
        const { breaks, stallAfter } = file;
        if (end !== undefined && breaks !== undefined && before < breaks.times) {
            response.write(part.subarray(0, breaks.after), () => setTimeout(() => response.destroy(), 20));
        } else if (end !== undefined && stallAfter !== undefined) {
            response.write(part.subarray(0, stallAfter));
        } else response.end(part);
    }

    await Promise.all([listen(hub), listen(storage)]);
    return {
        // Another host than that of storage, which must not get the hub's token.
        endpoint: addressOf(hub).replace("127.0.0.1", "localhost"),
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
