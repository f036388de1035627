/** What clients are told of what is wrong: statuses, types, codes and fields, in the classes of OpenAI's client. */

import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import OpenAI from "openai";
import { startServer, type EftServer } from "../../src/server/index.js";
import { QUESTIONS } from "../helpers/demo.js";
import { post, readMetric, serveDemo, untilMetric } from "../helpers/server.js";

const messages = [{ role: "user", content: QUESTIONS[0] }];
const CHAT = "/v1/chat/completions";
let server: EftServer;
beforeAll(async () => {
    server = await serveDemo({ apiKeys: ["secret", "other"], origins: ["https://app.example"], bodyBytes: 100_000 });
});
afterAll(() => server.close());

const KEY = { authorization: "Bearer secret" };
const clientOf = (apiKey: string, { url } = server) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });

describe("a request that is wrong is told so, with its field", () => {
    const tool = { type: "function", function: { name: "f" } };
    const schemaOf = (schema: unknown) => ({
        messages,
        response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema } },
    });
    it.each<[string, unknown, string | null, string]>([
        ["not JSON", "nonsense", null, "The body is not JSON"],
        ["nothing", "", null, "The body"],
        ["a list", [], null, "The body must be an object, not a list."],
        ["without messages", {}, "messages", "messages is missing."],
        ["no message", { messages: [] }, "messages", "messages must have at least 1 element."],
        ["a text for a number", { messages, temperature: "hot" }, "temperature", "must be a number from 0 to 100, not"],
        ["a number out of range", { messages, top_p: 2 }, "top_p", "top_p must be a number from 0 to 1, not 2."],
        ["a fraction", { messages, n: 1.5 }, "n", "n must be a whole number from 1 to 16, not 1.5."],
        ["too many choices", { messages, n: 17 }, "n", "not 17."],
        ["an unknown role", { messages: [{ role: "king" }] }, "messages[0].role", 'one of "system", "developer"'],
        ["no role", { messages: [{ content: "a" }] }, "messages[0].role", "messages[0].role is missing."],
        [
            "a number as content",
            { messages: [{ role: "user", content: 5 }] },
            "messages[0].content",
            "a text or a list",
        ],
        [
            "a wrong part",
            { messages: [{ role: "user", content: [{ type: 1 }] }] },
            "messages[0].content[0].type",
            "must be a text, not 1.",
        ],
        [
            "an image",
            { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
            "messages[0].content",
            '"image_url"; models read text alone',
        ],
        ["a wrong stop", { messages, stop: 5 }, "stop", "stop must be a text or a list of texts, not 5."],
        ["17 stops", { messages, stop: Array(17).fill("a") }, "stop", "stop must have at most 16 elements."],
        ["a long stop", { messages, stop: ["a".repeat(1001)] }, "stop[0]", "must have at most 1000 characters."],
        ["a bias of no token", { messages, logit_bias: { x: 1 } }, "logit_bias", "logit_bias"],
        ["a bias of an unknown token", { messages, logit_bias: { 99999: 1 } }, "logit_bias", "from 0 to 2047"],
        ["a bias out of range", { messages, logit_bias: { 5: 101 } }, "logit_bias[5]", "from -100 to 100, not 101."],
        ["top_logprobs alone", { messages, top_logprobs: 2 }, "top_logprobs", "needs logprobs"],
        ["a choice without tools", { messages, tool_choice: "required" }, "tool_choice", "there are no tools"],
        [
            "a choice of no tool",
            { messages, tools: [tool], tool_choice: { type: "function", function: { name: "g" } } },
            "tool_choice",
            "tool_choice names g; there are the tools f.",
        ],
        ["a tool without function", { messages, tools: [{ type: "function" }] }, "tools[0].function", "is missing."],
        ["two tools of one name", { messages, tools: [tool, tool] }, "tools", "two tools with the name f"],
        ["a schema that is none", schemaOf({ type: "nix" }), null, "JSON schema"],
        ["no schema", schemaOf(undefined), "response_format.json_schema.schema", "is missing."],
        [
            "a schema that is too large",
            schemaOf({ enum: ["a".repeat(70_000)] }),
            "response_format.json_schema.schema",
            "at most 65536 characters",
        ],
        ["an unknown dial", { messages, eft: { parameters: { gamma: 1 } } }, "eft.parameters", '"gamma"'],
        ["a dial out of range", { messages, eft: { parameters: { beta: 3 } } }, "eft.parameters", "from 0 to 2, not 3"],
        [
            "an unknown field of ours",
            { messages, eft: { paramters: {} } },
            "eft.paramters",
            "eft.paramters is unknown; there are: parameters, conservative,",
        ],
        [
            "one inside it",
            { messages, eft: { conservative: { top_p: 1, top_k: 1 } } },
            "eft.conservative.top_k",
            "there are: top_p.",
        ],
        [
            "tools allowed that are none",
            {
                messages,
                tools: [tool],
                tool_choice: {
                    type: "allowed_tools",
                    allowed_tools: { mode: "auto", tools: [{ type: "function", function: { name: "g" } }] },
                },
            },
            "tool_choice",
            'allows "g"',
        ],
        [
            "a choice of none",
            { messages, tools: [tool], tool_choice: { type: "function" } },
            "tool_choice",
            "has no name",
        ],
        [
            "nothing that is allowed",
            { messages, tools: [tool], tool_choice: { type: "allowed_tools" } },
            "tool_choice",
            "has none",
        ],
        ["an unknown member", { messages, eft: { solo: "2 * large" } }, "eft.solo", "large, chat, small"],
        ["a wrong grammar", { messages, eft: { grammar: "x" } }, null, "grammar"],
        [
            "two forms at once",
            { messages, eft: { grammar: 'root ::= "a"' }, response_format: { type: "json_object" } },
            "eft.grammar",
            "exclude each other",
        ],
        [
            "a long prompt",
            { messages: [{ role: "user", content: "word ".repeat(2000) }] },
            "messages",
            "at most 1023 fit",
        ],
    ])("%s", async (_, body, param, message) => {
        const { status, body: told } = await post(server, CHAT, body, KEY);
        expect(told).toEqual({
            error: {
                message: expect.stringContaining(message),
                type: "invalid_request_error",
                param,
                code: told.error.code,
            },
        });
        expect(status).toBe(400);
    });

    it("none of which names an option of the library", async () => {
        const { body } = await post(
            server,
            CHAT,
            { messages, tools: [tool], tool_choice: "required", eft: { grammar: 'root ::= "a"' } },
            KEY,
        );
        expect(body.error.message).not.toMatch(/[a-z][A-Z]/);
    });
});

