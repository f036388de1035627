/** Conversations: what is evaluated again, what is remembered, and that nothing is lost. */

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import {
    collect,
    complete,
    createChat,
    DEFAULT_SAMPLING,
    loadChat,
    parseChat,
    saveChat,
    soloView,
    type ChatSession,
    type ChatTurn,
    type Completion,
    type CompletionResult,
    type Ensemble,
    type TokenPart,
} from "../../src/index.js";
import { demoRecipe, loadOnCpu, QUESTIONS, soloRecipe, demoFile } from "../helpers/demo.js";
import { writeFloat32Family, type Float32Family } from "../helpers/float32.js";
import { temporaryFolder } from "../helpers/temporary.js";

const [PERU, ERITREA, CHAD, JAPAN] = QUESTIONS;
/** Shows system prompts, which the template of the demo family does not. */
const TEMPLATE =
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n{% elif m.role == 'user' %}[INST] " +
    "{{ m.content }} [/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
/**
 * Flat distributions, so that answers do not end by themselves and differ from seed to seed. They are not long, because
 * what is found in a cache was evaluated in other batches, and one token in a thousand is a tie so near that this decides.
 */
const LONG = { maxTokens: 24, sampling: { temperature: 5 } } as const;

/** What a program without types may pass. */
const nothing = null as never;

let family: Float32Family;
let ensemble: Ensemble;
const temporary = temporaryFolder();
const upscaling = (more: string): ReturnType<Float32Family["recipe"]> =>
    family.recipe(`
members: { large: { model: large-base.gguf }, chat: { model: small-chat.gguf }, small: { model: small-base.gguf } }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: chat + beta * (large - small)
${more}`);
beforeAll(async () => {
    family = writeFloat32Family(["large-base", "small-chat", "small-base"]);
    ensemble = await loadOnCpu(upscaling("prompt: { template: from chat }"));
});
afterEach(() => {
    // Whatever a test did to a conversation, nobody holds a sequence any more.
    expect(ensemble.scheduler.busy).toBe(0);
});
afterAll(async () => {
    await ensemble.dispose();
    family.remove();
    temporary.remove();
});

async function talk(chat: ChatSession, ...questions: readonly string[]): Promise<CompletionResult[]> {
    const results: CompletionResult[] = [];
    for (const question of questions) results.push(await collect(chat.send(question)));
    return results;
}

const idsOf = ({ parts }: CompletionResult): number[] => parts.map(({ id }) => id);

/** The first `count` tokens of an answer; then the loop is left. */
async function take(completion: Completion, count: number): Promise<TokenPart[]> {
    const parts: TokenPart[] = [];
    for await (const part of completion) {
        if (part.type === "token") parts.push(part);
        if (parts.length === count) break;
    }
    return parts;
}

