/** Each class of errors that OpenAI's and Anthropic's clients know and a server can cause; and that they try again where it is worth it. */

import { copyFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { parseRecipe, type Recipe } from "../../src/index.js";
import type { EftServer } from "../../src/server/index.js";
import { demoFile, demoRecipe } from "../helpers/demo.js";
import { holdPlace, LONG, serveDemo, untilMetric } from "../helpers/server.js";
import { temporaryFolder } from "../helpers/temporary.js";

const messages = [{ role: "user" as const, content: "Hello" }];
const { folder, remove } = temporaryFolder();
writeFileSync(path.join(folder, "damaged.gguf"), "GGUF, and nothing else");
const soloOf = (name: string): Recipe =>
    parseRecipe(
        `eft: 1\nname: ${name}\nmembers: { one: { model: ${name}.gguf } }\ncombination: one\nprompt: { template: plain }\n`,
        { directory: folder },
    );
const good = demoRecipe("members: { one: { model: small-chat-f16.gguf } }\ncombination: one");
const model = good.name;
let server: EftServer;
beforeAll(async () => {
    server = await serveDemo({
        ...{ recipes: [good, soloOf("missing"), soloOf("damaged")], lazy: true },
        ...{ apiKeys: ["secret"], bodyBytes: 10_000 },
    });
});
afterAll(async () => {
    await server.close();
    remove();
});

type Fetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** A client's settings, and what is wrong with its request. */
interface Ask {
    readonly url?: string;
    readonly apiKey?: string;
    readonly maxRetries?: number;
    readonly fetch?: Fetch | undefined;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: object;
}

/** The same question through either client. */
const CLIENTS = {
    OpenAI: ({ url = server.url, apiKey = "secret", maxRetries = 0, fetch: own, headers, body }: Ask) =>
        new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries, fetch: own }).chat.completions.create(
            { model, messages, max_tokens: 3, ...body },
            { headers },
        ),
    Anthropic: ({ url = server.url, apiKey = "secret", maxRetries = 0, fetch: own, headers, body }: Ask) =>
        new Anthropic({ baseURL: url, apiKey, maxRetries, fetch: own }).messages.create(
            { model, messages, max_tokens: 3, ...body },
            { headers },
        ),
} as const;
type Client = keyof typeof CLIENTS;

/** fetch() does not let a program say what host it asks for. */
const fromElsewhere: Fetch = (url, init = {}) =>
    new Promise((resolve, reject) => {
        const headers = { ...Object.fromEntries(new Headers(init.headers)), host: "evil.example" };
        const sent = request(new URL(url), { method: init.method, headers }, (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("end", () => {
                const { statusCode: status = 0, headers: told } = response;
                resolve(
                    new Response(Buffer.concat(chunks), {
                        status,
                        headers: { "content-type": String(told["content-type"]) },
                    }),
                );
            });
        });
        sent.on("error", reject).end(init.body);
    });

interface Case {
    readonly ask: Ask;
    readonly classes: { readonly [name in Client]: abstract new (...args: never[]) => Error };
    readonly status: number;
    /** As OpenAI's clients see it. */
    readonly openai: { readonly type: string; readonly code?: string | null; readonly param?: string | null };
    /** As Anthropic's do. */
    readonly anthropic: string;
    readonly retryAfter?: string;
}

const named = <Name extends keyof typeof OpenAI & keyof typeof Anthropic>(name: Name) => ({
    OpenAI: OpenAI[name] as Case["classes"]["OpenAI"],
    Anthropic: Anthropic[name] as Case["classes"]["OpenAI"],
});
const invalid = "invalid_request_error";
const own = "server_error";

const CASES: Readonly<Record<string, Case>> = {
    "a value out of range": {
        ask: { body: { temperature: -1 } },
        ...{ classes: named("BadRequestError"), status: 400, anthropic: invalid },
        openai: { type: invalid, code: null, param: "temperature" },
    },
    "a prompt that is too long": {
        ask: { body: { messages: [{ role: "user", content: "word ".repeat(1500) }] } },
        ...{ classes: named("BadRequestError"), status: 400, anthropic: invalid },
        openai: { type: invalid, code: "context_length_exceeded", param: "messages" },
    },
    "a wrong key": {
        ask: { apiKey: "nix" },
        ...{ classes: named("AuthenticationError"), status: 401, anthropic: "authentication_error" },
        openai: { type: "authentication_error", code: "invalid_api_key", param: null },
    },
    "another name of this machine": {
        ask: { fetch: fromElsewhere },
        ...{ classes: named("PermissionDeniedError"), status: 403, anthropic: "permission_error" },
        openai: { type: invalid, code: "host_not_allowed", param: null },
    },
    "an unknown model": {
        ask: { body: { model: "nix" } },
        ...{ classes: named("NotFoundError"), status: 404, anthropic: "not_found_error" },
        openai: { type: invalid, code: "model_not_found", param: null },
    },
    "a body that is too large": {
        ask: { body: { messages: [{ role: "user", content: "x".repeat(10_001) }] } },
        ...{ classes: named("APIError"), status: 413, anthropic: "request_too_large" },
        openai: { type: invalid, code: null, param: null },
    },
    "a body that is not called JSON": {
        ask: { headers: { "content-type": "text/plain" } },
        ...{ classes: named("APIError"), status: 415, anthropic: invalid },
        openai: { type: invalid, code: null, param: null },
    },
    "a model whose file is missing": {
        ask: { body: { model: "missing" } },
        ...{ classes: named("InternalServerError"), status: 503, anthropic: "overloaded_error", retryAfter: "1" },
        openai: { type: own, code: "model_unavailable", param: null },
    },
    "a model whose file is damaged": {
        ask: { body: { model: "damaged" } },
        ...{ classes: named("InternalServerError"), status: 500, anthropic: "api_error" },
        openai: { type: own, code: "model_invalid", param: null },
    },
};

