/** The document at /openapi.json. That answers are what it says is checked with every answer of these tests: see helpers/server. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { manifest } from "../../src/package.js";
import type { EftServer } from "../../src/server/index.js";
import { createAnswerCheck, type OpenApi, type Operation } from "../helpers/openapi.js";
import { readDocument, serveDemo } from "../helpers/server.js";

const CHAT = "/v1/chat/completions";
let servers: readonly EftServer[];
let open: OpenApi;
let locked: OpenApi;
beforeAll(async () => {
    servers = [await serveDemo({ lazy: true }), await serveDemo({ lazy: true, apiKeys: ["a"] })];
    const [first, second] = servers as [EftServer, EftServer];
    open = await readDocument(first);
    locked = await readDocument(second, { "x-api-key": "a" });
});
afterAll(async () => {
    for (const server of servers) await server.close();
});

const operationsOf = ({ paths }: OpenApi): readonly Operation[] =>
    Object.values(paths).flatMap((operations) => Object.values(operations));
const chatOf = ({ paths }: OpenApi): Operation => paths[CHAT]?.["post"] as Operation;

describe("the OpenAPI document", () => {
    it("is valid, with the schemas in it", async () => {
        const ajv = new Ajv2020({ strict: false });
        for (const document of [open, locked]) {
            expect(await new Validator().validate(structuredClone(document) as never)).toEqual({ valid: true });
            const bodies = operationsOf(document).flatMap(({ requestBody }) =>
                Object.values(requestBody?.content ?? {}),
            );
            for (const schema of [...bodies.map((body) => body.schema), ...Object.values(document.components.schemas)])
                expect(ajv.validateSchema(schema)).toBe(true);
        }
    });

    it("describes each route: what it is called, what it answers, and how it fails", () => {
        const operations = operationsOf(open);
        expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
        for (const { operationId, summary, tags, responses } of operations) {
            expect([operationId, summary, tags.length]).toEqual([expect.any(String), expect.any(String), 1]);
            expect(Object.keys(responses)).toEqual(["200", "4XX", "5XX"]);
            for (const { content } of Object.values(responses))
                for (const { schema } of Object.values(content)) expect(Object.keys(schema)).not.toEqual([]);
        }
        const { responses } = chatOf(open);
        expect(Object.keys(responses["200"]?.content ?? {})).toEqual(["application/json", "text/event-stream"]);
        expect(open.info.version).toBe(manifest.version);
        expect(open.servers[0]?.url).toBe("/");
    });

    it("says whether keys are needed, and how to bring one", () => {
        expect([open.security, open.components.securitySchemes]).toEqual([[], undefined]);
        expect(locked.security).toEqual([{ bearer: [] }, { header: [] }]);
        expect(locked.components.securitySchemes).toEqual({
            bearer: { type: "http", scheme: "bearer" },
            header: { type: "apiKey", in: "header", name: "x-api-key" },
        });
        expect(locked.paths["/health"]?.["get"]?.security).toEqual([]);
        expect(chatOf(locked).security).toBeUndefined();
    });

    it("has the schemas that requests are checked against", () => {
        const validate = new Ajv2020({ strict: false }).compile(
            chatOf(open).requestBody?.content["application/json"]?.schema ?? {},
        );
        const messages = [{ role: "user", content: "Hi" }];
        expect([validate({ messages }), validate({ messages: 5 })]).toEqual([true, false]);
    });
});

describe("the check of answers finds", () => {
    const health = { method: "GET", path: "/health", status: 200, type: "application/json", text: "", isWhole: true };
    const chunk = {
        ...{ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "demo", system_fingerprint: null },
        choices: [{ index: 0, delta: { content: "a" }, logprobs: null, finish_reason: null }],
    };
    const event = `data: ${JSON.stringify(chunk)}\n\n`;
    const stream = { ...health, method: "POST", path: CHAT, type: "text/event-stream; charset=utf-8" };
    it.each([
        ["nothing in a right one", { ...health, text: '{"status":"ok"}' }, undefined],
        ["nothing in what it does not know", { ...health, path: "/elsewhere" }, undefined],
        ["another value", { ...health, text: '{"status":"bad"}' }, "/status must be equal"],
        ["a missing field", { ...health, text: "{}" }, "required property 'status'"],
        ["another field", { ...health, text: '{"status":"ok","a":1}' }, "additional properties"],
        ["another type", { ...health, type: "text/html" }, 'not of the type "text/html"'],
        ["another status", { ...health, status: 302 }, "no such status"],
        ["nothing in a stream", { ...stream, text: `${event}data: [DONE]\n\n` }, undefined],
        ["nothing in one that was left", { ...stream, text: `${event}data: {"id`, isWhole: false }, undefined],
        ["another event", { ...stream, text: `${event}data: {}\n\n` }, "required property 'id'"],
        ["another end", { ...stream, text: `${event}data: END\n\n` }, "an event with END"],
    ])("%s", (_, exchange, problem) => {
        const found = createAnswerCheck(open)(exchange);
        if (problem === undefined) expect(found).toBeUndefined();
        else expect(found).toContain(problem);
    });
});