describe("a turn", () => {
    it("is what complete() says to the same messages, without white space in front", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        const [first, second] = await talk(chat, PERU, JAPAN);
        const messages = chat.messages.slice(0, -1);
        const alone = await collect(complete(ensemble, { prompt: messages, sampling: { temperature: 0 } }));
        expect(second && idsOf(second)).toEqual(idsOf(alone));
        expect(alone.text).toBe(second?.text);
        expect(first?.text).toContain("Lima");
        expect(chat.turns).toEqual([
            { user: PERU, answer: first?.text },
            { user: JAPAN, answer: second?.text },
        ]);
    });

    it("evaluates only its new tokens, in every member", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        const results = await talk(chat, "What is the capital of Mali?", ERITREA, CHAD);
        for (const [index, { promptTokens, reusedTokens }] of results.entries()) {
            const before = results[index - 1];
            if (before === undefined) continue;
            for (const member of ["large", "chat", "small"]) {
                // The end of the answer was drawn and not evaluated.
                expect(reusedTokens[member]).toBe((before.promptTokens[member] ?? NaN) + before.tokens - 1);
                expect(promptTokens[member]).toBeGreaterThan(reusedTokens[member] ?? NaN);
            }
        }
    });

    it("does so after a dial was turned too, and a member that was not read catches up", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        const [first] = await talk(chat, "What is the capital of Brazil?");
        chat.setParameters({ beta: 0 });
        const [second] = await talk(chat, ERITREA);
        chat.setParameters({ beta: 1.5 });
        const [third] = await talk(chat, CHAD);
        if (!first || !second || !third) throw new Error("There are three answers.");
        expect(second.reusedTokens).toEqual(mapValues(first.promptTokens, (count) => count + first.tokens - 1));
        expect(third.reusedTokens["chat"]).toBe((second.promptTokens["chat"] ?? NaN) + second.tokens - 1);
        expect(third.reusedTokens["large"]).toBe(second.reusedTokens["large"]);
        const fresh = createChat(ensemble, { turns: chat.turns.slice(0, 2), parameters: { beta: 1.5 } });
        expect(await ask(fresh, CHAD, third.seed, { temperature: 0 })).toEqual(idsOf(third));
    });

    it("reuses the tokens of an answer as far as its text is tokenized in the same way again", async () => {
        const chat = createChat(ensemble, { seed: 3, ...LONG });
        const [first, second] = await talk(chat, "What is the capital of Kenya?", CHAD);
        if (!first || !second) throw new Error("There are two answers.");
        const [member] = ensemble.members;
        const retokenized = [...((await member?.prompt.tokenize(chat.messages.slice(0, 3))) ?? [])];
        const drawn = [...retokenized.slice(0, first.promptTokens["large"]), ...idsOf(first)];
        const common = drawn.findIndex((token, index) => token !== retokenized[index]);
        expect(common).toBeLessThan(drawn.length - 1);
        expect(second.reusedTokens).toEqual({ large: common, chat: common, small: common });
    });

    it("shows whole characters only", async () => {
        for (const seed of [1, 2, 3]) {
            const chat = createChat(ensemble, { seed, ...LONG });
            const { parts, text } = await collect(chat.send(PERU));
            for (const part of parts) expect(Buffer.from(part.text).toString()).toBe(part.text);
            expect(chat.turns.at(-1)?.answer).toBe(text);
            expect(text).toBe(text.trimStart());
        }
    });
});

describe("a fresh session with the same history and seed", () => {
    it.each([false, true])("gives the same text (speculation %s)", async (speculation) => {
        const options = { seed: 11, speculation, sampling: { temperature: 1 } };
        const chat = createChat(ensemble, options);
        const results = await talk(chat, PERU, ERITREA, CHAD, JAPAN);
        await using other = await loadOnCpu(ensemble.recipe, { sequences: 1 });
        for (const [index, result] of results.entries()) {
            const fresh = createChat(other, { ...options, turns: chat.turns.slice(0, index), seed: 11 + index });
            const { user = "" } = chat.turns[index] ?? {};
            expect(idsOf(await collect(fresh.send(user)))).toEqual(idsOf(result));
        }
    });
});

describe("regenerating and editing", () => {
    it("draws another answer in place of the last one", async () => {
        const chat = createChat(ensemble, { seed: 1, ...LONG });
        await talk(chat, PERU, CHAD);
        const [first, old] = chat.turns;
        const renewed = await collect(chat.regenerate());
        expect(chat.turns).toEqual([first, { user: CHAD, answer: renewed.text }]);
        expect(renewed.text).not.toBe(old?.answer);
        // The same seed gives what there was, and the prompt comes out of the cache.
        const again = await collect(chat.regenerate({ seed: 2 }));
        expect(chat.turns[1]).toEqual(old);
        expect(again.reusedTokens).toEqual(mapValues(again.promptTokens, (count) => count - 1));
    });

    it("replaces a turn and all after it", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        await talk(chat, PERU, ERITREA, CHAD);
        const [first] = chat.turns;
        const { text, reusedTokens } = await collect(chat.edit(1, JAPAN));
        expect(chat.turns).toEqual([first, { user: JAPAN, answer: text }]);
        expect(reusedTokens["large"]).toBeGreaterThan(15);
        expect(() => chat.edit(2, JAPAN)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
    });

    it("needs something that was said", () => {
        const chat = createChat(ensemble);
        for (const act of [() => chat.regenerate(), () => chat.edit(0, PERU), () => chat.repeat()]) {
            expect(act).toThrow(expect.objectContaining({ code: "CHAT_EMPTY" }));
        }
    });
});

