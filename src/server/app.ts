/** The HTTP application: who may come in, what a body may be, how failures are told. */

import { createHash, timingSafeEqual } from "node:crypto";
import type { AddressInfo } from "node:net";
import cors from "@fastify/cors";
import swagger from "@fastify/swagger";
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import Type, { type Static } from "typebox";
import { responses, describeServer, type ErrorBody } from "./document.js";
import { noSuchPath, pathOf, RequestError, tellFailure } from "./failures.js";
import { readBody } from "./json.js";
import { giveUpSlow } from "./slow-readers.js";
import { unknownFields } from "./unknown-fields.js";
import type { JsonValue } from "../types.js";

declare module "fastify" {
    interface FastifyRequest {
        /** The API key of who asks, hashed; the same for all where none is asked for. */
        client: string;
        /** What its line in the log says besides. */
        notes: Record<string, unknown>;
        /** Whether the log has prompts and answers. */
        logsTexts: boolean;
    }
    interface FastifyContextConfig {
        /** Whether it can be read without a key. */
        isOpen?: boolean;
        /** Of the library's options, where the protocol has others than most. */
        names?: Readonly<Record<string, string>>;
    }
}

export interface AppOptions {
    readonly apiKeys: readonly string[];
    readonly origins: readonly string[];
    readonly bodyBytes: number;
    readonly requestMs: number;
    readonly stallMs: number;
    /** Where it listens. */
    readonly host: string;
    readonly logTexts: boolean;
    readonly log: ((line: string) => void) | undefined;
    /** Told of each reply that is over. */
    readonly onReply: (path: string, status: number) => void;
}

/** Characters of a name in a path. */
const MAX_NAME_LENGTH = 1000;
/** Unknown fields that the log names. */
const MOST_UNKNOWN = 20;
const Health = Type.Object({ status: Type.Literal("ok") });
type Health = Static<typeof Health>;

const LOCAL_ADDRESS = /^(::1$|(::ffff:)?127\.)/;
/** As clients write a machine's own name. */
const LOCAL_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);

export async function createApp(options: AppOptions): Promise<FastifyInstance> {
    const { apiKeys, origins, bodyBytes, requestMs, stallMs, host, log } = options;
    const app = Fastify({
        bodyLimit: bodyBytes,
        requestTimeout: requestMs,
        // Of connections on which nothing happens; an answer that is being written is not one.
        keepAliveTimeout: 72_000,
        forceCloseConnections: "idle",
        return503OnClosing: false,
        routerOptions: { maxParamLength: MAX_NAME_LENGTH },
        // Of requests that reach no route, and so no hook.
        frameworkErrors(error, request, reply) {
            follow(request, reply);
            const { error: told } = tellFailure(error, request, reply);
            void (reply as FastifyReply).send({ error: told });
        },
        logController: new LogController({ disableRequestLogging: true }),
        ...(log !== undefined && { logger: { stream: { write: log }, base: null } }),
        ajv: { customOptions: { coerceTypes: false, removeAdditional: false, strict: false, verbose: true } },
        // Node looks for what has taken too long only now and then.
        http: {
            ...{ headersTimeout: Math.min(requestMs, 60_000), requestTimeout: requestMs },
            connectionsCheckingInterval: Math.min(requestMs, 5000),
        },
    });
    let isClosing = false;
    /** Requests that have not been answered to their end. */
    let open = 0;
    // Clients keep connections for a next request, or open them for a first one.
    const closeUnused = (): void => {
        if (isClosing && open === 0) app.server.closeAllConnections();
    };
    function follow(request: FastifyRequest, reply: FastifyReply): void {
        request.notes = {};
        giveUpSlow(reply.raw, stallMs);
        open++;
        reply.raw.once("close", () => {
            logRequest(request, reply);
            options.onReply(request.routeOptions.url ?? "unknown", statusOf(reply));
            open--;
            setImmediate(closeUnused);
        });
    }
    app.addHook("preClose", (done) => {
        isClosing = true;
        // When no more are let in.
        setImmediate(closeUnused);
        done();
    });
    app.decorateRequest("client", "");
    app.decorateRequest("notes");
    app.decorateRequest("logsTexts", options.logTexts);

    app.removeAllContentTypeParsers();
    app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
        try {
            // Clients name the type of what they do not send.
            done(null, body === "" ? undefined : readBody(String(body)));
        } catch (error) {
            done(error as Error);
        }
    });
    // What schemas of answers do not mention would be left out of them.
    app.setSerializerCompiler(() => JSON.stringify);
    await app.register(swagger, describeServer(apiKeys.length > 0));
    if (origins.length > 0)
        await app.register(cors, { origin: [...origins], maxAge: 600, exposedHeaders: ["retry-after"] });

    const known = new Map(apiKeys.map((key) => [hash(key).toString("hex"), hash(key)]));
    app.addHook("onRequest", async (request, reply) => {
        follow(request, reply);
        if (isClosing) throw new RequestError(503, "The server is shutting down.", SHUTTING_DOWN);
        if (isLocal(app.server.address())) checkHost(request, host);
        if (known.size > 0) request.client = findKey(request, known);
    });
    app.addHook("preHandler", (request, _reply, done) => {
        const unknown = unknownFields(request.routeOptions.schema?.body ?? {}, request.body as JsonValue, MOST_UNKNOWN);
        if (unknown.length > 0) request.notes["ignored"] = unknown;
        done();
    });
    app.setErrorHandler(async (error, request, reply) => {
        const { error: told } = tellFailure(error, request, reply);
        return reply.send({ error: told } satisfies ErrorBody);
    });
    app.setNotFoundHandler(async (request, reply) => {
        const { status, error } = noSuchPath(request);
        return reply.status(status).send({ error } satisfies ErrorBody);
    });
    // Behind all hooks and handlers: a route knows those that were there before a plugin was waited for.
    app.get(
        "/health",
        {
            schema: {
                ...{ tags: ["Operation"], operationId: "health", summary: "Whether it serves", security: [] },
                response: responses(Health),
            },
            config: { isOpen: true },
        },
        (): Health => ({ status: "ok" }),
    );
    app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
    return app;
}

