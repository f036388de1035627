/** The host of an Electron app in a process of its own, over message ports: what renderers and the main process see of it. */

import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from "@jest/globals";
import {
    collect,
    complete,
    EftError,
    type CompletionResult,
    type EftErrorCode,
    type TokenPart,
} from "../../src/index.js";
import type { RendererEvent } from "../../src/electron/protocol.js";
import type { FinishPart, RemoteCompletion, RemoteEnsemble } from "../../src/electron/renderer.js";
import { loadOnCpu, upscalingRecipe } from "../helpers/demo.js";
import { installExample, startTestHost, type TestHost } from "../helpers/electron.js";
import { LOGPROB } from "../helpers/tolerances.js";

const QUESTION = "What is the capital of Peru?";
/** Without an end-of-text token a completion goes on until the context is full. */
const ENDLESS = { prompt: QUESTION, logitBias: { 2: -Infinity } } as const;
const OPTIONS = { backend: "cpu", threads: 1 } as const;

const example = installExample();
afterAll(example.remove);

async function errorOf(promise: Promise<unknown>): Promise<{ readonly code: EftErrorCode; readonly message: string }> {
    try {
        await promise;
    } catch (error) {
        return error as { readonly code: EftErrorCode; readonly message: string };
    }
    throw new Error("nothing failed");
}

async function firstToken(completion: RemoteCompletion): Promise<TokenPart> {
    const { value } = await completion.next();
    return value as TokenPart;
}

/** That the renderer gets an answer shows that the host is alive and has a free sequence. */
async function expectUsable(renderer: RemoteEnsemble): Promise<void> {
    expect((await collect(renderer.complete({ prompt: QUESTION }))).text).toContain("Lima");
}

