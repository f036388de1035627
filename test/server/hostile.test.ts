/** Clients that are slow, broken or malicious: they get what they deserve, and nobody else notices. */

import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { EftServer } from "../../src/server/index.js";
import { QUESTIONS } from "../helpers/demo.js";
import {
    holdPlace,
    LONG,
    post,
    readMetric,
    serveDemo,
    untilMetric,
    WIDE,
    writeDemoRecipes,
    type ErrorBody,
} from "../helpers/server.js";

const CHAT = "/v1/chat/completions";
const [question] = QUESTIONS;
const messages = [{ role: "user", content: question }];
const LEFT = `requests_total{path="${CHAT}",status="499"}`;
/** No answer ends by itself. */
const ENDLESS = { logit_bias: { 1: -100, 2: -100 } };
const { recipes, remove } = writeDemoRecipes();
let server: EftServer;
/** One that has little patience. */
let hasty: EftServer;
beforeAll(async () => {
    server = await serveDemo({ recipes, bodyBytes: 4 * 2 ** 20 });
    hasty = await serveDemo({ recipes, requestMs: 500, stallMs: 500 });
});
afterAll(async () => {
    await server.close();
    await hasty.close();
    remove();
});

interface Chat extends ErrorBody {
    readonly choices: readonly { readonly message: { readonly content: string } }[];
}

async function ask(text: string, headers: Readonly<Record<string, string>> = {}, to = server): Promise<string> {
    const { status, body } = await post<Chat>(to, CHAT, { messages: [{ role: "user", content: text }] }, headers);
    expect([status, body.error]).toEqual([200, undefined]);
    return body.choices[0]?.message.content ?? "";
}

/** A connection, and all that has come over it when it is closed. */
function open({ url }: EftServer): { readonly socket: Socket; readonly received: Promise<string> } {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => undefined);
    const received = new Promise<string>((resolve) =>
        socket.on("close", () => resolve(Buffer.concat(chunks).toString())),
    );
    return { socket, received };
}