describe("a fork", () => {
    it("goes its own way from what both have in common", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 }, parameters: { beta: 0.5 } });
        await talk(chat, PERU, ERITREA);
        const [fork, whole] = [chat.fork(1), chat.fork()];
        expect(whole.turns).toEqual(chat.turns);
        expect(fork.parameters).toEqual({ beta: 0.5 });
        fork.setParameters({ beta: 2 });
        const { reusedTokens } = await collect(fork.send(JAPAN));
        expect(reusedTokens["small"]).toBeGreaterThan(15);
        expect(fork.turns).toHaveLength(2);
        expect(chat.turns.map(({ user }) => user)).toEqual([PERU, ERITREA]);
        expect(chat.parameters).toEqual({ beta: 0.5 });
        expect(() => chat.fork(3)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
    });

    it("may answer at the same time", async () => {
        const chat = createChat(ensemble, { seed: 5, ...LONG });
        await talk(chat, PERU);
        const forks = [chat.fork(), chat.fork()];
        const texts = await Promise.all(forks.map(async (fork) => (await collect(fork.send(CHAD))).text));
        const [alone] = await talk(chat, CHAD);
        expect(texts).toEqual([alone?.text, alone?.text]);
    });
});

describe("dials", () => {
    it("turn in the middle of an answer, and repeat() turns them there again", async () => {
        const chat = createChat(ensemble, { seed: 4, ...LONG });
        const ids: number[] = [];
        for await (const part of chat.send(PERU)) {
            if (part.type === "token") ids.push(part.id);
            if (ids.length === 10) chat.setParameters({ beta: 0 });
            if (ids.length === 16) chat.setParameters({ beta: 2 });
        }
        expect(chat.parameters).toEqual({ beta: 2 });
        const still = createChat(ensemble, { seed: 4, ...LONG });
        const [unturned] = await talk(still, PERU);
        expect(unturned && idsOf(unturned).slice(0, 10)).toEqual(ids.slice(0, 10));
        expect(unturned && idsOf(unturned)).not.toEqual(ids);

        const before = JSON.stringify(chat);
        const repeated = await collect(chat.repeat({ explain: true, memberLogprobs: true }));
        expect(idsOf(repeated)).toEqual(ids);
        for (const { drafter, members } of repeated.parts) {
            expect(drafter?.totalVariation).toBeGreaterThanOrEqual(0);
            expect(Object.keys(members ?? {})).toEqual(["large", "chat", "small"]);
        }
        expect(JSON.stringify(chat)).toBe(before);
    });

    it("of the ensemble count where the session has not turned its own", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        ensemble.setParameters({ beta: 0 });
        const [alone] = await talk(chat, "What is the capital of Nepal?");
        expect(chat.parameters).toEqual({ beta: 0 });
        ensemble.setParameters({ beta: 1 });
        const together = await collect(chat.regenerate());
        expect(together.parts[0]?.logprob).not.toBeCloseTo(alone?.parts[0]?.logprob ?? NaN, 5);
    });

    it("are refused with a sentence, and stay where they are", () => {
        const chat = createChat(ensemble, { parameters: { beta: 0.5 } });
        expect(() => chat.setParameters({ gamma: 1 })).toThrow(expect.objectContaining({ code: "PARAMETER_UNKNOWN" }));
        expect(() => chat.setParameters({ beta: 3 })).toThrow(expect.objectContaining({ code: "PARAMETER_RANGE" }));
        expect(chat.parameters).toEqual({ beta: 0.5 });
    });
});

