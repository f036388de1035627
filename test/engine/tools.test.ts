/** Tools in completions and conversations, on the demo family: what is forced comes, and what comes can be gone on with. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import {
    collect,
    complete,
    createChat,
    loadChat,
    parseChat,
    saveChat,
    type CompletionOptions,
    type CompletionPart,
    type Ensemble,
    type JsonSchema,
    type Tool,
    type ToolCall,
} from "../../src/index.js";
import { separateParts } from "../../src/decoding/answer.js";
import { demoFile, demoRecipe, loadOnCpu, soloRecipe, upscalingRecipe } from "../helpers/demo.js";
import { readPublicTemplates } from "../helpers/public-templates.js";
import { writeControlVocabulary } from "../helpers/control-vocabulary.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

const CAPITAL: Tool = {
    name: "capital_of",
    description: "Gives the capital of a country.",
    parameters: {
        type: "object",
        properties: { country: { enum: ["Peru", "Chad"] }, year: { type: "integer", minimum: 1, maximum: 9 } },
        required: ["country"],
        additionalProperties: false,
    },
};
const NOW: Tool = { name: "now" };
const tools = [CAPITAL, NOW];
const PERU = "What is the capital of Peru?";

let ensemble: Ensemble;
beforeAll(async () => (ensemble = await loadOnCpu(upscalingRecipe("f16", "contextSize: 1024"))));
afterAll(() => ensemble.dispose());

function expectCalls(calls: readonly ToolCall[]): void {
    for (const { id, name, arguments: values } of calls) {
        expect(id).toMatch(/^[A-Za-z\d]{9}$/);
        if (name === "now") expect(values).toEqual({});
        else expect(["Peru", "Chad"]).toContain(values["country"]);
    }
    expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length);
}

const withoutIds = (calls: readonly ToolCall[]) => calls.map(({ name, arguments: values }) => ({ name, values }));

describe("a choice of tools", () => {
    test("one: it is called once, with arguments of its schema", async () => {
        for (let seed = 0; seed < 2; seed++) {
            const toolChoice = { tool: "capital_of" };
            const { reason, text, toolCalls } = await collect(
                complete(ensemble, { prompt: PERU, tools, toolChoice, seed }),
            );
            expect([reason, text, toolCalls.length, toolCalls[0]?.name]).toEqual(["tool-calls", "", 1, "capital_of"]);
            expectCalls(toolCalls);
        }
    });

    test("required: at least one, in front of a limit whole ones alone", async () => {
        for (let seed = 0; seed < 2; seed++) {
            const request = { prompt: PERU, tools, toolChoice: "required", seed, maxTokens: 120 } as const;
            const { reason, text, toolCalls } = await collect(complete(ensemble, request));
            expect(["tool-calls", "length"]).toContain(reason);
            expect(text).toBe("");
            expect(toolCalls.length).toBeGreaterThan(0);
            expectCalls(toolCalls);
        }
        const short = { prompt: PERU, tools, toolChoice: "required", maxTokens: 12 } as const;
        expect(await collect(complete(ensemble, short))).toMatchObject({ reason: "length", text: "", toolCalls: [] });
    });

    test("none: nothing of them is shown, and nothing is recognised", async () => {
        const plain = await collect(complete(ensemble, { prompt: PERU, seed: 1 }));
        const none = await collect(complete(ensemble, { prompt: PERU, seed: 1, tools, toolChoice: "none" }));
        expect(none.parts.map(({ id }) => id)).toEqual(plain.parts.map(({ id }) => id));
        expect(none.promptTokens).toEqual(plain.promptTokens);
    });

    test("auto with a JSON schema: a call, or JSON", async () => {
        const jsonSchema = { enum: ["yes", "no"] };
        for (let seed = 0; seed < 3; seed++) {
            const request = { prompt: PERU, tools, jsonSchema, seed, sampling: { temperature: 5 }, maxTokens: 120 };
            const { text, toolCalls, reason } = await collect(complete(ensemble, request));
            if (reason === "length") expect(text).toBe("");
            else if (toolCalls.length === 0) expect(["yes", "no"]).toContain(JSON.parse(text));
            else expect(text).toBe("");
            expectCalls(toolCalls);
        }
    });

    test("is the same with speculation, ahead of the reader, and when a dial is turned", async () => {
        const request = { prompt: PERU, tools, toolChoice: "required", seed: 7, maxTokens: 60 } as const;
        const expected = await collect(complete(ensemble, { ...request, speculation: false }));
        const others: Partial<CompletionOptions>[] = [
            { speculation: { length: 4 } },
            { speculation: { lookup: true } },
            { readAhead: 16 },
            { readAhead: 8, speculation: { length: 2 } },
        ];
        for (const other of others) {
            const { toolCalls, text, parts } = await collect(complete(ensemble, { ...request, ...other }));
            expect(parts.map(({ id }) => id)).toEqual(expected.parts.map(({ id }) => id));
            expect([text, withoutIds(toolCalls)]).toEqual(["", withoutIds(expected.toolCalls)]);
        }
        const turned = complete(ensemble, { ...request, readAhead: 8 });
        let parts = 0;
        const calls: CompletionPart[] = [];
        for await (const part of turned) {
            if (++parts % 3 === 0) turned.setParameters({ beta: 1 + parts / 1e6 });
            if (part.type === "tool-call") calls.push(part);
        }
        expect(calls).toHaveLength(expected.toolCalls.length);
    });
});

test("members are told of tools in the prompt, wherever their template has a place for it", async () => {
    const { promptTokens } = await collect(complete(ensemble, { prompt: PERU, maxTokens: 1 }));
    const told = await collect(complete(ensemble, { prompt: PERU, maxTokens: 1, tools }));
    for (const { name } of ensemble.members)
        expect(told.promptTokens[name]).toBeGreaterThan(Number(promptTokens[name]) + 50);
});

test("control tokens mark calls where the vocabulary has them, and texts that look like them do not", async () => {
    const template = (await readPublicTemplates()).get("mistralai-Mistral-Nemo-Instruct-2407.jinja") ?? "";
    const file = writeControlVocabulary(folder);
    const recipe = demoRecipe(`
members: { solo: { model: ${JSON.stringify(file)} } }
combination: solo
contextSize: 1024
prompt: { template: ${JSON.stringify(template)} }`);
    const solo = await loadOnCpu(recipe);
    const { toolCalls, parts, text } = await collect(
        complete(solo, { prompt: PERU, tools, toolChoice: { tool: "capital_of" }, seed: 2 }),
    );
    expect([text, toolCalls.length]).toEqual(["", 1]);
    expect(solo.vocabulary.controlTokens[parts[0]?.id ?? 0]).toBe(1);
    expectCalls(toolCalls);
    await solo.dispose();
});

describe("calls in the notation of a family", () => {
    const FAMILIES = [
        ...["Qwen3.5-4B", "Qwen3-Coder", "GLM-4.6", "google-gemma-4-31B-it", "ByteDance-Seed-OSS"],
        ...["deepseek-ai-DeepSeek-V3.2", "meta-llama-Llama-3.1-8B-Instruct", "Qwen-Qwen3-0.6B"],
        ...["mistralai-Mistral-Nemo-Instruct-2407", "Mistral-Small-3.2-24B-Instruct-2506"],
    ];
    const SEVERAL: Tool = {
        name: "find",
        parameters: {
            type: "object",
            properties: {
                city: { enum: ["Lima", "Quito"] },
                days: { type: "integer", minimum: 1, maximum: 9 },
                exact: { type: "boolean" },
                kinds: { type: "array", items: { enum: ["a", "b"] }, minItems: 1, maxItems: 2 },
                near: { type: "string", maxLength: 3 },
            },
            required: ["city", "exact"],
            additionalProperties: false,
        },
    };
    test.each(FAMILIES)("%s", async (family) => {
        const template = (await readPublicTemplates()).get(`${family}.jinja`) ?? "";
        const recipe = demoRecipe(`
members: { solo: { model: small-chat-f16.gguf } }
combination: solo
contextSize: 4096
prompt: { template: ${JSON.stringify(template)} }`);
        const solo = await loadOnCpu(recipe);
        for (const seed of [1, 2]) {
            const request = { prompt: PERU, tools: [SEVERAL, NOW], seed, maxTokens: 250 };
            const forced = { ...request, toolChoice: { tool: "find" } };
            const { toolCalls, text, reason } = await collect(complete(solo, forced));
            expect(text).toBe("");
            if (reason === "length") continue;
            expect(toolCalls).toMatchObject([{ name: "find", arguments: { exact: expect.any(Boolean) } }]);
            const { city, days = 1, kinds = ["a"] } = toolCalls[0]?.arguments ?? {};
            expect(["Lima", "Quito"]).toContain(city);
            expect([1, 2, 3, 4, 5, 6, 7, 8, 9]).toContain(days);
            for (const kind of kinds as string[]) expect(["a", "b"]).toContain(kind);
            const { toolCalls: empty } = await collect(complete(solo, { ...request, toolChoice: { tool: "now" } }));
            expect(empty).toMatchObject([{ name: "now", arguments: {} }]);
        }
        await solo.dispose();
    });
});

describe("a conversation with tools", () => {
    test("render() shows the tools that the next answer is told of", async () => {
        const chat = createChat(ensemble, { tools: [NOW] });
        const [told, untold] = await Promise.all([chat.render(PERU), chat.render(PERU, { toolChoice: "none" })]);
        expect(Object.values(told).every((text) => text.includes(`"name": "${NOW.name}"`))).toBe(true);
        expect(Object.values(untold).every((text) => !text.includes(NOW.name))).toBe(true);
        expect(told).toEqual(await createChat(ensemble).render(PERU, { tools: [NOW] }));
    });

    test("calls, results, and an answer; kept in a document", async () => {
        const chat = createChat(ensemble, { tools, seed: 1, maxTokens: 120 });
        const first = await collect(chat.send(PERU, { toolChoice: { tool: "capital_of" } }));
        expect(first.reason).toBe("tool-calls");
        expect(chat.turns).toEqual([{ user: PERU, steps: [{ text: "", calls: first.toolCalls }], answer: "" }]);
        expect(() => chat.send("And?")).toThrow(expect.objectContaining({ code: "CHAT_BUSY" }));
        const [{ id }] = first.toolCalls as [ToolCall];
        const waiting = parseChat(JSON.stringify(chat));

        const second = await collect(
            chat.sendResults([{ id, result: { capital: "Lima" } }], { toolChoice: { tool: "now" } }),
        );
        const last = second.toolCalls[0] as ToolCall;
        const third = await collect(chat.sendResults([{ id: last.id, result: "noon" }], { toolChoice: "none" }));
        expect(third.toolCalls).toEqual([]);
        expect(chat.turns).toEqual([
            {
                user: PERU,
                steps: [
                    { text: "", calls: first.toolCalls, results: ['{"capital":"Lima"}'] },
                    { text: "", calls: second.toolCalls, results: ["noon"] },
                ],
                answer: chat.turns[0]?.answer,
            },
        ]);
        expect(chat.messages.map(({ role }) => role)).toEqual([
            ...["user", "assistant", "tool", "assistant", "tool", "assistant"],
        ]);
        const { large } = await chat.render("And of Chad?");
        expect(large).toContain('<tool_call>\n{"name": "capital_of"');
        expect(large).toContain('<tool_response>\n{"capital":"Lima"}\n</tool_response>');

        const file = path.join(folder, "chat.json");
        await saveChat(file, chat);
        const loaded = createChat(ensemble, { ...(await loadChat(file)), tools });
        expect(loaded.turns).toEqual(chat.turns);
        expect(createChat(ensemble, { ...waiting, tools }).turns).toEqual([
            { user: PERU, steps: [{ text: "", calls: first.toolCalls }], answer: "" },
        ]);
        await collect(chat.regenerate({ toolChoice: "none" }));
        expect(chat.turns[0]?.steps).toBeUndefined();
    });

    test("results that are not waited for", async () => {
        const chat = createChat(ensemble, { tools, seed: 1 });
        const invalid = expect.objectContaining({ code: "OPTION_INVALID" });
        expect(() => chat.sendResults([])).toThrow(invalid);
        await collect(chat.send(PERU, { toolChoice: { tool: "now" } }));
        const id = chat.turns[0]?.steps?.[0]?.calls[0]?.id ?? "";
        for (const results of [[], [{ id: "other", result: 1 }], [{ id, result: () => 1 }], "results", [null]])
            expect(() => chat.sendResults(results as never)).toThrow(invalid);
        expect(() => chat.sendResults([{ id, result: 1, reslt: 2 }] as never)).toThrow('and no "reslt".');
        expect(chat.busy).toBe(false);
    });

    test.each([
        { turns: [{ user: "a", answer: "b", steps: [{ text: "", calls: [] }] }] },
        { turns: [{ user: "a", answer: "b", steps: [{ text: "", calls: [{ id: "1", name: "a" }] }] }] },
        {
            turns: [
                { user: "a", answer: "b", steps: [{ text: "", calls: [{ id: "1", name: "a", arguments: {} }] }] },
                { user: "a", answer: "b" },
            ],
        },
        {
            turns: [
                {
                    ...{ user: "a", answer: "b" },
                    steps: [{ text: "", calls: [{ id: "1", name: "a", arguments: {} }], results: ["a", "b"] }],
                },
            ],
        },
    ])("a document that is none: %j", (state) => {
        expect(() => parseChat(JSON.stringify({ eftChat: 1, ...state }))).toThrow(
            expect.objectContaining({ code: "CHAT_INVALID" }),
        );
    });
});

describe("thoughts", () => {
    const TEMPLATE =
        "{% for m in messages %}[{{ m.role }}] {% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}" +
        "{{ m.content }}\n{% endfor %}[assistant] <think>\n";
    let thinker: Ensemble;
    beforeAll(async () => {
        const recipe = demoRecipe(`
members: { solo: { model: ${JSON.stringify(demoFile("small-chat"))} } }
combination: solo
contextSize: 1024
prompt: { template: ${JSON.stringify(TEMPLATE)} }`);
        thinker = await loadOnCpu(recipe);
    });
    afterAll(() => thinker.dispose());

    test("are parts of their own, from the first token on where the prompt begins them", async () => {
        const thought: string[] = [];
        for await (const part of complete(thinker, { prompt: PERU, maxTokens: 12, seed: 1 })) {
            expect(part.text).toBe("");
            if (part.type === "thinking") thought.push(part.thinking);
        }
        expect(thought.join("")).not.toBe("");
        const result = await collect(complete(thinker, { prompt: PERU, maxTokens: 12, seed: 1 }));
        expect([result.text, result.thinking]).toEqual(["", thought.join("")]);
    });

    test("as a recipe says it", async () => {
        const { thinking, text } = await collect(complete(ensemble, { prompt: PERU, seed: 1 }));
        expect([thinking, text]).toEqual(["", "Its capital is Lima."]);
        const more = 'prompt: { template: from chat, thinking: { begin: " Its", end: " is" } }';
        const recipe = demoRecipe(`members: { chat: { model: small-chat-f16.gguf } }\ncombination: chat\n${more}`);
        const told = await loadOnCpu(recipe);
        const answer = await collect(complete(told, { prompt: PERU, sampling: { temperature: 0 } }));
        expect(answer.thinking).toBe("capital");
        expect(answer.text).toMatch(/^\w+\.$/);
        await told.dispose();
    });

    test.each<Partial<CompletionOptions>>([
        { jsonSchema: { enum: ["yes", "no"] } },
        { tools, toolChoice: { tool: "now" } },
    ])("come to their end before what a grammar asks for: %j", async (options) => {
        // What does not end by itself is made to: the mark's end is all that may follow on a line end.
        const request = { prompt: PERU, seed: 3, maxTokens: 100, sampling: { temperature: 3 }, ...options };
        const { text, thinking, toolCalls, reason } = await collect(complete(thinker, request));
        expect(thinking).not.toBe("");
        if (reason === "length") expect([text, toolCalls]).toEqual(["", []]);
        else if (options.tools) expect(toolCalls).toMatchObject([{ name: "now" }]);
        else expect(["yes", "no"]).toContain(JSON.parse(text));
    });
});

describe("answers in JSON", () => {
    test("have marks of thoughts and calls in their texts", async () => {
        const values = ["<think>a</think>b", '<tool_call>{"name": "now", "arguments": {}}</tool_call>'];
        for (const family of ["Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct"]) {
            const template = (await readPublicTemplates()).get(`${family}.jinja`) ?? "";
            const recipe = demoRecipe(`
members: { solo: { model: small-chat-f16.gguf } }
combination: solo
contextSize: 2048
prompt: { template: ${JSON.stringify(template)} }`);
            const solo = await loadOnCpu(recipe);
            for (const value of [...values, { name: "now", parameters: { city: "Lima" } }]) {
                const request = { prompt: PERU, jsonSchema: { const: value }, seed: 1 };
                const alone = await collect(complete(solo, request));
                expect([JSON.parse(alone.text), alone.thinking]).toEqual([value, ""]);
                const { text, toolCalls } = await collect(complete(solo, { ...request, tools }));
                if (toolCalls.length === 0) expect(JSON.parse(text)).toEqual(value);
                else expect(text).toBe("");
            }
            await solo.dispose();
        }
    });

    test("come behind thoughts that a control token ends", async () => {
        const template =
            "{% for m in messages %}[{{ m.role }}] {% if m.reasoning_content %}<|user|>{{ m.reasoning_content }}[CONTROL]" +
            "{% endif %}{{ m.content }}\n{% endfor %}[assistant] <|user|>";
        const recipe = demoRecipe(`
members: { solo: { model: ${JSON.stringify(writeControlVocabulary(folder))} } }
combination: solo
contextSize: 1024
prompt: { template: ${JSON.stringify(template)}, thinking: { begin: "<|user|>", end: "[CONTROL]" } }`);
        const solo = await loadOnCpu(recipe);
        const end = solo.vocabulary.controlTokens.findIndex(
            (isControl, id) => isControl === 1 && solo.members[0]?.model.tokenTexts(id, id + 1)[0] === "[CONTROL]",
        );
        const request = { prompt: PERU, seed: 1, maxTokens: 100, logitBias: { [end]: 10_000 } };
        const json = await collect(complete(solo, { ...request, jsonSchema: { enum: ["yes", "no"] } }));
        expect(["yes", "no"]).toContain(JSON.parse(json.text));
        const forced = await collect(complete(solo, { ...request, tools, toolChoice: { tool: "now" } }));
        expect(forced).toMatchObject({ text: "", toolCalls: [{ name: "now" }] });
        await solo.dispose();
    });
});

test("calls of one answer have different ids, whatever the model writes", async () => {
    async function* parts() {
        await Promise.resolve();
        const called = ["abcdefgh1", "abcdefgh1", undefined, ""].map((id) => ({ id, name: "now", arguments: {} }));
        yield { type: "token", id: 1, logprob: 0, text: "", thinking: "", calls: called } as const;
    }
    const ids: string[] = [];
    for await (const part of separateParts(parts())) if (part.type === "tool-call") ids.push(part.id);
    expect([ids[0], new Set(ids).size]).toEqual(["abcdefgh1", 4]);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z\d]{9}$/);
});

describe("what cannot be", () => {
    const wrong: [string, Partial<CompletionOptions>, RegExp][] = [
        ["tools that are no list", { tools: "now" as never }, /tools must be a list/],
        ["a tool that is none", { tools: [7 as never] }, /\[0\] is 7/],
        ["a name", { tools: [{ name: "a b" }] }, /name of 1 to 64/],
        ["two of one name", { tools: [NOW, NOW] }, /two tools with the name now/],
        ["an unknown key", { tools: [{ name: "a", schema: {} } as never] }, /unknown key "schema"/],
        ["parameters that are no schema", { tools: [{ name: "a", parameters: 7 as never }] }, /parameters of a/],
        [
            "a schema that throws",
            {
                tools: [
                    {
                        name: "a",
                        parameters: {
                            toJSONSchema: () => {
                                throw new Error("no");
                            },
                        },
                    },
                ],
            },
            /no JSON schema: no/,
        ],
        ["a choice", { tools, toolChoice: "any" as never }, /toolChoice must be/],
        ["a choice of nothing", { tools, toolChoice: { tool: "b" } }, /names b/],
        ["a call without tools", { toolChoice: "required" }, /there are no tools/],
        ["tools and a grammar", { tools, grammar: 'root ::= "a"' }, /exclude each other/],
        ["tools and raw", { tools, raw: true }, /exclude each other/],
        ["a forced call and JSON", { tools, toolChoice: "required", jsonSchema: true }, /give one of them/],
    ];
    const [named, list] = [{ city: { type: "string" } }, { type: "array", items: { type: "string" } }];
    const forms: [string, object, RegExp][] = [
        ["a mapping of names", { parameters: named }, /the JSON schema of an object, such as .*; "city" says nothing/],
        ["a mapping of an id", { parameters: { id: { type: "string" } } }, /its "id" is an object, as that of an arg/],
        ["a mapping of a title", { parameters: { title: named.city } }, /its "title" is an object/],
        ["a mapping of a description", { parameters: { description: named.city } }, /its "description" is an object/],
        ["a mapping of a type", { parameters: { type: named.city, ...named } }, /its "type" is an object/],
        [
            "several types",
            { parameters: { type: ["string", "null"] } },
            /this one is of the type "string" or "null"\.$/,
        ],
        ["a list", { parameters: list }, /the JSON schema of an object, such as .*; this one is of the type "array"/],
        ["a list of zod's", { parameters: z.array(z.string()) }, /this one is of the type "array"/],
        ["the key of another API", { inputSchema: { type: "object" } }, /is given as parameters/],
        ["the form of another API", { name: undefined, type: "function", function: NOW }, /under its `function`/],
    ];
    wrong.push(
        ...forms.map(([what, tool, message]): (typeof wrong)[number] => [
            `${what} under auto`,
            { tools: [{ name: "a", ...tool }] },
            message,
        ]),
    );
    test.each(wrong)("%s", (_, options, message) => {
        const failing = () => complete(ensemble, { prompt: PERU, ...options });
        expect(failing).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
        expect(failing).toThrow(message);
    });

    test.each<[string, Tool["parameters"]]>([
        ["nothing", {}],
        ["annotations", { description: "any" }],
        ["names of properties that are keywords", { properties: { id: {}, title: {}, description: {}, type: {} } }],
        ["properties alone", { properties: { a: {} } }],
        ["a reference", { $ref: "#/$defs/a", $defs: { a: { type: "object" } } }],
        ["alternatives", { anyOf: [{ type: "object" }, { type: "object", properties: {} }] }],
        ["several types", { type: ["object", "null"] }],
        ["one of zod's", z.discriminatedUnion("a", [z.object({ a: z.literal(1) }), z.object({ a: z.literal(2) })])],
    ])("parameters may be %s", (_name, parameters) => {
        expect(() => complete(ensemble, { prompt: PERU, tools: [{ name: "a", parameters }] })).not.toThrow();
    });

    test("a schema that cannot be enforced, where a call is forced", () => {
        const tool = {
            name: "a",
            parameters: { type: "object", properties: { a: { type: "string", pattern: "(a)\\1" } } },
        };
        expect(() => complete(ensemble, { prompt: PERU, tools: [tool], toolChoice: "required" })).toThrow(
            expect.objectContaining({ code: "GRAMMAR_INVALID" }),
        );
        expect(() => complete(ensemble, { prompt: PERU, tools: [tool] })).not.toThrow();
    });

    test("tools that are too large together, where a call is forced", () => {
        const parameters = (index: number): object => ({
            type: "object",
            properties: { a: { type: "string", pattern: `^[a-z]{1,200}-${index}$`, maxLength: 150 } },
        });
        const many = Array.from({ length: 128 }, (_, index) => ({
            name: `tool${index}`,
            parameters: parameters(index) as JsonSchema,
        }));
        expect(() => complete(ensemble, { prompt: PERU, tools: many, toolChoice: "required" })).toThrow(
            /The tool tool\d+ cannot be forced\. .* at #\/properties\/a: `pattern` cannot be enforced: .*too large/,
        );
        // A quote takes four characters of a grammar.
        const values = Array.from({ length: 100 }, (_, each) => String.fromCodePoint(0x4e00 + each) + '"'.repeat(30));
        const long = many.map(({ name }) => ({ name, parameters: { properties: { a: { enum: values } } } }));
        expect(() => complete(ensemble, { prompt: PERU, tools: long, toolChoice: "required" })).toThrow(
            /No call can be forced: the grammar of the tools up to tool\d+ is longer than 1048576 characters/,
        );
    });

    test("plain prompts are told of tools too", async () => {
        const solo = await loadOnCpu(soloRecipe(demoFile("small-chat"), "contextSize: 1024"));
        const request = { prompt: PERU, tools, toolChoice: { tool: "now" }, seed: 1 } as const;
        expect((await collect(complete(solo, request))).toolCalls).toMatchObject([{ name: "now" }]);
        await solo.dispose();
    });
});
