/** What only this server has: dials, members, explanations, speculation, tokens and templates, numbers. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { collect, complete, type Ensemble } from "../../src/index.js";
import type { EftServer } from "../../src/server/index.js";
import { loadOnCpu, QUESTIONS } from "../helpers/demo.js";
import { post, readMetric, serveDemo, untilMetric, writeDemoRecipes, type ErrorBody } from "../helpers/server.js";

const [question] = QUESTIONS;
const messages = [{ role: "user", content: question }];
const CHAT = "/v1/chat/completions";
const KEY = { "x-api-key": "a" };
/** No answer ends by itself. */
const ENDLESS = { logit_bias: { 1: -100, 2: -100 } };
const { recipes, remove } = writeDemoRecipes();
let server: EftServer;
let ensemble: Ensemble;
beforeAll(async () => {
    server = await serveDemo({ recipes, apiKeys: ["a", "b"] });
    ensemble = await loadOnCpu(recipes[0], { contextSize: 1024 });
});
afterAll(async () => {
    await server.close();
    await ensemble.dispose();
    remove();
});

interface EftTokens {
    readonly id: number;
    readonly members?: Record<string, number>;
    readonly top?: readonly { readonly members?: Record<string, number> }[];
    readonly drafter?: { readonly id: number; readonly distance: number };
    readonly drawn_by?: string;
}
interface Chat extends ErrorBody {
    readonly model: string;
    readonly choices: readonly {
        readonly message: { readonly content: string };
        readonly eft: {
            readonly tokens?: readonly EftTokens[];
            readonly exactness?: string;
            readonly speculation?: { readonly unasked?: number };
        };
    }[];
    readonly usage: { readonly completion_tokens_details: Record<string, number> };
}

async function ask(body: object): Promise<Chat> {
    const { status, body: answer } = await post<Chat>(server, CHAT, { messages, ...body }, KEY);
    expect([status, answer.error]).toEqual([200, undefined]);
    return answer;
}
const textOf = ({ choices }: Chat) => choices[0]?.message.content;