describe("classes of OpenAI's client", () => {
    const ask = (client: OpenAI, more: object = {}) =>
        client.chat.completions.create({ model: "demo", messages: [{ role: "user", content: "Hello" }], ...more });

    it("BadRequestError", async () => {
        const error = await ask(clientOf("secret"), { temperature: -1 }).catch((caught: unknown) => caught);
        expect(error).toBeInstanceOf(OpenAI.BadRequestError);
        expect(error).toMatchObject({ status: 400, param: "temperature", type: "invalid_request_error" });
    });

    it("AuthenticationError for a wrong key and for none", async () => {
        await expect(ask(clientOf("nix"))).rejects.toThrow(OpenAI.AuthenticationError);
        const { status, body } = await post(server, CHAT, { messages });
        expect([status, body.error.code, body.error.type]).toEqual([401, "invalid_api_key", "authentication_error"]);
        expect((await fetch(`${server.url}/v1/models`)).status).toBe(401);
        expect((await fetch(`${server.url}/health`)).status).toBe(200);
    });

    it("a key counts in either header", async () => {
        for (const headers of [KEY, { "x-api-key": "other" }])
            expect((await post(server, CHAT, { messages, max_tokens: 1 }, headers)).status).toBe(200);
    });

    it("NotFoundError for a model and for a path", async () => {
        await expect(ask(clientOf("secret"), { model: "gpt" })).rejects.toThrow(OpenAI.NotFoundError);
        await expect(ask(clientOf("secret"), { model: "gpt" })).rejects.toMatchObject({ code: "model_not_found" });
        const { status, body } = await post(server, "/v1/nix?key=1", {}, KEY);
        expect([status, body.error.message]).toEqual([404, expect.stringContaining("no POST /v1/nix;")]);
    });

    it("RateLimitError where no more may wait, with when to try again", async () => {
        const busy = await serveDemo({ parallel: 1, queue: 0 });
        try {
            const endless = { logit_bias: { 1: -100, 2: -100 } };
            const stream = await clientOf("none", busy).chat.completions.create({
                ...{ model: "demo", messages: [{ role: "user", content: "Hello" }], stream: true, ...endless },
            });
            const error = await ask(clientOf("none", busy)).catch((caught: unknown) => caught);
            expect(error).toBeInstanceOf(OpenAI.RateLimitError);
            expect(error).toMatchObject({ code: "queue_full", type: "rate_limit_error" });
            expect((error as InstanceType<typeof OpenAI.RateLimitError>).headers.get("retry-after")).toBe("1");
            stream.controller.abort();
            await untilMetric(busy, "answers_running", 0);
        } finally {
            await busy.close();
        }
    });
});

