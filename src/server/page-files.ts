/** The page at `/`: files that `npm run build` has made of `src/server/page/`. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { FastifyInstance } from "fastify";
import { packageRoot } from "../package.js";

const FOLDER = path.join(packageRoot, "dist", "server", "page");
const INDEX = "index.html";

/** By what files' names end in; all others are not served. */
const TYPES: Readonly<Record<string, string>> = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
};

/** Nothing but what comes from this server, and nothing inline: what models write can never become code. */
const POLICY = [
    "default-src 'none'",
    ...["script-src", "style-src", "connect-src", "img-src"].map((kind) => `${kind} 'self'`),
    ...["base-uri", "form-action", "frame-ancestors"].map((kind) => `${kind} 'none'`),
].join("; ");

const HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    // Files keep their names when another version is installed.
    "cache-control": "no-cache",
};

interface PageFile {
    readonly url: string;
    readonly type: string;
    readonly content: Buffer;
    readonly tag: string;
}

/** @param folder - of the built files */
export function addPage(app: FastifyInstance, folder = FOLDER): void {
    const files = readPage(folder);
    for (const { url, type, content, tag } of files) {
        app.get(url, { schema: { hide: true }, config: { isOpen: true } }, async (request, reply) => {
            reply.headers({ ...HEADERS, etag: tag });
            if (request.headers["if-none-match"] === tag) return reply.status(304).send();
            return reply.type(type).send(content);
        });
    }
    if (files.length > 0) return;
    app.get("/", { schema: { hide: true }, config: { isOpen: true } }, async (_request, reply) =>
        reply
            .status(404)
            .type("text/plain; charset=utf-8")
            .send("The page of this server has not been built; `npm run build` does that. The API is at /v1.\n"),
    );
}

/** Read once. None where they have not been built. */
function readPage(folder: string): readonly PageFile[] {
    if (!existsSync(path.join(folder, INDEX))) return [];
    return readdirSync(folder, { encoding: "utf8" }).flatMap((name) => {
        const type = TYPES[path.extname(name)];
        if (type === undefined) return [];
        const content = readFileSync(path.join(folder, name));
        const tag = `"${createHash("sha256").update(content).digest("base64url")}"`;
        return [{ url: name === INDEX ? "/" : `/${name}`, type, content, tag }];
    });
}