const failing = async (asked: Promise<unknown>): Promise<{ readonly headers: Headers; readonly message: string }> =>
    asked.then(
        () => {
            throw new Error("Nothing has failed.");
        },
        (error: unknown) => error as { readonly headers: Headers; readonly message: string },
    );

describe.each(Object.entries(CASES))("%s", (_, { ask, classes, status, openai, anthropic, retryAfter = null }) => {
    it("is an error of OpenAI's client", async () => {
        const error = await failing(CLIENTS.OpenAI(ask));
        expect(error).toBeInstanceOf(classes.OpenAI);
        expect(error).toMatchObject({ status, ...openai });
        expect(error.headers.get("retry-after")).toBe(retryAfter);
        expect(error.message).not.toContain(folder);
    });

    it("is an error of Anthropic's client", async () => {
        const error = await failing(CLIENTS.Anthropic(ask));
        expect(error).toBeInstanceOf(classes.Anthropic);
        const told = { type: anthropic, message: expect.any(String) };
        expect(error).toMatchObject({ status, type: anthropic, error: { type: "error", error: told } });
        expect(error.headers.get("retry-after")).toBe(retryAfter);
        expect(error.message).not.toContain(folder);
    });
});

it("a path that there is not has the form of the protocol that it belongs to", async () => {
    const anthropic = new Anthropic({ baseURL: server.url, apiKey: "secret", maxRetries: 0 });
    const error = await failing(anthropic.messages.batches.list());
    expect(error).toBeInstanceOf(Anthropic.NotFoundError);
    expect(error).toMatchObject({ type: "not_found_error" });
    const openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "secret", maxRetries: 0 });
    await expect(openai.embeddings.create({ model, input: "Hello" })).rejects.toMatchObject({
        ...{ status: 404, code: "not_found", type: invalid },
    });
});

it("a base URL of the other protocol's kind is told", async () => {
    const shared = { apiKey: "secret", maxRetries: 0 };
    const ask = { model, messages: [{ role: "user" as const, content: "Hello" }], max_tokens: 1 };
    for (const asked of [
        () => new OpenAI({ ...shared, baseURL: server.url }).chat.completions.create(ask),
        () => new OpenAI({ ...shared, baseURL: server.url }).responses.create({ model, input: "Hello" }),
        () => new Anthropic({ ...shared, baseURL: `${server.url}/v1` }).messages.create(ask),
    ])
        expect(await failing(asked())).toMatchObject({
            status: 404,
            message: expect.stringMatching(/base URL .* \/v1/),
        });
});

describe.each(["OpenAI", "Anthropic"] as const)("%s's client", (name) => {
    /** Counts attempts, and does something when the first one has failed. */
    const counting = (onFailure: () => Promise<void>): { readonly statuses: number[]; readonly fetch: Fetch } => {
        const statuses: number[] = [];
        return {
            statuses,
            async fetch(url, init) {
                const response = await fetch(url, init);
                if (statuses.push(response.status) === 1 && !response.ok) await onFailure();
                return response;
            },
        };
    };

    it("tries again where all places are taken, and gets its answer", async () => {
        const busy = await serveDemo({ recipes: [good], ...LONG, parallel: 1, queue: 0 });
        try {
            const leave = await holdPlace(busy);
            const { statuses, fetch: own } = counting(async () => {
                leave();
                await untilMetric(busy, "answers_running", 0);
            });
            const answer = await CLIENTS[name]({ url: busy.url, maxRetries: 2, fetch: own });
            expect(answer).toHaveProperty("model", model);
            expect(statuses).toEqual([429, 200]);
        } finally {
            await busy.close();
        }
    });

    it("tries again where a model could not be loaded, and gets its answer when it can", async () => {
        const late = `late-${name.toLowerCase()}`;
        const lazy = await serveDemo({ recipes: [soloOf(late)], lazy: true });
        try {
            const { statuses, fetch: own } = counting(async () => {
                copyFileSync(demoFile("small-chat"), path.join(folder, `${late}.gguf`));
                return Promise.resolve();
            });
            const asked = { url: lazy.url, maxRetries: 2, fetch: own, body: { model: late } };
            expect(await CLIENTS[name](asked)).toHaveProperty("model", late);
            expect(statuses).toEqual([503, 200]);
        } finally {
            await lazy.close();
        }
    });

    it("does not try again what is wrong with the request", async () => {
        const { statuses, fetch: own } = counting(() => Promise.resolve());
        await failing(CLIENTS[name]({ maxRetries: 2, fetch: own, body: { temperature: -1 } }));
        expect(statuses).toEqual([400]);
    });
});