it("a request that needs more places than there are waits for them", async () => {
    const small = await serveDemo({ parallel: 1, queue: 0 });
    try {
        const { status } = await post(small, CHAT, { messages, n: 3, max_tokens: 2 });
        expect(status).toBe(200);
        const items = Array.from({ length: 5 }, () => ({ continuation: "Lima" }));
        expect((await post(small, "/v1/eft/score", { items })).status).toBe(200);
    } finally {
        await small.close();
    }
});

describe("what is no JSON request", () => {
    it("of another type is 415, whoever sends it", async () => {
        for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
            const { status, body } = await post(server, CHAT, "{}", { ...KEY, "content-type": type });
            expect([status, body.error.type]).toEqual([415, "invalid_request_error"]);
            expect(body.error.message).toContain("content-type: application/json");
        }
    });

    it("that is too large is 413", async () => {
        const { status, body } = await post(server, CHAT, "x".repeat(100_001), KEY);
        expect([status, body.error.type]).toEqual([413, "invalid_request_error"]);
    });

    it("with another method is 404", async () => {
        expect((await fetch(server.url + CHAT, { headers: KEY })).status).toBe(404);
    });
});

describe("other sites", () => {
    /** fetch() does not let a program say what host it asks for. */
    const statusFor = (host: string, url = server.url): Promise<number | undefined> =>
        new Promise((resolve, reject) => {
            request(`${url}/health`, { headers: { host } }, (response) => {
                response.resume();
                resolve(response.statusCode);
            })
                .on("error", reject)
                .end();
        });

    it("that give this machine a name of theirs are refused", async () => {
        const { port } = new URL(server.url);
        for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, "LOCALHOST", "[::1]:1"])
            expect(await statusFor(host)).toBe(200);
        for (const host of ["evil.example", `evil.example:${port}`, "localhost.evil.example", "127.0.0.1.evil.example"])
            expect(await statusFor(host)).toBe(403);
    });

    it.each(["LOCALHOST", "127.0.0.2", "127.1", "::ffff:127.0.0.1"])(
        "are refused however this machine alone is spelled: %s",
        async (host) => {
            const local = await serveDemo({ host, lazy: true });
            try {
                const { port, host: own } = new URL(local.url);
                const url = `http://${host === "127.0.0.2" ? host : "127.0.0.1"}:${port}`;
                expect(await statusFor("evil.example", url)).toBe(403);
                for (const name of ["localhost", own, local.url.slice("http://".length)])
                    expect(await statusFor(name, url)).toBe(200);
            } finally {
                await local.close();
            }
        },
    );

    it("may send requests where they are named, and only there", async () => {
        const preflight = async (origin: string) => {
            const { status, headers } = await fetch(server.url + CHAT, {
                method: "OPTIONS",
                headers: {
                    ...{ origin, "access-control-request-method": "POST" },
                    "access-control-request-headers": "authorization,content-type",
                },
            });
            return [status, headers.get("access-control-allow-origin")];
        };
        expect(await preflight("https://app.example")).toEqual([204, "https://app.example"]);
        expect((await preflight("https://evil.example"))[1]).toBeNull();
        const { headers } = await post(
            server,
            CHAT,
            { messages, max_tokens: 1 },
            { ...KEY, origin: "https://app.example" },
        );
        expect(headers.get("access-control-allow-origin")).toBe("https://app.example");
        expect(headers.get("access-control-expose-headers")).toBe("retry-after");
    });

    it("cannot have anything written without a question, which a browser asks for JSON", async () => {
        const open = await serveDemo({ lazy: true });
        try {
            const origin = "https://evil.example";
            // What a browser sends without asking: a form, a text, or nothing that says what it is.
            const { status } = await post(open, CHAT, { messages }, { origin, "content-type": "text/plain" });
            expect(status).toBe(415);
            const asked = await fetch(open.url + CHAT, {
                method: "OPTIONS",
                headers: { origin, "access-control-request-method": "POST" },
            });
            expect(asked.headers.get("access-control-allow-origin")).toBeNull();
        } finally {
            await open.close();
        }
    });
});