describe("eft", () => {
    it("turns dials", async () => {
        const [weak, strong] = await Promise.all(
            [0, 2].map((beta) => ask({ eft: { parameters: { beta } }, temperature: 1, seed: 4 })),
        );
        for (const [answer, beta] of [
            [weak, 0],
            [strong, 2],
        ] as const) {
            const options = { prompt: question, parameters: { beta }, sampling: { temperature: 1 }, seed: 4 };
            expect(answer && textOf(answer)).toBe((await collect(complete(ensemble, options))).text);
        }
    });

    it("lets one member answer, under the name of the model", async () => {
        const tuned = await ask({ eft: { solo: "chat" } });
        expect(textOf(tuned)).toBe(textOf(await ask({ eft: { parameters: { beta: 0 } } })));
        expect(tuned.model).toBe("demo");
    });

    it("reports what members and drafter thought", async () => {
        const { choices } = await ask({ eft: { members: true, explain: true, top: 3 } });
        const [first] = choices[0]?.eft.tokens ?? [];
        expect(Object.keys(first?.members ?? {}).sort()).toEqual(["chat", "large", "small"]);
        expect(first?.top).toHaveLength(3);
        expect(first?.top?.[0]?.members).toBeDefined();
        expect(first?.drafter?.distance).toBeGreaterThanOrEqual(0);
        expect((await ask({ eft: { members: true, top: 0 } })).choices[0]?.eft.tokens?.[0]).not.toHaveProperty("top");
    });

    it("reports it in all protocols, whole and in a stream", async () => {
        const eft = { members: true, explain: true, top: 2 };
        /** Of a choice, of a response, of a message, or of one of their events. */
        interface Told {
            readonly choices?: readonly { readonly eft?: { readonly tokens?: readonly EftTokens[] } }[];
            readonly response?: Told;
            readonly eft?: { readonly tokens?: readonly EftTokens[] };
        }
        // Numbers differ a little with what is read from a cache.
        const tokensOf = ({ choices = [], response, eft: own }: Told) =>
            [...choices.map((choice) => choice.eft), response?.eft, own]
                .flatMap((each) => each?.tokens ?? [])
                .map(({ id, members = {}, top, drafter }) => [id, Object.keys(members), top?.length, drafter?.id]);
        const read = async (path: string, body: object) => {
            const { body: whole } = await post<Told>(server, path, { ...body, eft }, KEY);
            const response = await fetch(server.url + path, {
                ...{ method: "POST", headers: { "content-type": "application/json", ...KEY } },
                body: JSON.stringify({ ...body, eft, stream: true }),
            });
            const events = (await response.text()).match(/(?<=^data: )\{.*/gm) ?? [];
            return [tokensOf(whole), events.flatMap((event) => tokensOf(JSON.parse(event) as Told))];
        };
        const [expected, streamed] = await read(CHAT, { messages });
        expect(expected?.length).toBeGreaterThan(3);
        expect(streamed).toEqual(expected);
        for (const [path, body] of [
            ["/v1/responses", { input: question }],
            ["/v1/messages", { messages, max_tokens: 200 }],
        ] as const)
            expect(await read(path, body)).toEqual([expected, expected]);
        // Its prompt is another one.
        const [whole, pieces] = await read("/v1/completions", { prompt: question });
        expect(whole).toHaveLength(16);
        expect(whole?.[0]).toEqual([expect.any(Number), ["large", "chat", "small"], 2, expect.any(Number)]);
        expect(pieces).toEqual(whole);
    });

    it("speculates, which usage counts, and says the same", async () => {
        const [without, speculated] = [await ask({}), await ask({ eft: { speculation: { length: 4 } } })];
        expect(textOf(speculated)).toBe(textOf(without));
        expect(speculated.usage.completion_tokens_details["accepted_prediction_tokens"]).toBeGreaterThan(0);
        expect(without.usage.completion_tokens_details["accepted_prediction_tokens"]).toBe(0);
    });

    it("fuses selectively, and says that the answer is approximate", async () => {
        const [exact, selective] = [
            await ask({ eft: { speculation: { selective: 0 } } }),
            await ask({ eft: { speculation: { drafter: "chat", selective: 100 }, members: true } }),
        ];
        expect(exact.choices[0]?.eft.exactness).toBeUndefined();
        expect(exact.choices[0]?.eft.speculation).not.toHaveProperty("unasked");
        expect(selective.choices[0]?.eft.exactness).toBe("approximate");
        expect(selective.choices[0]?.eft.speculation?.unasked).toBeGreaterThan(0);
        expect(selective.choices[0]?.eft.tokens?.every(({ drawn_by: by }) => by === "drafter")).toBe(true);
        const { status, body } = await post<ErrorBody>(
            server,
            CHAT,
            { messages, eft: { speculation: { selective: 1, lookup: true } } },
            KEY,
        );
        expect(status).toBe(400);
        expect(body.error.message).toContain('"lookup" guesses what all members verify');
    });

    it("takes a grammar", async () => {
        expect(textOf(await ask({ eft: { grammar: 'root ::= "yes" | "no"' } }))).toMatch(/^(yes|no)$/);
    });
});

describe("the dials of a running answer", () => {
    const turn = (id: string, parameters: object, key = "a") =>
        post<ErrorBody & { parameters: object }>(server, "/v1/eft/control", { id, parameters }, { "x-api-key": key });

    it("turn it from its next token on, for whoever asked", async () => {
        const leaving = new AbortController();
        const response = await fetch(server.url + CHAT, {
            method: "POST",
            headers: { "content-type": "application/json", ...KEY },
            body: JSON.stringify({ model: "demo-dial", messages, stream: true, ...ENDLESS }),
            signal: leaving.signal,
        });
        const reader = response.body?.getReader();
        const { value } = ((await reader?.read()) ?? {}) as { value?: Uint8Array };
        const id = /"id":"(chatcmpl-\w+)"/.exec(Buffer.from(value ?? []).toString())?.[1] ?? "";
        expect((await turn(id, { lambda: 1 })).body).toMatchObject({ id, parameters: { lambda: 1 } });
        expect((await turn(id, { lambda: 2 })).body.error.param).toBe("parameters");
        expect((await turn(id, { beta: 1 })).status).toBe(400);
        expect((await turn(id, { lambda: "x" })).body.error.param).toBe("parameters.lambda");
        // Another's answer is as if it were not there.
        expect((await turn(id, { lambda: 1 }, "b")).status).toBe(404);
        leaving.abort();
        await untilRunning(0);
        const { status, body } = await turn(id, { lambda: 1 });
        expect([status, body.error.code]).toEqual([404, "not_running"]);
    });

    it("change what is said behind it", async () => {
        const asked = { model: "demo-dial", messages, ...ENDLESS, seed: 3, temperature: 1, max_tokens: 400 };
        const request = { ...asked, eft: { parameters: { lambda: 0 } } };
        const before = (await post<Chat>(server, CHAT, request, KEY)).body.choices[0]?.message.content ?? "";
        const response = await fetch(server.url + CHAT, {
            method: "POST",
            headers: { "content-type": "application/json", ...KEY },
            body: JSON.stringify({ ...request, stream: true }),
        });
        let received = "";
        for await (const bytes of response.body as ReadableStream<Uint8Array>) {
            const isFirst = received === "";
            received += Buffer.from(bytes).toString();
            const id = /"id":"(chatcmpl-\w+)"/.exec(received)?.[1] ?? "";
            if (isFirst) expect((await turn(id, { lambda: 1 })).status).toBe(200);
        }
        const chunks = received.split("\n\n").filter((line) => line.startsWith("data: {"));
        const pieces = chunks.map((line) => {
            const { choices } = JSON.parse(line.slice(6)) as { choices: { delta: { content?: string } }[] };
            return choices[0]?.delta.content ?? "";
        });
        const after = pieces.join("");
        expect(after).not.toBe(before);
        const [, first = ""] = pieces;
        expect(before.startsWith(first)).toBe(true);
    });

    async function untilRunning(count: number): Promise<void> {
        await untilMetric(server, "answers_running", count, KEY);
    }
});

describe("texts and tokens", () => {
    it("recipes are described", async () => {
        const { data } = (await (await fetch(`${server.url}/v1/eft/recipes`, { headers: KEY })).json()) as {
            data: object[];
        };
        expect(data).toMatchObject([
            { id: "demo", members: ["large", "chat", "small"], parameters: { beta: { default: 1, min: 0, max: 2 } } },
            { id: "demo-dial", parameters: { lambda: { default: 0.5, min: 0, max: 1 } }, loaded: true },
        ]);
    });

    it("become each other", async () => {
        const { body } = await post<{ tokens: number[]; count: number; max_model_len: number }>(
            ...([server, "/tokenize", { prompt: "Its capital is Lima." }, KEY] as const),
        );
        expect(body).toMatchObject({ count: body.tokens.length, max_model_len: 1024 });
        expect(body.tokens).toEqual([...(await ensemble.tokenize("Its capital is Lima."))]);
        const { body: back } = await post<{ content: string }>(server, "/detokenize", { tokens: body.tokens }, KEY);
        expect(back.content.trimStart()).toBe("Its capital is Lima.");
    });

    it("prompts are shown as members get them", async () => {
        const { body } = await post<{ prompt: string; members: Record<string, string> }>(
            ...([server, "/apply-template", { messages }, KEY] as const),
        );
        expect(body.prompt).toContain(question);
        expect(Object.keys(body.members)).toEqual(["large", "chat", "small"]);
        const { body: tokens } = await post<{ count: number }>(server, "/tokenize", { messages }, KEY);
        expect(tokens.count).toBe(await ensemble.countTokens([{ role: "user", content: question }]));
    });

    it.each<[string, object]>([
        ["/tokenize", {}],
        ["/tokenize", { prompt: "a", messages }],
        ["/tokenize", { prompt: 5 }],
        ["/detokenize", { tokens: [2048] }],
        ["/detokenize", { tokens: [-1] }],
        ["/detokenize", { tokens: "abc" }],
        ["/apply-template", { messages: [] }],
    ])("what is wrong is told: %s %j", async (path, body) => {
        expect((await post(server, path, body, KEY)).status).toBe(400);
    });
});

describe("the server about itself", () => {
    it("counts", async () => {
        const before = await readMetric(server, 'answers_total{model="demo",reason="stop"}', KEY);
        await ask({});
        expect(await readMetric(server, 'answers_total{model="demo",reason="stop"}', KEY)).toBe(before + 1);
        expect(
            await readMetric(server, 'member_decode_seconds_total{model="demo",member="large"}', KEY),
        ).toBeGreaterThan(0);
        const path = 'requests_total{path="/v1/chat/completions",status="200"}';
        expect(await readMetric(server, path, KEY)).toBeGreaterThan(0);
    });
});