describe("sampling", () => {
    it("changes from the next answer on, and goes along into a fork", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0, topK: 9 } });
        expect(chat.sampling).toEqual({ ...DEFAULT_SAMPLING, temperature: 0, topK: 9 });
        const answer = chat.send(PERU);
        const first = await answer.next();
        chat.setSampling({ ...LONG.sampling, topK: 0, seed: 7 });
        const rest = await collect(answer);
        expect(`${first.value?.text}${rest.text}`).toContain("Lima");
        expect(chat.sampling.temperature).toBe(5);
        const fork = chat.fork(0);
        const drawn = createChat(ensemble, { ...LONG, seed: 7 });
        const options = { maxTokens: LONG.maxTokens };
        const [expected, next] = await talk(drawn, CHAD, CHAD);
        expect(idsOf(await collect(fork.send(CHAD, options)))).toEqual(expected && idsOf(expected));
        expect(idsOf(await collect(fork.send(CHAD, options)))).toEqual(next && idsOf(next));
    });

    it("is refused with a sentence, and stays as it is", () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        for (const wrong of [{ temperature: -1 }, { topK: 5, topP: 0 }, { topK: 5, seed: 0.5 }]) {
            expect(() => chat.setSampling(wrong)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
        }
        expect(chat.sampling).toEqual({ ...DEFAULT_SAMPLING, temperature: 0 });
    });
});

