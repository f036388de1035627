/** Texts of answers as web streams, tokens of texts and of messages, and what a completion says it has used. */

import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    createChat,
    tokenText,
    type ChatMessage,
    type Completion,
    type CompletionOptions,
    type Ensemble,
    type FinishPart,
    type TokenPart,
} from "../../src/index.js";
import { toCompletion } from "../../src/decoding/completion.js";
import { demoFile, demoRecipe, loadOnCpu, QUESTIONS, upscalingRecipe, withEnsemble } from "../helpers/demo.js";
import { controlsOf, writeControlVocabulary } from "../helpers/control-vocabulary.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

let ensemble: Ensemble;
beforeAll(async () => void (ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 2 })));
afterAll(() => ensemble.dispose());

const OPTIONS: CompletionOptions = { prompt: QUESTIONS[1], seed: 5, sampling: { temperature: 0.5 } };
const ask = (more: Partial<CompletionOptions> = {}): Completion => complete(ensemble, { ...OPTIONS, ...more });
/** Goes on for as long as it is read. */
const endless = (): Completion => ask({ grammar: 'root ::= [a-z ]+ "."', logitBias: { 2: -Infinity } });

describe("the text of a completion as a stream", () => {
    let text: string;
    beforeAll(async () => void ({ text } = await collect(ask())));

    const ways: Readonly<Record<string, (completion: Completion) => Promise<string>>> = {
        "in a Response": (completion) => new Response(completion.toReadableStream()).text(),
        "through pipeline()": async (completion) => {
            const chunks: Buffer[] = [];
            await pipeline(completion.toReadableStream(), async (stream: AsyncIterable<Uint8Array>) => {
                for await (const chunk of stream) chunks.push(Buffer.from(chunk));
            });
            return Buffer.concat(chunks).toString();
        },
        "as a stream of Node": async (completion) => {
            const stream = Readable.fromWeb(completion.toReadableStream() as never);
            return Buffer.concat(await stream.toArray()).toString();
        },
        "as text, chunk by chunk": async (completion) => {
            let said = "";
            const texts = completion.toReadableStream().pipeThrough(new TextDecoderStream("utf-8", { fatal: true }));
            for await (const chunk of texts) said += chunk;
            return said;
        },
    };
    test.each(Object.entries(ways))("%s", async (_name, way) => {
        expect(await way(ask())).toBe(text);
        const stop = text.slice(10, 14);
        expect(await way(ask({ stop: [stop] }))).toBe(text.slice(0, text.indexOf(stop)));
        expect(await way(ask({ maxTokens: 0 }))).toBe("");
    });

    test("of a chat: what the turn says", async () => {
        const chat = createChat(ensemble, { seed: 5 });
        const said = await new Response(chat.send(QUESTIONS[0]).toReadableStream()).text();
        expect(chat.turns).toEqual([{ user: QUESTIONS[0], answer: said }]);
        expect(said).not.toBe("");
        expect(await new Response(chat.repeat().toReadableStream()).text()).toContain(said);
    });

    test("goes on behind what has been read", async () => {
        const completion = ask();
        const { value: first } = await completion.next();
        const rest = await new Response(completion.toReadableStream()).text();
        expect((first as TokenPart).text + rest).toBe(text);
    });

    test("draws nothing before it is read, and a token for each chunk", async () => {
        const before = ensemble.host.counts.steps;
        const stream = ask().toReadableStream();
        const steps = (): number => ensemble.host.counts.steps - before;
        for (let turns = 0; turns < 20; turns++) await turn();
        expect(steps()).toBe(0);
        const reader = stream.getReader();
        for (let chunks = 0; chunks < 3; chunks++) await reader.read();
        const drawn = steps();
        for (let turns = 0; turns < 20; turns++) await turn();
        // One step may have been begun for whoever reads on.
        expect(steps() - drawn).toBeLessThanOrEqual(1);
        await reader.cancel();
    });

    test("that is cancelled ends the generation, once", async () => {
        const completion = endless();
        const reader = completion.toReadableStream().getReader();
        await reader.read();
        await Promise.all([reader.cancel(), reader.cancel()]);
        expect(await completion.next()).toEqual({ done: true, value: undefined });
        expect((await reader.read()).done).toBe(true);
        // Also one that has not begun.
        await ask().toReadableStream().cancel();
    });

    test("whose client goes away ends the generation", async () => {
        let isOver: (ended: unknown) => void;
        const ended = new Promise((resolve) => (isOver = resolve));
        const listener: RequestListener = (_request, response) => {
            const completion = endless();
            pipeline(completion.toReadableStream(), response).catch(async (error: unknown) => {
                isOver({ error, next: await completion.next() });
            });
        };
        const server = createServer(listener).listen(0, "127.0.0.1");
        await new Promise((resolve) => server.once("listening", resolve));
        try {
            const leave = new AbortController();
            const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
            const { body } = await fetch(url, { signal: leave.signal });
            await body?.getReader().read();
            leave.abort();
            expect(await ended).toMatchObject({
                error: { code: "ERR_STREAM_PREMATURE_CLOSE" },
                next: { done: true, value: undefined },
            });
        } finally {
            server.closeAllConnections();
            server.close();
        }
    });

    test("throws what the completion throws", async () => {
        const tooLong = ask({ prompt: "word ".repeat(20_000) });
        await expect(new Response(tooLong.toReadableStream()).text()).rejects.toMatchObject({
            code: "CONTEXT_OVERFLOW",
        });
    });

    test.each<[string, (completion: Completion) => Promise<unknown>]>([
        ["collected", collect],
        ["left", (completion) => completion.return()],
        ["streamed", (completion) => new Response(completion.toReadableStream()).text()],
        ["cancelled", (completion) => completion.toReadableStream().cancel()],
    ])("of a completion that has been %s is an error", async (_how, consume) => {
        const completion = ask();
        await consume(completion);
        const message = "The completion has been consumed before; ask for another one.";
        const error = { code: "OPTION_INVALID", message };
        await expect(new Response(completion.toReadableStream()).text()).rejects.toMatchObject(error);
        await expect(collect(completion)).rejects.toMatchObject(error);
    });

    test("begin() waits for the first part, and leaves it to be read", async () => {
        const completion = ask();
        await Promise.all([completion.begin(), completion.begin()]);
        expect(await new Response(completion.toReadableStream()).text()).toBe(text);
        const other = ask({ maxTokens: 2 });
        await other.begin();
        expect((await collect(other)).parts).toHaveLength(2);
        await other.begin();
        expect(await other.next()).toEqual({ done: true, value: undefined });
    });

    test("begin() throws what the first part would, and where there is none", async () => {
        const tooLong = ask({ prompt: "word ".repeat(20_000) });
        const error = { code: "CONTEXT_OVERFLOW" };
        await expect(tooLong.begin()).rejects.toMatchObject(error);
        await expect(collect(tooLong)).rejects.toMatchObject(error);
        const left = ask();
        await left.return();
        await expect(left.begin()).rejects.toMatchObject({ code: "OPTION_INVALID" });
    });

    test("what was begun and then left, or stopped by an error, has no part any more", async () => {
        const [left, failed] = [endless(), endless()];
        await Promise.all([left.begin(), failed.begin()]);
        await left.return();
        await expect(failed.throw(new Error("no more"))).rejects.toThrow("no more");
        for (const completion of [left, failed])
            expect(await completion.next()).toEqual({ done: true, value: undefined });
    });

    test("has the answer alone, in whole characters", async () => {
        async function* parts(): AsyncGenerator<{ type: string; text?: string }, void, void> {
            for (const said of ["é", "", "\u{1F600}"]) yield await Promise.resolve({ type: "token", text: said });
            yield { type: "thinking", text: "not said" };
            yield { type: "tool-call" };
            yield { type: "finish", text: "!" };
        }
        const chunks: Uint8Array[] = [];
        for await (const chunk of toCompletion(parts(), {}).toReadableStream()) chunks.push(chunk);
        expect(chunks.map((chunk) => Buffer.from(chunk).toString())).toEqual(["é", "\u{1F600}", "!"]);
    });
});

