/** How public templates write calls and thoughts, and that answers in their way are read. */

import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { tryCalls, type RenderSample } from "../../src/prompts/call-syntax.js";
import type { ChatMessage } from "../../src/prompts/messages.js";
import { withCalls, writeCalls } from "../../src/prompts/tool-messages.js";
import { CHANNEL_SYNTAX, tryChannels } from "../../src/prompts/channels.js";
import { tryThinking, tryThoughtKey, withThoughtKey } from "../../src/prompts/thinking.js";
import { compileTemplate, type Template } from "../../src/template/template.js";
import { cut, readPieces, TEXT_MARKS } from "../helpers/answers.js";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { callGrammar } from "../../src/tools/call-grammar.js";
import { createRandom, createWalker } from "../helpers/grammar-texts.js";
import type { JsonValue } from "../../src/types.js";
import { readPublicTemplates, sampleOf } from "../helpers/public-templates.js";

let templates: ReadonlyMap<string, { readonly source: string; readonly template: Template }>;
beforeAll(async () => {
    const sources = [...(await readPublicTemplates())];
    templates = new Map(
        sources.map(([name, source]) => [name.replace(".jinja", ""), { source, template: compileTemplate(source) }]),
    );
});

const ENDS = ["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "</s>", "<|call|>", "<|END_OF_TURN_TOKEN|>"];
const traitsOf = (render: RenderSample) => tryCalls(render, ENDS, tryChannels(render));
const callsOf = (name: string) => traitsOf(sampleOf((templates.get(name) as { template: Template }).template));
const thinkingOf = (name: string) => {
    const { template, source } = templates.get(name) as { template: Template; source: string };
    return tryThinking(sampleOf(template), source);
};

describe("the syntax of a family's calls", () => {
    const HERMES = {
        open: '<tool_call>\n{"name": "',
        call: ["name", { text: '", "arguments": ' }, "arguments"],
        between: '}\n</tool_call>\n<tool_call>\n{"name": "',
        close: "}\n</tool_call>",
    };
    const LLAMA = {
        open: '{"name": "',
        call: ["name", { text: '", "parameters": ' }, "arguments"],
        between: undefined,
        close: "}",
    };
    test.each([
        ["Qwen-Qwen2.5-7B-Instruct", HERMES],
        ["Qwen-Qwen3-0.6B", HERMES],
        ["Qwen-QwQ-32B", HERMES],
        ["NousResearch-Hermes-3-Llama-3.1-8B-tool_use", HERMES],
        ["ibm-granite-granite-4.0", HERMES],
        ["meta-llama-Llama-3.1-8B-Instruct", LLAMA],
        ["meta-llama-Llama-3.2-3B-Instruct", LLAMA],
        [
            "mistralai-Mistral-Nemo-Instruct-2407",
            {
                open: '[TOOL_CALLS][{"name": "',
                call: ["name", { text: '", "arguments": ' }, "arguments", { text: ', "id": "' }, "id"],
                between: '"}, {"name": "',
                close: '"}]',
            },
        ],
        [
            "Mistral-Small-3.2-24B-Instruct-2506",
            {
                open: "[TOOL_CALLS]",
                call: ["name", { text: "[CALL_ID]" }, "id", { text: "[ARGS]" }, "arguments"],
                between: "[TOOL_CALLS]",
                close: "",
            },
        ],
    ])("%s", (name, syntax) => {
        expect(callsOf(name)).toEqual({ syntax, wantsText: false, isSingle: syntax === LLAMA });
    });

    test.each(["google-gemma-2-2b-it", "microsoft-Phi-3.5-mini-instruct"])("%s knows no tools", (name) => {
        expect(callsOf(name)).toBeUndefined();
    });

    test("arguments as text, where a template cannot show data", () => {
        expect(callsOf("meetkai-functionary-medium-v3.2")?.wantsText).toBe(true);
    });
});

test("what a template writes of calls is read as these calls, in whatever pieces it comes", () => {
    const question = { role: "user", content: "Which is it?" } as const;
    const simple = [
        fc.string({ unit: "grapheme", maxLength: 12 }),
        fc.integer(),
        fc.constantFrom<JsonValue>(null, true, '"}]</tool_call>[TOOL_CALLS]'),
    ] as const;
    const dictionary = (value: fc.Arbitrary<JsonValue>) =>
        fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), value, { maxKeys: 3 });
    const asJson = dictionary(fc.oneof(...simple, fc.constant({ a: [1, { b: "}" }] })));
    // Some templates write what is nested as Python does, which is a mistake of theirs, and some escape what XML would.
    const word = fc.stringMatching(/^[a-z]([a-zé .,:{}/-]{0,8}[a-z])?$/);
    const oneByOne = dictionary(fc.oneof(word, fc.integer(), fc.constantFrom<JsonValue>(null, true)));
    const names = ["find_harbour", "now", "a.b-c"];
    let read = 0;
    for (const [name, { template }] of templates) {
        const render = sampleOf(template);
        const traits = traitsOf(render);
        // Those with channels are read in another way: see the test of channels.
        if (traits?.syntax === undefined || traits.syntax === CHANNEL_SYNTAX) continue;
        const { syntax, wantsText } = traits;
        const said = render([question, { role: "assistant", content: "That one." }], { tools: [] }, false);
        const turnEnds = [said.slice(said.indexOf("That one.") + "That one.".length).trim(), ...ENDS].filter(Boolean);
        read++;
        fc.assert(
            fc.property(
                fc.array(fc.record({ name: fc.constantFrom(...names), values: syntax.pairs ? oneByOne : asJson }), {
                    minLength: 1,
                    maxLength: syntax.between === undefined ? 1 : 3,
                }),
                fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 30 }),
                (calls, lengths) => {
                    const written = calls.map(({ name: called, values: given }, index) => ({
                        ...{ id: `call${10000 + index}`, type: "function" },
                        function: { name: called, arguments: wantsText ? JSON.stringify(given) : given },
                    }));
                    const message = { role: "assistant", content: "", tool_calls: written } as const;
                    const text = render([question, message], { tools: [] }, false);
                    // Headers of turns are the template's, as is what ends one.
                    const from = text.indexOf(syntax.open, text.lastIndexOf(question.content));
                    const ends = turnEnds
                        .map((end) => text.indexOf(end, from + syntax.open.length))
                        .filter((at) => at >= 0);
                    const answer = text.slice(from, Math.min(text.length, ...ends));
                    const isText = (_: string, argument: string): boolean =>
                        calls.some(({ values: given }) => typeof given[argument] === "string");
                    fc.pre(
                        !calls.some(({ values: given }) =>
                            Object.entries(given).some(([key, value]) => isText("", key) && typeof value !== "string"),
                        ),
                    );
                    const result = readPieces(cut(answer, lengths), { syntax, tools: names, isText });
                    const expected = calls.map(({ name: called, values: given }) => ({
                        name: called,
                        arguments: given,
                    }));
                    expect(
                        result.calls.map(({ name: called, arguments: given }) => ({ name: called, arguments: given })),
                    ).toEqual(JSON.parse(JSON.stringify(expected)));
                    expect([name, result.text.trim()]).toEqual([name, ""]);
                },
            ),
            { numRuns: 15 },
        );
    }
    expect(read).toBeGreaterThan(45);
});