/** Its line in the log, also of a client that did not wait for the end of its answer. */
function logRequest(request: FastifyRequest, reply: FastifyReply): void {
    const { method, routeOptions, notes, url } = request;
    const path = routeOptions.url ?? pathOf(url).slice(0, MAX_NAME_LENGTH);
    const line = { method, path, status: statusOf(reply), ms: Math.round(reply.elapsedTime) };
    request.log.info({ ...line, ...notes }, "request");
}

/** That of a client that has gone is the one that has become usual for it. */
function statusOf({ raw, statusCode }: FastifyReply): number {
    return raw.writableFinished ? statusCode : 499;
}

const SHUTTING_DOWN = { code: "shutting_down", type: "server_error" };

/** Whether it can be reached from this machine alone, however the address was spelled. */
function isLocal(address: AddressInfo | string | null): boolean {
    return typeof address === "object" && LOCAL_ADDRESS.test(address?.address ?? "");
}

/** An address as URLs have it. */
export function urlHost(address: string): string {
    return address.includes(":") ? `[${address}]` : address;
}

/** A page of another site that has made its own name mean this machine must not get in. */
function checkHost({ headers: { host = "" } }: FastifyRequest, own: string): void {
    const name = host.replace(/:\d*$/, "").toLowerCase();
    const url = `http://${urlHost(own).toLowerCase()}`;
    // Clients write addresses as they are given, or in one form for all.
    if (LOCAL_NAMES.has(name) || url === `http://${name}` || (URL.canParse(url) && new URL(url).hostname === name))
        return;
    throw new RequestError(403, "This server is for its own machine; ask for it by the name localhost or 127.0.0.1.", {
        code: "host_not_allowed",
    });
}

/** @returns which key it is */
function findKey(request: FastifyRequest, known: ReadonlyMap<string, Buffer>): string {
    if (request.routeOptions.config.isOpen === true) return "";
    const { authorization = "", "x-api-key": header } = request.headers;
    const given = hash(typeof header === "string" ? header : authorization.replace(/^Bearer /i, ""));
    for (const [name, key] of known) if (timingSafeEqual(key, given)) return name;
    throw new RequestError(
        401,
        "The API key is missing or wrong; send it as `Authorization: Bearer <key>` or `x-api-key`.",
        {
            code: "invalid_api_key",
            type: "authentication_error",
        },
    );
}

function hash(key: string): Buffer {
    return createHash("sha256").update(key).digest();
}