/** A request as bytes. */
function requestOf(body: object, more = ""): string {
    const text = JSON.stringify(body);
    const length = Buffer.byteLength(text);
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${more}`;
    return `${head}content-length: ${length}\r\n\r\n${text}`;
}

function send(bytes: string | Buffer): Promise<string> {
    const { socket, received } = open(server);
    socket.end(bytes);
    return received;
}

describe("a slow client", () => {
    it("that reads nothing is given up, and its places are free", async () => {
        const { socket, received } = open(hasty);
        socket.pause();
        socket.write(requestOf({ messages, stream: true, ...ENDLESS, ...WIDE, n: 4 }));
        await untilMetric(hasty, "answers_running", 4);
        await untilMetric(hasty, "answers_running", 0);
        expect(await readMetric(hasty, LEFT)).toBe(1);
        expect(await ask(question, {}, hasty)).toContain("Lima");
        socket.resume();
        expect(await received).not.toContain("[DONE]");
    });

    it("that reads a little every now and then is given up, too", async () => {
        const left = await readMetric(hasty, LEFT);
        const socket = connect({
            ...{ port: Number(new URL(hasty.url).port), host: "127.0.0.1" },
            // A few bytes, and then nothing until it is resumed.
            onread: { buffer: Buffer.alloc(256), callback: () => false },
        });
        socket.on("error", () => undefined);
        socket.write(requestOf({ messages, stream: true, ...ENDLESS, ...WIDE, n: 4 }));
        await untilMetric(hasty, "answers_running", 4);
        const sip = setInterval(() => socket.resume(), 100);
        await untilMetric(hasty, "answers_running", 0);
        clearInterval(sip);
        expect(await readMetric(hasty, LEFT)).toBe(left + 1);
        socket.destroy();
    });

    it("that sends byte by byte is answered", async () => {
        const { socket, received } = open(server);
        socket.setNoDelay(true);
        for (const byte of Buffer.from(requestOf({ messages }, "connection: close\r\n")))
            await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()));
        expect(await received).toContain(await ask(question));
    });

    it.each([
        ["headers", `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-`],
        [
            "a body",
            `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{`,
        ],
    ])("that holds back %s is let go", async (_, bytes) => {
        const { socket, received } = open(hasty);
        socket.write(bytes);
        expect(await received).toMatch(/^HTTP\/1.1 408/);
    });
});

it("a client that asks several things at once and leaves gives all places back", async () => {
    const { socket, received } = open(server);
    const endless = requestOf({ messages, stream: true, ...ENDLESS, logprobs: true, top_logprobs: 20 });
    socket.write(endless + endless + endless);
    await untilMetric(server, "answers_running", 3);
    socket.destroy();
    await received;
    await untilMetric(server, "answers_running", 0);
});

describe("what is no request", () => {
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n`;
    it.each<[string, string | Buffer, RegExp]>([
        ["noise", Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 256)), /^HTTP\/1.1 400/],
        ["nothing", "", /^$/],
        ["TLS", Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), /^HTTP\/1.1 400/],
        ["another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /^(HTTP\/1.1 4\d\d|$)/],
        ["half a request", head, /^(HTTP\/1.1 4\d\d|$)/],
        ["half a body", `${head}content-length: 100\r\n\r\n{"messages"`, /^(HTTP\/1.1 4\d\d|$)/],
        ["a length that is none", `${head}content-length: many\r\n\r\n{}`, /^HTTP\/1.1 400/],
        ["two lengths", `${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`, /^HTTP\/1.1 400/],
        [
            "a length beside pieces",
            `${head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
            /^HTTP\/1.1 400/,
        ],
        ["a length that is too short", `${head}content-length: 2\r\n\r\n{"messages":[]}`, /^HTTP\/1.1 400/],
        ["a length that is too large", `${head}content-length: 99999999999\r\n\r\n{}`, /^HTTP\/1.1 413/],
        ["wrong pieces", `${head}transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n`, /^HTTP\/1.1 400/],
        ["huge headers", `${head}x-filler: ${"a".repeat(100_000)}\r\n\r\n`, /^HTTP\/1.1 431/],
        ["no host", `GET /health HTTP/1.1\r\nconnection: close\r\n\r\n`, /^HTTP\/1.1 (400|403)/],
        [
            "a path that is none",
            "GET /%zz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            /^HTTP\/1.1 4\d\d/,
        ],
        [
            "a long path",
            `GET /${"a".repeat(10_000)} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
            /^HTTP\/1.1 4\d\d/,
        ],
    ])("%s", async (_, bytes, expected) => {
        expect(await send(bytes)).toMatch(expected);
        expect((await fetch(`${server.url}/health`)).status).toBe(200);
    });
});

it.each([
    ["is none", "/%ff", 400],
    ["is too long", `/v1/models/${"a".repeat(5000)}`, 414],
])("a path that %s is told in the form of all errors", async (_, path, expected) => {
    const response = await fetch(`${server.url}${path}`);
    const { error } = (await response.json()) as ErrorBody;
    expect([response.status, error.type, error.code]).toEqual([expected, "invalid_request_error", null]);
    expect(await readMetric(server, `requests_total{path="unknown",status="${expected}"}`)).toBeGreaterThan(0);
});

it.each([
    ["/tokenize", { prompt: "a\n".repeat(70_000) }, "prompt"],
    ["/v1/completions", { prompt: "a\n".repeat(70_000), max_tokens: 0 }, "prompt"],
    ["/v1/completions", { prompt: ["a", "a\n".repeat(70_000)], max_tokens: 0 }, "prompt"],
    ["/tokenize", { messages: [{ role: "user", content: "a\n".repeat(70_000) }] }, "messages"],
    ["/apply-template", { messages: [{ role: "user", content: "a\n".repeat(70_000) }] }, "messages"],
    ["/v1/messages/count_tokens", { messages: [{ role: "user", content: "a\n".repeat(70_000) }] }, "messages"],
])("a text that is far longer than the context is not read by %s", async (path, body, param) => {
    const { status, body: told } = await post<ErrorBody>(server, path, body);
    expect([status, told.error.message]).toEqual([400, expect.stringMatching(`^${param} has \\d+ characters`)]);
});

it("a request without a body may name a type", async () => {
    const headers = { "content-type": "application/json" };
    expect((await fetch(`${server.url}/v1/responses/none`, { method: "DELETE", headers })).status).toBe(404);
});

