/** Completions and scores: texts and token ids without a template, and what the models think of given ones. */

import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import OpenAI from "openai";
import { collect, complete, score, type Ensemble } from "../../src/index.js";
import type { EftServer } from "../../src/server/index.js";
import { loadOnCpu } from "../helpers/demo.js";
import { F32_BATCHING } from "../helpers/tolerances.js";
import { post, serveDemo, untilMetric, writeDemoRecipes, type ErrorBody } from "../helpers/server.js";

const PROMPT = "The capital of Nepal is";
const { recipes, remove } = writeDemoRecipes();
let server: EftServer;
let ensemble: Ensemble;
let client: OpenAI;
beforeAll(async () => {
    server = await serveDemo({ recipes });
    ensemble = await loadOnCpu(recipes[0], { contextSize: 1024 });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => {
    await server.close();
    await ensemble.dispose();
    remove();
});

const create = (body: object) =>
    client.completions.create({ model: "demo", ...body } as OpenAI.CompletionCreateParamsNonStreaming);

/** Evaluated beside others, or found in a cache. */
function expectNear(found: readonly number[], expected: readonly number[] | undefined): void {
    expect(found).toHaveLength(expected?.length ?? -1);
    for (const [index, value] of found.entries())
        expect(Math.abs(value - (expected?.[index] ?? NaN))).toBeLessThan(F32_BATCHING);
}

describe("POST /v1/completions", () => {
    it("goes on with a text as complete() does", async () => {
        const options = { prompt: PROMPT, raw: true, seed: 5, maxTokens: 12, sampling: { temperature: 1 } };
        const own = await collect(complete(ensemble, options));
        const { choices, usage } = await create({ prompt: PROMPT, seed: 5, max_tokens: 12, temperature: 1 });
        expect(choices[0]?.text).toBe(own.text);
        expect(usage?.completion_tokens).toBe(own.tokens);
        expect(usage?.prompt_tokens).toBe(own.usage.promptTokens);
        const { choices: short } = await create({ prompt: PROMPT, temperature: 0 });
        expect(short[0]?.finish_reason).toMatch(/stop|length/);
    });

    it("takes several prompts and several answers to each, also as a stream", async () => {
        const request = { prompt: [PROMPT, "The capital of Peru is"], n: 2, seed: 1, temperature: 1, max_tokens: 5 };
        const { choices, usage } = await create(request);
        expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
        const [, second] = request.prompt;
        const own = await collect(
            complete(ensemble, {
                prompt: second ?? "",
                raw: true,
                seed: 2,
                maxTokens: 5,
                sampling: { temperature: 1 },
            }),
        );
        expect(choices[3]?.text).toBe(own.text);
        const texts = ["", "", "", ""];
        let last: OpenAI.Completion | undefined;
        const stream = await client.completions.create({
            ...{ model: "demo", ...request, stream: true as const },
            stream_options: { include_usage: true },
        });
        for await (const chunk of stream) {
            for (const { index, text } of chunk.choices) texts[index] += text;
            last = chunk;
        }
        expect(texts).toEqual(choices.map(({ text }) => text));
        // What a cache held is another matter.
        expect(last?.usage?.total_tokens).toBe(usage?.total_tokens);
    });

    it("takes token ids as they are", async () => {
        const ids = [1, ...(await ensemble.tokenize(PROMPT))];
        const [byText, byIds] = await Promise.all(
            [PROMPT, ids].map((prompt) => create({ prompt, temperature: 0, max_tokens: 8 })),
        );
        expect(byIds?.choices[0]?.text).toBe(byText?.choices[0]?.text);
        const several = await create({ prompt: [ids, ids], temperature: 0, max_tokens: 8 });
        expect(several.choices.map(({ text }) => text)).toEqual([byIds, byIds].map((one) => one?.choices[0]?.text));
    });

    it("reports log-probabilities of the prompt, the most probable token with the same number", async () => {
        const [own] = await score(ensemble, [{ continuation: PROMPT }], { topLogprobs: 1 });
        const { choices, usage } = await create({ prompt: PROMPT, echo: true, logprobs: 1, max_tokens: 0 });
        const { text, logprobs } = choices[0] ?? {};
        expect(text).toBe(PROMPT);
        expect(usage?.completion_tokens).toBe(0);
        expect(logprobs?.tokens?.join("")).toBe(PROMPT);
        expect(logprobs?.text_offset).toEqual(
            logprobs?.tokens?.map((_, index) => logprobs.tokens?.slice(0, index).join("").length),
        );
        expectNear(logprobs?.token_logprobs ?? [], own?.logprobs);
        for (const [index, top] of (logprobs?.top_logprobs ?? []).entries()) {
            const [best] = own?.top?.[index] ?? [];
            expectNear([Math.max(...Object.values(top))], [best?.logprob ?? NaN]);
            // The very same number, by which clients see whether a token is the most probable one.
            expect(top[logprobs?.tokens?.[index] ?? ""]).toBe(logprobs?.token_logprobs?.[index]);
        }
        expect(logprobs?.top_logprobs).toHaveLength(own?.logprobs.length ?? -1);
    });

    it("reports those of token ids, but for the first, and of what is generated behind them", async () => {
        const ids = [1, ...(await ensemble.tokenize(PROMPT))];
        const { choices } = await create({ prompt: ids, echo: true, logprobs: 2, max_tokens: 3, temperature: 0 });
        const { logprobs } = choices[0] ?? {};
        const [first, ...rest] = logprobs?.token_logprobs ?? [];
        expect([first, logprobs?.top_logprobs?.[0]]).toEqual([null, null]);
        expect(rest).toHaveLength(ids.length - 1 + 3);
        const [own] = await score(ensemble, [{ context: ids.slice(0, 1), continuation: ids.slice(1) }]);
        expectNear(rest.slice(0, -3), own?.logprobs);
        // Drawn at temperature 0: the most probable ones.
        for (const index of [-3, -2, -1])
            expect(Math.max(...Object.values(logprobs?.top_logprobs?.at(index) ?? {}))).toBe(rest.at(index));
    });

    it.each([
        ["suffix", { prompt: "a", suffix: "b" }],
        ["best_of", { prompt: "a", best_of: 2 }],
        ["prompt", { prompt: [] }],
        ["prompt", { prompt: [[]] }],
        ["prompt", { prompt: [1, "a"] }],
        ["prompt", { prompt: [99_999] }],
        ["prompt", { prompt: [-1] }],
        ["logprobs", { prompt: "a", logprobs: 21 }],
        ["max_tokens", { prompt: "a", max_tokens: -1 }],
    ])("refuses %s in %j", async (field, body) => {
        const { status, body: answer } = await post<ErrorBody>(server, "/v1/completions", { model: "demo", ...body });
        expect(status).toBe(400);
        expect(answer.error.message).toContain(field);
    });
});

interface Scores extends ErrorBody {
    readonly data: readonly {
        readonly logprob: number;
        readonly is_greedy: boolean;
        readonly tokens: readonly { readonly id: number; readonly token: string; readonly logprob: number }[];
        readonly members: Readonly<Record<string, readonly number[]>>;
        readonly top?: readonly (readonly { readonly id: number }[])[];
    }[];
}

describe("POST /v1/completions with echo", () => {
    it("streams a prompt alone, too", async () => {
        const request = { prompt: PROMPT, echo: true, logprobs: 1, max_tokens: 0 };
        const whole = await create(request);
        const chunks: OpenAI.Completion[] = [];
        for await (const chunk of await client.completions.create({ model: "demo", ...request, stream: true }))
            chunks.push(chunk);
        expect(chunks).toHaveLength(1);
        expect(chunks[0]?.choices[0]?.text).toBe(PROMPT);
        expect(chunks[0]?.usage).toEqual(whole.usage);
    });

    it("refuses what would not fit into memory, before anything is evaluated", async () => {
        const prompt = Array.from({ length: 64 }, () => "x".repeat(1000));
        const request = { model: "demo", prompt, echo: true, logprobs: 20, n: 16, max_tokens: 0 };
        const { status, body } = await post<ErrorBody>(server, "/v1/completions", request);
        expect([status, body.error.param]).toEqual([400, "prompt"]);
    });
});

describe("POST /v1/eft/score", () => {
    it("is score(): texts, token ids, answers to messages, dials", async () => {
        const ids = [...(await ensemble.tokenize(" Kathmandu."))];
        const parameters = { beta: 0.5 };
        const items = [
            { context: PROMPT, continuation: " Kathmandu." },
            { context: PROMPT, continuation: ids },
        ];
        const own = await score(ensemble, items, { parameters, topLogprobs: 2 });
        const { status, body } = await post<Scores>(server, "/v1/eft/score", { items, parameters, top_logprobs: 2 });
        expect([status, body.error]).toEqual([200, undefined]);
        for (const [index, each] of body.data.entries()) {
            expectNear(
                each.tokens.map(({ logprob }) => logprob),
                own[index]?.logprobs,
            );
            expect(each.tokens.map(({ id }) => id)).toEqual(own[index]?.tokens);
            for (const [name, logprobs] of Object.entries(each.members))
                expectNear(logprobs, own[index]?.members[name]);
            expect(each.is_greedy).toBe(own[index]?.isGreedy);
            expect(each.top?.map((row) => row.map(({ id }) => id))).toEqual(
                own[index]?.top?.map((row) => row.map(({ id }) => id)),
            );
        }
        const messages = [{ role: "user" as const, content: "What is the capital of Nepal?" }];
        const [answer] = await score(
            ensemble,
            [{ context: messages, continuation: "Its capital is Kathmandu.", withEnd: true }],
            { chat: true },
        );
        const chat = await post<Scores>(server, "/v1/eft/score", {
            items: [{ messages, continuation: "Its capital is Kathmandu.", with_end: true }],
        });
        expectNear(chat.body.data[0]?.tokens.map(({ logprob }) => logprob) ?? [], answer?.logprobs);
    });

    it("leaves room for answers: each item has a place of its own, and gives it back", async () => {
        const items = Array.from({ length: 200 }, (_, index) => ({ continuation: `${PROMPT} ${index}` }));
        const [scores, answer] = await Promise.all([
            post<Scores>(server, "/v1/eft/score", { items }),
            create({ prompt: PROMPT, temperature: 0, max_tokens: 4 }),
        ]);
        expect(scores.body.data).toHaveLength(200);
        expect(answer.choices[0]?.text).not.toBe("");
        await untilMetric(server, "answers_running", 0);
    });

    it.each([
        [{ items: [] }],
        [{ items: [{}] }],
        [{ items: [{ continuation: "a", context: "b", messages: [{ role: "user", content: "c" }] }] }],
        [{ items: [{ continuation: "a" }, { continuation: "a", messages: [{ role: "user", content: "c" }] }] }],
        [{ items: [{ continuation: [99_999] }] }],
        [{ items: [{ continuation: "x ".repeat(4000) }] }],
        // Windows that are evaluated as often as there are tokens.
        [{ items: [{ continuation: "x ".repeat(4000) }], stride: 1 }],
        [{ items: [{ continuation: "x ".repeat(4000) }], stride: 127 }],
        // More than fits into memory.
        [{ items: Array.from({ length: 100 }, () => ({ continuation: "x".repeat(1000) })), top_logprobs: 20 }],
    ])("refuses %j", async (body) => {
        const { status, body: answer } = await post<ErrorBody>(server, "/v1/eft/score", body);
        expect([status, typeof answer.error.message]).toEqual([400, "string"]);
    });
});

it("tokenizer programs learn BOS and EOS", async () => {
    const info = (await (await fetch(`${server.url}/tokenizer_info`)).json()) as Record<string, string>;
    const tokenize = async (prompt: string | undefined): Promise<readonly number[]> =>
        (await post<{ tokens: number[] }>(server, "/tokenize", { prompt })).body.tokens;
    expect(await tokenize(info["bos_token"])).toEqual([1]);
    expect(await tokenize(info["eos_token"])).toEqual([2]);
    // In a longer text they are text.
    expect(await tokenize(`a${info["bos_token"]}`)).not.toContain(1);
});

it("the mass of the conservative filter is refused where the recipe has none", async () => {
    const messages = [{ role: "user", content: "Hi" }];
    const { status, body } = await post(server, "/v1/chat/completions", {
        messages,
        eft: { conservative: { top_p: 0.5 } },
    });
    expect(status).toBe(400);
    expect(body.error.message).toContain("conservative");
});