describe("startServer", () => {
    it("says that a port is taken", async () => {
        const port = Number(new URL(server.url).port);
        await expect(serveDemo({ port, lazy: true })).rejects.toMatchObject({
            code: "ADDRESS_UNAVAILABLE",
            message: expect.stringContaining(`port ${port}`),
        });
        await expect(serveDemo({ host: "203.0.113.1", lazy: true })).rejects.toMatchObject({
            code: "ADDRESS_UNAVAILABLE",
        });
    });

    it.each<[string, object]>([
        ["no recipes", { recipes: [] }],
        ["what is no recipe", { recipes: [{}] }],
        ["a port that is none", { port: 65_536 }],
        ["no places", { parallel: 0 }],
        ["an empty key", { apiKeys: [""] }],
        ["a key that is none", { apiKeys: [5] }],
        ["a key of another encoding", { apiKeys: ["\ufffd\ufffdk\0e\0y\0"] }],
        ["a key that headers cannot carry", { apiKeys: ["schl\u00fcssel"] }],
        ["an origin with a path", { origins: ["https://app.example/"] }],
        ["an origin that is none", { origins: ["app.example"] }],
        ["what it does not know", { prot: 80 }],
        ["a log that is none", { log: "file" }],
    ])("refuses %s", async (_, options) => {
        await expect(serveDemo(options)).rejects.toMatchObject({ code: "OPTION_INVALID" });
    });

    it("refuses two recipes of one name, and nothing at all", async () => {
        const { loadRecipe } = await import("../../src/index.js");
        const recipe = await loadRecipe("demo");
        await expect(serveDemo({ recipes: [recipe, recipe] })).rejects.toMatchObject({ code: "OPTION_INVALID" });
        await expect(startServer(undefined as never)).rejects.toMatchObject({ code: "OPTION_INVALID" });
    });
});

it.each<[string, object, string]>([
    ["/v1/completions", { prompt: "word ".repeat(2000) }, "prompt"],
    ["/v1/completions", { prompt: [99_999] }, "prompt"],
    ["/v1/responses", { input: "word ".repeat(2000) }, "input"],
    ["/v1/eft/score", { items: [{ continuation: "word ".repeat(2000) }] }, "items"],
    ["/v1/eft/score", { items: [{ continuation: "a" }], parameters: { gamma: 1 } }, "parameters"],
])("%s names the field as it calls it: %j", async (path, body, param) => {
    const { status, body: told } = await post(server, path, body, KEY);
    expect([status, told.error.param]).toEqual([400, param]);
});

it("a score names the text that is wrong, wherever it stands", async () => {
    const items = [{ continuation: "a" }, { continuation: "b" }, { continuation: [2048] }];
    const { status, body } = await post(server, "/v1/eft/score", { items }, KEY);
    expect([status, body.error.param]).toEqual([400, "items"]);
    expect(body.error.message).toContain("items[2].continuation");
});

it("ignores fields that it does not know, and says so in its log", async () => {
    const lines: string[] = [];
    const logged = await serveDemo({ log: (line) => lines.push(line) });
    try {
        const said = { role: "user", content: [{ type: "text", text: "Hello", cache_control: {} }] };
        const { status } = await post(logged, CHAT, {
            ...{ messages: [said, said], max_tokens: 1, service_tier: "auto", metadata: { any: 1 } },
            stream_options: { include_usage: true, include_obfuscation: false },
            ...{ tools: [{ type: "function", function: { name: "f", parameters: { x: 1, type: "object" } } }] },
            ...{ response_format: { type: "text", json_schema: { new: 1 } }, logit_bias: { 5: 1 } },
        });
        expect(status).toBe(200);
    } finally {
        await logged.close();
    }
    const told = lines.map((each) => JSON.parse(each) as { path?: string; ignored?: string[] });
    expect(told.find(({ path }) => path === CHAT)?.ignored?.toSorted()).toEqual([
        ...["messages[].content[].cache_control", "response_format.json_schema.new", "service_tier"],
        "stream_options.include_obfuscation",
    ]);
});

it("names paths that there are not, without their queries, in its log", async () => {
    const lines: string[] = [];
    const logged = await serveDemo({ lazy: true, log: (line) => lines.push(line) });
    try {
        expect((await fetch(`${logged.url}/props?token=secret`)).status).toBe(404);
    } finally {
        await logged.close();
    }
    const told = lines.map((each) => JSON.parse(each) as { path?: string; status?: number });
    expect(told.filter(({ status }) => status === 404)).toMatchObject([{ path: "/props" }]);
    expect(lines.join("")).not.toContain("secret");
});

it("counts requests that were not let in", async () => {
    await post(server, CHAT, { messages });
    const refused = await readMetric(server, `requests_total{path="${CHAT}",status="401"}`, KEY);
    expect(refused).toBeGreaterThan(0);
});