test("of calls in one answer, one that names no tool is text, and nothing of what it shares with the others is", () => {
    const dense = (text: string): string => text.replace(/[\s\d]/g, "");
    let read = 0;
    for (const [name, { template }] of templates) {
        const { syntax } = traitsOf(sampleOf(template)) ?? {};
        if (syntax?.between === undefined) continue;
        read++;
        const call = (called: string) => ({ id: "call00000", name: called, values: { city: "Lima", days: 3 } });
        const setup = { syntax, tools: ["now", "find"], isText: (_: string, argument: string) => argument === "city" };
        for (const names of [
            ["now", "rm", "find"],
            ["rm", "now"],
            ["now", "find", "rm"],
        ])
            for (const length of [1, 4, 1000]) {
                const { calls, text } = readPieces(cut(writeCalls(names.map(call), syntax), [length]), setup);
                expect([name, calls.map((each) => each.name)]).toEqual([name, names.filter((each) => each !== "rm")]);
                expect([name, dense(text).match(/rm/g)]).toEqual([name, ["rm"]]);
                expect(dense(writeCalls([call("rm")], syntax))).toContain(dense(text));
            }
    }
    expect(read).toBeGreaterThan(40);
});

test("several calls are shown by every template: one after the other, each with its result, where it shows one of a message", () => {
    let single = 0;
    for (const [name, { template }] of templates) {
        const render = sampleOf(template);
        const traits = traitsOf(render);
        if (traits === undefined) continue;
        const ids = ["call00001", "call00002"];
        const messages: ChatMessage[] = [
            { role: "user", content: "Which is it?" },
            {
                ...{ role: "assistant", content: "" },
                tool_calls: ids.map((id, index) => ({
                    ...{ id, type: "function" },
                    function: { name: `find-${index + 1}`, arguments: { city: `Lima-${index + 1}` } },
                })),
            },
            // Results may come in any order.
            ...ids
                .map((id, index) => ({ role: "tool" as const, content: `Port-${index + 1}`, tool_call_id: id }))
                .reverse(),
        ];
        const text = render(withCalls(messages, traits), { tools: [] }, true);
        const words = ["find-1", "Lima-1", "Port-1", "find-2", "Lima-2", "Port-2"];
        expect([name, words.filter((word) => !text.includes(word))]).toEqual([name, []]);
        if (!traits.isSingle) continue;
        single++;
        const places = words.map((each) => text.indexOf(each));
        expect([name, places]).toEqual([name, places.toSorted((one, other) => one - other)]);
    }
    expect(single).toBeGreaterThan(3);
});