describe("a host with a loaded ensemble", () => {
    let host: TestHost;
    let renderer: RemoteEnsemble;
    beforeAll(async () => {
        host = startTestHost(example.folder);
        await host.control.load("demo", { ...OPTIONS, sequences: 2 });
    });
    afterAll(async () => {
        expect(host.utility.stderr()).toBe("");
        await host.utility.kill();
    });
    beforeEach(() => {
        renderer = host.connect();
    });
    afterEach(() => renderer.close());

    it("says what is loaded, and no paths", async () => {
        const description = await renderer.describe();
        expect(description).toMatchObject({
            name: "demo",
            combination: "chat + beta * (large - small)",
            parameters: { beta: { default: 1, min: 0, max: 2 } },
            backend: "cpu",
            sequences: 2,
        });
        expect(description.members).toEqual([
            { name: "large", model: "large-base-f16.gguf" },
            { name: "chat", model: "small-chat-f16.gguf" },
            { name: "small", model: "small-base-f16.gguf" },
        ]);
        expect(JSON.stringify(description)).not.toContain("models/");
    });

    it.each([{ prompt: [{ role: "user", content: QUESTION }] as const }, { prompt: [1, 312, 700, 400], raw: true }])(
        "gives the parts that the library gives: %j",
        async (prompt) => {
            const options = {
                ...prompt,
                sampling: { temperature: 1 },
                seed: 7,
                maxTokens: 40,
                topLogprobs: 2,
                memberLogprobs: true,
                scores: true,
                speculation: { length: 2 },
            } as const;
            const ensemble = await loadOnCpu(upscalingRecipe());
            const own = await collect(complete(ensemble, options));
            await ensemble.dispose();
            const remote = await collect(renderer.complete(options));
            // Typed arrays of another process are of another realm for Jest.
            const comparable = ({ parts, text, reason, seed, promptTokens }: CompletionResult): unknown => ({
                ...{ text, reason, seed, promptTokens },
                parts: parts.map(({ scores, ...part }) => ({ ...part, scores: Array.from(scores ?? []) })),
            });
            expect(comparable(remote)).toEqual(comparable(own));
            expect(remote.parts.length).toBeGreaterThan(3);
            expect(remote.parts[0]?.scores?.length).toBeGreaterThan(100);
        },
    );

    it("answers several completions of several renderers at once", async () => {
        const other = host.connect();
        const completions = [renderer, other, renderer, other, renderer].map((one) =>
            collect(one.complete({ prompt: QUESTION })),
        );
        for (const { text } of await Promise.all(completions)) expect(text).toContain("Lima");
        other.close();
    });

    it("turns dials before and in the middle of an answer", async () => {
        // At beta = 0 the target is "chat" alone.
        const isChatAlone = ({ logprob, members = {} }: TokenPart): boolean =>
            Math.abs(logprob - (members["chat"] ?? NaN)) <= LOGPROB;
        const completion = renderer.complete({ ...ENDLESS, memberLogprobs: true });
        await completion.setParameters({ beta: 0 });
        expect(isChatAlone(await firstToken(completion))).toBe(true);
        await completion.setParameters({ beta: 2 });
        // Whatever the host has drawn meanwhile is drawn again.
        await expectUsable(renderer);
        expect(isChatAlone(await firstToken(completion))).toBe(false);
        await completion.setParameters({ beta: 0 });
        expect(isChatAlone(await firstToken(completion))).toBe(true);
        await completion.return();
    });

    it("sends a renderer the parts that it asks for, one after another", async () => {
        const port = host.openPort();
        const parts: RendererEvent[] = [];
        port.on("message", (event: RendererEvent) => {
            if (event.type === "part") parts.push(event);
        });
        const say = (message: object): void => port.postMessage({ protocol: 1, ...message });
        say({ type: "complete", id: 1, options: ENDLESS });
        // Whole answers of the other renderer take more steps than the first one is allowed.
        for (let turn = 0; turn < 4; turn++) await collect(renderer.complete({ ...ENDLESS, maxTokens: 20 }));
        expect(parts).toHaveLength(1);
        say({ type: "next", completion: 1 });
        await collect(renderer.complete({ ...ENDLESS, maxTokens: 20 }));
        expect(parts).toHaveLength(2);
        // Who asks often gets no more than who asks once.
        say({ type: "complete", id: 2, options: { ...ENDLESS, maxTokens: 4 } });
        for (let index = 0; index < 1000; index++) say({ type: "next", completion: 2 });
        while (parts.length < 3) await expectUsable(renderer);
        expect(parts.length).toBeLessThanOrEqual(2 + 5);
        // A completion that nobody reads ends when it is left.
        say({ type: "leave", completion: 1 });
        say({ type: "leave", completion: 2 });
        say({ type: "next", completion: 1 });
        const before = parts.length;
        for (const turn of [1, 2])
            expect((await collect(renderer.complete({ ...ENDLESS, maxTokens: turn }))).tokens).toBe(turn);
        expect(parts).toHaveLength(before);
        port.close();
    });

    it("answers renderers that read side by side, as far ahead as they say and no further than it may", async () => {
        const readers = [renderer, host.connect()];
        const finished = readers.map(async (each) => {
            let last: FinishPart | undefined;
            for await (const part of each.complete({ ...ENDLESS, maxTokens: 40, readAhead: 1000 }))
                if (part.type === "finish") last = part;
            return last;
        });
        for (const each of await Promise.all(finished)) expect(each?.tokens).toBe(40);
        expect((await errorOf(collect(renderer.complete({ ...ENDLESS, readAhead: -1 })))).code).toBe("OPTION_INVALID");
        readers[1]?.close();
    });

    it("ends with the reason abort where the signal fires", async () => {
        const controller = new AbortController();
        const completion = renderer.complete({ ...ENDLESS, signal: controller.signal });
        await firstToken(completion);
        controller.abort();
        expect((await collect(completion)).reason).toBe("abort");
        const early = renderer.complete({ ...ENDLESS, signal: controller.signal });
        expect((await collect(early)).reason).toBe("abort");
    });

    it("frees the sequences of completions that are left early", async () => {
        for (let index = 0; index < 5; index++) {
            for await (const part of renderer.complete(ENDLESS)) {
                expect(part.type).toBe("token");
                break;
            }
        }
        await expectUsable(renderer);
    });

    it("aborts what a renderer had running that goes away", async () => {
        // More than there are sequences, so that nobody else gets one unless these end; none of them reads on.
        const gone = host.connect();
        const completions = [1, 2, 3].map(() => gone.complete(ENDLESS));
        await Promise.all(completions.slice(0, 2).map(firstToken));
        void completions[2]?.next().catch(() => undefined);
        gone.close();
        await expectUsable(renderer);
        expect((await errorOf(collect(completions[0] as RemoteCompletion))).code).toBe("CONNECTION_LOST");
        expect((await errorOf(gone.describe())).code).toBe("CONNECTION_LOST");
    });

    it.each([
        ["PARAMETER_UNKNOWN", { prompt: QUESTION, parameters: { gamma: 1 } }],
        ["PARAMETER_RANGE", { prompt: QUESTION, parameters: { beta: Number.NaN } }],
        ["OPTION_INVALID", { prompt: QUESTION, sampling: { temperature: -1 } }],
        ["OPTION_INVALID", { prompt: [{ role: "robot", content: "x" }] }],
        ["OPTION_INVALID", { prompt: QUESTION, logitBias: { 5: Infinity } }],
        ["COMBINATION_UNKNOWN_NAME", { prompt: QUESTION, speculation: { drafter: "nobody" } }],
        ["CONTEXT_OVERFLOW", { prompt: "word ".repeat(100_000) }],
    ])("passes the library's error on: %s", async (code, options) => {
        const error = await errorOf(collect(renderer.complete(options as { prompt: string })));
        expect(error).toMatchObject({ name: "EftError", code });
        expect(error.message.length).toBeGreaterThan(20);
        await expectUsable(renderer);
    });

    it("passes on that a dial is out of range, and the answer goes on", async () => {
        const completion = renderer.complete({ ...ENDLESS, maxTokens: 30 });
        await firstToken(completion);
        expect((await errorOf(completion.setParameters({ beta: 3 }))).code).toBe("PARAMETER_RANGE");
        expect((await collect(completion)).reason).toBe("length");
        await completion.setParameters({ beta: 1 });
    });

    const cyclic: Record<string, unknown> = { protocol: 1, type: "complete", id: 9 };
    cyclic["options"] = cyclic;
    it.each<[string, unknown]>([
        ["undefined", undefined],
        ["null", null],
        ["a text", "complete"],
        ["a map", new Map([["protocol", 1]])],
        ["no version", { type: "describe", id: 9 }],
        ["another version", { protocol: 2, type: "describe", id: 9 }],
        ["no type", { protocol: 1, id: 9 }],
        ["an inherited type", { protocol: 1, type: "constructor", id: 9 }],
        [
            "what only the main process may say",
            { protocol: 1, type: "load", id: 9, recipe: "/etc/passwd", options: {} },
        ],
        ["no id", { protocol: 1, type: "describe" }],
        ["an id that is no number", { protocol: 1, type: "describe", id: "9" }],
        ["an infinite id", { protocol: 1, type: "describe", id: Infinity }],
        ["an unknown key", { protocol: 1, type: "describe", id: 9, more: 1 }],
        ["no options", { protocol: 1, type: "complete", id: 9 }],
        ["no prompt", { protocol: 1, type: "complete", id: 9, options: {} }],
        ["an unknown option", { protocol: 1, type: "complete", id: 9, options: { prompt: "x", signal: {} } }],
        ["itself", cyclic],
        ["a prompt of holes", { protocol: 1, type: "complete", id: 9, options: { prompt: new Array(3) } }],
        ["a buffer as prompt", { protocol: 1, type: "complete", id: 9, options: { prompt: new Uint8Array(9) } }],
        ["null as sampling", { protocol: 1, type: "complete", id: 9, options: { prompt: "x", sampling: null } }],
        ["a big number", { protocol: 1, type: "complete", id: 9, options: { prompt: "x", maxTokens: 9n } }],
        ["a text as bias", { protocol: 1, type: "complete", id: 9, options: { prompt: "x", logitBias: { 5: "a" } } }],
        ["a prompt too long", { protocol: 1, type: "complete", id: 9, options: { prompt: "x".repeat(2 ** 22 + 1) } }],
        [
            "messages too long",
            {
                ...{ protocol: 1, type: "complete", id: 9 },
                options: { prompt: new Array(5).fill({ role: "user", content: "x".repeat(2 ** 20) }) },
            },
        ],
        ["dials without numbers", { protocol: 1, type: "setParameters", id: 9, completion: 1, values: { beta: "1" } }],
    ])("answers %s with an error", async (_name, message) => {
        const port = host.openPort();
        const reply = await new Promise<RendererEvent>((resolve) => {
            port.on("message", (event: RendererEvent) => {
                if (event.type !== "status") resolve(event);
            });
            port.postMessage(message);
        });
        port.close();
        expect(reply).toMatchObject({ type: "error", code: "MESSAGE_INVALID" });
        await expectUsable(renderer);
    });

    it("limits how many completions a renderer may have, and refuses an id twice", async () => {
        const port = host.openPort();
        const refused: number[] = [];
        const both = new Promise<void>((resolve) => {
            port.on("message", (event: RendererEvent) => {
                if (event.type === "error" && refused.push(event.id) === 2) resolve();
            });
        });
        // They do not end by themselves.
        const start = (id: number): void => port.postMessage({ protocol: 1, type: "complete", id, options: ENDLESS });
        for (let id = 1; id <= 65; id++) start(id);
        start(1);
        await both;
        expect(refused).toEqual([65, 1]);
        port.close();
        await expectUsable(renderer);
    });

    it("has messages about what is not running without effect", async () => {
        const port = host.openPort();
        port.postMessage({ protocol: 1, type: "abort", completion: 77 });
        port.postMessage({ protocol: 1, type: "next", completion: 77 });
        port.postMessage({ protocol: 1, type: "leave", completion: 77 });
        const events: RendererEvent[] = [];
        port.on("message", (event: RendererEvent) => events.push(event));
        await expectUsable(renderer);
        expect(events.filter(({ type }) => type !== "status")).toEqual([]);
        port.close();
    });
});