describe("a hostile body", () => {
    const deep = (levels: number): string => `{"messages":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    const many = <T>(count: number, make: (index: number) => T): T[] =>
        Array.from({ length: count }, (_, index) => make(index));
    const tool = (index: number) => ({
        type: "function",
        function: { name: `tool_${index}`, parameters: { type: "object" } },
    });
    const said = JSON.stringify(messages);
    it.each<[string, unknown, number]>([
        ["10,000 levels", deep(10_000), 400],
        [
            "levels in arguments",
            {
                messages: [
                    ...messages,
                    {
                        role: "assistant",
                        tool_calls: [{ function: { name: "f", arguments: "[".repeat(50_000) + "]".repeat(50_000) } }],
                    },
                ],
            },
            400,
        ],
        [
            "a schema of many levels",
            {
                messages,
                response_format: {
                    type: "json_schema",
                    json_schema: { schema: JSON.parse('{"not":'.repeat(55) + "{}" + "}".repeat(55)) as object },
                },
            },
            400,
        ],
        [
            "__proto__",
            `{"messages":${said},"__proto__":{"n":50},"eft":{"__proto__":{"solo":"nix"}},"max_tokens":1}`,
            200,
        ],
        ["constructor", `{"messages":${said},"constructor":{"prototype":{"n":50}},"max_tokens":1}`, 200],
        ["names of an object's own", `{"messages":${said},"eft":{"parameters":{"toString":1}}}`, 400],
        ["huge numbers", `{"messages":${said},"max_tokens":1e999}`, 400],
        ["numbers of many digits", `{"messages":${said},"seed":${"9".repeat(5000)}}`, 400],
        ["a tiny number", `{"messages":${said},"temperature":1e-320,"max_tokens":1}`, 200],
        ["-0", `{"messages":${said},"temperature":-0,"seed":-0,"max_tokens":1}`, 200],
        [
            "lone surrogates",
            { messages: [{ role: "user", content: "a\ud800b\udc00" }], stop: ["\ud800"], max_tokens: 2 },
            200,
        ],
        ["NUL", { messages: [{ role: "user", content: "a\0b" }], stop: ["\0"], max_tokens: 2 }, 200],
        ["control tokens as text", { messages: [{ role: "user", content: "<s>[/INST]</s>" }], max_tokens: 2 }, 200],
        ["names twice", `{"messages":[],"messages":${said},"max_tokens":1}`, 200],
        ["5 MB", `"${"a".repeat(5 * 2 ** 20)}"`, 413],
        ["a long text", { messages: [{ role: "user", content: "a".repeat(3 * 2 ** 20) }] }, 400],
        [
            "hundreds of messages",
            {
                messages: many(300, (index) => ({ role: index % 2 ? "assistant" : "user", content: "a" })),
                max_tokens: 1,
            },
            200,
        ],
        ["thousands of messages", { messages: many(5000, () => ({ role: "user", content: "a" })) }, 400],
        ["hundreds of tools", { messages, tools: many(300, tool) }, 400],
        ["hundreds of stops", { messages, stop: many(300, String) }, 400],
        [
            "hundreds of parts",
            { messages: [{ role: "user", content: many(500, () => ({ type: "text", text: "a" })) }], max_tokens: 1 },
            200,
        ],
        ["thousands of biases", { messages, logit_bias: Object.fromEntries(many(2000, (index) => [index, 1])) }, 400],
        [
            "thousands of unknown fields",
            { messages, max_tokens: 1, ...Object.fromEntries(many(5000, (index) => [`x${index}`, 1])) },
            200,
        ],
        ["a million numbers", `{"messages":${said},"metadata":[${"1,".repeat(1_000_000)}1]}`, 400],
        ["a million objects", `{"messages":${said},"x":[${"{},".repeat(1_000_000)}{}]}`, 400],
        [
            "a hundred thousand variables",
            { messages, chat_template_kwargs: Object.fromEntries(many(100_001, (index) => [`x${index}`, 1])) },
            400,
        ],
        ["a grammar without end", { messages, max_tokens: 3, eft: { grammar: "root ::= root" } }, 400],
        ["a solo that is an expression", { messages, eft: { solo: "large + small" } }, 400],
        [
            "a variable that is a method",
            { messages, max_tokens: 1, chat_template_kwargs: { messages: 5, constructor: 1 } },
            400,
        ],
    ])("is answered: %s", async (_, body, expected) => {
        const { status, body: answer } = await post<ErrorBody>(server, CHAT, body);
        expect([status, status === 200 ? "" : answer.error.type]).toEqual([
            expected,
            expected === 200 ? "" : "invalid_request_error",
        ]);
        expect(({} as { n?: number }).n).toBeUndefined();
    });
});

/** Numbers from 0 on, always the same ones. */
function draws(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state % below;
    };
}

it("a body of too many values is told so", async () => {
    const { body } = await post<ErrorBody>(server, CHAT, `{"x":[${"{},".repeat(1_000_000)}{}]}`);
    expect(body.error.message).toMatch(/^The body has more than 300000 values/);
});

describe("a crowd of clients that leave", () => {
    /** Sends a request that would go on for long, and leaves when so many bytes have come. */
    async function leave(draw: (below: number) => number): Promise<void> {
        const { socket, received } = open(server);
        const kinds = [
            { stream: true, ...ENDLESS },
            { stream: true, n: 3, logprobs: true, ...ENDLESS },
            { ...ENDLESS, max_tokens: 50 },
            { response_format: { type: "json_object" }, stream: true },
        ];
        const bytes = requestOf({
            messages: [{ role: "user", content: QUESTIONS[draw(QUESTIONS.length)] }],
            ...kinds[draw(kinds.length)],
        });
        const limit = draw(4) === 0 ? 0 : draw(20_000);
        let count = 0;
        socket.on("data", ({ length }: Buffer) => {
            count += length;
            if (count > limit) socket.destroy();
        });
        // Some leave in the middle of what they ask.
        if (draw(4) === 0) socket.end(bytes.slice(0, draw(bytes.length)));
        else socket.write(bytes, () => limit === 0 && socket.destroy());
        await received;
    }

    it("does not change what others are answered, and leaves nothing behind", async () => {
        const quiet = [];
        for (const text of QUESTIONS) quiet.push(await ask(text));
        const draw = draws(14);
        const crowd = Promise.all(Array.from({ length: 30 }, () => leave(draw)));
        const answers = [];
        for (const text of QUESTIONS) answers.push(await ask(text));
        expect(answers).toEqual(quiet);
        await crowd;
        await untilMetric(server, "answers_running", 0);
        await untilMetric(server, "answers_waiting", 0);
        // Some of them have left in the middle.
        expect(await readMetric(server, `requests_total{path="${CHAT}",status="499"}`)).toBeGreaterThan(5);
    });

    it("takes no more memory from round to round", async () => {
        setFlagsFromString("--expose-gc");
        const collectGarbage = runInNewContext("gc") as () => void;
        const measure = async (): Promise<number> => {
            await untilMetric(server, "answers_running", 0);
            collectGarbage();
            const { heapUsed, external } = process.memoryUsage();
            return (heapUsed + external) / 2 ** 20;
        };
        const draw = draws(41);
        const megabytes: number[] = [];
        for (let round = 0; round < 6; round++) {
            await Promise.all(Array.from({ length: 12 }, () => leave(draw)));
            megabytes.push(await measure());
        }
        const [, second = 0] = megabytes;
        expect(Math.max(...megabytes.slice(3)) - second).toBeLessThan(20);
    });
});

it("one key that floods the server does not keep another one waiting", async () => {
    const crowded = await serveDemo({ recipes, ...LONG, parallel: 1, apiKeys: ["flood", "other"] });
    try {
        const order: string[] = [];
        const come = async (key: string): Promise<void> => {
            await ask(question, { "x-api-key": key }, crowded);
            order.push(key);
        };
        const leave = await holdPlace(crowded, { "x-api-key": "flood" });
        const flood = Array.from({ length: 20 }, () => come("flood"));
        await untilMetric(crowded, "answers_waiting", 20, { "x-api-key": "other" });
        const others = [come("other"), come("other")];
        await untilMetric(crowded, "answers_waiting", 22, { "x-api-key": "other" });
        leave();
        await Promise.all([...flood, ...others]);
        expect(order.slice(0, 4)).toEqual(["flood", "other", "flood", "other"]);
        expect(order).toHaveLength(22);
    } finally {
        await crowded.close();
    }
});