describe("an answer that ends early", () => {
    it("is kept as far as it came, when it is aborted or its loop is left", async () => {
        const chat = createChat(ensemble, { seed: 1, ...LONG });
        const controller = new AbortController();
        const parts: TokenPart[] = [];
        for await (const part of chat.send(PERU, { signal: controller.signal })) {
            if (part.type === "token") parts.push(part);
            else expect(part).toMatchObject({ reason: "abort" });
            if (parts.length === 12) controller.abort();
        }
        const left = await take(chat.send(CHAD), 9);
        const textOf = (some: readonly TokenPart[]): string => some.map(({ text }) => text).join("");
        expect(chat.turns).toEqual([
            { user: PERU, answer: textOf(parts) },
            { user: CHAD, answer: textOf(left) },
        ]);
        expect(chat.busy).toBe(false);
        const repeated = await collect(chat.repeat());
        expect(idsOf(repeated)).toEqual(left.map(({ id }) => id));
        const [next] = await talk(chat, JAPAN);
        expect(next?.tokens).toBeGreaterThan(0);
    });

    it("leaves the conversation as it was if there is nothing of it yet, or after an error", async () => {
        const chat = createChat(ensemble, { sampling: { temperature: 0 } });
        await talk(chat, PERU);
        const before = chat.turns;
        const aborted = await collect(chat.send(CHAD, { signal: AbortSignal.abort() }));
        expect(aborted).toMatchObject({ reason: "abort", text: "" });
        const renewed = await collect(chat.regenerate({ signal: AbortSignal.abort() }));
        expect(renewed.reason).toBe("abort");
        await expect(collect(chat.send("word ".repeat(500)))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
        expect(() => chat.send(CHAD, { maxTokens: -1 })).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
        expect(chat.turns).toBe(before);
        expect((await talk(chat, JAPAN))[0]?.text).toMatch(/\.$/);
    });
});

describe("one answer at a time", () => {
    it("is written, and nothing is changed meanwhile", async () => {
        const chat = createChat(ensemble, LONG);
        const answer = chat.send(PERU);
        await answer.next();
        expect(chat.busy).toBe(true);
        await expect(chat.send(CHAD).next()).rejects.toMatchObject({ code: "CHAT_BUSY" });
        expect(() => chat.setSystem("Be brief.")).toThrow(expect.objectContaining({ code: "CHAT_BUSY" }));
        const late = chat.send(JAPAN);
        await answer.return();
        await expect(late.next()).rejects.toMatchObject({ code: "CHAT_BUSY" });
        expect(chat.turns).toHaveLength(1);
    });
});

describe("a full context", () => {
    it("forgets the oldest turns, whole ones, says so, and keeps the system prompt", async () => {
        await using shows = await loadOnCpu(upscaling(`prompt: { template: ${JSON.stringify(TEMPLATE)} }`), {
            contextSize: 128,
            sequences: 1,
        });
        const forgotten: ChatTurn[] = [];
        const chat = createChat(shows, {
            system: "Answer.",
            sampling: { temperature: 0 },
            onForget: (turns) => forgotten.push(...turns),
        });
        const counts: number[] = [];
        for (const question of [...QUESTIONS, ...QUESTIONS]) {
            const before = chat.turns;
            const had = chat.forgotten;
            const seen = (await chat.render(question))["large"] ?? "";
            const { promptTokens, reusedTokens, tokens } = await collect(chat.send(question));
            counts.push(chat.forgotten);
            expect(seen.startsWith("Answer.\n[INST] ")).toBe(true);
            expect(seen.split("[INST]")).toHaveLength(before.length - chat.forgotten + 2);
            expect((promptTokens["large"] ?? NaN) + tokens).toBeLessThanOrEqual(128);
            // Room is made for several turns, so that most of them find the cache as they left it.
            if (chat.forgotten > had) expect(promptTokens["large"]).toBeLessThanOrEqual(64);
            else if (before.length > 0)
                expect(reusedTokens["large"]).toBeGreaterThan((promptTokens["large"] ?? 0) - 20);
        }
        expect(chat.turns).toHaveLength(16);
        expect(new Set(counts).size).toBeLessThan(8);
        expect(forgotten).toEqual(chat.turns.slice(0, chat.forgotten));
        expect(chat.forgotten).toBeGreaterThan(0);

        const [next = "", then = ""] = QUESTIONS;
        const fresh = createChat(shows, { ...parseChat(JSON.stringify(chat)), sampling: { temperature: 0 } });
        expect((await talk(fresh, next, then)).map(idsOf)).toEqual((await talk(chat, next, then)).map(idsOf));
    });

    it("is said once, where an answer that runs ahead begins again", async () => {
        const turns = QUESTIONS.map((user) => ({ user, answer: user }));
        const told: number[] = [];
        await using small = await loadOnCpu(upscaling(""), { contextSize: 128, sequences: 1 });
        const chat = createChat(small, { turns, onForget: ({ length }) => told.push(length), maxTokens: 12 });
        // No answer ends before the dial is turned.
        const answer = chat.send(PERU, { readAhead: 4, logitBias: { 2: -Infinity } });
        let count = 0;
        for await (const _ of answer) if (++count === 4) answer.setParameters({ beta: 0 });
        expect(count).toBeGreaterThan(4);
        expect(told).toEqual([chat.forgotten]);
    });

    it("is no reason to forget anything for a question that is too long anyway", async () => {
        const forgotten: ChatTurn[] = [];
        const chat = createChat(ensemble, { onForget: (turns) => forgotten.push(...turns), maxTokens: 3 });
        await talk(chat, PERU, CHAD);
        await expect(collect(chat.send("a ".repeat(100_000)))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
        expect([chat.forgotten, forgotten]).toEqual([0, []]);
    });
});

describe("the system prompt", () => {
    it("can be changed, and render() shows what each member sees", async () => {
        const recipe = demoRecipe(`
members:
    large: { model: large-base-f16.gguf, prompt: { template: plain } }
    chat: { model: small-chat-f16.gguf, prompt: { template: ${JSON.stringify(TEMPLATE)} } }
combination: large + chat`);
        await using mixed = await loadOnCpu(recipe);
        const chat = createChat(mixed, { system: "Answer.", turns: [{ user: "Hello.", answer: "Hi." }] });
        expect(await chat.render("Who?")).toEqual({
            large: "Answer.\nHello.\nHi.\nWho?",
            chat: "Answer.\n[INST] Hello. [/INST] Hi.</s>[INST] Who? [/INST]",
        });
        chat.setSystem(undefined);
        expect((await chat.render("Who?"))["large"]).toBe("Hello.\nHi.\nWho?");
        expect((await chat.fork(0).render("Who?"))["large"]).toBe("Who?");
        expect(chat.messages).toEqual([
            { role: "user", content: "Hello." },
            { role: "assistant", content: "Hi." },
        ]);
    });
});

describe("a saved conversation", () => {
    const file = path.join(temporary.folder, "talk.json");

    it("goes on as the one that was saved", async () => {
        const chat = createChat(ensemble, { system: "Äß 😀", parameters: { beta: 1.5 }, sampling: { temperature: 0 } });
        await talk(chat, PERU, 'Say "\\" \u0000 \u2028');
        await saveChat(file, chat);
        const state = await loadChat(file);
        expect(state).toEqual({
            system: "Äß 😀",
            turns: chat.turns,
            forgotten: 0,
            parameters: { beta: 1.5 },
        });
        const loaded = createChat(ensemble, { ...state, sampling: { temperature: 0 } });
        expect((await talk(loaded, CHAD)).map(idsOf)).toEqual((await talk(chat, CHAD)).map(idsOf));
        // A conversation may be replaced by another.
        await saveChat(file, loaded);
        expect((await loadChat(file)).turns).toHaveLength(3);
        expect(readdirSync(temporary.folder)).toEqual(["talk.json"]);
        // As some editors save it.
        writeFileSync(file, `\ufeff${readFileSync(file, "utf8")}`);
        expect((await loadChat(file)).turns).toHaveLength(3);
    });

    it("takes the place of nothing else", async () => {
        const other = path.join(temporary.folder, "recipe.yaml");
        writeFileSync(other, "eft: 1\n");
        const chat = createChat(ensemble);
        await expect(saveChat(other, chat)).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
        await saveChat(file, chat);
        const before = readFileSync(file, "utf8");
        for (const none of [new Date(0), new URL("https://host"), { toJSON: () => 5 }, { toJSON: () => undefined }]) {
            await expect(saveChat(file, none as never)).rejects.toMatchObject({ code: "CHAT_INVALID" });
        }
        expect(readFileSync(file, "utf8")).toBe(before);
        expect(readFileSync(other, "utf8")).toBe("eft: 1\n");
        await expect(saveChat(temporary.folder, chat)).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
        const nowhere = path.join(temporary.folder, "missing", "talk.json");
        await expect(saveChat(nowhere, chat)).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
    });

    it.each([
        ["it is not JSON", ""],
        ["it is not JSON", "[1"],
        ["the document is empty; it must be a mapping with the keys eftChat and turns", "null"],
        ['a conversation lacks the key "eftChat"', "{}"],
        ['"eftChat" must be 1, not 2', '{ "eftChat": 2, "turns": [] }'],
        ['a conversation lacks the key "turns"', '{ "eftChat": 1 }'],
        ['"turns.0" lacks the key "answer"', '{ "eftChat": 1, "turns": [{ "user": "a" }] }'],
        ['"turns.0.answer" must be a text, not 1', '{ "eftChat": 1, "turns": [{ "user": "a", "answer": 1 }] }'],
        ['a conversation has no key "sytem"; did you mean "system"?', '{ "eftChat": 1, "turns": [], "sytem": "a" }'],
        ['"forgotten" is 1, and there are only 0 turns', '{ "eftChat": 1, "turns": [], "forgotten": 1 }'],
        [
            '"forgotten" must be a whole number of at least 0, not 0.5',
            '{ "eftChat": 1, "turns": [], "forgotten": 0.5 }',
        ],
        [
            '"parameters.beta" must be a finite number, not the text "1"',
            '{ "eftChat": 1, "turns": [], "parameters": { "beta": "1" } }',
        ],
        ["it is not JSON", `{ "eftChat": 1, "turns": ${"[".repeat(100_000)}`],
    ])("is refused where %s", (reason, text) => {
        const refusal = { code: "CHAT_INVALID", message: expect.stringContaining(reason) };
        expect(() => parseChat(text, "talk.json")).toThrow(expect.objectContaining(refusal));
        expect(() => parseChat(text, "talk.json")).toThrow(/^talk\.json is not a conversation/);
    });

    it("is a file that can be read", async () => {
        for (const name of [path.join(temporary.folder, "missing.json"), temporary.folder, "/dev/zero"]) {
            await expect(loadChat(name)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
        }
    });

    it("is checked when a session begins with it", () => {
        const turns = [{ user: "a" }] as unknown as ChatTurn[];
        expect(() => createChat(ensemble, { turns })).toThrow(expect.objectContaining({ code: "CHAT_INVALID" }));
        const wrong = expect.objectContaining({ code: "PARAMETER_UNKNOWN" });
        expect(() => createChat(ensemble, { parameters: { lambda: 1 } })).toThrow(wrong);
    });

    it.each<[string, RegExp, (chat: ChatSession) => unknown]>([
        [
            "createChat",
            /^createChat has no option foo; there are: system, turns, forgotten, onForget, maxTokens, /,
            () => createChat(ensemble, { foo: 1 } as object),
        ],
        ["createChat", /createChat takes must be an object, not null/, () => createChat(ensemble, nothing)],
        [
            "send",
            /^An answer has no option prompt; there are: maxTokens, /,
            (chat) => chat.send(PERU, { prompt: PERU } as object),
        ],
        ["send", /must be an object, not null/, (chat) => chat.send(PERU, nothing)],
        ["setParameters", /must be an object, not null/, (chat) => chat.setParameters(nothing)],
        ["setSampling", /must be an object, not null/, (chat) => chat.setSampling(nothing)],
        ["setSampling", /^sampling has no option foo/, (chat) => chat.setSampling({ foo: 1 } as object)],
        ["setSystem", /must be a text, not null/, (chat) => chat.setSystem(nothing)],
    ])("refuses options of %s: %s", (_, message, act) => {
        const refusal = { code: "OPTION_INVALID", message: expect.stringMatching(message) };
        expect(() => act(createChat(ensemble))).toThrow(expect.objectContaining(refusal));
    });
});

describe("one member alone", () => {
    it("says what it says when it is loaded by itself, and finds what it has seen in the cache", async () => {
        const recipe = demoRecipe(`
members: { large: { model: large-base-f16.gguf }, chat: { model: small-chat-f16.gguf } }
parameters: { weight: { default: 1 } }
combination: chat + weight * large
conservative: { topP: 0.5, fallback: chat }
speculation: {}`);
        await using both = await loadOnCpu(recipe);
        await using solo = await loadOnCpu(soloRecipe(demoFile("large-base")));
        const options = { prompt: PERU, maxTokens: 20, seed: 3, memberLogprobs: false } as const;
        await collect(complete(both, options));
        const view = soloView(both, "large");
        const alone = await collect(complete(view, options));
        expect(idsOf(alone)).toEqual(idsOf(await collect(complete(solo, options))));
        expect(alone.reusedTokens["large"]).toBe((alone.promptTokens["large"] ?? NaN) - 1);
        expect(alone.timings.decodeMs["chat"]).toBe(0);
        expect(both.recipe).toBe(recipe);
        expect(() => soloView(both, "small")).toThrow(expect.objectContaining({ code: "COMBINATION_UNKNOWN_NAME" }));
    });
});

function mapValues(
    record: Readonly<Record<string, number>>,
    change: (value: number) => number,
): Record<string, number> {
    return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

async function ask(
    chat: ChatSession,
    question: string,
    seed: number,
    sampling: { readonly temperature: number },
): Promise<number[]> {
    return idsOf(await collect(chat.send(question, { seed, sampling })));
}