describe("loading", () => {
    let host: TestHost;
    beforeEach(() => {
        host = startTestHost(example.folder);
    });
    afterEach(() => host.utility.kill());

    it("is told to main process and renderers", async () => {
        const seen: string[] = [];
        const renderer = host.connect({ onStatus: ({ state }) => seen.push(state) });
        expect((await errorOf(renderer.describe())).code).toBe("NOT_LOADED");
        expect((await errorOf(collect(renderer.complete({ prompt: QUESTION })))).code).toBe("NOT_LOADED");
        const loading = host.control.load("demo", OPTIONS);
        // Waits for the models, which are being loaded.
        const late = host.connect();
        expect((await loading).name).toBe("demo");
        expect((await late.describe()).name).toBe("demo");
        await expectUsable(renderer);
        expect(seen[0]).toBe("empty");
        expect(seen.at(-1)).toBe("ready");
        expect(new Set(seen)).toEqual(new Set(["empty", "loading", "ready"]));
        expect(host.statuses[0]).toEqual({ state: "loading", recipe: "demo", progress: 0 });
        renderer.close();
        late.close();
    });

    it("of a recipe that cannot be read leaves the loaded one", async () => {
        await host.control.load("demo", OPTIONS);
        expect((await errorOf(host.control.load("/nowhere.yaml"))).code).toBe("RECIPE_NOT_FOUND");
        expect((await errorOf(host.control.load(undefined as unknown as string))).code).toBe("OPTION_INVALID");
        const renderer = host.connect();
        await expectUsable(renderer);
        renderer.close();
    });

    it("of another recipe ends the completions of the one before", async () => {
        await host.control.load("demo", OPTIONS);
        const renderer = host.connect();
        const completion = renderer.complete(ENDLESS);
        await firstToken(completion);
        const loading = host.control.load("demo-dial", OPTIONS);
        expect((await errorOf(collect(completion))).code).toBe("DISPOSED");
        await loading;
        expect((await renderer.describe()).parameters).toHaveProperty("lambda");
        expect((await collect(renderer.complete({ prompt: QUESTION, parameters: { lambda: 0 } }))).text).toContain(
            "Lima",
        );
        renderer.close();
    });

    it("is overtaken by a later one", async () => {
        // Where this process has to wait between two messages, the first is through before the second is sent.
        let first: unknown;
        for (let attempt = 0; attempt < 50 && !EftError.isInstance(first); ++attempt) {
            const loading = host.control.load("demo", OPTIONS).catch((error: unknown) => error);
            expect((await host.control.load("demo-dial", OPTIONS)).name).toBe("demo-dial");
            first = await loading;
        }
        expect(first).toMatchObject({ code: "ABORTED" });
        const renderer = host.connect();
        expect((await renderer.describe()).name).toBe("demo-dial");
        renderer.close();
    });

    it("that fails says why, also to those who ask later", async () => {
        const options = { backend: "cpu", threads: -1 } as const;
        expect((await errorOf(host.control.load("demo", options))).code).toBe("OPTION_INVALID");
        const renderer = host.connect();
        expect((await errorOf(renderer.describe())).code).toBe("OPTION_INVALID");
        expect(host.statuses.at(-1)).toMatchObject({ state: "failed", code: "OPTION_INVALID" });
        await host.control.load("demo", OPTIONS);
        await expectUsable(renderer);
        renderer.close();
    });

    it("can be undone", async () => {
        await host.control.load("demo", OPTIONS);
        await host.control.dispose();
        await host.control.dispose();
        const renderer = host.connect();
        expect((await errorOf(renderer.describe())).code).toBe("NOT_LOADED");
        expect(host.statuses.at(-1)).toEqual({ state: "empty" });
        renderer.close();
    });
});

it("tells renderers and the main process that the host has died", async () => {
    const host = startTestHost(example.folder);
    await host.control.load("demo", OPTIONS);
    let closed = 0;
    const renderer = host.connect({ onClose: () => (closed += 1) });
    const completion = renderer.complete(ENDLESS);
    await firstToken(completion);
    const answer = errorOf(collect(completion));
    host.utility.process.kill("SIGKILL");
    expect((await answer).code).toBe("CONNECTION_LOST");
    expect(closed).toBe(1);
    expect((await errorOf(host.control.load("demo"))).message).toContain("SIGKILL");
});