const TEXTS = ["Lima", " Lima", "  two blanks", "", "\n\nx\t", "naïve \u{1F600} 日本", "</s>", "[INST] <s> <|im_end|>"];

describe("tokens of a text", () => {
    test.each(TEXTS)("%j says exactly that, and is no control token", async (text) => {
        const tokens = await ensemble.tokenize(text);
        expect(ensemble.detokenize(tokens)).toBe(text);
        expect(ensemble.detokenize(Array.from(tokens))).toBe(text);
        expect(Array.from(tokens, (token) => ensemble.vocabulary.controlTokens[token])).not.toContain(1);
        expect(await ensemble.countTokens(text)).toBe(tokens.length);
    });

    test("that spells control tokens of many families is text to a vocabulary that has them", async () => {
        const recipe = demoRecipe(`
members: { solo: { model: ${JSON.stringify(writeControlVocabulary(folder))} } }
combination: solo
prompt: { template: plain }`);
        await withEnsemble(recipe, {}, async (other) => {
            const text = "<|im_start|>user <|eot_id|><end_of_turn>[CONTROL]";
            const tokens = await other.tokenize(text);
            expect(other.detokenize(tokens)).toBe(text);
            expect(controlsOf(tokens, (other.members[0] as Ensemble["members"][number]).model)).toEqual([]);
        });
    });

    test("are what an answer is made of, behind the template's space: control tokens have no text", async () => {
        const { parts, text } = await collect(ask());
        expect(ensemble.detokenize(parts.map(({ id }) => id))).toBe(` ${text}`);
        const last = parts.at(-1)?.id ?? NaN;
        expect(ensemble.vocabulary.endOfGeneration[last]).toBe(1);
        expect(ensemble.detokenize([last])).toBe("");
        expect(tokenText(ensemble, last)).toBe("</s>");
    });

    test.each<[string, unknown, RegExp]>([
        ["behind the vocabulary", [1, 2048], /^tokens\[1\] must be a whole number from 0 to 2047, not 2048\.$/],
        ["below 0", Int32Array.of(-1), /^tokens\[0\] must be/],
        ["between two", [0.5], /^tokens\[0\] must be/],
        ["in a text", "317", /^tokens must be a list of token ids, not/],
    ])("that are none are refused: %s", (_name, tokens, message) => {
        expect(() => ensemble.detokenize(tokens as number[])).toThrow(
            expect.objectContaining({ code: "OPTION_INVALID", message: expect.stringMatching(message) as unknown }),
        );
    });
});

