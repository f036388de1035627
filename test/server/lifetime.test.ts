/** Loading when somebody asks, making room, and the end of a server. */

import { connect } from "node:net";
import { expect, it } from "@jest/globals";
import OpenAI from "openai";
import type { EftServer } from "../../src/server/index.js";
import { holdPlace, LONG, post, readMetric, serveDemo, untilMetric } from "../helpers/server.js";

const messages = [{ role: "user" as const, content: "Hello" }];
const CHAT = "/v1/chat/completions";
/** No answer ends by itself. */
const ENDLESS = { logit_bias: { 1: -100, 2: -100 } };

const begin = ({ url }: EftServer, model = "demo") =>
    new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }).chat.completions.create({
        ...{ model, messages, stream: true, ...ENDLESS },
    });
const loadedBy = async ({ url }: EftServer): Promise<string[]> => {
    const { data } = (await (await fetch(`${url}/v1/eft/recipes`)).json()) as {
        data: { id: string; loaded: boolean }[];
    };
    return data.filter(({ loaded }) => loaded).map(({ id }) => id);
};

it("loads a recipe when somebody asks for it, and makes room for another one", async () => {
    const server = await serveDemo({ lazy: true, loaded: 1 });
    try {
        expect(await loadedBy(server)).toEqual([]);
        for (const model of ["demo", "demo-dial", "demo"]) {
            expect((await post(server, CHAT, { model, messages })).status).toBe(200);
            expect(await loadedBy(server)).toEqual([model]);
        }
        const models = ["demo", "demo-dial", "demo", "demo-dial", "demo-dial", "demo"];
        const answers = await Promise.all(models.map((model) => post(server, CHAT, { model, messages })));
        expect(answers.map(({ status }) => status)).toEqual(models.map(() => 200));
        expect(await readMetric(server, "models_loaded")).toBe(1);
    } finally {
        await server.close();
    }
});

it("lets nobody keep a loaded recipe from making room", async () => {
    const server = await serveDemo({ lazy: true, loaded: 1 });
    try {
        const stream = await begin(server);
        const order: string[] = [];
        const ask = async (model: string): Promise<void> => {
            expect((await post(server, CHAT, { model, messages, max_tokens: 1 })).status).toBe(200);
            order.push(model);
        };
        const other = ask("demo-dial");
        // It waits for room before the next one comes.
        await untilMetric(server, "models_waited_for", 1);
        const same = ask("demo");
        await untilMetric(server, "models_waited_for", 2);
        stream.controller.abort();
        await Promise.all([other, same]);
        expect(order).toEqual(["demo-dial", "demo"]);
    } finally {
        await server.close();
    }
});

it("keys take turns at loading, and nobody waits for room who has gone", async () => {
    // Answers come one after another, in the order in which their model was loaded for them.
    const server = await serveDemo({ ...LONG, lazy: true, loaded: 1, parallel: 1, apiKeys: ["flood", "other"] });
    const [flood, other] = ["flood", "other"].map((key) => ({ "x-api-key": key }));
    try {
        const order: string[] = [];
        const ask = async (name: string, headers = flood): Promise<void> => {
            expect((await post(server, CHAT, { model: "demo-dial", messages, max_tokens: 1 }, headers)).status).toBe(
                200,
            );
            order.push(name);
        };
        const leave = await holdPlace(server, other);
        const leaver = new AbortController();
        const left = fetch(server.url + CHAT, {
            ...{ method: "POST", signal: leaver.signal, headers: { "content-type": "application/json", ...other } },
            body: JSON.stringify({ model: "demo-dial", messages }),
        }).catch(() => "gone");
        await untilMetric(server, "models_waited_for", 1, other);
        const asked = [ask("flood"), ask("flood"), ask("flood")];
        await untilMetric(server, "models_waited_for", 4, other);
        asked.push(ask("other", other));
        await untilMetric(server, "models_waited_for", 5, other);
        leaver.abort();
        expect(await left).toBe("gone");
        await untilMetric(server, "models_waited_for", 4, other);
        leave();
        await Promise.all(asked);
        expect(order).toEqual(["flood", "other", "flood", "flood"]);
    } finally {
        await server.close();
    }
});

it("ends what is being written with a reason, and what waits with 503", async () => {
    const server = await serveDemo({ parallel: 1, closeMs: 50 });
    const stream = await begin(server);
    const waiting = post(server, CHAT, { messages });
    await untilMetric(server, "answers_waiting", 1);
    const chunks = [];
    const closing = server.close();
    // The client reads to [DONE].
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("length");
    const { status, headers, body } = await waiting;
    expect([status, body.error.code, headers.get("retry-after")]).toEqual([503, "shutting_down", "1"]);
    await closing;
    await server.close();
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
});

it("lets what is being written go on to its end", async () => {
    const server = await serveDemo({ closeMs: 60_000 });
    // Long enough to be seen, however busy the machine is.
    const endless = { messages, logit_bias: { 1: -100, 2: -100 }, max_tokens: 600 };
    const answer = post<{ usage: { completion_tokens: number } }>(server, CHAT, endless);
    await untilMetric(server, "answers_running", 1);
    await server.close();
    const { status, body } = await answer;
    expect([status, body.usage.completion_tokens]).toEqual([200, 600]);
});

it("serves nobody on a connection that was open before", async () => {
    const server = await serveDemo({ closeMs: 500 });
    const stream = await begin(server);
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    const received: Buffer[] = [];
    socket.on("data", (data: Buffer) => received.push(data));
    const gone = new Promise((resolve) => socket.on("close", resolve));
    // Half of a request keeps it open.
    socket.write("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    await readMetric(server, "answers_running");
    const closing = server.close();
    socket.write("\r\n");
    await gone;
    expect(Buffer.concat(received).toString()).toContain("HTTP/1.1 503");
    stream.controller.abort();
    await closing;
});

it("does not wait for the rest of a request for ever", async () => {
    const server = await serveDemo({ lazy: true, closeMs: 0 });
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{",
    );
    await new Promise((resolve) => socket.on("connect", resolve));
    await readMetric(server, "answers_running");
    await server.close();
    socket.destroy();
});
