/** A server of the demo recipes, and what its numbers say. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { loadRecipe, parseRecipe, type Recipe } from "../../src/index.js";
import { startServer, type EftServer, type ServerOptions } from "../../src/server/index.js";
import { readText } from "./demo.js";
import { writeFloat32Family } from "./float32.js";
import { createAnswerCheck, type Exchange, type OpenApi } from "./openapi.js";

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

/** A free port, one thread on the CPU, the demo recipes. Closing it throws where an answer was not what the OpenAPI document says. */
export async function serveDemo(options: Partial<ServerOptions> = {}): Promise<EftServer> {
    const recipes = await Promise.all([loadRecipe("demo"), loadRecipe("demo-dial")]);
    const check = (checkAnswer ??= readCheck(recipes));
    const server = await startServer({
        ...{ recipes, port: 0, contextSize: 1024, backend: "cpu", threads: 1 },
        ...options,
    });
    const exchanges = watch(Number(new URL(server.url).port));
    async function close(): Promise<void> {
        await server.close();
        const problems = exchanges.end().map(await check);
        const [problem] = problems.filter((each) => each !== undefined);
        if (problem !== undefined) throw new Error(`An answer is not what /openapi.json says. ${problem}`);
    }
    return { url: server.url, close, [Symbol.asyncDispose]: close };
}

let checkAnswer: Promise<(exchange: Exchange) => string | undefined> | undefined;

/** Of a server that has loaded nothing: all have the same document. */
async function readCheck(recipes: readonly Recipe[]): typeof checkAnswer & {} {
    const server = await startServer({ recipes, port: 0, lazy: true, backend: "cpu", threads: 1 });
    try {
        return createAnswerCheck(await readDocument(server));
    } finally {
        await server.close();
    }
}

export async function readDocument({ url }: EftServer, headers: Sent = {}): Promise<OpenApi> {
    return (await (await fetch(`${url}/openapi.json`, { headers })).json()) as OpenApi;
}

/** Reads along what a server of this process writes, whoever the client is. */
function watch(port: number): { readonly end: () => readonly Exchange[] } {
    const exchanges: Exchange[] = [];
    const begin = (message: unknown): void => {
        const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
        if (request.socket.localPort !== port) return;
        const pieces: Buffer[] = [];
        const keep = (piece: unknown): void => {
            if (typeof piece === "string" || Buffer.isBuffer(piece)) pieces.push(Buffer.from(piece as string));
        };
        const write = response.write.bind(response) as (...given: unknown[]) => boolean;
        const end = response.end.bind(response) as (...given: unknown[]) => ServerResponse;
        const writeHead = response.writeHead.bind(response) as (...given: unknown[]) => ServerResponse;
        let headers: Readonly<Record<string, unknown>> = {};
        Object.assign(response, {
            writeHead(...given: unknown[]) {
                headers = { ...response.getHeaders(), ...(given.at(-1) as object) };
                return writeHead(...given);
            },
            write: (...given: unknown[]) => (keep(given[0]), write(...given)),
            end: (...given: unknown[]) => (keep(given[0]), end(...given)),
        });
        response.once("close", () => {
            if (!response.headersSent) return;
            const type = headers["content-type"];
            exchanges.push({
                method: request.method ?? "",
                path: (request.url ?? "").split("?")[0] ?? "",
                status: response.statusCode,
                type: typeof type === "string" ? type : "",
                text: Buffer.concat(pieces).toString("utf8"),
                isWhole: response.writableEnded,
            });
        });
    };
    subscribe("http.server.request.start", begin);
    return {
        end() {
            unsubscribe("http.server.request.start", begin);
            return exchanges;
        },
    };
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

/** What a request is answered with that fails. */
export interface ErrorBody {
    readonly error: {
        readonly message: string;
        readonly type: string;
        readonly param: string | null;
        readonly code: string | null;
    };
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
