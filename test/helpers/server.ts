/** A server of the demo recipes, and what its numbers say. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { afterAll, beforeAll, expect } from "@jest/globals";
import { loadRecipe, parseRecipe, type Recipe } from "../../src/index.js";
import type { ErrorBody } from "../../src/server/document.js";
import { startServer, type EftServer, type ServerOptions } from "../../src/server/index.js";
import { readText } from "./demo.js";
import { writeFloat32Family } from "./float32.js";
import { createAnswerCheck, type Exchange, type OpenApi } from "./openapi.js";

export type { ErrorBody };

/** The demo recipes in float32, so that a text is the same whatever else runs and whatever a cache holds. */
export function writeDemoRecipes(): { readonly recipes: readonly [Recipe, Recipe]; readonly remove: () => void } {
    const { folder, remove } = writeFloat32Family(["large-base", "small-chat", "small-base", "small-safe"]);
    const read = (name: string): Recipe => {
        const text = readText(`recipes/${name}.yaml`)
            .replaceAll("../models/demo/", "")
            .replaceAll("-f16.gguf", ".gguf");
        return parseRecipe(text, { directory: folder });
    };
    return { recipes: [read("demo"), read("demo-dial")], remove };
}

/** A free port, one thread on the CPU, the demo recipes. What it answers is held against its OpenAPI document. */
export async function serveDemo(options: Partial<ServerOptions> = {}): Promise<EftServer> {
    const recipes = await Promise.all([loadRecipe("demo"), loadRecipe("demo-dial")]);
    const own = { recipes, port: 0, contextSize: 1024, backend: "cpu", threads: 1 } as const;
    checkAnswer ??= await readCheck({ ...own, lazy: true });
    const server = await startServer({ ...own, ...options });
    ports.add(Number(new URL(server.url).port));
    return server;
}

/** Of the servers of this file, which all have the same document but for their keys. */
let checkAnswer: ((exchange: Exchange) => string | undefined) | undefined;
const ports = new Set<number>();
const exchanges: Exchange[] = [];
beforeAll(() => subscribe("http.server.request.start", readAlong));
afterAll(() => {
    unsubscribe("http.server.request.start", readAlong);
    const problems = exchanges.map((exchange) => checkAnswer?.(exchange)).filter((problem) => problem !== undefined);
    expect(problems.slice(0, 5)).toEqual([]);
});

async function readCheck(options: ServerOptions): Promise<typeof checkAnswer> {
    const server = await startServer(options);
    try {
        return createAnswerCheck(await readDocument(server));
    } finally {
        await server.close();
    }
}

export async function readDocument({ url }: EftServer, headers: Sent = {}): Promise<OpenApi> {
    return (await (await fetch(`${url}/openapi.json`, { headers })).json()) as OpenApi;
}

/** Keeps what a server of this process writes, whoever the client is. */
function readAlong(message: unknown): void {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    if (!ports.has(request.socket.localPort ?? 0)) return;
    const pieces: Buffer[] = [];
    let type: unknown;
    const keep = (piece: unknown): void => {
        if (typeof piece === "string" || Buffer.isBuffer(piece)) pieces.push(Buffer.from(piece as string));
    };
    const { write, end, writeHead } = response as unknown as Record<string, (...given: unknown[]) => unknown>;
    Object.assign(response, {
        writeHead(...given: unknown[]) {
            type = { ...response.getHeaders(), ...(given.at(-1) as OutgoingHttpHeaders) }["content-type"];
            return writeHead?.apply(response, given);
        },
        write(...given: unknown[]) {
            keep(given[0]);
            return write?.apply(response, given);
        },
        end(...given: unknown[]) {
            keep(given[0]);
            return end?.apply(response, given);
        },
    });
    response.once("close", () => {
        // Node itself answers what is hardly HTTP, with a status alone.
        if (!response.headersSent || type === undefined) return;
        exchanges.push({
            method: request.method ?? "",
            path: (request.url ?? "").split("?")[0] ?? "",
            status: response.statusCode,
            type: typeof type === "string" ? type : "",
            text: Buffer.concat(pieces).toString("utf8"),
            isWhole: response.writableEnded,
        });
    });
}

type Sent = Readonly<Record<string, string>>;

/** A number of `GET /metrics`. */
export async function readMetric({ url }: EftServer, name: string, headers: Sent = {}): Promise<number> {
    const text = await (await fetch(`${url}/metrics`, { headers })).text();
    const line = text.split("\n").find((each) => each.startsWith(`eft_llama_${name} `));
    return Number(line?.split(" ")[1]);
}

/** Waits until a number of `GET /metrics` is that; a test that waits for ever fails by its limit. */
export async function untilMetric(server: EftServer, name: string, value: number, headers: Sent = {}): Promise<void> {
    while ((await readMetric(server, name, headers)) !== value) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Waits until so many clients have left this path in the middle of an answer. */
export async function untilLeft(server: EftServer, path: string, count: number, headers: Sent = {}): Promise<void> {
    await untilMetric(server, `requests_total{path="${path}",status="499"}`, count, headers);
}

export interface Posted<Body> {
    readonly status: number;
    readonly headers: Headers;
    readonly body: Body;
}

/** Sends JSON, or a text as it is. */
export async function post<Body = ErrorBody>(
    { url }: Pick<EftServer, "url">,
    path: string,
    body: unknown,
    headers: Sent = {},
): Promise<Posted<Body>> {
    const response = await fetch(url + path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Body };
}

/** All that can be said of each token without a drafter. */
export const WIDE = { logprobs: true, top_logprobs: 20, eft: { members: true, top: 20 } };

/** For {@link holdPlace}. */
export const LONG = { contextSize: 4096 };

/**
 * Begins an answer of the first recipe, and reads nothing of it: with a context of {@link LONG} it is far more than a connection holds,
 * so that it keeps its place until it is given up, however busy the machine is.
 *
 * @returns leaves
 */
export async function holdPlace({ url }: EftServer, headers: Sent = {}): Promise<() => void> {
    const leaving = new AbortController();
    const { status, body } = await fetch(`${url}/v1/chat/completions`, {
        ...{ method: "POST", signal: leaving.signal, headers: { "content-type": "application/json", ...headers } },
        body: JSON.stringify({
            ...{ messages: [{ role: "user", content: "Hello" }], stream: true, logit_bias: { 1: -100, 2: -100 } },
            ...WIDE,
        }),
    });
    expect(status).toBe(200);
    // What has a reader is not cancelled when nobody refers to it any more.
    body?.getReader();
    return () => leaving.abort();
}