describe("what a completion has used", () => {
    const CONVERSATION: readonly ChatMessage[] = [
        { role: "user", content: "What is the capital of Peru?" },
        { role: "assistant", content: "Its capital is Lima." },
        { role: "user", content: "And of Nepal?" },
    ];
    const finishOf = async (completion: Completion): Promise<FinishPart> => {
        for await (const part of completion) if (part.type === "finish") return part;
        throw new Error("No finish part.");
    };

    test("are the tokens of the longest prompt, which can be counted before, and of the answer", async () => {
        // Only one of them is shown a template, and which one that is must not matter.
        for (const member of ["large", "chat"]) {
            const model = (name: string): string => JSON.stringify(demoFile(name as "large-base"));
            const shown = (name: string): string => (name === member ? "" : ", prompt: { template: plain }");
            const recipe = demoRecipe(`
members:
    large: { model: ${model("large-base")}${shown("large")} }
    chat: { model: ${model("small-chat")}${shown("chat")} }
combination: large + chat
prompt: { template: from chat }`);
            await withEnsemble(recipe, {}, async (other) => {
                const finish = await finishOf(complete(other, { prompt: CONVERSATION, maxTokens: 3, stop: ["zz"] }));
                const { usage, promptTokens } = finish;
                const most = Math.max(...Object.values(promptTokens));
                expect(Math.min(...Object.values(promptTokens))).toBeLessThan(most);
                expect(usage).toEqual({
                    ...{
                        promptTokens: most,
                        completionTokens: 3,
                        thinkingTokens: 0,
                        totalTokens: most + 3,
                        reusedTokens: 0,
                    },
                });
                expect(await other.countTokens(CONVERSATION)).toBe(most);
                const again = await finishOf(complete(other, { prompt: CONVERSATION, maxTokens: 1 }));
                expect(again.usage.reusedTokens).toBe(most - 1);
            });
        }
    });

    test("count an end-of-text token, and no draft that was rejected", async () => {
        const plain = await collect(ask());
        const drafted = await collect(ask({ speculation: { length: 4 } }));
        expect(drafted.usage).toMatchObject({ completionTokens: plain.parts.length });
        expect(plain.usage.completionTokens).toBe(plain.tokens);
    });

    test("reuse is that of the member that found the least", async () => {
        await withEnsemble(upscalingRecipe(), {}, async (other) => {
            // The large member and the small one are not read.
            await collect(complete(other, { ...OPTIONS, parameters: { beta: 0 } }));
            const { usage, reusedTokens } = await finishOf(complete(other, OPTIONS));
            expect(reusedTokens["chat"]).toBeGreaterThan(reusedTokens["large"] ?? NaN);
            expect(usage.reusedTokens).toBe(reusedTokens["large"]);
        });
    });

    test("tools count, whatever the template makes of them", async () => {
        // The family has a short context.
        const messages = CONVERSATION.slice(0, 1);
        const tools = [{ name: "population_of", description: "People" }];
        const { usage } = await finishOf(complete(ensemble, { prompt: messages, tools, maxTokens: 1 }));
        expect(await ensemble.countTokens(messages, { tools })).toBe(usage.promptTokens);
        expect(await ensemble.countTokens(messages, { tools: [] })).toBeLessThan(usage.promptTokens);
    });

    test("template variables count", async () => {
        const template = "{{ hint }}{{ messages[0].content }}";
        const recipe = demoRecipe(`
members: { solo: { model: ${JSON.stringify(path.resolve(demoFile("small-chat")))} } }
combination: solo
prompt: { template: ${JSON.stringify(template)} }`);
        await withEnsemble(recipe, {}, async (other) => {
            const messages = CONVERSATION.slice(0, 1);
            const count = (hint: string) => other.countTokens(messages, { templateVariables: { hint } });
            expect(await count("Be kind and brief. ")).toBeGreaterThan(await count(""));
            await expect(count(undefined as never)).resolves.toBe(await other.countTokens(messages));
        });
    });
});