test("messages with several calls are taken apart in one pass", () => {
    let looks = 0;
    const message = (role: ChatMessage["role"], more: object): ChatMessage => ({
        get role() {
            looks++;
            return role;
        },
        ...{ content: "", ...more },
    });
    const call = { type: "function", function: { name: "now", arguments: {} } };
    const turns = Array.from({ length: 500 }, () => [
        message("assistant", { tool_calls: [call, call] }),
        message("tool", {}),
        message("tool", {}),
    ]).flat();
    withCalls(turns, { syntax: undefined, wantsText: false, isSingle: true });
    expect(looks).toBeLessThan(10 * turns.length);
});

test("what a grammar forces is read as calls, with arguments and without", () => {
    const parameters = {
        type: "object",
        properties: { city: { type: "string" }, days: { type: "integer" } },
        required: ["city"],
        additionalProperties: false,
    } as const;
    const none = { type: "object", properties: {}, additionalProperties: false } as const;
    const tools = [
        { name: "find", description: undefined, parameters },
        { name: "now", description: undefined, parameters: none },
    ];
    for (const [name, { template }] of templates) {
        const { syntax } = traitsOf(sampleOf(template)) ?? {};
        if (syntax === undefined) continue;
        const walk = createWalker(readGbnf(`root ::= calls\n${callGrammar(tools, syntax, TEXT_MARKS, false)}`));
        const setup = {
            ...{ syntax, hasChannels: syntax === CHANNEL_SYNTAX, tools: ["find", "now"] },
            isText: (_: string, argument: string) => argument === "city",
        };
        for (let seed = 0; seed < 12; seed++) {
            const answer = walk(createRandom(seed), 20);
            const { calls, text } = readPieces(cut(answer, [3]), setup);
            expect([name, answer, text.trim(), calls.length > 0]).toEqual([name, answer, "", true]);
            for (const { name: called, arguments: values } of calls)
                expect(Object.keys(values).includes("city")).toBe(called === "find");
        }
    }
});

describe("thoughts", () => {
    test.each([
        ["Qwen-Qwen3-0.6B", { begin: "<think>", end: "</think>" }],
        ["GLM-4.6", { begin: "<think>", end: "</think>" }],
        ["ByteDance-Seed-OSS", { begin: "<seed:think>", end: "</seed:think>" }],
        ["deepseek-ai-DeepSeek-R1-Distill-Llama-8B", { begin: "<think>", end: "</think>" }],
        ["Cohere2MoE", { begin: "<|START_THINKING|>", end: "<|END_THINKING|><|START_TEXT|>" }],
        ["meta-llama-Llama-3.1-8B-Instruct", undefined],
        ["Qwen-Qwen2.5-7B-Instruct", undefined],
        ["openai-gpt-oss-120b", undefined],
    ])("%s", (name, marks) => {
        expect(thinkingOf(name)).toEqual(marks);
    });

    test.each([
        ["LFM2.5-8B-A1B", "thinking"],
        ["upstage-Solar-Open-100B", "reasoning"],
        ["Qwen-Qwen3-0.6B", "reasoning_content"],
        ["meta-llama-Llama-3.1-8B-Instruct", "reasoning_content"],
    ])("of earlier turns are looked for under a key of its own: %s", (name, key) => {
        const { template } = templates.get(name) as { template: Template };
        expect(tryThoughtKey(sampleOf(template))).toBe(key);
    });

    test("of earlier turns reach each template that looks for them", () => {
        const turn = { role: "assistant", content: "Lima." } as const;
        const show = (render: RenderSample, said: readonly ChatMessage[]): string => {
            try {
                return render([{ role: "user", content: "Where?" }, ...said], {}, false);
            } catch {
                return "";
            }
        };
        const known = [...templates].filter(([, { template }]) => {
            const render = sampleOf(template);
            const looksFor = (key: string): boolean => show(render, [{ ...turn, [key]: "Hm." }]).includes("Hm.");
            return !tryChannels(render) && ["reasoning_content", "thinking", "reasoning"].some(looksFor);
        });
        expect(known.length).toBeGreaterThan(15);
        for (const [name, { template }] of known) {
            const render = sampleOf(template);
            const said = withThoughtKey([{ ...turn, reasoning_content: "Hm." }], () => tryThoughtKey(render));
            expect([name, show(render, said)]).toEqual([name, expect.stringContaining("Hm.")]);
        }
    });
});
